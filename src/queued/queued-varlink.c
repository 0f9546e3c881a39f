/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Anybody may connect: every caller is bounded in connections, calls and the memory of answers. A list is made piece by
 * piece in the pool and waits for readers that are slow. */

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "basic/log.h"
#include "ipc/polkit.h"
#include "ipc/service.h"
#include "ipc/varlink-io.postd.h"
#include "queued/queued-bus.h"
#include "queued/queued-event.h"
#include "queued/queued-explain.h"
#include "queued/queued-operation.h"
#include "queued/queued-pause.h"
#include "queued/queued-varlink.h"

#define CONNECTIONS_MAX 512U
#define CONNECTIONS_FOR_ROOT 64U              /* of these */
#define CONNECTIONS_PER_UID_MAX 32U           /* each may hold 16 MiB of a call that never ends */
#define USERS_PRIORITY (SD_EVENT_PRIORITY_IDLE + 10) /* what mere users want: after mail, scheduler and root */
#define LIST_LIMIT 100U
#define LIST_LIMIT_MAX 1000U
#define LIST_PIECE_RECIPIENTS 5000U           /* in one reply, so that it stays far below 16 MiB */
#define LIST_UNREAD_MAX (128 * 1024)          /* bytes before a reader is waited for */
#define LIST_WAIT_USEC (20 * USEC_PER_MSEC)
#define LIST_PATIENCE_USEC (USEC_PER_MINUTE)
#define LISTS_MAX 256U
#define LISTS_PER_UID_MAX 8U                  /* so that readers who do not read keep nobody else from listing */

/* One call that needs a right first. */
typedef struct Call {
        Manager *manager;
        sd_varlink *link;
        Operation operation;
        char *id, *what, *text;
        uid_t uid;
        PolkitCheck *check;
        void (*go)(struct Call *c); /* with the right; frees */
        void (*no)(struct Call *c); /* without it, NULL: an error */
        bool more;                  /* List, Monitor */
        struct ListFilter *filter;
} Call;

static Call *call_free(Call *c) {
        if (!c)
                return NULL;
        polkit_check_cancel(c->check);
        sd_varlink_unref(c->link);
        free(c->id);
        free(c->what);
        free(c->text);
        free(c->filter);
        return mfree(c);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(Call *, call_free);

static int reply_error(sd_varlink *link, const Operation *o, int r) {
        if (r == -ENOENT && o->id)
                return sd_varlink_errorbo(link, "io.postd.Queue.NoSuchMessage", SD_JSON_BUILD_PAIR_STRING("id", o->id));
        if (r == -ENOENT)
                return sd_varlink_errorbo(link, "io.postd.Queue.NoSuchDestination", SD_JSON_BUILD_PAIR_STRING("name", strempty(o->text ?: o->what)));
        if (r == -EBUSY)
                return sd_varlink_errorbo(link, "io.postd.Queue.InFlight", SD_JSON_BUILD_PAIR_STRING("id", strempty(o->id)));
        if (r == -EINVAL && o->what)
                return sd_varlink_error_invalid_parameter_name(link, o->text ? "name" : "what");
        return sd_varlink_errorbo(link, "io.postd.Queue.Failed", SD_JSON_BUILD_PAIR_STRING("reason", strerror(-r)));
}

static int reply_message(sd_varlink *link, Verb verb, const Message *m) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        int r;

        if (verb == VERB_CAT) {
                r = sd_varlink_push_dup_fd(link, m->content_fd);
                if (r < 0)
                        return r;
                return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_INTEGER("content", r), SD_JSON_BUILD_PAIR_UNSIGNED("size", m->size));
        }
        r = operation_message_json(m->open, &v);
        if (r < 0)
                return r;
        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("message", v));
}

static void on_operation(Manager *manager _unused_, void *userdata, int r, Message *m) {
        Call *c = userdata;

        if (r < 0)
                r = reply_error(c->link, &c->operation, r);
        else if (m)
                r = reply_message(c->link, c->operation.verb, m);
        else if (c->operation.verb == VERB_FLUSH)
                r = sd_varlink_replybo(c->link, SD_JSON_BUILD_PAIR_INTEGER("recipients", r));
        else
                r = sd_varlink_reply(c->link, NULL);
        if (r < 0)
                log_debug_errno(r, "Cannot answer a caller: %m");
        call_free(c);
}

static void go_operation(Call *c) {
        operation_run(c->manager, &c->operation, c->uid, on_operation, c);
}

