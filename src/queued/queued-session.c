/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whatever happens to a session is our fault, never the message's: its recipients are deferred, and those whose result was
 * lost are tried again as "repeated". A session that was gone when a batch reached it is replaced at once. */

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/text.h"
#include "ipc/names.h"
#include "message/patch.h"
#include "queued/queued-session.h"
#include "queued/queued-settle.h"

#define DELIVER_TIMEOUT_USEC (15 * USEC_PER_MINUTE)
#define START_TIMEOUT_USEC (2 * USEC_PER_MINUTE)
#define RESULT_WAIT_USEC (3 * USEC_PER_SEC) /* for the unit's result after its connection broke */
#define AGAIN_USEC (5 * USEC_PER_SEC)
#define COMPLAIN_USEC (30 * USEC_PER_SEC)

typedef struct Session {
        Sessions *sessions;
        char *key;                /* CLASS:UID */
        const char *class;
        uid_t uid;
        sd_varlink *spawn;        /* until the unit has ended */
        sd_varlink *link;
        sd_event_source *timer;
        char *unit;
        char *end;                /* how the unit ended, as text */
        Recipient *batch[BATCH_MAX];
        bool again[BATCH_MAX];    /* to be given to the next session */
        size_t n_batch;           /* settled ones are NULL */
        size_t n_messages;        /* given to it so far */
        bool fresh;               /* has answered no batch yet */
        bool answered;            /* has answered something of this batch */
        usec_t idle_since;
} Session;

struct Sessions {
        Manager *manager;
        usec_t complain_next;     /* when the journal is told again that there is no spawnd */
        Map sessions;
};

static void session_start(Session *s);

static bool session_busy(const Session *s) {
        return s->n_batch > 0;
}

static Session *session_free(Session *s) {
        if (!s)
                return NULL;
        if (s->sessions)
                map_remove(&s->sessions->sessions, s->key);
        sd_event_source_disable_unref(s->timer);
        sd_varlink_close_unref(s->link);
        sd_varlink_close_unref(s->spawn);
        free(s->unit);
        free(s->end);
        free(s->key);
        return mfree(s);
}

/* Takes a recipient out of the batch and of the scheduler's flight. */
static Recipient *batch_take(Session *s, size_t i, JobOutcome outcome) {
        Recipient *r = TAKE_PTR(s->batch[i]);

        s->sessions->manager->n_in_flight--;
        scheduler_done(s->sessions->manager->scheduler, &r->job, outcome, now_usec(CLOCK_BOOTTIME));
        return r;
}

static void batch_end(Session *s) {
        s->n_batch = 0;
        s->answered = false;
        s->timer = sd_event_source_disable_unref(s->timer);
        s->idle_since = now_usec(CLOCK_BOOTTIME);
        manager_kick(s->sessions->manager);
}

/* If the batch was the probe of a destination in trouble, all that is due there has failed with it. */
static void fail_others(Session *s, Recipient *probe, EnhancedStatus status, const char *text) {
        Scheduler *scheduler = s->sessions->manager->scheduler;
        usec_t now = now_usec(CLOCK_BOOTTIME);

        for (Job *j; (j = scheduler_next_failed(scheduler, &probe->job, now));) {
                scheduler_done(scheduler, j, JOB_TROUBLE, now);
                settle_shared(s->sessions->manager, container_of(j, Recipient, job), status, text);
        }
}

/* All that is left of the batch is deferred; lost: it may have been delivered all the same. */
static void batch_fail(Session *s, bool lost, EnhancedStatus status, const char *text) {
        for (size_t i = 0; i < s->n_batch; i++) {
                if (!s->batch[i])
                        continue;
                fail_others(s, s->batch[i], status, text);
                Recipient *r = batch_take(s, i, JOB_TROUBLE);
                r->repeated = r->repeated || lost;
                settle(s->sessions->manager, r, RESULT_DEFERRED, status, text, NULL);
        }
        batch_end(s);
}

/* Nothing can be said of the recipients or their destination: soon again, uncounted. */
static void batch_untried(Session *s, usec_t in) {
        for (size_t i = 0; i < s->n_batch; i++)
                if (s->batch[i])
                        settle_untried(s->sessions->manager, batch_take(s, i, JOB_UNTRIED), in);
        batch_end(s);
}

typedef struct SessionResult {
        const char *id, *result_name, *status_text, *text, *host;
        uint64_t index;
        int again;
        DeliveryResult result;
        EnhancedStatus status;
} SessionResult;

