/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The log of finished messages: slots of 48 bytes in SPOOL/finished, and in SPOOL/finished.old those of the time
 * before. A slot is written once: CRC32C of the rest, kind, time, token and queue id; a free one is all zero. The file
 * is filled with zeros ahead, so that an append takes no new blocks and its sync no journal. Thread-safe, except that
 * opening and closing are the owner's. */

#include <stdatomic.h>

#include "spool/store.h"
#include "spool/sync-group.h"

#define FINISHED_SLOT 48U
#define FINISHED_EXTEND (FINISHED_SLOT * 16384U)      /* zeros written ahead at a time, 768 KiB */
#define FINISHED_RESERVE (FINISHED_SLOT * 4096U)      /* fewer left: more are written */
#define FINISHED_ROTATE (FINISHED_SLOT * 131072U)     /* 6 MiB: rotated when the first entry is older than a day */
#define FINISHED_MAX (FINISHED_SLOT * 1048576U)       /* 48 MiB: rotated in any case */
#define FINISHED_MEMORY USEC_PER_DAY                  /* tokens are known for that long */

typedef struct FinishedLog {
        int dir_fd;               /* the spool, not ours to close */
        int fd;
        pthread_mutex_t mutex;    /* the positions and the descriptor */
        SyncGroup sync;
        uint64_t position;        /* of the next free slot */
        uint64_t synced;          /* everything before it is durable */
        uint64_t size;            /* of the file */
        usec_t first;             /* time of the first entry */
        bool suspect;             /* a sync has failed, and what it was for is not yet written again */
        uint64_t rotate, max;     /* FINISHED_ROTATE, FINISHED_MAX; less in tests */
} FinishedLog;

#define FINISHED_LOG_INIT ((FinishedLog) { .dir_fd = -EBADF, .fd = -EBADF })

/* Opens the log or makes it. */
int finished_open(FinishedLog *f, int dir_fd);
void finished_close(FinishedLog *f);

/* Adds entries; durable on return. -ENOSPC if not even the reserve has room. */
int finished_append(FinishedLog *f, const StoreFinished *entries, size_t n, usec_t now);

/* Is it time to begin a new file? The caller first makes the removal of all files named in the older one durable. */
bool finished_wants_rotation(FinishedLog *f, usec_t now);
int finished_rotate(FinishedLog *f);

/* Calls back for every entry of both files that verifies. The log may be in use. 0 or -errno (also the callback's). */
int finished_read(int dir_fd,
                  int (*callback)(const QueueId *id, sd_id128_t token, usec_t when, void *userdata),
                  void *userdata);

/* For tests and the fuzzer. */
void finished_slot_encode(const StoreFinished *e, usec_t when, uint8_t p[static FINISHED_SLOT]);
int finished_slot_decode(const uint8_t p[static FINISHED_SLOT], StoreFinished *ret, usec_t *ret_when); /* -ENODATA: free; -EBADMSG */