static void on_polkit(PolkitResult result, uid_t uid _unused_, void *userdata) {
        Call *c = userdata;

        c->check = NULL;
        if (result == POLKIT_ALLOWED)
                c->go(c);
        else if (c->no)
                c->no(c);
        else {
                (void) sd_varlink_error(c->link, result == POLKIT_INTERACTIVE ? SD_VARLINK_ERROR_INTERACTIVE_AUTHENTICATION_REQUIRED :
                                                                              SD_VARLINK_ERROR_PERMISSION_DENIED, NULL);
                call_free(c);
        }
}

/* Runs the call, or its refusal, once the right to the action (NULL: none needed) is known. Takes the call over. */
static int authorise(Call *c, const char *action, bool interactive) {
        int r;

        if (!action || c->uid == 0) {
                c->go(c);
                return 0;
        }
        r = polkit_check_varlink(bus_get(c->manager), c->link, action, interactive, on_polkit, c, &c->check);
        if (r < 0) {
                log_warning_errno(r, "Cannot ask polkit: %m");
                r = POLKIT_UNAVAILABLE;
        }
        if (r != POLKIT_PENDING)
                on_polkit(r, c->uid, c);
        return 0;
}

static int call_new(Manager *manager, sd_varlink *link, const Operation *o, Call **ret) {
        _cleanup_(call_freep) Call *c = new0(Call, 1);
        int r;

        if (!c)
                return -ENOMEM;
        c->manager = manager;
        c->link = sd_varlink_ref(link);
        r = sd_varlink_get_peer_uid(link, &c->uid);
        if (r < 0)
                return r;
        c->operation = *o;
        if ((o->id && !(c->operation.id = c->id = strdup(o->id))) || (o->what && !(c->operation.what = c->what = strdup(o->what))) ||
            (o->text && !(c->operation.text = c->text = strdup(o->text))))
                return -ENOMEM;
        c->go = go_operation;
        *ret = TAKE_PTR(c);
        return 0;
}

static int start_operation(Manager *manager, sd_varlink *link, const Operation *o, bool interactive) {
        const char *action;
        Call *c;
        int r;

        r = call_new(manager, link, o, &c);
        if (r < 0)
                return r;
        r = operation_action(manager, &c->operation, c->uid, &action);
        if (r < 0) {
                r = reply_error(link, &c->operation, r);
                call_free(c);
                return r;
        }
        return authorise(c, action, interactive);
}

/* The methods that name a message, or a thing to pause: alike but for the fields. */
typedef struct Parameters {
        const char *id, *what, *text;
        uint64_t recipient;
        int interactive;
} Parameters;

#define FIELD_ID(flags) { "id", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(Parameters, id), flags }
#define FIELD_TEXT(name) { name, SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(Parameters, text), SD_JSON_NULLABLE }
#define FIELD_INTERACTIVE \
        { "allowInteractiveAuthentication", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_tristate, offsetof(Parameters, interactive), SD_JSON_NULLABLE }

static int operation_method(sd_varlink *link, sd_json_variant *v, Manager *manager, Verb verb, const sd_json_dispatch_field *fields) {
        Parameters p = { .recipient = RECIPIENT_NONE };
        int r;

        r = sd_varlink_dispatch(link, v, fields, &p);
        if (r != 0)
                return r;
        if (p.recipient > UINT32_MAX)
                return sd_varlink_error_invalid_parameter_name(link, "recipient");
        if (p.text && strlen(p.text) > 255)
                return sd_varlink_error_invalid_parameter_name(link, verb == VERB_HOLD ? "reason" : "name");
        Operation o = { verb, p.id, p.what, p.text, p.recipient };
        return start_operation(manager, link, &o, p.interactive > 0);
}

#define DEFINE_METHOD(name, verb, ...)                                                                                        \
        static int method_##name(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags _unused_, void *userdata) { \
                static const sd_json_dispatch_field fields[] = { __VA_ARGS__, {} };                                           \
                return operation_method(link, v, userdata, verb, fields);                                                     \
        }                                                                                                                     \
        struct __dummy_##name

#define FIELDS_WHAT                                                                                                           \
        { "what", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(Parameters, what), SD_JSON_MANDATORY },     \
        FIELD_TEXT("name"), FIELD_INTERACTIVE

