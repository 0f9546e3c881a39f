/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every state that postd-queue(5) lists, built by hand, and what recovery makes of it. Then a message file cut at every
 * byte and with every byte changed. */

#include "spool/test-spool.h"

static const char content[] = "Subject: recovery\r\n\r\nThe body of the message.\r\n";

typedef struct Fixture {
        char *path;
        Store *store;
        QueueId id;
        QueuedMessage message;
        char file[128];     /* of the message, from the spool */
        ScanLog log;
} Fixture;

static void fixture_done(Fixture *f) {
        scan_log_done(&f->log);
        queued_message_done(&f->message);
        store_close(f->store);
        destroy_directory(&f->path);
}

static void reopen(Fixture *f) {
        f->store = store_close(f->store);
        ASSERT_OK(store_open(f->path, 0, &f->store));
}

/* A spool with one message of three recipients. */
static void fixture_init(Fixture *f) {
        *f = (Fixture) { .path = make_directory(), .id = make_id() };
        ASSERT_OK(store_open(f->path, 0, &f->store));
        ASSERT_OK(create_message(f->store, &f->id, content, strlen(content), 3, &f->message));
        (void) snprintf(f->file, sizeof(f->file), "queue/%c/%s", f->id.s[QUEUE_ID_LENGTH - 1], f->id.s);
}

static void add_records(Fixture *f) {
        ASSERT_OK(store_append(f->store, &f->message, &(Record) { RECORD_ATTEMPT, .index = 0, .tries = 1, .reply = "try later" }, 1, true));
        ASSERT_OK(store_append(f->store, &f->message, &(Record) { RECORD_ATTEMPT, .index = 1, .state = RECIPIENT_DELIVERED, .reply = "ok" }, 1, true));
}

static int open_file(const Fixture *f, int flags) {
        return ASSERT_OK(openat(f->store->fd, f->file, flags | O_CLOEXEC));
}

static bool exists(const Fixture *f, const char *path) {
        return faccessat(f->store->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) >= 0;
}

static bool is_damaged(const Fixture *f) {
        char path[64];
        (void) snprintf(path, sizeof(path), "damaged/%s", f->id.s);
        return exists(f, path);
}

static uint64_t file_size(const Fixture *f) {
        struct stat st;
        ASSERT_OK(fstatat(f->store->fd, f->file, &st, 0));
        return st.st_size;
}

static void expect_found(Fixture *f) {
        reopen(f);
        ASSERT_OK(scan(f->store, &f->log));
        ASSERT_TRUE(saw(&f->log, "found", f->id.s));
        ASSERT_EQ(f->log.n_damaged, (size_t) 0);
}

static void expect(Fixture *f, const char *action) {
        _cleanup_(store_closep) Store *reader = NULL;
        _cleanup_(scan_log_done) ScanLog l = {};

        /* Looking changes nothing. */
        ASSERT_OK(store_open(f->path, STORE_READ_ONLY, &reader));
        ASSERT_OK(scan(reader, &l));
        ASSERT_EQ(l.n_found, (size_t) 0);
        ASSERT_TRUE(exists(f, f->file));

        reopen(f);
        ASSERT_OK(scan(f->store, &f->log));
        ASSERT_TRUE(saw(&f->log, action, f->id.s));
        ASSERT_EQ(f->log.n_found, (size_t) 0);
}

#define DISCARDED "discarded: never acknowledged"

static void test_not_linked(void) {
        _cleanup_(fixture_done) Fixture f;

        /* The file was written, and the power went before it had a name: nothing is there. */
        fixture_init(&f);
        ASSERT_OK(unlinkat(f.store->fd, f.file, 0));
        reopen(&f);
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_EQ(f.log.text.size, (size_t) 0);
}

