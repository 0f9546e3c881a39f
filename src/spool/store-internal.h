/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the store share. Only spool/ includes this. */

#include <dirent.h>

#include "spool/file.h"
#include "spool/finished.h"
#include "spool/store.h"

#define QUEUE_DIRECTORIES 32U
#define SMALL_CONTENT_MAX (256U * 1024)          /* written with everything else in one call */
#define COPY_CHUNK (256U * 1024)
#define FIRST_READ (16U * 1024)                  /* enough for most messages as a whole */
#define LARGE_CONTENT (UINT64_C(8) * 1024 * 1024) /* is block-aligned in the file, and handed out as a file */

#define TEMPORARY_PREFIX "new-"                  /* in the spool: messages being written where O_TMPFILE does not work */
#define TEMPORARY_NAME_MAX (sizeof(TEMPORARY_PREFIX) + QUEUE_ID_LENGTH)

typedef struct QueueDirectory {
        int fd;            /* -EBADF: not there (read-only) */
        SyncGroup sync;
} QueueDirectory;

struct Store {
        StoreFlags flags;
        int fd, lock_fd, damaged_fd;
        QueueDirectory directories[QUEUE_DIRECTORIES];
        FinishedLog finished;
        /* The log may only be rotated after recovery has removed what it names, and never when a removal failed. */
        atomic_bool recovered, removal_failed;
        atomic_bool link_by_path;  /* descriptors cannot be linked directly */
};

/* The directory of an id by its last character; -1 for what is none. */
int queue_directory_index(char c);
char queue_directory_name(unsigned i);
int store_directory(const Store *s, const QueueId *id);

/* What the final record of a recipient takes when its reply is cut to REPLY_TEXT_SHORT. */
#define FINAL_RECORD_ROOM 192U
#define REPLY_TEXT_SHORT 128U

/* Sees to it that the file has blocks for what is written from at to end and for the results of n recipients
 * behind that, without changing its size; does nothing if the last block has them. */
int file_reserve(int fd, uint64_t at, uint64_t end, size_t n_recipients);

/* Reads the message of an open file. Errors of store_read(), and those of message_decode(). */
int file_load(int fd, const QueueId *id, QueuedMessage *ret);

/* Moves a name of a queue directory to damaged/, under a name that is free there. */
int set_aside_at(Store *s, int dir_fd, const char *name);

/* Opens a directory for reading its entries. The descriptor of the directory itself is used by many at once. */
int open_listing(int dir_fd, DIR **ret);
static inline DIR *closedir_null(DIR *d) {
        if (d)
                closedir(d);
        return NULL;
}
DEFINE_TRIVIAL_CLEANUP_FUNC(DIR *, closedir_null);

/* What store_scan() has just read for its callback in this thread: store_read() takes it from there. */
typedef struct Scanned {
        const Store *store;
        QueuedMessage message;
} Scanned;
extern _Thread_local Scanned *scanned_message;
