/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Bytes from the socket go through the protocol object; its events become questions to the queue manager. Whatever fails
 * on our side ends in a 4xx: the client keeps its message. */

#include <stdio.h>
#include <sys/epoll.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "smtpd/smtpd-log.h"

#define RECIPIENT_COST 128U                    /* octets charged beside its address */
#define SMALL_SIZE (UINT64_C(1024) * 1024)     /* for which a look at the room just before is good enough */
#define LOADED_TIMEOUT (30 * USEC_PER_SEC)

static const SmtpDecision decision_busy = { 452, { 4, 3, 1 }, "Too much mail at once, try again later" };
static const SmtpDecision decision_failure = { 451, { 4, 3, 0 }, "Local error, try again later" };

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata);
static void session_run(Session *s, const char *p, size_t n);

static void release_charges(Session *s) {
        peer_release(&s->manager->peers, s->peer, s->charged);
        s->charged = 0;
}

static bool charge(Session *s, uint64_t n) {
        if (!peer_charge(&s->manager->peers, s->peer, n))
                return false;
        s->charged += n;
        return true;
}

Session *session_free(Session *s) {
        if (!s)
                return NULL;
        if (s->call)
                submission_call_forget(s->call);
        manager_session_ended(s->manager, s);
        release_charges(s);
        peer_disconnect(&s->manager->peers, s->peer);
        sd_event_source_disable_unref(s->io);
        stream_done(&s->stream);
        smtp_session_done(&s->smtp);
        content_done(&s->content);
        buf_done(&s->input);
        peer_identity_done(&s->identity);
        return mfree(s);
}

int session_new(Manager *m, int fd, Peer *peer, PeerIdentity *identity, Session **ret) {
        _cleanup_close_ int socket = fd;
        int r;

        Session *s = new0(Session, 1);
        if (!s) {
                peer_disconnect(&m->peers, peer);
                peer_identity_done(identity);
                return -ENOMEM;
        }
        s->manager = m;
        s->peer = peer;
        s->identity = *identity;
        identity->unit = NULL;
        s->stream = STREAM_NULL;
        s->content = CONTENT_NULL;
        s->progress = manager_now(m);
        s->next = m->sessions;
        if (s->next)
                s->next->previous = s;
        m->sessions = s;
        m->n_sessions++;

        r = smtp_session_init(&s->smtp, &m->smtp);
        if (r >= 0)
                r = stream_init(&s->stream, socket);
        if (r >= 0) {
                TAKE_FD(socket);
                r = sd_event_add_io(m->event, &s->io, s->stream.fd, EPOLLIN, on_io, s);
        }
        if (r < 0) {
                session_free(s);
                return r;
        }
        s->reading = true;
        *ret = s;
        return 0;
}

/* May more be read and processed? */
static bool can_process(const Session *s) {
        return !s->call && !s->ending && s->smtp.output.size == 0;
}

/* What the event source waits for. It may go on to wait for input that is not wanted now, for as long as none comes:
 * that saves two system calls for each question to the queue manager. */
static int update_io(Session *s, bool lazy) {
        bool read = can_process(s) || (lazy && s->reading), write = s->smtp.output.size > 0;
        int r;

        if (read == s->reading && write == s->writing)
                return 0;
        if (read || write) {
                r = sd_event_source_set_io_events(s->io, (read ? EPOLLIN : 0) | (write ? EPOLLOUT : 0));
                if (r < 0)
                        return r;
        }
        r = sd_event_source_set_enabled(s->io, read || write ? SD_EVENT_ON : SD_EVENT_OFF);
        if (r < 0)
                return r;
        s->reading = read;
        s->writing = write;
        return 0;
}

/* Writes what there is to say; ends the session if that was the last. The session may be gone afterwards. */
static void session_settle(Session *s) {
        size_t before = s->smtp.output.size;
        int r;

        r = stream_write(&s->stream, &s->smtp.output);
        if (s->smtp.output.size < before)
                s->progress = manager_now(s->manager);
        if (r < 0 && r != -EAGAIN) {
                session_free(s);
                return;
        }
        if (r == 0 && s->ending) {
                session_free(s);
                return;
        }
        r = update_io(s, true);
        if (r < 0) {
                log_error_errno(r, "Cannot watch a connection: %m");
                session_free(s);
        }
}