static int result_from_reply(sd_json_variant *v, SessionResult *ret) {
        static const sd_json_dispatch_field fields[] = {
                { "id", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(SessionResult, id), SD_JSON_MANDATORY },
                { "recipient", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(SessionResult, index), SD_JSON_MANDATORY },
                { "result", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(SessionResult, result_name), SD_JSON_MANDATORY },
                { "status", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(SessionResult, status_text), SD_JSON_MANDATORY },
                { "text", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(SessionResult, text), SD_JSON_MANDATORY },
                { "again", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_tristate, offsetof(SessionResult, again), SD_JSON_NULLABLE },
                { "remoteHost", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(SessionResult, host), SD_JSON_NULLABLE },
                {},
        };
        SessionResult p = {};
        int r;

        r = sd_json_dispatch(v, fields, SD_JSON_ALLOW_EXTENSIONS, &p);
        if (r < 0)
                return r;
        p.result = delivery_result_from_string(p.result_name);
        if (p.result < 0 || p.result == RESULT_EXPANDED || p.index > UINT32_MAX)
                return -EBADMSG;
        r = enhanced_status_parse(p.status_text, &p.status);
        if (r < 0)
                return r;
        *ret = p;
        return 0;
}

static void take_result(Session *s, sd_json_variant *v) {
        SessionResult result;
        int r;

        r = result_from_reply(v, &result);
        if (r < 0) {
                log_warning_errno(r, "Session %s sent an unusable result, ignoring.", strempty(s->unit));
                return;
        }
        for (size_t i = 0; i < s->n_batch; i++) {
                Recipient *recipient = s->batch[i];
                if (!recipient || recipient->index != result.index || !streq(recipient->message->id.s, result.id))
                        continue;
                /* A new session that cannot do it either would go round and round. */
                if (result.result == RESULT_DEFERRED && result.again > 0 && !s->fresh) {
                        s->again[i] = true;
                        return;
                }
                (void) batch_take(s, i, JOB_OK);
                recipient->repeated = result.result == RESULT_DELIVERED; /* until that is on disk */
                settle(s->sessions->manager, recipient, result.result, result.status, result.text, result.host);
                s->answered = true;
                return;
        }
        log_warning("Session %s sent a result for %s, which it was not given, ignoring.", strempty(s->unit), result.id);
}

/* It had left when the batch reached it, or has to: another one takes what is left. */
static void session_restart(Session *s) {
        size_t n = 0;

        for (size_t i = 0; i < s->n_batch; i++)
                if (s->batch[i])
                        s->batch[n++] = s->batch[i];
        s->n_batch = s->n_messages = n;
        memset(s->again, 0, sizeof(s->again));
        s->link = sd_varlink_close_unref(s->link);
        s->spawn = sd_varlink_close_unref(s->spawn);
        s->timer = sd_event_source_disable_unref(s->timer);
        s->unit = mfree(s->unit);
        s->end = mfree(s->end);
        s->answered = false;
        session_start(s);
}

/* The call has its last reply. */
static void batch_replied(Session *s) {
        bool again = false;

        for (size_t i = 0; i < s->n_batch; i++) {
                if (s->batch[i] && !s->again[i]) {
                        Recipient *r = batch_take(s, i, JOB_TROUBLE);
                        r->repeated = true;
                        settle(s->sessions->manager, r, RESULT_DEFERRED, STATUS(4, 3, 0), "the delivery session gave no result", NULL);
                }
                again = again || s->batch[i];
        }
        s->fresh = false;
        if (again)
                session_restart(s);
        else
                batch_end(s);
}

static void session_broken(Session *s) {
        if (session_busy(s)) {
                char text[256];
                bool gone = !s->fresh && !s->answered;

                (void) snprintf(text, sizeof(text), "delivery session ended%s%s", s->end ? ": " : "", strempty(s->end));
                if (gone) {
                        for (size_t i = 0; i < s->n_batch; i++)
                                s->batch[i]->repeated = true;
                        session_restart(s);
                        return;
                }
                batch_fail(s, true, STATUS(4, 3, 0), text);
        }
        session_free(s);
}

static int on_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Session *s = userdata;

        s->timer = sd_event_source_disable_unref(s->timer);
        session_broken(s);
        return 0;
}

static int session_timer(Session *s, usec_t in) {
        s->timer = sd_event_source_disable_unref(s->timer);
        return sd_event_add_time_relative(s->sessions->manager->event, &s->timer, CLOCK_BOOTTIME, in, USEC_PER_SEC, on_timeout, s);
}

