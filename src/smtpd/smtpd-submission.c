/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <systemd/sd-varlink.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/usec.h"
#include "smtpd/smtpd-submission.h"

#define CONNECTIONS_MAX 16U
#define OUTAGE_MAX (30 * USEC_PER_SEC)
#define RETRY_INTERVAL (200 * USEC_PER_MSEC)
/* Of a connection that has answered before it is known that somebody works behind it; before, it may only be queued at
 * the socket of a service that does not start. */
#define ANSWER_MAX (5 * USEC_PER_MINUTE)

#define METHOD_CHECK "io.postd.Submission.Check"
#define METHOD_SUBMIT "io.postd.Submission.Submit"
#define ERROR_REFUSED "io.postd.Submission.Refused"

struct SubmissionCall {
        SubmissionCall *next;       /* in the queue */
        const char *method;
        sd_json_variant *parameters;
        int fd;
        size_t n_recipients;
        usec_t deadline;            /* set by the first trouble */
        submission_answer_t answer; /* NULL: forgotten */
        void *userdata;
};

typedef struct Connection {
        Submission *submission;
        sd_varlink *link;
        SubmissionCall *call;
        bool proven;                /* has answered */
        bool answering;             /* its reply is being looked at: it takes no call before that is over */
} Connection;

struct Submission {
        sd_event *event;
        sd_event_source *retry;     /* while connections cannot be made */
        sd_event_source *next_call; /* a connection has become free */
        char *path;
        SubmissionCall *first, **last;
        size_t n_pending;
        usec_t logged;              /* when trouble was last reported */
        Connection connections[CONNECTIONS_MAX];
};

static void run_queue(Submission *s);

static SubmissionCall *call_free(SubmissionCall *c) {
        if (!c)
                return NULL;
        sd_json_variant_unref(c->parameters);
        safe_close(c->fd);
        return mfree(c);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(SubmissionCall *, call_free);

static void connection_close(Connection *c) {
        /* Its callback may be running. */
        if (c->link)
                (void) sd_varlink_set_userdata(c->link, NULL);
        c->link = sd_varlink_close_unref(c->link);
        c->proven = false;
}

Submission *submission_free(Submission *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
                connection_close(s->connections + i);
                call_free(s->connections[i].call);
        }
        while (s->first) {
                SubmissionCall *c = s->first;
                s->first = c->next;
                call_free(c);
        }
        sd_event_source_disable_unref(s->retry);
        sd_event_source_disable_unref(s->next_call);
        sd_event_unref(s->event);
        free(s->path);
        return mfree(s);
}

static int on_next_call(sd_event_source *source _unused_, void *userdata) {
        run_queue(userdata);
        return 0;
}

int submission_new(sd_event *event, const char *path, Submission **ret) {
        _cleanup_(submission_freep) Submission *s = new0(Submission, 1);

        if (!s)
                return -ENOMEM;
        s->event = sd_event_ref(event);
        s->last = &s->first;
        s->path = strdup(path);
        if (!s->path)
                return -ENOMEM;
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
                s->connections[i].submission = s;
        int r = sd_event_add_defer(event, &s->next_call, on_next_call, s);
        if (r < 0)
                return r;
        (void) sd_event_source_set_enabled(s->next_call, SD_EVENT_OFF);
        *ret = TAKE_PTR(s);
        return 0;
}

size_t submission_pending(const Submission *s) {
        return s->n_pending;
}

/* Ends a call. Must be the last thing that is done with it. */
static void call_answer(Submission *s, SubmissionCall *c, const SubmissionAnswer *a) {
        s->n_pending--;
        if (c->answer)
                c->answer(a, c->userdata);
        call_free(c);
}

static void call_fail(Submission *s, SubmissionCall *c) {
        static const SmtpDecision decision = { 451, { 4, 3, 0 }, "Local error, try again later" };

        call_answer(s, c, &(SubmissionAnswer) { .refused = &decision });
}

