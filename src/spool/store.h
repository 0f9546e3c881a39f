/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The spool on disk; postd-queue(5) documents the format and every legal state.
 *
 *   SPOOL/queue/X/ID     one file per message, X is the last character of ID (32 directories, made when missing)
 *   SPOOL/finished       the log of messages that are done: id, token, time; what stands there is never delivered again,
 *                        and its token is known for a day
 *   SPOOL/damaged/ID     set aside by recovery
 *   SPOOL/lock           one process at a time
 *
 * All functions block and may be called from any thread, but never two at once for the same message. Failures are
 * -errno: -ENOSPC and -EDQUOT (no room), -EIO (the disk), -EBADMSG (a file that does not verify), ... After a failed
 * fsync the file is unlinked and the descriptor never synced again. The reader needs no running queue manager. */

#include "spool/message.h"

typedef struct Store Store;

typedef enum StoreFlags {
        STORE_READ_ONLY = 1 << 0, /* takes no lock, creates nothing: for postctl */
} StoreFlags;

/* -EBUSY if another process has the lock. */
int store_open(const char *path, StoreFlags flags, Store **ret);
Store *store_close(Store *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Store *, store_close);

/* Free bytes and inodes that an unprivileged user may still take on the spool's file system. */
int store_free_space(Store *s, uint64_t *ret_bytes, uint64_t *ret_inodes);

/* Writes a message. The content is prefix (our trace fields) followed by size bytes of content_fd from offset 0.
 * envelope->size is set to the sum. On return it is durable under *id (which the caller made with queue_id_new()).
 * -EEXIST: that id is taken, try another. Fills *ret (optional) as store_read() would. */
int store_create(Store *s, const QueueId *id, Envelope *envelope, const char *prefix, size_t prefix_size,
                 int content_fd, uint64_t size, QueuedMessage *ret);

/* Reads envelope and log. -ENOENT, -EBADMSG, -EUCLEAN (an unfinished file: never acknowledged), -EPROTONOSUPPORT (of a
 * later version). */
int store_read(Store *s, const QueueId *id, QueuedMessage *ret);

/* Appends records and applies them to the message; with sync they are durable on return. On failure neither file nor
 * message has changed, as far as anybody can tell (a cut-off record is overwritten by the next). */
int store_append(Store *s, QueuedMessage *m, const Record *records, size_t n, bool sync);

/* A read-only descriptor with the content only, for a transport: a sealed memfd, or for large content an unlinked
 * copy on the spool's file system. Verifies the content's checksum: -EBADMSG. */
int store_open_content(Store *s, const QueuedMessage *m, int *ret_fd);

/* Ends messages for good: one synced write to the log of finished messages for all of them, then their files go. */
typedef struct StoreFinished {
        QueueId id;
        sd_id128_t token;
} StoreFinished;
int store_finish(Store *s, const StoreFinished *messages, size_t n);

/* Was a message with this token finished within the last day? 1 and its id, 0, or -errno. Reads the whole log: for
 * submissions that say they are repeated. */
int store_find_finished(Store *s, sd_id128_t token, QueueId *ret);

/* Moves a message to damaged/. */
int store_set_aside(Store *s, const QueueId *id);

/* Recovery, and listing without the daemon: calls found() for each message file that is not finished, in no order,
 * until it returns < 0. Unless read-only: files without a commit record go, those that do not verify are set aside,
 * and for each of them damaged() is called with the reason (error < 0, and what was done as text); leftovers of
 * finished messages go without a word. finished() gets the recent entries of the log of finished messages first.
 * Callbacks may be NULL. Other threads may create and finish messages meanwhile, which may be found too. In found(),
 * store_read() of that id costs nothing. */
typedef struct StoreScan {
        int (*found)(const QueueId *id, void *userdata);
        void (*damaged)(const char *file_name, int error, const char *action, void *userdata);
        void (*finished)(const QueueId *id, sd_id128_t token, usec_t when, void *userdata);
        void *userdata;
} StoreScan;
int store_scan(Store *s, const StoreScan *scan);
