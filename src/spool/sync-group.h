/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One sync for all who wait: a sync that started after a caller came serves it, so that of many callers one works
 * and the others wait for it. Thread-safe. */

#include <pthread.h>
#include "basic/macro.h"

typedef struct SyncWaiter SyncWaiter;

typedef struct SyncGroup {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        SyncWaiter *waiters;
        bool running;
} SyncGroup;

void sync_group_init(SyncGroup *g);
void sync_group_done(SyncGroup *g);

/* Everything that was written through the descriptor's file before the call is durable: 0 or -errno, the same for all
 * that one sync served. */
int sync_group_wait(SyncGroup *g, int (*sync)(void *userdata), void *userdata);
