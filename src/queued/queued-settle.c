/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* If the disk takes no record the outcome is kept and written again later: while this process lives nothing is
 * delivered twice because of it. If a report cannot be made the recipient stays as it is until one can. */

#include "basic/log.h"
#include "basic/text.h"
#include "queued/queued-event.h"
#include "queued/queued-report.h"
#include "queued/queued-route.h"
#include "queued/queued-settle.h"
#include "queued/queued-store.h"

#define AGAIN_USEC (10 * USEC_PER_SEC)

Outcome *outcome_free(Outcome *o) {
        if (!o)
                return NULL;
        free(o->text);
        free(o->remote_host);
        return mfree(o);
}

/* Back to waiting, under the destination that it was tried for. */
void recipient_wait(Manager *manager, Recipient *r, usec_t due) {
        char destination[DESTINATION_MAX];
        int k;

        if (r->message->held || r->message->damaged)
                return;
        k = scheduler_add(manager->scheduler, &r->job, recipient_destination(manager, r, destination), due);
        if (k < 0)
                log_error_errno(k, "Cannot schedule %s of message %s: %m", r->address, r->message->id.s);
}

static bool notify_wanted(const Recipient *r, NotifyFlags flag) {
        if (r->message->null_sender || (r->notify & NOTIFY_NEVER))
                return false;
        /* RFC 3461 4.1: without NOTIFY a sender hears of failures, and may hear of delays. */
        return r->notify == 0 ? flag != NOTIFY_SUCCESS : r->notify & flag;
}

static DsnKind report_for(const Manager *manager, const Recipient *r, const Outcome *o) {
        switch (o->state) {
        case RECIPIENT_FAILED:
        case RECIPIENT_EXPIRED:
                return notify_wanted(r, NOTIFY_FAILURE) && !(r->dsn & DSN_FAILED) ? DSN_FAILED : 0;
        case RECIPIENT_DELIVERED:
                return notify_wanted(r, NOTIFY_SUCCESS) && !(r->dsn & DSN_SUCCESS) ? DSN_SUCCESS : 0;
        case RECIPIENT_PENDING:
                return o->age >= manager->config->warn_after && notify_wanted(r, NOTIFY_DELAY) && !(r->dsn & DSN_DELAYED) ?
                        DSN_DELAYED : 0;
        default:
                return 0;
        }
}

static void settle_soon(Manager *manager, Message *m) {
        if (m->settling)
                return;
        m->settling = true;
        m->next_settling = manager->settling;
        manager->settling = m;
        if (manager->settle)
                (void) sd_event_source_set_enabled(manager->settle, SD_EVENT_ONESHOT);
}

int settle_pending(sd_event_source *s _unused_, void *userdata) {
        Manager *manager = userdata;

        for (Message *m; (m = manager->settling);) {
                manager->settling = TAKE_PTR(m->next_settling);
                m->settling = false;
                settle_resume(manager, m);
        }
        return 0;
}

void settle_forget(Manager *manager, Message *m) {
        for (Message **p = &manager->settling; m->settling && *p; p = &(*p)->next_settling)
                if (*p == m) {
                        *p = TAKE_PTR(m->next_settling);
                        m->settling = false;
                        break;
                }
}

static void settle_outcome(Manager *manager, Recipient *r, const Outcome *template, const char *text, const char *remote_host) {
        RetryClock clock = manager_clock();

        Outcome *o = new0(Outcome, 1);
        if (o) {
                *o = *template;
                o->text = text_sanitize(text, REPLY_TEXT_MAX);
                o->remote_host = remote_host ? text_sanitize(remote_host, 255) : NULL;
        }
        if (!o || !o->text) {
                /* As if there had been no attempt; if it was delivered the session knows it by the flag. */
                log_oom();
                outcome_free(o);
                r->repeated = true;
                settle_untried(manager, r, AGAIN_USEC);
                return;
        }
        o->attempted = clock.realtime;
        o->age = recipient_age(r, clock.boottime);
        if (o->state == RECIPIENT_PENDING) {
                RetryPolicy policy = manager_retry_policy(manager);

                if (retry_expired(&policy, o->age))
                        o->state = RECIPIENT_EXPIRED;
        }
        o->report = report_for(manager, r, o);
        r->phase = PHASE_SETTLING;
        r->outcome = o;
        settle_soon(manager, r->message);
}

