/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What an administrator has paused: everything, local delivery, the relay, one destination, one listener. Kept in
 * SPOOL/paused, so that a restart changes nothing. */

#include "queued/queued-manager.h"

struct Pause {
        Pause *next;
        char *what;   /* all, local, relay, destination, listener */
        char *name;   /* of a destination or listener, else NULL */
};

int pauses_load(Manager *manager);
void pauses_free(Manager *manager);

/* -EINVAL: not a thing that can be paused; -ENOENT (resume): it was not paused; -errno of the disk. 0 also if it was
 * paused already. */
int pause_set(Manager *manager, const char *what, const char *name, bool paused, uid_t by);

/* Submissions through a listener are refused for the time being. */
bool pause_listener(const Manager *manager, const char *listener);
