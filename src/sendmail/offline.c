/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/id128.h"
#include "message/offline-file.h"
#include "sendmail/offline.h"

#define NAME_MAX_SIZE 48U

/* Names only have to differ; what a file is about stands inside. */
static int make_name(const char *prefix, char name[static NAME_MAX_SIZE]) {
        sd_id128_t id;
        int r = id128_random(&id);
        if (r < 0)
                return r;
        (void) snprintf(name, NAME_MAX_SIZE, "%s" SD_ID128_FORMAT_STR, prefix, SD_ID128_FORMAT_VAL(id));
        return 0;
}

static int write_file(int fd, const Buf *start, const Buf *header, const char *body, size_t body_size) {
        int r;

        r = write_full(fd, start->data, start->size);
        if (r < 0)
                return r;
        r = write_full(fd, header->data, header->size);
        if (r < 0)
                return r;
        r = write_full(fd, body, body_size);
        if (r < 0)
                return r;
        /* The directory's group may read it, whatever the caller's umask is. */
        if (fchmod(fd, 0640) < 0)
                return negative_errno();
        return fsync(fd) < 0 ? negative_errno() : 0;
}

/* Gives a file without a name one. The kernel allows that to whoever opened the file, or by way of /proc, which a sandbox
 * may have hidden. */
static int link_file(int fd, int dir_fd, const char *name) {
        char path[sizeof("/proc/self/fd/") + 11];

        if (linkat(fd, "", dir_fd, name, AT_EMPTY_PATH) >= 0)
                return 0;
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) < 0 ? negative_errno() : 0;
}

/* The directory cannot be opened by those who may write to it, so the entry is made durable through the file. */
static int sync_entry(int fd) {
        return syncfs(fd) < 0 ? negative_errno() : 0;
}

static int store_unnamed(int dir_fd, const Buf *start, const Buf *header, const char *body, size_t body_size) {
        _cleanup_close_ int fd = -EBADF;
        char name[NAME_MAX_SIZE];
        int r;

        fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0640);
        if (fd < 0)
                return negative_errno();
        r = write_file(fd, start, header, body, body_size);
        if (r < 0)
                return r;
        r = make_name("", name);
        if (r < 0)
                return r;
        r = link_file(fd, dir_fd, name);
        return r < 0 ? r : sync_entry(fd);
}

/* For file systems without O_TMPFILE and kernels that will not link without /proc: under a dot name, which pickup does
 * not look at, until it is complete. */
static int store_named(int dir_fd, const Buf *start, const Buf *header, const char *body, size_t body_size) {
        char name[NAME_MAX_SIZE], hidden[NAME_MAX_SIZE];
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = make_name("", name);
        if (r < 0)
                return r;
        r = make_name(".new-", hidden);
        if (r < 0)
                return r;
        fd = openat(dir_fd, hidden, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (fd < 0)
                return negative_errno();
        r = write_file(fd, start, header, body, body_size);
        if (r >= 0 && renameat(dir_fd, hidden, dir_fd, name) < 0)
                r = negative_errno();
        if (r < 0) {
                (void) unlinkat(dir_fd, hidden, 0);
                return r;
        }
        return sync_entry(fd);
}

int offline_store(const char *directory, const Envelope *e, const Buf *header, const char *body, size_t body_size) {
        _cleanup_close_ int dir_fd = -EBADF;
        _cleanup_buf_ Buf start = BUF_INIT;
        int r;

        r = offline_format(e, (uint64_t) header->size + body_size, &start);
        if (r < 0)
                return r;
        dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0)
                return negative_errno();

        r = store_unnamed(dir_fd, &start, header, body, body_size);
        if (r < 0 && !IN_SET(r, -ENOSPC, -EDQUOT, -EIO, -EROFS, -EACCES))
                r = store_named(dir_fd, &start, header, body, body_size);
        return r;
}
