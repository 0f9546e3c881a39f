/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A batch is what one call of a session takes. Its messages are opened together, in the pool, and the call is made when
 * the last of them is: only what is being delivered is held open. One that cannot be read waits; the others go on. */

#include "basic/log.h"
#include "queued/queued-dispatch.h"
#include "queued/queued-route.h"
#include "queued/queued-session.h"
#include "queued/queued-settle.h"

typedef struct Batch {
        uid_t uid;
        const char *class;
        Recipient *recipients[BATCH_MAX];
        size_t n, n_opening;
} Batch;

const char *session_class(const Manager *manager) {
        return manager->config->deliver == DELIVER_MAILDIR ? "home" : "mailbox";
}

static void batch_opened(Manager *manager, Batch *b) {
        size_t n = 0;

        for (size_t i = 0; i < b->n; i++)
                if (b->recipients[i])
                        b->recipients[n++] = b->recipients[i];
        if (n > 0)
                sessions_deliver(manager->sessions, b->class, b->uid, b->recipients, n);
        free(b);
}

typedef struct Opening {
        Batch *batch;
        size_t i;
} Opening;

static void on_open(Manager *manager, Message *m _unused_, void *userdata, int r) {
        _cleanup_free_ Opening *o = userdata;
        Batch *b = o->batch;

        if (r < 0) {
                Recipient *recipient = TAKE_PTR(b->recipients[o->i]);

                scheduler_done(manager->scheduler, &recipient->job, JOB_UNTRIED, now_usec(CLOCK_BOOTTIME));
                recipient->phase = PHASE_WAITING;
                recipient_wait(manager, recipient, now_usec(CLOCK_BOOTTIME) + manager->config->retry_min);
        }
        if (--b->n_opening == 0)
                batch_opened(manager, b);
}

/* Out of memory: as if the slot had not been there. */
static void give_back(Manager *manager, Batch *b, Recipient *first) {
        usec_t now = now_usec(CLOCK_BOOTTIME);

        log_oom();
        for (size_t i = 0; i < (b ? b->n : 1); i++) {
                Recipient *r = b ? b->recipients[i] : first;

                scheduler_done(manager->scheduler, &r->job, JOB_UNTRIED, now);
                r->phase = PHASE_WAITING;
                recipient_wait(manager, r, now + USEC_PER_SEC);
        }
        free(b);
}

static void batch_open(Manager *manager, Batch *b) {
        Opening *openings[BATCH_MAX];

        for (size_t i = 0; i < b->n; i++) {
                openings[i] = new0(Opening, 1);
                if (!openings[i]) {
                        while (i-- > 0)
                                free(openings[i]);
                        give_back(manager, b, NULL);
                        return;
                }
                *openings[i] = (Opening) { b, i };
        }
        /* One more than there are, so that the last answer comes after the last question. */
        size_t n = b->n;
        b->n_opening = n + 1;
        for (size_t i = 0; i < n; i++)
                message_open(manager, b->recipients[i]->message, true, on_open, openings[i]);
        if (--b->n_opening == 0)
                batch_opened(manager, b);
}

static void deliver(Manager *manager, Recipient *first, usec_t now) {
        recipient_unset_ready(first, PHASE_DELIVERING);
        Batch *b = new0(Batch, 1);
        if (!b) {
                give_back(manager, NULL, first);
                return;
        }
        b->uid = first->uid;
        b->class = session_class(manager);
        b->recipients[b->n++] = first;
        while (b->n < BATCH_MAX) {
                Job *j = scheduler_next_same(manager->scheduler, &first->job, now);
                if (!j)
                        break;
                Recipient *r = container_of(j, Recipient, job);
                if (r->phase == PHASE_READY) {
                        recipient_unset_ready(r, PHASE_DELIVERING);
                        b->recipients[b->n++] = r;
                        continue;
                }
                scheduler_done(manager->scheduler, j, JOB_UNTRIED, now);
                route_recipient_begin(manager, r);
        }
        batch_open(manager, b);
}

void dispatch_due(Manager *manager) {
        usec_t now = now_usec(CLOCK_BOOTTIME);

        for (Job *j; (j = scheduler_next(manager->scheduler, now));) {
                Recipient *r = container_of(j, Recipient, job);

                if (r->phase == PHASE_READY) {
                        deliver(manager, r, now);
                        continue;
                }
                scheduler_done(manager->scheduler, j, JOB_UNTRIED, now);
                route_recipient_begin(manager, r);
        }
}
