/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The scheduler, rule by rule, and its speed with 100,000 jobs. Random operations: test-schedule-model.c, clocks that
 * lie: test-schedule-clock.c. */

#include "basic/test.h"
#include "schedule/schedule.h"

#define T0 (10 * USEC_PER_SEC)

static const SchedulePolicy policy = {
        .concurrency = 2,
        .concurrency_total = 10,
        .backoff_min = USEC_PER_MINUTE,
        .backoff_max = USEC_PER_HOUR,
};

static Scheduler *new_scheduler(void) {
        Scheduler *s;
        ASSERT_OK(scheduler_new(&policy, 1, &s));
        return s;
}

static int find_info(const DestinationInfo *info, void *userdata) {
        DestinationInfo *wanted = userdata;

        if (!streq(info->name, wanted->name))
                return 0;
        *wanted = *info;
        return 1;
}

static DestinationInfo info_of(Scheduler *s, const char *name) {
        DestinationInfo info = { .name = name };
        if (scheduler_foreach_destination(s, find_info, &info) == 0)
                info.name = NULL;
        return info;
}

static void test_turns(void) {
        _cleanup_(scheduler_freep) Scheduler *s = new_scheduler();
        Job a[4], b[2], *j;

        for (size_t i = 0; i < ELEMENTSOF(a); i++) {
                a[i] = JOB_INIT;
                ASSERT_OK(scheduler_add(s, a + i, "relay:a", T0 + i));
        }
        for (size_t i = 0; i < ELEMENTSOF(b); i++) {
                b[i] = JOB_INIT;
                ASSERT_OK(scheduler_add(s, b + i, "relay:b", T0 + 100));
        }
        ASSERT_EQ(scheduler_deadline(s, 0), T0);
        ASSERT_TRUE(!scheduler_next(s, T0 - 1));
        ASSERT_EQ(scheduler_deadline(s, T0), 0U);

        /* One each in turn; within a destination the oldest first. */
        usec_t now = T0 + USEC_PER_SEC;
        ASSERT_TRUE(scheduler_next(s, now) == a);
        j = scheduler_next(s, now);
        ASSERT_TRUE(j == b || j == b + 1);
        ASSERT_TRUE(scheduler_next(s, now) == a + 1);
        ASSERT_TRUE(scheduler_next(s, now));
        /* Both have what they may. */
        ASSERT_TRUE(!scheduler_next(s, now));
        ASSERT_EQ(scheduler_deadline(s, now), USEC_INFINITY);

        DestinationInfo info = info_of(s, "relay:a");
        ASSERT_EQ(info.n_waiting, 2U);
        ASSERT_EQ(info.n_due, 2U);
        ASSERT_EQ(info.n_in_flight, 2U);

        scheduler_done(s, a, JOB_OK, now);
        ASSERT_EQ(scheduler_deadline(s, now), 0U);
        ASSERT_TRUE(scheduler_next(s, now) == a + 2);
        scheduler_remove(s, a + 3); /* waiting */
        scheduler_remove(s, a + 2); /* in flight */
        scheduler_done(s, a + 1, JOB_OK, now);
        ASSERT_TRUE(!info_of(s, "relay:a").name);
        scheduler_remove(s, a + 1); /* not in */
        scheduler_remove(s, b);
        scheduler_remove(s, b + 1);
}

static void test_total(void) {
        _cleanup_(scheduler_freep) Scheduler *s = new_scheduler();
        Job jobs[20];
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(jobs); i++) {
                char name[32];
                (void) snprintf(name, sizeof(name), "relay:%zu", i);
                jobs[i] = JOB_INIT;
                ASSERT_OK(scheduler_add(s, jobs + i, name, 0));
        }
        while (scheduler_next(s, T0))
                n++;
        ASSERT_EQ(n, policy.concurrency_total);
        ASSERT_EQ(scheduler_deadline(s, T0), USEC_INFINITY);
        for (size_t i = 0; i < ELEMENTSOF(jobs); i++)
                scheduler_remove(s, jobs + i);
}

