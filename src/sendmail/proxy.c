/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "basic/buf.h"
#include "basic/fd.h"
#include "ipc/names.h"
#include "ipc/smtp-socket.h"
#include "sendmail/deliver.h"
#include "sendmail/proxy.h"

#define BUFFERED_MAX ((size_t) 256 * 1024)
/* RFC 5321 4.5.3.2.7: a server waits five minutes for a command; somebody must be the first to give up. */
#define IDLE_TIMEOUT (10 * USEC_PER_MINUTE)

typedef enum LineEnds {
        LINES_UNKNOWN,
        LINES_AS_THEY_ARE,
        LINES_LF,
} LineEnds;

/* One direction: bytes that were read and not written yet. */
typedef struct Pipe {
        int from, to;
        Buf pending;
        bool eof;        /* nothing more comes */
        bool closed;     /* and that was passed on */
} Pipe;

typedef struct Proxy {
        Pipe in, out;
        LineEnds lines;
        bool greeted;
} Proxy;

static void proxy_done(Proxy *p) {
        buf_done(&p->in.pending);
        buf_done(&p->out.pending);
        safe_close(p->in.to);
}

/* Appends what the caller said, with CRLF at the end of lines if it does not write them itself. */
static int append_input(Proxy *p, const char *s, size_t n) {
        Buf *b = &p->in.pending;
        int r;

        while (n > 0) {
                const char *lf = p->lines == LINES_AS_THEY_ARE ? NULL : memchr(s, '\n', n);
                if (!lf)
                        return buf_append(b, s, n);
                if (p->lines == LINES_UNKNOWN) {
                        bool crlf = lf > s ? lf[-1] == '\r' : b->size > 0 && b->data[b->size - 1] == '\r';
                        p->lines = crlf ? LINES_AS_THEY_ARE : LINES_LF;
                        continue;
                }
                r = buf_append(b, s, lf - s);
                if (r < 0)
                        return r;
                r = buf_append(b, "\r\n", 2);
                if (r < 0)
                        return r;
                n -= lf + 1 - s;
                s = lf + 1;
        }
        return 0;
}

static int pump_read(Proxy *p, Pipe *pipe) {
        char buffer[16 * 1024];

        ssize_t k = read(pipe->from, buffer, sizeof(buffer));
        if (k < 0)
                return IN_SET(errno, EAGAIN, EINTR) ? 0 : negative_errno();
        if (k == 0) {
                pipe->eof = true;
                return 0;
        }
        if (pipe == &p->in)
                return append_input(p, buffer, k);
        if (!p->greeted && buffer[0] != '2')
                return -ECONNREFUSED;
        p->greeted = true;
        return buf_append(&pipe->pending, buffer, k);
}

static int pump_write(Pipe *pipe) {
        ssize_t k = write(pipe->to, pipe->pending.data, pipe->pending.size);
        if (k < 0)
                return IN_SET(errno, EAGAIN, EINTR) ? 0 : negative_errno();
        buf_consume(&pipe->pending, k);
        return 0;
}

static int pump(Proxy *p, Pipe *pipe, const struct pollfd *reader, const struct pollfd *writer) {
        int r;

        if (reader->revents) {
                r = pump_read(p, pipe);
                if (r < 0)
                        return r;
        }
        if (writer->revents && pipe->pending.size > 0) {
                r = pump_write(pipe);
                if (r < 0)
                        return r;
        }
        if (pipe->eof && !pipe->closed && pipe->pending.size == 0) {
                pipe->closed = true;
                (void) shutdown(pipe->to, SHUT_WR); /* fails on what is no socket, and need not do more */
        }
        return 0;
}

static void prepare_poll(const Pipe *pipe, struct pollfd *reader, struct pollfd *writer) {
        *reader = (struct pollfd) { .fd = pipe->eof || pipe->pending.size >= BUFFERED_MAX ? -1 : pipe->from, .events = POLLIN };
        *writer = (struct pollfd) { .fd = pipe->pending.size > 0 ? pipe->to : -1, .events = POLLOUT };
}

/* Until the receiver closes: 0, or -errno. */
static int run(Proxy *p) {
        int r;

        while (!p->out.closed) {
                struct pollfd fds[4];

                prepare_poll(&p->in, fds, fds + 1);
                prepare_poll(&p->out, fds + 2, fds + 3);
                if (!p->greeted)
                        fds[0].fd = -1; /* the caller waits for the greeting too */
                int n = poll(fds, 4, (int) ((p->greeted ? IDLE_TIMEOUT : GREETING_TIMEOUT) / USEC_PER_MSEC));
                if (n == 0)
                        return -ETIMEDOUT;
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return negative_errno();
                }
                r = pump(p, &p->in, fds, fds + 1);
                if (r == -EPIPE) /* the receiver has closed; what it said last is still to be read */
                        p->in.eof = p->in.closed = true, buf_clear(&p->in.pending);
                else if (r < 0)
                        return r;
                r = pump(p, &p->out, fds + 2, fds + 3);
                if (r < 0)
                        return r;
                if (p->out.eof && !p->greeted)
                        return -ECONNREFUSED;
        }
        return 0;
}

int proxy(void) {
        _cleanup_(proxy_done) Proxy p = { .in = { .from = STDIN_FILENO, .to = -EBADF }, .out = { .from = -EBADF, .to = STDOUT_FILENO } };
        static const char unavailable[] = "421 4.3.2 localhost postd cannot be reached, try again later\r\n";
        int r;

        r = smtp_socket_connect(POSTD_LOCAL_SOCKET, GREETING_TIMEOUT, &p.in.to);
        if (r >= 0) {
                p.out.from = p.in.to;
                r = run(&p);
        }
        if (r < 0 && !p.greeted)
                (void) write_full(STDOUT_FILENO, unavailable, sizeof(unavailable) - 1);
        return r < 0 ? EX_TEMPFAIL : EX_OK;
}
