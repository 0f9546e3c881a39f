/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "basic/crc32c.h"
#include "basic/fd.h"
#include "deliver/content.h"
#include "deliver/mbox-lock.h"
#include "deliver/mbox-record.h"
#include "deliver/mbox.h"

#define LOCK_TIMEOUT (10 * USEC_PER_SEC)
#define WRITE_SIZE (1024U * 1024U) /* a batch up to this size is written at once */

struct Mbox {
        char *path, *name, *lock_name;
        int dir_fd, fd;
        uid_t uid;
        bool root_mail;
        dev_t dev;
        ino_t ino;
        char *refusal;       /* why the file cannot be used, */
        int error;           /* or the errno that opening it gave */
        usec_t lock_timeout;
        char boot[9];
        bool no_record;      /* the file system has no extended attributes */
};

/* One append under way. */
typedef struct Append {
        Sink sink; /* first */
        Mbox *mbox;
        MboxRecord record;
        uint64_t written;    /* bytes behind record.start */
        bool recorded;
} Append;

Mbox *mbox_close(Mbox *m) {
        if (!m)
                return NULL;
        safe_close(m->fd);
        safe_close(m->dir_fd);
        free(m->path);
        free(m->name);
        free(m->lock_name);
        free(m->refusal);
        return mfree(m);
}

int mbox_fd(const Mbox *m) {
        return m->fd;
}

int mbox_dir_fd(const Mbox *m) {
        return m->dir_fd;
}

void mbox_set_lock_timeout(Mbox *m, usec_t timeout) {
        m->lock_timeout = timeout;
}

/* NULL if mail may be appended to such a file. */
static const char *refuse_file(const Mbox *m, const struct stat *st) {
        if (S_ISLNK(st->st_mode))
                return "is a symbolic link";
        if (!S_ISREG(st->st_mode))
                return "is not a plain file";
        if (st->st_nlink != 1)
                return "has a second name (hard link)";
        if (st->st_uid != m->uid && !(m->root_mail && st->st_uid == 0))
                return "belongs to somebody else";
        return NULL;
}

static int set_refusal(Mbox *m, const char *why) {
        free(m->refusal);
        return asprintf(&m->refusal, "%s %s", m->path, why) < 0 ? -ENOMEM : 0;
}

static int create_file(Mbox *m) {
        _cleanup_close_ int fd = -EBADF;
        struct stat dir, st;

        fd = openat(m->dir_fd, m->name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660);
        if (fd < 0)
                return negative_errno();
        if (fchmod(fd, 0660) < 0 || fstat(fd, &st) < 0 || fstat(m->dir_fd, &dir) < 0)
                return negative_errno();
        if (st.st_gid != dir.st_gid)
                (void) fchown(fd, (uid_t) -1, dir.st_gid); /* without a set-gid bit on the directory */
        /* A synced message in a file without a name would be lost. */
        return fsync_path(m->dir_fd, ".");
}

