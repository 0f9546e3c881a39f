/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A message through its life: created, read, tried, expanded, finished; and again after the spool was closed. */

#include <pthread.h>

#include "spool/test-spool.h"

static char *content_of(Store *s, const QueuedMessage *m, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        ASSERT_OK(store_open_content(s, m, &fd));
        ASSERT_OK(fstat(fd, &st));
        ASSERT_EQ((uint64_t) st.st_size, m->envelope.size);
        char *p = malloc(st.st_size + 1);
        ASSERT_TRUE(p);
        ASSERT_EQ(ASSERT_OK(pread_full(fd, p, st.st_size + 1, 0)), (ssize_t) st.st_size);
        p[st.st_size] = 0;
        *ret_size = st.st_size;
        ASSERT_TRUE(write(fd, "x", 1) < 0 && pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) < 0);
        return p;
}

static void check_equal(const QueuedMessage *a, const QueuedMessage *b) {
        ASSERT_STREQ(a->id.s, b->id.s);
        ASSERT_STREQ(a->envelope.sender, b->envelope.sender);
        ASSERT_STREQ(a->envelope.envid, b->envelope.envid);
        ASSERT_STREQ(a->envelope.origin.helo, b->envelope.origin.helo);
        ASSERT_STREQ(a->envelope.origin.login, b->envelope.origin.login);
        ASSERT_EQ(a->envelope.origin.uid, b->envelope.origin.uid);
        ASSERT_TRUE(sd_id128_equal(a->envelope.token, b->envelope.token));
        ASSERT_EQ(a->envelope.arrival, b->envelope.arrival);
        ASSERT_EQ(a->envelope.size, b->envelope.size);
        ASSERT_EQ(a->envelope.body, b->envelope.body);
        ASSERT_EQ(a->envelope.dsn_return, b->envelope.dsn_return);
        ASSERT_EQ(a->envelope.smtputf8, b->envelope.smtputf8);
        ASSERT_EQ(a->envelope.n_recipients, b->envelope.n_recipients);
        ASSERT_EQ(a->held, b->held);
        ASSERT_STREQ(a->hold_reason, b->hold_reason);
        ASSERT_EQ(a->content_offset, b->content_offset);
        ASSERT_EQ(a->log_end, b->log_end);
        ASSERT_EQ(a->next_sequence, b->next_sequence);
        ASSERT_EQ(a->log_damaged, b->log_damaged);
        ASSERT_EQ(a->n_recipients, b->n_recipients);
        for (size_t i = 0; i < a->n_recipients; i++) {
                const QueuedRecipient *p = a->recipients + i, *q = b->recipients + i;
                ASSERT_STREQ(p->address, q->address);
                ASSERT_STREQ(p->original_recipient, q->original_recipient);
                ASSERT_STREQ(p->sender, q->sender);
                ASSERT_STREQ(p->reply, q->reply);
                ASSERT_EQ(p->parent, q->parent);
                ASSERT_EQ(p->notify, q->notify);
                ASSERT_EQ(p->state, q->state);
                ASSERT_EQ(p->tries, q->tries);
                ASSERT_EQ(p->attempted, q->attempted);
                ASSERT_EQ(p->due, q->due);
                ASSERT_EQ(p->age, q->age);
                ASSERT_EQ(p->dsn, q->dsn);
                ASSERT_EQ(p->status.detail, q->status.detail);
        }
}

static void check_stored(Store *s, const QueuedMessage *m) {
        _cleanup_(queued_message_done) QueuedMessage other = QUEUED_MESSAGE_INIT;
        ASSERT_OK(store_read(s, &m->id, &other));
        check_equal(m, &other);
}

