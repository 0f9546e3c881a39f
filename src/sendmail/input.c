/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <unistd.h>

#include "basic/macro.h"
#include "sendmail/input.h"

#define LARGE ((size_t) 1024 * 1024)
#define CHUNK ((size_t) 64 * 1024)

bool input_find_dot(const char *data, size_t size, bool eof, size_t *from, size_t *ret_size) {
        for (size_t i = *from; i < size;) {
                /* i is the beginning of a line, or where a search was left inside of one. */
                if (data[i] == '.' && (i == 0 || data[i - 1] == '\n')) {
                        size_t rest = size - i;

                        if ((rest >= 2 && data[i + 1] == '\n') || (rest >= 3 && data[i + 1] == '\r' && data[i + 2] == '\n') ||
                            (eof && (rest == 1 || (rest == 2 && data[i + 1] == '\r')))) {
                                *ret_size = i;
                                return true;
                        }
                        if (rest < 3) { /* not to be told yet */
                                *from = i;
                                return false;
                        }
                }
                const char *lf = memchr(data + i, '\n', size - i);
                i = lf ? (size_t) (lf + 1 - data) : size;
        }
        *from = size;
        return false;
}

/* Standard input may be non-blocking, if whoever shares it made it so. */
static ssize_t read_some(int fd, char *p, size_t n) {
        for (;;) {
                ssize_t k = read(fd, p, n);
                if (k >= 0)
                        return k;
                if (errno == EAGAIN) {
                        struct pollfd waiting = { .fd = fd, .events = POLLIN };
                        if (poll(&waiting, 1, -1) < 0 && errno != EINTR)
                                return negative_errno();
                } else if (errno != EINTR)
                        return negative_errno();
        }
}

int input_read(int fd, bool dot_ends, uint64_t (*limit)(void *userdata), void *userdata, Buf *ret) {
        _cleanup_buf_ Buf b = BUF_INIT;
        uint64_t most = 0; /* not asked yet */
        size_t searched = 0;
        int r;

        for (;;) {
                r = buf_reserve(&b, b.size == 0 ? CHUNK : CHUNK / 16);
                if (r < 0)
                        return r;
                ssize_t k = read_some(fd, b.data + b.size, b.allocated - b.size - 1);
                if (k < 0)
                        return k;
                b.size += k;
                b.data[b.size] = 0;
                if (dot_ends && input_find_dot(b.data, b.size, k == 0, &searched, &b.size))
                        break;
                if (k == 0)
                        break;
                if (b.size > LARGE) {
                        if (most == 0)
                                most = limit(userdata);
                        if (b.size > most)
                                return -EFBIG;
                }
        }
        *ret = b;
        b = BUF_INIT;
        return 0;
}
