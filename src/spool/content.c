/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hands out the content of a message, and nothing else of its file. What leaves here has the checksum that it came in
 * with. */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/crc32c.h"
#include "basic/fd.h"
#include "spool/store-internal.h"

/* Copies the content through a buffer: its checksum. */
static int copy_small(int from, uint64_t offset, uint64_t size, int to, uint32_t *ret_crc) {
        size_t room = MIN(size, (uint64_t) COPY_CHUNK);
        _cleanup_free_ uint8_t *p = malloc(MAX(room, (size_t) 1));
        uint32_t crc = 0;

        if (!p)
                return -ENOMEM;
        for (uint64_t done = 0; done < size;) {
                size_t want = MIN(size - done, (uint64_t) room);
                ssize_t n = pread_full(from, p, want, offset + done);
                if (n < 0)
                        return n;
                if ((size_t) n < want)
                        return -EBADMSG;
                crc = crc32c(crc, p, n);
                int r = pwrite_full(to, p, n, done);
                if (r < 0)
                        return r;
                done += n;
        }
        *ret_crc = crc;
        return 0;
}

static int sum(int fd, uint64_t size, uint32_t *ret_crc) {
        _cleanup_free_ uint8_t *p = malloc(COPY_CHUNK);
        uint32_t crc = 0;

        if (!p)
                return -ENOMEM;
        for (uint64_t done = 0; done < size;) {
                ssize_t n = pread_full(fd, p, MIN(size - done, (uint64_t) COPY_CHUNK), done);
                if (n < 0)
                        return n;
                if (n == 0)
                        return -EBADMSG;
                crc = crc32c(crc, p, n);
                done += n;
        }
        *ret_crc = crc;
        return 0;
}

static int open_memfd(int from, uint64_t offset, uint64_t size, uint32_t *ret_crc) {
        int r;

        _cleanup_close_ int fd = memfd_new("message");
        if (fd < 0)
                return fd;
        r = copy_small(from, offset, size, fd, ret_crc);
        if (r < 0)
                return r;
        r = memfd_seal(fd);
        return r < 0 ? r : TAKE_FD(fd);
}

/* Blocks are shared where the file system can; the checksum is that of the copy. Nobody but us may open it for writing,
 * and the descriptor that leaves cannot. */
static int open_copy(const Store *s, int from, uint64_t offset, uint64_t size, uint32_t *ret_crc) {
        char path[sizeof("/proc/self/fd/") + 12];
        int r;

        _cleanup_close_ int copy = openat(s->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (copy < 0)
                return negative_errno();
        r = copy_range(from, offset, copy, 0, size);
        if (r < 0)
                return r == -EIO ? -EBADMSG : r;
        r = sum(copy, size, ret_crc);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? negative_errno() : fd;
}

int store_open_content(Store *s, const QueuedMessage *m, int *ret_fd) {
        FileHeader h = { .id = m->id, .content_offset = m->content_offset, .content_size = m->envelope.size };
        uint8_t commit[COMMIT_RECORD_SIZE];
        _cleanup_close_ int from = -EBADF, fd = -EBADF;
        uint32_t expected, crc = 0;
        int r;

        int dir = store_directory(s, &m->id);
        if (dir < 0)
                return -ENOENT;
        from = openat(dir, m->id.s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (from < 0)
                return negative_errno();
        ssize_t n = pread_full(from, commit, sizeof(commit), file_commit_offset(&h));
        if (n < 0)
                return n;
        r = message_content_sum(&h, commit, n, &expected);
        if (r < 0)
                return r == -EUCLEAN ? -EBADMSG : r; /* it was there when the message was read */

        fd = -EOPNOTSUPP;
        if (h.content_size > LARGE_CONTENT && !(s->flags & STORE_READ_ONLY))
                fd = open_copy(s, from, h.content_offset, h.content_size, &crc);
        if (IN_SET(fd, -EOPNOTSUPP, -EISDIR)) /* small, or a file system without O_TMPFILE */
                fd = open_memfd(from, h.content_offset, h.content_size, &crc);
        if (fd < 0)
                return fd;
        if (crc != expected)
                return -EBADMSG;
        *ret_fd = TAKE_FD(fd);
        return 0;
}
