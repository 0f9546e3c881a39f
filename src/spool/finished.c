/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When a sync fails nobody knows what is on the disk, and the kernel takes the pages for clean: what was not yet
 * durable is written once more, and synced through a new descriptor next time. Entries that callers were told had
 * failed may thereby last; that is no harm, a message is only finished when nothing of it is left to do. */

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/crc32c.h"
#include "basic/fd.h"
#include "spool/finished.h"
#include "spool/record.h"

#define KIND_FINISHED 1U
#define CHUNK (FINISHED_SLOT * 1024U)

void finished_slot_encode(const StoreFinished *e, usec_t when, uint8_t p[static FINISHED_SLOT]) {
        uint32_t kind = htole32(KIND_FINISHED);
        uint64_t time = htole64(when);

        memcpy(p + 4, &kind, 4);
        memcpy(p + 8, &time, 8);
        memcpy(p + 16, e->token.bytes, 16);
        memcpy(p + 32, e->id.s, QUEUE_ID_LENGTH);
        uint32_t crc = htole32(crc32c(0, p + 4, FINISHED_SLOT - 4));
        memcpy(p, &crc, 4);
}

int finished_slot_decode(const uint8_t p[static FINISHED_SLOT], StoreFinished *ret, usec_t *ret_when) {
        char id[QUEUE_ID_LENGTH + 1] = {};
        uint32_t crc, kind;
        StoreFinished e;
        uint64_t when;

        if (all_zero(p, FINISHED_SLOT))
                return -ENODATA;
        memcpy(&crc, p, 4);
        memcpy(&kind, p + 4, 4);
        memcpy(&when, p + 8, 8);
        if (le32toh(crc) != crc32c(0, p + 4, FINISHED_SLOT - 4) || le32toh(kind) != KIND_FINISHED)
                return -EBADMSG;
        memcpy(e.token.bytes, p + 16, 16);
        memcpy(id, p + 32, QUEUE_ID_LENGTH);
        if (queue_id_parse(id, &e.id) < 0)
                return -EBADMSG;
        *ret = e;
        *ret_when = le64toh(when);
        return 0;
}

static int read_one(int dir_fd,
                    const char *name,
                    int (*callback)(const QueueId *id, sd_id128_t token, usec_t when, void *userdata),
                    void *userdata) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ uint8_t *p = NULL;
        StoreFinished e;
        usec_t when;
        ssize_t n;
        int r;

        fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return errno == ENOENT ? 0 : negative_errno();
        p = malloc(CHUNK);
        if (!p)
                return -ENOMEM;
        /* Bounded: whoever put a larger file there did not get it from us. */
        for (uint64_t at = 0; at < 2 * (uint64_t) FINISHED_MAX; at += CHUNK) {
                n = pread_full(fd, p, CHUNK, at);
                if (n < 0)
                        return n;
                for (ssize_t i = 0; i + (ssize_t) FINISHED_SLOT <= n; i += FINISHED_SLOT) {
                        if (finished_slot_decode(p + i, &e, &when) < 0)
                                continue;
                        r = callback(&e.id, e.token, when, userdata);
                        if (r < 0)
                                return r;
                }
                if (n < (ssize_t) CHUNK)
                        return 0;
        }
        return 0;
}

int finished_read(int dir_fd,
                  int (*callback)(const QueueId *id, sd_id128_t token, usec_t when, void *userdata),
                  void *userdata) {
        static const char *const names[] = { "finished.old", "finished", "finished.new" };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(names) && r >= 0; i++)
                r = read_one(dir_fd, names[i], callback, userdata);
        return r;
}

/* Fills with zeros up to the end of the next extension. */
static int extend(int fd, uint64_t *size) {
        _cleanup_free_ uint8_t *zeros = NULL;
        uint64_t end = *size - *size % FINISHED_SLOT + FINISHED_EXTEND;
        int r;

        zeros = calloc(1, FINISHED_EXTEND + FINISHED_SLOT);
        if (!zeros)
                return -ENOMEM;
        r = pwrite_full(fd, zeros, end - *size, *size);
        if (r < 0) {
                (void) ftruncate(fd, *size);
                return r;
        }
        *size = end;
        return 0;
}

