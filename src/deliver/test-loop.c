/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/fd.h"
#include "basic/test.h"
#include "deliver/loop.h"

static bool refused(const char *content, const char *address) {
        _cleanup_close_ int fd = ASSERT_OK(memfd_new("test"));
        Letter l = { .fd = fd, .size = strlen(content) };
        Copy c = { .letter = &l, .address = address };

        ASSERT_OK(write_full(fd, content, strlen(content)));
        copies_refuse_loops(&c, 1);
        if (c.settled) {
                ASSERT_EQ(c.result, RESULT_FAILED);
                ASSERT_EQ(c.status.detail, 6);
        }
        free(c.text);
        return c.settled;
}

int main(void) {
        ASSERT_TRUE(refused("Received: x\r\nDelivered-To: alice@example.org\r\nSubject: s\r\n\r\nbody\r\n", "alice@example.org"));
        ASSERT_TRUE(refused("delivered-to:  Alice@EXAMPLE.org \r\n\r\n", "alice@example.org"));
        ASSERT_TRUE(!refused("Delivered-To: bob@example.org\r\n\r\n", "alice@example.org"));
        ASSERT_TRUE(!refused("Subject: s\r\n\r\nDelivered-To: alice@example.org\r\n", "alice@example.org"));
        ASSERT_TRUE(!refused("", "alice@example.org"));
        return 0;
}
