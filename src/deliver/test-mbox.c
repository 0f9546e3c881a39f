/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "basic/crc32c.h"
#include "deliver/content.h"
#include "deliver/mbox-record.h"
#include "deliver/mbox.h"
#include "deliver/test-util.h"

#define FROM "From sender@example.org Sat Nov 21 20:42:47 2026\n"

static char *dir;
static int dir_fd;

static Mbox *open_mbox(void) {
        Mbox *m;
        ASSERT_OK(mbox_open(dir, "alice", getuid(), false, &m));
        mbox_set_lock_timeout(m, 50 * USEC_PER_MSEC);
        return m;
}

/* Delivers copies in a session of its own and says what the file holds then. */
static char *deliver(Copy *copies, size_t n, int expected) {
        _cleanup_(mbox_closep) Mbox *m = open_mbox();

        ASSERT_EQ(mbox_deliver(m, copies, n), expected);
        for (size_t i = 0; i < n; i++)
                ASSERT_TRUE(copies[i].settled);
        ASSERT_TRUE(faccessat(dir_fd, "alice.lock", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
        return faccessat(dir_fd, "alice", F_OK, 0) >= 0 ? read_all(dir_fd, "alice") : NULL;
}

static void start_with(const char *content) {
        (void) unlinkat(dir_fd, "alice", 0);
        if (!content)
                return;
        _cleanup_close_ int fd = openat(dir_fd, "alice", O_CREAT | O_EXCL | O_WRONLY, 0600);
        ASSERT_TRUE(fd >= 0);
        ASSERT_OK(write_full(fd, content, strlen(content)));
}

static void expect(const char *before, const char *after) {
        _cleanup_free_ char *text = NULL;
        Letter l;

        start_with(before);
        letter_init(&l, "Subject: x\r\n\r\nFrom me\r\n");
        Copy c = copy_of(&l);
        c.prepend = "Return-Path: <a@b>\r\nDelivered-To: alice\r\n";
        text = deliver(&c, 1, 0);
        ASSERT_EQ(c.result, RESULT_DELIVERED);
        ASSERT_STREQ(text, after);
        free(c.text);
        close(l.fd);
}

static void test_append(void) {
#define MAIL FROM "Return-Path: <a@b>\nDelivered-To: alice\nSubject: x\n\n>From me\n\n"
        struct stat st;

        expect(NULL, MAIL);
        ASSERT_EQ(fstatat(dir_fd, "alice", &st, 0), 0);
        ASSERT_EQ(st.st_mode & 07777, 0660U);
        expect("", MAIL);
        expect("From x\n\nHello\n\n", "From x\n\nHello\n\n" MAIL);
        expect("From x\n\nHello\n", "From x\n\nHello\n\n" MAIL);
        expect("From x\n\nHello", "From x\n\nHello\n\n" MAIL);
        expect("\n", "\n" MAIL);
}

static void read_record(MboxRecord *ret) {
        char value[MBOX_RECORD_SIZE_MAX];
        _cleanup_close_ int fd = openat(dir_fd, "alice", O_RDONLY);
        ssize_t n = fgetxattr(fd, MBOX_RECORD_XATTR, value, sizeof(value));
        ASSERT_TRUE(n > 0);
        ASSERT_OK(mbox_record_parse(value, n, ret));
}

static void set_record(const MboxRecord *r) {
        _cleanup_buf_ Buf b = BUF_INIT;
        _cleanup_close_ int fd = openat(dir_fd, "alice", O_WRONLY);
        ASSERT_OK(mbox_record_format(r, &b));
        ASSERT_EQ(fsetxattr(fd, MBOX_RECORD_XATTR, b.data, b.size, 0), 0);
}

static void cut(off_t size) {
        _cleanup_close_ int fd = openat(dir_fd, "alice", O_WRONLY);
        ASSERT_EQ(ftruncate(fd, size), 0);
}

/* size 0: to the end. */
static void zero_blocks(off_t offset, size_t size) {
        _cleanup_close_ int fd = openat(dir_fd, "alice", O_WRONLY);
        static const char zeros[4096];
        struct stat st;

        ASSERT_EQ(fstat(fd, &st), 0);
        off_t end = size == 0 ? st.st_size : MIN(st.st_size, offset + (off_t) size);
        for (; offset < end; offset += (off_t) sizeof(zeros))
                ASSERT_OK(pwrite_full(fd, zeros, MIN((off_t) sizeof(zeros), end - offset), offset));
}

static void add(const char *text) {
        _cleanup_close_ int fd = openat(dir_fd, "alice", O_WRONLY | O_APPEND);
        ASSERT_OK(write_full(fd, text, strlen(text)));
}

#define OLD "From x\n\nold\n\n"
#define NEW FROM "\nnew\n\n"
#define OTHER FROM "\nother\n\n"

static void forget(Copy *c) {
        free(c->text);
        *c = copy_of(c->letter);
}

/* What an append that was cut off at any byte leaves is gone after the next one, and nothing else is. */
static void test_repair(void) {
        Letter new, other;
        MboxRecord record;

        letter_init(&new, "\r\nnew\r\n");
        letter_init(&other, "\r\nother\r\n");
        Copy a = copy_of(&new), b = copy_of(&other);

        for (size_t end = 0; end <= strlen(NEW); end++)
                for (int known = 0; known < 2; known++)
                        for (int repeated = 0; repeated < 2; repeated++) {
                                _cleanup_free_ char *first = NULL, *second = NULL;
                                start_with(OLD);
                                first = deliver(&a, 1, 0);
                                ASSERT_STREQ(first, OLD NEW);
                                read_record(&record);
                                ASSERT_TRUE(record.done);
                                ASSERT_EQ(record.start, strlen(OLD));
                                ASSERT_EQ(record.end, strlen(OLD NEW));
                                record.done = false;
                                if (!known)
                                        record.end = MBOX_END_UNKNOWN;
                                set_record(&record);
                                cut((off_t) (strlen(OLD) + end));

                                forget(&a);
                                Copy *c = repeated ? &a : &b;
                                c->repeated = repeated;
                                second = deliver(c, 1, 0);
                                ASSERT_EQ(c->result, RESULT_DELIVERED);
                                if (repeated)
                                        ASSERT_STREQ(second, OLD NEW);
                                else if (known && end == strlen(NEW))
                                        ASSERT_STREQ(second, OLD NEW OTHER);
                                else
                                        ASSERT_STREQ(second, OLD OTHER);
                                read_record(&record);
                                ASSERT_TRUE(record.done);
                                ASSERT_EQ(record.end, strlen(second));
                                ASSERT_TRUE(startswith(second + record.start, FROM));
                                forget(&a);
                                forget(&b);
                        }
        close(new.fd);
        close(other.fd);
}

/* Mail that others wrote stays, whatever the record says. */
static void test_foreign(void) {
        Letter new;
        MboxRecord record;

        letter_init(&new, "\r\nnew\r\n");
        Copy a = copy_of(&new);
        static const char *const tails[] = { "From y\n\nforeign\n\n", NEW "From y\n\nf\n\n", "garbage\n", "garbage", "\n\n\nFrom y\n" };
        for (size_t i = 0; i < ELEMENTSOF(tails); i++)
                for (int known = 0; known < 2; known++) {
                        _cleanup_free_ char *first = NULL, *second = NULL;
                        start_with(OLD);
                        first = deliver(&a, 1, 0);
                        read_record(&record);
                        record.done = false;
                        record.end = known ? 10000 : MBOX_END_UNKNOWN;
                        set_record(&record);
                        cut(strlen(OLD));
                        add(tails[i]);
                        forget(&a);
                        second = deliver(&a, 1, 0);
                        ASSERT_TRUE(startswith(second, OLD) && startswith(second + strlen(OLD), tails[i]));
                        ASSERT_STREQ(second + strlen(second) - strlen(NEW), NEW);
                        forget(&a);
                }

        /* Cut, and then others wrote more than was missing: not there, although the mailbox is long enough. */
        for (size_t end = 0; end < strlen(NEW); end++) {
                _cleanup_free_ char *first = NULL, *second = NULL;
                start_with(OLD);
                first = deliver(&a, 1, 0);
                read_record(&record);
                record.done = false;
                set_record(&record);
                cut((off_t) (strlen(OLD) + end));
                add("\n\nFrom y\n\nforeign, and as long as what was missing, or longer\n\n");
                forget(&a);
                a.repeated = true;
                second = deliver(&a, 1, 0);
                /* With nothing missing but the empty line at the end the message is there. */
                if (end < strlen(NEW) - 2)
                        ASSERT_STREQ(second + strlen(second) - strlen(NEW), NEW);
                else
                        ASSERT_TRUE(startswith(second, OLD FROM "\nnew\n\n"));
                forget(&a);
        }

        /* After a restart of the machine as well. */
        _cleanup_free_ char *first = NULL, *second = NULL;
        start_with(OLD);
        first = deliver(&a, 1, 0);
        read_record(&record);
        record.done = false;
        memcpy(record.boot, "00000000", 9);
        set_record(&record);
        cut(strlen(OLD) + 40);
        forget(&a);
        second = deliver(&a, 1, 0);
        ASSERT_STREQ(second, OLD NEW);

        /* A finished append that the owner has shortened since. */
        _cleanup_free_ char *fourth = NULL;
        cut(strlen(OLD) + 40);
        forget(&a);
        a.repeated = true;
        fourth = deliver(&a, 1, 0);
        ASSERT_EQ(strlen(fourth), strlen(OLD) + 40);
        forget(&a);
        close(new.fd);
}

/* A power cut after the size was written and before some of the blocks were: the append has its length, and zeros. */
static void test_holes(void) {
        enum { BLOCK = 4096, LINES = 700 };
        static const size_t holes[][2] = { { 0, 1 }, { 0, 0 }, { 1, 1 }, { 2, 1 }, { 3, 0 }, { 1, 9 } }; /* first block, how many; 0: to the end */
        _cleanup_buf_ Buf b = BUF_INIT;
        Letter letters[2];

        ASSERT_OK(buf_append_str(&b, "Subject: long\r\n\r\n"));
        for (size_t i = 0; i < LINES; i++)
                ASSERT_OK(buf_appendf(&b, "line %zu of some length\r\n", i));
        letter_init(letters, "Subject: short\r\n\r\nx\r\n");
        letter_init(letters + 1, b.data);
        for (size_t i = 0; i < ELEMENTSOF(holes); i++) {
                _cleanup_free_ char *whole = NULL, *again = NULL, *old = NULL;
                Copy copies[2] = { copy_of(letters), copy_of(letters + 1) };
                MboxRecord record;

                old = malloc(BLOCK + 1);
                ASSERT_TRUE(old);
                memset(old, 'o', BLOCK);
                memcpy(old, "From ", 5);
                memcpy(old + BLOCK - 2, "\n\n", 3);
                start_with(old);
                whole = deliver(copies, 2, 0);
                read_record(&record);
                record.done = false;
                set_record(&record);
                zero_blocks(BLOCK + holes[i][0] * BLOCK, holes[i][1] * BLOCK);
                for (size_t k = 0; k < 2; k++) {
                        forget(copies + k);
                        copies[k].repeated = true;
                }
                again = deliver(copies, 2, 0);
                ASSERT_STREQ(again, whole);
                for (size_t k = 0; k < 2; k++) {
                        ASSERT_EQ(copies[k].result, RESULT_DELIVERED);
                        free(copies[k].text);
                }
        }
        close(letters[0].fd);
        close(letters[1].fd);
}

static void test_batch(void) {
        enum { N = 150 };
        Letter letters[N];
        Copy copies[N];
        _cleanup_free_ char *text = NULL;
        size_t n = 0;

        start_with(NULL);
        for (size_t i = 0; i < N; i++) {
                letter_init(letters + i, "Subject: x\r\n\r\nHello\r\n");
                copies[i] = copy_of(letters + i);
        }
        /* One cannot be read: only that one is deferred. */
        letters[70].size += 1;
        text = deliver(copies, N, 0);
        for (size_t i = 0; i < N; i++)
                ASSERT_EQ(copies[i].result, i == 70 ? RESULT_DEFERRED : RESULT_DELIVERED);
        for (const char *p = text; (p = strstr(p, FROM)); p++)
                n++;
        ASSERT_EQ(n, (size_t) N - 1);
        for (size_t i = 0; i < N; i++) {
                free(copies[i].text);
                close(letters[i].fd);
        }
}

/* More than is written at once, with a bad one at its end: nothing stays. */
static void test_large(void) {
        size_t size = 5 * 1024 * 1024;
        char *content = malloc(size + 1);
        Letter large, bad, good;
        MboxRecord record;

        memset(content, 'x', size);
        for (size_t i = 70; i < size; i += 72)
                memcpy(content + i, "\r\n", 2);
        content[size] = 0;
        letter_init(&large, content);
        letter_init(&bad, content);
        letter_init(&good, "\r\nnew\r\n");
        bad.size++;
        Copy copies[] = { copy_of(&large), copy_of(&bad), copy_of(&good) };
        start_with(OLD);
        _cleanup_free_ char *text = deliver(copies, 3, 0);
        ASSERT_EQ(copies[0].result, RESULT_DELIVERED);
        ASSERT_EQ(copies[1].result, RESULT_DEFERRED);
        ASSERT_EQ(copies[2].result, RESULT_DELIVERED);
        ASSERT_STREQ(text + strlen(text) - strlen("x\n\n" NEW), "x\n\n" NEW);
        ASSERT_TRUE(strlen(text) > size / 72 * 71 && strlen(text) < size);
        read_record(&record);
        ASSERT_TRUE(record.done);
        ASSERT_EQ(record.end, strlen(text));

        /* A limit in the middle of a write, as a quota would be: the mailbox is as before. */
        struct rlimit old, limit;
        for (size_t i = 0; i < 3; i++)
                forget(copies + i);
        start_with(OLD);
        ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
        limit = (struct rlimit) { 3 * 1024 * 1024 + 123, old.rlim_max };
        signal(SIGXFSZ, SIG_IGN);
        ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
        _cleanup_free_ char *full = deliver(copies, 1, 0);
        ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
        ASSERT_EQ(copies[0].result, RESULT_DEFERRED);
        ASSERT_EQ(copies[0].status.subject, 2);
        ASSERT_EQ(copies[0].status.detail, 2);
        ASSERT_STREQ(full, OLD);
        for (size_t i = 0; i < 3; i++)
                free(copies[i].text);
        close(large.fd);
        close(bad.fd);
        close(good.fd);
        free(content);
}

static void refused(const char *why) {
        _cleanup_(mbox_closep) Mbox *m = open_mbox();
        Letter l;

        letter_init(&l, "\r\n");
        Copy c = copy_of(&l);
        ASSERT_EQ(mbox_deliver(m, &c, 1), 1);
        ASSERT_EQ(c.result, RESULT_DEFERRED);
        ASSERT_TRUE(strstr(c.text, why));
        free(c.text);
        close(l.fd);
        ASSERT_EQ(unlinkat(dir_fd, "alice", 0), 0);
}

static void test_refusal(void) {
        start_with(NULL);
        ASSERT_EQ(symlinkat("/etc/passwd", dir_fd, "alice"), 0);
        refused("symbolic link");
        ASSERT_EQ(symlinkat("nowhere", dir_fd, "alice"), 0);
        refused("symbolic link");
        ASSERT_EQ(mkfifoat(dir_fd, "alice", 0600), 0);
        refused("plain file");
        start_with("");
        ASSERT_EQ(linkat(dir_fd, "alice", dir_fd, "second", 0), 0);
        refused("hard link");
        ASSERT_EQ(unlinkat(dir_fd, "second", 0), 0);
        if (getuid() == 0) {
                start_with("");
                ASSERT_EQ(fchownat(dir_fd, "alice", 1, 1, 0), 0);
                refused("somebody else");
        }
}

static void test_locks(void) {
        _cleanup_(mbox_closep) Mbox *m = NULL;
        Letter l;

        letter_init(&l, "\r\n");
        Copy c = copy_of(&l);
        start_with("");
        m = open_mbox();
        _cleanup_close_ int lock = openat(dir_fd, "alice.lock", O_CREAT | O_EXCL | O_WRONLY, 0600);
        ASSERT_EQ(mbox_deliver(m, &c, 1), 0);
        ASSERT_EQ(c.result, RESULT_DEFERRED);
        ASSERT_TRUE(strstr(c.text, "alice.lock"));
        /* One of a session that died, and one that was left behind long ago. */
        ASSERT_EQ(fchmod(lock, 0040), 0);
        forget(&c);
        ASSERT_EQ(mbox_deliver(m, &c, 1), 0);
        ASSERT_EQ(c.result, RESULT_DELIVERED);
        safe_close(lock);
        lock = openat(dir_fd, "alice.lock", O_CREAT | O_EXCL | O_WRONLY, 0600);
        struct timespec old[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
        ASSERT_EQ(futimens(lock, old), 0);
        forget(&c);
        ASSERT_EQ(mbox_deliver(m, &c, 1), 0);
        ASSERT_EQ(c.result, RESULT_DELIVERED);

        _cleanup_close_ int file = openat(dir_fd, "alice", O_RDWR);
        struct flock held = { .l_type = F_RDLCK };
        ASSERT_EQ(fcntl(file, F_OFD_SETLK, &held), 0);
        forget(&c);
        ASSERT_EQ(mbox_deliver(m, &c, 1), 0);
        ASSERT_EQ(c.result, RESULT_DEFERRED);
        ASSERT_TRUE(strstr(c.text, "locked"));
        forget(&c);
        close(l.fd);
}

static void test_removed(void) {
        _cleanup_(mbox_closep) Mbox *m = NULL;
        Letter l;

        letter_init(&l, "\r\n");
        Copy c = copy_of(&l);
        start_with("");
        m = open_mbox();
        ASSERT_EQ(unlinkat(dir_fd, "alice", 0), 0);
        ASSERT_EQ(mbox_deliver(m, &c, 1), 1);
        ASSERT_STREQ(c.text + strlen(dir), "/alice was removed; session restarts");
        start_with("");
        forget(&c);
        ASSERT_EQ(mbox_deliver(m, &c, 1), 1);
        ASSERT_STREQ(c.text + strlen(dir), "/alice was replaced; session restarts");
        forget(&c);
        close(l.fd);
}

int main(void) {
        umask(0);
        dir = make_directory();
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
        ASSERT_TRUE(dir_fd >= 0);
        test_append();
        test_repair();
        test_foreign();
        test_holes();
        test_batch();
        test_large();
        test_refusal();
        test_locks();
        test_removed();
        close(dir_fd);
        remove_tree(dir);
        return 0;
}
