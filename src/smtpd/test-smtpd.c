/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/test.h"
#include "smtpd/smtpd-cache.h"
#include "smtpd/smtpd-content.h"
#include "smtpd/smtpd-peer.h"

static const MessageFixup fixup = {
        .mail_name = "example.org", .host_name = "mx.example", .sender = "s@b",
        .add_date = true, .add_message_id = true, .add_from = true, .qualify = true,
};

static char *read_all(int fd, uint64_t size) {
        char *p = malloc(size + 1);

        ASSERT_TRUE(p);
        ASSERT_EQ(pread_full(fd, p, size, 0), (ssize_t) size);
        p[size] = 0;
        return p;
}

static void test_content_small(void) {
        _cleanup_(content_done) Content c = CONTENT_NULL;
        ContentOptions o = { .directory = "/var/tmp", .header_size_max = 1000, .received_max = 2 };
        _cleanup_close_ int fd = -EBADF;
        uint64_t size;

        content_reset(&c, &o);
        content_append(&c, "Subject: x\r\n", 12);
        content_append(&c, "\r\nbody\r\n", 8);
        ASSERT_EQ(content_finish(&c, &fd, &size), 0);
        _cleanup_free_ char *s = read_all(fd, size);
        ASSERT_STREQ(s, "Subject: x\r\n\r\nbody\r\n");

        /* Nothing at all. */
        content_reset(&c, &o);
        fd = safe_close(fd);
        ASSERT_EQ(content_finish(&c, &fd, &size), 0);
        ASSERT_EQ(size, 0U);

        o.fixup = &fixup;
        content_reset(&c, &o);
        content_append(&c, "To: root\r\n\r\nbody\r\n", 18);
        fd = safe_close(fd);
        ASSERT_EQ(content_finish(&c, &fd, &size), 0);
        _cleanup_free_ char *t = read_all(fd, size);
        ASSERT_TRUE(strstr(t, "To: root@example.org\r\n"));
        ASSERT_TRUE(strstr(t, "From: s@b\r\n") || strstr(t, "From: <s@b>\r\n"));
        ASSERT_TRUE(strstr(t, "Message-ID: <"));
        ASSERT_TRUE(strstr(t, "\r\n\r\nbody\r\n"));
}

static void test_content_limits(void) {
        _cleanup_(content_done) Content c = CONTENT_NULL;
        ContentOptions o = { .directory = "/var/tmp", .header_size_max = 1000, .received_max = 2 };
        _cleanup_close_ int fd = -EBADF;
        uint64_t size;

        content_reset(&c, &o);
        for (unsigned i = 0; i < 3; i++)
                content_append(&c, "Received: x\r\n", 13);
        content_append(&c, "\r\nReceived: body\r\n", 18);
        ASSERT_EQ(content_finish(&c, &fd, &size), CONTENT_E_LOOP);

        content_reset(&c, &o);
        for (unsigned i = 0; i < 2; i++)
                content_append(&c, "Received: x\r\n", 13);
        content_append(&c, "\r\nReceived: body\r\n", 18);
        ASSERT_EQ(content_finish(&c, &fd, &size), 0);

        content_reset(&c, &o);
        for (unsigned i = 0; i < 100; i++)
                content_append(&c, "X: 7890123\r\n", 12);
        ASSERT_EQ(content_finish(&c, &fd, &size), CONTENT_E_HEADER_SIZE);

        /* A header without an end is found out while it comes. */
        content_reset(&c, &o);
        for (unsigned i = 0; i < 40000 && c.result == 0; i++)
                content_append(&c, "X: 7890123\r\n", 12);
        ASSERT_EQ(c.result, CONTENT_E_HEADER_SIZE);
        ASSERT_EQ(c.memory.data == NULL, true);

        o.directory = "/does/not/exist";
        content_reset(&c, &o);
        content_append(&c, "\r\n", 2);
        for (unsigned i = 0; i < 40000 && c.result == 0; i++)
                content_append(&c, "text text\r\n", 11);
        ASSERT_ERROR(content_finish(&c, &fd, &size), ENOENT);
}