static void test_linked_not_committed(void) {
        /* What of the file reached the disk: nothing, the size but no data, the front, everything but the commit record,
         * half of it. */
        for (int i = 0; i < 6; i++) {
                _cleanup_(fixture_done) Fixture f;
                fixture_init(&f);
                uint64_t commit = f.message.content_offset + f.message.envelope.size, size = file_size(&f);
                _cleanup_close_ int fd = open_file(&f, O_RDWR);
                static const uint8_t zeros[8192];

                switch (i) {
                case 0:
                        ASSERT_OK(ftruncate(fd, 0));
                        break;
                case 1:
                        ASSERT_OK(pwrite_full(fd, zeros, size, 0));
                        break;
                case 2:
                        ASSERT_OK(ftruncate(fd, f.message.content_offset - 3));
                        break;
                case 3:
                        ASSERT_OK(ftruncate(fd, commit));
                        break;
                case 4:
                        ASSERT_OK(ftruncate(fd, commit + 11));
                        break;
                case 5:
                        ASSERT_OK(pwrite_full(fd, zeros, size - commit, commit));
                        break;
                }
                QueuedMessage none = QUEUED_MESSAGE_INIT;
                ASSERT_ERROR(store_read(f.store, &f.id, &none), EUCLEAN);
                expect(&f, DISCARDED);
                ASSERT_TRUE(!exists(&f, f.file) && !is_damaged(&f));
        }
}

static void test_committed(void) {
        _cleanup_(fixture_done) Fixture f;

        fixture_init(&f);
        expect_found(&f);
        add_records(&f);
        expect_found(&f);
        /* Every recipient has its result, and the power went before the message was finished: found, to be finished. */
        ASSERT_OK(store_append(f.store, &f.message, &(Record) { RECORD_ATTEMPT, .index = 0, .state = RECIPIENT_FAILED }, 1, true));
        ASSERT_OK(store_append(f.store, &f.message, &(Record) { RECORD_ATTEMPT, .index = 2, .state = RECIPIENT_DELIVERED }, 1, true));
        expect_found(&f);
        QueuedMessage m = QUEUED_MESSAGE_INIT;
        ASSERT_OK(store_read(f.store, &f.id, &m));
        ASSERT_TRUE(queued_message_finished(&m));
        queued_message_done(&m);
}

static void test_log_cut(void) {
        static const uint8_t zeros[4096];

        /* The last record cut off at any byte, or written as zeros: what was before it stands. */
        for (int zero = 0; zero < 2; zero++) {
                _cleanup_(fixture_done) Fixture f;
                fixture_init(&f);
                ASSERT_OK(store_append(f.store, &f.message, &(Record) { RECORD_ATTEMPT, .tries = 1, .reply = "try later" }, 1, true));
                uint64_t before = f.message.log_end;
                ASSERT_OK(store_append(f.store, &f.message, &(Record) { RECORD_ATTEMPT, .index = 1, .state = RECIPIENT_DELIVERED, .reply = "ok" }, 1, true));
                uint64_t end = f.message.log_end;
                _cleanup_close_ int fd = open_file(&f, O_RDWR);

                for (uint64_t at = end - 1 - zero; at >= before; at--) { /* the last byte is a zero anyway */
                        QueuedMessage m = QUEUED_MESSAGE_INIT;
                        if (zero)
                                ASSERT_OK(pwrite_full(fd, zeros, end - at, at));
                        else
                                ASSERT_OK(ftruncate(fd, at));
                        ASSERT_OK(store_read(f.store, &f.id, &m));
                        ASSERT_EQ(m.log_end, before);
                        ASSERT_TRUE(!m.log_damaged && !m.held);
                        ASSERT_EQ(m.recipients[0].tries, 1U);
                        ASSERT_EQ(m.recipients[1].state, RECIPIENT_PENDING);
                        queued_message_done(&m);
                }
                /* The next append takes its place, with no trace of the old one. */
                QueuedMessage m = QUEUED_MESSAGE_INIT, again = QUEUED_MESSAGE_INIT;
                if (zero)
                        ASSERT_OK(pwrite_full(fd, "garbage", 7, before));
                ASSERT_OK(store_read(f.store, &f.id, &m));
                ASSERT_OK(store_append(f.store, &m, &(Record) { RECORD_HOLD }, 1, true));
                ASSERT_EQ(file_size(&f), m.log_end);
                ASSERT_OK(store_read(f.store, &f.id, &again));
                ASSERT_TRUE(again.held && !again.log_damaged);
                ASSERT_EQ(again.log_end, m.log_end);
                queued_message_done(&m);
                queued_message_done(&again);
                expect_found(&f);
        }
}

