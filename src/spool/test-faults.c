/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every system call and allocation of the spool fails once, in each operation, one after the other; then from that one
 * on all of them do, as on a full or dead disk. Afterwards an operation is done or not done at all, has said so, has
 * left no descriptor open, and the next one works.
 *
 * The calls come here through the linker's --wrap (see meson.build): the spool itself knows nothing of this. */

#include "spool/test-spool.h"

static struct {
        bool armed;
        bool from_then_on;   /* all that change something fail after the first */
        bool half;           /* a write writes half before it fails */
        int error;
        unsigned at, count;
        bool hit, hit_sync;
        bool sync_failed[1024];
} fault;

typedef enum Kind { CHANGE, SYNC, OTHER } Kind;

static bool fails(Kind kind) {
        if (!fault.armed)
                return false;
        fault.count++;
        if (fault.count != fault.at && !(fault.from_then_on && fault.count > fault.at && kind != OTHER))
                return false;
        fault.hit = true;
        fault.hit_sync = fault.hit_sync || kind == SYNC;
        errno = fault.error;
        return true;
}

#define WRAP(type, failure, kind, name, parameters, arguments)          \
        type __real_##name parameters;                                  \
        type __wrap_##name parameters;                                  \
        type __wrap_##name parameters {                                 \
                return fails(kind) ? (failure) : __real_##name arguments; \
        }