/* Trouble comes in crowds: one entry in ten seconds. */
static void log_trouble(Submission *s, const char *what, const char *detail) {
        usec_t now = now_usec(CLOCK_BOOTTIME);

        if (s->logged > 0 && now < s->logged + 10 * USEC_PER_SEC) {
                log_debug("%s: %s", what, detail);
                return;
        }
        s->logged = now;
        log_warning("%s: %s", what, detail);
}

/* A field of a reply as a string, or NULL. */
static const char *get_string(sd_json_variant *v, const char *name) {
        sd_json_variant *w = sd_json_variant_by_key(v, name);
        return sd_json_variant_is_string(w) ? sd_json_variant_string(w) : NULL;
}

/* A decision as the queue manager gave it; anything else than a clear answer defers. */
static SmtpDecision get_decision(sd_json_variant *v) {
        SmtpDecision d = { .text = get_string(v, "text") };
        sd_json_variant *code = sd_json_variant_by_key(v, "code");
        const char *status = get_string(v, "status");

        d.code = sd_json_variant_is_unsigned(code) && sd_json_variant_unsigned(code) <= 599 ? sd_json_variant_unsigned(code) : 0;
        if (!d.text || !status || enhanced_status_parse(status, &d.status) < 0 || d.status.class != d.code / 100)
                return (SmtpDecision) { 451, { 4, 3, 0 }, "Local error, try again later" };
        return d;
}

static void on_checked(Submission *s, SubmissionCall *c, sd_json_variant *parameters) {
        sd_json_variant *replies = sd_json_variant_by_key(parameters, "replies");
        size_t n = c->n_recipients;

        if (!sd_json_variant_is_array(replies) || sd_json_variant_elements(replies) != n) {
                log_trouble(s, s->path, "Check was answered with something else");
                return call_fail(s, c);
        }
        _cleanup_free_ SmtpDecision *d = new0(SmtpDecision, n + 1);
        if (!d)
                return call_fail(s, c);
        for (size_t i = 0; i < n; i++)
                d[i] = get_decision(sd_json_variant_by_index(replies, i));
        call_answer(s, c, &(SubmissionAnswer) { .decisions = d, .n_decisions = n });
}

static void on_submitted(Submission *s, SubmissionCall *c, sd_json_variant *parameters) {
        const char *id = get_string(parameters, "id");

        if (!id) {
                log_trouble(s, s->path, "Submit was answered with something else");
                return call_fail(s, c);
        }
        call_answer(s, c, &(SubmissionAnswer) { .queue_id = id });
}

/* Puts a call back to where it will be taken first, or gives up on it. If it was sent it may have been done. */
static void call_again(Submission *s, SubmissionCall *c, bool sent) {
        usec_t now = now_usec(CLOCK_BOOTTIME);
        int r;

        if (c->deadline == 0)
                c->deadline = usec_add(now, OUTAGE_MAX);
        if (now >= c->deadline) {
                log_trouble(s, s->path, "the queue manager does not answer");
                return call_fail(s, c);
        }
        if (sent && c->fd >= 0) {
                r = sd_json_variant_set_field_boolean(&c->parameters, "repeated", true);
                if (r < 0)
                        return call_fail(s, c);
        }
        c->next = s->first;
        if (!s->first)
                s->last = &c->next;
        s->first = c;
}

static int on_retry(sd_event_source *source _unused_, uint64_t now _unused_, void *userdata) {
        run_queue(userdata);
        return 0;
}

static int retry_later(Submission *s) {
        int r;

        if (s->retry) {
                r = sd_event_source_set_time_relative(s->retry, RETRY_INTERVAL);
                return r < 0 ? r : sd_event_source_set_enabled(s->retry, SD_EVENT_ONESHOT);
        }
        return sd_event_add_time_relative(s->event, &s->retry, CLOCK_BOOTTIME, RETRY_INTERVAL, 0, on_retry, s);
}