/* Finds the last slot that is not free, from the end; whatever is in it, the next entry goes behind it. */
static int find_end(FinishedLog *f) {
        _cleanup_free_ uint8_t *p = malloc(CHUNK);
        StoreFinished e;
        struct stat st;

        if (!p)
                return -ENOMEM;
        if (fstat(f->fd, &st) < 0)
                return negative_errno();
        if (!S_ISREG(st.st_mode))
                return -EBADFD;
        if ((uint64_t) st.st_size > 2 * (uint64_t) FINISHED_MAX)
                return -EBADMSG;
        f->size = st.st_size;
        f->position = 0;
        for (uint64_t at = (f->size + CHUNK - 1) / CHUNK * CHUNK; at > 0 && f->position == 0; at -= CHUNK) {
                ssize_t n = pread_full(f->fd, p, CHUNK, at - CHUNK);
                if (n < 0)
                        return n;
                while (n > 0 && p[n - 1] == 0)
                        n--;
                if (n > 0)
                        f->position = at - CHUNK + (n + FINISHED_SLOT - 1) / FINISHED_SLOT * FINISHED_SLOT;
        }
        f->first = USEC_INFINITY;
        ssize_t n = pread_full(f->fd, p, CHUNK, 0);
        if (n < 0)
                return n;
        for (ssize_t i = 0; i + (ssize_t) FINISHED_SLOT <= n && f->first == USEC_INFINITY; i += FINISHED_SLOT)
                (void) finished_slot_decode(p + i, &e, &f->first);
        return 0;
}

/* A new file with its first zeros, durable under its name. */
static int make_file(int dir_fd, const char *name, uint64_t *ret_size) {
        _cleanup_close_ int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        uint64_t size = 0;
        int r;

        if (fd < 0)
                return negative_errno();
        r = extend(fd, &size);
        if (r >= 0 && (fsync(fd) < 0 || fsync(dir_fd) < 0))
                r = negative_errno();
        if (r < 0) {
                (void) unlinkat(dir_fd, name, 0);
                return r;
        }
        *ret_size = size;
        return TAKE_FD(fd);
}

