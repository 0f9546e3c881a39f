/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "schedule/retry.h"

#define INTERVAL_FLOOR USEC_PER_SEC /* whatever the configuration says */

usec_t retry_interval(const RetryPolicy *p, unsigned tries, usec_t age, uint64_t random) {
        usec_t min = MAX(p->retry_min, INTERVAL_FLOOR), max = MAX(p->retry_max, min), interval = min;

        for (unsigned i = 1; i < tries && interval < max; i++)
                interval = MIN(usec_add(interval, interval), max);
        interval = MAX(MIN(interval, age / 2), min);

        /* Jitter shortens only, so that neither limit of the policy is passed by much. */
        if (interval < USEC_INFINITY)
                interval -= (usec_t) ((__uint128_t) (interval / 5) * random >> 64);

        if (age < p->expire_after && p->expire_after - age < interval)
                return MAX(p->expire_after - age, min / 5 * 4);
        return interval;
}

usec_t retry_age_at_load(usec_t age, usec_t logged, const RetryClock *now) {
        return usec_add(age, MIN(usec_sub(now->realtime, logged), AGE_GAP_MAX));
}

usec_t retry_due_boottime(usec_t due_realtime, usec_t max_ahead, const RetryClock *now) {
        if (due_realtime > now->realtime)
                return usec_add(now->boottime, MIN(due_realtime - now->realtime, max_ahead));
        return usec_sub(now->boottime, now->realtime - due_realtime);
}

usec_t retry_due_realtime(usec_t due_boottime, const RetryClock *now) {
        if (due_boottime == USEC_INFINITY)
                return USEC_INFINITY;
        if (due_boottime > now->boottime)
                return usec_add(now->realtime, due_boottime - now->boottime);
        return usec_sub(now->realtime, now->boottime - due_boottime);
}

bool retry_expired(const RetryPolicy *p, usec_t age_at_attempt) {
        return age_at_attempt >= p->expire_after;
}