/* Our own trouble: the client is told to try again. */
static void session_fail(Session *s, int error) {
        log_error_errno(error, "Session with %s ends: %m", s->peer->key);
        (void) smtp_session_abort(&s->smtp, 421, STATUS(4, 3, 0), "Local error, try again later");
        s->ending = true;
}

static int session_context(Session *s, sd_json_variant **ret) {
        bool other = s->smtp.origin_uid != UID_UNKNOWN;

        /* On behalf of the owner of a file, whose unit is not known any more. */
        return submission_context(&s->smtp, s->identity.address, other ? s->smtp.origin_uid : s->identity.uid,
                                  other ? NULL : s->identity.unit, ret);
}

/* Who asks, as a key of the cache; NULL: not cached. The unit is part of it as rules may name it. */
static const char *client_key(const Session *s, char *buffer, size_t n) {
        if (s->smtp.origin_uid != UID_UNKNOWN)
                return NULL;
        int k = snprintf(buffer, n, "%s %s", s->peer->key, strempty(s->identity.unit));
        return k >= 0 && (size_t) k < n ? buffer : NULL;
}

/* Answers from what is known: true if there is nothing left to be asked. */
static bool check_known(Session *s, const char *client) {
        Manager *m = s->manager;
        const Envelope *e = &s->smtp.envelope;
        usec_t now = manager_now(m);

        if (!client || s->smtp.announced_size > SMALL_SIZE)
                return false;
        if (e->n_recipients == s->smtp.n_checked)
                return now < m->room_until;
        for (size_t i = s->smtp.n_checked; i < e->n_recipients; i++)
                if (!check_cache_has(&m->cache, client, e->recipients[i].address, now))
                        return false;
        return true;
}

/* Hands decisions to the protocol object and the journal. decisions NULL: all are accepted. */
static int apply_check(Session *s, const SmtpDecision *decisions, const SmtpDecision *refused) {
        const Envelope *e = &s->smtp.envelope;
        size_t n = e->n_recipients - s->smtp.n_checked;
        char buffer[512];
        const char *client = client_key(s, buffer, sizeof(buffer));
        usec_t now = manager_now(s->manager);

        if (refused) {
                log_rejected(s, n == 1 ? e->recipients[s->smtp.n_checked].address : NULL, refused);
                return smtp_session_check_done(&s->smtp, NULL, refused);
        }
        _cleanup_free_ SmtpDecision *d = new0(SmtpDecision, n + 1);
        if (!d)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                const char *address = e->recipients[s->smtp.n_checked + i].address;

                if (decisions && decisions[i].code >= 300) {
                        d[i] = decisions[i];
                        log_rejected(s, address, d + i);
                        continue;
                }
                d[i] = (SmtpDecision) { 250, { 2, 1, 5 }, "Recipient ok" };
                if (decisions && client)
                        check_cache_add(&s->manager->cache, client, address, now);
        }
        if (decisions)
                s->manager->room_until = usec_add(now, CACHE_SPAN);
        return smtp_session_check_done(&s->smtp, d, NULL);
}

static void on_check_answer(const SubmissionAnswer *a, void *userdata) {
        Session *s = userdata;
        int r;

        s->call = NULL;
        s->progress = manager_now(s->manager);
        r = apply_check(s, a->decisions, a->refused);
        if (r < 0)
                session_fail(s, r);
        session_run(s, NULL, 0);
}

static int start_check(Session *s) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *context = NULL;
        const Envelope *e = &s->smtp.envelope;
        uint64_t cost = 0;
        char buffer[512];
        int r;

        if (s->smtp.mail_pending)
                release_charges(s);
        for (size_t i = s->smtp.n_checked; i < e->n_recipients; i++)
                cost += strlen(e->recipients[i].address) + RECIPIENT_COST;
        if (!charge(s, cost)) {
                log_limit(s->manager, s->peer, s, "too much mail held at once");
                return apply_check(s, NULL, &decision_busy);
        }
        if (check_known(s, client_key(s, buffer, sizeof(buffer))))
                return apply_check(s, NULL, NULL);
        r = session_context(s, &context);
        if (r < 0)
                return r;
        return submission_check(s->manager->submission, context, &s->smtp, on_check_answer, s, &s->call);
}