void settle(Manager *manager, Recipient *r, DeliveryResult result, EnhancedStatus status, const char *text, const char *remote_host) {
        static const RecipientState states[] = {
                [RESULT_DELIVERED] = RECIPIENT_DELIVERED,
                [RESULT_DEFERRED] = RECIPIENT_PENDING,
                [RESULT_FAILED] = RECIPIENT_FAILED,
        };
        assert((size_t) result < ELEMENTSOF(states));
        Outcome o = { .state = states[result], .status = status };
        settle_outcome(manager, r, &o, text, remote_host);
}

typedef struct Shared {
        Recipient *recipient;
        EnhancedStatus status;
        char text[];
} Shared;

static void on_shared_open(Manager *manager, Message *m _unused_, void *userdata, int k) {
        _cleanup_free_ Shared *s = userdata;

        if (k >= 0) {
                settle(manager, s->recipient, RESULT_DEFERRED, s->status, s->text, NULL);
                return;
        }
        s->recipient->phase = PHASE_WAITING;
        recipient_wait(manager, s->recipient, now_usec(CLOCK_BOOTTIME) + manager->config->retry_min);
}

void settle_shared(Manager *manager, Recipient *r, EnhancedStatus status, const char *text) {
        if (r->phase == PHASE_READY)
                recipient_unset_ready(r, PHASE_WAITING);
        Shared *s = malloc(sizeof(Shared) + strlen(text) + 1);
        if (!s) {
                log_oom();
                recipient_wait(manager, r, now_usec(CLOCK_BOOTTIME) + AGAIN_USEC);
                return;
        }
        s->recipient = r;
        s->status = status;
        strcpy(s->text, text);
        r->phase = PHASE_ROUTING;
        message_open(manager, r->message, false, on_shared_open, s);
}

void settle_untried(Manager *manager, Recipient *r, usec_t retry_in) {
        r->phase = PHASE_WAITING;
        recipient_wait(manager, r, now_usec(CLOCK_BOOTTIME) + retry_in);
        message_close(manager, r->message);
}

void settle_removed(Manager *manager, Recipient *r) {
        Outcome o = { .state = RECIPIENT_REMOVED, .status = STATUS(5, 7, 0) };
        settle_outcome(manager, r, &o, "removed from the queue", NULL);
}

static int on_again(sd_event_source *s, uint64_t usec _unused_, void *userdata) {
        Manager *manager = userdata;

        sd_event_source_unref(s);
        manager->settle_timer_armed = false;
        for (size_t i = 0;;) {
                Message *m = map_iterate(&manager->messages, &i);
                if (!m)
                        break;
                settle_resume(manager, m);
        }
        return 0;
}

/* After trouble with disk or reports all messages are looked at again; there is at most one such timer. */
static void settle_again_later(Manager *manager) {
        if (manager->settle_timer_armed)
                return;
        sd_event_source *s = NULL;
        int r = sd_event_add_time_relative(manager->event, &s, CLOCK_BOOTTIME, AGAIN_USEC, USEC_PER_SEC, on_again, manager);
        if (r < 0)
                log_error_errno(r, "Cannot set a timer: %m");
        else
                manager->settle_timer_armed = true;
}

static usec_t retry_in(const Manager *manager, const Recipient *r) {
        const Outcome *o = r->outcome;
        uint64_t random = (uint64_t) (uintptr_t) r * UINT64_C(0x9E3779B97F4A7C15) ^ o->attempted * UINT64_C(0xBF58476D1CE4E5B9);
        RetryPolicy policy = manager_retry_policy(manager);

        return retry_interval(&policy, r->tries + 1U, o->age, random ^ random >> 29);
}

static int add_record(RecordSet *set, const Recipient *r, usec_t due) {
        const Outcome *o = r->outcome;
        int k;

        k = record_set_add(set, &(Record) {
                .type = RECORD_ATTEMPT,
                .index = r->index,
                .state = o->state,
                .tries = r->tries + 1U,
                .attempted = o->attempted,
                .due = due,
                .age = o->age,
                .status = o->status,
                .reply = o->text,
        });
        if (k < 0 || !o->report)
                return k;
        return record_set_add(set, &(Record) { .type = RECORD_DSN, .index = r->index, .dsn = r->dsn | o->report });
}

