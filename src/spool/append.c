/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Appends to the log of a message. What could not be written, or not be synced, is cut off again, and the next append
 * cuts off whatever still stands behind the end of the log, before it writes. */

#include <fcntl.h>
#include <unistd.h>

#include "basic/fd.h"
#include "spool/store-internal.h"

int file_reserve(const Store *s, int fd, uint64_t at, uint64_t end, size_t n_recipients) {
        uint64_t last = end + (uint64_t) FINAL_RECORD_ROOM * n_recipients;

        if (last == at || (last - 1) / s->block_size == (at - 1) / s->block_size)
                return 0;
        if (fallocate(fd, FALLOC_FL_KEEP_SIZE, at, last - at) < 0 && !IN_SET(errno, EOPNOTSUPP, ENOSYS))
                return negative_errno();
        return 0;
}

static bool is_final(const Record *r) {
        return r->type == RECORD_ATTEMPT && r->state != RECIPIENT_PENDING;
}

/* Recipients that still wait for their final record after these. */
static size_t count_pending(const QueuedMessage *m, const Record *records, size_t n) {
        size_t pending = 0;

        for (size_t i = 0; i < m->n_recipients; i++)
                pending += m->recipients[i].state == RECIPIENT_PENDING;
        for (size_t i = 0; i < n; i++) {
                if (records[i].type == RECORD_EXPAND)
                        pending += records[i].n_children;
                if (pending > 0 && (records[i].type == RECORD_EXPAND || is_final(records + i)))
                        pending--;
        }
        return pending;
}

static int encode(const QueuedMessage *m, const Record *records, size_t n, size_t reply_max, Buf *b) {
        uint32_t seed = record_seed(&m->id);

        buf_clear(b);
        for (size_t i = 0; i < n; i++) {
                int r = record_encode(records + i, seed, m->next_sequence + i, reply_max, b);
                if (r < 0)
                        return r;
        }
        return m->log_end + b->size - m->content_offset - m->envelope.size > SPOOL_LOG_MAX ? -E2BIG : 0;
}

/* Keeps a copy of a file with a damaged log before the part behind the damage is cut off. */
static int keep_copy(Store *s, int fd, const QueueId *id, uint64_t size) {
        _cleanup_close_ int copy = openat(s->damaged_fd, id->s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (copy < 0)
                return errno == EEXIST ? 0 : negative_errno(); /* there from an append that failed later */
        int r = copy_range(fd, 0, copy, 0, size);
        if (r < 0)
                (void) unlinkat(s->damaged_fd, id->s, 0);
        return r;
}

/* Cuts the file where the log ends, if it is longer. Not otherwise: that would give the reserved blocks back. */
static int cut(const Store *s, int fd, uint64_t end, size_t n_pending) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return negative_errno();
        if ((uint64_t) st.st_size <= end)
                return 0;
        if (ftruncate(fd, end) < 0)
                return negative_errno();
        (void) file_reserve(s, fd, end, end, n_pending); /* as far as there still is room */
        return 0;
}

static int cut_tail(Store *s, int fd, const QueuedMessage *m) {
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return negative_errno();
        if ((uint64_t) st.st_size < m->log_end)
                return -EBADMSG;
        if ((uint64_t) st.st_size == m->log_end)
                return 0;
        if (m->log_damaged) {
                r = keep_copy(s, fd, &m->id, st.st_size);
                if (r < 0)
                        return r;
        }
        return cut(s, fd, m->log_end, count_pending(m, NULL, 0));
}

/* After a failed sync the kernel takes the pages for clean, whether or not they reached the disk. Writing the log once
 * more makes the next sync, through another descriptor, take them all again. */
static void write_again(int fd, const QueuedMessage *m) {
        uint64_t start = m->content_offset + m->envelope.size;
        _cleanup_free_ uint8_t *p = malloc(m->log_end - start);
        if (!p)
                return;
        ssize_t n = pread_full(fd, p, m->log_end - start, start);
        if (n > 0)
                (void) pwrite_full(fd, p, n, start);
}

static int write_records(const Store *s, int fd, const QueuedMessage *m, const Record *records, size_t n, Buf *b) {
        bool final = false;
        int r;

        for (size_t i = 0; i < n; i++)
                final = final || is_final(records + i);
        if (!final) {
                /* The room that is kept for results is not for this. */
                r = file_reserve(s, fd, m->log_end, m->log_end + b->size, count_pending(m, records, n));
                if (r < 0)
                        return r;
                return pwrite_full(fd, b->data, b->size, m->log_end);
        }
        r = pwrite_full(fd, b->data, b->size, m->log_end);
        if (!IN_SET(r, -ENOSPC, -EDQUOT))
                return r;
        r = encode(m, records, n, REPLY_TEXT_SHORT, b);
        if (r < 0)
                return r;
        r = pwrite_full(fd, b->data, b->size, m->log_end);
        if (r < 0)
                return r;
        return cut(s, fd, m->log_end + b->size, count_pending(m, records, n));
}

int store_append(Store *s, QueuedMessage *m, const Record *records, size_t n, bool sync) {
        _cleanup_(buf_done) Buf b = BUF_INIT;
        _cleanup_close_ int fd = -EBADF;
        Change *changes;
        int r;

        if (s->flags & STORE_READ_ONLY)
                return -EROFS;
        if (n == 0 && !sync)
                return 0;
        fd = openat(store_directory(s, &m->id), m->id.s, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return negative_errno();
        r = queued_message_prepare(m, records, n, &changes);
        if (r < 0)
                return r;
        r = encode(m, records, n, REPLY_TEXT_MAX, &b);
        if (r >= 0)
                r = cut_tail(s, fd, m);
        if (r >= 0)
                r = write_records(s, fd, m, records, n, &b);
        if (r >= 0 && sync && fdatasync(fd) < 0) {
                r = negative_errno();
                write_again(fd, m);
        }
        if (r < 0)
                (void) cut(s, fd, m->log_end, count_pending(m, NULL, 0));
        else {
                queued_message_commit(m, records, changes, n);
                m->log_end += b.size;
                m->next_sequence += n;
                m->log_damaged = false;
        }
        changes_free(changes, n);
        return r;
}
