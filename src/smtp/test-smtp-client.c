/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "smtp/client.h"
#include "smtp/test-session-driver.h"

typedef struct Source {
        const char *text;
        size_t offset;
        int error;
} Source;

static ssize_t source_read(void *userdata, void *p, size_t n) {
        Source *s = userdata;

        if (s->error)
                return s->error;
        n = MIN(n, MIN((size_t) 7, strlen(s->text + s->offset)));
        memcpy(p, s->text + s->offset, n);
        s->offset += n;
        return n;
}

/* What the client says now, as a string; at most n octets are taken as sent. */
static char *say(SmtpClient *c) {
        _cleanup_buf_ Buf b = BUF_INIT;
        const void *p;
        size_t n;

        for (;;) {
                ASSERT_OK(smtp_client_output(c, &p, &n));
                if (n == 0)
                        break;
                ASSERT_OK(buf_append(&b, p, n));
                smtp_client_sent(c, n);
        }
        return buf_take(&b, NULL);
}

static void says(SmtpClient *c, const char *expected) {
        _cleanup_free_ char *s = say(c);
        ASSERT_STREQ(s, expected);
}

static void hears(SmtpClient *c, const char *s) {
        ASSERT_OK(smtp_client_feed(c, s, strlen(s)));
}

static Envelope envelope_new(const char *sender, const char *const *recipients) {
        Envelope e = ENVELOPE_INIT;

        e.sender = strdup(sender);
        for (; *recipients; recipients++)
                ASSERT_OK(envelope_add_recipient(&e, *recipients, NULL, 0));
        return e;
}

static SmtpClient *open_client(SmtpClientFlags flags, const char *extensions) {
        SmtpClient *c = NULL;

        ASSERT_OK(smtp_client_new(flags, "c.example", &c));
        says(c, "");
        hears(c, "220-hello\r\n220 there\r\n");
        says(c, flags & SMTP_CLIENT_LMTP ? "LHLO c.example\r\n" : "EHLO c.example\r\n");
        hears(c, extensions);
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_READY);
        return c;
}

#define RECIPIENTS(...) ((const char *const[]) { __VA_ARGS__, NULL })

static void test_pipelining(void) {
        _cleanup_(envelope_done) Envelope e = envelope_new("s@b", RECIPIENTS("one@b", "two@b"));
        Source source = { .text = "Subject: x\n\n.dot" };
        SmtpContent content = { source_read, &source };
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;

        e.size = 20;
        e.body = BODY_8BITMIME;
        e.envid = strdup("id");
        e.dsn_return = DSN_RETURN_HEADERS;
        e.recipients[1].notify = NOTIFY_SUCCESS | NOTIFY_DELAY;
        e.recipients[1].original_recipient = strdup("rfc822;two@b");
        e.token = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);

        c = open_client(0, "250-mx\r\n250-pipelining\r\n250-SIZE 1000\r\n250-DSN\r\n250-8BITMIME\r\n250-XPOSTDTOKEN\r\n250 XPOSTDORIGIN\r\n");
        ASSERT_EQ(smtp_client_size_limit(c), 1000U);
        ASSERT_EQ(smtp_client_submit(c, &e, 1000, &content), 0);
        says(c, "MAIL FROM:<s@b> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=id XPOSTDTOKEN=0102030405060708090a0b0c0d0e0f10 "
                "XPOSTDORIGIN=1000\r\nRCPT TO:<one@b>\r\n"
                "RCPT TO:<two@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;two@b\r\nDATA\r\n");
        hears(c, "250 ok\r\n550 5.1.1 no\r\n25");
        hears(c, "0 ok\r\n354 go\r\n");
        ASSERT_EQ(smtp_client_end_sent(c), false);
        says(c, "Subject: x\r\n\r\n..dot\r\n.\r\n");
        ASSERT_EQ(smtp_client_end_sent(c), true);
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_SENDING);
        hears(c, "250 2.0.0 queued\r\n");
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_DONE);
        ASSERT_EQ(smtp_client_recipient_reply(c, 0)->code, 550U);
        ASSERT_EQ(smtp_client_recipient_reply(c, 1)->code, 250U);
        ASSERT_STREQ(smtp_client_reply(c)->text, "queued");

        /* A second one in the session, of which nothing is taken; then a third. */
        source.offset = 0;
        e.token = SD_ID128_NULL;
        e.recipients[1].original_recipient = mfree(e.recipients[1].original_recipient);
        ASSERT_EQ(smtp_client_submit(c, &e, UID_UNKNOWN, &content), 0);
        says(c, "MAIL FROM:<s@b> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=id\r\nRCPT TO:<one@b>\r\n"
                "RCPT TO:<two@b> NOTIFY=SUCCESS,DELAY\r\nDATA\r\n");
        hears(c, "250 ok\r\n450 later\r\n550 no\r\n554 none\r\n");
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_DONE);
        ASSERT_EQ(smtp_client_reply(c)->code, 450U);
        ASSERT_EQ(smtp_client_recipient_reply(c, 1)->code, 550U);
        ASSERT_EQ(smtp_client_end_sent(c), false);
        ASSERT_EQ(smtp_client_submit(c, &e, UID_UNKNOWN, &content), 0);
        _cleanup_free_ char *s = say(c);
        ASSERT_TRUE(startswith(s, "RSET\r\nMAIL FROM:<s@b>"));
        hears(c, "250 ok\r\n250 ok\r\n450 later\r\n550 no\r\n354 what\r\n");
        says(c, ".\r\n");
        hears(c, "250 strange\r\n");
        ASSERT_EQ(smtp_client_reply(c)->code, 450U);

        ASSERT_OK(smtp_client_quit(c));
        says(c, "QUIT\r\n");
        hears(c, "221 bye\r\n");
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_CLOSED);
}