/* Beyond the memory, with and without a header, in large and small pieces. */
static void test_content_large(const char *header, bool fix, size_t piece) {
        _cleanup_(content_done) Content c = CONTENT_NULL;
        ContentOptions o = { .directory = "/var/tmp", .header_size_max = 1000, .received_max = 2, .fixup = fix ? &fixup : NULL };
        _cleanup_close_ int fd = -EBADF;
        _cleanup_buf_ Buf b = BUF_INIT;
        uint64_t size;

        ASSERT_OK(buf_append_str(&b, header));
        size_t header_size = b.size;
        for (unsigned i = 0; b.size < 900000; i++)
                ASSERT_OK(buf_appendf(&b, "line %u\r\n", i));
        content_reset(&c, &o);
        for (size_t i = 0; i < b.size; i += piece)
                content_append(&c, b.data + i, MIN(piece, b.size - i));
        ASSERT_TRUE(c.fd >= 0);
        ASSERT_TRUE(c.memory.allocated <= 3 * CONTENT_MEMORY_MAX);
        ASSERT_EQ(content_finish(&c, &fd, &size), 0);
        _cleanup_free_ char *s = read_all(fd, size);
        if (fix)
                ASSERT_STREQ(strstr(s, "\r\n\r\nline 0\r\n") + 4, b.data + header_size);
        else
                ASSERT_STREQ(s, b.data);
}

static void test_peers(void) {
        PeerTable t = { .connections_max_peer = 2, .bytes_max = 100, .bytes_max_peer = 60 };
        Peer *a, *b;
        uint64_t suppressed;
        unsigned logged = 0;

        ASSERT_OK(peer_connect(&t, "uid 1", &a));
        ASSERT_OK(peer_connect(&t, "uid 1", &a));
        ASSERT_ERROR(peer_connect(&t, "uid 1", &a), EUSERS);
        ASSERT_OK(peer_connect(&t, "uid 2", &b));
        ASSERT_EQ(t.n_connections, 3U);
        ASSERT_TRUE(peer_charge(&t, a, 60));
        ASSERT_TRUE(!peer_charge(&t, a, 1));
        ASSERT_TRUE(!peer_charge(&t, b, 41));
        ASSERT_TRUE(!peer_charge(&t, b, UINT64_MAX));
        ASSERT_TRUE(peer_charge(&t, b, 40));
        peer_release(&t, a, 60);
        ASSERT_EQ(t.bytes, 40U);
        peer_release(&t, b, 40);

        for (unsigned i = 0; i < 1000; i++)
                logged += peer_may_log(&t, a, USEC_PER_HOUR, &suppressed);
        ASSERT_TRUE(logged > 0 && logged < 100);
        ASSERT_TRUE(peer_may_log(&t, a, USEC_PER_HOUR + 11 * USEC_PER_SEC, &suppressed));
        ASSERT_EQ(suppressed, (uint64_t) 1000 - logged);

        /* Who has just filled the log is remembered, others are not. */
        peer_disconnect(&t, b);
        peer_disconnect(&t, a);
        peer_disconnect(&t, a);
        ASSERT_EQ(t.peers.size, (size_t) 1);
        peer_table_sweep(&t, USEC_PER_HOUR + 12 * USEC_PER_SEC);
        ASSERT_EQ(t.peers.size, (size_t) 1);
        peer_table_sweep(&t, USEC_PER_HOUR + USEC_PER_MINUTE);
        ASSERT_EQ(t.peers.size, (size_t) 0);
        peer_table_done(&t);
}

static void test_identity(void) {
        PeerIdentity i = {};
        int pair[2];

        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ASSERT_OK(peer_identify(pair[0], &i));
        ASSERT_EQ(i.uid, getuid());
        ASSERT_STREQ(i.address, "");
        ASSERT_TRUE(startswith(i.key, "uid "));
        peer_identity_done(&i);
        close(pair[0]);
        close(pair[1]);
}

static void test_cache(void) {
        static CheckCache c;

        check_cache_add(&c, "uid 1", "a@b", 10);
        ASSERT_TRUE(check_cache_has(&c, "uid 1", "a@b", 11));
        ASSERT_TRUE(!check_cache_has(&c, "uid 2", "a@b", 11));
        ASSERT_TRUE(!check_cache_has(&c, "uid 1", "b@b", 11));
        ASSERT_TRUE(!check_cache_has(&c, "uid 1", "a@b", 10 + CACHE_SPAN));
        for (unsigned i = 0; i < 5000; i++) {
                char s[16];
                (void) snprintf(s, sizeof(s), "%u@b", i);
                check_cache_add(&c, "uid 1", s, 20);
                ASSERT_TRUE(check_cache_has(&c, "uid 1", s, 21));
        }
        check_cache_done(&c);
}

int main(void) {
        test_content_small();
        test_content_limits();
        test_content_large("A: b\r\n\r\n", false, 100);
        test_content_large("A: b\r\n\r\n", true, 50000);
        test_content_large("", false, 7);
        test_content_large("", true, 65536);
        test_peers();
        test_identity();
        test_cache();
        return EXIT_SUCCESS;
}
