/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Queue ids: 16 characters of a base-32 alphabet without look-alikes, 44 bits of milliseconds since 1970 and 36
 * random bits. They sort by time, are never used again on any host, and are safe in file names and headers. */

#include "basic/usec.h"

#define QUEUE_ID_LENGTH 16U

typedef struct QueueId {
        char s[QUEUE_ID_LENGTH + 1];
} QueueId;

/* -errno if there are no random bits. */
int queue_id_new(usec_t realtime, QueueId *ret);

/* Checks length and alphabet: 0 or -EINVAL. */
int queue_id_parse(const char *s, QueueId *ret);

/* The time that the id was made, in microseconds since 1970, to the millisecond. */
usec_t queue_id_time(const QueueId *id);
