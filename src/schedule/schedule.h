/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is tried next, and when. A pure library: no descriptor, no timer, no clock of its own; times are passed in as
 * CLOCK_BOOTTIME (falls due) so that steps of the wall clock do not exist here. The conversion from and to the wall
 * times on disk is schedule/retry.h.
 *
 * A Job is one recipient to try. Jobs wait in a destination (a next hop: "mailbox:1000", "relay:example.org"), which
 * bounds how many run at once, and which after trouble may not be tried before a time of its own, with one probe.
 * Destinations take turns, so that a long queue for one never holds up another. */

#include "basic/heap.h"
#include "basic/usec.h"

typedef struct Scheduler Scheduler;
typedef struct Destination Destination;

/* Embedded by the caller. Keep it small: 100,000 of them. */
typedef struct Job {
        Destination *destination; /* NULL: not in the scheduler */
        usec_t due;               /* CLOCK_BOOTTIME */
        HeapIndex heap_index;     /* private: HEAP_NONE while in flight */
        uint32_t slot;            /* private: while in flight */
} Job;
#define JOB_INIT ((Job) { .heap_index = HEAP_NONE })

typedef struct SchedulePolicy {
        unsigned concurrency;         /* jobs in flight per destination, default */
        unsigned concurrency_total;   /* jobs in flight in all */
        usec_t backoff_min, backoff_max; /* of a destination in trouble */
} SchedulePolicy;

int scheduler_new(const SchedulePolicy *policy, uint64_t seed, Scheduler **ret);
Scheduler *scheduler_free(Scheduler *s); /* the jobs are the caller's and must be out of it */
DEFINE_TRIVIAL_CLEANUP_FUNC(Scheduler *, scheduler_free);

/* Adds a job for a destination (made on first use, gone with its last job; some in trouble are remembered longer, so
 * that new mail for them does not start over). 0 or -ENOMEM. */
int scheduler_add(Scheduler *s, Job *j, const char *destination, usec_t due);

/* Takes a job out in any state; safe on a job that is not in. */
void scheduler_remove(Scheduler *s, Job *j);

/* The next job that may run now, marked in flight; NULL if there is none. */
Job *scheduler_next(Scheduler *s, usec_t now);

/* Another job of the same destination that is due, for a call that takes several; counts against the same slot as first. */
Job *scheduler_next_same(Scheduler *s, Job *first, usec_t now);

/* A destination whose probe fails has failed for everything that is due there: else a long queue for a dead host would
 * get one attempt per back-off, and never expire. Between the probe's end and its scheduler_done(JOB_TROUBLE), take
 * these one after another (all or some, now or from the event loop), record the probe's result for each, end each with
 * scheduler_done(JOB_TROUBLE) and add it again for its own next time. NULL if first was no probe, or no more are due. */
Job *scheduler_next_failed(Scheduler *s, Job *first, usec_t now);

/* When scheduler_next() may find something next: a time, 0 for now, USEC_INFINITY for never (until something changes). */
usec_t scheduler_deadline(Scheduler *s, usec_t now);

/* The job in flight has ended and is out of the scheduler. What it says of the destination as a whole: */
typedef enum JobOutcome {
        JOB_OK,          /* delivered, or refused for the recipient's own reasons: the destination is alive */
        JOB_TROUBLE,     /* the destination did not answer: back off, then one probe */
        JOB_UNTRIED,     /* no attempt was made (no slot, restart): says nothing */
} JobOutcome;
void scheduler_done(Scheduler *s, Job *j, JobOutcome outcome, usec_t now);

/* Everything of a destination is due now and its back-off forgotten. Returns the number of jobs; -ENOENT. */
int scheduler_flush(Scheduler *s, const char *destination, usec_t now);
int scheduler_flush_all(Scheduler *s, usec_t now);

/* What is paused starts nothing; what is in flight goes on. NULL is everything, a name that ends in ":" a kind of
 * destinations ("mailbox:"), any other name that destination, also one that does not exist yet. Each resume takes back
 * the pause of the same name only. 1, 0 if there was nothing to do, -ENOMEM, -E2BIG (1024 pauses). */
int scheduler_pause(Scheduler *s, const char *name);
int scheduler_resume(Scheduler *s, const char *name);

typedef struct DestinationInfo {
        const char *name;
        size_t n_waiting, n_due, n_in_flight; /* jobs; those due are among those waiting */
        unsigned failures;     /* in a row */
        usec_t not_before;     /* end of its back-off, CLOCK_BOOTTIME, 0: none */
        bool paused;
} DestinationInfo;

/* In no order. A callback's result other than 0 ends it and is returned. It must not change the scheduler. */
int scheduler_foreach_destination(Scheduler *s, int (*callback)(const DestinationInfo *info, void *userdata), void *userdata);