static int start_data(Session *s) {
        Manager *m = s->manager;
        const PeerTable *t = &m->peers;
        uint64_t size = s->smtp.announced_size;

        if (size > t->bytes_max - t->bytes || size > t->bytes_max_peer - s->peer->bytes ||
            t->bytes >= t->bytes_max - m->config->header_size_max ||
            s->peer->bytes >= t->bytes_max_peer - m->config->header_size_max) {
                log_limit(m, s->peer, s, "too much mail held at once");
                return smtp_session_data_done(&s->smtp, &decision_busy);
        }
        s->fixup = (MessageFixup) {
                .mail_name = m->config->mail_name,
                .host_name = m->config->host_name,
                .sender = s->smtp.envelope.sender,
                .now = now_usec(CLOCK_REALTIME),
                .add_date = true,
                .add_message_id = true,
                .add_from = true,
                .qualify = true,
        };
        content_reset(&s->content, &(ContentOptions) {
                .directory = "/var/tmp",
                .header_size_max = m->config->header_size_max,
                .received_max = m->config->received_max,
                .fixup = m->options.local ? &s->fixup : NULL,
        });
        s->over_budget = false;
        s->receiving = true;
        return smtp_session_data_done(&s->smtp, NULL);
}

static void take_content(Session *s) {
        if (s->over_budget)
                return;
        if (!charge(s, s->smtp.content_size)) {
                s->over_budget = true;
                content_done(&s->content);
                log_limit(s->manager, s->peer, s, "too much mail held at once");
                return;
        }
        content_append(&s->content, s->smtp.content, s->smtp.content_size);
}

static int message_answer(Session *s, const SmtpDecision *d) {
        if (d->code >= 400)
                log_rejected(s, NULL, d);
        content_done(&s->content);
        release_charges(s);
        return smtp_session_message_done(&s->smtp, d);
}

static void on_submit_answer(const SubmissionAnswer *a, void *userdata) {
        Session *s = userdata;
        SmtpDecision d = { 250, { 2, 0, 0 }, NULL };
        char text[64];
        int r;

        s->call = NULL;
        s->progress = manager_now(s->manager);
        if (a->refused)
                d = *a->refused;
        else {
                (void) snprintf(text, sizeof(text), "Ok: queued as %s", a->queue_id);
                d.text = text;
                s->manager->room_until = usec_add(s->progress, CACHE_SPAN);
        }
        r = message_answer(s, &d);
        if (r < 0)
                session_fail(s, r);
        session_run(s, NULL, 0);
}

/* The message as a descriptor: 0, or > 0 with *ret filled in. */
static int finish_content(Session *s, int *ret_fd, uint64_t *ret_size, SmtpDecision *ret) {
        int r;

        if (s->over_budget) {
                *ret = decision_busy;
                return 1;
        }
        r = content_finish(&s->content, ret_fd, ret_size);
        if (r == 0)
                return 0;
        if (r == CONTENT_E_HEADER_SIZE)
                *ret = (SmtpDecision) { 552, { 5, 3, 4 }, "Message header is too large" };
        else if (r == CONTENT_E_LOOP)
                *ret = (SmtpDecision) { 554, { 5, 4, 6 }, "Too many hops: the message is in a loop" };
        else if (IN_SET(r, -ENOSPC, -EDQUOT, -EFBIG))
                *ret = (SmtpDecision) { 452, { 4, 3, 1 }, "Insufficient system storage" };
        else
                *ret = decision_failure;
        if (r < 0)
                log_error_errno(r, "Cannot keep a message: %m");
        return 1;
}

static int start_submit(Session *s) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *context = NULL;
        Envelope *e = &s->smtp.envelope;
        SmtpDecision d;
        uint64_t size;
        int r, fd;

        s->receiving = false;
        r = finish_content(s, &fd, &size, &d);
        if (r > 0)
                return message_answer(s, &d);

        /* Pickup submits what sendmail gave up on: that may have arrived all the same, long ago. */
        bool repeated = s->manager->options.origin && !sd_id128_is_null(e->token);
        r = sd_id128_is_null(e->token) ? sd_id128_randomize(&e->token) : 0;
        if (r >= 0)
                r = session_context(s, &context);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        return submission_submit(s->manager->submission, context, &s->smtp, repeated, fd, size, on_submit_answer, s, &s->call);
}