static void test_backoff(void) {
        _cleanup_(scheduler_freep) Scheduler *s = new_scheduler();
        Job jobs[5];
        usec_t now = T0;

        for (size_t i = 0; i < ELEMENTSOF(jobs); i++) {
                jobs[i] = JOB_INIT;
                ASSERT_OK(scheduler_add(s, jobs + i, "relay:down", i));
        }
        /* Two attempts under way fail: that is one failure. */
        ASSERT_TRUE(scheduler_next(s, now) == jobs);
        ASSERT_TRUE(scheduler_next(s, now) == jobs + 1);
        scheduler_done(s, jobs, JOB_TROUBLE, now);
        scheduler_done(s, jobs + 1, JOB_TROUBLE, now);
        DestinationInfo info = info_of(s, "relay:down");
        ASSERT_EQ(info.failures, 1U);
        ASSERT_TRUE(info.not_before >= now + 48 * USEC_PER_SEC && info.not_before <= now + USEC_PER_MINUTE);
        ASSERT_TRUE(!scheduler_next(s, now));
        ASSERT_EQ(scheduler_deadline(s, now), info.not_before);

        /* Then one probe, alone; each failed probe doubles the time, to a limit. */
        for (unsigned i = 2; i < 20; i++) {
                now = info.not_before;
                Job *j = scheduler_next(s, now);
                ASSERT_TRUE(j);
                ASSERT_TRUE(!scheduler_next(s, now));
                ASSERT_TRUE(!scheduler_next_same(s, j, now));
                ASSERT_EQ(scheduler_deadline(s, now), USEC_INFINITY);
                /* All that are due there share its fate, which counts once. */
                for (size_t k = 0; k < ELEMENTSOF(jobs) - 3; k++) {
                        Job *other = scheduler_next_failed(s, j, now);
                        ASSERT_TRUE(other);
                        scheduler_done(s, other, JOB_TROUBLE, now);
                        ASSERT_OK(scheduler_add(s, other, "relay:down", now + 1));
                }
                ASSERT_TRUE(!scheduler_next_failed(s, j, now));
                scheduler_done(s, j, JOB_TROUBLE, now);
                ASSERT_OK(scheduler_add(s, j, "relay:down", now));
                info = info_of(s, "relay:down");
                ASSERT_EQ(info.failures, i);
                ASSERT_TRUE(info.not_before - now <= policy.backoff_max);
        }
        ASSERT_TRUE(info.not_before - now >= policy.backoff_max / 5 * 4);

        /* A probe that was not made says nothing; one that succeeds ends the trouble. */
        now = info.not_before;
        Job *j = scheduler_next(s, now);
        scheduler_done(s, j, JOB_UNTRIED, now);
        j = scheduler_next(s, now);
        ASSERT_TRUE(j);
        scheduler_done(s, j, JOB_OK, now);
        ASSERT_EQ(info_of(s, "relay:down").failures, 0U);
        ASSERT_TRUE(scheduler_next(s, now));
        for (size_t i = 0; i < ELEMENTSOF(jobs); i++)
                scheduler_remove(s, jobs + i);

        /* Trouble outlives the last job, for a limited number of destinations. */
        Job one = JOB_INIT;
        for (size_t i = 0; i < 3000; i++) {
                char name[32];
                (void) snprintf(name, sizeof(name), "relay:%zu", i);
                ASSERT_OK(scheduler_add(s, &one, name, now));
                ASSERT_TRUE(scheduler_next(s, now) == &one);
                scheduler_done(s, &one, JOB_TROUBLE, now);
        }
        ASSERT_TRUE(!info_of(s, "relay:0").name);
        ASSERT_OK(scheduler_add(s, &one, "relay:2999", now));
        ASSERT_TRUE(!scheduler_next(s, now));
        ASSERT_EQ(scheduler_flush(s, "relay:2999", now), 1);
        ASSERT_TRUE(scheduler_next(s, now) == &one);
        scheduler_remove(s, &one);
        ASSERT_EQ(scheduler_flush(s, "relay:2998", now), 0);
        ASSERT_TRUE(!info_of(s, "relay:2998").name);
}