static void written_one(Manager *manager, Message *m, Recipient *r, const RetryClock *clock) {
        Outcome *o = r->outcome;

        event_outcome(manager, m, r);
        if (o->state != RECIPIENT_PENDING) {
                recipient_free(manager, r);
        } else {
                usec_t in = retry_in(manager, r);

                r->tries += r->tries < UINT16_MAX;
                r->dsn |= o->report;
                r->outcome = outcome_free(o);
                r->phase = PHASE_WAITING;
                recipient_wait(manager, r, clock->boottime + in);
        }
        message_close(manager, m);
}

static void on_written(Manager *manager, Message *m, void *userdata _unused_, int k) {
        RetryClock clock = manager_clock();

        if (k < 0) {
                log_error_errno(k, "Cannot write the log of message %s, trying again: %m", m->id.s);
                settle_again_later(manager);
        }
        for (Recipient *r = m->recipients, *next; r; r = next) {
                next = r->next;
                if (!r->outcome || !r->outcome->writing)
                        continue;
                if (k < 0)
                        r->outcome->writing = false;
                else
                        written_one(manager, m, r, &clock);
        }
        manager_status_changed(manager);
        settle_resume(manager, m);
}

/* Has a report to be made before the outcome counts? */
static bool report_missing(const Recipient *r) {
        return r->outcome->report && !(r->dsn & r->outcome->report);
}

/* One report at a time for a message: of one kind, to one sender; what else there is to report has its turn afterwards. */
static void report_choose(Message *m, const Recipient *first) {
        for (Recipient *r = m->recipients; r; r = r->next)
                if (r->outcome && !r->outcome->writing && report_missing(r) && r->outcome->report == first->outcome->report &&
                    streq_ptr(r->sender, first->sender))
                        r->outcome->reporting = true;
}

static void write_outcomes(Manager *manager, Message *m) {
        _cleanup_(record_set_freep) RecordSet *set = NULL;
        RetryClock clock = manager_clock();
        bool sync = false;
        int k;

        k = record_set_new(&set);
        for (Recipient *r = m->recipients; r && k >= 0; r = r->next) {
                Outcome *o = r->outcome;
                if (!o || o->writing || o->reporting || report_missing(r))
                        continue;
                usec_t due = o->state == RECIPIENT_PENDING ? retry_due_realtime(clock.boottime + retry_in(manager, r), &clock) : 0;
                k = add_record(set, r, due);
                /* A deferral that is lost in a power cut is an attempt made once more. */
                sync = sync || o->state != RECIPIENT_PENDING || o->report;
                o->writing = true;
        }
        if (k < 0) {
                log_oom();
                on_written(manager, m, NULL, k);
                return;
        }
        if (set->n > 0)
                message_append(manager, m, TAKE_PTR(set), sync, on_written, NULL);
}

/* Looks at all outcomes of a message: those that need a report wait for it, the others are written; when every pending
 * recipient has a final one the message ends without writing them, which saves a sync. Called again whenever an
 * operation on the message's file has ended. */
void settle_resume(Manager *manager, Message *m) {
        bool all_final = true, any_ready = false, reporting = false;
        const Recipient *unreported = NULL;

        if (m->finishing || m->gathering)
                return;
        for (Recipient *r = m->recipients; r; r = r->next) {
                const Outcome *o = r->outcome;

                if (!o || o->state == RECIPIENT_PENDING || o->writing || o->reporting || report_missing(r))
                        all_final = false;
                reporting = reporting || (o && o->reporting);
                if (!o || o->writing || o->reporting)
                        continue;
                if (report_missing(r))
                        unreported = unreported ?: r;
                else
                        any_ready = true;
        }
        if (unreported && !reporting) {
                report_choose(m, unreported);
                report_make(manager, m);
        }
        if (all_final && !m->op_running)
                message_finish(manager, m);
        else if (!all_final && any_ready)
                write_outcomes(manager, m);
}

void settle_reported(Manager *manager, Message *m, int k) {
        for (Recipient *r = m->recipients; r; r = r->next) {
                if (!r->outcome || !r->outcome->reporting)
                        continue;
                r->outcome->reporting = false;
                if (k >= 0)
                        r->dsn |= r->outcome->report;
        }
        if (k < 0)
                settle_again_later(manager);
        else
                settle_resume(manager, m);
}

void settle_finished(Manager *manager, Message *m) {
        for (Recipient *r = m->recipients; r; r = r->next)
                event_outcome(manager, m, r);
        void (*ended)(Manager *, void *) = m->ended;
        void *userdata = m->ended_userdata;
        message_unregister(manager, m);
        message_free(m);
        if (ended)
                ended(manager, userdata);
        manager_status_changed(manager);
}
