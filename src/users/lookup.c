/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/pool.h"
#include "basic/text.h"
#include "users/lookup.h"

#define STUCK_PER_KEY_MAX 2

typedef struct Lookup Lookup;

/* One who waits for a look-up. */
struct Asker {
        Lookup *lookup;
        Asker *next;
        lookup_done_t done;
        void *userdata;
};

struct Lookup {
        Work work; /* first */
        Lookups *all;
        Lookup *next;
        LookupTable table;
        char *key;
        sd_event_source *deadline;
        bool stuck; /* nobody waits any more; only the thread still holds it. Main thread only. */
        Asker *askers;

        /* Written by the thread, read after done. */
        int error;
        User *user;
};

struct Lookups {
        sd_event *event;
        Pool *pool;
        size_t threads_max;
        usec_t timeout;
        void (*all_stuck)(void *userdata);
        void *userdata;
        Lookup *first;
        size_t n_stuck;
};

static void lookup_free(Lookup *k) {
        sd_event_source_disable_unref(k->deadline);
        user_free(k->user);
        free(k->key);
        free(k);
}

/* Answers everybody who waits. A callback may ask anew. */
static void lookup_answer(Lookup *k, int error, const User *user) {
        Asker *a = TAKE_PTR(k->askers);

        while (a) {
                Asker *next = a->next;
                if (a->done)
                        a->done(error, user, a->userdata);
                free(a);
                a = next;
        }
}

static void lookup_run(Work *w) {
        Lookup *k = (Lookup *) w;

        k->error = lookup_user(k->table, k->key, &k->user);
}

static void lookup_done(Work *w) {
        Lookup *k = (Lookup *) w;
        Lookups *l = k->all;

        for (Lookup **i = &l->first; *i; i = &(*i)->next)
                if (*i == k) {
                        *i = k->next;
                        break;
                }
        if (k->stuck)
                l->n_stuck--;
        lookup_answer(k, k->error, k->user);
        lookup_free(k);
}

static int on_deadline(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Lookup *k = userdata;
        Lookups *l = k->all;

        k->stuck = true;
        l->n_stuck++;
        lookup_answer(k, -ETIMEDOUT, NULL);
        if (l->n_stuck >= l->threads_max)
                l->all_stuck(l->userdata);
        return 0;
}

int lookups_new(sd_event *event, size_t threads_max, usec_t timeout, void (*all_stuck)(void *userdata), void *userdata,
                Lookups **ret) {
        _cleanup_(lookups_freep) Lookups *l = new0(Lookups, 1);
        int r;

        if (!l)
                return -ENOMEM;
        l->event = sd_event_ref(event);
        l->threads_max = threads_max;
        l->timeout = timeout;
        l->all_stuck = all_stuck;
        l->userdata = userdata;
        r = pool_new(event, threads_max, &l->pool);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

Lookups *lookups_free(Lookups *l) {
        if (!l)
                return NULL;
        pool_free(l->pool);
        sd_event_unref(l->event);
        return mfree(l);
}

static int lookup_start(Lookups *l, LookupTable table, const char *key, Lookup **ret) {
        Lookup *k = new0(Lookup, 1);
        int r;

        if (!k)
                return -ENOMEM;
        *k = (Lookup) { .work = { .run = lookup_run, .done = lookup_done }, .all = l, .table = table };
        k->key = strdup(key);
        r = k->key ? sd_event_add_time_relative(l->event, &k->deadline, CLOCK_MONOTONIC, l->timeout, USEC_PER_MSEC * 100,
                                                on_deadline, k)
                   : -ENOMEM;
        if (r < 0) {
                lookup_free(k);
                return r;
        }
        k->next = l->first;
        l->first = k;
        *ret = k;
        return 0;
}

int lookups_ask(Lookups *l, LookupTable table, const char *key, lookup_done_t done, void *userdata, Asker **ret) {
        _cleanup_free_ Asker *a = NULL;
        Lookup *running = NULL;
        size_t stuck = 0;
        int r;

        if (!lookup_key_valid(table, key))
                return 1;

        a = new0(Asker, 1);
        if (!a)
                return -ENOMEM;
        for (Lookup *k = l->first; k; k = k->next)
                if (k->table == table && streq(k->key, key)) {
                        if (k->stuck)
                                stuck++;
                        else
                                running = k;
                }
        bool start = !running;
        if (start) {
                if (stuck >= STUCK_PER_KEY_MAX)
                        return -EBUSY;
                r = lookup_start(l, table, key, &running);
                if (r < 0)
                        return r;
        }
        *a = (Asker) { .lookup = running, .next = running->askers, .done = done, .userdata = userdata };
        running->askers = a;
        *ret = TAKE_PTR(a);
        if (start)
                pool_submit(l->pool, &running->work);
        return 0;
}

void lookups_forget(Asker *a) {
        if (a)
                a->done = NULL;
}

bool lookups_busy(const Lookups *l) {
        return pool_pending(l->pool) > l->n_stuck;
}

size_t lookups_stuck(const Lookups *l) {
        return l->n_stuck;
}
