/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* When a deferred recipient is tried again, warned about and given up; and how that survives wrong clocks.
 * Pure. RFC 5321 4.5.4.1 asks for about 30 minutes between attempts and 4 to 5 days in all. */

#include "basic/usec.h"

typedef struct RetryPolicy {
        usec_t retry_min;     /* first interval, default 5min; doubles with each try */
        usec_t retry_max;     /* largest interval, default 4h; also at most half the age, so that young mail is tried often */
        usec_t warn_after;    /* a delay DSN, default 4h; USEC_INFINITY: never */
        usec_t expire_after;  /* default 4d */
} RetryPolicy;

#define RETRY_POLICY_DEFAULT ((RetryPolicy) { 5 * USEC_PER_MINUTE, 4 * USEC_PER_HOUR, 4 * USEC_PER_HOUR, 4 * USEC_PER_DAY })

/* The interval until the next attempt after `tries` attempts at `age`; random is any 64 random bits, for up to
 * 20 % of jitter. Never 0; an attempt falls on the expiry rather than far behind it. */
usec_t retry_interval(const RetryPolicy *p, unsigned tries, usec_t age, uint64_t random);

/* The age of a recipient in the queue. It grows with CLOCK_BOOTTIME while the queue manager runs; over a restart it
 * grows by the difference of the wall clock, but by no less than 0 and no more than AGE_GAP_MAX, so that a clock
 * that jumps by years neither expires nor stalls mail. */
#define AGE_GAP_MAX USEC_PER_DAY

typedef struct RetryClock {
        usec_t realtime, boottime; /* read together */
} RetryClock;

/* At load: the age now of something whose age was `age` at wall time `logged` (arrival: age 0). */
usec_t retry_age_at_load(usec_t age, usec_t logged, const RetryClock *now);

/* A wall time on disk as CLOCK_BOOTTIME: never further ahead than `max_ahead` (the longest interval possible). */
usec_t retry_due_boottime(usec_t due_realtime, usec_t max_ahead, const RetryClock *now);

/* The other way, for the disk. */
usec_t retry_due_realtime(usec_t due_boottime, const RetryClock *now);

/* Only after an attempt was made at or after the deadline. */
bool retry_expired(const RetryPolicy *p, usec_t age_at_attempt);
