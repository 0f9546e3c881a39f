/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Writes new messages. Nothing is acknowledged before file and name are synced; after any failure the file goes. */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/crc32c.h"
#include "basic/fd.h"
#include "spool/store-internal.h"

/* A file without a name. Where the file system has no such thing it has one that recovery does not look at, and that
 * store_open() removes. */
static int open_new(Store *s, const QueueId *id, int dir_fd, char temporary[static TEMPORARY_NAME_MAX]) {
        temporary[0] = 0;
        int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0 || !IN_SET(errno, EOPNOTSUPP, EISDIR, ENOSYS))
                return fd < 0 ? negative_errno() : fd;

        (void) snprintf(temporary, TEMPORARY_NAME_MAX, TEMPORARY_PREFIX "%s", id->s);
        fd = openat(s->fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
                int r = negative_errno();
                temporary[0] = 0;
                return r;
        }
        return fd;
}

static int link_new(Store *s, int fd, const char *temporary, int dir_fd, const QueueId *id) {
        char path[sizeof("/proc/self/fd/") + 12];

        if (temporary[0])
                return linkat(s->fd, temporary, dir_fd, id->s, 0) < 0 ? negative_errno() : 0;
        /* Kernels before 6.10 want a capability for this, and say ENOENT. */
        if (!s->link_by_path) {
                if (linkat(fd, "", dir_fd, id->s, AT_EMPTY_PATH) >= 0)
                        return 0;
                if (errno != ENOENT)
                        return negative_errno();
        }
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (linkat(AT_FDCWD, path, dir_fd, id->s, AT_SYMLINK_FOLLOW) < 0)
                return negative_errno();
        s->link_by_path = true;
        return 0;
}

/* Header, envelope record, padding and prefix. */
static int build_front(const FileHeader *h, uint32_t seed, const Envelope *envelope, const char *prefix, size_t prefix_size, Buf *b) {
        FileHeader header = *h;
        int r;

        r = buf_reserve(b, FILE_HEADER_SIZE + 1024 + prefix_size);
        if (r < 0)
                return r;
        b->size = FILE_HEADER_SIZE;
        r = envelope_encode(envelope, seed, b);
        if (r < 0)
                return r;
        header.envelope_size = b->size - FILE_HEADER_SIZE - RECORD_HEAD_SIZE;
        header.content_offset = b->size;
        if (header.content_size > LARGE_CONTENT) {
                /* So that it can be shared block by block with the copies for transports. */
                static const uint8_t zeros[SPOOL_BLOCK];
                r = buf_append(b, zeros, (SPOOL_BLOCK - b->size % SPOOL_BLOCK) % SPOOL_BLOCK);
                if (r < 0)
                        return r;
                header.content_offset = b->size;
        }
        file_header_encode(&header, (uint8_t *) b->data);
        return buf_append(b, prefix, prefix_size);
}

/* The content must come whole: who gave us the descriptor may have cut the file meanwhile. */
static int read_content(int fd, void *p, size_t n, uint64_t offset) {
        ssize_t k = pread_full(fd, p, n, offset);
        if (k < 0)
                return k;
        return (size_t) k < n ? -ENODATA : 0;
}

/* Everything in one buffer and one write. */
static int write_small(int fd, Buf *b, size_t prefix_size, int content_fd, size_t size, uint32_t seed) {
        uint64_t content_size = prefix_size + size;
        int r;

        r = buf_reserve(b, size + COMMIT_RECORD_SIZE);
        if (r < 0)
                return r;
        r = read_content(content_fd, b->data + b->size, size, 0);
        if (r < 0)
                return r;
        uint32_t crc = crc32c(0, b->data + b->size - prefix_size, content_size);
        b->size += size;
        commit_encode(content_size, crc, seed, (uint8_t *) b->data + b->size);
        b->size += COMMIT_RECORD_SIZE;
        return pwrite_full(fd, b->data, b->size, 0);
}