/* Records that were not synced fill two blocks, and only the second reached the disk. */
static void test_log_hole(void) {
        static const uint8_t zeros[2 * SPOOL_BLOCK];
        char reply[REPLY_TEXT_MAX];

        memset(reply, 'x', sizeof(reply) - 1);
        reply[sizeof(reply) - 1] = 0;
        for (int whole = 0; whole < 2; whole++) {
                _cleanup_(fixture_done) Fixture f;
                uint64_t hole = 0;
                fixture_init(&f);
                while (f.message.log_end < 3 * SPOOL_BLOCK) {
                        if (f.message.log_end > SPOOL_BLOCK && hole == 0)
                                hole = f.message.log_end; /* in the second block */
                        ASSERT_OK(store_append(f.store, &f.message, &(Record) { RECORD_ATTEMPT, .tries = 1, .reply = reply }, 1, false));
                }
                _cleanup_close_ int fd = open_file(&f, O_RDWR);
                uint64_t from = whole ? SPOOL_BLOCK : hole, to = 2 * SPOOL_BLOCK;
                ASSERT_OK(pwrite_full(fd, zeros, to - from, from));
                QueuedMessage m = QUEUED_MESSAGE_INIT;
                ASSERT_OK(store_read(f.store, &f.id, &m));
                ASSERT_TRUE(!m.log_damaged);
                ASSERT_TRUE(m.log_end <= hole && m.log_end > SPOOL_BLOCK - 600);
                /* The records behind the hole cannot come back. */
                ASSERT_OK(store_append(f.store, &m, &(Record) { RECORD_HOLD }, 1, true));
                ASSERT_EQ(file_size(&f), m.log_end);
                queued_message_done(&m);
                expect_found(&f);
        }
}

static void test_log_damaged(void) {
        _cleanup_(fixture_done) Fixture f;
        QueuedMessage m = QUEUED_MESSAGE_INIT;

        fixture_init(&f);
        uint64_t first = f.message.log_end;
        add_records(&f);
        _cleanup_close_ int fd = open_file(&f, O_RDWR);
        ASSERT_OK(pwrite_full(fd, "?", 1, first + 20));
        uint64_t size = file_size(&f);

        ASSERT_OK(store_read(f.store, &f.id, &m));
        ASSERT_TRUE(m.log_damaged && m.held && m.hold_reason);
        ASSERT_EQ(m.log_end, first);
        expect_found(&f);
        ASSERT_EQ(file_size(&f), size);
        ASSERT_TRUE(!is_damaged(&f));

        /* Somebody releases it: the damaged part goes, but not without a copy. */
        ASSERT_OK(store_append(f.store, &m, &(Record) { RECORD_RELEASE }, 1, true));
        ASSERT_TRUE(!m.log_damaged && !m.held);
        ASSERT_TRUE(is_damaged(&f));
        queued_message_done(&m);
        ASSERT_OK(store_read(f.store, &f.id, &m));
        ASSERT_TRUE(!m.log_damaged && !m.held);
        queued_message_done(&m);
}

