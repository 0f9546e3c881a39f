/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/buf.h"
#include "basic/ini.h"
#include "basic/test.h"

static int on_pair(const char *section, const char *key, const char *value, unsigned line, void *userdata) {
        Buf *b = userdata;

        ASSERT_EQ(!key, !value);
        if (!key)
                ASSERT_OK(buf_appendf(b, "%u[%s]\n", line, section));
        else
                ASSERT_OK(buf_appendf(b, "%u[%s]%s=(%s)\n", line, section, key, value));
        return key && streq(key, "Stop") ? -ENOTRECOVERABLE : key && streq(key, "Wrong") ? 1 : 0;
}

static void on_error(unsigned line, const char *message, void *userdata) {
        ASSERT_OK(buf_appendf(userdata, "%u!%.12s\n", line, message));
}

static void check(const char *text, size_t size, int expected_r, const char *expected) {
        _cleanup_buf_ Buf b = BUF_INIT;

        /* An exact copy without a NUL behind it. */
        _cleanup_free_ char *copy = malloc(MAX(size, (size_t) 1));
        memcpy(copy, text, size);
        ASSERT_EQ(ini_read(copy, size, on_pair, on_error, &b), expected_r);
        ASSERT_STREQ(strempty(b.data), expected);
}

static void test_table(void) {
        static const struct {
                const char *text;
                int r;
                const char *expected;
        } table[] = {
                { "", 0, "" },
                { "\n\n  # c\n;c\r\n", 0, "" },
                { "[A]\nKey=value", 0, "1[A]\n2[A]Key=(value)\n" },
                { "[A b]\r\nKey= a value \t \r\n", 0, "1[A b]\n2[A b]Key=(a value)\n" },
                { "[A]\nK=\nL=a=b:c\n", 0, "1[A]\n2[A]K=()\n3[A]L=(a=b:c)\n" },
                { "[A]\nK=a ; b # c\n", 0, "1[A]\n2[A]K=(a ; b # c)\n" },
                { "[A]\nK=;x\n", 0, "1[A]\n2[A]K=(;x)\n" },
                { "K=v\n[A]\n", 0, "1[]K=(v)\n2[A]\n" },
                { "\xef\xbb\xbf[A]\nK=\xc3\xa4\n", 0, "1[A]\n2[A]K=(\xc3\xa4)\n" },
                { "[A]\nK=a\n  b\nL=c\n", -EBADMSG, "1[A]\n2[A]K=(a)\n3!a line may n\n4[A]L=(c)\n" },
                { "[A]\nK\nL: v\nM \t= v\n=v\nK:=v\nK x=v", -EBADMSG,
                  "1[A]\n2!not an assig\n3!not an assig\n4[A]M=(v)\n5!there is no \n6!a key has le\n7!a key has le\n" },
                { "[A\n[]\n[A] x\n[[A]]\n[A]B]\n", -EBADMSG,
                  "1!not a sectio\n2!not a sectio\n3!not a sectio\n4!not a sectio\n5!not a sectio\n" },
                { "[A]\nK=\x01\n\x7f\nL=\xff\nM=v\n", -EBADMSG,
                  "1[A]\n2!the line has\n3!the line has\n4!the line is \n5[A]M=(v)\n" },
                { "[A]\nWrong=1\nK=v\n", -EBADMSG, "1[A]\n2[A]Wrong=(1)\n3[A]K=(v)\n" },
                { "[A]\nStop=1\nK=v\n", -ENOTRECOVERABLE, "1[A]\n2[A]Stop=(1)\n" },
        };
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                check(table[i].text, strlen(table[i].text), table[i].r, table[i].expected);

        check("[A]\nK=a\0b\n", 10, -EBADMSG, "1[A]\n2!the line has\n");
        check("[1234567890123456789012345678901234567890123456789]\nK=v\n", 56, 0,
              "1[1234567890123456789012345678901234567890123456789]\n"
              "2[1234567890123456789012345678901234567890123456789]K=(v)\n");
        check("[12345678901234567890123456789012345678901234567890]\n", 53, -EBADMSG, "1!the section \n");
}

/* Longer than the 200 bytes at which the library cuts by default, up to the limit; beyond it an error. */
static void test_long(void) {
        static const size_t sizes[] = { 190, 197, 198, 199, 200, 201, 400, INI_LINE_MAX - 1, INI_LINE_MAX, INI_LINE_MAX + 1, 100000 };

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_buf_ Buf text = BUF_INIT, expected = BUF_INIT;
                ASSERT_OK(buf_append_str(&text, "[A]\nKey="));
                ASSERT_OK(buf_append_str(&expected, "1[A]\n2[A]Key=("));
                for (size_t k = 4; k < sizes[i]; k++) {
                        const char *c = k + 1 == sizes[i] ? "x" : &"abc ; # "[k % 7];
                        ASSERT_OK(buf_append(&text, c, 1));
                        ASSERT_OK(buf_append(&expected, c, 1));
                }
                ASSERT_OK(buf_append_str(&text, "\nL=v\n"));
                ASSERT_OK(buf_append_str(&expected, ")\n3[A]L=(v)\n"));
                bool fits = sizes[i] <= INI_LINE_MAX;
                check(text.data, text.size, fits ? 0 : -EBADMSG, fits ? expected.data : "1[A]\n2!the line is \n3[A]L=(v)\n");
        }
}

int main(void) {
        test_table();
        test_long();
        return 0;
}
