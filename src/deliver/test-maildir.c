/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>

#include "deliver/maildir.h"
#include "deliver/test-util.h"

static char *home;
static int home_fd;

static int deliver(const char *name, Copy *copies, size_t n) {
        _cleanup_(maildir_closep) Maildir *m = NULL;

        ASSERT_OK(maildir_open(home, name, "host/x:y", getuid(), &m));
        int r = maildir_deliver(m, copies, n);
        for (size_t i = 0; i < n; i++)
                ASSERT_TRUE(copies[i].settled);
        return r;
}

static void again(Copy *c) {
        free(c->text);
        *c = copy_of(c->letter);
        c->repeated = true;
}

static void test_deliver(void) {
        _cleanup_free_ char *text = NULL, *name = NULL, *path = NULL, *flagged = NULL;
        struct stat st;
        Letter l;

        letter_init(&l, "Subject: x\r\n\r\nFrom me");
        Copy c = copy_of(&l);
        c.prepend = "Return-Path: <a@b>\r\n";
        ASSERT_OK(maildir_name(&c, "host/x:y", &name));
        ASSERT_TRUE(startswith(name, "1795293767.M123456Q") && strstr(name, "R0.host\\057x\\072y"));
        ASSERT_EQ(deliver("Mail/dir", &c, 1), 0);
        ASSERT_EQ(c.result, RESULT_DELIVERED);
        ASSERT_TRUE(asprintf(&path, "Mail/dir/new/%s", name) > 0);
        ASSERT_TRUE(strstr(c.text, path));
        text = read_all(home_fd, path);
        ASSERT_STREQ(text, "Return-Path: <a@b>\nSubject: x\n\nFrom me\n");
        ASSERT_EQ(fstatat(home_fd, "Mail/dir", &st, 0), 0);
        ASSERT_EQ(st.st_mode & 07777, 0700U);
        ASSERT_EQ(fstatat(home_fd, path, &st, 0), 0);
        ASSERT_EQ(st.st_mode & 07777, 0600U);
        ino_t first = st.st_ino;

        /* Repeated: the same file, in new/ or, read meanwhile, in cur/. */
        again(&c);
        ASSERT_EQ(deliver("Mail/dir", &c, 1), 0);
        ASSERT_EQ(c.result, RESULT_DELIVERED);
        ASSERT_EQ(fstatat(home_fd, path, &st, 0), 0);
        ASSERT_EQ(st.st_ino, first);
        ASSERT_TRUE(asprintf(&flagged, "Mail/dir/cur/%s:2,S", name) > 0);
        ASSERT_EQ(renameat(home_fd, path, home_fd, flagged), 0);
        again(&c);
        ASSERT_EQ(deliver("Mail/dir", &c, 1), 0);
        ASSERT_EQ(c.result, RESULT_DELIVERED);
        ASSERT_TRUE(faccessat(home_fd, path, F_OK, 0) < 0);
        free(c.text);
        close(l.fd);
}

/* What an attempt left in tmp/ is replaced; a file that is in new/ already is the copy. */
static void test_leftover(void) {
        _cleanup_free_ char *name = NULL, *tmp = NULL, *new = NULL, *text = NULL;
        Letter l;

        letter_init(&l, "whole\r\n");
        Copy c = copy_of(&l);
        ASSERT_OK(maildir_name(&c, "host/x:y", &name));
        ASSERT_TRUE(asprintf(&tmp, "Mail/dir/tmp/%s", name) > 0 && asprintf(&new, "Mail/dir/new/%s", name) > 0);
        int fd = openat(home_fd, tmp, O_CREAT | O_WRONLY, 0600);
        ASSERT_OK(write_full(fd, "much longer than what comes", 27));
        close(fd);
        ASSERT_EQ(deliver("Mail/dir", &c, 1), 0);
        text = read_all(home_fd, new);
        ASSERT_STREQ(text, "whole\n");
        again(&c);
        c.repeated = false;
        ASSERT_EQ(deliver("Mail/dir", &c, 1), 0);
        ASSERT_EQ(c.result, RESULT_DELIVERED);
        ASSERT_TRUE(faccessat(home_fd, tmp, F_OK, 0) < 0);
        free(c.text);
        close(l.fd);
}

static void test_batch(void) {
        enum { N = 130 };
        Letter letters[N];
        Copy copies[N];

        for (size_t i = 0; i < N; i++) {
                letter_init(letters + i, "Subject: x\r\n\r\nHello\r\n");
                copies[i] = copy_of(letters + i);
        }
        letters[7].size++;
        ASSERT_EQ(deliver("Maildir", copies, N), 1);
        for (size_t i = 0; i < N; i++) {
                ASSERT_EQ(copies[i].result, i == 7 ? RESULT_DEFERRED : RESULT_DELIVERED);
                free(copies[i].text);
                close(letters[i].fd);
        }
}

static void refused(const char *name, const char *why) {
        Letter l;

        letter_init(&l, "\r\n");
        Copy c = copy_of(&l);
        ASSERT_EQ(deliver(name, &c, 1), 1);
        ASSERT_EQ(c.result, RESULT_DEFERRED);
        ASSERT_TRUE(strstr(c.text, why));
        free(c.text);
        close(l.fd);
}

static void test_refusal(void) {
        _cleanup_(maildir_closep) Maildir *m = NULL;

        ASSERT_EQ(symlinkat("Mail", home_fd, "Link"), 0);
        refused("Link", "directory of its own");
        refused("Link/dir", "directory of its own");
        ASSERT_EQ(mkdirat(home_fd, "Half", 0700), 0);
        ASSERT_EQ(symlinkat("/tmp", home_fd, "Half/new"), 0);
        refused("Half", "directory of its own");
        int fd = openat(home_fd, "File", O_CREAT | O_WRONLY, 0600);
        close(fd);
        refused("File", "directory of its own");

        static const char *const bad[] = { "", "/", "/etc", "..", "a/../b", ".", "../a" };
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                ASSERT_ERROR(maildir_open(home, bad[i], "host", getuid(), &m), EINVAL);

        char *whole = home;
        home = strdup("/nowhere/at/all");
        refused("Maildir", "not there");
        free(home);
        home = whole;
        if (getuid() == 0) {
                ASSERT_EQ(fchown(home_fd, 1, 1), 0);
                refused("Maildir", "does not belong");
        }
}

int main(void) {
        home = make_directory();
        home_fd = open(home, O_RDONLY | O_DIRECTORY);
        ASSERT_TRUE(home_fd >= 0);
        test_deliver();
        test_leftover();
        test_batch();
        test_refusal();
        close(home_fd);
        remove_tree(home);
        return 0;
}
