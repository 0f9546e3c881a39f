/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/strv.h"
#include "deliver/content.h"
#include "deliver/maildir.h"

#define BATCH_MAX 64U
#define SYNC_THREADS 7U
#define WRITE_SIZE (1024U * 1024U)
#define LIST_MAX 1000000U

struct Maildir {
        char *path, *host;
        uid_t uid;
        int fd, tmp_fd, new_fd, cur_fd;
        char *refusal;            /* why it cannot be used */
        EnhancedStatus status;
};

/* A copy on its way from tmp/ to new/. */
typedef struct Draft {
        Copy *copy;
        char *name;
        int fd;
} Draft;

typedef struct FileSink {
        Sink sink; /* first */
        int fd;
} FileSink;

Maildir *maildir_close(Maildir *m) {
        if (!m)
                return NULL;
        safe_close(m->fd);
        safe_close(m->tmp_fd);
        safe_close(m->new_fd);
        safe_close(m->cur_fd);
        free(m->path);
        free(m->host);
        free(m->refusal);
        return mfree(m);
}

int maildir_fd(const Maildir *m) {
        return m->fd;
}

static int refuse(Maildir *m, EnhancedStatus status, const char *path, const char *why) {
        m->status = status;
        free(m->refusal);
        return asprintf(&m->refusal, "%s: %s", path, why) < 0 ? -ENOMEM : 1;
}

static int refuse_errno(Maildir *m, const char *path, int error) {
        if (IN_SET(error, -ELOOP, -ENOTDIR))
                return refuse(m, STATUS(4, 2, 0), path, "not a directory of its own");
        return refuse(m, error == -EDQUOT ? STATUS(4, 2, 2) : error == -ENOSPC ? STATUS(4, 3, 1) : STATUS(4, 3, 0), path, strerror(-error));
}

/* A directory below another, made if it is missing; then *created is set. Takes no link for it. */
static int open_directory(int parent, const char *name, bool *created) {
        for (int i = 0; i < 2; i++) {
                int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd >= 0)
                        return fd;
                if (errno != ENOENT)
                        return negative_errno();
                if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
                        return negative_errno();
                *created = true;
        }
        return -ENOENT;
}

/* 0, 1 if it cannot be used, -ENOMEM. */
static int open_home(Maildir *m, const char *home, int *ret) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return refuse(m, STATUS(4, 2, 1), home, errno == ENOENT ? "the home directory is not there" : strerror(errno));
        if (fstat(fd, &st) < 0)
                return refuse_errno(m, home, negative_errno());
        if (st.st_uid != m->uid)
                return refuse(m, STATUS(4, 2, 1), home, "the home directory does not belong to the user (not mounted?)");
        *ret = TAKE_FD(fd);
        return 0;
}

/* What was made must last at least as long as the mail in it. */
static int sync_if(bool created, int fd) {
        return created && fsync(fd) < 0 ? negative_errno() : 0;
}

static int open_parts(Maildir *m) {
        static const char *const names[] = { "tmp", "new", "cur" };
        int *fds[] = { &m->tmp_fd, &m->new_fd, &m->cur_fd };
        bool created = false;

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                int fd = open_directory(m->fd, names[i], &created);
                if (fd < 0)
                        return fd;
                *fds[i] = fd;
        }
        return sync_if(created, m->fd);
}

static int open_tree(Maildir *m, const char *home, char *const *names) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = open_home(m, home, &fd);
        if (r != 0)
                return r;
        STRV_FOREACH(name, names) {
                bool created = false;
                _cleanup_close_ int next = open_directory(fd, *name, &created);
                r = next < 0 ? next : sync_if(created, fd);
                if (r < 0)
                        return refuse_errno(m, m->path, r);
                safe_close(fd);
                fd = TAKE_FD(next);
        }
        m->fd = TAKE_FD(fd);
        r = open_parts(m);
        if (r < 0) {
                m->fd = safe_close(m->fd);
                return refuse_errno(m, m->path, r);
        }
        return 0;
}