static void test_same(void) {
        _cleanup_(scheduler_freep) Scheduler *s = new_scheduler();
        Job jobs[6];

        for (size_t i = 0; i < ELEMENTSOF(jobs); i++) {
                jobs[i] = JOB_INIT;
                ASSERT_OK(scheduler_add(s, jobs + i, "mailbox:1000", i < 5 ? i : T0 + 5));
        }
        /* Three share a slot, the other two have one each until the first slot is free again. */
        Job *first = scheduler_next(s, T0);
        ASSERT_TRUE(scheduler_next_same(s, first, T0) == jobs + 1);
        ASSERT_TRUE(scheduler_next_same(s, first, T0) == jobs + 2);
        ASSERT_TRUE(scheduler_next(s, T0) == jobs + 3);
        ASSERT_TRUE(!scheduler_next(s, T0));
        scheduler_done(s, first, JOB_OK, T0);
        scheduler_done(s, jobs + 1, JOB_OK, T0);
        ASSERT_TRUE(!scheduler_next(s, T0));
        scheduler_done(s, jobs + 2, JOB_OK, T0);
        ASSERT_TRUE(scheduler_next(s, T0) == jobs + 4);
        ASSERT_TRUE(!scheduler_next_same(s, jobs + 4, T0)); /* not due */
        ASSERT_TRUE(scheduler_next_same(s, jobs + 4, T0 + 5) == jobs + 5);
        for (size_t i = 0; i < ELEMENTSOF(jobs); i++)
                scheduler_remove(s, jobs + i);
}

static void test_pause(void) {
        _cleanup_(scheduler_freep) Scheduler *s = new_scheduler();
        Job mailbox = JOB_INIT, other = JOB_INIT, relay = JOB_INIT;

        ASSERT_OK(scheduler_add(s, &mailbox, "mailbox:100", 0));
        ASSERT_OK(scheduler_add(s, &relay, "relay:example.org", 0));
        ASSERT_EQ(scheduler_pause(s, "mailbox:"), 1);
        ASSERT_EQ(scheduler_pause(s, "mailbox:"), 0);
        ASSERT_OK(scheduler_add(s, &other, "mailbox:1000", 0));
        ASSERT_TRUE(scheduler_next(s, T0) == &relay);
        ASSERT_TRUE(!scheduler_next(s, T0));
        ASSERT_EQ(scheduler_deadline(s, T0), USEC_INFINITY);
        ASSERT_EQ(info_of(s, "mailbox:100").paused, true);
        ASSERT_EQ(info_of(s, "relay:example.org").paused, false);

        /* A name is that destination, not others that begin so; pauses add up. */
        ASSERT_EQ(scheduler_pause(s, "mailbox:100"), 1);
        ASSERT_EQ(scheduler_resume(s, "mailbox:"), 1);
        ASSERT_EQ(scheduler_resume(s, "mailbox:"), 0);
        ASSERT_TRUE(scheduler_next(s, T0) == &other);
        ASSERT_TRUE(!scheduler_next(s, T0));
        /* Flush makes due, it does not resume. */
        ASSERT_EQ(scheduler_flush(s, "mailbox:100", T0), 1);
        ASSERT_TRUE(!scheduler_next(s, T0));
        ASSERT_EQ(scheduler_pause(s, NULL), 1);
        ASSERT_EQ(scheduler_resume(s, "mailbox:100"), 1);
        ASSERT_TRUE(!scheduler_next(s, T0));
        ASSERT_EQ(scheduler_resume(s, NULL), 1);
        ASSERT_TRUE(scheduler_next(s, T0) == &mailbox);
        scheduler_remove(s, &mailbox);
        scheduler_remove(s, &other);
        scheduler_remove(s, &relay);

        for (size_t i = 0; i < 1024; i++) {
                char name[32];
                (void) snprintf(name, sizeof(name), "relay:%zu", i);
                ASSERT_EQ(scheduler_pause(s, name), 1);
        }
        ASSERT_ERROR(scheduler_pause(s, "relay:x"), E2BIG);
}

