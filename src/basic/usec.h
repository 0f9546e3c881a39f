/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Times are microseconds in uint64_t, as in systemd. */

#include <time.h>
#include "basic/macro.h"

typedef uint64_t usec_t;

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_WEEK (7 * USEC_PER_DAY)
#define USEC_INFINITY UINT64_MAX

/* CLOCK_REALTIME is for disks and people, CLOCK_BOOTTIME for everything that falls due. */
usec_t now_usec(clockid_t clock);

/* Saturating: never below 0, never past infinity; infinity stays infinity. */
usec_t usec_add(usec_t a, usec_t b);
usec_t usec_sub(usec_t a, usec_t b);

/* "2h 5min", "350ms", the two largest units; at least 32 bytes of room. Returns the buffer. */
char *format_timespan(char *buffer, size_t size, usec_t t);
#define FORMAT_TIMESPAN_MAX 32U
