/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A queue whose every attempt fails lives through clocks that lie: steps of ten years in both directions, a suspend of
 * three days, restarts with the clock set back, a boot at the epoch. What must hold: nothing stalls, nothing expires
 * without an attempt after its deadline and before its time, and attempts keep their distance. */

#include "basic/test.h"
#include "schedule/retry.h"
#include "schedule/schedule.h"

#define YEARS(n) ((n) * 365 * USEC_PER_DAY)
#define TODAY (YEARS(56) + 7 * USEC_PER_HOUR)

enum { N_MAILS = 60, N_DESTINATIONS = 7 };

static const RetryPolicy retry_policy = RETRY_POLICY_DEFAULT;
static const SchedulePolicy schedule_policy = { 5, 20, USEC_PER_MINUTE, USEC_PER_HOUR };

typedef struct Mail {
        Job job;
        size_t destination;
        /* on disk */
        unsigned tries;
        usec_t age, attempted, due;
        bool expired;
        /* in memory: its age is this much more than CLOCK_BOOTTIME */
        usec_t age_base, loaded;
        /* what nobody but the test knows, in true time */
        usec_t born, last;
        bool restarted; /* since the last attempt */
} Mail;

typedef struct World {
        usec_t truth, realtime, boottime;
        usec_t forgiven; /* ages may be wrong by this much: a day for each restart with a wrong clock */
        usec_t asleep;   /* suspended or off */
        uint64_t random;
        Scheduler *s;
        Mail mails[N_MAILS];
} World;

static uint64_t roll(World *w) {
        w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return w->random ^ w->random >> 32;
}

static const char *name_of(const Mail *m) {
        static char name[32];
        (void) snprintf(name, sizeof(name), "relay:%zu", m->destination);
        return name;
}

static RetryClock clock_of(const World *w) {
        return (RetryClock) { w->realtime, w->boottime };
}

static void load(World *w) {
        const RetryClock now = clock_of(w);

        ASSERT_OK(scheduler_new(&schedule_policy, roll(w), &w->s));
        for (Mail *m = w->mails; m < w->mails + N_MAILS; m++) {
                if (m->expired)
                        continue;
                m->job = JOB_INIT;
                m->age_base = retry_age_at_load(m->age, m->attempted, &now);
                m->loaded = w->boottime;
                m->restarted = true;
                ASSERT_OK(scheduler_add(w->s, &m->job, name_of(m),
                                        retry_due_boottime(m->due, retry_policy.retry_max, &now)));
        }
}

static void stop(World *w) {
        for (Mail *m = w->mails; m < w->mails + N_MAILS; m++)
                scheduler_remove(w->s, &m->job);
        w->s = scheduler_free(w->s);
}

static void born(World *w) {
        w->forgiven = w->asleep = 0;
        for (size_t i = 0; i < N_MAILS; i++)
                w->mails[i] = (Mail) {
                        .destination = i % N_DESTINATIONS,
                        .attempted = w->realtime,
                        .due = w->realtime,
                        .born = w->truth,
                        .last = w->truth,
                };
        load(w);
}

static void failed(World *w, Mail *m, JobOutcome outcome) {
        const RetryClock now = clock_of(w);

        /* Distance, but after a restart, when the clock on disk is all there is. */
        if (m->tries > 0 && !m->restarted)
                ASSERT_TRUE(w->truth - m->last >= 4 * USEC_PER_MINUTE);
        m->restarted = false;
        m->last = w->truth;
        m->tries++;
        m->attempted = w->realtime;
        m->age = m->age_base + (w->boottime - m->loaded);

        usec_t true_age = w->truth - m->born;
        ASSERT_TRUE(m->age <= true_age + w->forgiven);
        ASSERT_TRUE(m->age + w->asleep + w->forgiven >= true_age);
        scheduler_done(w->s, &m->job, outcome, w->boottime);
        if (retry_expired(&retry_policy, m->age)) {
                ASSERT_TRUE(true_age + w->forgiven >= retry_policy.expire_after);
                m->expired = true;
                return;
        }
        usec_t due = usec_add(w->boottime, retry_interval(&retry_policy, m->tries, m->age, roll(w)));
        m->due = retry_due_realtime(due, &now);
        ASSERT_OK(scheduler_add(w->s, &m->job, name_of(m), due));
}

/* A destination that answers sometimes, so that both kinds of waiting are seen. */
static void attempt(World *w, Mail *m) {
        JobOutcome outcome = roll(w) % 5 == 0 ? JOB_OK : JOB_TROUBLE;

        if (outcome == JOB_TROUBLE)
                for (Job *j; (j = scheduler_next_failed(w->s, &m->job, w->boottime));)
                        failed(w, container_of(j, Mail, job), outcome);
        failed(w, m, outcome);
}

static void pass(World *w, usec_t t) {
        w->truth += t;
        w->realtime += t;
        w->boottime += t;
}

