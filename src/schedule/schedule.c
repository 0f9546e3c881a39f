/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each destination has a heap of its waiting jobs. A destination that can start something now stands in a ring, from
 * whose front scheduler_next() takes one job before it goes to the back. All destinations are in one heap by the time
 * at which they enter the ring; those in the ring, and those that wait for something else than time, at infinity.
 * So every step is O(log n), and only the first job of a new destination and its place in a heap need memory: an
 * addition may fail, nothing else does (a pause keeps its name). */

#include "basic/map.h"
#include "basic/strv.h"
#include "schedule/schedule.h"

#define SLOT_NONE UINT32_MAX
#define SLOTS_MAX 65536U
#define TROUBLED_MAX 1024U /* destinations without a job whose back-off is remembered */
#define PAUSES_MAX 1024U

struct Destination {
        Scheduler *scheduler;
        Heap waiting;
        HeapIndex heap_index; /* in Scheduler.later, by wake */
        usec_t wake;
        Destination *previous, *next; /* in the ring of those ready, or in the list of those remembered */
        usec_t not_before;
        uint32_t failures;
        uint32_t n_slots; /* taken */
        uint32_t n_in_flight;
        uint32_t probe; /* slot of the attempt that decides after trouble */
        bool probe_failed; /* and the jobs that share its fate are not all out yet */
        bool ready, remembered, paused;
        char name[];
};

typedef struct Ring {
        Destination *first, *last;
} Ring;

struct Scheduler {
        SchedulePolicy policy;
        uint64_t random;
        usec_t now; /* the latest that was passed in */
        Map destinations;
        Heap later;
        Ring ready, remembered;
        size_t n_remembered;
        bool paused;
        char **pauses;
        uint32_t n_slots_free;
        uint32_t *slots_free;     /* a stack of numbers */
        uint32_t *slot_jobs;      /* jobs in flight in each slot */
};

static int compare_jobs(const void *a, const void *b) {
        const Job *x = a, *y = b;
        return x->due < y->due ? -1 : x->due > y->due;
}

static int compare_destinations(const void *a, const void *b) {
        const Destination *x = a, *y = b;
        return x->wake < y->wake ? -1 : x->wake > y->wake;
}

static void ring_append(Ring *ring, Destination *d) {
        d->previous = ring->last;
        d->next = NULL;
        *(ring->last ? &ring->last->next : &ring->first) = d;
        ring->last = d;
}

static void ring_remove(Ring *ring, Destination *d) {
        *(d->previous ? &d->previous->next : &ring->first) = d->next;
        *(d->next ? &d->next->previous : &ring->last) = d->previous;
        d->previous = d->next = NULL;
}

static uint64_t random_next(Scheduler *s) {
        uint64_t x = s->random += UINT64_C(0x9E3779B97F4A7C15);

        x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
        return x ^ x >> 31;
}

