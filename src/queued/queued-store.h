/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Work on message files in the pool: one operation at a time per message, in the order asked for; and the batches that
 * end finished messages. */

#include "queued/queued-manager.h"

/* Messages beyond these are closed while they wait for a slot; each takes a descriptor and about a kilobyte. */
#define OPEN_MAX 512U

struct StoreOp {
        Work work;
        Manager *manager;
        Message *message;
        StoreOp *next;
        int r;
        void (*run)(StoreOp *op);  /* in a thread; owns message->open meanwhile */
        void (*done)(StoreOp *op); /* in the loop; frees op */
};

void store_op_submit(Manager *manager, Message *m, StoreOp *op);

/* Records with the strings they point to. */
typedef struct RecordSet {
        Record *records;   /* their replies are the set's */
        size_t n, allocated;
} RecordSet;

RecordSet *record_set_free(RecordSet *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(RecordSet *, record_set_free);
int record_set_new(RecordSet **ret);
/* Copies what the record points to (not the children, which must stay). */
int record_set_add(RecordSet *s, const Record *record);

/* Appends records to a message that is open; takes the set over. The callback gets 0 or -errno; then the file and
 * message->open are as before. */
typedef void (*append_callback_t)(Manager *manager, Message *m, void *userdata, int r);
void message_append(Manager *manager, Message *m, RecordSet *records, bool sync, append_callback_t callback, void *userdata);

/* Ends a message on disk with the next batch: afterwards settle_finished() is called. Tried again until it works. */
void message_finish(Manager *manager, Message *m);
