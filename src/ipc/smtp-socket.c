/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/fd.h"
#include "ipc/smtp-socket.h"

int smtp_socket_connect(const char *path, usec_t timeout, int *ret_fd) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        usec_t deadline = usec_add(now_usec(CLOCK_MONOTONIC), timeout), pause = 5 * USEC_PER_MSEC;
        _cleanup_close_ int fd = -EBADF;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return negative_errno();
        while (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0) {
                if (errno == EINTR)
                        continue;
                if (errno != EAGAIN)
                        return negative_errno();
                if (now_usec(CLOCK_MONOTONIC) >= deadline)
                        return -ETIMEDOUT;
                /* AF_UNIX does not tell when there is room again. */
                (void) usleep(pause);
                pause = MIN(pause * 2, 100 * USEC_PER_MSEC);
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/* Writes what there is as far as it goes: 1 if something went out, 0, or -errno of the client. Sets *left if the socket
 * took not all. Errors of the socket show when it is read. */
static int push(int fd, SmtpClient *c, bool *left) {
        int r, any = 0;

        for (;;) {
                const void *p;
                size_t n;

                *left = false;
                r = smtp_client_output(c, &p, &n);
                if (r < 0)
                        return r;
                if (n == 0)
                        return any;
                ssize_t k = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (k < 0) {
                        *left = errno == EAGAIN;
                        return any;
                }
                smtp_client_sent(c, k);
                any = 1;
        }
}

/* Reads once: 1 if something came or the connection ended, 0, or -ENOMEM. */
static int pull(int fd, SmtpClient *c) {
        char buffer[4096];

        ssize_t k = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        if (k < 0 && IN_SET(errno, EAGAIN, EINTR))
                return 0;
        if (k <= 0) {
                smtp_client_feed_eof(c);
                return 1;
        }
        int r = smtp_client_feed(c, buffer, k);
        return r < 0 ? r : 1;
}

int smtp_socket_run(int fd, SmtpClient *c, usec_t step, usec_t total) {
        usec_t now = now_usec(CLOCK_MONOTONIC), end = usec_add(now, total), progress = now;
        bool left = false;
        int r;

        while (IN_SET(smtp_client_state(c), SMTP_CLIENT_OPENING, SMTP_CLIENT_SENDING)) {
                r = push(fd, c, &left);
                if (r < 0)
                        return r;
                now = now_usec(CLOCK_MONOTONIC);
                if (r > 0)
                        progress = now;

                usec_t deadline = MIN(end, usec_add(progress, step));
                if (now >= deadline) {
                        smtp_client_feed_eof(c);
                        return -ETIMEDOUT;
                }
                struct pollfd p = { .fd = fd, .events = POLLIN | (left ? POLLOUT : 0) };
                int n = poll(&p, 1, (int) MIN((deadline - now) / USEC_PER_MSEC + 1, UINT64_C(60000)));
                if (n < 0 && errno != EINTR)
                        return negative_errno();
                if (n > 0 && (p.revents & ~POLLOUT)) {
                        r = pull(fd, c);
                        if (r < 0)
                                return r;
                        if (r > 0)
                                progress = now_usec(CLOCK_MONOTONIC);
                }
        }
        return 0;
}

void smtp_socket_quit(int fd, SmtpClient *c) {
        bool left;

        if (IN_SET(smtp_client_state(c), SMTP_CLIENT_READY, SMTP_CLIENT_DONE) && smtp_client_quit(c) >= 0)
                (void) push(fd, c, &left);
}
