/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Receivers read hostile bytes and may have been taken over: everything they say is checked again here, and the most a bad
 * one can do is submit mail as its own listener. A call that cannot be served is refused with a 4xx. */


#include "address/address.h"
#include "basic/fd.h"
#include "basic/log.h"
#include "basic/text.h"
#include "ipc/service.h"
#include "ipc/varlink-io.postd.h"
#include "message/received.h"
#include "queued/queued-event.h"
#include "queued/queued-load.h"
#include "queued/queued-pause.h"
#include "queued/queued-route.h"
#include "queued/queued-store.h"
#include "queued/queued-submission.h"

#define SUBMITTING_MAX 512U          /* being written at once */
#define CONNECTIONS_MAX 256U
#define PARAMETER_MAX 1024U          /* of ENVID, ORCPT, HELO, ... (RFC 3461 4: 100 and 500) */
#define FREE_SPACE_USEC (USEC_PER_SEC) /* how long a look at the free space is believed */

struct Listener {
        Manager *manager;
        sd_varlink_server *server;
        char *name;
};

static int refuse(sd_varlink *link, Manager *manager, unsigned code, const char *status, const char *text) {
        manager->counters[COUNTER_REFUSED]++;
        return sd_varlink_errorbo(link, "io.postd.Submission.Refused", SD_JSON_BUILD_PAIR_UNSIGNED("code", code),
                                  SD_JSON_BUILD_PAIR_STRING("status", status), SD_JSON_BUILD_PAIR_STRING("text", text));
}

static int refuse_errno(sd_varlink *link, Manager *manager, int error) {
        if (IN_SET(error, -ENOSPC, -EDQUOT))
                return refuse(link, manager, 452, "4.3.1", "Insufficient system storage");
        return refuse(link, manager, 451, "4.3.0", "Local error, try again later");
}

/* Is there room for a message of this size beside the reserve? */
static bool has_room(Manager *manager, uint64_t size) {
        usec_t now = now_usec(CLOCK_BOOTTIME);

        if (now >= manager->free_checked + FREE_SPACE_USEC || manager->free_checked == 0) {
                uint64_t bytes, inodes;
                int r = store_free_space(manager->store, &bytes, &inodes);
                if (r < 0)
                        log_warning_errno(r, "Cannot see how much room the spool has, ignoring: %m");
                bytes = r < 0 ? UINT64_MAX / 2 : inodes < 64 ? 0 : bytes;
                if (bytes < manager->config->spool_reserve &&
                    (manager->free_bytes >= manager->config->spool_reserve || manager->free_checked == 0)) {
                        char free_text[24];
                        (void) snprintf(free_text, sizeof(free_text), "%" PRIu64, bytes);
                        LogField fields[] = { { "POSTD_SIZE", free_text } };
                        log_event(LOG_ERR, MESSAGE_SPOOL_FULL, fields, "The spool is nearly full (%s bytes free): no mail is accepted until there is room.", free_text);
                }
                manager->free_bytes = bytes;
                manager->free_checked = now;
        }
        return manager->free_bytes >= manager->config->spool_reserve &&
                manager->free_bytes - manager->config->spool_reserve >= size;
}

static bool string_ok(const char *s, size_t max) {
        size_t n = strlen(s);
        return n <= max && !has_control(s, n);
}

static int copy_string(const char *s, size_t max, char **ret) {
        if (!s)
                return 0;
        if (!string_ok(s, max))
                return -EINVAL;
        char *copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        free_and_replace(*ret, copy);
        return 0;
}

static int parse_context(const Listener *l, sd_json_variant *v, Origin *o) {
        struct {
                const char *protocol, *helo, *address, *name, *unit, *login;
                uint64_t uid;
        } p = { .uid = UINT64_MAX };
        static const sd_json_dispatch_field fields[] = {
                { "protocol", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), protocol), SD_JSON_MANDATORY },
                { "helo", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), helo), SD_JSON_NULLABLE },
                { "peerAddress", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), address), SD_JSON_NULLABLE },
                { "peerName", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), name), SD_JSON_NULLABLE },
                { "uid", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(typeof(p), uid), SD_JSON_NULLABLE },
                { "unit", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), unit), SD_JSON_NULLABLE },
                { "login", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), login), SD_JSON_NULLABLE },
                {},
        };
        int r;

        r = sd_json_dispatch(v, fields, 0, &p);
        if (r < 0)
                return r;
        o->uid = p.uid < UINT32_MAX ? (uid_t) p.uid : UID_UNKNOWN;
        r = copy_string(l->name, 64, &o->listener);
        if (r >= 0)
                r = copy_string(p.protocol, 32, &o->protocol);
        if (r >= 0)
                r = copy_string(p.helo, 255, &o->helo);
        if (r >= 0)
                r = copy_string(p.address, 64, &o->peer_address);
        if (r >= 0)
                r = copy_string(p.name, 255, &o->peer_name);
        if (r >= 0)
                r = copy_string(p.unit, 255, &o->unit);
        if (r >= 0)
                r = copy_string(p.login, 255, &o->login);
        return r;
}

