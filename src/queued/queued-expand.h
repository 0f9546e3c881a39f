/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Replacing a recipient by others: logged before the first of them is tried, and frozen from then on. */

#include "queued/queued-manager.h"
#include "route/route.h"

/* r is PHASE_ROUTING and its message open. */
void expand(Manager *manager, Recipient *r, const RouteResult *result);

/* Another recipient of the same message is being expanded: then this one waits, and is routed again afterwards. */
bool expand_in_progress(Recipient *r);