/* The session's connection is gone. What its unit died of comes by the other one, usually at once. */
static void session_disconnected(Session *s) {
        s->link = sd_varlink_close_unref(s->link);
        if (!session_busy(s)) {
                /* It has lingered long enough. The unit's result is not waited for; spawnd sees to it. */
                session_free(s);
                return;
        }
        if (!s->spawn || s->end || (!s->fresh && !s->answered) || session_timer(s, RESULT_WAIT_USEC) < 0)
                session_broken(s);
}

static int on_deliver_reply(sd_varlink *link _unused_, sd_json_variant *parameters, const char *error_id,
                            sd_varlink_reply_flags_t flags, void *userdata) {
        Session *s = userdata;

        if (error_id && streq(error_id, SD_VARLINK_ERROR_DISCONNECTED)) {
                session_disconnected(s);
                return 0;
        }
        if (error_id) {
                log_error("Session %s refused its messages: %s", strempty(s->unit), error_id);
                batch_fail(s, true, STATUS(4, 3, 0), "the delivery session refused the call");
                session_free(s);
                return 0;
        }
        sd_json_variant *results = sd_json_variant_by_key(parameters, "results");
        for (size_t i = 0; i < (sd_json_variant_is_array(results) ? sd_json_variant_elements(results) : 0); i++)
                take_result(s, sd_json_variant_by_index(results, i));

        if (!(flags & SD_VARLINK_REPLY_CONTINUES))
                batch_replied(s);
        return 0;
}



static int append_item(Session *s, sd_json_variant **list, const Recipient *recipient) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *item = NULL;
        _cleanup_free_ char *prepend = NULL;
        const Message *m = recipient->message;
        const char *sender = recipient->sender ?: m->open->envelope.sender;
        int r, fd;

        r = delivery_prepend(sender, recipient->address, &prepend);
        if (r < 0)
                return r;
        fd = sd_varlink_push_dup_fd(s->link, m->content_fd);
        if (fd < 0)
                return fd;
        r = sd_json_buildo(&item,
                           SD_JSON_BUILD_PAIR_STRING("id", m->id.s),
                           SD_JSON_BUILD_PAIR_STRING("sender", sender),
                           SD_JSON_BUILD_PAIR_UNSIGNED("arrival", m->open->envelope.arrival),
                           SD_JSON_BUILD_PAIR_CONDITION(m->open->envelope.smtputf8, "smtputf8", SD_JSON_BUILD_BOOLEAN(true)),
                           SD_JSON_BUILD_PAIR("recipients", SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_OBJECT(
                                   SD_JSON_BUILD_PAIR_UNSIGNED("index", recipient->index),
                                   SD_JSON_BUILD_PAIR_STRING("address", recipient->address),
                                   SD_JSON_BUILD_PAIR_CONDITION(recipient->repeated, "repeated", SD_JSON_BUILD_BOOLEAN(true)),
                                   SD_JSON_BUILD_PAIR_STRING("prepend", prepend)))),
                           SD_JSON_BUILD_PAIR_INTEGER("content", fd),
                           SD_JSON_BUILD_PAIR_UNSIGNED("size", m->size));
        if (r < 0)
                return r;
        return sd_json_variant_append_array(list, item);
}

static void session_call(Session *s) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *list = NULL;
        int r = 0;

        for (size_t i = 0; i < s->n_batch && r >= 0; i++)
                r = append_item(s, &list, s->batch[i]);
        if (r >= 0)
                r = sd_varlink_bind_reply(s->link, on_deliver_reply);
        if (r >= 0)
                r = sd_varlink_observebo(s->link, "io.postd.Transport.Deliver", SD_JSON_BUILD_PAIR_VARIANT("messages", list));
        if (r >= 0)
                return;

        if (r == -ENOTCONN && !s->fresh) {
                session_restart(s);
                return;
        }
        log_warning_errno(r, "Cannot give messages to session %s: %m", strempty(s->unit));
        batch_untried(s, AGAIN_USEC);
        session_free(s);
}

static int session_connect(Session *s, int fd) {
        int r;

        r = sd_varlink_connect_fd(&s->link, fd);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        r = sd_varlink_set_allow_fd_passing_output(s->link, true);
        if (r < 0)
                return r;
        r = sd_varlink_set_relative_timeout(s->link, DELIVER_TIMEOUT_USEC);
        if (r < 0)
                return r;
        sd_varlink_set_userdata(s->link, s);
        return sd_varlink_attach_event(s->link, s->sessions->manager->event, SD_EVENT_PRIORITY_NORMAL);
}

