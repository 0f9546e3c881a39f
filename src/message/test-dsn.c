/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/fd.h"
#include "basic/test.h"
#include "basic/text.h"
#include "message/dsn.h"

static const QueueId id = { "0123456789abcdef" };

/* Formats with this content; the boundary becomes "B" so that the result can be compared. */
static int format(const DsnReport *r, const char *content, size_t size, bool full, char **ret) {
        _cleanup_close_ int fd = ASSERT_OK(memfd_new("content"));
        Buf b = BUF_INIT;

        ASSERT_OK(write_full(fd, content, size));
        int flags = ASSERT_OK(dsn_format(r, fd, size, full, &b));

        char *p = strstr(b.data, "boundary=\"");
        ASSERT_TRUE(p);
        _cleanup_free_ char *boundary = strndup(p + strlen("boundary=\""), 32);
        ASSERT_TRUE(!memmem(content, size, boundary, 32));
        _cleanup_buf_ Buf out = BUF_INIT;
        for (char *from = b.data;;) {
                char *found = strstr(from, boundary);
                if (!found) {
                        ASSERT_OK(buf_append_str(&out, from));
                        break;
                }
                ASSERT_OK(buf_append(&out, from, found - from));
                ASSERT_OK(buf_append_str(&out, "B"));
                from = found + 32;
        }
        /* Every line end is CRLF, no line is too long. */
        for (size_t i = 0; i < b.size; i++) {
                if (b.data[i] == '\n')
                        ASSERT_TRUE(i > 0 && b.data[i - 1] == '\r');
                if (b.data[i] == '\r')
                        ASSERT_TRUE(b.data[i + 1] == '\n');
        }
        buf_done(&b);
        *ret = buf_take(&out, NULL);
        return flags;
}

static void test_failed(void) {
        static const DsnRecipient recipients[] = {
                { .original_recipient = "rfc822;Joe+2Bx@example.net", .final_recipient = "joe@example.org", .action = DSN_ACTION_FAILED,
                  .status = STATUS(5, 1, 1), .remote_host = "mx.example.org", .diagnostic = "550-5.1.1 no\r\n550 5.1.1 such user",
                  .last_attempt = 120 * USEC_PER_SEC },
                { .final_recipient = "late@example.org", .action = DSN_ACTION_DELAYED, .will_retry_until = 86400 * USEC_PER_SEC },
        };
        DsnReport r = {
                .host_name = "host.example.com",
                .sender = "sender@example.com",
                .message_id = "id@host.example.com",
                .queue_id = &id,
                .now = 180 * USEC_PER_SEC,
                .arrival = 60 * USEC_PER_SEC,
                .envid = "QQ+2B314",
                .recipients = recipients,
                .n_recipients = ELEMENTSOF(recipients),
        };
        _cleanup_free_ char *s = NULL, *t = NULL;
        static const char content[] = "Subject: x\r\n\r\nbody\r\n";

        ASSERT_EQ(format(&r, content, strlen(content), true, &s), 0);
        ASSERT_STREQ(s,
                     "From: Mail Delivery System <MAILER-DAEMON@host.example.com>\r\n"
                     "To: <sender@example.com>\r\n"
                     "Subject: Undelivered mail returned to sender\r\n"
                     "Date: Thu, 01 Jan 1970 00:03:00 +0000\r\n"
                     "Message-ID: <id@host.example.com>\r\n"
                     "Auto-Submitted: auto-replied\r\n"
                     "MIME-Version: 1.0\r\n"
                     "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                     "\tboundary=\"B\"\r\n"
                     "\r\n"
                     "This is a delivery report in MIME format (RFC 3464).\r\n"
                     "\r\n--B\r\n"
                     "Content-Type: text/plain; charset=us-ascii\r\n"
                     "\r\n"
                     "This is the mail system at host.example.com.\r\n"
                     "\r\n"
                     "Your message could not be delivered to the following recipients, and it will not\r\n"
                     "be tried again:\r\n"
                     "\r\n"
                     "  <joe@example.org>\r\n"
                     "    mx.example.org said: 550-5.1.1 no  550 5.1.1 such user\r\n"
                     "\r\n"
                     "Your message could not be delivered to the following recipients yet. It is still\r\n"
                     "being tried; you need not send it again:\r\n"
                     "\r\n"
                     "  <late@example.org>\r\n"
                     "\r\n"
                     "Attached are the details for programs and your message. Its queue id was 0123456789abcdef.\r\n"
                     "\r\n--B\r\n"
                     "Content-Type: message/delivery-status\r\n"
                     "\r\n"
                     "Reporting-MTA: dns; host.example.com\r\n"
                     "Original-Envelope-Id: QQ+314\r\n"
                     "X-Postd-Queue-Id: 0123456789abcdef\r\n"
                     "Arrival-Date: Thu, 01 Jan 1970 00:01:00 +0000\r\n"
                     "\r\n"
                     "Original-Recipient: rfc822; Joe+x@example.net\r\n"
                     "Final-Recipient: rfc822; joe@example.org\r\n"
                     "Action: failed\r\n"
                     "Status: 5.1.1\r\n"
                     "Remote-MTA: dns; mx.example.org\r\n"
                     "Diagnostic-Code: smtp; 550-5.1.1 no  550 5.1.1 such user\r\n"
                     "Last-Attempt-Date: Thu, 01 Jan 1970 00:02:00 +0000\r\n"
                     "\r\n"
                     "Final-Recipient: rfc822; late@example.org\r\n"
                     "Action: delayed\r\n"
                     "Status: 4.0.0\r\n"
                     "Will-Retry-Until: Fri, 02 Jan 1970 00:00:00 +0000\r\n"
                     "\r\n--B\r\n"
                     "Content-Type: message/rfc822\r\n"
                     "\r\n"
                     "Subject: x\r\n\r\nbody\r\n"
                     "\r\n--B--\r\n");

        ASSERT_EQ(format(&r, content, strlen(content), false, &t), 0);
        ASSERT_TRUE(strstr(t, "Content-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n\r\n\r\n--B--\r\n"));
        ASSERT_TRUE(!strstr(t, "body"));
}

