/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Random operations on the scheduler and on a naive model of it that looks through everything each time. The model
 * takes over only how long a back-off lasts, after a check of its limits. */

#include "basic/test.h"
#include "schedule/schedule.h"

enum { N_JOBS = 120, N_DESTINATIONS = 9, N_OPERATIONS = 60000, N_SEEDS = 4 };

static const SchedulePolicy policy = {
        .concurrency = 3,
        .concurrency_total = 12,
        .backoff_min = USEC_PER_MINUTE,
        .backoff_max = USEC_PER_HOUR,
};

typedef enum ModelState { OUT, WAITING, FLYING } ModelState;

typedef struct ModelDestination {
        bool paused;
        unsigned failures;
        usec_t not_before;
        Job *probe;        /* in flight and decides */
        bool probe_failed; /* already counted */
        unsigned passed;   /* others started since it could have */
} ModelDestination;

typedef struct Model {
        Scheduler *s;
        uint64_t random;
        usec_t now;
        bool paused, kind_paused;
        Job jobs[N_JOBS];
        ModelState state[N_JOBS];
        size_t destination[N_JOBS];
        size_t group[N_JOBS]; /* jobs that share a slot: the number of the first */
        usec_t due[N_JOBS];
        ModelDestination destinations[N_DESTINATIONS];
} Model;

static size_t roll(Model *m, size_t n) {
        m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (size_t) ((m->random >> 33) % n);
}

static const char *name_of(size_t d) {
        static char name[16];
        (void) snprintf(name, sizeof(name), "%s:%zu", d % 3 == 0 ? "mailbox" : "relay", d);
        return name;
}

static bool paused(const Model *m, size_t d) {
        return m->paused || m->destinations[d].paused || (m->kind_paused && d % 3 == 0);
}

/* Slots taken at a destination (N_DESTINATIONS: in all). */
static unsigned slots(const Model *m, size_t d) {
        bool seen[N_JOBS] = {};
        unsigned n = 0;

        for (size_t i = 0; i < N_JOBS; i++)
                if (m->state[i] == FLYING && (d == N_DESTINATIONS || m->destination[i] == d) && !seen[m->group[i]]) {
                        seen[m->group[i]] = true;
                        n++;
                }
        return n;
}

static usec_t earliest(const Model *m, size_t d) {
        usec_t t = USEC_INFINITY;
        for (size_t i = 0; i < N_JOBS; i++)
                if (m->state[i] == WAITING && m->destination[i] == d)
                        t = MIN(t, m->due[i]);
        return t;
}

/* When the destination may start something, 0: now, if only time passes. */
static usec_t may_start(const Model *m, size_t d) {
        const ModelDestination *x = m->destinations + d;
        usec_t t = earliest(m, d);

        if (t == USEC_INFINITY || paused(m, d) || slots(m, d) >= policy.concurrency ||
            slots(m, N_DESTINATIONS) >= policy.concurrency_total || (x->failures > 0 && x->probe))
                return USEC_INFINITY;
        t = MAX(t, x->not_before);
        return t <= m->now ? 0 : t;
}

static int take_info(const DestinationInfo *info, void *userdata) {
        Model *m = userdata;
        size_t d = (size_t) (info->name[strlen(info->name) - 1] - '0'), n_waiting = 0, n_due = 0, n_flying = 0;
        ModelDestination *x = m->destinations + d;

        for (size_t i = 0; i < N_JOBS; i++) {
                if (m->destination[i] != d)
                        continue;
                n_waiting += m->state[i] == WAITING;
                n_due += m->state[i] == WAITING && m->due[i] <= m->now;
                n_flying += m->state[i] == FLYING;
        }
        ASSERT_EQ(info->n_waiting, n_waiting);
        ASSERT_EQ(info->n_due, n_due);
        ASSERT_EQ(info->n_in_flight, n_flying);
        ASSERT_EQ(info->paused, paused(m, d));
        ASSERT_EQ(info->failures, x->failures);
        if (x->not_before == USEC_INFINITY) { /* a new one */
                ASSERT_TRUE(info->not_before >= m->now + policy.backoff_min / 5 * 4);
                ASSERT_TRUE(info->not_before <= m->now + policy.backoff_max);
                x->not_before = info->not_before;
        }
        ASSERT_EQ(info->not_before, x->not_before);
        return 0;
}

