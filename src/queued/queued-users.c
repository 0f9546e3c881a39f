/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "ipc/names.h"
#include "queued/queued-users.h"

#define TIMEOUT_USEC (10 * USEC_PER_SEC)
#define FOUND_USEC (30 * USEC_PER_SEC)    /* how long an answer is believed */
#define NOT_FOUND_USEC (2 * USEC_PER_SEC)
#define FAILED_USEC (1 * USEC_PER_SEC)
#define ENTRIES_MAX 4096U
#define COMPLAIN_USEC (30 * USEC_PER_SEC)
#define LINKS_MAX 16U                     /* look-ups under way at once */

typedef struct Waiter {
        struct Waiter *next;
        users_callback_t callback;
        void *userdata;
} Waiter;

typedef struct Entry {
        struct Entry *next_queued;
        Users *users;
        char *key;
        User user;
        int r;                /* the answer, once known */
        usec_t until;         /* believed until; 0 while it is being looked up */
        Waiter *waiters;
        sd_varlink *link;
} Entry;

struct Users {
        Manager *manager;
        Map entries;
        Entry *queue, **last; /* waiting for a connection */
        size_t n_links;
        usec_t complain_next; /* when the journal is told again that there is no postd-users */
        sd_varlink *idle;     /* one connection is kept for a moment */
        sd_event_source *idle_timer;
};

static Entry *entry_free(Entry *e) {
        if (!e)
                return NULL;
        assert(!e->waiters);
        free(e->user.name);
        free(e->key);
        return mfree(e);
}

static void sweep(Users *u, usec_t now, bool all) {
        for (bool again = true; again;) {
                Entry *e;

                again = false;
                MAP_FOREACH(e, &u->entries)
                        if (e->until > 0 && (all || e->until <= now)) {
                                map_remove(&u->entries, e->key);
                                entry_free(e);
                                again = true;
                                break;
                        }
        }
}

static void start_queued(Users *u);

static void answer(Entry *e, int r) {
        Users *u = e->users;

        e->r = r;
        e->until = now_usec(CLOCK_BOOTTIME) + (r == 0 ? FOUND_USEC : r > 0 ? NOT_FOUND_USEC : FAILED_USEC);
        for (Waiter *w = TAKE_PTR(e->waiters), *next; w; w = next) {
                next = w->next;
                w->callback(u->manager, w->userdata, e->r, e->r == 0 ? &e->user : NULL);
                free(w);
        }
}

static int on_idle_timeout(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Users *u = userdata;

        /* The service may leave now. */
        u->idle = sd_varlink_close_unref(u->idle);
        u->idle_timer = sd_event_source_disable_unref(u->idle_timer);
        sweep(u, now_usec(CLOCK_BOOTTIME), false);
        return 0;
}

static void link_release(Users *u, sd_varlink *link, bool good) {
        if (!good || u->idle) {
                sd_varlink_close_unref(link);
                return;
        }
        (void) sd_varlink_bind_reply(link, NULL);
        u->idle = link;
        if (!u->idle_timer)
                (void) sd_event_add_time_relative(u->manager->event, &u->idle_timer, CLOCK_BOOTTIME,
                                                  FOUND_USEC, USEC_PER_SEC, on_idle_timeout, u);
        else {
                (void) sd_event_source_set_time_relative(u->idle_timer, FOUND_USEC);
                (void) sd_event_source_set_enabled(u->idle_timer, SD_EVENT_ONESHOT);
        }
}

static int parse_user(sd_json_variant *parameters, User *ret) {
        struct {
                const char *name;
                uint64_t uid, gid;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "name", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), name), SD_JSON_MANDATORY },
                { "uid", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(typeof(p), uid), SD_JSON_MANDATORY },
                { "gid", _SD_JSON_VARIANT_TYPE_INVALID, sd_json_dispatch_uint64, offsetof(typeof(p), gid), SD_JSON_MANDATORY },
                {},
        };
        sd_json_variant *user = sd_json_variant_by_key(parameters, "user");
        int r;

        if (!user)
                return -EBADMSG;
        r = sd_json_dispatch(user, fields, SD_JSON_ALLOW_EXTENSIONS, &p);
        if (r < 0)
                return r;
        if (p.uid >= UINT32_MAX || p.gid >= UINT32_MAX || isempty(p.name))
                return -EBADMSG;
        char *name = strdup(p.name);
        if (!name)
                return -ENOMEM;
        *ret = (User) { name, p.uid, p.gid };
        return 0;
}