/* Runs for a time, sleeping until what the scheduler says. */
static void run(World *w, usec_t duration) {
        usec_t end = w->boottime + duration;
        size_t wakeups = 0;

        for (;;) {
                for (Job *j; (j = scheduler_next(w->s, w->boottime));)
                        attempt(w, container_of(j, Mail, job));

                for (const Mail *m = w->mails; m < w->mails + N_MAILS; m++)
                        if (!m->expired) /* nothing stalls: the longest interval, once more after a restart, and the back-off */
                                ASSERT_TRUE(w->truth - m->last <= w->asleep + 2 * retry_policy.retry_max +
                                                                          schedule_policy.backoff_max);

                usec_t deadline = scheduler_deadline(w->s, w->boottime);
                if (deadline >= end)
                        break;
                ASSERT_TRUE(deadline > w->boottime);
                pass(w, deadline - w->boottime);
                ASSERT_TRUE(wakeups++ < 100000);
        }
        pass(w, end - w->boottime);
}

static size_t alive(const World *w) {
        size_t n = 0;
        for (const Mail *m = w->mails; m < w->mails + N_MAILS; m++)
                n += !m->expired;
        return n;
}

static void restart(World *w, usec_t off, usec_t realtime, bool reboot) {
        stop(w);
        w->truth += off;
        w->asleep += off;
        if (realtime != w->realtime + off)
                w->forgiven += AGE_GAP_MAX + off;
        w->realtime = realtime;
        w->boottime = reboot ? 10 * USEC_PER_SEC : w->boottime + off;
        load(w);
}

static void test_normal(World *w) {
        born(w);
        run(w, 95 * USEC_PER_HOUR);
        ASSERT_EQ(alive(w), (size_t) N_MAILS);
        run(w, 6 * USEC_PER_HOUR);
        ASSERT_EQ(alive(w), 0U);
        stop(w);
}

/* Steps while it runs: nobody notices. */
static void test_steps(World *w) {
        born(w);
        for (unsigned i = 0; i < 19; i++) {
                run(w, 5 * USEC_PER_HOUR);
                w->realtime = i % 2 ? w->realtime - YEARS(10) : w->realtime + YEARS(10);
        }
        ASSERT_EQ(alive(w), (size_t) N_MAILS);
        run(w, 7 * USEC_PER_HOUR);
        ASSERT_EQ(alive(w), 0U);
        stop(w);
}

/* Three days asleep, past many a deadline: everything is tried once more before it expires. */
static void test_suspend(World *w) {
        born(w);
        run(w, 2 * USEC_PER_DAY);
        unsigned tries[N_MAILS];
        for (size_t i = 0; i < N_MAILS; i++)
                tries[i] = w->mails[i].tries;
        pass(w, 3 * USEC_PER_DAY);
        w->asleep += 3 * USEC_PER_DAY;
        run(w, 5 * USEC_PER_HOUR);
        ASSERT_EQ(alive(w), 0U);
        for (size_t i = 0; i < N_MAILS; i++)
                ASSERT_TRUE(w->mails[i].tries > tries[i]);
        stop(w);
}

static void test_restarts(World *w) {
        const usec_t clocks[] = { w->realtime + YEARS(10), w->realtime - YEARS(10), 0, w->realtime };

        for (size_t i = 0; i < ELEMENTSOF(clocks); i++) {
                /* A clock that is wrong at boot costs a day at most, in either direction. */
                born(w);
                run(w, USEC_PER_DAY);
                restart(w, USEC_PER_HOUR, clocks[i], true);
                run(w, USEC_PER_DAY);
                ASSERT_EQ(alive(w), (size_t) N_MAILS);
                w->realtime = TODAY; /* then somebody sets it */
                run(w, 3 * USEC_PER_DAY);
                ASSERT_EQ(alive(w), 0U);
                stop(w);

                /* Restarts of the queue manager alone, the clock set differently each time. */
                born(w);
                for (unsigned k = 0; k < 4; k++) {
                        run(w, 5 * USEC_PER_HOUR);
                        restart(w, USEC_PER_SEC, clocks[(i + k) % ELEMENTSOF(clocks)], false);
                }
                run(w, 5 * USEC_PER_DAY);
                ASSERT_EQ(alive(w), 0U);
                stop(w);
        }
}

/* Born at the epoch, before the network sets the clock. */
static void test_epoch(World *w) {
        w->realtime = 0;
        w->boottime = 0;
        born(w);
        run(w, USEC_PER_HOUR);
        w->realtime = TODAY;
        run(w, USEC_PER_DAY);
        ASSERT_EQ(alive(w), (size_t) N_MAILS);
        restart(w, USEC_PER_MINUTE, w->realtime + USEC_PER_MINUTE, true);
        run(w, 2 * USEC_PER_DAY);
        ASSERT_EQ(alive(w), (size_t) N_MAILS);
        run(w, 2 * USEC_PER_DAY);
        ASSERT_EQ(alive(w), 0U);
        stop(w);
}

int main(void) {
        static void (*const tests[])(World *w) = { test_normal, test_steps, test_suspend, test_restarts, test_epoch };

        for (uint64_t seed = 0; seed < 5; seed++)
                for (size_t i = 0; i < ELEMENTSOF(tests); i++) {
                        static World w;
                        w = (World) { .random = seed, .truth = TODAY, .realtime = TODAY, .boottime = USEC_PER_DAY };
                        tests[i](&w);
                }
        return 0;
}