static void check(Model *m) {
        usec_t expected = USEC_INFINITY;

        (void) scheduler_deadline(m->s, m->now); /* tells it the time */
        ASSERT_OK(scheduler_foreach_destination(m->s, take_info, m));
        for (size_t d = 0; d < N_DESTINATIONS; d++)
                expected = MIN(expected, may_start(m, d));
        ASSERT_EQ(scheduler_deadline(m->s, m->now), expected);
}

static void do_add(Model *m, size_t i) {
        if (m->state[i] != OUT)
                return;
        m->destination[i] = roll(m, N_DESTINATIONS);
        m->due[i] = roll(m, 4) == 0 ? m->now + roll(m, 600) * USEC_PER_SEC : usec_sub(m->now, roll(m, 100));
        ASSERT_OK(scheduler_add(m->s, m->jobs + i, name_of(m->destination[i]), m->due[i]));
        m->state[i] = WAITING;
}

static void do_next(Model *m) {
        bool any = false, could[N_DESTINATIONS];

        for (size_t d = 0; d < N_DESTINATIONS; d++)
                any |= could[d] = may_start(m, d) == 0;
        Job *j = scheduler_next(m->s, m->now);
        ASSERT_EQ(!!j, any);
        if (!j)
                return;

        size_t i = (size_t) (j - m->jobs), d = m->destination[i];
        ASSERT_TRUE(m->state[i] == WAITING && could[d]);
        ASSERT_EQ(m->due[i], earliest(m, d));
        m->state[i] = FLYING;
        m->group[i] = i;
        if (m->destinations[d].failures > 0)
                m->destinations[d].probe = j;

        /* Nobody is passed over by more than the others that can start. */
        for (size_t k = 0; k < N_DESTINATIONS; k++) {
                m->destinations[k].passed = k == d || !could[k] ? 0 : m->destinations[k].passed + 1;
                ASSERT_TRUE(m->destinations[k].passed < 2 * N_DESTINATIONS);
        }
}

static bool decides(const Model *m, size_t i) {
        const Job *probe = m->destinations[m->destination[i]].probe;
        return probe && m->group[probe - m->jobs] == m->group[i];
}

static void do_join(Model *m, size_t i, bool failed) {
        size_t d = m->destination[i];

        if (m->state[i] != FLYING)
                return;
        bool may = earliest(m, d) <= m->now &&
                (failed ? decides(m, i) : !paused(m, d) && m->destinations[d].failures == 0);
        Job *j = (failed ? scheduler_next_failed : scheduler_next_same)(m->s, m->jobs + i, m->now);
        ASSERT_EQ(!!j, may);
        if (!j)
                return;
        size_t k = (size_t) (j - m->jobs);
        ASSERT_TRUE(m->state[k] == WAITING && m->destination[k] == d && m->due[k] == earliest(m, d));
        m->state[k] = FLYING;
        m->group[k] = m->group[i];
}

/* A slot lives as long as one of its jobs; the number of the group must not be taken for another meanwhile. */
static void leave(Model *m, size_t i) {
        ModelDestination *x = m->destinations + m->destination[i];
        size_t heir = N_JOBS;
        bool was_flying = m->state[i] == FLYING;

        m->state[i] = OUT;
        if (!was_flying)
                return;
        for (size_t k = 0; k < N_JOBS; k++)
                if (m->state[k] == FLYING && m->group[k] == m->group[i]) {
                        heir = k;
                        break;
                }
        size_t group = m->group[i];
        if (group == i)
                for (size_t k = 0; k < N_JOBS; k++)
                        if (m->state[k] == FLYING && m->group[k] == group)
                                m->group[k] = heir;
        if (x->probe == m->jobs + i) {
                x->probe = heir < N_JOBS ? m->jobs + heir : NULL;
                x->probe_failed &= !!x->probe;
        }
}