static int write_large(int fd, Buf *b, size_t prefix_size, int content_fd, uint64_t size, uint32_t seed) {
        uint8_t commit[COMMIT_RECORD_SIZE];
        _cleanup_free_ uint8_t *chunk = NULL;
        uint64_t offset = b->size;
        uint32_t crc;
        int r;

        crc = crc32c(0, b->data + b->size - prefix_size, prefix_size);
        r = pwrite_full(fd, b->data, b->size, 0);
        if (r < 0)
                return r;
        chunk = malloc(COPY_CHUNK);
        if (!chunk)
                return -ENOMEM;
        for (uint64_t done = 0; done < size;) {
                size_t n = MIN(size - done, (uint64_t) COPY_CHUNK);
                r = read_content(content_fd, chunk, n, done);
                if (r < 0)
                        return r;
                crc = crc32c(crc, chunk, n);
                r = pwrite_full(fd, chunk, n, offset);
                if (r < 0)
                        return r;
                done += n;
                offset += n;
        }
        commit_encode(prefix_size + size, crc, seed, commit);
        return pwrite_full(fd, commit, sizeof(commit), offset);
}

static int sync_directory(void *userdata) {
        QueueDirectory *d = userdata;
        return fsync(d->fd) < 0 ? negative_errno() : 0;
}

static int make_durable(int fd, QueueDirectory *d, const QueueId *id) {
        int r = fsync(fd) < 0 ? negative_errno() : 0;
        if (r >= 0)
                r = sync_group_wait(&d->sync, sync_directory, d);
        /* If it cannot be removed either it may come back after a crash: a second copy, not a loss. */
        if (r < 0)
                (void) unlinkat(d->fd, id->s, 0);
        return r;
}

/* Writes the file and gives it its name. The front is in the buffer. */
static int write_file(Store *s, const QueueId *id, QueueDirectory *d, Buf *b, size_t prefix_size, int content_fd, uint64_t size, size_t n_recipients) {
        uint64_t end = b->size + size + COMMIT_RECORD_SIZE;
        char temporary[TEMPORARY_NAME_MAX];
        uint32_t seed = record_seed(id);
        int r;

        _cleanup_close_ int fd = open_new(s, id, d->fd, temporary);
        if (fd < 0)
                return fd;
        r = size <= SMALL_CONTENT_MAX ? write_small(fd, b, prefix_size, content_fd, size, seed)
                                      : write_large(fd, b, prefix_size, content_fd, size, seed);
        if (r >= 0)
                r = file_reserve(fd, end, end, n_recipients);
        if (r >= 0)
                r = link_new(s, fd, temporary, d->fd, id);
        if (temporary[0])
                (void) unlinkat(s->fd, temporary, 0);
        return r < 0 ? r : make_durable(fd, d, id);
}

/* The message as store_read() would give it, from the buffer that was written. */
static int fill_message(const Buf *front, const QueueId *id, uint64_t end, QueuedMessage *ret) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        FileHeader h;
        int r;

        r = file_header_decode((const uint8_t *) front->data, front->size, &h);
        if (r < 0)
                return r;
        r = envelope_decode((const uint8_t *) front->data + FILE_HEADER_SIZE + RECORD_HEAD_SIZE, h.envelope_size, &m.envelope);
        if (r < 0)
                return r;
        r = queued_message_set_recipients(&m);
        if (r < 0)
                return r;
        m.id = *id;
        m.content_offset = h.content_offset;
        m.log_end = end;
        m.next_sequence = SEQUENCE_LOG;
        *ret = m;
        m = QUEUED_MESSAGE_INIT;
        return 0;
}

int store_create(Store *s, const QueueId *id, Envelope *envelope, const char *prefix, size_t prefix_size, int content_fd, uint64_t size, QueuedMessage *ret) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        FileHeader h = { .id = *id, .content_size = prefix_size + size };
        _cleanup_(buf_done) Buf b = BUF_INIT;
        int r;

        if (s->flags & STORE_READ_ONLY)
                return -EROFS;
        if (envelope->n_recipients == 0)
                return -EINVAL;
        if (size > SPOOL_CONTENT_MAX || prefix_size > SPOOL_PAYLOAD_MAX)
                return -E2BIG;
        QueueDirectory *d = s->directories + queue_directory_index(id->s[QUEUE_ID_LENGTH - 1]);

        envelope->size = h.content_size;
        r = build_front(&h, record_seed(id), envelope, prefix, prefix_size, &b);
        if (r < 0)
                return r;
        if (ret) {
                /* Before anything is written: afterwards nothing may fail for want of memory. */
                r = fill_message(&b, id, b.size + size + COMMIT_RECORD_SIZE, &m);
                if (r < 0)
                        return r;
        }

        r = write_file(s, id, d, &b, prefix_size, content_fd, size, envelope->n_recipients);
        if (r < 0)
                return r;
        if (ret) {
                *ret = m;
                m = QUEUED_MESSAGE_INIT;
        }
        return 0;
}