static void test_one_by_one(void) {
        _cleanup_(envelope_done) Envelope e = envelope_new("", RECIPIENTS("one@b", "two@b"));
        Source source = { .text = "" };
        SmtpContent content = { source_read, &source };
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;

        ASSERT_OK(smtp_client_new(0, "[192.0.2.1]", &c));
        hears(c, "220 old\r\n");
        says(c, "EHLO [192.0.2.1]\r\n");
        hears(c, "502 what\r\n");
        says(c, "HELO [192.0.2.1]\r\n");
        hears(c, "250 mx\r\n");
        ASSERT_EQ(smtp_client_capabilities(c), (SmtpCapabilities) 0);
        ASSERT_EQ(smtp_client_submit(c, &e, 7, &content), 0);
        says(c, "MAIL FROM:<>\r\n");
        hears(c, "250 ok\r\n");
        says(c, "RCPT TO:<one@b>\r\n");
        hears(c, "250 ok\r\n");
        says(c, "RCPT TO:<two@b>\r\n");
        hears(c, "452 many\r\n");
        says(c, "DATA\r\n");
        hears(c, "354 ok\r\n");
        says(c, ".\r\n");
        hears(c, "250 ok\r\n");
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_DONE);

        /* MAIL is refused: nothing else is said. */
        ASSERT_EQ(smtp_client_submit(c, &e, 7, &content), 0);
        says(c, "MAIL FROM:<>\r\n");
        hears(c, "452 4.3.1 full\r\n");
        says(c, "");
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_DONE);
        ASSERT_EQ(smtp_client_recipient_reply(c, 1)->code, 452U);
        ASSERT_EQ(smtp_client_reply(c)->status.detail, 1);
}

static void test_lost(void) {
        _cleanup_(envelope_done) Envelope e = envelope_new("s@b", RECIPIENTS("one@b", "two@b"));
        static const struct {
                const char *in;  /* after the commands; "" is the end of the connection */
                bool end_sent;
                unsigned code, first, second;
        } table[] = {
                { "", false, 0, 0, 0 },
                { "421 down\r\n", false, 421, 421, 421 },
                { "250 ok\r\n550 no\r\n421 4.3.2 down\r\n", false, 421, 550, 421 },
                { "hello\r\n", false, 0, 0, 0 },
                { "250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n", true, 0, 550, 0 },
                { "250 ok\r\n250 ok\r\n250 ok\r\n250 what\r\n", false, 0, 0, 0 },
                { "250 ok\r\n250 ok\r\n250 ok\r\n451 no\r\n", false, 451, 451, 451 },
                { "550 no\r\n503 no\r\n503 no\r\n", false, 550, 550, 550 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Source source = { .text = "x\n" };
                SmtpContent content = { source_read, &source };
                _cleanup_(smtp_client_freep) SmtpClient *c = open_client(0, "250-mx\r\n250 PIPELINING\r\n");

                ASSERT_EQ(smtp_client_submit(c, &e, UID_UNKNOWN, &content), 0);
                _cleanup_free_ char *s = say(c);
                hears(c, table[i].in);
                _cleanup_free_ char *t = say(c);
                smtp_client_feed_eof(c);
                ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_CLOSED);
                ASSERT_EQ(smtp_client_end_sent(c), table[i].end_sent);
                ASSERT_EQ(smtp_client_reply(c)->code, table[i].code);
                ASSERT_EQ(smtp_client_recipient_reply(c, 0)->code, table[i].first);
                ASSERT_EQ(smtp_client_recipient_reply(c, 1)->code, table[i].second);
        }

        /* Refused at the door. */
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;
        ASSERT_OK(smtp_client_new(0, "c", &c));
        hears(c, "554 5.7.1 go away\r\n");
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_CLOSED);
        ASSERT_STREQ(smtp_client_reply(c)->text, "go away");
        says(c, "");

        /* A reply before there was a question. */
        c = smtp_client_free(c);
        ASSERT_OK(smtp_client_new(0, "c", &c));
        hears(c, "220 hi\r\n250 early\r\n");
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_CLOSED);
}

