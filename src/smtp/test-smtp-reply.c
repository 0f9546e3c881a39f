/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/test.h"
#include "smtp/reply.h"

static int parse(SmtpReplyParser *p, const char *line, SmtpReply *ret) {
        return smtp_reply_parse_line(p, line, strlen(line), ret);
}

static void test_parse(void) {
        SmtpReplyParser p = {};
        SmtpReply r = SMTP_REPLY_NULL;
        char status[ENHANCED_STATUS_MAX];

        ASSERT_EQ(parse(&p, "250-mx.example", &r), SMTP_REPLY_E_MORE);
        ASSERT_EQ(parse(&p, "250-SIZE 10", &r), SMTP_REPLY_E_MORE);
        ASSERT_EQ(parse(&p, "250 DSN", &r), 0);
        ASSERT_EQ(r.code, 250U);
        ASSERT_STREQ(r.text, "mx.example\nSIZE 10\nDSN");
        ASSERT_STREQ(enhanced_status_format(r.status, status), "2.0.0");
        smtp_reply_done(&r);

        ASSERT_EQ(parse(&p, "550-5.7.1 No\x07 \xff", &r), SMTP_REPLY_E_MORE);
        ASSERT_EQ(parse(&p, "550 5.7.1 never", &r), 0);
        ASSERT_STREQ(r.text, "No? ?\nnever");
        ASSERT_STREQ(enhanced_status_format(r.status, status), "5.7.1");
        smtp_reply_done(&r);

        /* A status of another class is text. */
        ASSERT_EQ(parse(&p, "450 5.1.1 x", &r), 0);
        ASSERT_STREQ(r.text, "5.1.1 x");
        ASSERT_STREQ(enhanced_status_format(r.status, status), "4.0.0");
        smtp_reply_done(&r);

        ASSERT_EQ(parse(&p, "250", &r), 0);
        ASSERT_STREQ(r.text, "");
        smtp_reply_done(&r);

        static const char *const bad[] = { "", "25", "2x0 a", "199 a", "600 a", "250_a", "HTTP/1.1 200 OK" };
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                ASSERT_EQ(parse(&p, bad[i], &r), SMTP_REPLY_E_SYNTAX);
                smtp_reply_parser_done(&p);
        }
        ASSERT_EQ(parse(&p, "250-a", &r), SMTP_REPLY_E_MORE);
        ASSERT_EQ(parse(&p, "251 b", &r), SMTP_REPLY_E_SYNTAX);
        smtp_reply_parser_done(&p);

        /* Endless replies end. */
        int q = SMTP_REPLY_E_MORE;
        unsigned n = 0;
        while (q == SMTP_REPLY_E_MORE && n < 10000) {
                q = parse(&p, "250-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &r);
                n++;
                ASSERT_TRUE(p.text.size <= SMTP_REPLY_TEXT_MAX + SMTP_REPLY_LINES_MAX);
        }
        ASSERT_EQ(q, SMTP_REPLY_E_SYNTAX);
        smtp_reply_parser_done(&p);
}

static void test_format(void) {
        _cleanup_buf_ Buf b = BUF_INIT;

        ASSERT_OK(smtp_reply_format(&b, 250, STATUS(2, 1, 0), "a\nb\r\xc3\xbc", false));
        ASSERT_STREQ(b.data, "250-2.1.0 a\r\n250 2.1.0 b???\r\n");
        buf_clear(&b);
        ASSERT_OK(smtp_reply_format(&b, 354, STATUS(0, 0, 0), "\xc3\xbc\xff", true));
        ASSERT_STREQ(b.data, "354 \xc3\xbc?\r\n");
        buf_clear(&b);

        char text[1001];
        for (size_t i = 0; i < 500; i++)
                memcpy(text + 2 * i, "\xc3\xbc", 2);
        text[1000] = 0;
        ASSERT_OK(smtp_reply_format(&b, 550, STATUS(5, 0, 0), text + 1, true));
        ASSERT_TRUE(b.size <= 512);
        ASSERT_EQ((unsigned char) b.data[b.size - 3], 0xbc);
}

int main(void) {
        test_parse();
        test_format();
        return EXIT_SUCCESS;
}