int maildir_open(const char *home, const char *name, const char *host, uid_t uid, Maildir **ret) {
        _cleanup_(maildir_closep) Maildir *m = new0(Maildir, 1);
        _cleanup_strv_free_ char **names = NULL;
        int r;

        if (!m)
                return -ENOMEM;
        *m = (Maildir) { .uid = uid, .fd = -EBADF, .tmp_fd = -EBADF, .new_fd = -EBADF, .cur_fd = -EBADF };
        r = strv_split(name, "/", &names);
        if (r < 0)
                return r;
        if (strv_length(names) == 0 || name[0] == '/' || strv_contains(names, "..") || strv_contains(names, "."))
                return -EINVAL;
        m->host = strdup(host);
        if (!m->host || asprintf(&m->path, "%s/%s", home, name) < 0)
                return -ENOMEM;
        r = open_tree(m, home, names);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

int maildir_name(const Copy *c, const char *host, char **ret) {
        _cleanup_buf_ Buf b = BUF_INIT;
        usec_t t = c->letter->arrival;
        int r;

        r = buf_appendf(&b, "%" PRIu64 ".M%06" PRIu64 "Q%sR%u.", t / USEC_PER_SEC, t % USEC_PER_SEC, c->letter->id.s, c->recipient);
        for (const char *p = host; r >= 0 && *p; p++)
                r = *p == '/' ? buf_append_str(&b, "\\057") : *p == ':' ? buf_append_str(&b, "\\072") : buf_append(&b, p, 1);
        if (r < 0)
                return r;
        *ret = buf_take(&b, NULL);
        return *ret ? 0 : -ENOMEM;
}

/* Is there a file of that name in cur/, with or without flags? 1 or 0, -errno. */
static int find_in_cur(const Maildir *m, const char *name) {
        size_t n = strlen(name), i = 0;
        struct dirent *entry;

        int fd = openat(m->cur_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        DIR *dir = fdopendir(fd);
        if (!dir) {
                safe_close(fd);
                return -ENOMEM;
        }
        bool found = false;
        errno = 0;
        while (!found && i++ < LIST_MAX && (entry = readdir(dir)))
                found = strncmp(entry->d_name, name, n) == 0 && (entry->d_name[n] == 0 || entry->d_name[n] == ':');
        int r = found ? 1 : errno > 0 ? -errno : 0;
        closedir(dir);
        return r;
}

static int find_copy(const Maildir *m, const char *name) {
        struct stat st;

        if (fstatat(m->new_fd, name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return 1;
        return errno == ENOENT ? find_in_cur(m, name) : negative_errno();
}

static int on_flush(Sink *sink) {
        FileSink *f = (FileSink *) sink;
        int r;

        if (sink->buf.size < WRITE_SIZE)
                return 0;
        r = write_full(f->fd, sink->buf.data, sink->buf.size);
        buf_clear(&sink->buf);
        return r;
}

/* 0, 1 (the copy is settled: its content cannot be read), -errno. */
static int write_file(int fd, Copy *c, Buf *buffer) {
        FileSink f = { .sink = { .buf = *buffer, .flush = on_flush }, .fd = fd };
        const Letter *letter = c->letter;
        int r = 0, error;

        buf_clear(&f.sink.buf);
        if (c->prepend)
                r = convert_text(&f.sink, c->prepend, strlen(c->prepend), 0);
        if (r >= 0)
                r = convert_content(&f.sink, letter->fd, letter->size, 0, &error);
        if (r > 0)
                copy_deferred(c, STATUS(4, 3, 0), "cannot read the message: %s", strerror(-error));
        if (r == 0)
                r = write_full(fd, f.sink.buf.data, f.sink.buf.size);
        *buffer = f.sink.buf;
        return r;
}

/* Writes a copy to tmp/: 0, 1 if it is settled already, -errno. Nothing stays in tmp/ unless 0. */
static int draft_write(Maildir *m, Draft *d, Buf *buffer) {
        int r;

        r = maildir_name(d->copy, m->host, &d->name);
        if (r < 0)
                return r;
        if (d->copy->repeated) {
                r = find_copy(m, d->name);
                if (r < 0)
                        return r;
                if (r > 0) {
                        (void) unlinkat(m->tmp_fd, d->name, 0);
                        copy_delivered(d->copy, m->path);
                        return 1;
                }
        }
        for (int i = 0; i < 2; i++) {
                d->fd = openat(m->tmp_fd, d->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (d->fd >= 0 || errno != EEXIST)
                        break;
                (void) unlinkat(m->tmp_fd, d->name, 0); /* of an attempt that was cut off */
        }
        if (d->fd < 0)
                return negative_errno();
        r = write_file(d->fd, d->copy, buffer);
        if (r != 0) {
                d->fd = safe_close(d->fd);
                (void) unlinkat(m->tmp_fd, d->name, 0);
        }
        return r;
}

/* To new/; a file that is there already is this very copy. */
static int draft_move(Maildir *m, const Draft *d) {
        int r;

        if (renameat2(m->tmp_fd, d->name, m->new_fd, d->name, RENAME_NOREPLACE) >= 0)
                return 0;
        r = negative_errno();
        if (r == -EINVAL && renameat(m->tmp_fd, d->name, m->new_fd, d->name) >= 0) /* not every file system has the flag */
                return 0;
        (void) unlinkat(m->tmp_fd, d->name, 0);
        return r == -EEXIST ? 0 : r;
}

static void draft_settle(Maildir *m, Draft *d, int r) {
        _cleanup_free_ char *where = NULL;

        if (d->copy->settled)
                return;
        if (r < 0)
                copy_deferred_errno(d->copy, r, m->path);
        else
                copy_delivered(d->copy, asprintf(&where, "%s/new/%s", m->path, d->name) < 0 ? m->path : where);
}

/* Syncs that run at the same time share the work of the file system's journal; one after the other each pays for its own. */
typedef struct SyncJob {
        Draft *drafts;
        size_t n;
        atomic_size_t next;
        int errors[BATCH_MAX];
} SyncJob;

static void *sync_some(void *userdata) {
        SyncJob *job = userdata;

        for (size_t i; (i = atomic_fetch_add(&job->next, 1)) < job->n;)
                job->errors[i] = job->drafts[i].fd >= 0 && fsync(job->drafts[i].fd) < 0 ? negative_errno() : 0;
        return NULL;
}

/* A thread that cannot be had is not missed: this one does what is left. */
static void sync_all(SyncJob *job) {
        pthread_t threads[SYNC_THREADS];
        size_t wanted = MIN(job->n / 4, (size_t) SYNC_THREADS), n = 0;

        while (n < wanted && pthread_create(threads + n, NULL, sync_some, job) == 0)
                n++;
        (void) sync_some(job);
        while (n > 0)
                (void) pthread_join(threads[--n], NULL);
}

/* Writes all, syncs all, moves all. */
static void deliver_batch(Maildir *m, Draft *drafts, size_t n, Buf *buffer) {
        SyncJob job = { .drafts = drafts, .n = n };
        int r;

        for (size_t i = 0; i < n; i++) {
                r = draft_write(m, drafts + i, buffer);
                if (r < 0)
                        draft_settle(m, drafts + i, r);
        }
        sync_all(&job);
        for (size_t i = 0; i < n; i++) {
                Draft *d = drafts + i;
                if (d->fd < 0)
                        continue;
                d->fd = safe_close(d->fd);
                r = job.errors[i];
                if (r >= 0)
                        r = draft_move(m, d);
                else
                        (void) unlinkat(m->tmp_fd, d->name, 0);
                if (r < 0)
                        draft_settle(m, d, r);
        }
        r = fsync(m->new_fd) < 0 ? negative_errno() : 0;
        for (size_t i = 0; i < n; i++)
                draft_settle(m, drafts + i, r);
}

int maildir_deliver(void *maildir, Copy *copies, size_t n) {
        _cleanup_buf_ Buf buffer = BUF_INIT;
        Maildir *m = maildir;
        bool trouble = false;

        for (size_t i = 0; i < n && m->refusal; i++)
                if (!copies[i].settled)
                        copy_deferred(copies + i, m->status, "%s", m->refusal);
        for (size_t i = 0; i < n;) {
                Draft drafts[BATCH_MAX];
                size_t k = 0;

                for (; i < n && k < BATCH_MAX; i++)
                        if (!copies[i].settled)
                                drafts[k++] = (Draft) { .copy = copies + i, .fd = -EBADF };
                if (k > 0)
                        deliver_batch(m, drafts, k, &buffer);
                for (size_t j = 0; j < k; j++) {
                        trouble = trouble || drafts[j].copy->result != RESULT_DELIVERED;
                        free(drafts[j].name);
                }
        }
        return m->refusal || trouble;
}