static void test_life(void) {
        _cleanup_directory_ char *path = make_directory();
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        _cleanup_(store_closep) Store *s = NULL, *second = NULL;
        _cleanup_(scan_log_done) ScanLog l = {};
        _cleanup_free_ char *content = NULL;
        QueueId id = make_id();
        size_t size;

        ASSERT_OK(store_open(path, 0, &s));
        ASSERT_ERROR(store_open(path, 0, &second), EBUSY);
        ASSERT_ERROR(store_read(s, &id, &m), ENOENT);
        ASSERT_OK(create_message(s, &id, "Subject: x\r\n\r\nbody\r\n", 20, 3, &m));
        ASSERT_ERROR(create_message(s, &id, "other", 5, 1, NULL), EEXIST);
        check_stored(s, &m);
        ASSERT_EQ(m.n_recipients, (size_t) 3);
        ASSERT_STREQ(m.recipients[1].original_recipient, "rfc822;other@example.net");
        content = content_of(s, &m, &size);
        ASSERT_STREQ(content, "Received: by test\r\nSubject: x\r\n\r\nbody\r\n");

        /* Every kind of record, in one batch and alone. */
        char reply[2000];
        memset(reply, 'r', sizeof(reply) - 1);
        reply[sizeof(reply) - 1] = 0;
        memcpy(reply + REPLY_TEXT_MAX - 1, "\xC3\xA9", 2); /* would be cut in the middle */
        Record records[] = {
                { RECORD_ATTEMPT, .index = 0, .tries = 1, .attempted = 10, .due = 20, .age = 30, .status = STATUS(4, 2, 1), .reply = reply },
                { RECORD_EXPAND, .index = 1, .n_children = 2, .children = (RecordChild[]) { { "a@example.org", NULL }, { "b@example.org", "owner-list@example.org" } } },
                { RECORD_ATTEMPT, .index = 4, .state = RECIPIENT_DELIVERED, .tries = 1, .status = STATUS(2, 0, 0), .reply = "250 ok" },
                { RECORD_DSN, .index = 4, .dsn = DSN_SUCCESS | DSN_DELAYED },
                { RECORD_HOLD, .reply = "by hand" },
                { RECORD_DUE, .index = 2, .due = 77 },
        };
        ASSERT_OK(store_append(s, &m, records, ELEMENTSOF(records), false));
        ASSERT_EQ(m.n_recipients, (size_t) 5);
        ASSERT_EQ(strlen(m.recipients[0].reply), (size_t) REPLY_TEXT_MAX - 1);
        ASSERT_EQ(m.recipients[3].notify, NOTIFY_SUCCESS);
        ASSERT_EQ(m.recipients[1].state, RECIPIENT_EXPANDED);
        ASSERT_TRUE(m.held);
        check_stored(s, &m);
        ASSERT_OK(store_append(s, &m, &(Record) { RECORD_RELEASE }, 1, true));
        ASSERT_TRUE(!m.held && !m.hold_reason);
        check_stored(s, &m);

        /* What does not fit changes nothing, also when something before it in the batch did. */
        records[0].state = RECIPIENT_FAILED;
        ASSERT_ERROR(store_append(s, &m, records, 2, true), EBADMSG);
        ASSERT_ERROR(store_append(s, &m, &(Record) { RECORD_DUE, .index = 5 }, 1, true), EBADMSG);
        check_stored(s, &m);
        ASSERT_TRUE(!queued_message_finished(&m));
        for (uint32_t i = 0; i < 5; i++)
                if (m.recipients[i].state == RECIPIENT_PENDING)
                        ASSERT_OK(store_append(s, &m, &(Record) { RECORD_ATTEMPT, .index = i, .state = RECIPIENT_DELIVERED }, 1, true));
        ASSERT_TRUE(queued_message_finished(&m));
        check_stored(s, &m);

        /* A reader beside us, and the next process. */
        ASSERT_OK(store_open(path, STORE_READ_ONLY, &second));
        check_stored(second, &m);
        ASSERT_OK(scan(second, &l));
        ASSERT_EQ(l.n_found, (size_t) 1);
        ASSERT_ERROR(store_append(second, &m, records, 1, false), EROFS);
        ASSERT_ERROR(store_finish(second, NULL, 0), EROFS);
        s = store_close(s);
        ASSERT_OK(store_open(path, 0, &s));
        ASSERT_OK(scan(s, &l));
        ASSERT_TRUE(saw(&l, "found", id.s));
        ASSERT_EQ(l.n_damaged + l.n_finished, (size_t) 0);

        ASSERT_OK(store_finish(s, &(StoreFinished) { id, m.envelope.token }, 1));
        ASSERT_ERROR(store_read(s, &id, &m), ENOENT);
        ASSERT_OK(scan(s, &l));
        ASSERT_EQ(l.n_found, (size_t) 0);
        ASSERT_TRUE(saw(&l, "finished", id.s));
        s = store_close(s);
        ASSERT_OK(store_open(path, 0, &s));
        ASSERT_OK(scan(s, &l));
        ASSERT_TRUE(saw(&l, "finished", id.s));
        ASSERT_EQ(l.n_found, (size_t) 0);
}

