/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life of one session, from the caller's Open to the end of its unit. Whatever goes wrong is answered, and nothing
 * of it is the message's fault. */

#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/text.h"
#include "ipc/names.h"
#include "spawnd/spawnd.h"

#define START_TIMEOUT (90 * USEC_PER_SEC)

static size_t *starting_of(Session *s) {
        Manager *m = s->manager;
        return s->uid == m->rules->root_mail_uid ? &m->n_starting_root : &m->n_starting;
}

static void set_state(Session *s, SessionState state) {
        if (s->state == SESSION_STARTING)
                (*starting_of(s))--;
        s->state = state;
        if (state == SESSION_STARTING)
                (*starting_of(s))++;
}

Session *session_free(Session *s) {
        if (!s)
                return NULL;

        Manager *m = s->manager;
        set_state(s, SESSION_LOOKUP);
        for (Session **i = &m->first; *i; i = &(*i)->next)
                if (*i == s) {
                        *i = s->next;
                        if (m->last == &s->next)
                                m->last = i;
                        m->n_sessions--;
                        break;
                }
        sd_bus_slot_unref(s->match);
        sd_bus_slot_unref(s->call);
        sd_bus_slot_unref(s->memory_call);
        sd_event_source_disable_unref(s->deadline);
        sd_varlink_close_unref(s->lookup);
        sd_varlink_unref(s->link);
        safe_close(s->theirs);
        free(s->home);
        free(s->unit);
        free(s->path);
        return mfree(s);
}

/* Frees the session and lets the next one have its place. */
static void session_end(Session *s) {
        Manager *m = s->manager;

        session_free(s);
        manager_pump(m);
}

void session_fail(Session *s, const char *reason, int32_t status) {
        if (s->link)
                (void) sd_varlink_errorbo(s->link, "io.postd.Spawn.SetupFailed",
                                          SD_JSON_BUILD_PAIR_STRING("unit", strempty(s->unit)),
                                          SD_JSON_BUILD_PAIR_STRING("reason", reason),
                                          SD_JSON_BUILD_PAIR_CONDITION(status > 0, "status", SD_JSON_BUILD_INTEGER(status)));
        log_event(LOG_WARNING, MESSAGE_SESSION_FAILED, ((LogField[]) { { "POSTD_SESSION_UNIT", s->unit } }),
                  "Failed to start a %s session for uid " "%u" ": %s.", session_class_to_string(s->class), s->uid, reason);
        session_end(s);
}

static int on_deadline(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Session *s = userdata;

        if (s->state == SESSION_STARTING) {
                bus_stop_unit(s);
                bus_unref_unit(s);
        }
        session_fail(s, s->state == SESSION_LOOKUP ? "the user database does not answer" : "systemd did not start it in time", 0);
        return 0;
}

/* The home comes from the user database: a path, but anybody's text. */
static bool home_valid(const char *p) {
        size_t n = strlen(p);

        return p[0] == '/' && p[1] && n < 4096 && !has_control(p, n) && !strstr(p, "/../") && !strstr(p, "//") &&
               !(n >= 3 && streq(p + n - 3, "/.."));
}

static int on_user(sd_varlink *link, sd_json_variant *parameters, const char *error_id, sd_varlink_reply_flags_t flags _unused_,
                   void *userdata) {
        Session *s = userdata;

        s->lookup = NULL;
        sd_varlink_close_unref(link);
        if (streq_ptr(error_id, "io.postd.Table.NotFound")) {
                if (s->link)
                        (void) sd_varlink_error(s->link, "io.postd.Spawn.NoSuchUser", NULL);
                session_end(s);
                return 0;
        }
        if (error_id) {
                session_fail(s, "the user database does not answer", 0);
                return 0;
        }

        sd_json_variant *user = sd_json_variant_by_key(parameters, "user");
        sd_json_variant *uid = user ? sd_json_variant_by_key(user, "uid") : NULL;
        sd_json_variant *home = user ? sd_json_variant_by_key(user, "home") : NULL;
        if (!uid || !sd_json_variant_is_unsigned(uid) || sd_json_variant_unsigned(uid) != s->uid) {
                session_fail(s, "the user database answers nonsense", 0);
                return 0;
        }
        if (home && sd_json_variant_is_string(home) && home_valid(sd_json_variant_string(home))) {
                s->home = strdup(sd_json_variant_string(home));
                if (!s->home) {
                        session_fail(s, "out of memory", 0);
                        return 0;
                }
        }
        if (!s->home && s->class != CLASS_MAILBOX) {
                session_fail(s, "the user has no home directory", 0);
                return 0;
        }
        set_state(s, SESSION_WAITING);
        manager_pump(s->manager);
        return 0;
}