/* Reverse-path without angle brackets; empty is <>. */
static bool sender_ok(const char *sender) {
        return isempty(sender) || address_valid(sender, ADDRESS_UTF8 | ADDRESS_UNQUALIFIED);
}

/* Check: one look-up per recipient, answered together. */

typedef struct CheckCall CheckCall;

typedef struct CheckItem {
        CheckCall *call;
        char *address;
        CheckReply reply;
} CheckItem;

struct CheckCall {
        Listener *listener;
        sd_varlink *link;
        size_t n, n_open;
        bool starting;
        CheckItem items[];
};

static void check_free(CheckCall *c) {
        for (size_t i = 0; i < c->n; i++)
                free(c->items[i].address);
        sd_varlink_unref(c->link);
        free(c);
}

static void check_answer(CheckCall *c) {
        static const char *const words[] = { [CHECK_ACCEPT] = "accept", [CHECK_REJECT] = "reject", [CHECK_DEFER] = "defer" };
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *list = NULL;
        int r = 0;

        for (size_t i = 0; i < c->n && r >= 0; i++) {
                const CheckReply *reply = &c->items[i].reply;
                char status[ENHANCED_STATUS_MAX];

                r = sd_json_variant_append_arraybo(&list, SD_JSON_BUILD_PAIR_STRING("result", words[reply->result]),
                                                   SD_JSON_BUILD_PAIR_UNSIGNED("code", reply->code),
                                                   SD_JSON_BUILD_PAIR_STRING("status", enhanced_status_format(reply->status, status)),
                                                   SD_JSON_BUILD_PAIR_STRING("text", reply->text));
        }
        if (r >= 0 && !list)
                r = sd_json_variant_new_array(&list, NULL, 0);
        r = r < 0 ? refuse_errno(c->link, c->listener->manager, r) : sd_varlink_replybo(c->link, SD_JSON_BUILD_PAIR_VARIANT("replies", list));
        if (r < 0)
                log_debug_errno(r, "Cannot answer a receiver: %m");
        check_free(c);
}

static void on_checked(Manager *manager, void *userdata, const CheckReply *reply) {
        CheckItem *item = userdata;
        CheckCall *c = item->call;

        item->reply = *reply;
        if (reply->result != CHECK_ACCEPT)
                manager->counters[COUNTER_REFUSED]++;
        if (--c->n_open == 0 && !c->starting)
                check_answer(c);
}

static int check_start(Listener *l, sd_varlink *link, const Origin *origin, const char *sender, sd_json_variant *recipients) {
        size_t n = sd_json_variant_elements(recipients);

        CheckCall *c = calloc(1, sizeof(CheckCall) + n * sizeof(CheckItem));
        if (!c)
                return -ENOMEM;
        c->listener = l;
        c->link = sd_varlink_ref(link);
        c->n = c->n_open = n;
        c->starting = true;
        for (size_t i = 0; i < n; i++) {
                sd_json_variant *v = sd_json_variant_by_index(recipients, i);

                c->items[i].call = c;
                c->items[i].address = sd_json_variant_is_string(v) ? strdup(sd_json_variant_string(v)) : NULL;
        }
        for (size_t i = 0; i < n; i++) {
                if (c->items[i].address && address_valid(c->items[i].address, ADDRESS_UTF8 | ADDRESS_UNQUALIFIED))
                        route_check(l->manager, origin, sender, c->items[i].address, on_checked, c->items + i);
                else
                        on_checked(l->manager, c->items + i, &(CheckReply) { CHECK_REJECT, 553, STATUS(5, 1, 3), "Bad recipient address syntax" });
        }
        c->starting = false;
        if (c->n_open == 0)
                check_answer(c);
        return 0;
}