WRAP(int, -1, OTHER, open64, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(ssize_t, -1, OTHER, pread64, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(int, -1, OTHER, fstat64, (int fd, struct stat *st), (fd, st))
WRAP(int, -1, OTHER, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(int, -1, OTHER, flock, (int fd, int operation), (fd, operation))
WRAP(int, -1, CHANGE, fallocate64, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
WRAP(int, -1, CHANGE, ftruncate64, (int fd, off_t n), (fd, n))
WRAP(int, -1, CHANGE, linkat, (int a, const char *p, int b, const char *q, int flags), (a, p, b, q, flags))
WRAP(int, -1, CHANGE, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
WRAP(int, -1, CHANGE, renameat, (int a, const char *p, int b, const char *q), (a, p, b, q))
WRAP(int, -1, CHANGE, renameat2, (int a, const char *p, int b, const char *q, unsigned flags), (a, p, b, q, flags))
WRAP(int, -1, CHANGE, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(ssize_t, -1, CHANGE, copy_file_range, (int a, off_t *p, int b, off_t *q, size_t n, unsigned flags), (a, p, b, q, n, flags))
WRAP(void *, NULL, OTHER, malloc, (size_t n), (n))
WRAP(void *, NULL, OTHER, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, NULL, OTHER, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
WRAP(void *, NULL, OTHER, realloc, (void *p, size_t n), (p, n))
WRAP(char *, NULL, OTHER, strdup, (const char *s), (s))
WRAP(char *, NULL, OTHER, strndup, (const char *s, size_t n), (s, n))

/* Also plays a file system without O_TMPFILE. */
static bool no_tmpfile;
int __real_openat64(int fd, const char *path, int flags, mode_t mode);
int __wrap_openat64(int fd, const char *path, int flags, mode_t mode);
int __wrap_openat64(int fd, const char *path, int flags, mode_t mode) {
        if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE)
                return errno = EOPNOTSUPP, -1;
        return fails(OTHER) ? -1 : __real_openat64(fd, path, flags, mode);
}

ssize_t __real_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *p, size_t n, off_t at) {
        if (!fails(CHANGE))
                return __real_pwrite64(fd, p, n, at);
        if (!fault.half || n < 2)
                return -1;
        /* Half of it, and the rest fails when it is tried. */
        fault.half = false;
        fault.at = fault.count + 1;
        return __real_pwrite64(fd, p, n / 2, at);
}

/* A descriptor whose sync has failed may not be synced again: the second time it would report success. Directories are
 * another matter, whoever waited for that sync has taken its file away. */
static bool may_sync(int fd) {
        struct stat st;
        return fd < 0 || fd >= 1024 || !fault.sync_failed[fd] || (__real_fstat64(fd, &st) >= 0 && S_ISDIR(st.st_mode));
}

#define WRAP_SYNC(name)                                         \
        int __real_##name(int fd);                              \
        int __wrap_##name(int fd);                              \
        int __wrap_##name(int fd) {                             \
                ASSERT_TRUE(may_sync(fd));                      \
                if (!fails(SYNC))                               \
                        return __real_##name(fd);               \
                if (fd < 1024)                                  \
                        fault.sync_failed[fd] = true;           \
                return -1;                                      \
        }
WRAP_SYNC(fsync)
WRAP_SYNC(fdatasync)

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd) {
        if (fd >= 0 && fd < 1024)
                fault.sync_failed[fd] = false;
        return __real_close(fd);
}

int __real_dup3(int from, int to, int flags);
int __wrap_dup3(int from, int to, int flags);
int __wrap_dup3(int from, int to, int flags) {
        if (fails(OTHER))
                return -1;
        if (to < 1024)
                fault.sync_failed[to] = false;
        return __real_dup3(from, to, flags);
}

static size_t count_descriptors(void) {
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        ASSERT_TRUE(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

/* The operations. Each works on a spool with one message in it, and says what it may leave behind. */

typedef struct World {
        char *path;
        Store *store;
        QueueId id;
        QueuedMessage message;
        Envelope envelope;
        int content;
        QueueId new_id;
        int fd;
} World;

static const char large[SMALL_CONTENT_MAX + 100000];

static void world_init(World *w) {
        *w = (World) { .path = make_directory(), .id = make_id(), .new_id = make_id(), .fd = -EBADF };
        ASSERT_OK(store_open(w->path, 0, &w->store));
        ASSERT_OK(create_message(w->store, &w->id, "old message", 11, 2, &w->message));
        make_envelope(&w->envelope, 40);
        w->content = make_content(large, sizeof(large));
}

static void world_done(World *w) {
        w->store = store_close(w->store);
        queued_message_done(&w->message);
        envelope_done(&w->envelope);
        safe_close(w->content);
        w->fd = safe_close(w->fd);
        destroy_directory(&w->path);
}

static int create_small(World *w) {
        return store_create(w->store, &w->new_id, &w->envelope, "prefix", 6, w->content, 4000, NULL);
}

static int create_and_read(World *w) {
        QueuedMessage m = QUEUED_MESSAGE_INIT;
        int r = store_create(w->store, &w->new_id, &w->envelope, "prefix", 6, w->content, 100, &m);
        if (r >= 0)
                ASSERT_EQ(m.n_recipients, (size_t) 40);
        queued_message_done(&m);
        return r;
}

static int create_large(World *w) {
        return store_create(w->store, &w->new_id, &w->envelope, "prefix", 6, w->content, sizeof(large), NULL);
}

static int append(World *w, bool sync) {
        static const RecordChild children[] = { { "a@example.org", NULL }, { "b@example.org", "o@example.org" }, { "c@example.org", NULL } };
        static const Record records[] = {
                { RECORD_EXPAND, .index = 0, .n_children = 3, .children = children },
                { RECORD_ATTEMPT, .index = 3, .state = RECIPIENT_DELIVERED, .tries = 1, .reply = "delivered" },
        };
        return store_append(w->store, &w->message, records, ELEMENTSOF(records), sync);
}

static int append_synced(World *w) {
        return append(w, true);
}

static int append_unsynced(World *w) {
        return append(w, false);
}

static int append_deferred(World *w) {
        return store_append(w->store, &w->message, &(Record) { RECORD_ATTEMPT, .tries = 1, .reply = "later" }, 1, true);
}

static int finish(World *w) {
        return store_finish(w->store, &(StoreFinished) { w->id, w->message.envelope.token }, 1);
}

static int finish_and_rotate(World *w) {
        w->store->recovered = true;
        w->store->finished.max = 1;
        return finish(w);
}

static int open_content(World *w) {
        return store_open_content(w->store, &w->message, &w->fd);
}

static int read_again(World *w) {
        QueuedMessage m = QUEUED_MESSAGE_INIT;
        int r = store_read(w->store, &w->id, &m);
        queued_message_done(&m);
        return r;
}

static int set_aside(World *w) {
        return store_set_aside(w->store, &w->id);
}

static int open_and_scan(World *w) {
        int r;

        w->store = store_close(w->store);
        r = store_open(w->path, 0, &w->store);
        return r < 0 ? r : store_scan(w->store, &(StoreScan) {});
}

static const struct Operation {
        const char *name;
        int (*run)(World *w);
        bool creates, appends, ends;
        bool harmless; /* may succeed although something failed: what failed is not needed, or is reported by name */
} operations[] = {
        { "create_small", create_small, .creates = true },
        { "create_and_read", create_and_read, .creates = true },
        { "create_large", create_large, .creates = true },
        { "append_synced", append_synced, .appends = true },
        { "append_unsynced", append_unsynced, .appends = true },
        { "append_deferred", append_deferred, .appends = true },
        { "finish", finish, .ends = true, .harmless = true },
        { "finish_and_rotate", finish_and_rotate, .ends = true, .harmless = true },
        { "open_content", open_content },
        { "read_again", read_again },
        { "set_aside", set_aside, .ends = true },
        { "open_and_scan", open_and_scan, .harmless = true },
};

/* What the operation left, seen by the next process. */
static void check(const struct Operation *o, World *w, int r) {
        _cleanup_(scan_log_done) ScanLog l = {};
        QueuedMessage m = QUEUED_MESSAGE_INIT;

        if (r < 0 && o->run == open_content)
                ASSERT_EQ(w->fd, -EBADF);
        if (o->appends && r < 0 && fault.from_then_on) /* what could not be cut off goes with the next append */
                ASSERT_OK(o->run(w));
        else if (o->appends) {
                ASSERT_OK(store_read(w->store, &w->id, &m));
                ASSERT_EQ(m.n_recipients, w->message.n_recipients);
                ASSERT_EQ(m.log_end, w->message.log_end);
                ASSERT_EQ(m.next_sequence, w->message.next_sequence);
                ASSERT_EQ(m.recipients[0].state, w->message.recipients[0].state);
                ASSERT_EQ(m.next_sequence > SEQUENCE_LOG, r >= 0);
                queued_message_done(&m);
                if (r < 0) /* and now it works, on the same message */
                        ASSERT_OK(o->run(w));
        }
        if (o->run == finish && r < 0) /* through another descriptor, if it was the sync */
                ASSERT_OK(r = finish(w));
        w->store = store_close(w->store);
        ASSERT_OK(store_open(w->path, 0, &w->store));
        ASSERT_OK(scan(w->store, &l));
        ASSERT_EQ(l.n_damaged, (size_t) 0);
        bool new_there = saw(&l, "found", w->new_id.s), old_there = saw(&l, "found", w->id.s);
        if (r >= 0)
                ASSERT_EQ(new_there, o->creates);
        else if (!fault.from_then_on || !fault.hit_sync) /* a dead disk does not let us take it away either */
                ASSERT_TRUE(!new_there);
        if (!o->ends)
                ASSERT_TRUE(old_there);
        else if (r >= 0)
                ASSERT_TRUE(!old_there);
        if (new_there) {
                _cleanup_close_ int fd = -EBADF;
                ASSERT_OK(store_read(w->store, &w->new_id, &m));
                ASSERT_OK(store_open_content(w->store, &m, &fd));
                queued_message_done(&m);
        }
        QueueId id = make_id();
        ASSERT_OK(create_message(w->store, &id, "next", 4, 1, &m));
        ASSERT_OK(store_finish(w->store, &(StoreFinished) { id, m.envelope.token }, 1));
        queued_message_done(&m);
}

/* One operation with its at-th call failing. Returns whether there was such a call. */
static bool run_one(const struct Operation *o, unsigned at, int error, bool from_then_on, bool half) {
        size_t descriptors = count_descriptors();
        World w;

        world_init(&w);
        fault = (typeof(fault)) { .armed = true, .at = at, .error = error, .from_then_on = from_then_on, .half = half };
        int r = o->run(&w);
        fault.armed = false;
        bool hit = fault.hit;

        if (!hit)
                ASSERT_OK(r);
        if (hit && fault.hit_sync && !o->harmless)
                ASSERT_TRUE(r < 0); /* no failed sync goes unnoticed */
        if (!w.store)
                ASSERT_OK(store_open(w.path, 0, &w.store));
        check(o, &w, r);
        world_done(&w);
        ASSERT_EQ(count_descriptors(), descriptors);
        return hit;
}

static void run_all(const struct Operation *o) {
        static const int errors[] = { EIO, ENOSPC, EDQUOT, ENOMEM };
        unsigned n = 0;

        for (unsigned at = 1; run_one(o, at, errors[at % ELEMENTSOF(errors)], false, false); at++, n++)
                ASSERT_TRUE(at < 2000);
        for (unsigned at = 1; run_one(o, at, ENOSPC, false, true); at++)
                ;
        for (unsigned at = 1; run_one(o, at, EIO, true, false); at++)
                ;
        printf("%s: %u calls\n", o->name, n);
}

int main(void) {
        /* Thousands of spools; what the disk does is played here anyway. */
        if (access("/dev/shm", W_OK) >= 0)
                (void) setenv("TMPDIR", "/dev/shm", true);
        for (size_t i = 0; i < ELEMENTSOF(operations); i++) {
                run_all(operations + i);
                no_tmpfile = operations[i].creates;
                if (no_tmpfile)
                        run_all(operations + i);
                no_tmpfile = false;
        }
        return 0;
}