static void test_damaged(void) {
        /* In the header, the envelope, the commit record; a header of zeros before a message; another message's file. */
        for (int i = 0; i < 5; i++) {
                _cleanup_(fixture_done) Fixture f;
                fixture_init(&f);
                uint64_t commit = f.message.content_offset + f.message.envelope.size;
                const uint64_t offsets[] = { 50, FILE_HEADER_SIZE + 30, commit + 20 };
                {
                        _cleanup_close_ int fd = open_file(&f, O_RDWR);
                        static const uint8_t zeros[FILE_HEADER_SIZE];
                        if (i < 3)
                                ASSERT_OK(pwrite_full(fd, "?", 1, offsets[i]));
                        else if (i == 3)
                                ASSERT_OK(pwrite_full(fd, zeros, sizeof(zeros), 0));
                        else {
                                char old[sizeof(f.file)];
                                memcpy(old, f.file, sizeof(old));
                                f.id.s[0] = f.id.s[0] == '0' ? '1' : '0';
                                (void) snprintf(f.file, sizeof(f.file), "queue/%c/%s", f.id.s[QUEUE_ID_LENGTH - 1], f.id.s);
                                ASSERT_OK(renameat(f.store->fd, old, f.store->fd, f.file));
                        }
                }
                QueuedMessage none = QUEUED_MESSAGE_INIT;
                ASSERT_ERROR(store_read(f.store, &f.id, &none), EBADMSG);
                expect(&f, "set aside");
                ASSERT_TRUE(!exists(&f, f.file) && is_damaged(&f));
        }
}

static void test_content_damaged(void) {
        _cleanup_(fixture_done) Fixture f;
        int content_fd = -EBADF;

        fixture_init(&f);
        {
                _cleanup_close_ int fd = open_file(&f, O_RDWR);
                ASSERT_OK(pwrite_full(fd, "?", 1, f.message.content_offset + 10));
        }
        expect_found(&f);
        ASSERT_ERROR(store_open_content(f.store, &f.message, &content_fd), EBADMSG);
        ASSERT_EQ(content_fd, -EBADF);
        ASSERT_OK(store_set_aside(f.store, &f.id));
        ASSERT_TRUE(is_damaged(&f));
}

static void test_finished(void) {
        _cleanup_(fixture_done) Fixture f;
        StoreFinished e;

        /* In the log, and the file not removed, or removed but back after the crash. */
        fixture_init(&f);
        e = (StoreFinished) { f.id, f.message.envelope.token };
        ASSERT_OK(finished_append(&f.store->finished, &e, 1, now_usec(CLOCK_REALTIME)));
        ASSERT_TRUE(exists(&f, f.file));
        expect(&f, "finished");
        ASSERT_TRUE(!exists(&f, f.file) && !is_damaged(&f));

        /* In the log and removed. */
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_TRUE(saw(&f.log, "finished", f.id.s));
        ASSERT_EQ(f.log.n_found + f.log.n_damaged, (size_t) 0);
}

static void test_finished_log_cut(void) {
        _cleanup_(fixture_done) Fixture f;
        StoreFinished e;

        /* A slot of which only a part was written counts for nothing, and the next goes behind it. */
        fixture_init(&f);
        e = (StoreFinished) { f.id, f.message.envelope.token };
        uint8_t slot[FINISHED_SLOT];
        finished_slot_encode(&e, 1, slot);
        memset(slot + 20, 0, sizeof(slot) - 20);
        {
                _cleanup_close_ int fd = ASSERT_OK(openat(f.store->fd, "finished", O_RDWR | O_CLOEXEC));
                ASSERT_OK(pwrite_full(fd, slot, sizeof(slot), 0));
        }
        expect_found(&f);
        QueueId other = make_id();
        ASSERT_OK(store_finish(f.store, &(StoreFinished) { other, SD_ID128_NULL }, 1));
        ASSERT_OK(store_finish(f.store, &e, 1));
        reopen(&f);
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_TRUE(saw(&f.log, "finished", other.s) && saw(&f.log, "finished", f.id.s));
        ASSERT_EQ(f.store->finished.position, (uint64_t) 3 * FINISHED_SLOT);

        /* The file itself cut to any length, or gone. */
        static const off_t sizes[] = { 3 * FINISHED_SLOT - 1, FINISHED_SLOT, 7, 0 };
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_close_ int fd = ASSERT_OK(openat(f.store->fd, "finished", O_RDWR | O_CLOEXEC));
                ASSERT_OK(ftruncate(fd, sizes[i]));
                reopen(&f);
                ASSERT_OK(store_finish(f.store, &e, 1));
                ASSERT_OK(scan(f.store, &f.log));
                ASSERT_TRUE(saw(&f.log, "finished", f.id.s));
        }
        ASSERT_OK(unlinkat(f.store->fd, "finished", 0));
        reopen(&f);
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_EQ(f.log.text.size, (size_t) 0);
}