static int method_check(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata) {
        Listener *l = userdata;
        struct {
                sd_json_variant *context, *recipients;
                const char *sender;
                uint64_t size;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "context", SD_JSON_VARIANT_OBJECT, sd_json_dispatch_variant_noref, offsetof(typeof(p), context), SD_JSON_MANDATORY },
                { "sender", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), sender), SD_JSON_MANDATORY },
                { "recipients", SD_JSON_VARIANT_ARRAY, sd_json_dispatch_variant_noref, offsetof(typeof(p), recipients), SD_JSON_MANDATORY },
                { "size", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(typeof(p), size), SD_JSON_NULLABLE },
                {},
        };
        _cleanup_(origin_done) Origin origin = ORIGIN_INIT;
        Manager *m = l->manager;
        int r;

        r = sd_varlink_dispatch(link, parameters, fields, &p);
        if (r != 0)
                return r;
        if (parse_context(l, p.context, &origin) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "context");
        if (sd_json_variant_elements(p.recipients) > m->config->recipients_max_local)
                return sd_varlink_error_invalid_parameter_name(link, "recipients");

        if (m->stopping || pause_listener(m, l->name))
                return refuse(link, m, 451, "4.3.2", "Not accepting mail at the moment");
        if (!sender_ok(p.sender))
                return refuse(link, m, 553, "5.1.7", "Bad sender address syntax");
        if (p.size > m->config->message_size_max)
                return refuse(link, m, 552, "5.3.4", "Message too large");
        if (!has_room(m, p.size))
                return refuse(link, m, 452, "4.3.1", "Insufficient system storage");
        return check_start(l, link, &origin, p.sender, p.recipients);
}

/* Submit: copied and synced in the pool. */

struct Submission {
        Work work;
        Submission *next;
        Manager *manager;
        sd_varlink *link;
        Envelope envelope;
        int fd;
        uint64_t size;
        bool repeated;
        bool deliver_now;            /* its first attempt will come at once: have the content ready */

        QueueId id;
        QueuedMessage *stored;
        int content_fd;
        bool duplicate;              /* the token was known: id is that message's */
        int r;
};

static Submission *submission_free(Submission *s) {
        if (!s)
                return NULL;
        for (Submission **p = &s->manager->submitting; *p; p = &(*p)->next)
                if (*p == s) {
                        *p = s->next;
                        s->manager->n_submitting--;
                        break;
                }
        sd_varlink_unref(s->link);
        envelope_done(&s->envelope);
        safe_close(s->fd);
        safe_close(s->content_fd);
        if (s->stored) {
                queued_message_done(s->stored);
                free(s->stored);
        }
        return mfree(s);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(Submission *, submission_free);

static int submission_store(Submission *s) {
        const Config *config = s->manager->config;
        int r = -EEXIST;

        for (int tries = 0; tries < 8 && r == -EEXIST; tries++) {
                _cleanup_free_ char *received = NULL;

                r = queue_id_new(s->envelope.arrival, &s->id);
                if (r < 0)
                        return r;
                r = received_format(&s->envelope, &s->id, config->host_name,
                                    s->envelope.n_recipients == 1 ? s->envelope.recipients[0].address : NULL, &received);
                if (r < 0)
                        return r;
                r = store_create(s->manager->store, &s->id, &s->envelope, received, strlen(received), s->fd, s->size, s->stored);
        }
        return r;
}

static void submission_run(Work *w) {
        Submission *s = container_of(w, Submission, work);

        if (s->repeated) {
                s->r = store_find_finished(s->manager->store, s->envelope.token, &s->id);
                s->duplicate = s->r > 0;
                if (s->r != 0)
                        return;
        }
        s->r = submission_store(s);
        if (s->r < 0)
                return;
        /* It is durable; what a first attempt needs is at hand here. */
        if (s->deliver_now && store_open_content(s->manager->store, s->stored, &s->content_fd) < 0)
                s->content_fd = -EBADF;
}

static void submission_done_work(Work *w) {
        _cleanup_(submission_freep) Submission *s = container_of(w, Submission, work);
        Manager *manager = s->manager;
        int r = s->r;

        if (r < 0)
                log_error_errno(r, "Cannot store a message: %m");
        else if (!s->duplicate)
                manager_take_message(manager, TAKE_PTR(s->stored), &s->content_fd);
        if (r < 0)
                r = refuse_errno(s->link, manager, r);
        else
                r = sd_varlink_replybo(s->link, SD_JSON_BUILD_PAIR_STRING("id", s->id.s));
        if (r < 0)
                log_debug_errno(r, "Cannot answer a receiver: %m");
        manager_status_changed(manager);
}

/* Queued now, or being written: 1 and its id, or -EBUSY. */
static int find_token(Manager *manager, sd_id128_t token, QueueId *ret) {
        const Message *m;

        for (const Submission *s = manager->submitting; s; s = s->next)
                if (sd_id128_equal(s->envelope.token, token))
                        return -EBUSY;
        MAP_FOREACH(m, &manager->messages)
                if (sd_id128_equal(m->token, token)) {
                        *ret = m->id;
                        return 1;
                }
        return 0;
}

static int parse_recipient(sd_json_variant *v, Envelope *e) {
        struct {
                const char *address, *original, *notify;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "address", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), address), SD_JSON_MANDATORY },
                { "originalRecipient", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), original), SD_JSON_NULLABLE },
                { "notify", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), notify), SD_JSON_NULLABLE },
                {},
        };
        NotifyFlags notify = 0;
        int r;

        r = sd_json_dispatch(v, fields, 0, &p);
        if (r < 0)
                return r;
        if (!address_valid(p.address, ADDRESS_UTF8 | ADDRESS_UNQUALIFIED) || (p.original && !string_ok(p.original, PARAMETER_MAX)))
                return -EINVAL;
        if (p.notify) {
                r = notify_from_string(p.notify, &notify);
                if (r < 0)
                        return r;
        }
        return envelope_add_recipient(e, p.address, p.original, notify);
}