/* Sizes around every limit: one write, chunks, a file instead of a memfd; long envelopes. */
static void test_sizes(void) {
        static const size_t sizes[] = { 0, 1, 4096, FIRST_READ, SMALL_CONTENT_MAX - 1, SMALL_CONTENT_MAX, SMALL_CONTENT_MAX + 1,
                                        3 * COPY_CHUNK + 17, LARGE_CONTENT, LARGE_CONTENT + 1, LARGE_CONTENT + 12345 };
        _cleanup_directory_ char *path = make_directory();
        _cleanup_(store_closep) Store *s = NULL;

        ASSERT_OK(store_open(path, 0, &s));
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
                _cleanup_free_ char *p = malloc(MAX(sizes[i], (size_t) 1)), *q = NULL;
                QueueId id = make_id();
                size_t size;

                for (size_t k = 0; k < sizes[i]; k++)
                        p[k] = k * 2654435761U >> 13;
                ASSERT_OK(create_message(s, &id, p, sizes[i], i % 3 ? 1 : 1000, &m));
                check_stored(s, &m);
                q = content_of(s, &m, &size);
                ASSERT_EQ(size, sizes[i] + strlen("Received: by test\r\n"));
                ASSERT_TRUE(memcmp(q + size - sizes[i], p, sizes[i]) == 0);
                ASSERT_OK(store_append(s, &m, &(Record) { RECORD_ATTEMPT, .reply = "later" }, 1, true));
                check_stored(s, &m);
        }
}

/* What a submitter may do wrong is refused before anything is in the spool. */
static void test_refused(void) {
        _cleanup_directory_ char *path = make_directory();
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_(scan_log_done) ScanLog l = {};
        QueueId id = make_id();

        ASSERT_OK(store_open(path, 0, &s));
        for (int large = 0; large < 2; large++) {
                _cleanup_(envelope_done) Envelope e;
                _cleanup_close_ int fd = make_content("short", 5);
                make_envelope(&e, 1);
                ASSERT_ERROR(store_create(s, &id, &e, "", 0, fd, large ? SMALL_CONTENT_MAX + 9 : 6, NULL), ENODATA);
        }
        ASSERT_ERROR(create_message(s, &id, "x", 1, 0, NULL), EINVAL);
        {
                _cleanup_(envelope_done) Envelope e;
                _cleanup_close_ int fd = make_content("short", 5);
                make_envelope(&e, 1);
                free(e.origin.helo);
                e.origin.helo = malloc(SPOOL_STRING_MAX + 2);
                memset(e.origin.helo, 'x', SPOOL_STRING_MAX + 1);
                e.origin.helo[SPOOL_STRING_MAX + 1] = 0;
                ASSERT_ERROR(store_create(s, &id, &e, "", 0, fd, 5, NULL), E2BIG);
        }
        ASSERT_OK(scan(s, &l));
        ASSERT_EQ(l.text.size, (size_t) 0);
}