/* True if the call waits. A queue manager that has just come back reads its spool first, and cannot say until then whether
 * it has a message already. */
static bool on_refused(Submission *s, SubmissionCall *c, sd_json_variant *parameters) {
        SmtpDecision d = get_decision(parameters);

        if (d.code == 451 && d.status.subject == 3 && d.status.detail == 2 && now_usec(CLOCK_BOOTTIME) < c->deadline &&
            retry_later(s) >= 0) {
                call_again(s, c, false);
                return true;
        }
        if (d.code < 400)
                d = (SmtpDecision) { 451, { 4, 3, 0 }, "Local error, try again later" };
        call_answer(s, c, &(SubmissionAnswer) { .refused = &d });
        return false;
}

static void handle_reply(Connection *connection, sd_json_variant *parameters, const char *error, sd_varlink_reply_flags_t flags) {
        Submission *s = connection->submission;
        SubmissionCall *c = TAKE_PTR(connection->call);
        bool local = flags & SD_VARLINK_REPLY_LOCAL;

        if (local)
                connection_close(connection);
        else
                connection->proven = true;
        if (!c) /* idle, and gone */
                return;

        if (!error)
                c->fd >= 0 ? on_submitted(s, c, parameters) : on_checked(s, c, parameters);
        else if (streq(error, ERROR_REFUSED)) {
                if (on_refused(s, c, parameters))
                        return;
        } else if (local && streq(error, SD_VARLINK_ERROR_DISCONNECTED))
                call_again(s, c, true);
        else {
                log_trouble(s, s->path, error);
                call_fail(s, c);
        }
        if (s->first)
                (void) sd_event_source_set_enabled(s->next_call, SD_EVENT_ONESHOT);
}

static int on_reply(sd_varlink *link _unused_, sd_json_variant *parameters, const char *error, sd_varlink_reply_flags_t flags, void *userdata) {
        Connection *connection = userdata;

        if (!connection)
                return 0;
        connection->answering = true;
        handle_reply(connection, parameters, error, flags);
        connection->answering = false;
        return 0;
}

static int connection_open(Connection *c) {
        _cleanup_(sd_varlink_close_unrefp) sd_varlink *link = NULL;
        Submission *s = c->submission;
        int r;

        r = sd_varlink_connect_address(&link, s->path);
        if (r < 0)
                return r;
        r = sd_varlink_set_allow_fd_passing_output(link, true);
        if (r < 0)
                return r;
        r = sd_varlink_bind_reply(link, on_reply);
        if (r < 0)
                return r;
        r = sd_varlink_attach_event(link, s->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        (void) sd_varlink_set_userdata(link, c);
        c->link = TAKE_PTR(link);
        c->proven = false;
        return 0;
}

/* Starts a call: 0, or -errno of a connection that is of no use. */
static int connection_call(Connection *c, SubmissionCall *call) {
        usec_t now = now_usec(CLOCK_BOOTTIME), timeout = ANSWER_MAX;
        int r;

        if (!c->link) {
                r = connection_open(c);
                if (r < 0)
                        return r;
        }
        if (!c->proven) {
                timeout = call->deadline > 0 ? usec_sub(call->deadline, now) : OUTAGE_MAX;
                timeout = MAX(timeout, USEC_PER_SEC);
        }
        r = sd_varlink_set_relative_timeout(c->link, timeout);
        if (r < 0)
                return r;
        if (call->fd >= 0) {
                r = sd_varlink_push_dup_fd(c->link, call->fd);
                if (r < 0)
                        return r;
        }
        return sd_varlink_invoke(c->link, call->method, call->parameters);
}

/* A free connection: one that is open, else a new one. */
static Connection *find_connection(Submission *s) {
        Connection *found = NULL;

        for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
                Connection *c = s->connections + i;
                if (c->call || c->answering)
                        continue;
                if (c->link)
                        return c;
                found = found ?: c;
        }
        return found;
}

