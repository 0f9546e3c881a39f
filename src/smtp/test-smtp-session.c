/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "smtp/test-session-driver.h"

#define HELLO "EHLO c\r\n"
#define HELLO_REPLY                                                                                            \
        "250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"       \
        "250-DSN\r\n250-SMTPUTF8\r\n250-XPOSTDTOKEN\r\n250-XPOSTDORIGIN\r\n250 HELP\r\n"
#define MAIL "MAIL FROM:<s@b>\r\n"
#define MAIL_REPLY "250 2.1.0 Sender ok\r\n"
#define RCPT "RCPT TO:<r@b>\r\n"
#define RCPT_REPLY "250 2.1.5 Ok\r\n"
#define DATA_REPLY "354 End data with <CR><LF>.<CR><LF>\r\n"
#define QUEUED "250 2.0.0 Queued\r\n"
#define BARE_REPLY "550 5.6.0 The message has a CR or LF that stands alone\r\n"
#define BARE_LINE "500 5.5.2 A line ends with CRLF, and neither stands alone\r\n"
#define X100 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"

typedef struct Case {
        const char *in, *out, *messages;
        bool closed;
} Case;

static const Case cases[] = {
        { HELLO MAIL RCPT "DATA\r\nSubject: x\r\n\r\n..\r\n.\r\nQUIT\r\n",
          HELLO_REPLY MAIL_REPLY RCPT_REPLY DATA_REPLY QUEUED "221 2.0.0 Bye\r\n",
          "s@b r@b\nSubject: x\r\n\r\n.\r\n", true },
        /* Order of commands. */
        { MAIL "DATA\r\n" RCPT,
          "503 5.5.1 Send EHLO or HELO first\r\n503 5.5.1 Send MAIL first\r\n503 5.5.1 Send MAIL first\r\n", "", false },
        { HELLO MAIL MAIL "DATA\r\n", HELLO_REPLY MAIL_REPLY "503 5.5.1 A transaction is under way already\r\n"
          "503 5.5.1 No valid recipient\r\n", "", false },
        { "LHLO c\r\n", "500 5.5.1 This is not LMTP: EHLO is expected\r\n", "", false },
        { HELLO MAIL RCPT "RSET\r\nDATA\r\n", HELLO_REPLY MAIL_REPLY RCPT_REPLY "250 2.0.0 Ok\r\n503 5.5.1 Send MAIL first\r\n", "", false },
        /* Replies to a batch keep their order, and faults stand between. */
        { HELLO MAIL "RCPT TO:<reject@b>\r\nRCPT TO:<>\r\n" RCPT "RCPT TO:<defer@b>\r\nDATA\r\n.\r\n",
          HELLO_REPLY MAIL_REPLY "550 5.1.1 No such user\r\n501 5.1.3 Bad recipient address syntax\r\n" RCPT_REPLY
          "450 4.2.0 Later\r\n" DATA_REPLY QUEUED, "s@b r@b\n", false },
        { HELLO MAIL "RCPT TO:<reject@b>\r\nDATA\r\n", HELLO_REPLY MAIL_REPLY "550 5.1.1 No such user\r\n503 5.5.1 No valid recipient\r\n", "", false },
        { HELLO "MAIL FROM:<refused@b>\r\n" RCPT "DATA\r\n",
          HELLO_REPLY "452 4.3.1 No room\r\n503 5.5.1 Send MAIL first\r\n503 5.5.1 Send MAIL first\r\n", "", false },
        { HELLO "MAIL FROM:<nodata@b>\r\n" RCPT "DATA\r\n" "RSET\r\n",
          HELLO_REPLY MAIL_REPLY RCPT_REPLY "452 4.3.1 No data\r\n250 2.0.0 Ok\r\n", "", false },
        /* Addresses without a domain get ours. */
        { HELLO "MAIL FROM:<root>\r\nRCPT TO:<alice>\r\nRCPT TO:<Postmaster>\r\nDATA\r\nx\r\n.\r\n",
          HELLO_REPLY MAIL_REPLY RCPT_REPLY RCPT_REPLY DATA_REPLY QUEUED,
          "root@example.org alice@example.org Postmaster@example.org\nx\r\n", false },
        { HELLO "MAIL FROM:<>\r\n" RCPT "DATA\r\n.\r\n", HELLO_REPLY MAIL_REPLY RCPT_REPLY DATA_REPLY QUEUED, " r@b\n", false },
        /* Limits. */
        { HELLO MAIL RCPT RCPT "RCPT TO:<defer@b>\r\n" RCPT RCPT RCPT "DATA\r\n.\r\n",
          HELLO_REPLY MAIL_REPLY RCPT_REPLY RCPT_REPLY "450 4.2.0 Later\r\n" RCPT_REPLY RCPT_REPLY "452 4.5.3 Too many recipients\r\n"
          DATA_REPLY QUEUED, "s@b r@b r@b r@b r@b\n", false },
        { HELLO "MAIL FROM:<s@b> SIZE=1001\r\n", HELLO_REPLY "552 5.3.4 Message is too large\r\n", "", false },
        { HELLO MAIL RCPT "DATA\r\n" X100 X100 X100 X100 X100 X100 X100 X100 X100 X100 ".\r\nRSET\r\n",
          HELLO_REPLY MAIL_REPLY RCPT_REPLY DATA_REPLY QUEUED "250 2.0.0 Ok\r\n",
          "s@b r@b\n" X100 X100 X100 X100 X100 X100 X100 X100 X100 X100, false },
        { HELLO MAIL RCPT "DATA\r\n" X100 X100 X100 X100 X100 X100 X100 X100 X100 X100 "x\r\n.\r\nRSET\r\n",
          HELLO_REPLY MAIL_REPLY RCPT_REPLY DATA_REPLY "552 5.3.4 Message is too large\r\n250 2.0.0 Ok\r\n", "", false },
        { "X\r\nX\r\nX\r\nX\r\nX\r\nX\r\nQUIT\r\n",
          "500 5.5.1 Command not recognized\r\n500 5.5.1 Command not recognized\r\n500 5.5.1 Command not recognized\r\n"
          "500 5.5.1 Command not recognized\r\n500 5.5.1 Command not recognized\r\n500 5.5.1 Command not recognized\r\n"
          "421 4.7.0 Too many errors\r\n", "", true },
        /* A CR or LF alone ends the session, wherever it is. */
        { "NOOP\nNOOP\r\n", BARE_LINE, "", true },
        { "NOOP\rNOOP\r\n", BARE_LINE, "", true },
        { "NOOP\r\r\n", BARE_LINE, "", true },
        { "\n", BARE_LINE, "", true },
        { HELLO MAIL RCPT "DATA\r\na\n.\r\n" MAIL, HELLO_REPLY MAIL_REPLY RCPT_REPLY DATA_REPLY BARE_REPLY, "", true },
        { HELLO MAIL RCPT "DATA\r\na\r\n.\n" MAIL, HELLO_REPLY MAIL_REPLY RCPT_REPLY DATA_REPLY BARE_REPLY, "", true },
        { HELLO MAIL RCPT "DATA\r\na\r.\r" MAIL, HELLO_REPLY MAIL_REPLY RCPT_REPLY DATA_REPLY BARE_REPLY, "", true },
        /* The rest. */
        { "VRFY a\r\nEXPN a\r\nNOOP x\r\nHELP\r\nDATA x\r\n",
          "252 2.5.0 Not verified; send mail to find out\r\n502 5.5.1 Command not implemented\r\n250 2.0.0 Ok\r\n"
          "214-2.0.0 Commands: HELO EHLO LHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT\r\n"
          "214 2.0.0 See RFC 5321, and postd-smtpd(8)\r\n501 5.5.4 Syntax error in the argument\r\n", "", false },
        { "HELO c\r\nMAIL FROM:<a@b> SIZE=1\r\n" MAIL, "250 mx.example\r\n555 5.5.4 Parameter not recognized\r\n" MAIL_REPLY, "", false },
};