DEFINE_METHOD(show, VERB_SHOW, FIELD_ID(SD_JSON_MANDATORY));
DEFINE_METHOD(cat, VERB_CAT, FIELD_ID(SD_JSON_MANDATORY));
DEFINE_METHOD(hold, VERB_HOLD, FIELD_ID(SD_JSON_MANDATORY), FIELD_TEXT("reason"), FIELD_INTERACTIVE);
DEFINE_METHOD(release, VERB_RELEASE, FIELD_ID(SD_JSON_MANDATORY), FIELD_INTERACTIVE);
DEFINE_METHOD(remove, VERB_REMOVE, FIELD_ID(SD_JSON_MANDATORY), FIELD_INTERACTIVE,
              { "recipient", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(Parameters, recipient), SD_JSON_NULLABLE });
DEFINE_METHOD(flush, VERB_FLUSH, FIELD_ID(SD_JSON_NULLABLE), FIELD_TEXT("destination"), FIELD_INTERACTIVE);
DEFINE_METHOD(requeue, VERB_REQUEUE, FIELD_ID(SD_JSON_MANDATORY), FIELD_INTERACTIVE);
DEFINE_METHOD(pause, VERB_PAUSE, FIELDS_WHAT);
DEFINE_METHOD(resume, VERB_RESUME, FIELDS_WHAT);

/* List */

struct ListFilter {
        char sender[321], recipient[321];
        bool by_sender, by_recipient;
        int held; /* < 0: either */
        char after[QUEUE_ID_LENGTH + 1];
        unsigned limit;
};

struct List {
        Work work;
        Manager *manager;
        List *next;
        uid_t uid;
        bool all;               /* not only the messages of uid */
        sd_varlink *link;
        struct ListFilter filter;
        bool more;
        QueueId *ids;
        size_t n, position;
        sd_event_source *timer;
        usec_t waiting_since;

        sd_json_variant *piece; /* made in the pool */
        int r;
};

static bool list_permitted(const Manager *manager, uid_t uid) {
        size_t n = 0, n_uid = 0;

        for (const List *l = manager->lists; l; l = l->next) {
                n++;
                n_uid += l->uid == uid;
        }
        return n < LISTS_MAX && (uid == 0 || n_uid < LISTS_PER_UID_MAX);
}

static void list_free(List *l) {
        for (List **p = &l->manager->lists; *p; p = &(*p)->next)
                if (*p == l) {
                        *p = l->next;
                        break;
                }
        sd_event_source_disable_unref(l->timer);
        sd_varlink_unref(l->link);
        sd_json_variant_unref(l->piece);
        free(l->ids);
        free(l);
}

static bool matches(const struct ListFilter *f, const QueuedMessage *q) {
        if (f->held >= 0 && q->held != (f->held > 0))
                return false;
        if (f->by_sender && strcasecmp(f->sender, strempty(q->envelope.sender)) != 0)
                return false;
        if (!f->by_recipient)
                return true;
        for (size_t i = 0; i < q->n_recipients; i++) {
                const char *a = q->recipients[i].address, *at = f->recipient[0] == '@' ? strrchr(a, '@') : a;
                if (at && strcasecmp(at, f->recipient) == 0)
                        return true;
        }
        return false;
}

static void list_run(Work *w) {
        List *l = container_of(w, List, work);
        size_t n = 0, n_recipients = 0;

        l->r = 0;
        while (l->r >= 0 && l->position < l->n && n < l->filter.limit && n_recipients < LIST_PIECE_RECIPIENTS) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
                _cleanup_(queued_message_done) QueuedMessage q = QUEUED_MESSAGE_INIT;

                /* One that is gone by now, or cannot be read, is left out. */
                if (store_read(l->manager->store, l->ids + l->position++, &q) < 0 || !matches(&l->filter, &q))
                        continue;
                l->r = operation_message_json(&q, &v);
                if (l->r >= 0)
                        l->r = sd_json_variant_append_array(&l->piece, v);
                n++;
                n_recipients += q.n_recipients;
        }
        if (l->r >= 0 && !l->piece)
                l->r = sd_json_variant_new_array(&l->piece, NULL, 0);
}

static void list_next(List *l);

static int on_list_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        List *l = userdata;

        l->timer = sd_event_source_disable_unref(l->timer);
        list_next(l);
        return 0;
}

