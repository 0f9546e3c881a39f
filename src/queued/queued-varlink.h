/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* io.postd.Queue: world-connectable; rights by the caller's uid and polkit. */

#include "queued/queued-manager.h"

int queue_listen(Manager *manager, int fd);
void queue_done(Manager *manager);
