/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What happened, told to the journal (one entry each, with its MESSAGE_ID), to the counters, and to those who monitor.
 * Called only once it is durable. */

#include "queued/queued-manager.h"

void event_received(Manager *manager, const Message *m, const Envelope *e);
/* Of a recipient's attempt: delivered, deferred, failed, expired, removed. The message is open. */
void event_outcome(Manager *manager, const Message *m, const Recipient *r);
void event_expanded(Manager *manager, const Message *m, const Recipient *r, size_t n_children);
void event_held(Manager *manager, const Message *m, const char *reason, uid_t by);
void event_released(Manager *manager, const Message *m, uid_t by);
void event_report(Manager *manager, const Message *m, const char *sender, const char *kind);
void event_paused(Manager *manager, bool paused, const char *what, const char *name, uid_t by);
void event_damaged(Manager *manager, const char *file_name, const char *action, int error);

/* Somebody monitors: events of all messages, or only of those from uid. Takes a reference. */
int event_subscribe(Manager *manager, sd_varlink *link, bool all, uid_t uid);
/* NULL: all of them. */
void event_unsubscribe(Manager *manager, sd_varlink *link);