static bool list_wait(List *l) {
        int unread = 0, fd = sd_varlink_get_fd(l->link);
        usec_t now = now_usec(CLOCK_BOOTTIME);

        if (fd < 0 || ioctl(fd, SIOCOUTQ, &unread) < 0 || unread <= LIST_UNREAD_MAX) {
                l->waiting_since = now;
                return false;
        }
        if (now > l->waiting_since + LIST_PATIENCE_USEC) {
                sd_varlink_close(l->link);
                return false;
        }
        return sd_event_add_time_relative(l->manager->event, &l->timer, CLOCK_BOOTTIME, LIST_WAIT_USEC, 0, on_list_timer, l) >= 0;
}

/* The first piece waits until the whole spool has been read: a list that lacks half of it would be believed. */
static int list_begin(List *l) {
        int r;

        if (l->ids)
                return 0;
        if (l->manager->loader)
                return sd_event_add_time_relative(l->manager->event, &l->timer, CLOCK_BOOTTIME, LIST_WAIT_USEC, 0, on_list_timer, l) < 0 ? 0 : 1;
        r = operation_list_ids(l->manager, l->all ? UID_UNKNOWN : l->uid, &l->ids, &l->n);
        if (r < 0)
                return r;
        while (l->position < l->n && strcmp(l->ids[l->position].s, l->filter.after) <= 0)
                l->position++;
        return 0;
}

static void list_next(List *l) {
        int r = list_begin(l);

        if (r < 0) {
                (void) reply_error(l->link, &(Operation) {}, r);
                list_free(l);
        } else if (r == 0 && !list_wait(l))
                pool_submit(l->manager->readers, &l->work);
}

static void list_done(Work *w) {
        List *l = container_of(w, List, work);
        bool last = !l->more || l->position >= l->n;
        int r = l->r;

        if (r < 0) {
                (void) reply_error(l->link, &(Operation) {}, r);
                list_free(l);
                return;
        }
        if (!last)
                r = sd_varlink_notifybo(l->link, SD_JSON_BUILD_PAIR_VARIANT("messages", l->piece));
        else
                r = sd_varlink_replybo(l->link, SD_JSON_BUILD_PAIR_VARIANT("messages", l->piece),
                                       SD_JSON_BUILD_PAIR_CONDITION(l->position < l->n, "incomplete", SD_JSON_BUILD_BOOLEAN(true)));
        l->piece = sd_json_variant_unref(l->piece);
        if (last || r < 0 || l->manager->stopping)
                list_free(l);
        else
                list_next(l);
}

static void list_start(Call *c, bool all) {
        List *l = list_permitted(c->manager, c->uid) ? new0(List, 1) : NULL;

        if (!l) {
                (void) reply_error(c->link, &(Operation) {}, -ENOBUFS);
                call_free(c);
                return;
        }
        l->all = all;
        l->manager = c->manager;
        l->link = sd_varlink_ref(c->link);
        l->filter = *c->filter;
        l->more = c->more;
        l->work = (Work) { .run = list_run, .done = list_done };
        l->waiting_since = now_usec(CLOCK_BOOTTIME);
        l->uid = c->uid;
        l->next = c->manager->lists;
        c->manager->lists = l;
        call_free(c);
        list_next(l);
}

static void list_all(Call *c) {
        list_start(c, true);
}

static void list_own(Call *c) {
        list_start(c, false);
}

static bool copy_filter(const char *s, char buffer[static 321], bool *ret_set) {
        if (!s)
                return true;
        if (strlen(s) > 320)
                return false;
        strcpy(buffer, s);
        *ret_set = true;
        return true;
}

static int method_list(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags, void *userdata) {
        struct {
                const char *sender, *recipient, *after;
                int held;
                uint64_t limit;
        } p = { .held = -1 };
        static const sd_json_dispatch_field fields[] = {
                { "sender", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), sender), SD_JSON_NULLABLE },
                { "recipient", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), recipient), SD_JSON_NULLABLE },
                { "held", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_tristate, offsetof(typeof(p), held), SD_JSON_NULLABLE },
                { "after", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), after), SD_JSON_NULLABLE },
                { "limit", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(typeof(p), limit), SD_JSON_NULLABLE },
                {},
        };
        Call *c;
        int r;

        r = sd_varlink_dispatch(link, v, fields, &p);
        if (r != 0)
                return r;
        r = call_new(userdata, link, &(Operation) {}, &c);
        if (r < 0)
                return r;
        c->filter = new0(struct ListFilter, 1);
        if (!c->filter) {
                call_free(c);
                return -ENOMEM;
        }
        c->filter->held = p.held;
        c->filter->limit = p.limit == 0 ? LIST_LIMIT : MIN(p.limit, (uint64_t) LIST_LIMIT_MAX);
        c->more = flags & SD_VARLINK_METHOD_MORE;
        if (!copy_filter(p.sender, c->filter->sender, &c->filter->by_sender) ||
            !copy_filter(p.recipient, c->filter->recipient, &c->filter->by_recipient) ||
            (p.after && strlen(p.after) > QUEUE_ID_LENGTH)) {
                call_free(c);
                return sd_varlink_error_invalid_parameter_name(link, p.after && strlen(p.after) > QUEUE_ID_LENGTH ? "after" : "recipient");
        }
        strcpy(c->filter->after, strempty(p.after));
        c->go = list_all;
        c->no = list_own;
        return authorise(c, POLKIT_ACTION_VIEW, false);
}

