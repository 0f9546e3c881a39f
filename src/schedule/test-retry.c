/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/test.h"
#include "schedule/retry.h"

#define YEARS(n) ((n) * 365 * USEC_PER_DAY)
#define MINUTES(n) ((n) * USEC_PER_MINUTE)
#define HOURS(n) ((n) * USEC_PER_HOUR)
#define TODAY (YEARS(56) + HOURS(7))

static const RetryPolicy policy = RETRY_POLICY_DEFAULT;

static void test_interval(void) {
        static const struct {
                unsigned tries;
                usec_t age, interval; /* without jitter */
        } table[] = {
                { 0, 0, MINUTES(5) },
                { 1, 0, MINUTES(5) },
                { 2, MINUTES(5), MINUTES(5) },
                { 3, MINUTES(30), MINUTES(15) },  /* half the age */
                { 3, HOURS(20), MINUTES(20) },    /* doubled twice */
                { 7, HOURS(20), HOURS(4) },
                { 1000000, HOURS(20), HOURS(4) },
                { UINT32_MAX, HOURS(90), HOURS(4) },
                { 40, HOURS(95), HOURS(1) },      /* falls on the expiry */
                { 40, HOURS(96) - MINUTES(1), MINUTES(4) },
                { 40, HOURS(96), HOURS(4) },      /* an attempt after the expiry was none: go on */
                { 40, YEARS(10), HOURS(4) },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ASSERT_EQ(retry_interval(&policy, table[i].tries, table[i].age, 0), table[i].interval);
                usec_t least = retry_interval(&policy, table[i].tries, table[i].age, UINT64_MAX);
                ASSERT_TRUE(least <= table[i].interval && least >= table[i].interval / 5 * 4);
        }

        /* No policy gives a busy loop. */
        RetryPolicy zero = {};
        ASSERT_TRUE(retry_interval(&zero, 5, 0, UINT64_MAX) >= USEC_PER_MSEC);
        RetryPolicy endless = { USEC_INFINITY, USEC_INFINITY, USEC_INFINITY, USEC_INFINITY };
        ASSERT_EQ(retry_interval(&endless, 5, 0, UINT64_MAX), USEC_INFINITY);
        ASSERT_EQ(retry_expired(&endless, YEARS(100)), false);
}

/* A whole life: about as many attempts as RFC 5321 4.5.4.1 has in mind, the last one on the deadline. */
static void test_life(void) {
        unsigned tries = 1;
        usec_t age = 0, last = 0;

        while (!retry_expired(&policy, age)) {
                last = retry_interval(&policy, tries, age, (uint64_t) tries * 0x9E3779B97F4A7C15U);
                ASSERT_TRUE(last >= MINUTES(4) && last <= HOURS(4));
                age += last;
                tries++;
        }
        ASSERT_TRUE(tries > 20 && tries < 60);
        ASSERT_TRUE(age >= policy.expire_after && age <= policy.expire_after + MINUTES(5));
}

static void test_age(void) {
        const RetryClock now = { TODAY, HOURS(1) };

        ASSERT_EQ(retry_age_at_load(HOURS(2), TODAY - HOURS(3), &now), HOURS(5));
        ASSERT_EQ(retry_age_at_load(HOURS(2), TODAY - YEARS(10), &now), HOURS(2) + AGE_GAP_MAX);
        ASSERT_EQ(retry_age_at_load(HOURS(2), TODAY + YEARS(10), &now), HOURS(2));
        ASSERT_EQ(retry_age_at_load(HOURS(2), 0, &now), HOURS(2) + AGE_GAP_MAX);
}

static void test_due(void) {
        const RetryClock now = { TODAY, HOURS(1) };

        ASSERT_EQ(retry_due_boottime(TODAY + MINUTES(10), HOURS(4), &now), HOURS(1) + MINUTES(10));
        ASSERT_EQ(retry_due_boottime(TODAY + YEARS(10), HOURS(4), &now), HOURS(5));
        ASSERT_EQ(retry_due_boottime(USEC_INFINITY, HOURS(4), &now), HOURS(5));
        ASSERT_EQ(retry_due_boottime(TODAY - MINUTES(10), HOURS(4), &now), MINUTES(50)); /* keeps its order */
        ASSERT_EQ(retry_due_boottime(TODAY - YEARS(10), HOURS(4), &now), 0U);
        ASSERT_EQ(retry_due_boottime(0, HOURS(4), &now), 0U);

        ASSERT_EQ(retry_due_realtime(HOURS(3), &now), TODAY + HOURS(2));
        ASSERT_EQ(retry_due_realtime(0, &now), TODAY - HOURS(1));
        ASSERT_EQ(retry_due_realtime(USEC_INFINITY, &now), USEC_INFINITY);
        const RetryClock epoch = { USEC_PER_SEC, HOURS(1) };
        ASSERT_EQ(retry_due_realtime(0, &epoch), 0U);
}

int main(void) {
        test_interval();
        test_life();
        test_age();
        test_due();
        return 0;
}