static void run(const Case *c, const SmtpSessionOptions *options, size_t piece) {
        size_t n = strlen(c->in);
        Driver d;

        driver_init(&d, options);
        ASSERT_STREQ(d.session.output.data, options->lmtp ? "220 mx.example LMTP postd\r\n" : "220 mx.example ESMTP postd\r\n");
        buf_clear(&d.session.output);
        for (size_t i = 0; i < n && !d.closed; i += piece)
                driver_feed(&d, c->in + i, MIN(piece, n - i));
        ASSERT_STREQ(strempty(d.session.output.data), c->out);
        ASSERT_STREQ(strempty(d.messages.data), c->messages);
        ASSERT_EQ(d.closed, c->closed);
        driver_done(&d);
}

static void test_cases(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (size_t piece = 1; piece <= strlen(cases[i].in); piece += 1 + piece / 4)
                        run(&cases[i], &driver_options, piece);
}

static void test_lmtp(void) {
        SmtpSessionOptions options = driver_options;
        static const Case c = {
                "EHLO c\r\nLHLO c\r\n" MAIL RCPT "RCPT TO:<reject@b>\r\n" RCPT "DATA\r\nx\r\n.\r\n",
                "500 5.5.1 This is LMTP: LHLO is expected\r\n" HELLO_REPLY MAIL_REPLY RCPT_REPLY "550 5.1.1 No such user\r\n" RCPT_REPLY
                DATA_REPLY QUEUED QUEUED, "s@b r@b r@b\nx\r\n", false,
        };

        options.lmtp = true;
        run(&c, &options, SIZE_MAX / 2);
        run(&c, &options, 1);
}