static SubmissionCall *queue_take(Submission *s) {
        SubmissionCall *c = s->first;

        s->first = c->next;
        if (!s->first)
                s->last = &s->first;
        c->next = NULL;
        return c;
}

/* A connection may have died while it was idle, so a failure is final only on a new one. */
static int try_call(Connection *connection, SubmissionCall *c) {
        bool old = connection->link;
        int r;

        r = connection_call(connection, c);
        if (r < 0) {
                connection_close(connection);
                if (old)
                        r = connection_call(connection, c);
                if (r < 0)
                        connection_close(connection);
        }
        if (r >= 0)
                connection->call = c;
        return r;
}

/* Whenever the queue is not empty, all connections are busy (and a reply calls this) or the timer runs. */
static void run_queue(Submission *s) {
        Connection *connection;
        int r;

        while (s->first && (connection = find_connection(s))) {
                SubmissionCall *c = queue_take(s);

                r = try_call(connection, c);
                if (r >= 0)
                        continue;
                log_trouble(s, s->path, strerror(-r));
                r = retry_later(s);
                if (r >= 0) {
                        call_again(s, c, false);
                        return;
                }
                call_fail(s, c);
        }
}

/* Never answers at once: the caller is in the middle of something. */
static int call_start(Submission *s, SubmissionCall *c) {
        Connection *connection = s->first ? NULL : find_connection(s);
        int r;

        if (connection) {
                r = try_call(connection, c);
                if (r >= 0) {
                        s->n_pending++;
                        return 0;
                }
                log_trouble(s, s->path, strerror(-r));
                r = retry_later(s);
                if (r < 0)
                        return r;
                c->deadline = usec_add(now_usec(CLOCK_BOOTTIME), OUTAGE_MAX);
        }
        s->n_pending++;
        *s->last = c;
        s->last = &c->next;
        return 0;
}

static int call_new(const char *method, size_t n_recipients, submission_answer_t answer, void *userdata, SubmissionCall **ret) {
        SubmissionCall *c = new0(SubmissionCall, 1);

        if (!c)
                return -ENOMEM;
        c->method = method;
        c->fd = -EBADF;
        c->n_recipients = n_recipients;
        c->answer = answer;
        c->userdata = userdata;
        *ret = c;
        return 0;
}

void submission_call_forget(SubmissionCall *c) {
        c->answer = NULL;
        c->userdata = NULL;
}

int submission_context(const SmtpSession *session, const char *address, uid_t uid, const char *unit, sd_json_variant **ret) {
        return sd_json_buildo(
                ret, SD_JSON_BUILD_PAIR_STRING("protocol", smtp_session_protocol(session)),
                SD_JSON_BUILD_PAIR_CONDITION(!isempty(session->helo), "helo", SD_JSON_BUILD_STRING(session->helo)),
                SD_JSON_BUILD_PAIR_CONDITION(!isempty(address), "peerAddress", SD_JSON_BUILD_STRING(address)),
                SD_JSON_BUILD_PAIR_CONDITION(uid != UID_UNKNOWN, "uid", SD_JSON_BUILD_UNSIGNED(uid)),
                SD_JSON_BUILD_PAIR_CONDITION(!isempty(unit), "unit", SD_JSON_BUILD_STRING(unit)));
}

