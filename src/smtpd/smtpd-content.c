/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "smtpd/smtpd-content.h"

#define WRITE_CHUNK (64U * 1024U)

void content_done(Content *c) {
        buf_done(&c->memory);
        safe_close(c->fd);
        *c = CONTENT_NULL;
}

void content_reset(Content *c, const ContentOptions *options) {
        content_done(c);
        c->options = *options;
}

/* Is the whole header in memory? Asked a few times at most. */
static bool header_complete(Content *c) {
        const Buf *m = &c->memory;
        size_t from = c->scanned > 3 ? c->scanned - 3 : 0;

        if (m->size < 2)
                return false;
        c->scanned = m->size;
        if (memcmp(m->data, "\r\n", 2) == 0 || memmem(m->data + from, m->size - from, "\r\n\r\n", 4))
                return true;
        /* It may have no empty line: then it ends before a whole line that is no field. */
        size_t end = header_end(m->data, m->size, 0);
        return memchr(m->data + end, '\n', m->size - end);
}

/* Looks at the header at the start of memory. *ret_fixed is what replaces its first *ret_size octets. */
static int process_header(Content *c, Buf *ret_fixed, size_t *ret_size) {
        size_t size = header_end(c->memory.data ?: "", c->memory.size, 0);

        if (size > c->options.header_size_max)
                return CONTENT_E_HEADER_SIZE;
        if (header_count_received(c->memory.data ?: "", size, 0) > c->options.received_max)
                return CONTENT_E_LOOP;
        c->header_done = true;
        *ret_size = c->options.fixup ? size : 0;
        return c->options.fixup ? message_fixup(c->memory.data ?: "", c->memory.size, c->options.fixup, ret_fixed) : 0;
}

/* Writes both pieces with as few calls as it takes. */
static int write_pieces(int fd, const void *a, size_t na, const void *b, size_t nb) {
        struct iovec iov[2] = { { (void *) a, na }, { (void *) b, nb } };

        ssize_t k = writev(fd, iov, 2);
        if (k < 0)
                return negative_errno();
        if ((size_t) k == na + nb)
                return 0;
        if ((size_t) k < na)
                return write_full(fd, (const char *) a + k, na - k) ?: write_full(fd, b, nb);
        return write_full(fd, (const char *) b + (k - na), nb - (k - na));
}

/* Moves what is in memory to the descriptor, the header first. */
static int move_to(Content *c, int fd) {
        _cleanup_buf_ Buf fixed = BUF_INIT;
        size_t skip = 0;
        int r;

        if (!c->header_done) {
                r = process_header(c, &fixed, &skip);
                if (r != 0)
                        return r;
        }
        if (fixed.size + c->memory.size - skip == 0)
                return 0;
        r = write_pieces(fd, fixed.data ?: "", fixed.size, c->memory.data + skip, c->memory.size - skip);
        if (r < 0)
                return r;
        c->size += fixed.size + c->memory.size - skip;
        buf_clear(&c->memory);
        return 0;
}

static int spill(Content *c) {
        if (c->fd < 0) {
                c->fd = open(c->options.directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
                if (c->fd < 0)
                        return negative_errno();
        }
        return move_to(c, c->fd);
}

static int append(Content *c, const void *p, size_t n) {
        size_t limit = c->fd < 0 ? CONTENT_MEMORY_MAX : WRITE_CHUNK;
        int r;

        r = buf_append(&c->memory, p, n);
        if (r < 0)
                return r;
        if (c->memory.size <= limit)
                return 0;
        /* The header stays in memory until all of it is there. */
        if (!c->header_done && !header_complete(c))
                return c->memory.size > c->options.header_size_max ? CONTENT_E_HEADER_SIZE : 0;
        return spill(c);
}

void content_append(Content *c, const void *p, size_t n) {
        if (c->result != 0)
                return;
        c->result = append(c, p, n);
        if (c->result != 0) {
                buf_done(&c->memory);
                c->fd = safe_close(c->fd);
        }
}

int content_finish(Content *c, int *ret_fd, uint64_t *ret_size) {
        int r;

        if (c->result != 0)
                return c->result;
        if (c->fd < 0) {
                c->fd = memfd_new("message");
                if (c->fd < 0)
                        return c->fd;
        }
        r = move_to(c, c->fd);
        if (r != 0)
                return r;
        *ret_size = c->size;
        *ret_fd = TAKE_FD(c->fd);
        return 0;
}
