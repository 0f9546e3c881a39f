/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The input is what a server says, the first two octets choose kind and cutting. The client may never send anything
 * but its own commands, nor claim that a message was taken without a positive reply to the end of its data. */

#include "basic/test.h"
#include "smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t content_read(void *userdata, void *p, size_t n) {
        unsigned *left = userdata;

        if (*left == 0)
                return 0;
        (*left)--;
        n = MIN(n, (size_t) 6);
        memcpy(p, ".a\r\nb\n", n);
        return n;
}

static void drain(SmtpClient *c) {
        const void *p;
        size_t n;

        for (unsigned i = 0; i < 1000; i++) {
                ASSERT_OK(smtp_client_output(c, &p, &n));
                if (n == 0)
                        return;
                smtp_client_sent(c, MAX(n / 2, (size_t) 1));
        }
        abort();
}

static void act(SmtpClient *c, const Envelope *e, unsigned *left) {
        SmtpContent content = { content_read, left };

        if (smtp_client_state(c) == SMTP_CLIENT_DONE)
                for (size_t i = 0; i < e->n_recipients; i++)
                        assert(!smtp_reply_positive(smtp_client_recipient_reply(c, i)) || smtp_client_end_sent(c));
        if (IN_SET(smtp_client_state(c), SMTP_CLIENT_DONE, SMTP_CLIENT_READY)) {
                *left = 5;
                int r = smtp_client_submit(c, e, 3, &content);
                if (r != 0)
                        ASSERT_OK(smtp_client_quit(c));
        }
        drain(c);
        assert(smtp_client_timeout(c) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT;
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;
        unsigned left = 5;

        if (size < 2)
                return 0;
        ASSERT_OK(smtp_client_new(data[0] & 1 ? SMTP_CLIENT_LMTP : 0, "c.example", &c));
        size_t piece = data[1] % 64 + 1;
        e.sender = strdup("s@b");
        e.smtputf8 = data[0] & 2;
        ASSERT_OK(envelope_add_recipient(&e, "one@b", "rfc822;x", NOTIFY_NEVER));
        ASSERT_OK(envelope_add_recipient(&e, "two@b", NULL, 0));
        ASSERT_OK(envelope_add_recipient(&e, "three@b", NULL, 0));
        data += 2, size -= 2;

        act(c, &e, &left);
        for (size_t i = 0; i < size; i += piece) {
                ASSERT_OK(smtp_client_feed(c, data + i, MIN(piece, size - i)));
                act(c, &e, &left);
        }
        smtp_client_feed_eof(c);
        assert(smtp_client_state(c) == SMTP_CLIENT_CLOSED);
        return 0;
}
