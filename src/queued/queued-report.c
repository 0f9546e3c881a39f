/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One connection at a time, one report after another: there are few. A report that "inject" refuses for good is given up
 * with an error in the log, for nobody else can be told; anything else is tried again later. */

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "ipc/names.h"
#include "message/dsn.h"
#include "queued/queued-event.h"
#include "queued/queued-report.h"
#include "queued/queued-settle.h"
#include "smtp/client.h"

#define PENDING_MAX 10000U

typedef struct Report {
        struct Report *next;
        Message *message;
        Envelope envelope;
        Buf text;
        size_t offset;
        const char *kind;
} Report;

struct Reports {
        Manager *manager;
        Report *queue, **last;
        size_t n;
        Report *current;
        int fd;
        sd_event_source *io, *timer;
        SmtpClient *client;
};

static void next(Reports *rs);

static Report *report_free(Report *r) {
        if (!r)
                return NULL;
        envelope_done(&r->envelope);
        buf_done(&r->text);
        return mfree(r);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(Report *, report_free);

static void disconnect(Reports *rs) {
        rs->io = sd_event_source_disable_unref(rs->io);
        rs->timer = sd_event_source_disable_unref(rs->timer);
        rs->client = smtp_client_free(rs->client);
        rs->fd = safe_close(rs->fd);
}

/* The current report has its result. */
static void finish(Reports *rs, int r) {
        Report *report = TAKE_PTR(rs->current);

        disconnect(rs);
        if (!report)
                return;
        rs->n--;
        if (r >= 0)
                event_report(rs->manager, report->message, report->envelope.recipients[0].address, report->kind);
        settle_reported(rs->manager, report->message, r);
        report_free(report);
        next(rs);
}

static ssize_t read_text(void *userdata, void *p, size_t n) {
        Report *r = userdata;

        n = MIN(n, r->text.size - r->offset);
        memcpy(p, r->text.data + r->offset, n);
        r->offset += n;
        return n;
}

static int conclude(Reports *rs) {
        const SmtpReply *reply = smtp_client_reply(rs->client);

        if (reply->code / 100 == 2)
                return 0;
        if (reply->code / 100 == 5) {
                log_error("A report about message %s to %s was refused and is given up: %u %s", rs->current->message->id.s,
                          rs->current->envelope.recipients[0].address, reply->code, reply->text);
                return 0;
        }
        return log_warning_errno(EAGAIN, "A report about message %s could not be queued, trying again: %u %s",
                                 rs->current->message->id.s, reply->code, reply->text);
}

static int flush_output(Reports *rs) {
        for (;;) {
                const void *p;
                size_t n;
                int r = smtp_client_output(rs->client, &p, &n);

                if (r < 0)
                        return r;
                if (n == 0)
                        break;
                ssize_t k = send(rs->fd, p, n, MSG_NOSIGNAL);
                if (k < 0) {
                        if (errno == EAGAIN)
                                return sd_event_source_set_io_events(rs->io, EPOLLIN | EPOLLOUT);
                        return negative_errno();
                }
                smtp_client_sent(rs->client, k);
        }
        return sd_event_source_set_io_events(rs->io, EPOLLIN);
}

static int step(Reports *rs) {
        int r;

        switch (smtp_client_state(rs->client)) {
        case SMTP_CLIENT_READY:
                r = smtp_client_submit(rs->client, &rs->current->envelope, UID_UNKNOWN,
                                       &(SmtpContent) { .read = read_text, .userdata = rs->current });
                if (r != 0)
                        return log_error_errno(r < 0 ? r : EINVAL, "Cannot send a report about message %s: %m", rs->current->message->id.s);
                break;
        case SMTP_CLIENT_DONE:
        case SMTP_CLIENT_CLOSED:
                r = conclude(rs);
                finish(rs, r);
                return 1;
        default:
                break;
        }
        return flush_output(rs);
}

static int on_io(sd_event_source *s _unused_, int fd, uint32_t revents, void *userdata) {
        Reports *rs = userdata;
        char buffer[4096];
        int r = 0;

        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
                if (n > 0)
                        r = smtp_client_feed(rs->client, buffer, n);
                else if (n == 0 || errno != EAGAIN)
                        smtp_client_feed_eof(rs->client);
        }
        if (r >= 0)
                r = step(rs);
        if (r < 0)
                finish(rs, r);
        return 0;
}

static int on_timeout(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        finish(userdata, log_warning_errno(ETIMEDOUT, "The listener inject does not answer, trying again: %m"));
        return 0;
}

static int connect_inject(Reports *rs) {
        static const union {
                struct sockaddr_un un;
                struct sockaddr sa;
        } address = { .un = { .sun_family = AF_UNIX, .sun_path = POSTD_INJECT_SOCKET } };
        int r;

        rs->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (rs->fd < 0)
                return negative_errno();
        if (connect(rs->fd, &address.sa, sizeof(address.un)) < 0)
                return negative_errno();
        r = smtp_client_new(0, rs->manager->config->host_name, &rs->client);
        if (r < 0)
                return r;
        r = sd_event_add_io(rs->manager->event, &rs->io, rs->fd, EPOLLIN, on_io, rs);
        if (r < 0)
                return r;
        return sd_event_add_time_relative(rs->manager->event, &rs->timer, CLOCK_BOOTTIME, 5 * USEC_PER_MINUTE, USEC_PER_SEC, on_timeout, rs);
}

