/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads the spool at start, in a thread, while mail is already accepted and delivered. */

#include "queued/queued-manager.h"

int loader_start(Manager *manager);
Loader *loader_free(Loader *l);
/* At exit, before the pool is freed: the reader is to end soon. */
void loader_stop(Loader *l);

/* While the spool is being read: this message was made by this process, whatever the reader may still find of it. */
int loader_remember(Loader *l, const QueueId *id);