static int on_reply(sd_varlink *link, sd_json_variant *parameters, const char *error_id,
                    sd_varlink_reply_flags_t flags, void *userdata) {
        Entry *e = userdata;
        Users *u = e->users;
        int r;

        if (!error_id)
                r = parse_user(parameters, &e->user);
        else if (streq(error_id, "io.postd.Table.NotFound"))
                r = USERS_NOT_FOUND;
        else if (streq(error_id, SD_VARLINK_ERROR_TIMEOUT))
                r = -ETIMEDOUT;
        else
                r = -EAGAIN;
        if (r < 0)
                log_warning_errno(r, "Cannot look up user %s: %s", e->key, error_id ?: "unusable answer");

        /* The connection is busy until this function returns: what is asked meanwhile takes others. */
        e->link = NULL;
        u->n_links--;
        answer(e, r);
        start_queued(u);
        link_release(u, link, !error_id || (r == USERS_NOT_FOUND && !(flags & SD_VARLINK_REPLY_LOCAL)));
        return 0;
}

static int start(Users *u, Entry *e) {
        sd_varlink *link = TAKE_PTR(u->idle);
        int r;

        if (!link) {
                r = sd_varlink_connect_address(&link, POSTD_USERS_SOCKET);
                if (r < 0)
                        return r;
                r = sd_varlink_attach_event(link, u->manager->event, SD_EVENT_PRIORITY_NORMAL);
                if (r < 0)
                        goto fail;
                r = sd_varlink_set_relative_timeout(link, TIMEOUT_USEC);
                if (r < 0)
                        goto fail;
        }
        sd_varlink_set_userdata(link, e);
        r = sd_varlink_bind_reply(link, on_reply);
        if (r < 0)
                goto fail;
        r = sd_varlink_invokebo(link, "io.postd.Table.Lookup",
                                SD_JSON_BUILD_PAIR_STRING("table", "users"), SD_JSON_BUILD_PAIR_STRING("key", e->key));
        if (r < 0)
                goto fail;
        e->link = link;
        u->n_links++;
        return 0;

fail:
        sd_varlink_close_unref(link);
        return r;
}

static void start_queued(Users *u) {
        while (u->queue && u->n_links < LINKS_MAX) {
                Entry *e = u->queue;
                int r;

                u->queue = e->next_queued;
                if (!u->queue)
                        u->last = &u->queue;
                r = start(u, e);
                if (r < 0) {
                        if (now_usec(CLOCK_BOOTTIME) >= u->complain_next) {
                                log_warning_errno(r, "Cannot reach postd-users, mail waits: %m");
                                u->complain_next = now_usec(CLOCK_BOOTTIME) + COMPLAIN_USEC;
                        }
                        answer(e, r);
                }
        }
}

void users_lookup(Users *u, const char *name, users_callback_t callback, void *userdata) {
        usec_t now = now_usec(CLOCK_BOOTTIME);
        int r;

        Entry *e = map_get(&u->entries, name);
        if (e && e->until > now) {
                callback(u->manager, userdata, e->r, e->r == 0 ? &e->user : NULL);
                return;
        }
        if (e && e->until > 0) {
                map_remove(&u->entries, e->key);
                e = entry_free(e);
        }

        Waiter *w = new0(Waiter, 1);
        if (!w)
                goto oom;
        *w = (Waiter) { .callback = callback, .userdata = userdata };

        if (!e) {
                if (u->entries.size >= ENTRIES_MAX)
                        sweep(u, now, true);
                e = new0(Entry, 1);
                if (!e)
                        goto oom;
                e->users = u;
                e->key = strdup(name);
                if (!e->key || map_put(&u->entries, e->key, e) < 0) {
                        entry_free(e);
                        goto oom;
                }
                *u->last = e;
                u->last = &e->next_queued;
        }
        /* First come, first told. */
        Waiter **p = &e->waiters;
        while (*p)
                p = &(*p)->next;
        *p = w;
        start_queued(u);
        return;

oom:
        free(w);
        r = log_oom();
        callback(u->manager, userdata, r, NULL);
}

void users_flush(Users *u) {
        sweep(u, 0, true);
}

int users_new(Manager *manager, Users **ret) {
        Users *u = new0(Users, 1);
        if (!u)
                return -ENOMEM;
        u->manager = manager;
        u->last = &u->queue;
        *ret = u;
        return 0;
}

Users *users_free(Users *u) {
        Entry *e;

        if (!u)
                return NULL;
        MAP_FOREACH(e, &u->entries) {
                for (Waiter *w = TAKE_PTR(e->waiters), *next; w; w = next) {
                        next = w->next;
                        free(w);
                }
                sd_varlink_close_unref(e->link);
                entry_free(e);
        }
        map_done(&u->entries);
        sd_varlink_close_unref(u->idle);
        sd_event_source_disable_unref(u->idle_timer);
        return mfree(u);
}