/* 0, 1 if the file cannot be used (m->refusal says why), -errno. */
static int open_file(Mbox *m) {
        const char *why;
        struct stat st;

        /* Without O_NOATIME, which only the owner may use, reading the last bytes would make unread mail look read. */
        int flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
        m->fd = openat(m->dir_fd, m->name, flags | O_NOATIME);
        if (m->fd < 0 && errno == EPERM)
                m->fd = openat(m->dir_fd, m->name, flags);
        if (m->fd < 0) {
                int r = negative_errno();
                if (r == -ENOENT || fstatat(m->dir_fd, m->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return r;
                why = refuse_file(m, &st);
                r = set_refusal(m, why ?: "cannot be opened");
                return r < 0 ? r : 1;
        }
        if (fstat(m->fd, &st) < 0)
                return negative_errno();
        why = refuse_file(m, &st);
        if (why) {
                m->fd = safe_close(m->fd);
                int r = set_refusal(m, why);
                return r < 0 ? r : 1;
        }
        m->dev = st.st_dev;
        m->ino = st.st_ino;
        return 0;
}

static int find_boot(Mbox *m) {
        char text[SD_ID128_STRING_MAX];
        sd_id128_t id;
        int r;

        r = sd_id128_get_boot(&id);
        if (r < 0)
                return r;
        memcpy(m->boot, sd_id128_to_string(id, text), sizeof(m->boot) - 1);
        return 0;
}

int mbox_open(const char *dir, const char *name, uid_t uid, bool root_mail, Mbox **ret) {
        _cleanup_(mbox_closep) Mbox *m = new0(Mbox, 1);
        int r;

        if (!m)
                return -ENOMEM;
        *m = (Mbox) { .dir_fd = -EBADF, .fd = -EBADF, .uid = uid, .root_mail = root_mail, .lock_timeout = LOCK_TIMEOUT };
        m->name = strdup(name);
        if (!m->name || asprintf(&m->path, "%s/%s", dir, name) < 0 || asprintf(&m->lock_name, "%s.lock", name) < 0)
                return -ENOMEM;
        r = find_boot(m);
        if (r < 0)
                return r;
        m->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = m->dir_fd < 0 ? negative_errno() : open_file(m);
        if (r == -ENOENT && m->dir_fd >= 0) {
                r = create_file(m);
                if (r >= 0 || r == -EEXIST)
                        r = open_file(m);
        }
        if (r < 0)
                m->error = r;
        *ret = TAKE_PTR(m);
        return 0;
}

/* Is the name still that of our file? 0, or 1 with every copy deferred. */
static int check_name(Mbox *m, struct stat *st, Copy *copies, size_t n) {
        const char *why = NULL;
        struct stat named;

        if (fstat(m->fd, st) < 0 || fstatat(m->dir_fd, m->name, &named, AT_SYMLINK_NOFOLLOW) < 0)
                why = errno == ENOENT ? "was removed" : "cannot be looked at";
        else if (named.st_dev != m->dev || named.st_ino != m->ino)
                why = "was replaced";
        else
                why = refuse_file(m, st);
        for (size_t i = 0; why && i < n; i++)
                if (!copies[i].settled)
                        copy_again(copies + i, m->path, why);
        return !!why;
}

static void read_record(Mbox *m, MboxRecord *ret) {
        char value[MBOX_RECORD_SIZE_MAX];

        *ret = (MboxRecord) { .done = true };
        if (m->no_record)
                return;
        ssize_t n = fgetxattr(m->fd, MBOX_RECORD_XATTR, value, sizeof(value));
        if (n < 0 && errno == ENOTSUP)
                m->no_record = true;
        if (n > 0)
                (void) mbox_record_parse(value, n, ret);
}

/* Mail is appended without a record where there can be none: then a cut append stays, and one whose answer was lost is
 * made twice. An old record must not be taken for one of this append, though. */
static bool write_record(Mbox *m, const MboxRecord *record) {
        _cleanup_buf_ Buf b = BUF_INIT;

        if (m->no_record)
                return false;
        if (mbox_record_format(record, &b) >= 0 && fsetxattr(m->fd, MBOX_RECORD_XATTR, b.data, b.size, 0) >= 0)
                return true;
        (void) fremovexattr(m->fd, MBOX_RECORD_XATTR);
        return false;
}

/* Looks at what the last append left: takes a cut one away and settles copies that are there. *size follows. What was
 * answered had been synced with its record, end and all; so an append that is cut or has holes was never answered, and
 * its From_ lines tell it from anybody else's mail. 0 or -errno. */
static int recover(Mbox *m, uint64_t *size, Copy *copies, size_t n) {
        MboxRecord record;
        int r;

        read_record(m, &record);
        bool there = record.done;
        if (!record.done && *size > record.start) {
                bool whole = record.end != MBOX_END_UNKNOWN && *size >= record.end;
                r = mbox_record_compare(&record, m->fd, whole ? record.end : *size);
                if (r < 0)
                        return r;
                there = whole && r == MBOX_TAIL_ALL;
                if (there) {
                        if (fsync(m->fd) < 0)
                                return negative_errno();
                        record.done = true;
                        (void) write_record(m, &record);
                }
                if ((!whole && r != MBOX_TAIL_FOREIGN) || (r == MBOX_TAIL_HOLE && *size == record.end)) {
                        if (ftruncate(m->fd, (off_t) record.start) < 0)
                                return negative_errno();
                        *size = record.start;
                }
        }
        for (size_t i = 0; there && i < n; i++)
                if (copies[i].repeated && !copies[i].settled &&
                    mbox_record_contains(&record, &copies[i].letter->id, copies[i].recipient))
                        copy_delivered(copies + i, m->path);
        return 0;
}

static int write_out(Append *a) {
        Buf *b = &a->sink.buf;
        int r;

        if (b->size == 0)
                return 0;
        if (!a->recorded)
                a->recorded = write_record(a->mbox, &a->record);
        r = write_full(a->mbox->fd, b->data, b->size);
        if (r < 0)
                return r;
        a->written += b->size;
        buf_clear(b);
        return 0;
}

static int on_flush(Sink *sink) {
        return sink->buf.size < WRITE_SIZE ? 0 : write_out((Append *) sink);
}

/* Mail begins behind an empty line. */
static int append_separator(Append *a) {
        char last[2] = "\n\n";
        uint64_t size = a->record.start;

        if (size == 0)
                return 0;
        size_t n = MIN(size, (uint64_t) 2);
        ssize_t k = pread_full(a->mbox->fd, last + 2 - n, n, size - n);
        if (k < 0)
                return k;
        return buf_append(&a->sink.buf, "\n\n", last[1] != '\n' ? 2 : last[0] != '\n' ? 1 : 0);
}

/* 0, 1 if the content cannot be read (the copy is deferred), -errno. */
static int append_copy(Append *a, Copy *c) {
        const Letter *letter = c->letter;
        int r, error;

        r = format_from_line(&a->sink.buf, letter->sender, letter->arrival);
        if (r < 0)
                return r;
        if (c->prepend) {
                r = convert_text(&a->sink, c->prepend, strlen(c->prepend), CONVERT_QUOTE_FROM);
                if (r < 0)
                        return r;
        }
        r = convert_content(&a->sink, letter->fd, letter->size, CONVERT_QUOTE_FROM, &error);
        if (r > 0)
                copy_deferred(c, STATUS(4, 3, 0), "cannot read the message: %s", strerror(-error));
        if (r != 0)
                return r;
        return buf_append(&a->sink.buf, "\n", 1);
}

static int fill_record(Append *a, const Copy *copies, size_t n) {
        _cleanup_buf_ Buf line = BUF_INIT;
        MboxRecord *record = &a->record;
        int r;

        for (size_t i = 0; i < n; i++) {
                const Letter *letter = copies[i].letter;
                if (copies[i].settled)
                        continue;
                buf_clear(&line);
                r = format_from_line(&line, letter->sender, letter->arrival);
                if (r < 0)
                        return r;
                record->copies[record->n_copies++] = (MboxRecordCopy) {
                        .id = letter->id, .recipient = copies[i].recipient, .from_crc = crc32c(0, line.data, line.size - 1),
                };
        }
        return 0;
}

/* Writes what is not settled, and syncs it. 0, 1 (a copy was deferred because of its content: do it again without),
 * -errno. */
static int write_batch(Append *a, Copy *copies, size_t n) {
        int r;

        r = fill_record(a, copies, n);
        if (r < 0)
                return r;
        if (a->record.n_copies == 0)
                return 0;
        r = append_separator(a);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (!copies[i].settled)
                        r = append_copy(a, copies + i);
        if (r != 0)
                return r;
        a->record.end = a->record.start + a->written + a->sink.buf.size;
        if (a->recorded) /* without its end */
                a->recorded = write_record(a->mbox, &a->record);
        r = write_out(a);
        if (r < 0)
                return r;
        return fsync(a->mbox->fd) < 0 ? negative_errno() : 0;
}

/* Takes back what was written, if nobody else has written behind it. */
static void take_back(Append *a) {
        Mbox *m = a->mbox;
        struct stat st;

        if (fstat(m->fd, &st) < 0 || (uint64_t) st.st_size <= a->record.start)
                return;
        /* A write that failed may have left a part. */
        if ((uint64_t) st.st_size > a->record.start + a->written + a->sink.buf.size ||
            mbox_record_compare(&a->record, m->fd, st.st_size) == MBOX_TAIL_FOREIGN)
                return;
        if (ftruncate(m->fd, (off_t) a->record.start) < 0 || fsync(m->fd) < 0)
                return; /* the record says "open": the next append sees to it */
        (void) fremovexattr(m->fd, MBOX_RECORD_XATTR);
}

/* 0, 1 (again without the copy that was deferred), -errno. */
static int append_batch(Mbox *m, uint64_t size, Copy *copies, size_t n) {
        Append a = { .sink.flush = on_flush, .mbox = m, .record = { .start = size, .end = MBOX_END_UNKNOWN } };
        int r;

        memcpy(a.record.boot, m->boot, sizeof(a.record.boot));
        r = write_batch(&a, copies, n);
        if (r != 0)
                take_back(&a);
        else if (a.record.n_copies > 0) {
                a.record.done = true;
                (void) write_record(m, &a.record);
        }
        buf_done(&a.sink.buf);
        return r;
}

/* Both locks are held. */
static int deliver_locked(Mbox *m, Copy *copies, size_t n) {
        struct stat st;
        int r;

        if (check_name(m, &st, copies, n) > 0)
                return 1;
        uint64_t size = st.st_size;
        r = recover(m, &size, copies, n);
        if (r >= 0)
                do
                        r = append_batch(m, size, copies, n);
                while (r > 0); /* each time one copy less */

        for (size_t i = 0; i < n; i++)
                if (!copies[i].settled) {
                        if (r < 0)
                                copy_deferred_errno(copies + i, r, m->path);
                        else
                                copy_delivered(copies + i, m->path);
                }
        /* After an error of the device nothing that is in memory can be trusted. */
        return r == -EIO;
}

static int deliver_batch(Mbox *m, Copy *copies, size_t n) {
        int r;

        r = mbox_lock(m->dir_fd, m->lock_name, m->fd, m->lock_timeout);
        if (r != 0) {
                for (size_t i = 0; i < n; i++)
                        if (copies[i].settled)
                                continue;
                        else if (r == MBOX_LOCK_FILE)
                                copy_deferred(copies + i, STATUS(4, 2, 0), "%s is locked by another program", m->path);
                        else if (r == MBOX_LOCK_DOT)
                                copy_deferred(copies + i, STATUS(4, 2, 0), "%s is locked by another program (%s)", m->path, m->lock_name);
                        else
                                copy_deferred_errno(copies + i, r, m->path);
                return 0;
        }
        r = deliver_locked(m, copies, n);
        mbox_unlock(m->dir_fd, m->lock_name, m->fd);
        return r;
}

int mbox_deliver(void *mbox, Copy *copies, size_t n) {
        Mbox *m = mbox;

        if (m->fd < 0) {
                for (size_t i = 0; i < n; i++)
                        if (copies[i].settled)
                                continue;
                        else if (m->refusal)
                                copy_deferred(copies + i, STATUS(4, 2, 0), "%s", m->refusal);
                        else
                                copy_deferred_errno(copies + i, m->error, m->path);
                return 1; /* the next session looks again */
        }
        for (size_t i = 0; i < n; i += MBOX_RECORD_COPIES_MAX)
                if (deliver_batch(m, copies + i, MIN(n - i, (size_t) MBOX_RECORD_COPIES_MAX)) > 0) {
                        for (i += MBOX_RECORD_COPIES_MAX; i < n; i++)
                                if (!copies[i].settled)
                                        copy_again(copies + i, m->path, "has changed");
                        return 1;
                }
        return 0;
}
