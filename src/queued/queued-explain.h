/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What would be done with a recipient, step by step: in the pool, with a reading of its own of the configuration's
 * tables, so that it neither waits for nor disturbs mail. */

#include "queued/queued-manager.h"

/* Answers io.postd.Queue.Explain on the link, at once or later. */
int explain_start(Manager *manager, sd_varlink *link, const char *recipient);