typedef struct Worker {
        Store *store;
        pthread_t thread;
        size_t n;
} Worker;

static void *work(void *p) {
        Worker *w = p;
        for (size_t i = 0; i < w->n; i++) {
                _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
                QueueId id = make_id();
                ASSERT_OK(create_message(w->store, &id, "body", 4, 2, &m));
                ASSERT_OK(store_append(w->store, &m, &(Record) { RECORD_ATTEMPT, .state = RECIPIENT_DELIVERED }, 1, i % 2));
                if (i % 3)
                        ASSERT_OK(store_finish(w->store, &(StoreFinished) { id, m.envelope.token }, 1));
        }
        return NULL;
}

static void test_threads(void) {
        _cleanup_directory_ char *path = make_directory();
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_(scan_log_done) ScanLog l = {};
        Worker w[8];

        ASSERT_OK(store_open(path, 0, &s));
        for (size_t i = 0; i < ELEMENTSOF(w); i++) {
                w[i] = (Worker) { .store = s, .n = 30 };
                ASSERT_EQ(pthread_create(&w[i].thread, NULL, work, w + i), 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(w); i++)
                ASSERT_EQ(pthread_join(w[i].thread, NULL), 0);
        ASSERT_OK(scan(s, &l));
        ASSERT_EQ(l.n_found, ELEMENTSOF(w) * 10);
        ASSERT_EQ(l.n_finished, ELEMENTSOF(w) * 20);
        ASSERT_EQ(l.n_damaged, (size_t) 0);
}

/* Recovery while messages come and go: none of them is taken for a leftover. */
static void test_scan_beside_others(void) {
        _cleanup_directory_ char *path = make_directory();
        _cleanup_(store_closep) Store *s = NULL;
        _cleanup_(scan_log_done) ScanLog l = {};
        Worker w[4];

        ASSERT_OK(store_open(path, 0, &s));
        for (size_t i = 0; i < ELEMENTSOF(w); i++) {
                w[i] = (Worker) { .store = s, .n = 60 };
                ASSERT_EQ(pthread_create(&w[i].thread, NULL, work, w + i), 0);
        }
        for (int i = 0; i < 20; i++) {
                ASSERT_OK(scan(s, &l));
                ASSERT_EQ(l.n_damaged, (size_t) 0);
        }
        for (size_t i = 0; i < ELEMENTSOF(w); i++)
                ASSERT_EQ(pthread_join(w[i].thread, NULL), 0);
        ASSERT_OK(scan(s, &l));
        ASSERT_EQ(l.n_found, ELEMENTSOF(w) * 20);
}

/* A process that was killed while it wrote where there is no O_TMPFILE. */
static void test_temporary_files(void) {
        _cleanup_directory_ char *path = make_directory();
        _cleanup_(store_closep) Store *s = NULL;

        ASSERT_OK(store_open(path, 0, &s));
        _cleanup_close_ int fd = ASSERT_OK(openat(s->fd, TEMPORARY_PREFIX "38fzvngjxc0p3x6v", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        s = store_close(s);
        ASSERT_OK(store_open(path, 0, &s));
        ASSERT_TRUE(faccessat(s->fd, TEMPORARY_PREFIX "38fzvngjxc0p3x6v", F_OK, 0) < 0);
}

static void test_free_space(void) {
        _cleanup_directory_ char *path = make_directory();
        _cleanup_(store_closep) Store *s = NULL;
        uint64_t bytes, inodes;

        ASSERT_OK(store_open(path, 0, &s));
        ASSERT_OK(store_free_space(s, &bytes, &inodes));
        ASSERT_TRUE(bytes > 0 && inodes > 0);
}

int main(void) {
        test_life();
        test_sizes();
        test_refused();
        test_threads();
        test_scan_beside_others();
        test_temporary_files();
        test_free_space();
        return 0;
}