int submission_check(Submission *s, sd_json_variant *context, const SmtpSession *session, submission_answer_t answer,
                     void *userdata, SubmissionCall **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *recipients = NULL;
        _cleanup_(call_freep) SubmissionCall *c = NULL;
        const Envelope *e = &session->envelope;
        int r;

        r = call_new(METHOD_CHECK, e->n_recipients - session->n_checked, answer, userdata, &c);
        if (r < 0)
                return r;
        char **list = new0(char *, c->n_recipients + 1); /* borrows */
        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_recipients; i++)
                list[i] = e->recipients[session->n_checked + i].address;
        r = sd_json_variant_new_array_strv(&recipients, list);
        free(list);
        if (r < 0)
                return r;
        r = sd_json_buildo(&c->parameters, SD_JSON_BUILD_PAIR_VARIANT("context", context),
                           SD_JSON_BUILD_PAIR_STRING("sender", e->sender),
                           SD_JSON_BUILD_PAIR_VARIANT("recipients", recipients),
                           SD_JSON_BUILD_PAIR_CONDITION(session->announced_size > 0 && session->announced_size <= INT64_MAX, "size",
                                                        SD_JSON_BUILD_UNSIGNED(session->announced_size)));
        if (r < 0)
                return r;
        r = call_start(s, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

static int build_recipients(const Envelope *e, sd_json_variant **ret) {
        _cleanup_free_ sd_json_variant **list = new0(sd_json_variant *, e->n_recipients);
        int r = list ? 0 : -ENOMEM;

        for (size_t i = 0; i < e->n_recipients && r >= 0; i++) {
                const EnvelopeRecipient *t = &e->recipients[i];
                r = sd_json_buildo(&list[i], SD_JSON_BUILD_PAIR_STRING("address", t->address),
                                   SD_JSON_BUILD_PAIR_CONDITION(!!t->original_recipient, "originalRecipient",
                                                                SD_JSON_BUILD_STRING(t->original_recipient)),
                                   SD_JSON_BUILD_PAIR_CONDITION(t->notify != 0, "notify", SD_JSON_BUILD_STRING(notify_to_string(t->notify))));
        }
        if (r >= 0)
                r = sd_json_variant_new_array(ret, list, e->n_recipients);
        for (size_t i = 0; list && i < e->n_recipients; i++)
                sd_json_variant_unref(list[i]);
        return r;
}

int submission_submit(Submission *s, sd_json_variant *context, const SmtpSession *session, bool retried, int fd, uint64_t size,
                      submission_answer_t answer, void *userdata, SubmissionCall **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *recipients = NULL;
        _cleanup_(call_freep) SubmissionCall *c = NULL;
        _cleanup_close_ int content = fd;
        const Envelope *e = &session->envelope;
        char token[SD_ID128_STRING_MAX];
        int r;

        r = call_new(METHOD_SUBMIT, e->n_recipients, answer, userdata, &c);
        if (r < 0)
                return r;
        c->fd = TAKE_FD(content);
        r = build_recipients(e, &recipients);
        if (r < 0)
                return r;
        r = sd_json_buildo(
                &c->parameters, SD_JSON_BUILD_PAIR_STRING("token", sd_id128_to_string(e->token, token)),
                SD_JSON_BUILD_PAIR_CONDITION(retried, "repeated", SD_JSON_BUILD_BOOLEAN(true)),
                SD_JSON_BUILD_PAIR_VARIANT("context", context), SD_JSON_BUILD_PAIR_STRING("sender", e->sender),
                SD_JSON_BUILD_PAIR_VARIANT("recipients", recipients),
                SD_JSON_BUILD_PAIR_CONDITION(e->body != BODY_7BIT, "body", SD_JSON_BUILD_STRING(body_type_to_string(e->body))),
                SD_JSON_BUILD_PAIR_CONDITION(e->smtputf8, "smtputf8", SD_JSON_BUILD_BOOLEAN(true)),
                SD_JSON_BUILD_PAIR_CONDITION(e->dsn_return != DSN_RETURN_DEFAULT, "dsnReturn",
                                             SD_JSON_BUILD_STRING(dsn_return_to_string(e->dsn_return))),
                SD_JSON_BUILD_PAIR_CONDITION(!!e->envid, "envid", SD_JSON_BUILD_STRING(e->envid)),
                SD_JSON_BUILD_PAIR_UNSIGNED("content", 0), SD_JSON_BUILD_PAIR_UNSIGNED("size", size));
        if (r < 0)
                return r;
        r = call_start(s, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}