/* Monitor: the connection stays open until the caller goes. */

static void monitor_start(Call *c, bool all) {
        int r = event_subscribe(c->manager, c->link, all, c->uid);
        if (r < 0)
                (void) reply_error(c->link, &(Operation) {}, r);
        call_free(c);
}

static void monitor_all(Call *c) {
        monitor_start(c, true);
}

static void monitor_own(Call *c) {
        monitor_start(c, false);
}

static int method_monitor(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags _unused_, void *userdata) {
        static const sd_json_dispatch_field fields[] = { {} };
        Call *c;
        int r;

        r = sd_varlink_dispatch(link, v, fields, NULL);
        if (r != 0)
                return r;
        r = call_new(userdata, link, &(Operation) {}, &c);
        if (r < 0)
                return r;
        c->go = monitor_all;
        c->no = monitor_own;
        return authorise(c, POLKIT_ACTION_VIEW, false);
}

static int on_connect(sd_varlink_server *server, sd_varlink *link, void *userdata) {
        Manager *manager = userdata;
        uid_t uid;
        int r;

        r = sd_varlink_get_peer_uid(link, &uid);
        if (r < 0)
                return r;
        if (uid != 0) {
                if (sd_varlink_server_current_connections(server) > CONNECTIONS_MAX - CONNECTIONS_FOR_ROOT)
                        return -EBUSY;
                sd_varlink_detach_event(link);
                r = sd_varlink_attach_event(link, manager->event, USERS_PRIORITY);
                if (r < 0)
                        return r;
        }
        return sd_varlink_set_allow_fd_passing_output(link, true);
}

static void on_disconnect(sd_varlink_server *server _unused_, sd_varlink *link, void *userdata) {
        event_unsubscribe(userdata, link);
}

/* Status and Metrics: counters only, for everybody. */

static int add_destination(const DestinationInfo *info, void *userdata) {
        sd_json_variant **list = userdata;
        RetryClock clock = manager_clock();

        return sd_json_variant_append_arraybo(
                        list,
                        SD_JSON_BUILD_PAIR_STRING("name", info->name),
                        SD_JSON_BUILD_PAIR_UNSIGNED("waiting", info->n_waiting),
                        SD_JSON_BUILD_PAIR_UNSIGNED("inFlight", info->n_in_flight),
                        SD_JSON_BUILD_PAIR_UNSIGNED("failures", info->failures),
                        SD_JSON_BUILD_PAIR_CONDITION(info->not_before > clock.boottime, "notBefore",
                                                     SD_JSON_BUILD_UNSIGNED(retry_due_realtime(info->not_before, &clock))),
                        SD_JSON_BUILD_PAIR_BOOLEAN("paused", info->paused));
}

