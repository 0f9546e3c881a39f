/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/test.h"
#include "deliver/content.h"
#include "deliver/mbox-record.h"

static void check(const char *in, size_t n, ConvertFlags flags, const char *expected) {
        _cleanup_close_ int fd = ASSERT_OK(memfd_new("content"));
        Sink text = {}, content = {};
        int error = 0;

        ASSERT_OK(convert_text(&text, in, n, flags));
        ASSERT_STREQ(strempty(text.buf.data), expected);
        ASSERT_OK(write_full(fd, in, n));
        ASSERT_EQ(convert_content(&content, fd, n, flags, &error), 0);
        ASSERT_STREQ(strempty(content.buf.data), expected);
        buf_done(&text.buf);
        buf_done(&content.buf);
}

static void test_lines(void) {
        static const struct {
                const char *in, *plain, *quoted;
        } table[] = {
                { "", "", "" },
                { "a", "a\n", "a\n" },
                { "a\r\n", "a\n", "a\n" },
                { "a\n", "a\n", "a\n" },
                { "\r\n\r\n", "\n\n", "\n\n" },
                { "a\rb\r\r\n", "a\rb\r\n", "a\rb\r\n" },
                { "a\r", "a\r\n", "a\r\n" },
                { "From a\r\n", "From a\n", ">From a\n" },
                { ">>From a\r\n", ">>From a\n", ">>>From a\n" },
                { "From\r\n", "From\n", "From\n" },
                { "From ", "From \n", ">From \n" },
                { "From \r\n", "From \n", ">From \n" },
                { "from a\r\n", "from a\n", "from a\n" },
                { " From a\r\n", " From a\n", " From a\n" },
                { "x From a\r\nFrom b\nFrom c", "x From a\nFrom b\nFrom c\n", "x From a\n>From b\n>From c\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                check(table[i].in, strlen(table[i].in), 0, table[i].plain);
                check(table[i].in, strlen(table[i].in), CONVERT_QUOTE_FROM, table[i].quoted);
        }
}

/* Line ends at every place relative to the border of a chunk, also in lines longer than one. */
static void test_borders(void) {
        size_t room = 3 * CONTENT_CHUNK;
        _cleanup_free_ char *in = malloc(room + 64), *out = malloc(room + 64);

        for (size_t shift = 0; shift < 12; shift++)
                for (size_t chunks = 1; chunks <= 2; chunks++) {
                        size_t n = chunks * CONTENT_CHUNK - shift;
                        memset(in, 'x', n);
                        memcpy(in + n, "\r\nFrom b\r\nc", 12);
                        memset(out, 'x', n);
                        memcpy(out + n, "\n>From b\nc\n", 12);
                        check(in, n + 11, CONVERT_QUOTE_FROM, out);
                }
}

static void test_short(void) {
        _cleanup_close_ int fd = ASSERT_OK(memfd_new("content"));
        Sink sink = {};
        int error = 0;

        ASSERT_OK(write_full(fd, "abc", 3));
        ASSERT_EQ(convert_content(&sink, fd, 4, 0, &error), 1);
        ASSERT_EQ(error, -ENODATA);
        buf_done(&sink.buf);
}

static void test_from_line(void) {
        _cleanup_buf_ Buf b = BUF_INIT;

        ASSERT_OK(format_from_line(&b, "a b\n@\xc3\xbc", 0));
        ASSERT_STREQ(b.data, "From a-b-@-- Thu Jan  1 00:00:00 1970\n");
        buf_clear(&b);
        ASSERT_OK(format_from_line(&b, "", UINT64_C(1795293767123456)));
        ASSERT_STREQ(b.data, "From MAILER-DAEMON Sat Nov 21 20:42:47 2026\n");
        buf_clear(&b);
        ASSERT_OK(format_from_line(&b, "x", UINT64_MAX));
        ASSERT_TRUE(strstr(b.data, " 9999\n"));
}

static void test_record(void) {
        MboxRecord r = { .done = true, .boot = "0123abcd", .start = 5, .end = MBOX_END_UNKNOWN, .n_copies = 2 }, back;
        _cleanup_buf_ Buf b = BUF_INIT;
        static const char *const bad[] = {
                "", "1", "1 done 0123abcd 5 9", "1 done 0123abcd 5 9 0123456789abcdef 0", "1 done 0123abcd 5 9 0123456789abcdeU 0 00000000",
                "2 done 0123abcd 5 9 0123456789abcdef 0 00000000", "1 made 0123abcd 5 9 0123456789abcdef 0 00000000",
                "1 done 0123abc 5 9 0123456789abcdef 0 00000000", "1 done 0123abcd 9 5 0123456789abcdef 0 00000000",
                "1 done 0123abcd -1 5 0123456789abcdef 0 00000000", "1 done 0123abcd 18446744073709551615 - 0123456789abcdef 0 00000000",
                "1 done 0123abcd 5 9 0123456789abcdef 4294967296 00000000", "1 done 0123abcd 5 9 0123456789abcdef 0 0000000g",
        };

        ASSERT_OK(queue_id_parse("0123456789abcdef", &r.copies[0].id));
        ASSERT_OK(queue_id_parse("zzzzzzzzzzzzzzzz", &r.copies[1].id));
        r.copies[1].recipient = UINT32_MAX;
        r.copies[1].from_crc = 0xdeadbeef;
        ASSERT_OK(mbox_record_format(&r, &b));
        ASSERT_OK(mbox_record_parse(b.data, b.size, &back));
        ASSERT_EQ(memcmp(&r, &back, sizeof(r)), 0);
        ASSERT_TRUE(mbox_record_contains(&back, &r.copies[1].id, UINT32_MAX));
        ASSERT_TRUE(!mbox_record_contains(&back, &r.copies[1].id, 0));
        ASSERT_ERROR(mbox_record_parse(b.data, b.size + 1, &back), EBADMSG); /* a NUL inside */
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ASSERT_ERROR(mbox_record_parse(bad[i], strlen(bad[i]), &back), EBADMSG);
}

int main(void) {
        test_lines();
        test_borders();
        test_short();
        test_from_line();
        test_record();
        return 0;
}
