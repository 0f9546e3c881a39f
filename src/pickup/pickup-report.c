/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/fd.h"
#include "message/dsn.h"
#include "message/fixup.h"
#include "pickup/pickup-report.h"

#define HEADER_MAX ((size_t) 64 * 1024)

void pickup_report_done(PickupReport *r) {
        envelope_done(&r->envelope);
        r->fd = safe_close(r->fd);
}

/* The header of the message with CRLF line ends, in a memfd. */
static int copy_header(const PickupFile *f, int *ret_fd, size_t *ret_size) {
        const MessageFixup as_it_is = { .flags = HEADER_BARE_LF };
        _cleanup_free_ char *data = malloc(HEADER_MAX);
        _cleanup_buf_ Buf header = BUF_INIT;
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!data)
                return -ENOMEM;
        ssize_t n = pread_full(f->fd, data, MIN(f->envelope.size, (uint64_t) HEADER_MAX), f->offset);
        if (n < 0)
                return n;
        r = message_fixup(data, n, &as_it_is, &header);
        if (r < 0)
                return r;
        fd = memfd_new("header");
        if (fd < 0)
                return fd;
        r = write_full(fd, header.data, header.size);
        if (r < 0)
                return r;
        *ret_fd = TAKE_FD(fd);
        *ret_size = header.size;
        return 0;
}

/* Those that were refused; *ret_n may be fewer than there are recipients. */
static DsnRecipient *refused_recipients(const PickupSession *s, const PickupFile *f, usec_t now, size_t *ret_n) {
        const Envelope *e = &f->envelope;
        DsnRecipient *l = new0(DsnRecipient, e->n_recipients);
        size_t n = 0;

        for (size_t i = 0; l && i < e->n_recipients; i++) {
                static const SmtpReply here = { .code = 554, .status = STATUS(5, 6, 0) };
                const SmtpReply *reply = s->refusal ? &here : smtp_client_recipient_reply(s->client, i);

                if (smtp_reply_permanent(reply))
                        l[n++] = (DsnRecipient) {
                                .final_recipient = e->recipients[i].address,
                                .action = DSN_ACTION_FAILED,
                                .status = reply->status,
                                .diagnostic = s->refusal ?: reply->text,
                                .last_attempt = now,
                        };
        }
        *ret_n = n;
        return l;
}

static int write_report(const Config *config, const PickupSession *s, const PickupFile *f, Buf *ret) {
        usec_t now = now_usec(CLOCK_REALTIME);
        _cleanup_free_ DsnRecipient *recipients = NULL;
        _cleanup_close_ int header = -EBADF;
        size_t header_size = 0;
        char message_id[512];
        QueueId id;
        int r;

        /* The message never had a queue id. */
        r = queue_id_new(f->envelope.arrival, &id);
        if (r < 0)
                return r;
        (void) snprintf(message_id, sizeof(message_id), "%s.dsn@%s", id.s, config->host_name);

        DsnReport dsn = {
                .host_name = config->host_name,
                .sender = f->envelope.sender,
                .message_id = message_id,
                .queue_id = &id,
                .now = now,
                .arrival = f->envelope.arrival,
                .envid = f->envelope.envid,
                .smtputf8 = f->envelope.smtputf8,
        };
        recipients = refused_recipients(s, f, now, &dsn.n_recipients);
        if (!recipients)
                return -ENOMEM;
        dsn.recipients = recipients;
        r = copy_header(f, &header, &header_size);
        if (r < 0)
                return r;
        return dsn_format(&dsn, header, header_size, false, ret);
}

int pickup_report_compose(const Config *config, const PickupSession *s, const PickupFile *f, PickupReport *ret) {
        _cleanup_(pickup_report_done) PickupReport report = PICKUP_REPORT_INIT;
        _cleanup_buf_ Buf text = BUF_INIT;
        int r, flags;

        if (isempty(f->envelope.sender) || (f->envelope.recipients[0].notify & NOTIFY_NEVER))
                return 1;
        flags = write_report(config, s, f, &text);
        if (flags < 0)
                return flags;

        report.envelope.token = f->envelope.token;
        report.envelope.token.bytes[15] ^= 1;
        report.envelope.size = text.size;
        report.envelope.body = flags & DSN_FORMAT_8BIT ? BODY_8BITMIME : BODY_7BIT;
        report.envelope.smtputf8 = flags & DSN_FORMAT_SMTPUTF8;
        report.envelope.sender = strdup("");
        if (!report.envelope.sender)
                return -ENOMEM;
        r = envelope_add_recipient(&report.envelope, f->envelope.sender, NULL, NOTIFY_NEVER);
        if (r < 0)
                return r;
        report.fd = memfd_new("report");
        if (report.fd < 0)
                return report.fd;
        r = write_full(report.fd, text.data, text.size);
        if (r < 0)
                return r;
        *ret = report;
        report = PICKUP_REPORT_INIT;
        return 0;
}