/* The same address twice in one envelope is one recipient. */
static int parse_recipients(sd_json_variant *v, Envelope *e) {
        _cleanup_(map_done) Map seen = MAP_INIT;
        int r;

        for (size_t i = 0; i < sd_json_variant_elements(v); i++) {
                sd_json_variant *item = sd_json_variant_by_index(v, i);
                sd_json_variant *address = sd_json_variant_by_key(item, "address");

                if (sd_json_variant_is_string(address)) {
                        r = map_put(&seen, sd_json_variant_string(address), item);
                        if (r == -EEXIST)
                                continue;
                        if (r < 0)
                                return r;
                }
                r = parse_recipient(item, e);
                if (r < 0)
                        return r;
        }
        return e->n_recipients > 0 ? 0 : -EINVAL;
}

static int method_submit(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_, void *userdata) {
        Listener *l = userdata;
        struct {
                sd_json_variant *context, *recipients;
                const char *token, *sender, *body, *dsn_return, *envid;
                int repeated, smtputf8;
                uint64_t content, size;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "token", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), token), SD_JSON_MANDATORY },
                { "repeated", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_tristate, offsetof(typeof(p), repeated), SD_JSON_NULLABLE },
                { "context", SD_JSON_VARIANT_OBJECT, sd_json_dispatch_variant_noref, offsetof(typeof(p), context), SD_JSON_MANDATORY },
                { "sender", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), sender), SD_JSON_MANDATORY },
                { "recipients", SD_JSON_VARIANT_ARRAY, sd_json_dispatch_variant_noref, offsetof(typeof(p), recipients), SD_JSON_MANDATORY },
                { "body", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), body), SD_JSON_NULLABLE },
                { "smtputf8", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_tristate, offsetof(typeof(p), smtputf8), SD_JSON_NULLABLE },
                { "dsnReturn", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), dsn_return), SD_JSON_NULLABLE },
                { "envid", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), envid), SD_JSON_NULLABLE },
                { "content", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(typeof(p), content), SD_JSON_MANDATORY },
                { "size", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(typeof(p), size), SD_JSON_MANDATORY },
                {},
        };
        _cleanup_(submission_freep) Submission *s = NULL;
        Manager *m = l->manager;
        int r;

        r = sd_varlink_dispatch(link, parameters, fields, &p);
        if (r != 0)
                return r;
        if (m->stopping || pause_listener(m, l->name) || m->n_submitting >= SUBMITTING_MAX)
                return refuse(link, m, 451, "4.3.2", "Not accepting mail at the moment");

        s = new0(Submission, 1);
        if (!s)
                return refuse_errno(link, m, -ENOMEM);
        *s = (Submission) { .manager = m, .envelope = ENVELOPE_INIT, .fd = -EBADF, .content_fd = -EBADF, .size = p.size,
                           .repeated = p.repeated > 0, .deliver_now = m->n_open < OPEN_MAX };
        s->stored = new0(QueuedMessage, 1);
        if (!s->stored)
                return refuse_errno(link, m, -ENOMEM);
        *s->stored = QUEUED_MESSAGE_INIT;

        if (sd_id128_from_string(p.token, &s->envelope.token) < 0 || sd_id128_is_null(s->envelope.token))
                return sd_varlink_error_invalid_parameter_name(link, "token");
        r = parse_context(l, p.context, &s->envelope.origin);
        if (r == -ENOMEM)
                return refuse_errno(link, m, r);
        if (r < 0)
                return sd_varlink_error_invalid_parameter_name(link, "context");
        if (!sender_ok(p.sender))
                return sd_varlink_error_invalid_parameter_name(link, "sender");
        if (sd_json_variant_elements(p.recipients) > m->config->recipients_max_local)
                return sd_varlink_error_invalid_parameter_name(link, "recipients");
        s->envelope.sender = strdup(p.sender);
        r = s->envelope.sender ? parse_recipients(p.recipients, &s->envelope) : -ENOMEM;
        if (r == -ENOMEM)
                return refuse_errno(link, m, r);
        if (r < 0)
                return sd_varlink_error_invalid_parameter_name(link, "recipients");
        s->envelope.body = p.body ? body_type_from_string(p.body) : BODY_7BIT;
        if (s->envelope.body < 0)
                return sd_varlink_error_invalid_parameter_name(link, "body");
        s->envelope.dsn_return = p.dsn_return ? dsn_return_from_string(p.dsn_return) : DSN_RETURN_DEFAULT;
        if (s->envelope.dsn_return < 0)
                return sd_varlink_error_invalid_parameter_name(link, "dsnReturn");
        if (copy_string(p.envid, PARAMETER_MAX, &s->envelope.envid) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "envid");
        s->envelope.smtputf8 = p.smtputf8 > 0;
        s->envelope.arrival = now_usec(CLOCK_REALTIME);

        if (p.size > m->config->message_size_max)
                return refuse(link, m, 552, "5.3.4", "Message too large");
        if (!has_room(m, p.size))
                return refuse(link, m, 452, "4.3.1", "Insufficient system storage");
        s->fd = p.content <= UINT32_MAX ? sd_varlink_take_fd(link, p.content) : -EBADF;
        if (s->fd < 0 || fd_verify_content(s->fd, p.size) < 0)
                return sd_varlink_error_invalid_parameter_name(link, "content");

        if (s->repeated) {
                /* While the spool is being read nobody knows whether it is there. */
                r = m->loader ? -EBUSY : find_token(m, s->envelope.token, &s->id);
                if (r < 0)
                        return refuse(link, m, 451, "4.3.2", "Starting up, try again later");
                if (r > 0)
                        return sd_varlink_replybo(link, SD_JSON_BUILD_PAIR_STRING("id", s->id.s));
        }
        s->link = sd_varlink_ref(link);
        s->work = (Work) { .run = submission_run, .done = submission_done_work };
        s->next = m->submitting;
        m->submitting = s;
        m->n_submitting++;
        pool_submit(m->pool, &s->work);
        TAKE_PTR(s);
        return 0;
}