static void test_rotation(void) {
        _cleanup_(fixture_done) Fixture f;
        QueueId first = make_id(), id;

        fixture_init(&f);
        /* Not before recovery has run, and not while what it names cannot be removed. */
        f.store->finished.max = 10 * FINISHED_SLOT;
        for (int i = 0; i < 12; i++) {
                id = i == 0 ? first : make_id();
                ASSERT_OK(store_finish(f.store, &(StoreFinished) { id, SD_ID128_NULL }, 1));
        }
        ASSERT_TRUE(!exists(&f, "finished.old"));
        ASSERT_OK(scan(f.store, &f.log));
        f.store->removal_failed = true;
        ASSERT_OK(store_finish(f.store, &(StoreFinished) { make_id(), SD_ID128_NULL }, 1));
        ASSERT_TRUE(!exists(&f, "finished.old"));
        f.store->removal_failed = false;
        ASSERT_OK(store_finish(f.store, &(StoreFinished) { make_id(), SD_ID128_NULL }, 1));
        ASSERT_TRUE(exists(&f, "finished.old") && !exists(&f, "finished.new"));
        ASSERT_EQ(f.store->finished.position, (uint64_t) 0);

        /* Both are read; the next rotation drops the older. */
        id = make_id();
        ASSERT_OK(store_finish(f.store, &(StoreFinished) { id, SD_ID128_NULL }, 1));
        reopen(&f);
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_TRUE(saw(&f.log, "finished", first.s) && saw(&f.log, "finished", id.s));
        ASSERT_EQ(f.log.n_finished, (size_t) 15);
        f.store->finished.max = FINISHED_SLOT;
        ASSERT_OK(store_finish(f.store, &(StoreFinished) { make_id(), SD_ID128_NULL }, 1));
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_TRUE(!saw(&f.log, "finished", first.s) && saw(&f.log, "finished", id.s));
        f.store->finished.max = FINISHED_MAX;

        /* A crash between the two renames, and before the first one was durable: nothing is forgotten. */
        ASSERT_OK(store_finish(f.store, &(StoreFinished) { first, SD_ID128_NULL }, 1));
        ASSERT_OK(renameat(f.store->fd, "finished", f.store->fd, "finished.new"));
        reopen(&f);
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_TRUE(saw(&f.log, "finished", first.s) && saw(&f.log, "finished", id.s));
        QueueId after = make_id();
        ASSERT_OK(store_finish(f.store, &(StoreFinished) { after, SD_ID128_NULL }, 1));
        reopen(&f);
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_TRUE(saw(&f.log, "finished", first.s) && saw(&f.log, "finished", after.s));
}

