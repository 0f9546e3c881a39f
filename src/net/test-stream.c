/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/test.h"
#include "net/stream.h"

static void test_stream(void) {
        _cleanup_(stream_done) Stream s = STREAM_NULL;
        _cleanup_buf_ Buf b = BUF_INIT;
        int pair[2];
        char buffer[70000];
        size_t written = 0, got = 0;

        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        _cleanup_close_ int other = pair[1];
        ASSERT_OK(stream_init(&s, pair[0]));
        ASSERT_ERROR((int) stream_read(&s, buffer, sizeof(buffer)), EAGAIN);

        /* A reader that does not read stops the writer, and nothing is lost. */
        memset(buffer, 'x', sizeof(buffer));
        int r = 0;
        for (unsigned i = 0; i < 1000 && r == 0; i++) {
                ASSERT_OK(buf_append(&b, buffer, sizeof(buffer)));
                written += sizeof(buffer);
                r = stream_write(&s, &b);
        }
        ASSERT_ERROR(r, EAGAIN);
        while (got < written) {
                ssize_t k = read(other, buffer, sizeof(buffer));
                ASSERT_TRUE(k > 0);
                got += k;
                r = stream_write(&s, &b);
                ASSERT_TRUE(r == 0 || r == -EAGAIN);
        }
        ASSERT_EQ(got, written);
        ASSERT_EQ(b.size, 0U);

        other = safe_close(other);
        ASSERT_EQ(stream_read(&s, buffer, sizeof(buffer)), 0);
        ASSERT_OK(buf_append(&b, "x", 1));
        ASSERT_ERROR(stream_write(&s, &b), EPIPE);
}

static void test_address(void) {
        char buffer[SOCKET_ADDRESS_MAX];
        struct sockaddr_storage a = {};
        struct sockaddr_in6 *six = (struct sockaddr_in6 *) &a;

        a.ss_family = AF_INET6;
        ASSERT_EQ(inet_pton(AF_INET6, "::ffff:192.0.2.1", &six->sin6_addr), 1);
        ASSERT_STREQ(socket_address_format(&a, buffer), "192.0.2.1");
        ASSERT_EQ(inet_pton(AF_INET6, "2001:db8::1", &six->sin6_addr), 1);
        ASSERT_STREQ(socket_address_format(&a, buffer), "2001:db8::1");
        a.ss_family = AF_UNIX;
        ASSERT_STREQ(socket_address_format(&a, buffer), "");
}

int main(void) {
        test_stream();
        test_address();
        return EXIT_SUCCESS;
}