static int on_started(Session *s, sd_json_variant *parameters) {
        int r;

        sd_json_variant *unit = sd_json_variant_by_key(parameters, "unit");
        if (sd_json_variant_is_string(unit))
                s->unit = strdup(sd_json_variant_string(unit));
        sd_json_variant *index = sd_json_variant_by_key(parameters, "connection");
        if (!sd_json_variant_is_unsigned(index) || sd_json_variant_unsigned(index) > UINT32_MAX)
                return -EBADMSG;
        int fd = sd_varlink_take_fd(s->spawn, sd_json_variant_unsigned(index));
        if (fd < 0)
                return fd;
        r = session_connect(s, fd);
        if (r < 0)
                return r;
        s->timer = sd_event_source_disable_unref(s->timer);
        s->sessions->manager->counters[COUNTER_SESSIONS]++;
        session_call(s);
        return 0;
}

static void on_ended(Session *s, sd_json_variant *parameters) {
        sd_json_variant *result = sd_json_variant_by_key(parameters, "result"), *code = sd_json_variant_by_key(parameters, "code"),
                        *status = sd_json_variant_by_key(parameters, "status");
        const char *text = sd_json_variant_is_string(result) ? sd_json_variant_string(result) : "unknown";
        _cleanup_free_ char *end = NULL;

        if (asprintf(&end, "%s (%s, %" PRIi64 ")", text,
                     sd_json_variant_is_string(code) ? sd_json_variant_string(code) : "unknown",
                     sd_json_variant_is_integer(status) ? sd_json_variant_integer(status) : 0) < 0)
                end = NULL;
        if (!streq(text, "success")) {
                LogField fields[] = { { "POSTD_UNIT", s->unit }, { "POSTD_REASON", end } };
                log_event(LOG_WARNING, MESSAGE_SESSION_FAILED, fields, "Delivery session %s ended: %s", strempty(s->unit), strempty(end));
        }
        free_and_replace(s->end, end);
        s->spawn = sd_varlink_close_unref(s->spawn);
        /* Results that it sent before it died may still be in the socket: the hang-up comes behind them. */
        if (!s->link || !session_busy(s))
                session_broken(s);
}

static void on_refused(Session *s, sd_json_variant *parameters, const char *error_id) {
        sd_json_variant *reason = sd_json_variant_by_key(parameters, "reason");
        char text[256];

        s->spawn = sd_varlink_close_unref(s->spawn);
        if (STR_IN_SET(error_id, "io.postd.Spawn.Busy", SD_VARLINK_ERROR_DISCONNECTED, SD_VARLINK_ERROR_TIMEOUT)) {
                batch_untried(s, streq(error_id, "io.postd.Spawn.Busy") ? USEC_PER_SEC : AGAIN_USEC);
                session_free(s);
                return;
        }
        (void) snprintf(text, sizeof(text), "cannot start a delivery session for uid " "%u: %s", (unsigned) s->uid,
                        sd_json_variant_is_string(reason) ? sd_json_variant_string(reason) : error_id);
        LogField fields[] = { { "POSTD_UNIT", s->unit }, { "POSTD_REASON", text } };
        log_event(LOG_WARNING, MESSAGE_SESSION_FAILED, fields, "Delivery to uid %u is deferred: %s", (unsigned) s->uid, text);
        batch_fail(s, false, STATUS(4, 3, 0), text);
        session_free(s);
}

static int on_spawn_reply(sd_varlink *link _unused_, sd_json_variant *parameters, const char *error_id,
                          sd_varlink_reply_flags_t flags _unused_, void *userdata) {
        Session *s = userdata;
        int r;

        if (error_id) {
                if (!s->link)
                        on_refused(s, parameters, error_id);
                else /* spawnd is gone; the session goes on, only its result will not be heard */
                        s->spawn = sd_varlink_close_unref(s->spawn);
                return 0;
        }
        sd_json_variant *state = sd_json_variant_by_key(parameters, "state");
        if (!sd_json_variant_is_string(state))
                return 0;
        if (streq(sd_json_variant_string(state), "ended"))
                on_ended(s, parameters);
        else if (streq(sd_json_variant_string(state), "started") && !s->link) {
                r = on_started(s, parameters);
                if (r < 0) {
                        log_error_errno(r, "Cannot use the session that was started: %m");
                        batch_untried(s, AGAIN_USEC);
                        session_free(s);
                }
        }
        return 0;
}

