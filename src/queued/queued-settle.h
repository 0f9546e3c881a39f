/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What becomes of a recipient after an attempt: written to the message's log, reported to the sender where it must be,
 * told to the journal and to monitors, in this order. Until it is written it counts as not having happened. */

#include "envelope/envelope.h"
#include "queued/queued-manager.h"

struct Outcome {
        RecipientState state;     /* PENDING: deferred */
        EnhancedStatus status;
        char *text;
        char *remote_host;
        usec_t attempted;         /* CLOCK_REALTIME */
        usec_t age;               /* then */
        DsnKind report;           /* to be made before this is written */
        bool reporting, writing;
};

Outcome *outcome_free(Outcome *o);

/* The attempt has ended. The message is open (one message_open() of this recipient, given back when all is done).
 * text is anybody's. */
void settle(Manager *manager, Recipient *r, DeliveryResult result, EnhancedStatus status, const char *text, const char *remote_host);

/* The attempt for another recipient has shown that this one's would fail too. It is out of the scheduler, and its message
 * need not be open. */
void settle_shared(Manager *manager, Recipient *r, EnhancedStatus status, const char *text);

/* No attempt could be made: try again in a while. Nothing is counted, written or told. */
void settle_untried(Manager *manager, Recipient *r, usec_t retry_in);

/* PHASE_WAITING, in the scheduler until due (CLOCK_BOOTTIME); not if the message is held. */
void recipient_wait(Manager *manager, Recipient *r, usec_t due);

/* An administrator or the sender takes the recipient out. It must be waiting; the message is open as above. */
void settle_removed(Manager *manager, Recipient *r);

/* A report for these recipients was made durable, or could not be (then later). By queued-report.c. */
void settle_reported(Manager *manager, Message *m, int r);

/* Looks again at what is left to be done for the outcomes of a message. */
void settle_resume(Manager *manager, Message *m);

/* The same for all that have outcomes since the loop was here last: a deferred event source. A message may have 10,000
 * recipients, whose outcomes come one by one. */
int settle_pending(sd_event_source *s, void *userdata);

/* The message is about to be freed. */
void settle_forget(Manager *manager, Message *m);

/* The end of the message is on disk. By queued-store.c. */
void settle_finished(Manager *manager, Message *m);