static DsnReport report(const DsnRecipient *recipient) {
        return (DsnReport) { .host_name = "h", .sender = "s@x", .message_id = "i@h", .queue_id = &id, .recipients = recipient, .n_recipients = 1 };
}

static void test_hostile(void) {
        char diagnostic[2000];
        DsnRecipient p = { .original_recipient = "rfc822;a+0D+0AAction: delivered+00", .final_recipient = "b@c\r\nX-Forged: yes",
                           .action = DSN_ACTION_FAILED, .remote_host = "h\r\n\r\n--B", .diagnostic = diagnostic };
        DsnReport r = report(&p);
        _cleanup_free_ char *s = NULL, *t = NULL, *u = NULL;

        memset(diagnostic, 'x', sizeof(diagnostic) - 1);
        diagnostic[sizeof(diagnostic) - 1] = 0;
        memcpy(diagnostic, "550 \x1b[1m\r\n\r\nStatus: 2.0.0", 24);
        r.envid = "a\r\nb";
        r.sender = "s>\r\nBcc: x@y";

        /* NUL and lone line ends would not survive: only the header, cleaned. */
        static const char content[] = "Subject: a\0b\nc\rd\r\nX: \xff\r\n\r\nbody";
        ASSERT_EQ(format(&r, content, sizeof(content) - 1, true, &s), (int) DSN_FORMAT_8BIT);
        ASSERT_TRUE(!strstr(s, "\nX-Forged") && !strstr(s, "\nStatus: 2.0.0") && !strstr(s, "\nAction: delivered") && !strstr(s, "\nBcc"));
        ASSERT_TRUE(strstr(s, "\r\nStatus: 5.0.0\r\n"));
        ASSERT_TRUE(strstr(s, "text/rfc822-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: a?b?c?d\r\nX: \xff\r\n\r\n\r\n--B--"));
        ASSERT_TRUE(strstr(s, "xxx...\r\n"));
        ASSERT_TRUE(!strstr(s, "\x1b"));

        /* A header without end is cut at a line. */
        size_t size = 400 * 1024;
        _cleanup_free_ char *big = malloc(size);
        for (size_t i = 0; i < size; i++)
                big[i] = "X-Field: value\r\n"[i % 16];
        ASSERT_EQ(format(&r, big, size, false, &t), 0);
        ASSERT_TRUE(strlen(t) < (size_t) 80 * 1024);
        ASSERT_TRUE(strstr(t, "value\r\n\r\n--B--\r\n"));

        /* No content at all. */
        ASSERT_EQ(format(&r, "", 0, true, &u), 0);
}

static void test_global(void) {
        DsnRecipient p = { .original_recipient = "utf-8;j+C3+B6rg@example.org", .final_recipient = "j\xc3\xb6rg@example.org", .action = DSN_ACTION_FAILED };
        DsnReport r = report(&p);
        _cleanup_free_ char *s = NULL, *t = NULL, *u = NULL;

        r.smtputf8 = true;
        ASSERT_EQ(format(&r, "A: b\r\n\r\n", 8, true, &s), (int) (DSN_FORMAT_8BIT | DSN_FORMAT_SMTPUTF8));
        ASSERT_TRUE(strstr(s, "message/global-delivery-status"));
        ASSERT_TRUE(strstr(s, "Final-Recipient: utf-8; j\xc3\xb6rg@example.org\r\n"));
        ASSERT_TRUE(strstr(s, "Content-Type: message/global\r\n"));
        /* Without SMTPUTF8 nothing but ASCII may stand there. */
        r.smtputf8 = false;
        ASSERT_EQ(format(&r, "A: b\r\n\r\n", 8, true, &t), 0);
        ASSERT_TRUE(ascii_valid(t, strlen(t)));
        /* SMTPUTF8 that needs nothing stays plain. */
        p = (DsnRecipient) { .final_recipient = "a@b", .action = DSN_ACTION_RELAYED };
        r.smtputf8 = true;
        ASSERT_EQ(format(&r, "A: b\r\n\r\n\xff\r\n", 11, true, &u), (int) DSN_FORMAT_8BIT);
        ASSERT_TRUE(strstr(u, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n"));
        ASSERT_TRUE(strstr(u, "Action: relayed\r\nStatus: 2.0.0\r\n"));
}

int main(void) {
        setenv("TZ", "UTC", 1);
        test_failed();
        test_hostile();
        test_global();
        ASSERT_STREQ(dsn_action_to_string(DSN_ACTION_EXPANDED), "expanded");
        ASSERT_STREQ(dsn_action_to_string(_DSN_ACTION_INVALID), NULL);
        return 0;
}
