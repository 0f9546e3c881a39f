/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests and fuzzers: a server around an SmtpSession whose decisions depend on nothing but the addresses, and which
 * writes everything that happened into one log. Recipients "reject…" and "defer…" are refused, as is everything from
 * a sender "refused…"; data is refused for "nodata…". */

#include <stdio.h>

#include "basic/test.h"
#include "smtp/session.h"

typedef struct Driver {
        SmtpSession session;
        Buf input;
        Buf content;
        Buf messages; /* sender, recipients, content of each message */
        bool closed;
} Driver;

static const SmtpSessionOptions driver_options = {
        .host_name = "mx.example",
        .mail_name = "example.org",
        .size_max = 1000,
        .recipients_max = 4,
        .errors_max = 6,
        .idle_commands_max = 12,
        .local = true,
        .origin = true,
};

static inline void driver_init(Driver *d, const SmtpSessionOptions *options) {
        *d = (Driver) {};
        ASSERT_OK(smtp_session_init(&d->session, options));
}

static inline void driver_done(Driver *d) {
        smtp_session_done(&d->session);
        buf_done(&d->input);
        buf_done(&d->content);
        buf_done(&d->messages);
}

static inline void driver_check(SmtpSession *s) {
        static const SmtpDecision refused = { 452, { 4, 3, 1 }, "No room" };
        Envelope *e = &s->envelope;
        size_t n = e->n_recipients - s->n_checked;
        SmtpDecision *d = new0(SmtpDecision, n + 1);

        ASSERT_TRUE(d);
        ASSERT_TRUE(s->mail_pending || n > 0);
        for (size_t i = 0; i < n; i++) {
                const char *a = e->recipients[s->n_checked + i].address;
                ASSERT_TRUE(address_valid(a, ADDRESS_UTF8) && address_domain(a));
                if (startswith(a, "reject"))
                        d[i] = (SmtpDecision) { 550, { 5, 1, 1 }, "No such user" };
                else if (startswith(a, "defer"))
                        d[i] = (SmtpDecision) { 450, { 4, 2, 0 }, "Later" };
                else
                        d[i] = (SmtpDecision) { 250, { 2, 1, 5 }, "Ok" };
        }
        ASSERT_OK(smtp_session_check_done(s, d, startswith(e->sender, "refused") ? &refused : NULL));
        free(d);
}

static inline void driver_message(Driver *d) {
        SmtpSession *s = &d->session;
        const SmtpDecision ok = { 250, { 2, 0, 0 }, "Queued" };
        Envelope *e = &s->envelope;

        ASSERT_TRUE(d->content.size <= s->options->size_max);
        ASSERT_TRUE(e->n_recipients > 0 && s->n_checked == e->n_recipients);
        ASSERT_OK(buf_appendf(&d->messages, "%s", e->sender));
        for (size_t i = 0; i < e->n_recipients; i++)
                ASSERT_OK(buf_appendf(&d->messages, " %s", e->recipients[i].address));
        ASSERT_OK(buf_append(&d->messages, "\n", 1));
        ASSERT_OK(buf_append(&d->messages, d->content.data ?: "", d->content.size));
        buf_clear(&d->content);
        ASSERT_OK(smtp_session_message_done(s, &ok));
}

static inline void driver_feed(Driver *d, const void *p, size_t n) {
        const SmtpDecision no_data = { 452, { 4, 3, 1 }, "No data" };

        ASSERT_OK(buf_append(&d->input, p, n));
        for (unsigned i = 0;; i++) {
                SmtpEvent event;
                size_t used = SIZE_MAX;

                ASSERT_TRUE(i < 100000);
                ASSERT_OK(smtp_session_process(&d->session, d->input.data ?: "", d->input.size, &used, &event));
                ASSERT_TRUE(used <= d->input.size);
                if (event == SMTP_EVENT_CONTENT)
                        ASSERT_OK(buf_append(&d->content, d->session.content, d->session.content_size));
                buf_consume(&d->input, used);
                switch (event) {
                case SMTP_EVENT_MORE:
                        ASSERT_TRUE(d->input.size <= SMTP_COMMAND_LINE_MAX);
                        return;
                case SMTP_EVENT_CLOSE:
                        d->closed = true;
                        buf_clear(&d->input);
                        return;
                case SMTP_EVENT_CHECK:
                        driver_check(&d->session);
                        break;
                case SMTP_EVENT_DATA:
                        buf_clear(&d->content);
                        ASSERT_OK(smtp_session_data_done(
                                &d->session, startswith(d->session.envelope.sender, "nodata") ? &no_data : NULL));
                        break;
                case SMTP_EVENT_DISCARD:
                        buf_clear(&d->content);
                        break;
                case SMTP_EVENT_MESSAGE:
                        driver_message(d);
                        break;
                default:
                        break;
                }
        }
}
