/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the extended attribute user.postd.append of a mailbox says of the last append: where it begins and ends, of which
 * copies it consists, and whether it is known to be durable. It is set before the first byte is written; being
 * metadata of the same file it reaches the disk no later than the new size, without a sync of its own. With it a session can
 * tell that a repeated copy is there already, and take away an append that was cut short.
 *
 * The owner of the mailbox can set the attribute too: reading it believes nothing that could harm anybody else. */

#include "basic/buf.h"
#include "envelope/queue-id.h"

#define MBOX_RECORD_XATTR "user.postd.append"
#define MBOX_RECORD_COPIES_MAX 64U
#define MBOX_RECORD_SIZE_MAX 4096U
#define MBOX_END_UNKNOWN UINT64_MAX

typedef struct MboxRecordCopy {
        QueueId id;
        unsigned recipient;
        uint32_t from_crc; /* CRC-32C of its From_ line, without the line's end */
} MboxRecordCopy;

typedef struct MboxRecord {
        bool done;      /* synced, and answered as delivered */
        char boot[9];   /* first digits of the boot id when it was written */
        uint64_t start; /* size of the mailbox before */
        uint64_t end;   /* and after, or MBOX_END_UNKNOWN */
        size_t n_copies;
        MboxRecordCopy copies[MBOX_RECORD_COPIES_MAX];
} MboxRecord;

int mbox_record_format(const MboxRecord *r, Buf *ret);
/* 0 or -EBADMSG. */
int mbox_record_parse(const char *p, size_t n, MboxRecord *ret);

bool mbox_record_contains(const MboxRecord *r, const QueueId *id, unsigned recipient);

/* How the bytes from start to the given end of the mailbox compare with the record. -errno if they cannot be read. */
typedef enum MboxTail {
        MBOX_TAIL_FOREIGN,  /* there is something that the append did not write, or it does not begin there */
        MBOX_TAIL_PART,     /* a beginning of the append */
        MBOX_TAIL_HOLE,     /* ours, but with blocks of zeros where the power went before they were written */
        MBOX_TAIL_ALL,      /* every message of it begins in there, and an empty line ends it */
} MboxTail;
int mbox_record_compare(const MboxRecord *r, int fd, uint64_t end);