static int method_status(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags _unused_, void *userdata) {
        static const sd_json_dispatch_field fields[] = { {} };
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *paused = NULL, *destinations = NULL;
        Manager *m = userdata;
        uint64_t bytes = 0, inodes;
        uid_t uid;
        int r;

        r = sd_varlink_dispatch(link, v, fields, NULL);
        if (r != 0)
                return r;
        r = sd_varlink_get_peer_uid(link, &uid);
        if (r < 0)
                return r;
        r = sd_json_variant_new_array(&paused, NULL, 0);
        if (r >= 0)
                r = sd_json_variant_new_array(&destinations, NULL, 0);
        for (const Pause *p = m->pauses; p && r >= 0; p = p->next) {
                char text[300];

                (void) snprintf(text, sizeof(text), "%s%s%s", p->what, p->name ? " " : "", strempty(p->name));
                r = sd_json_variant_append_arrayb(&paused, SD_JSON_BUILD_STRING(text));
        }
        /* Names of destinations tell whom mail is for. */
        if (r >= 0 && uid == 0)
                r = scheduler_foreach_destination(m->scheduler, add_destination, &destinations);
        if (r < 0)
                return r;
        (void) store_free_space(m->store, &bytes, &inodes);
        return sd_varlink_replybo(link,
                                  SD_JSON_BUILD_PAIR_STRING("version", POSTD_VERSION),
                                  SD_JSON_BUILD_PAIR_STRING("hostName", m->config->host_name),
                                  SD_JSON_BUILD_PAIR_BOOLEAN("loading", !!m->loader),
                                  SD_JSON_BUILD_PAIR_UNSIGNED("messages", m->messages.size),
                                  SD_JSON_BUILD_PAIR_UNSIGNED("recipients", m->n_recipients),
                                  SD_JSON_BUILD_PAIR_UNSIGNED("held", m->n_held),
                                  SD_JSON_BUILD_PAIR_UNSIGNED("inFlight", m->n_in_flight),
                                  SD_JSON_BUILD_PAIR_UNSIGNED("damaged", m->counters[COUNTER_DAMAGED]),
                                  SD_JSON_BUILD_PAIR_UNSIGNED("freeBytes", bytes),
                                  SD_JSON_BUILD_PAIR_VARIANT("paused", paused),
                                  SD_JSON_BUILD_PAIR_CONDITION(!!m->config_error, "configurationError", SD_JSON_BUILD_STRING(m->config_error)),
                                  SD_JSON_BUILD_PAIR_VARIANT("destinations", destinations));
}

static int method_metrics(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags _unused_, void *userdata) {
        static const sd_json_dispatch_field fields[] = { {} };
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *list = NULL;
        Manager *m = userdata;
        int r;

        r = sd_varlink_dispatch(link, v, fields, NULL);
        if (r != 0)
                return r;
        for (Counter i = 0; i < _COUNTER_MAX && r >= 0; i++)
                r = sd_json_variant_append_arraybo(&list, SD_JSON_BUILD_PAIR_STRING("name", counter_to_string(i)),
                                                   SD_JSON_BUILD_PAIR_UNSIGNED("value", m->counters[i]));
        if (r < 0)
                return r;
        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_VARIANT("metrics", list));
}

static int method_explain(sd_varlink *link, sd_json_variant *v, sd_varlink_method_flags_t flags _unused_, void *userdata) {
        struct {
                const char *sender, *recipient;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "sender", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), sender), SD_JSON_MANDATORY },
                { "recipient", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), recipient), SD_JSON_MANDATORY },
                {},
        };
        int r;

        r = sd_varlink_dispatch(link, v, fields, &p);
        return r != 0 ? r : explain_start(userdata, link, p.recipient);
}

int queue_listen(Manager *manager, int fd) {
        int r;

        r = service_varlink_server_new(manager->event, &vl_interface_io_postd_Queue, 0,
                                       CONNECTIONS_MAX, CONNECTIONS_PER_UID_MAX, manager, &manager->queue_server);
        if (r < 0)
                return r;
        r = sd_varlink_server_bind_method_many(
                        manager->queue_server,
                        "io.postd.Queue.List", method_list,
                        "io.postd.Queue.Show", method_show,
                        "io.postd.Queue.Cat", method_cat,
                        "io.postd.Queue.Hold", method_hold,
                        "io.postd.Queue.Release", method_release,
                        "io.postd.Queue.Remove", method_remove,
                        "io.postd.Queue.Flush", method_flush,
                        "io.postd.Queue.Requeue", method_requeue,
                        "io.postd.Queue.Pause", method_pause,
                        "io.postd.Queue.Resume", method_resume,
                        "io.postd.Queue.Status", method_status,
                        "io.postd.Queue.Metrics", method_metrics,
                        "io.postd.Queue.Explain", method_explain,
                        "io.postd.Queue.Monitor", method_monitor);
        if (r < 0)
                return r;
        r = sd_varlink_server_bind_connect(manager->queue_server, on_connect);
        if (r < 0)
                return r;
        r = sd_varlink_server_bind_disconnect(manager->queue_server, on_disconnect);
        if (r < 0)
                return r;
        return sd_varlink_server_listen_fd(manager->queue_server, fd);
}

void queue_done(Manager *manager) {
        event_unsubscribe(manager, NULL);
        manager->queue_server = sd_varlink_server_unref(manager->queue_server);
}
