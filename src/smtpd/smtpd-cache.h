/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Recipients that the queue manager has just accepted, so that a burst of messages to the same few does not ask for each.
 *
 * The sender is not part of the key (the question "is there such a recipient" is what costs), but everything about the
 * client is, for relaying is allowed to some and not to others. Only acceptance is kept, for two seconds: Submit decides
 * again on room, a recipient that has gone in the meantime gets a bounce as if it had gone two seconds later. */

#include "basic/usec.h"

#define CACHE_SLOTS 1024U
#define CACHE_SPAN (2 * USEC_PER_SEC)

typedef struct CheckCache {
        struct {
                char *key;
                usec_t until;
        } slots[CACHE_SLOTS];
} CheckCache;

void check_cache_done(CheckCache *c);

bool check_cache_has(const CheckCache *c, const char *client, const char *recipient, usec_t now);
/* Without memory nothing is kept. */
void check_cache_add(CheckCache *c, const char *client, const char *recipient, usec_t now);
