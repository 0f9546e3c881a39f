/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opens the spool, and reads, ends and removes its messages; create.c writes new ones, append.c their logs, scan.c is
 * the recovery. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "basic/fd.h"
#include "spool/store-internal.h"

static const char directory_names[] = "0123456789abcdefghjkmnpqrstvwxyz";
static_assert(sizeof(directory_names) == QUEUE_DIRECTORIES + 1, "one directory per character of queue ids");

_Thread_local Scanned *scanned_message;

int queue_directory_index(char c) {
        const char *p = c ? strchr(directory_names, c) : NULL;
        return p ? (int) (p - directory_names) : -1;
}

char queue_directory_name(unsigned i) {
        return directory_names[i];
}

int store_directory(const Store *s, const QueueId *id) {
        return s->directories[queue_directory_index(id->s[QUEUE_ID_LENGTH - 1])].fd;
}

/* Opens a directory, making it if the spool is ours: 1 if it was made. */
static int open_directory(int parent, const char *name, StoreFlags flags, int *ret) {
        bool made = false;

        if (!(flags & STORE_READ_ONLY)) {
                made = mkdirat(parent, name, 0700) >= 0;
                if (!made && errno != EEXIST)
                        return negative_errno();
        }
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return negative_errno();
        *ret = fd;
        return made;
}

static int open_directories(Store *s) {
        _cleanup_close_ int queue = -EBADF;
        bool made = false;
        int r;

        r = open_directory(s->fd, "queue", s->flags, &queue);
        if (r < 0)
                return r;
        if (r > 0 && fsync(s->fd) < 0)
                return negative_errno();
        for (unsigned i = 0; i < QUEUE_DIRECTORIES; i++) {
                r = open_directory(queue, (const char[]) { directory_names[i], 0 }, s->flags, &s->directories[i].fd);
                if (r < 0 && !(r == -ENOENT && s->flags & STORE_READ_ONLY))
                        return r;
                made = made || r > 0;
        }
        return made && fsync(queue) < 0 ? negative_errno() : 0;
}