int scheduler_new(const SchedulePolicy *policy, uint64_t seed, Scheduler **ret) {
        _cleanup_(scheduler_freep) Scheduler *s = new0(Scheduler, 1);
        if (!s)
                return -ENOMEM;

        s->policy = *policy;
        s->policy.concurrency = MAX(policy->concurrency, 1U);
        s->policy.concurrency_total = CLAMP(policy->concurrency_total, 1U, SLOTS_MAX);
        s->policy.backoff_min = MAX(policy->backoff_min, USEC_PER_SEC);
        s->policy.backoff_max = MAX(policy->backoff_max, s->policy.backoff_min);
        s->random = seed;
        s->later = HEAP_INIT(Destination, heap_index, compare_destinations);

        uint32_t n = s->policy.concurrency_total;
        s->slots_free = new0(uint32_t, n);
        s->slot_jobs = new0(uint32_t, n);
        if (!s->slots_free || !s->slot_jobs)
                return -ENOMEM;
        while (s->n_slots_free < n) {
                s->slots_free[s->n_slots_free] = n - 1 - s->n_slots_free;
                s->n_slots_free++;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

static void destination_free(Destination *d) {
        Scheduler *s = d->scheduler;

        if (d->ready)
                ring_remove(&s->ready, d);
        if (d->remembered) {
                ring_remove(&s->remembered, d);
                s->n_remembered--;
        }
        heap_remove(&s->later, d);
        (void) map_remove(&s->destinations, d->name);
        heap_done(&d->waiting);
        free(d);
}

Scheduler *scheduler_free(Scheduler *s) {
        if (!s)
                return NULL;

        for (Destination *d; (d = heap_peek(&s->later));) {
                assert(d->waiting.size == 0 && d->n_in_flight == 0);
                destination_free(d);
        }
        map_done(&s->destinations);
        heap_done(&s->later);
        strv_free(s->pauses);
        free(s->slots_free);
        free(s->slot_jobs);
        return mfree(s);
}

/* When it may start something, as far as time decides. */
static usec_t destination_wake(const Destination *d) {
        const Job *first = heap_peek(&d->waiting);

        if (!first || d->paused || d->scheduler->paused || d->n_slots >= d->scheduler->policy.concurrency ||
            (d->failures > 0 && d->probe != SLOT_NONE))
                return USEC_INFINITY;
        return MAX(first->due, d->not_before);
}

/* After any change: leaves the ring, or finds its new place in the heap. Entering the ring is scheduler_next()'s. */
static void destination_changed(Destination *d) {
        Scheduler *s = d->scheduler;
        usec_t wake = destination_wake(d);

        if (d->ready) {
                if (wake <= s->now)
                        return;
                ring_remove(&s->ready, d);
                d->ready = false;
        }
        if (d->wake != wake) {
                d->wake = wake;
                heap_moved(&s->later, d);
        }
}

static bool name_matches(const char *name, const char *pattern) {
        size_t n = strlen(pattern);

        if (n > 0 && pattern[n - 1] == ':')
                return strncmp(name, pattern, n) == 0;
        return streq(name, pattern);
}

static bool name_paused(const Scheduler *s, const char *name) {
        STRV_FOREACH(i, s->pauses)
                if (name_matches(name, *i))
                        return true;
        return false;
}

static int destination_get(Scheduler *s, const char *name, Destination **ret) {
        int r;

        Destination *d = map_get(&s->destinations, name);
        if (d) {
                *ret = d;
                return 0;
        }
        size_t n = strlen(name) + 1;
        d = calloc(1, offsetof(Destination, name) + n);
        if (!d)
                return -ENOMEM;
        d->scheduler = s;
        d->waiting = HEAP_INIT(Job, heap_index, compare_jobs);
        d->heap_index = HEAP_NONE;
        d->wake = USEC_INFINITY;
        d->probe = SLOT_NONE;
        d->paused = name_paused(s, name);
        memcpy(d->name, name, n);

        r = map_put(&s->destinations, d->name, d);
        if (r >= 0)
                r = heap_push(&s->later, d);
        if (r < 0) {
                destination_free(d);
                return r;
        }
        *ret = d;
        return 0;
}

/* A destination goes with its last job, but trouble is remembered for a while: the oldest is forgotten first. */
static void destination_release(Destination *d) {
        Scheduler *s = d->scheduler;

        if (d->waiting.size > 0 || d->n_in_flight > 0)
                return;
        if (d->failures == 0) {
                destination_free(d);
                return;
        }
        if (d->remembered)
                return;
        ring_append(&s->remembered, d);
        d->remembered = true;
        s->n_remembered++;
        if (s->n_remembered > TROUBLED_MAX)
                destination_free(s->remembered.first);
}

static void destination_forget_probe(Destination *d) {
        d->probe = SLOT_NONE;
        d->probe_failed = false;
}

static void destination_forget_trouble(Destination *d) {
        d->failures = 0;
        d->not_before = 0;
        destination_forget_probe(d);
}

int scheduler_add(Scheduler *s, Job *j, const char *destination, usec_t due) {
        Destination *d;
        int r;

        assert(!j->destination);
        r = destination_get(s, destination, &d);
        if (r < 0)
                return r;

        j->due = due;
        j->heap_index = HEAP_NONE;
        j->slot = SLOT_NONE;
        r = heap_push(&d->waiting, j);
        if (r < 0) {
                destination_release(d);
                return r;
        }
        j->destination = d;
        if (d->remembered) {
                ring_remove(&s->remembered, d);
                d->remembered = false;
                s->n_remembered--;
        }
        destination_changed(d);
        return 0;
}

void scheduler_remove(Scheduler *s, Job *j) {
        Destination *d = j->destination;

        if (!d)
                return;
        if (j->slot != SLOT_NONE) {
                d->n_in_flight--;
                if (--s->slot_jobs[j->slot] == 0) {
                        d->n_slots--;
                        s->slots_free[s->n_slots_free++] = j->slot;
                        if (d->probe == j->slot)
                                destination_forget_probe(d);
                }
        } else
                heap_remove(&d->waiting, j);
        j->slot = SLOT_NONE;
        j->destination = NULL;
        destination_changed(d);
        destination_release(d);
}

static void start(Scheduler *s, Destination *d, Job *j, uint32_t slot) {
        heap_remove(&d->waiting, j);
        j->slot = slot;
        s->slot_jobs[slot]++;
        d->n_in_flight++;
}

Job *scheduler_next(Scheduler *s, usec_t now) {
        Destination *d;

        s->now = now;
        if (s->n_slots_free == 0)
                return NULL;

        while ((d = heap_peek(&s->later)) && d->wake <= now && d->wake < USEC_INFINITY) {
                d->wake = USEC_INFINITY;
                heap_moved(&s->later, d);
                d->ready = true;
                ring_append(&s->ready, d);
        }
        while ((d = s->ready.first) && destination_wake(d) > now)
                destination_changed(d); /* only if time went back */
        if (!d)
                return NULL;

        Job *j = heap_peek(&d->waiting);
        uint32_t slot = s->slots_free[--s->n_slots_free];
        start(s, d, j, slot);
        d->n_slots++;
        if (d->failures > 0)
                d->probe = slot;

        ring_remove(&s->ready, d);
        ring_append(&s->ready, d);
        destination_changed(d);
        return j;
}

static Job *join(Scheduler *s, Job *first, usec_t now) {
        Destination *d = first->destination;
        Job *j = heap_peek(&d->waiting);

        s->now = now;
        if (!j || j->due > now)
                return NULL;
        start(s, d, j, first->slot);
        destination_changed(d);
        return j;
}

Job *scheduler_next_same(Scheduler *s, Job *first, usec_t now) {
        const Destination *d = first->destination;

        assert(d && first->slot != SLOT_NONE);
        /* A probe goes alone. */
        return d->failures > 0 || d->paused || s->paused ? NULL : join(s, first, now);
}

Job *scheduler_next_failed(Scheduler *s, Job *first, usec_t now) {
        const Destination *d = first->destination;

        assert(d && first->slot != SLOT_NONE);
        return d->failures > 0 && d->probe == first->slot ? join(s, first, now) : NULL;
}

usec_t scheduler_deadline(Scheduler *s, usec_t now) {
        s->now = now;
        if (s->n_slots_free == 0)
                return USEC_INFINITY;
        if (s->ready.first)
                return 0;
        const Destination *d = heap_peek(&s->later);
        if (!d)
                return USEC_INFINITY;
        return d->wake <= now ? 0 : d->wake;
}

/* Only the first failure and those of probes make the back-off longer: ten attempts that were under way when the
 * destination went down are one piece of news. */
static void destination_trouble(Destination *d, bool probe) {
        Scheduler *s = d->scheduler;
        usec_t interval = s->policy.backoff_min;

        if (d->failures > 0 && (!probe || d->probe_failed))
                return;
        d->probe_failed = probe;
        for (uint32_t i = 0; i < d->failures && interval < s->policy.backoff_max; i++)
                interval = usec_add(interval, interval);
        interval = MIN(interval, s->policy.backoff_max);
        interval -= (usec_t) ((__uint128_t) (interval / 5) * random_next(s) >> 64);
        d->not_before = usec_add(s->now, interval);
        if (d->failures < UINT32_MAX)
                d->failures++;
}

void scheduler_done(Scheduler *s, Job *j, JobOutcome outcome, usec_t now) {
        Destination *d = j->destination;

        assert(d && j->slot != SLOT_NONE);
        s->now = now;
        switch (outcome) {
        case JOB_OK:
                destination_forget_trouble(d);
                break;
        case JOB_TROUBLE:
                destination_trouble(d, d->probe == j->slot);
                break;
        case JOB_UNTRIED:
                break;
        }
        scheduler_remove(s, j);
}

static int destination_flush(Destination *d, usec_t now) {
        int n = (int) MIN(d->waiting.size, (size_t) INT32_MAX);

        /* Order stays order: the heap needs no work. */
        for (size_t i = 0; i < d->waiting.size; i++) {
                Job *j = d->waiting.items[i];
                j->due = MIN(j->due, now);
        }
        destination_forget_trouble(d);
        destination_changed(d);
        destination_release(d);
        return n;
}

int scheduler_flush(Scheduler *s, const char *destination, usec_t now) {
        Destination *d = map_get(&s->destinations, destination);
        if (!d)
                return -ENOENT;

        s->now = now;
        return destination_flush(d, now);
}

int scheduler_flush_all(Scheduler *s, usec_t now) {
        Destination *d;
        int n = 0;

        s->now = now;
        while (s->remembered.first)
                destination_free(s->remembered.first);
        MAP_FOREACH(d, &s->destinations)
                if (__builtin_add_overflow(n, destination_flush(d, now), &n))
                        n = INT32_MAX;
        return n;
}

/* Recomputes what the pauses say for every destination. */
static void pauses_changed(Scheduler *s) {
        Destination *d;

        MAP_FOREACH(d, &s->destinations) {
                d->paused = name_paused(s, d->name);
                destination_changed(d);
        }
}

int scheduler_pause(Scheduler *s, const char *name) {
        int r;

        if (!name) {
                if (s->paused)
                        return 0;
                s->paused = true;
        } else {
                if (strv_contains(s->pauses, name))
                        return 0;
                if (strv_length(s->pauses) >= PAUSES_MAX)
                        return -E2BIG;
                r = strv_extend(&s->pauses, name);
                if (r < 0)
                        return r;
        }
        pauses_changed(s);
        return 1;
}

int scheduler_resume(Scheduler *s, const char *name) {
        if (!name) {
                if (!s->paused)
                        return 0;
                s->paused = false;
        } else {
                if (!strv_contains(s->pauses, name))
                        return 0;
                /* The last takes the place of the one that goes. */
                size_t n = strv_length(s->pauses);
                for (size_t i = 0; i < n; i++)
                        if (streq(s->pauses[i], name)) {
                                free(s->pauses[i]);
                                s->pauses[i] = s->pauses[n - 1];
                                s->pauses[n - 1] = NULL;
                                break;
                        }
        }
        pauses_changed(s);
        return 1;
}

/* Walks only the part of the heap that is due; no deeper than log2(n). */
static size_t count_due(const Heap *h, size_t i, usec_t now) {
        if (i >= h->size || ((const Job *) h->items[i])->due > now)
                return 0;
        return 1 + count_due(h, 2 * i + 1, now) + count_due(h, 2 * i + 2, now);
}

int scheduler_foreach_destination(Scheduler *s, int (*callback)(const DestinationInfo *info, void *userdata), void *userdata) {
        const Destination *d;
        int r;

        MAP_FOREACH(d, &s->destinations) {
                DestinationInfo info = {
                        .name = d->name,
                        .n_waiting = d->waiting.size,
                        .n_due = count_due(&d->waiting, 0, s->now),
                        .n_in_flight = d->n_in_flight,
                        .failures = d->failures,
                        .not_before = d->not_before,
                        .paused = d->paused || s->paused,
                };
                r = callback(&info, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}