int submission_listen(Manager *manager, int fd, const char *listener) {
        Listener *l = NULL;
        int r;

        Listener **p = reallocarray(manager->listeners, manager->n_listeners + 1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        manager->listeners = p;
        l = new0(Listener, 1);
        if (!l)
                return -ENOMEM;
        l->manager = manager;
        manager->listeners[manager->n_listeners++] = l;
        l->name = strdup(listener);
        if (!l->name)
                return -ENOMEM;
        r = service_varlink_server_new(manager->event, &vl_interface_io_postd_Submission, SERVER_TAKES_FDS,
                                       CONNECTIONS_MAX, CONNECTIONS_MAX, l, &l->server);
        if (r < 0)
                return r;
        r = sd_varlink_server_bind_method_many(l->server, "io.postd.Submission.Check", method_check,
                                               "io.postd.Submission.Submit", method_submit);
        if (r < 0)
                return r;
        return sd_varlink_server_listen_fd(l->server, fd);
}

void submission_done(Manager *manager) {
        for (size_t i = 0; i < manager->n_listeners; i++) {
                sd_varlink_server_unref(manager->listeners[i]->server);
                free(manager->listeners[i]->name);
                free(manager->listeners[i]);
        }
        manager->listeners = mfree(manager->listeners);
        manager->n_listeners = 0;
}