/* A line that is too long, then one that is fine; and one with a fault far behind. */
static void test_long_lines(void) {
        for (size_t n = SMTP_COMMAND_LINE_MAX - 6; n < SMTP_COMMAND_LINE_MAX + 4; n++)
                for (size_t piece = 1; piece < 3 * n; piece = piece * 2 + 1) {
                        _cleanup_buf_ Buf b = BUF_INIT;
                        Driver d;

                        driver_init(&d, &driver_options);
                        buf_clear(&d.session.output);
                        ASSERT_OK(buf_append_str(&b, "NOOP "));
                        while (b.size < n)
                                ASSERT_OK(buf_append(&b, "x", 1));
                        ASSERT_OK(buf_append_str(&b, "\r\nNOOP\r\n"));
                        for (size_t i = 0; i < b.size; i += piece)
                                driver_feed(&d, b.data + i, MIN(piece, b.size - i));
                        ASSERT_STREQ(d.session.output.data, n + 2 <= SMTP_COMMAND_LINE_MAX ?
                                     "250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n" : "500 5.5.2 Line is too long\r\n250 2.0.0 Ok\r\n");
                        driver_done(&d);
                }
}

static void test_parameters(void) {
        Driver d;
        static const char in[] = HELLO "MAIL FROM:<s@b> SIZE=7 RET=FULL ENVID=e BODY=8BITMIME SMTPUTF8 "
                "XPOSTDTOKEN=0123456789abcdef0123456789abcdef XPOSTDORIGIN=12\r\n"
                "RCPT TO:<r\xc3\xbc@b> NOTIFY=NEVER ORCPT=rfc822;x\r\n";

        driver_init(&d, &driver_options);
        driver_feed(&d, in, strlen(in));
        const SmtpSession *s = &d.session;
        ASSERT_EQ(s->announced_size, 7U);
        ASSERT_STREQ(s->envelope.envid, "e");
        ASSERT_EQ(s->envelope.dsn_return, DSN_RETURN_FULL);
        ASSERT_EQ(s->envelope.body, BODY_8BITMIME);
        ASSERT_EQ(s->envelope.smtputf8, true);
        ASSERT_EQ(s->envelope.token.bytes[0], 0x01);
        ASSERT_EQ(s->origin_uid, 12U);
        ASSERT_STREQ(s->envelope.recipients[0].original_recipient, "rfc822;x");
        ASSERT_EQ(s->envelope.recipients[0].notify, (NotifyFlags) NOTIFY_NEVER);
        ASSERT_STREQ(smtp_session_protocol(s), "UTF8SMTP");
        ASSERT_EQ(smtp_session_idle(s), false);
        driver_feed(&d, "RSET\r\n", 6);
        ASSERT_EQ(smtp_session_idle(s), true);
        ASSERT_STREQ(smtp_session_protocol(s), "ESMTP");
        ASSERT_OK(smtp_session_abort(&d.session, 421, STATUS(4, 3, 2), "Going down"));
        driver_feed(&d, "NOOP\r\n", 6);
        ASSERT_EQ(d.closed, true);
        driver_done(&d);
}

int main(void) {
        test_cases();
        test_lmtp();
        test_long_lines();
        test_parameters();
        return EXIT_SUCCESS;
}
