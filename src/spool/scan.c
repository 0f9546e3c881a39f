/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Recovery: lists the queue directories, crosses out what the log of finished messages names, and reads the rest in
 * the order of inodes, which is the order on disk. */

#include <fcntl.h>
#include <unistd.h>

#include "basic/fd.h"
#include "spool/store-internal.h"

typedef struct Listed {
        QueueId id;
        bool finished;
        ino_t inode;
} Listed;

typedef struct Scan {
        Store *store;
        const StoreScan *callbacks;
        Listed *listed;
        size_t n, allocated;
        usec_t since;
} Scan;

static void scan_done(Scan *s) {
        free(s->listed);
}

static int compare_ids(const void *a, const void *b) {
        return strcmp(((const Listed *) a)->id.s, ((const Listed *) b)->id.s);
}

static int compare_inodes(const void *a, const void *b) {
        ino_t x = ((const Listed *) a)->inode, y = ((const Listed *) b)->inode;
        return x < y ? -1 : x > y;
}

static void report(const Scan *s, const char *name, int error, const char *action) {
        if (s->callbacks->damaged)
                s->callbacks->damaged(name, error, action, s->callbacks->userdata);
}

static void set_aside(const Scan *s, int dir_fd, const char *name, int error) {
        if (s->store->flags & STORE_READ_ONLY)
                return report(s, name, error, "damaged");
        int r = set_aside_at(s->store, dir_fd, name);
        report(s, name, error, r < 0 ? "damaged, and could not be set aside" : "set aside");
}

static int add(Scan *s, const QueueId *id, ino_t inode) {
        if (s->n == s->allocated) {
                size_t n = MAX(s->allocated * 2, (size_t) 1024);
                Listed *p = reallocarray(s->listed, n, sizeof(*p));
                if (!p)
                        return -ENOMEM;
                s->listed = p;
                s->allocated = n;
        }
        s->listed[s->n++] = (Listed) { .id = *id, .inode = inode };
        return 0;
}

static int list_directory(Scan *s, unsigned index) {
        int dir_fd = s->store->directories[index].fd;
        _cleanup_(closedir_nullp) DIR *d = NULL;
        QueueId id;
        int r;

        if (dir_fd < 0)
                return 0;
        r = open_listing(dir_fd, &d);
        if (r < 0)
                return r;
        for (;;) {
                errno = 0;
                struct dirent *de = readdir(d);
                if (!de)
                        return errno > 0 ? -errno : 0;
                if (de->d_name[0] == '.')
                        continue;
                if (queue_id_parse(de->d_name, &id) < 0)
                        report(s, de->d_name, -EINVAL, "ignored: not a queue id");
                else if (id.s[QUEUE_ID_LENGTH - 1] != queue_directory_name(index))
                        set_aside(s, dir_fd, de->d_name, -EBADMSG); /* nobody would find it there */
                else {
                        r = add(s, &id, de->d_ino);
                        if (r < 0)
                                return r;
                }
        }
}

static int cross_out(const QueueId *id, sd_id128_t token, usec_t when, void *userdata) {
        Scan *s = userdata;
        Listed key = { .id = *id };

        Listed *p = s->n > 0 ? bsearch(&key, s->listed, s->n, sizeof(*p), compare_ids) : NULL;
        if (p)
                p->finished = true;
        if (s->callbacks->finished && when >= s->since)
                s->callbacks->finished(id, token, when, s->callbacks->userdata);
        return 0;
}

/* What is to be done with a file that could not be read: 0 to go on. */
static int handle_error(Scan *s, const Listed *p, int error) {
        bool read_only = s->store->flags & STORE_READ_ONLY;
        int dir_fd = store_directory(s->store, &p->id);

        switch (error) {
        case -ENOENT: /* a running queue manager has finished it meanwhile */
                return 0;
        case -ENOMEM:
        case -EMFILE:
        case -ENFILE:
                return error;
        case -EUCLEAN:
                if (read_only)
                        return 0; /* perhaps it is being written */
                if (unlinkat(dir_fd, p->id.s, 0) < 0)
                        error = negative_errno();
                report(s, p->id.s, error, error == -EUCLEAN ? "discarded: never acknowledged" : "could not be discarded");
                return 0;
        case -EBADMSG:
                set_aside(s, dir_fd, p->id.s, error);
                return 0;
        default: /* a later version's, or a disk that does not answer now: not for us to touch */
                report(s, p->id.s, error, "left in place");
                return 0;
        }
}

static int load_one(Scan *s, const Listed *p) {
        _cleanup_close_ int fd = -EBADF;
        Scanned scanned = { .store = s->store };
        int r;

        if (p->finished) {
                if (!(s->store->flags & STORE_READ_ONLY) && unlinkat(store_directory(s->store, &p->id), p->id.s, 0) < 0 &&
                    errno != ENOENT)
                        s->store->removal_failed = true;
                return 0;
        }
        fd = openat(store_directory(s->store, &p->id), p->id.s, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                r = IN_SET(errno, ELOOP, ENXIO) ? -EBADMSG : negative_errno();
        else
                r = file_load(fd, &p->id, &scanned.message);
        if (r < 0)
                return handle_error(s, p, r);

        if (s->callbacks->found) {
                scanned_message = &scanned;
                r = s->callbacks->found(&p->id, s->callbacks->userdata);
                scanned_message = NULL;
        }
        queued_message_done(&scanned.message); /* empty if store_read() took it */
        return MIN(r, 0);
}

int store_scan(Store *store, const StoreScan *callbacks) {
        _cleanup_(scan_done) Scan s = {
                .store = store,
                .callbacks = callbacks,
                .since = usec_sub(now_usec(CLOCK_REALTIME), FINISHED_MEMORY),
        };
        int r;

        for (unsigned i = 0; i < QUEUE_DIRECTORIES; i++) {
                r = list_directory(&s, i);
                if (r < 0)
                        return r;
        }
        if (s.n > 0)
                qsort(s.listed, s.n, sizeof(*s.listed), compare_ids);
        /* After the listing, so that in a spool in use what ends meanwhile is in the log. */
        r = finished_read(store->fd, cross_out, &s);
        if (r < 0)
                return r;
        if (s.n > 0)
                qsort(s.listed, s.n, sizeof(*s.listed), compare_inodes);
        for (size_t i = 0; i < s.n; i++) {
                r = load_one(&s, s.listed + i);
                if (r < 0)
                        return r;
        }
        if (!(store->flags & STORE_READ_ONLY))
                store->recovered = true;
        return 0;
}
