/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages, from the queue manager or, when it is not there, from the spool itself. Either way a message is the JSON
 * object "Message" of io.postd.Queue. */

#include "postctl/match.h"
#include "postctl/postctl.h"

/* Return < 0 (after a message) to stop. */
typedef int (*message_callback_t)(sd_json_variant *message, void *userdata);

/* The messages that --sender=, --recipient= and --held= select, in order of their ids, in constant memory. */
int queue_each(Postctl *p, message_callback_t found, void *userdata);

/* One message: 0 with a reference in *ret, > 0 or -errno after a message. */
int queue_show(Postctl *p, const char *id, sd_json_variant **ret);

/* A descriptor with the content of one. */
int queue_content(Postctl *p, const char *id, int *ret_fd);

/* The messages that the arguments mean; a part that only one id in the queue begins or ends with will do. An argument
 * that does not fit one message is reported and left out, with *failed set. */
int queue_resolve(Postctl *p, char **args, IdList *ids, bool *failed);

/* The messages that the arguments or, with --all, the filters mean. Neither is an error. */
int queue_select(Postctl *p, char **args, IdList *ids, bool *failed);