/* What does not belong there. */
static void test_strangers(void) {
        _cleanup_(fixture_done) Fixture f;
        QueueId directory = make_id(), link = make_id(), fifo = make_id();
        char path[64];

        fixture_init(&f);
        ASSERT_OK(mkdirat(f.store->fd, "queue/0/README", 0700));
        directory.s[QUEUE_ID_LENGTH - 1] = link.s[QUEUE_ID_LENGTH - 1] = fifo.s[QUEUE_ID_LENGTH - 1] = '0';
        link.s[QUEUE_ID_LENGTH - 2] = directory.s[QUEUE_ID_LENGTH - 2] == '0' ? '1' : '0';
        (void) snprintf(path, sizeof(path), "queue/0/%s", directory.s);
        ASSERT_OK(mkdirat(f.store->fd, path, 0700));
        (void) snprintf(path, sizeof(path), "queue/0/%s", link.s);
        ASSERT_OK(symlinkat("/etc/passwd", f.store->fd, path));
        (void) snprintf(path, sizeof(path), "queue/0/%s", fifo.s);
        ASSERT_OK(mknodat(f.store->fd, path, S_IFIFO | 0600, 0));
        /* A message in the directory of another: nobody would find it there. */
        QueueId moved = f.id;
        (void) snprintf(path, sizeof(path), "queue/%c/%s", moved.s[QUEUE_ID_LENGTH - 1] == '1' ? '2' : '1', moved.s);
        ASSERT_OK(renameat(f.store->fd, f.file, f.store->fd, path));

        reopen(&f);
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_EQ(f.log.n_found, (size_t) 0);
        ASSERT_TRUE(saw(&f.log, "ignored: not a queue id", "README"));
        ASSERT_TRUE(saw(&f.log, "set aside", directory.s) && saw(&f.log, "set aside", link.s));
        ASSERT_TRUE(saw(&f.log, "set aside", fifo.s) && saw(&f.log, "set aside", moved.s));
        ASSERT_TRUE(is_damaged(&f));
        ASSERT_OK(scan(f.store, &f.log));
        ASSERT_EQ(f.log.n_damaged, (size_t) 1);
}

/* Cuts a file everywhere and changes each byte: it is found with the right content, or it is not delivered. */
static void test_every_byte(void) {
        _cleanup_(fixture_done) Fixture f;
        _cleanup_free_ uint8_t *good = NULL;

        fixture_init(&f);
        uint64_t commit_end = f.message.content_offset + f.message.envelope.size + COMMIT_RECORD_SIZE;
        add_records(&f);
        uint64_t size = file_size(&f);
        _cleanup_close_ int fd = open_file(&f, O_RDWR);
        good = malloc(size);
        ASSERT_EQ(ASSERT_OK(pread_full(fd, good, size, 0)), (ssize_t) size);

        for (uint64_t at = 0; at < size; at++) {
                QueuedMessage m = QUEUED_MESSAGE_INIT;
                ASSERT_OK(ftruncate(fd, at));
                int r = store_read(f.store, &f.id, &m);
                ASSERT_EQ(r, at < commit_end ? -EUCLEAN : 0);
                if (r >= 0)
                        ASSERT_TRUE(!m.log_damaged);
                queued_message_done(&m);
                ASSERT_OK(pwrite_full(fd, good, size, 0));
        }
        for (uint64_t at = 0; at < size; at++) {
                QueuedMessage m = QUEUED_MESSAGE_INIT;
                _cleanup_close_ int content_fd = -EBADF;
                uint8_t changed = good[at] ^ (1 << at % 8);

                ASSERT_OK(pwrite_full(fd, &changed, 1, at));
                int r = store_read(f.store, &f.id, &m);
                if (at < f.message.content_offset || (at >= commit_end - COMMIT_RECORD_SIZE && at < commit_end))
                        ASSERT_EQ(r, -EBADMSG);
                else if (at < commit_end) {
                        ASSERT_EQ(r, 0);
                        ASSERT_ERROR(store_open_content(f.store, &m, &content_fd), EBADMSG);
                } else {
                        ASSERT_EQ(r, 0);
                        ASSERT_OK(store_open_content(f.store, &m, &content_fd));
                        /* The first record, with another behind it, is damage; the last looks like one cut off. */
                        ASSERT_EQ(m.log_damaged, m.next_sequence == SEQUENCE_LOG);
                }
                queued_message_done(&m);
                ASSERT_OK(pwrite_full(fd, good + at, 1, at));
        }
}

int main(void) {
        test_not_linked();
        test_linked_not_committed();
        test_committed();
        test_log_cut();
        test_log_hole();
        test_log_damaged();
        test_damaged();
        test_content_damaged();
        test_finished();
        test_finished_log_cut();
        test_rotation();
        test_strangers();
        test_every_byte();
        return 0;
}
