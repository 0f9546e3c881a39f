/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A delivery session: serves io.postd.Transport on one connection until its peer hangs up, nothing has come for a while, or
 * the store wants a new session. */

#include <systemd/sd-event.h>
#include "deliver/request.h"

/* Settles every copy that is not settled yet. > 0: this session ends after the reply. */
typedef int (*store_t)(void *store, Copy *copies, size_t n);

/* Runs until the end: 0 or -errno. Takes the connection over. */
int session_run(sd_event *event, int connection, store_t deliver, void *store);
