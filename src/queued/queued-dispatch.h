/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What has fallen due and has a slot: routed first, or given to its session if it was. */

#include "queued/queued-manager.h"

void dispatch_due(Manager *manager);

/* The class of session that local mail goes to, by the configuration. */
const char *session_class(const Manager *manager);
