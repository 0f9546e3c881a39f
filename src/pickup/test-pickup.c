/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/test.h"
#include "pickup/pickup-fair.h"
#include "pickup/pickup-file.h"

static void expect(Fair *f, uid_t uid, const char *name) {
        uid_t got = UID_UNKNOWN;
        _cleanup_free_ char *s = fair_next(f, &got);

        ASSERT_STREQ(s, name);
        if (name)
                ASSERT_EQ(got, uid);
}

static void test_fair(void) {
        Fair f = {};
        char name[32];

        expect(&f, 0, NULL);
        ASSERT_EQ(fair_add(&f, 1, "a1"), 0);
        ASSERT_EQ(fair_add(&f, 1, "a2"), 0);
        ASSERT_EQ(fair_add(&f, 1, "a3"), 0);
        ASSERT_EQ(fair_add(&f, 2, "b1"), 0);
        ASSERT_EQ(fair_add(&f, 3, "c1"), 0);
        ASSERT_EQ(fair_add(&f, 3, "c2"), 0);
        expect(&f, 1, "a1");
        expect(&f, 2, "b1");
        expect(&f, 3, "c1");
        expect(&f, 1, "a2");
        ASSERT_EQ(fair_add(&f, 2, "b2"), 0);
        expect(&f, 2, "b2");
        expect(&f, 3, "c2");
        expect(&f, 1, "a3");
        expect(&f, 0, NULL);

        /* However much one has, the other is second. */
        for (unsigned i = 0; i < FAIR_NAMES_MAX; i++) {
                (void) snprintf(name, sizeof(name), "%u", i);
                ASSERT_EQ(fair_add(&f, 1, name), 0);
        }
        ASSERT_EQ(fair_add(&f, 1, "one more"), (int) FAIR_E_FULL);
        ASSERT_EQ(fair_add(&f, 9, "other"), 0);
        for (unsigned i = 0; i < 5; i++) {
                _cleanup_free_ char *s = fair_next(&f, &(uid_t) {});
                if (streq(s, "other"))
                        break;
                ASSERT_TRUE(i < 4);
        }
        fair_done(&f);

        for (unsigned i = 0; i < FAIR_OWNERS_MAX; i++)
                ASSERT_EQ(fair_add(&f, i, "x"), 0);
        ASSERT_EQ(fair_add(&f, FAIR_OWNERS_MAX, "x"), (int) FAIR_E_FULL);
        ASSERT_EQ(fair_add(&f, 0, "y"), 0);
        ASSERT_EQ(f.n, (size_t) FAIR_OWNERS_MAX + 1);
        fair_done(&f);
}

#define FIELDS "token 32:0123456789abcdef0123456789abcdef\nsender 3:joe\nrecipient 4:root\n"
#define MESSAGE "Subject: x\n\nbody\n"

static void make_file(int dir_fd, const char *name, const char *start) {
        _cleanup_close_ int fd = openat(dir_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0640);

        ASSERT_TRUE(fd >= 0);
        ASSERT_OK(write_full(fd, start, strlen(start)));
        ASSERT_OK(write_full(fd, FIELDS MESSAGE, strlen(FIELDS MESSAGE)));
}

static void check_open(int dir_fd, const char *name, int expected) {
        _cleanup_(pickup_file_done) PickupFile f = PICKUP_FILE_INIT;

        int r = pickup_file_open(dir_fd, name, &f);
        if (r != expected)
                _TEST_FAIL("%s: %d, expected %d", name, r, expected);
        if (r != PICKUP_E_GONE)
                ASSERT_EQ(f.uid, getuid());
        if (r == 0) {
                ASSERT_STREQ(f.envelope.sender, "joe");
                ASSERT_EQ(f.envelope.size, (uint64_t) strlen(MESSAGE));
                ASSERT_EQ(f.offset, (uint64_t) (48 + strlen(FIELDS)));
        }
}

static void test_file(void) {
        char directory[] = "/tmp/test-pickup-XXXXXX", good[64], bad[64];

        ASSERT_TRUE(mkdtemp(directory));
        _cleanup_close_ int d = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ASSERT_TRUE(d >= 0);

        (void) snprintf(good, sizeof(good), "postd-offline 1 %010zu %020zu\n", strlen(FIELDS), strlen(MESSAGE));
        (void) snprintf(bad, sizeof(bad), "postd-offline 1 %010zu %020zu\n", strlen(FIELDS), strlen(MESSAGE) + 1);
        make_file(d, "good", good);
        make_file(d, "bad", bad);
        make_file(d, "huge", "postd-offline 1 0008388608 09223372036854775807\n");
        make_file(d, "linked", good);
        ASSERT_OK(linkat(d, "linked", d, "second", 0));
        ASSERT_OK(symlinkat("good", d, "symlink"));
        ASSERT_OK(mkdirat(d, "directory", 0700));
        ASSERT_OK(mkfifoat(d, "fifo", 0600));
        _cleanup_close_ int empty = openat(d, "empty", O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
        ASSERT_TRUE(empty >= 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", directory);
        _cleanup_close_ int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ASSERT_OK(bind(s, (struct sockaddr *) &address, sizeof(address)));

        check_open(d, "good", 0);
        check_open(d, "missing", PICKUP_E_GONE);
        check_open(d, "bad", PICKUP_E_FORMAT);
        check_open(d, "huge", PICKUP_E_FORMAT);
        check_open(d, "empty", PICKUP_E_FORMAT);
        check_open(d, "linked", PICKUP_E_LINKS);
        check_open(d, "symlink", PICKUP_E_KIND);
        check_open(d, "directory", PICKUP_E_KIND);
        check_open(d, "fifo", PICKUP_E_KIND);
        check_open(d, "socket", PICKUP_E_KIND);

        static const char *const names[] = { "good", "bad", "huge", "empty", "linked", "second", "symlink", "fifo", "socket" };
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                ASSERT_OK(unlinkat(d, names[i], 0));
        ASSERT_OK(unlinkat(d, "directory", AT_REMOVEDIR));
        ASSERT_OK(rmdir(directory));
}

int main(void) {
        test_fair();
        test_file();
        return 0;
}