static int take_lock(Store *s) {
        s->lock_fd = openat(s->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (s->lock_fd < 0)
                return negative_errno();
        if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : negative_errno();
        return 0;
}

int open_listing(int dir_fd, DIR **ret) {
        _cleanup_close_ int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        DIR *d = fdopendir(fd);
        if (!d)
                return negative_errno();
        (void) TAKE_FD(fd);
        *ret = d;
        return 0;
}

/* What a process that was killed had not finished writing. Whoever has the lock writes nothing yet. */
static int remove_temporary_files(Store *s) {
        _cleanup_(closedir_nullp) DIR *d = NULL;
        int r;

        r = open_listing(s->fd, &d);
        if (r < 0)
                return r;
        for (struct dirent *de; (de = readdir(d));)
                if (startswith(de->d_name, TEMPORARY_PREFIX))
                        (void) unlinkat(s->fd, de->d_name, 0);
        return 0;
}

int store_open(const char *path, StoreFlags flags, Store **ret) {
        _cleanup_(store_closep) Store *s = NULL;
        struct statvfs v;
        int r;

        s = new0(Store, 1);
        if (!s)
                return -ENOMEM;
        s->flags = flags;
        s->fd = s->lock_fd = s->damaged_fd = -EBADF;
        s->finished = FINISHED_LOG_INIT;
        for (unsigned i = 0; i < QUEUE_DIRECTORIES; i++) {
                s->directories[i].fd = -EBADF;
                sync_group_init(&s->directories[i].sync);
        }

        s->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->fd < 0)
                return negative_errno();
        if (fstatvfs(s->fd, &v) < 0)
                return negative_errno();
        s->block_size = CLAMP(v.f_frsize, 512U, SPOOL_BLOCK);
        if (!(flags & STORE_READ_ONLY)) {
                r = take_lock(s);
                if (r < 0)
                        return r;
                r = remove_temporary_files(s);
                if (r < 0)
                        return r;
                r = open_directory(s->fd, "damaged", flags, &s->damaged_fd);
                if (r < 0)
                        return r;
        }
        r = open_directories(s);
        if (r < 0)
                return r;
        if (!(flags & STORE_READ_ONLY)) {
                r = finished_open(&s->finished, s->fd);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

Store *store_close(Store *s) {
        if (!s)
                return NULL;
        finished_close(&s->finished);
        for (unsigned i = 0; i < QUEUE_DIRECTORIES; i++) {
                safe_close(s->directories[i].fd);
                sync_group_done(&s->directories[i].sync);
        }
        safe_close(s->damaged_fd);
        safe_close(s->fd);
        safe_close(s->lock_fd);
        return mfree(s);
}

int store_free_space(Store *s, uint64_t *ret_bytes, uint64_t *ret_inodes) {
        struct statvfs v;

        if (fstatvfs(s->fd, &v) < 0)
                return negative_errno();
        *ret_bytes = (uint64_t) v.f_bavail * v.f_frsize;
        *ret_inodes = v.f_files > 0 ? (uint64_t) v.f_favail : UINT64_MAX; /* some file systems make them as needed */
        return 0;
}

/* Reads what is behind the content, and more of the front if the envelope is long. */
static int load_rest(int fd, const FileHeader *h, const uint8_t *first, size_t n_first, uint64_t size, QueuedMessage *ret) {
        _cleanup_free_ uint8_t *front = NULL, *tail = NULL;
        uint64_t commit = file_commit_offset(h), n_front = file_header_front(h), n_tail = size - commit;

        if (n_tail > SPOOL_LOG_MAX)
                return -EBADMSG;
        if (n_front > n_first) {
                front = malloc(n_front);
                if (!front)
                        return -ENOMEM;
                ssize_t n = pread_full(fd, front, n_front, 0);
                if (n < 0)
                        return n;
                if ((uint64_t) n < n_front)
                        return -EUCLEAN;
        }
        tail = malloc(n_tail);
        if (!tail)
                return -ENOMEM;
        ssize_t n = pread_full(fd, tail, n_tail, commit);
        if (n < 0)
                return n;
        return message_decode(h, front ?: first, tail, n, ret);
}

/* A file whose header is zero may be discarded only if all of it is. */
static int check_zero(int fd, uint64_t size) {
        uint8_t p[FIRST_READ];

        for (uint64_t at = 0; at < size; at += sizeof(p)) {
                ssize_t n = pread_full(fd, p, sizeof(p), at);
                if (n < 0)
                        return n;
                if (!all_zero(p, n))
                        return -EBADMSG;
                if (n < (ssize_t) sizeof(p))
                        break;
        }
        return -EUCLEAN;
}

int file_load(int fd, const QueueId *id, QueuedMessage *ret) {
        uint8_t first[FIRST_READ];
        struct stat st;
        FileHeader h;
        int r;

        if (fstat(fd, &st) < 0)
                return negative_errno();
        if (!S_ISREG(st.st_mode))
                return -EBADMSG;
        ssize_t n = pread_full(fd, first, MIN(sizeof(first), (uint64_t) st.st_size), 0);
        if (n < 0)
                return n;
        if (n < (ssize_t) sizeof(first))
                return message_file_decode(first, n, id, ret);

        r = file_header_decode(first, n, &h);
        if (r == -EUCLEAN)
                return check_zero(fd, st.st_size);
        if (r < 0)
                return r;
        if (!streq(id->s, h.id.s))
                return -EBADMSG;
        if ((uint64_t) st.st_size < file_commit_offset(&h) + COMMIT_RECORD_SIZE)
                return -EUCLEAN;
        return load_rest(fd, &h, first, n, st.st_size, ret);
}

int store_read(Store *s, const QueueId *id, QueuedMessage *ret) {
        if (scanned_message && scanned_message->store == s && streq(scanned_message->message.id.s, id->s)) {
                *ret = scanned_message->message;
                scanned_message->message = QUEUED_MESSAGE_INIT;
                return 0;
        }

        int dir = store_directory(s, id);
        if (dir < 0)
                return -ENOENT;
        _cleanup_close_ int fd = openat(dir, id->s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return errno == ELOOP ? -EBADMSG : negative_errno();
        return file_load(fd, id, ret);
}

/* Makes all removals so far durable and lets the older log of finished messages go. */
static void rotate_finished(Store *s, usec_t now) {
        if (!s->recovered || s->removal_failed || !finished_wants_rotation(&s->finished, now))
                return;
        for (unsigned i = 0; i < QUEUE_DIRECTORIES; i++)
                if (fsync(s->directories[i].fd) < 0)
                        return;
        /* When it fails the log grows on, and the next call tries again. */
        (void) finished_rotate(&s->finished);
}

int store_finish(Store *s, const StoreFinished *messages, size_t n) {
        usec_t now = now_usec(CLOCK_REALTIME);
        int r;

        if (s->flags & STORE_READ_ONLY)
                return -EROFS;
        r = finished_append(&s->finished, messages, n, now);
        if (r < 0)
                return r;
        /* They are finished whether their files go now or at the next start. */
        for (size_t i = 0; i < n; i++)
                if (unlinkat(store_directory(s, &messages[i].id), messages[i].id.s, 0) < 0 && errno != ENOENT)
                        s->removal_failed = true;
        rotate_finished(s, now);
        return 0;
}

int set_aside_at(Store *s, int dir_fd, const char *name) {
        char other[QUEUE_ID_LENGTH + 8];

        if (s->flags & STORE_READ_ONLY)
                return -EROFS;
        if (renameat2(dir_fd, name, s->damaged_fd, name, RENAME_NOREPLACE) >= 0)
                return 0;
        for (unsigned i = 1; i < 1000 && errno == EEXIST; i++) {
                (void) snprintf(other, sizeof(other), "%.*s.%u", (int) QUEUE_ID_LENGTH, name, i);
                if (renameat2(dir_fd, name, s->damaged_fd, other, RENAME_NOREPLACE) >= 0)
                        return 0;
        }
        /* File systems without that flag: queue ids are never used twice. */
        if (errno == EINVAL && renameat(dir_fd, name, s->damaged_fd, name) >= 0)
                return 0;
        return negative_errno();
}

int store_set_aside(Store *s, const QueueId *id) {
        return set_aside_at(s, store_directory(s, id), id->s);
}

typedef struct Wanted {
        sd_id128_t token;
        QueueId *ret;
} Wanted;

static int on_finished(const QueueId *id, sd_id128_t token, usec_t when _unused_, void *userdata) {
        Wanted *w = userdata;

        if (!sd_id128_equal(token, w->token))
                return 0;
        *w->ret = *id;
        return -EEXIST; /* ends the search */
}

int store_find_finished(Store *s, sd_id128_t token, QueueId *ret) {
        Wanted w = { token, ret };
        int r = finished_read(s->fd, on_finished, &w);

        return r == -EEXIST ? 1 : r;
}