int finished_open(FinishedLog *f, int dir_fd) {
        int r;

        *f = (FinishedLog) { .dir_fd = dir_fd, .fd = -EBADF, .first = USEC_INFINITY, .rotate = FINISHED_ROTATE, .max = FINISHED_MAX };
        f->fd = openat(dir_fd, "finished", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (f->fd >= 0)
                r = find_end(f);
        else if (errno == ENOENT)
                r = f->fd = make_file(dir_fd, "finished", &f->size);
        else
                r = negative_errno();
        if (r < 0) {
                f->fd = safe_close(f->fd);
                return r;
        }
        /* Cut-off slots and a reserve used up on a full disk are made good when there is room. */
        if (f->size - MIN(f->position, f->size) < FINISHED_RESERVE)
                (void) extend(f->fd, &f->size);
        (void) pthread_mutex_init(&f->mutex, NULL);
        sync_group_init(&f->sync);
        return 0;
}

void finished_close(FinishedLog *f) {
        if (f->fd < 0)
                return;
        f->fd = safe_close(f->fd);
        (void) pthread_mutex_destroy(&f->mutex);
        sync_group_done(&f->sync);
}

/* See above. The mutex is held. */
static int recover_from_failed_sync(FinishedLog *f) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ uint8_t *p = NULL;
        uint64_t from = f->synced - f->synced % SPOOL_BLOCK;

        if (!f->suspect)
                return 0;
        fd = openat(f->dir_fd, "finished", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return negative_errno();
        p = malloc(f->position - from + 1);
        if (!p)
                return -ENOMEM;
        ssize_t n = pread_full(fd, p, f->position - from, from);
        if (n < 0)
                return n;
        int r = pwrite_full(fd, p, n, from);
        if (r < 0)
                return r;
        if (dup3(fd, f->fd, O_CLOEXEC) < 0)
                return negative_errno();
        f->suspect = false;
        return 0;
}

/* The mutex is held. */
static int sync_has_failed(FinishedLog *f, int error) {
        f->suspect = true;
        (void) recover_from_failed_sync(f); /* or before the next write or sync, which fail until it succeeds */
        return error;
}

static int sync_log(void *userdata) {
        FinishedLog *f = userdata;

        (void) pthread_mutex_lock(&f->mutex);
        uint64_t position = f->position;
        int fd = f->fd, r = recover_from_failed_sync(f);
        (void) pthread_mutex_unlock(&f->mutex);
        if (r < 0)
                return r;

        r = fdatasync(fd) < 0 ? negative_errno() : 0;

        (void) pthread_mutex_lock(&f->mutex);
        if (r < 0)
                r = sync_has_failed(f, r);
        else
                f->synced = MAX(f->synced, MIN(position, f->position)); /* less after a rotation, which synced by itself */
        (void) pthread_mutex_unlock(&f->mutex);
        return r;
}

static int write_slots(FinishedLog *f, const uint8_t *p, size_t size, usec_t now) {
        int r;

        r = recover_from_failed_sync(f);
        if (r < 0)
                return r;
        while (f->size < f->position + size) {
                r = extend(f->fd, &f->size);
                if (r < 0)
                        return r;
        }
        r = pwrite_full(f->fd, p, size, f->position);
        if (r < 0)
                return r;
        f->position += size;
        f->first = MIN(f->first, now);
        if (f->size - f->position < FINISHED_RESERVE)
                (void) extend(f->fd, &f->size); /* in good time; when it fails there is still the rest */
        return 0;
}

int finished_append(FinishedLog *f, const StoreFinished *entries, size_t n, usec_t now) {
        _cleanup_free_ uint8_t *p = NULL;
        int r;

        if (n == 0)
                return 0;
        p = reallocarray(NULL, n, FINISHED_SLOT);
        if (!p)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                finished_slot_encode(entries + i, now, p + i * FINISHED_SLOT);

        (void) pthread_mutex_lock(&f->mutex);
        r = write_slots(f, p, n * FINISHED_SLOT, now);
        (void) pthread_mutex_unlock(&f->mutex);
        return r < 0 ? r : sync_group_wait(&f->sync, sync_log, f);
}

bool finished_wants_rotation(FinishedLog *f, usec_t now) {
        (void) pthread_mutex_lock(&f->mutex);
        bool wanted = f->position >= f->max ||
                (f->position >= f->rotate && usec_add(f->first, FINISHED_MEMORY) < now);
        (void) pthread_mutex_unlock(&f->mutex);
        return wanted;
}

/* The mutex is held: nobody writes. A sync that is under way has its own hold on the old file. */
static int rotate(FinishedLog *f) {
        _cleanup_close_ int fd = -EBADF;
        uint64_t size;
        int r;

        r = recover_from_failed_sync(f);
        if (r < 0)
                return r;
        if (fdatasync(f->fd) < 0)
                return sync_has_failed(f, negative_errno());
        fd = make_file(f->dir_fd, "finished.new", &size);
        if (fd < 0)
                return fd;
        if (renameat(f->dir_fd, "finished", f->dir_fd, "finished.old") < 0)
                return negative_errno();
        if (renameat(f->dir_fd, "finished.new", f->dir_fd, "finished") < 0) {
                r = negative_errno();
                (void) renameat(f->dir_fd, "finished.old", f->dir_fd, "finished");
                return r;
        }
        if (dup3(fd, f->fd, O_CLOEXEC) < 0)
                return negative_errno(); /* cannot happen with valid descriptors */
        f->position = f->synced = 0;
        f->size = size;
        f->first = USEC_INFINITY;
        /* If a crash undoes the renames, the entries of the new file are found under its first name. */
        return fsync(f->dir_fd) < 0 ? negative_errno() : 0;
}

int finished_rotate(FinishedLog *f) {
        (void) pthread_mutex_lock(&f->mutex);
        int r = rotate(f);
        (void) pthread_mutex_unlock(&f->mutex);
        return r;
}
