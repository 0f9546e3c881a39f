/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "basic/fd.h"
#include "net/stream.h"

int stream_init(Stream *s, int fd) {
        int r, domain;
        socklen_t n = sizeof(domain);

        r = fd_set_nonblock(fd, true);
        if (r < 0)
                return r;
        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) >= 0 && domain != AF_UNIX) {
                int one = 1;
                /* Only a matter of speed. */
                (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        }
        s->fd = fd;
        return 0;
}

void stream_done(Stream *s) {
        s->fd = safe_close(s->fd);
}

ssize_t stream_read(Stream *s, void *p, size_t n) {
        ssize_t k;

        do
                k = recv(s->fd, p, n, 0);
        while (k < 0 && errno == EINTR);
        return k < 0 ? negative_errno() : k;
}

int stream_write(Stream *s, Buf *b) {
        while (b->size > 0) {
                ssize_t k = send(s->fd, b->data, b->size, MSG_NOSIGNAL);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return negative_errno();
                if ((size_t) k == b->size)
                        buf_clear(b);
                else
                        buf_consume(b, k);
        }
        return 0;
}

char *socket_address_format(const struct sockaddr_storage *a, char buffer[static SOCKET_ADDRESS_MAX]) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *) a;
        const struct sockaddr_in *four = (const struct sockaddr_in *) a;
        const char *s = NULL;

        if (a->ss_family == AF_INET)
                s = inet_ntop(AF_INET, &four->sin_addr, buffer, SOCKET_ADDRESS_MAX);
        else if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
                s = inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], buffer, SOCKET_ADDRESS_MAX);
        else if (a->ss_family == AF_INET6)
                s = inet_ntop(AF_INET6, &six->sin6_addr, buffer, SOCKET_ADDRESS_MAX);
        if (!s)
                buffer[0] = 0;
        return buffer;
}