static void session_start(Session *s) {
        int r;

        s->fresh = true;
        r = sd_varlink_connect_address(&s->spawn, POSTD_SPAWN_SOCKET);
        if (r >= 0)
                r = sd_varlink_set_allow_fd_passing_input(s->spawn, true);
        if (r >= 0)
                r = sd_varlink_attach_event(s->spawn, s->sessions->manager->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_varlink_set_relative_timeout(s->spawn, UINT64_MAX);
        if (r >= 0)
                r = session_timer(s, START_TIMEOUT_USEC);
        if (r >= 0) {
                sd_varlink_set_userdata(s->spawn, s);
                r = sd_varlink_bind_reply(s->spawn, on_spawn_reply);
        }
        if (r >= 0)
                r = sd_varlink_observebo(s->spawn, "io.postd.Spawn.Open", SD_JSON_BUILD_PAIR_UNSIGNED("uid", s->uid),
                                         SD_JSON_BUILD_PAIR_STRING("class", s->class));
        if (r >= 0)
                return;
        usec_t now = now_usec(CLOCK_BOOTTIME);
        if (now >= s->sessions->complain_next) {
                log_warning_errno(r, "Cannot reach postd-spawnd, trying again: %m");
                s->sessions->complain_next = now + COMPLAIN_USEC;
        }
        batch_untried(s, AGAIN_USEC);
        session_free(s);
}

/* Makes room for another session by closing the one that has been idle longest. */
static void sessions_make_room(Sessions *ss) {
        while (ss->sessions.size >= ss->manager->config->sessions_max) {
                Session *s, *oldest = NULL;

                MAP_FOREACH(s, &ss->sessions)
                        if (!session_busy(s) && (!oldest || s->idle_since < oldest->idle_since))
                                oldest = s;
                if (!oldest)
                        return;
                session_free(oldest);
        }
}

static int session_new(Sessions *ss, const char *key, const char *class, uid_t uid, Session **ret) {
        sessions_make_room(ss);

        _cleanup_free_ Session *s = new0(Session, 1);
        if (!s)
                return -ENOMEM;
        s->key = strdup(key);
        if (!s->key)
                return -ENOMEM;
        s->class = streq(class, "home") ? "home" : "mailbox";
        s->uid = uid;
        int r = map_put(&ss->sessions, s->key, s);
        if (r < 0) {
                free(s->key);
                return r;
        }
        s->sessions = ss;
        *ret = TAKE_PTR(s);
        return 0;
}

void sessions_deliver(Sessions *ss, const char *class, uid_t uid, Recipient *const *recipients, size_t n) {
        char key[64];
        Session *s;
        int r;

        assert(n > 0 && n <= BATCH_MAX);
        (void) snprintf(key, sizeof(key), "%s:%u", class, (unsigned) uid);
        s = map_get(&ss->sessions, key);
        if (s && s->link && !session_busy(s) && ss->manager->config->session_messages > 0 &&
            s->n_messages + n > ss->manager->config->session_messages)
                s = session_free(s);
        if (!s) {
                r = session_new(ss, key, class, uid, &s);
                if (r < 0) {
                        log_oom();
                        for (size_t i = 0; i < n; i++) {
                                scheduler_done(ss->manager->scheduler, &recipients[i]->job, JOB_UNTRIED, now_usec(CLOCK_BOOTTIME));
                                settle_untried(ss->manager, recipients[i], AGAIN_USEC);
                        }
                        return;
                }
        }
        assert(!session_busy(s));
        memcpy(s->batch, recipients, n * sizeof(Recipient *));
        ss->manager->n_in_flight += n;
        s->n_batch = n;
        s->n_messages += n;
        s->answered = false;
        for (size_t i = 0; i < n; i++)
                recipients[i]->phase = PHASE_DELIVERING;
        if (s->link)
                session_call(s);
        else
                session_start(s);
}

size_t sessions_count(const Sessions *s) {
        return s->sessions.size;
}

int sessions_new(Manager *manager, Sessions **ret) {
        Sessions *s = new0(Sessions, 1);
        if (!s)
                return -ENOMEM;
        s->manager = manager;
        *ret = s;
        return 0;
}

Sessions *sessions_free(Sessions *ss) {
        if (!ss)
                return NULL;
        for (;;) {
                size_t i = 0;
                Session *s = map_iterate(&ss->sessions, &i);
                if (!s)
                        break;
                session_free(s);
        }
        map_done(&ss->sessions);
        return mfree(ss);
}
