/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* io.postd.Submission: one server per listener; the socket that a call came through names the listener. */

#include "queued/queued-manager.h"

#define LISTENER_LOCAL "local"
#define LISTENER_INJECT "inject"

int submission_listen(Manager *manager, int fd, const char *listener);
void submission_done(Manager *manager);