static void test_source_fails(void) {
        _cleanup_(envelope_done) Envelope e = envelope_new("s@b", RECIPIENTS("one@b"));
        _cleanup_(smtp_client_freep) SmtpClient *c = open_client(0, "250-mx\r\n250 PIPELINING\r\n");
        Source source = { .error = -EIO };
        SmtpContent content = { source_read, &source };
        const void *p;
        size_t n;

        ASSERT_EQ(smtp_client_submit(c, &e, UID_UNKNOWN, &content), 0);
        _cleanup_free_ char *s = say(c);
        hears(c, "250 ok\r\n250 ok\r\n354 go\r\n");
        ASSERT_ERROR(smtp_client_output(c, &p, &n), EIO);
        ASSERT_EQ(smtp_client_end_sent(c), false);
}

static void test_refused_envelopes(void) {
        static const struct {
                const char *sender, *recipient, *extensions;
                bool utf8;
                uint64_t size;
                int result;
        } table[] = {
                { "s@b", "r@b\r\nDATA", "250 mx\r\n", false, 0, SMTP_CLIENT_E_ADDRESS },
                { "s@b> SIZE=1", "r@b", "250 mx\r\n", false, 0, SMTP_CLIENT_E_ADDRESS },
                { "s@b", "", "250 mx\r\n", false, 0, SMTP_CLIENT_E_ADDRESS },
                { "s", "r@b", "250 mx\r\n", false, 0, SMTP_CLIENT_E_ADDRESS },
                { "s", "r", "250-mx\r\n250 XPOSTDTOKEN\r\n", false, 0, 0 },
                { "s@b", "\xc3\xbc@b", "250-mx\r\n250 SMTPUTF8\r\n", false, 0, SMTP_CLIENT_E_ADDRESS },
                { "s@b", "\xc3\xbc@b", "250-mx\r\n250 SMTPUTF8\r\n", true, 0, 0 },
                { "s@b", "\xc3\xbc@b", "250 mx\r\n", true, 0, SMTP_CLIENT_E_UTF8 },
                { "s@b", "r@b", "250-mx\r\n250 SIZE 10\r\n", false, 11, SMTP_CLIENT_E_SIZE },
                { "s@b", "r@b", "250-mx\r\n250 SIZE 0\r\n", false, 11, 0 },
                { "s@b", "r@b", "250-mx\r\n250 SIZE\r\n", false, 11, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(envelope_done) Envelope e = envelope_new(table[i].sender, RECIPIENTS(table[i].recipient));
                _cleanup_(smtp_client_freep) SmtpClient *c = open_client(0, table[i].extensions);
                SmtpContent content = { source_read, NULL };

                e.smtputf8 = table[i].utf8;
                e.size = table[i].size;
                int r = smtp_client_submit(c, &e, UID_UNKNOWN, &content);
                if (r != table[i].result)
                        _TEST_FAIL("case %zu: %d", i, r);
                if (r != 0)
                        says(c, "");
        }

        SmtpClient *c;
        ASSERT_ERROR(smtp_client_new(0, "a b", &c), EINVAL);
        ASSERT_ERROR(smtp_client_new(0, "", &c), EINVAL);
}

/* Against our own server, both ways of it. */
static void test_against_session(bool lmtp) {
        _cleanup_(envelope_done) Envelope e = envelope_new("s@b", RECIPIENTS("one", "reject@b", "\"t w\"@b", "defer@b"));
        Source source = { .text = "A: b\n\n.\nx\r\n..y" };
        SmtpContent content = { source_read, &source };
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;
        SmtpSessionOptions options = driver_options;
        Driver d;

        options.lmtp = lmtp;
        driver_init(&d, &options);
        ASSERT_OK(smtp_client_new(lmtp ? SMTP_CLIENT_LMTP : 0, "c", &c));
        for (unsigned i = 0; smtp_client_state(c) != SMTP_CLIENT_CLOSED && i < 1000; i++) {
                if (smtp_client_state(c) == SMTP_CLIENT_READY)
                        ASSERT_EQ(smtp_client_submit(c, &e, 5, &content), 0);
                if (smtp_client_state(c) == SMTP_CLIENT_DONE) {
                        ASSERT_EQ(smtp_client_reply(c)->code, 250U);
                        ASSERT_OK(smtp_client_quit(c));
                }
                _cleanup_free_ char *s = say(c);
                driver_feed(&d, s, strlen(s));
                ASSERT_OK(smtp_client_feed(c, d.session.output.data, d.session.output.size));
                buf_clear(&d.session.output);
        }
        ASSERT_EQ(smtp_client_state(c), SMTP_CLIENT_CLOSED);
        ASSERT_EQ(smtp_client_recipient_reply(c, 0)->code, 250U);
        ASSERT_EQ(smtp_client_recipient_reply(c, 1)->code, 550U);
        ASSERT_EQ(smtp_client_recipient_reply(c, 2)->code, 250U);
        ASSERT_EQ(smtp_client_recipient_reply(c, 3)->code, 450U);
        ASSERT_STREQ(d.messages.data, "s@b one@example.org \"t w\"@b\nA: b\r\n\r\n.\r\nx\r\n..y\r\n");
        driver_done(&d);
}

int main(void) {
        test_pipelining();
        test_one_by_one();
        test_lost();
        test_source_fails();
        test_refused_envelopes();
        test_against_session(false);
        test_against_session(true);
        return EXIT_SUCCESS;
}
