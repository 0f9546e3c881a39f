/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deliver/mbox-lock.h"

#define SESSION_LOCK_MODE 0040 /* used by nobody else */

static int lock_file(int fd, short type) {
        /* A lock of the open file: it conflicts with everybody's fcntl() locks, and no close() elsewhere in the process
         * drops it. */
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

        if (fcntl(fd, F_OFD_SETLK, &lock) >= 0)
                return 0;
        return IN_SET(errno, EAGAIN, EACCES) ? MBOX_LOCK_FILE : negative_errno();
}

/* An empty file made by mknod(): unlike open() this needs no right to write files in the directory, so that the
 * session's Landlock rules can leave that out. Its mode tells that a session made it: sessions hold the lock of the
 * file as long as this one, so whoever has the one and finds the other of its own user finds that of a dead session. */
static int lock_dot(int dir_fd, const char *name) {
        struct stat st;

        for (int i = 0; i < 2; i++) {
                if (mknodat(dir_fd, name, S_IFREG | SESSION_LOCK_MODE, 0) >= 0)
                        return 0;
                if (errno != EEXIST)
                        return negative_errno();
                if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                        if (errno == ENOENT)
                                continue;
                        return negative_errno();
                }
                usec_t changed = (usec_t) MAX(st.st_mtim.tv_sec, 0) * USEC_PER_SEC;
                bool left_behind = (st.st_mode & 07777) == SESSION_LOCK_MODE && st.st_uid == geteuid();
                if (!left_behind && usec_sub(now_usec(CLOCK_REALTIME), changed) < LOCK_STALE)
                        return MBOX_LOCK_DOT;
                if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
                        return MBOX_LOCK_DOT;
        }
        return MBOX_LOCK_DOT;
}

int mbox_lock(int dir_fd, const char *lock_name, int fd, usec_t timeout) {
        usec_t deadline = usec_add(now_usec(CLOCK_MONOTONIC), timeout), pause = 5 * USEC_PER_MSEC;
        int r;

        for (;;) {
                r = lock_file(fd, F_WRLCK);
                if (r == 0) {
                        r = lock_dot(dir_fd, lock_name);
                        if (r == 0)
                                return 0;
                        (void) lock_file(fd, F_UNLCK);
                }
                if (r < 0)
                        return r;
                if (now_usec(CLOCK_MONOTONIC) >= deadline)
                        return r;
                (void) usleep(pause);
                pause = MIN(pause * 2, 250 * USEC_PER_MSEC);
        }
}

void mbox_unlock(int dir_fd, const char *lock_name, int fd) {
        (void) unlinkat(dir_fd, lock_name, 0);
        (void) lock_file(fd, F_UNLCK);
}
