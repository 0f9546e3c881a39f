/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whoever finds no sync running takes all that wait, syncs for them and tells them the result. */

#include "spool/sync-group.h"

struct SyncWaiter {
        SyncWaiter *next;
        int result;
        bool done;
};

void sync_group_init(SyncGroup *g) {
        *g = (SyncGroup) {};
        (void) pthread_mutex_init(&g->mutex, NULL);
        (void) pthread_cond_init(&g->cond, NULL);
}

void sync_group_done(SyncGroup *g) {
        assert(!g->waiters);
        (void) pthread_mutex_destroy(&g->mutex);
        (void) pthread_cond_destroy(&g->cond);
}

int sync_group_wait(SyncGroup *g, int (*sync)(void *userdata), void *userdata) {
        SyncWaiter self = {};

        (void) pthread_mutex_lock(&g->mutex);
        self.next = g->waiters;
        g->waiters = &self;
        while (!self.done) {
                if (g->running) {
                        (void) pthread_cond_wait(&g->cond, &g->mutex);
                        continue;
                }
                SyncWaiter *served = g->waiters;
                g->waiters = NULL;
                g->running = true;
                (void) pthread_mutex_unlock(&g->mutex);

                int r = sync(userdata);

                (void) pthread_mutex_lock(&g->mutex);
                g->running = false;
                for (SyncWaiter *w = served, *next; w; w = next) {
                        next = w->next; /* it may be gone once it knows */
                        w->result = r;
                        w->done = true;
                }
                (void) pthread_cond_broadcast(&g->cond);
        }
        (void) pthread_mutex_unlock(&g->mutex);
        return self.result;
}
