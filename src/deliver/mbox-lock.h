/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The locks of a mailbox as Debian Policy 11.6 wants them: first fcntl(2) on the file, then a dot lock beside it. Tried
 * for a bounded time, with both given up between tries so that a program with the other order is not dead-locked. */

#include "basic/usec.h"

#define LOCK_STALE (5 * USEC_PER_MINUTE) /* a dot lock this old was left behind, as liblockfile has it */

typedef enum MboxLockResult {
        MBOX_LOCK_FILE = 1, /* somebody holds the fcntl lock */
        MBOX_LOCK_DOT,      /* somebody holds the dot lock */
} MboxLockResult;

/* The process needs a umask of 0. 0 with both locks, a MboxLockResult after the timeout, -errno. */
int mbox_lock(int dir_fd, const char *lock_name, int fd, usec_t timeout);
void mbox_unlock(int dir_fd, const char *lock_name, int fd);