static int ask_for_user(Session *s) {
        char key[16];
        int r;

        r = sd_varlink_connect_address(&s->lookup, POSTD_USERS_SOCKET);
        if (r < 0)
                return r;
        sd_varlink_set_userdata(s->lookup, s);
        r = sd_varlink_attach_event(s->lookup, s->manager->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        r = sd_varlink_bind_reply(s->lookup, on_user);
        if (r < 0)
                return r;
        snprintf(key, sizeof(key), "%u", s->uid);
        return sd_varlink_invokebo(s->lookup, "io.postd.Table.Lookup", SD_JSON_BUILD_PAIR_STRING("table", "uids"),
                                   SD_JSON_BUILD_PAIR_STRING("key", key));
}

/* A name that no unit has, also none that a former spawner left running. */
static int name_unit(Session *s) {
        uint64_t id;
        int r;

        if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
                return -EAGAIN;
        if (asprintf(&s->unit, "postd-deliver-%s-%u-%016" PRIx64 ".service", session_class_to_string(s->class), s->uid, id) < 0) {
                s->unit = NULL;
                return -ENOMEM;
        }
        r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", s->unit, &s->path);
        return r < 0 ? r : 0;
}

int session_open(Manager *m, sd_varlink *link, uid_t uid, SessionClass class) {
        Session *s = new0(Session, 1);
        int r;

        if (!s)
                return -ENOMEM;
        *s = (Session) {
                .manager = m, .uid = uid, .class = class, .theirs = -EBADF, .link = sd_varlink_ref(link),
                .status = { .memory_peak = UINT64_MAX, .cpu_usage = UINT64_MAX },
        };
        *m->last = s;
        m->last = &s->next;
        m->n_sessions++;

        r = name_unit(s);
        if (r >= 0)
                r = sd_event_add_time_relative(m->event, &s->deadline, CLOCK_MONOTONIC, START_TIMEOUT, USEC_PER_SEC, on_deadline, s);
        if (r < 0) {
                session_free(s);
                return r;
        }
        r = ask_for_user(s);
        if (r < 0)
                session_fail(s, "the user database cannot be reached", 0);
        return 0;
}

void session_start(Session *s) {
        _cleanup_close_ int ours = -EBADF;
        int pair[2], r;

        set_state(s, SESSION_STARTING);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
                session_fail(s, strerror(errno), 0);
                return;
        }
        s->theirs = pair[0];
        ours = pair[1];
        r = bus_connect(s->manager);
        if (r >= 0)
                r = bus_start_unit(s, ours);
        if (r < 0)
                session_fail(s, "systemd cannot be reached over the bus", 0);
}

static void reply_started(Session *s) {
        if (!s->link)
                return;
        int index = sd_varlink_push_fd(s->link, s->theirs);
        if (index < 0)
                return; /* closing our end lets the session go, and its end is told */
        s->theirs = -EBADF;
        (void) sd_varlink_notifybo(s->link,
                                   SD_JSON_BUILD_PAIR_STRING("state", "started"),
                                   SD_JSON_BUILD_PAIR_STRING("unit", s->unit),
                                   SD_JSON_BUILD_PAIR_STRING("invocationId", s->status.invocation_id),
                                   SD_JSON_BUILD_PAIR_INTEGER("connection", index));
}

static const char *code_to_string(int32_t code) {
        return code == CLD_EXITED ? "exited" : code == CLD_KILLED ? "killed" : code == CLD_DUMPED ? "dumped" : NULL;
}

static void reply_ended(Session *s) {
        const UnitStatus *u = &s->status;
        const char *code = code_to_string(u->code);

        if (!s->link)
                return;
        (void) sd_varlink_replybo(s->link,
                                  SD_JSON_BUILD_PAIR_STRING("state", "ended"),
                                  SD_JSON_BUILD_PAIR_STRING("unit", s->unit),
                                  SD_JSON_BUILD_PAIR_STRING("invocationId", u->invocation_id),
                                  SD_JSON_BUILD_PAIR_STRING("result", u->result[0] ? u->result : "unknown"),
                                  SD_JSON_BUILD_PAIR_CONDITION(!!code, "code", SD_JSON_BUILD_STRING(code)),
                                  SD_JSON_BUILD_PAIR_CONDITION(!!code, "status", SD_JSON_BUILD_INTEGER(u->status)),
                                  SD_JSON_BUILD_PAIR_CONDITION(u->memory_peak != UINT64_MAX, "memoryPeak", SD_JSON_BUILD_UNSIGNED(u->memory_peak)),
                                  SD_JSON_BUILD_PAIR_CONDITION(u->cpu_usage != UINT64_MAX, "cpuUsageNSec", SD_JSON_BUILD_UNSIGNED(u->cpu_usage)));
}

static void session_finish(Session *s) {
        bus_unref_unit(s);
        if (s->state == SESSION_RUNNING) {
                reply_ended(s);
                session_end(s);
                return;
        }
        const char *result = s->status.result;
        session_fail(s, isempty(result) || streq(result, "success") ? "ended before it began" : result,
                     s->status.code == CLD_EXITED ? s->status.status : 0);
}

void session_advance(Session *s) {
        UnitStatus *u = &s->status;

        if (s->state == SESSION_STARTING && u->active) {
                s->deadline = sd_event_source_disable_unref(s->deadline);
                set_state(s, SESSION_RUNNING);
                reply_started(s);
                s->theirs = safe_close(s->theirs);
                manager_pump(s->manager);
        }
        if (!u->over || u->has_job || !u->seen_job || s->n_gets > 0)
                return;
        if (s->state == SESSION_RUNNING && !s->usage_asked) {
                s->usage_asked = true;
                if (bus_ask_usage(s) >= 0)
                        return;
        }
        session_finish(s);
}

void session_caller_gone(Session *s) {
        s->link = sd_varlink_unref(s->link);
        if (s->state < SESSION_STARTING)
                session_end(s);
        else /* the unit notices that its connection is closed; its end is still awaited */
                s->theirs = safe_close(s->theirs);
}

void session_bus_lost(Session *s) {
        if (s->state < SESSION_STARTING)
                return;
        if (s->state == SESSION_STARTING) {
                session_fail(s, "the connection to systemd was lost", 0);
                return;
        }
        s->status.result[0] = 0;
        reply_ended(s);
        session_end(s);
}
