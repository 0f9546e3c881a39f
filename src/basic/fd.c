/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "basic/fd.h"

int safe_close(int fd) {
        if (fd >= 0) {
                PROTECT_ERRNO;
                (void) close(fd);
        }
        return -EBADF;
}

void closep(int *fd) {
        safe_close(*fd);
}

ssize_t pread_full(int fd, void *p, size_t n, uint64_t offset) {
        size_t done = 0;

        while (done < n) {
                ssize_t k = pread(fd, (char *) p + done, n - done, offset + done);
                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return negative_errno();
                }
                if (k == 0)
                        break;
                done += k;
        }
        return done;
}

int write_full(int fd, const void *p, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, p, n);
                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return negative_errno();
                }
                if (k == 0)
                        return -EIO;
                p = (const char *) p + k;
                n -= k;
        }
        return 0;
}

int pwrite_full(int fd, const void *p, size_t n, uint64_t offset) {
        while (n > 0) {
                ssize_t k = pwrite(fd, p, n, offset);
                if (k < 0) {
                        if (errno == EINTR)
                                continue;
                        return negative_errno();
                }
                if (k == 0)
                        return -EIO;
                p = (const char *) p + k;
                n -= k;
                offset += k;
        }
        return 0;
}

static int copy_by_hand(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t n) {
        char buffer[64 * 1024];
        int r;

        while (n > 0) {
                ssize_t k = pread_full(from, buffer, MIN(n, (uint64_t) sizeof(buffer)), from_offset);
                if (k < 0)
                        return k;
                if (k == 0)
                        return -EIO;
                r = pwrite_full(to, buffer, k, to_offset);
                if (r < 0)
                        return r;
                from_offset += k;
                to_offset += k;
                n -= k;
        }
        return 0;
}

int copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t n) {
        /* Small pieces are cheaper through a buffer than through copy_file_range() and its fallbacks. */
        while (n > 64 * 1024) {
                loff_t in = from_offset, out = to_offset;
                ssize_t k = copy_file_range(from, &in, to, &out, MIN(n, UINT64_C(1) << 30), 0);
                if (k <= 0)
                        break; /* other file systems, memfds, or the end: by hand, which tells errors exactly */
                from_offset += k;
                to_offset += k;
                n -= k;
        }
        return copy_by_hand(from, from_offset, to, to_offset, n);
}

int memfd_new(const char *name) {
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
        if (fd < 0 && errno == EINVAL) /* kernel before 6.3 */
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd < 0 ? negative_errno() : fd;
}

int memfd_seal(int fd) {
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return negative_errno();
        return 0;
}

int fd_set_nonblock(int fd, bool nonblock) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0)
                return negative_errno();
        int wanted = nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0)
                return negative_errno();
        return 0;
}

int fd_verify_content(int fd, uint64_t size) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return negative_errno();
        if (!S_ISREG(st.st_mode))
                return -EBADFD;
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0)
                return negative_errno();
        if ((flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH))
                return -EBADFD;
        if ((uint64_t) st.st_size < size)
                return -ENODATA;
        return 0;
}

int fsync_path(int dir_fd, const char *path) {
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return negative_errno();
        return fsync(fd) < 0 ? negative_errno() : 0;
}

int read_file_at(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size, struct stat *ret_stat) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *p = NULL;
        struct stat st;

        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return negative_errno();
        if (fstat(fd, &st) < 0)
                return negative_errno();
        if (!S_ISREG(st.st_mode))
                return -EBADFD;
        if ((uint64_t) st.st_size > max)
                return -EFBIG;

        /* Files in /proc have no size, and a plain one may grow meanwhile. */
        size_t room = st.st_size > 0 ? (size_t) st.st_size + 1 : MIN(max, (size_t) 64 * 1024) + 1;
        p = malloc(room + 1);
        if (!p)
                return -ENOMEM;
        ssize_t n = pread_full(fd, p, room, 0);
        if (n < 0)
                return n;
        if ((size_t) n > max || ((size_t) n == room && st.st_size == 0))
                return -EFBIG;
        p[n] = 0;

        if (ret_size)
                *ret_size = n;
        if (ret_stat)
                *ret_stat = st;
        *ret = TAKE_PTR(p);
        return 0;
}
