/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What people may do with the queue. Varlink and D-Bus are thin adaptors over this: they read parameters, ask for the
 * right, and translate results. */

#include "queued/queued-manager.h"

typedef enum Verb {
        VERB_HOLD,
        VERB_RELEASE,
        VERB_REMOVE,
        VERB_FLUSH,        /* the message id, the destination text, or everything */
        VERB_REQUEUE,
        VERB_PAUSE,        /* what, text */
        VERB_RESUME,
        VERB_SHOW,
        VERB_CAT,
        _VERB_MAX,
} Verb;

typedef struct Operation {
        Verb verb;
        const char *id;
        const char *what;
        const char *text;
        uint32_t recipient;   /* VERB_REMOVE: RECIPIENT_NONE for all */
} Operation;

/* Which polkit action a caller with that uid needs; *ret NULL: none, it is the caller's own message and a thing that
 * everybody may do with their own. -ENOENT: no such message. */
int operation_action(Manager *manager, const Operation *o, uid_t uid, const char **ret);

/* r: >= 0 done (VERB_FLUSH: number of recipients); -ENOENT: no such message, destination or pause; -EBUSY: a delivery is
 * under way; -EINVAL: not a thing that can be paused; else the disk's trouble. Comes at once or later. VERB_SHOW and
 * VERB_CAT: the message is open with its content during the callback; else message is NULL. */
typedef void (*operation_callback_t)(Manager *manager, void *userdata, int r, Message *message);
void operation_run(Manager *manager, const Operation *o, uid_t by, operation_callback_t callback, void *userdata);

/* A message as io.postd.Queue shows it. May be called in a thread. */
int operation_message_json(const QueuedMessage *q, sd_json_variant **ret);

/* Ids of the messages of a user (UID_UNKNOWN: all), sorted, in one allocation. */
int operation_list_ids(Manager *manager, uid_t uid, QueueId **ret, size_t *ret_n);
