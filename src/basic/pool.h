/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A pool of threads for what blocks (fsync, NSS). Work is started in the order it came; its completion is called in
 * the thread of the event loop. Threads start when there is work and end after a few idle seconds, so that an idle
 * program has none. */

#include <systemd/sd-event.h>
#include "basic/macro.h"

typedef struct Pool Pool;
typedef struct Work Work;

/* Embedded in the object that the work is about; the object stays until done() was called. */
struct Work {
        void (*run)(Work *w);  /* in a thread: may block, must not touch what the main thread owns */
        void (*done)(Work *w); /* in the event loop */
        Work *next;
};

int pool_new(sd_event *event, size_t threads_max, Pool **ret);

/* Finishes what was submitted, calls every done(), ends the threads. */
Pool *pool_free(Pool *p);
DEFINE_TRIVIAL_CLEANUP_FUNC(Pool *, pool_free);

/* Never fails: without any thread the work is done at once, here, and done() is called from the loop. */
void pool_submit(Pool *p, Work *w);

/* Work submitted whose done() was not called yet. */
size_t pool_pending(const Pool *p);