static void do_done(Model *m, size_t i) {
        ModelDestination *x = m->destinations + m->destination[i];
        JobOutcome outcome = roll(m, 3) == 0 ? JOB_TROUBLE : roll(m, 4) == 0 ? JOB_UNTRIED : JOB_OK;

        if (m->state[i] != FLYING)
                return;
        if (outcome == JOB_OK)
                *x = (ModelDestination) { .paused = x->paused };
        else if (outcome == JOB_TROUBLE && (x->failures == 0 || (decides(m, i) && !x->probe_failed))) {
                x->failures++;
                x->not_before = USEC_INFINITY;
                x->probe_failed = !!x->probe;
        }
        scheduler_done(m->s, m->jobs + i, outcome, m->now);
        leave(m, i);
}

static void do_flush(Model *m, size_t d) {
        for (size_t i = 0; i < N_JOBS; i++)
                if (m->state[i] == WAITING && m->destination[i] == d)
                        m->due[i] = MIN(m->due[i], m->now);
        m->destinations[d] = (ModelDestination) { .paused = m->destinations[d].paused };
}

static void do_pause(Model *m) {
        size_t d = roll(m, N_DESTINATIONS + 2);
        bool on = roll(m, 3) == 0, *flag = d == N_DESTINATIONS ? &m->paused :
                d > N_DESTINATIONS ? &m->kind_paused : &m->destinations[d].paused;
        const char *name = d == N_DESTINATIONS ? NULL : d > N_DESTINATIONS ? "mailbox:" : name_of(d);

        ASSERT_EQ(on ? scheduler_pause(m->s, name) : scheduler_resume(m->s, name), *flag != on);
        *flag = on;
}

static void operate(Model *m) {
        size_t i = roll(m, N_JOBS), d = roll(m, N_DESTINATIONS);

        switch (roll(m, 24)) {
        case 0 ... 6:
                do_add(m, i);
                break;
        case 7 ... 12:
                do_next(m);
                break;
        case 13 ... 14:
                do_join(m, i, roll(m, 2) == 0);
                break;
        case 15 ... 19:
                do_done(m, i);
                break;
        case 20:
                if (roll(m, 4) == 0) {
                        scheduler_remove(m->s, m->jobs + i);
                        leave(m, i);
                }
                break;
        case 21:
                do_pause(m);
                break;
        case 22:
                if (roll(m, 20) > 0)
                        break;
                if (roll(m, 5) == 0) {
                        ASSERT_OK(scheduler_flush_all(m->s, m->now));
                        for (d = 0; d < N_DESTINATIONS; d++)
                                do_flush(m, d);
                } else if (scheduler_flush(m->s, name_of(d), m->now) >= 0)
                        do_flush(m, d);
                break;
        default:
                m->now += roll(m, 30) == 0 ? roll(m, 7200) * USEC_PER_SEC : roll(m, 20 * USEC_PER_SEC);
        }
}

int main(void) {
        static Model m;

        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
                m = (Model) { .random = seed, .now = USEC_PER_SEC };
                for (size_t i = 0; i < N_JOBS; i++)
                        m.jobs[i] = JOB_INIT;
                ASSERT_OK(scheduler_new(&policy, seed, &m.s));
                for (size_t k = 0; k < N_OPERATIONS; k++) {
                        operate(&m);
                        check(&m);
                }
                for (size_t i = 0; i < N_JOBS; i++)
                        scheduler_remove(m.s, m.jobs + i);
                scheduler_free(m.s);
        }
        return 0;
}