static void next(Reports *rs) {
        while (!rs->current && rs->queue) {
                int r;

                rs->current = rs->queue;
                rs->queue = TAKE_PTR(rs->current->next);
                if (!rs->queue)
                        rs->last = &rs->queue;
                r = connect_inject(rs);
                if (r < 0) {
                        log_warning_errno(r, "Cannot reach the listener inject for a report, trying again: %m");
                        finish(rs, r);
                }
        }
}

static DsnAction action_for(const Outcome *o) {
        return o->report == DSN_DELAYED ? DSN_ACTION_DELAYED : o->report == DSN_SUCCESS ? DSN_ACTION_DELIVERED : DSN_ACTION_FAILED;
}

/* The address that the sender knows: that of the envelope's recipient from which this one was expanded. */
static const char *original_recipient(const QueuedMessage *q, const Recipient *r) {
        uint32_t i = r->index;

        for (unsigned depth = 0; depth < 100 && i < q->n_recipients && q->recipients[i].parent != RECIPIENT_NONE; depth++)
                i = q->recipients[i].parent;
        return i < q->n_recipients ? q->recipients[i].original_recipient : NULL;
}

static int report_compose(Manager *manager, Message *m, Report *report) {
        const QueuedMessage *q = m->open;
        const Envelope *e = &q->envelope;
        _cleanup_free_ DsnRecipient *recipients = NULL;
        const char *to = e->sender;
        RetryClock clock = manager_clock();
        QueueId id;
        char message_id[300];
        size_t n = 0;
        int r;

        recipients = new0(DsnRecipient, m->n_recipients);
        if (!recipients)
                return -ENOMEM;
        for (const Recipient *i = m->recipients; i; i = i->next) {
                const Outcome *o = i->outcome;

                if (!o || !o->reporting)
                        continue;
                to = i->sender ?: to;
                report->kind = o->report == DSN_DELAYED ? "delay" : o->report == DSN_SUCCESS ? "success" : "failure";
                recipients[n++] = (DsnRecipient) {
                        .original_recipient = original_recipient(q, i),
                        .final_recipient = i->address,
                        .action = action_for(o),
                        .status = o->state == RECIPIENT_EXPIRED ? STATUS(5, 4, 7) : o->status,
                        .remote_host = o->remote_host,
                        /* Where a mailbox is, is nobody else's business. */
                        .diagnostic = o->state == RECIPIENT_DELIVERED && !o->remote_host ? NULL : o->text,
                        .last_attempt = o->attempted,
                        .will_retry_until = o->report == DSN_DELAYED ? clock.realtime + usec_sub(manager->config->expire_after, o->age) : 0,
                };
        }
        if (n == 0)
                return -ENOENT;
        r = queue_id_new(clock.realtime, &id);
        if (r < 0)
                return r;
        (void) snprintf(message_id, sizeof(message_id), "%s.dsn@%s", id.s, manager->config->host_name);

        DsnReport dsn = {
                .host_name = manager->config->host_name,
                .sender = to,
                .message_id = message_id,
                .queue_id = &m->id,
                .now = clock.realtime,
                .arrival = e->arrival,
                .envid = e->envid,
                .smtputf8 = e->smtputf8,
                .recipients = recipients,
                .n_recipients = n,
        };
        bool full = e->dsn_return != DSN_RETURN_HEADERS && m->size <= manager->config->dsn_full_max && streq(report->kind, "failure");
        r = dsn_format(&dsn, m->content_fd, m->size, full, &report->text);
        if (r < 0)
                return r;

        report->envelope = (Envelope) {
                .origin = ORIGIN_INIT,
                .size = report->text.size,
                .body = r & DSN_FORMAT_8BIT ? BODY_8BITMIME : BODY_7BIT,
                .smtputf8 = r & DSN_FORMAT_SMTPUTF8,
        };
        report->envelope.sender = strdup("");
        if (!report->envelope.sender || sd_id128_randomize(&report->envelope.token) < 0)
                return -ENOMEM;
        return envelope_add_recipient(&report->envelope, to, NULL, NOTIFY_NEVER);
}

static void on_open(Manager *manager, Message *m, void *userdata _unused_, int r) {
        Reports *rs = manager->reports;
        _cleanup_(report_freep) Report *report = NULL;

        if (r >= 0) {
                report = new0(Report, 1);
                r = report ? report_compose(manager, m, report) : -ENOMEM;
                message_close(manager, m);
        }
        if (r >= 0 && rs->n >= PENDING_MAX)
                r = -ENOBUFS;
        if (r < 0) {
                log_error_errno(r, "Cannot make a report about message %s, trying again: %m", m->id.s);
                settle_reported(manager, m, r);
                return;
        }
        report->message = m;
        rs->n++;
        *rs->last = report;
        rs->last = &report->next;
        TAKE_PTR(report);
        next(rs);
}

void report_make(Manager *manager, Message *m) {
        message_open(manager, m, true, on_open, NULL);
}

int reports_new(Manager *manager, Reports **ret) {
        Reports *rs = new0(Reports, 1);
        if (!rs)
                return -ENOMEM;
        rs->manager = manager;
        rs->fd = -EBADF;
        rs->last = &rs->queue;
        *ret = rs;
        return 0;
}

Reports *reports_free(Reports *rs) {
        if (!rs)
                return NULL;
        disconnect(rs);
        report_free(rs->current);
        while (rs->queue) {
                Report *n = rs->queue->next;
                report_free(rs->queue);
                rs->queue = n;
        }
        return mfree(rs);
}