static int handle_event(Session *s, SmtpEvent event) {
        int r = 0;

        switch (event) {
        case SMTP_EVENT_CHECK:
                r = start_check(s);
                break;
        case SMTP_EVENT_DATA:
                r = start_data(s);
                break;
        case SMTP_EVENT_CONTENT:
                take_content(s);
                break;
        case SMTP_EVENT_DISCARD:
                s->receiving = false;
                content_done(&s->content);
                release_charges(s);
                break;
        case SMTP_EVENT_MESSAGE:
                r = start_submit(s);
                break;
        case SMTP_EVENT_CLOSE:
                s->ending = true;
                break;
        case SMTP_EVENT_MORE:
        case _SMTP_EVENT_NONE:
                break;
        }
        if (s->smtp.limits)
                log_smtp_limits(s);
        return r;
}

/* Processes what was read before and p[0..n) behind it. The session may be gone afterwards. */
static void session_run(Session *s, const char *p, size_t n) {
        bool kept = s->input.size > 0;
        SmtpEvent event = _SMTP_EVENT_NONE;
        size_t done = 0;
        int r = 0;

        if (kept) {
                r = buf_append(&s->input, strempty(p), n);
                p = s->input.data;
                n = s->input.size;
        }
        /* Replies are collected while there is input, unless they become many. */
        while (r >= 0 && event != SMTP_EVENT_MORE && !s->call && !s->ending && s->smtp.output.size < INPUT_SIZE) {
                size_t used;

                r = smtp_session_process(&s->smtp, p ? p + done : "", n - done, &used, &event);
                if (r < 0)
                        break;
                done += used;
                r = handle_event(s, event);
        }
        if (r >= 0 && !kept && done < n)
                r = buf_append(&s->input, p + done, n - done);
        else if (kept && done == s->input.size)
                buf_done(&s->input);
        else if (kept)
                buf_consume(&s->input, done);
        if (r < 0)
                session_fail(s, r);
        if (s->manager->stopping)
                session_stop(s, false);
        else
                session_settle(s);
}

static void session_read(Session *s) {
        Manager *m = s->manager;

        ssize_t n = stream_read(&s->stream, m->input, sizeof(m->input));
        if (n == -EAGAIN)
                return;
        if (n <= 0) {
                session_free(s);
                return;
        }
        s->progress = manager_now(m);
        session_run(s, m->input, n);
}

static int on_io(sd_event_source *source _unused_, int fd _unused_, uint32_t revents, void *userdata) {
        Session *s = userdata;
        int r;

        if (s->smtp.output.size > 0) {
                /* What was read waits for this. */
                r = stream_write(&s->stream, &s->smtp.output);
                if (r == -EAGAIN)
                        return 0;
                if (r < 0) {
                        session_free(s);
                        return 0;
                }
                s->progress = manager_now(s->manager);
                session_run(s, NULL, 0);
                return 0;
        }
        if (can_process(s) && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
                session_read(s);
                return 0;
        }
        r = update_io(s, false);
        if (r < 0)
                session_free(s);
        return 0;
}

void session_start(Session *s) {
        session_settle(s);
}

void session_stop(Session *s, bool force) {
        if (!s->ending && (force || (!s->call && smtp_session_idle(&s->smtp)))) {
                if (smtp_session_abort(&s->smtp, 421, STATUS(4, 3, 2), "Service is shutting down") < 0)
                        buf_clear(&s->smtp.output);
                s->ending = true;
        }
        session_settle(s);
}

void session_check_timeout(Session *s, usec_t now) {
        Manager *m = s->manager;
        usec_t timeout = s->receiving ? m->data_timeout : m->command_timeout;

        if (s->call)
                return;
        if (m->n_sessions > m->listener_config->connections_max / 4 * 3)
                timeout = MIN(timeout, LOADED_TIMEOUT);
        if (now < usec_add(s->progress, timeout))
                return;
        /* Who does not read hears nothing. */
        if (s->ending || s->smtp.output.size > 0) {
                session_free(s);
                return;
        }
        log_limit(m, s->peer, s, s->receiving ? "time-out in the data" : "time-out between commands");
        if (smtp_session_abort(&s->smtp, 421, STATUS(4, 4, 2), "Timeout") < 0)
                buf_clear(&s->smtp.output);
        s->ending = true;
        session_settle(s);
}
