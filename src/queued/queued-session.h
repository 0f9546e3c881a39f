/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Delivery sessions: transient units that postd-spawnd starts, one per user and class, each with a connection that speaks
 * io.postd.Transport. A session takes batches, one at a time, lingers, and ends by itself. */

#include "queued/queued-manager.h"

int sessions_new(Manager *manager, Sessions **ret);
Sessions *sessions_free(Sessions *s);

/* Gives recipients to the session of a user. They are PHASE_DELIVERING, in flight in the scheduler, and each is settled in
 * the end. Takes over nothing but the time of the recipients. */
#define BATCH_MAX 50U
void sessions_deliver(Sessions *s, const char *class, uid_t uid, Recipient *const *recipients, size_t n);

size_t sessions_count(const Sessions *s);