static void test_flush(void) {
        _cleanup_(scheduler_freep) Scheduler *s = new_scheduler();
        Job a[3], b = JOB_INIT;

        for (size_t i = 0; i < ELEMENTSOF(a); i++) {
                a[i] = JOB_INIT;
                ASSERT_OK(scheduler_add(s, a + i, "relay:a", T0 + (3 - i) * USEC_PER_HOUR));
        }
        ASSERT_OK(scheduler_add(s, &b, "relay:b", T0 + USEC_PER_DAY));
        ASSERT_ERROR(scheduler_flush(s, "relay:c", T0), ENOENT);
        ASSERT_EQ(scheduler_flush(s, "relay:a", T0), 3);
        ASSERT_EQ(info_of(s, "relay:a").n_due, 3U);
        ASSERT_TRUE(scheduler_next(s, T0) == a + 2);
        ASSERT_EQ(info_of(s, "relay:b").n_due, 0U);
        ASSERT_EQ(scheduler_flush_all(s, T0), 3);
        ASSERT_EQ(info_of(s, "relay:b").n_due, 1U);
        for (size_t i = 0; i < ELEMENTSOF(a); i++)
                scheduler_remove(s, a + i);
        scheduler_remove(s, &b);
}

/* 10,000 jobs for one destination, then one for another: the other runs next. */
static void test_fairness(void) {
        enum { N = 10000 };
        _cleanup_(scheduler_freep) Scheduler *s = new_scheduler();
        _cleanup_free_ Job *many = new0(Job, N);
        Job one = JOB_INIT;

        for (size_t i = 0; i < N; i++) {
                many[i] = JOB_INIT;
                ASSERT_OK(scheduler_add(s, many + i, "relay:big", i));
        }
        for (size_t i = 0; i < 100; i++) {
                Job *j = scheduler_next(s, T0);
                ASSERT_TRUE(j == many + i);
                scheduler_done(s, j, JOB_OK, T0);
        }
        ASSERT_OK(scheduler_add(s, &one, "relay:small", T0));
        /* The big one was at the front of the ring and has its turn; not more than that. */
        ASSERT_TRUE(scheduler_next(s, T0) == &one || scheduler_next(s, T0) == &one);
        scheduler_remove(s, &one);
        for (size_t i = 0; i < N; i++)
                scheduler_remove(s, many + i);
}

static void test_speed(void) {
        enum { N = 100000, ROUNDS = 3 };
        static const size_t destinations[] = { 1, 100, N };
        _cleanup_free_ Job *jobs = new0(Job, N);

        for (size_t k = 0; k < ELEMENTSOF(destinations); k++) {
                _cleanup_(scheduler_freep) Scheduler *s = new_scheduler();
                usec_t begin = now_usec(CLOCK_MONOTONIC), now = T0, added;
                size_t attempts = 0;

                for (size_t i = 0; i < N; i++) {
                        char name[32];
                        (void) snprintf(name, sizeof(name), "relay:host%zu.example.org", i % destinations[k]);
                        jobs[i] = JOB_INIT;
                        ASSERT_OK(scheduler_add(s, jobs + i, name, i * 7919 % N));
                }
                added = now_usec(CLOCK_MONOTONIC);
                for (unsigned round = 0; round < ROUNDS; round++, now += USEC_PER_HOUR)
                        for (Job *j; (j = scheduler_next(s, now)); attempts++) {
                                char name[48];
                                (void) snprintf(name, sizeof(name), "relay:host%zu.example.org",
                                                (size_t) (j - jobs) % destinations[k]);
                                scheduler_done(s, j, JOB_OK, now);
                                ASSERT_OK(scheduler_add(s, j, name, now + USEC_PER_HOUR));
                        }
                ASSERT_EQ(attempts, (size_t) N * ROUNDS);
                printf("%6zu destinations: 100000 jobs added in %" PRIu64 " ms, next+done+add %" PRIu64 " ns\n",
                       destinations[k], (added - begin) / 1000,
                       (now_usec(CLOCK_MONOTONIC) - added) * 1000 / attempts);
                for (size_t i = 0; i < N; i++)
                        scheduler_remove(s, jobs + i);
        }
        printf("%zu bytes per job\n", sizeof(Job));
}

int main(void) {
        test_turns();
        test_total();
        test_backoff();
        test_same();
        test_pause();
        test_flush();
        test_fairness();
        test_speed();
        return 0;
}
