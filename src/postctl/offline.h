/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The queue without the queue manager: straight from the spool, which root and the user postd may read. */

#include "postctl/queue.h"
#include "spool/message.h"

/* Is the spool to be read? > 0: yes (the reason was told), 0: the queue manager is there, -errno after a message. */
int offline_wanted(Postctl *p);

/* As their namesakes of queue.h. */
int offline_each(Postctl *p, message_callback_t found, void *userdata);
int offline_show(Postctl *p, const char *id, sd_json_variant **ret);
int offline_content(Postctl *p, const char *id, int *ret_fd);

/* The message as io.postd.Queue would tell it. Pure. */
int offline_message_json(const QueuedMessage *m, sd_json_variant **ret);
