/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* smtp-load: many messages over many SMTP connections from one thread, for benchmarks.
 *
 * Prints one line of NAME=VALUE when all messages were answered or when nothing moves any more, and exits with 0 only if
 * every one was accepted. It never runs for ever: see --timeout. A message that is refused counts as failed and costs
 * its connection; after FAILURES_IN_A_ROW of them it gives up. Each answer is awaited before the next message starts, so
 * the time of a message is what a client sees: from MAIL to the reply to the final dot. */

#include <getopt.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/buf.h"
#include "basic/fd.h"
#include "basic/text.h"
#include "basic/usec.h"

#define FAILURES_IN_A_ROW 20
#define CONNECTIONS_MAX 10000

typedef enum Step {
        STEP_GREETING,
        STEP_EHLO,
        STEP_ENVELOPE, /* MAIL, RCPT, DATA */
        STEP_TEXT,
        STEP_QUIT,
} Step;

static const char *const envelope_commands[] = { "MAIL", "RCPT", "DATA" };

typedef struct Connection {
        int fd;
        Step step;
        Buf in;
        Buf out;
        size_t text_left;    /* of the message all connections share, to be sent after out */
        unsigned answered;   /* commands of the envelope */
        bool refused, pipelining, waits_for_room;
        uint64_t message;    /* number of the one under way */
        uint64_t n_messages; /* on this connection so far */
        usec_t begin;
} Connection;

typedef struct Load {
        const char *address;       /* a path or host:port */
        const char *from, *to;     /* a % in to stands for the number of the recipient */
        uint64_t n_messages, n_recipients, n_connections, per_connection, size, timeout;

        int epoll;
        Connection *connections;
        uint64_t n_open;
        Buf text;
        uint64_t n_started, n_accepted, n_failed, n_failed_in_a_row;
        uint32_t *times;           /* of the accepted, in microseconds */
        usec_t begin, last;        /* last: when the last answer came */
        char *first_failure;
} Load;

/* Lines of 78 characters, as in a mail. None begins with a dot or with "From ". */
static int make_text(Load *l) {
        static const char line[] = "All work and no play makes the queue a dull place; 0123456789 abcdefghijklmno\r\n";
        static const char header[] = "From: Load <load@localhost>\r\nTo: you@localhost\r\nSubject: a message of the load generator\r\n"
                                     "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n";
        int r = buf_append_str(&l->text, header);
        while (r >= 0 && l->text.size < l->size)
                r = buf_append_str(&l->text, line);
        if (r < 0)
                return r;
        return buf_append_str(&l->text, ".\r\n");
}

static int open_unix(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return negative_errno();
        if (strlen(path) >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        strcpy(sa.sun_path, path);
        if (connect(fd, (struct sockaddr *) &sa, sizeof(sa)) < 0)
                return negative_errno();
        return TAKE_FD(fd);
}

static int open_tcp(const char *address) {
        _cleanup_free_ char *host = strdup(address);
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *info;
        _cleanup_close_ int fd = -EBADF;
        char *port = host ? strrchr(host, ':') : NULL;

        if (!port)
                return -EINVAL;
        *port++ = 0;
        if (getaddrinfo(host, port, &hints, &info) != 0)
                return -EINVAL;
        fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r = fd < 0 || connect(fd, info->ai_addr, info->ai_addrlen) < 0 ? negative_errno() : 0;
        freeaddrinfo(info);
        if (r < 0)
                return r;
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int) { 1 }, sizeof(int));
        return TAKE_FD(fd);
}

static int connection_open(Load *l, Connection *c) {
        _cleanup_close_ int fd = l->address[0] == '/' ? open_unix(l->address) : open_tcp(l->address);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };

        if (fd < 0)
                return fd;
        int r = fd_set_nonblock(fd, true);
        if (r < 0)
                return r;
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                return negative_errno();
        buf_clear(&c->in);
        buf_clear(&c->out);
        *c = (Connection) { .fd = TAKE_FD(fd), .in = c->in, .out = c->out };
        l->n_open++;
        return 0;
}

static void connection_close(Load *l, Connection *c) {
        if (c->fd < 0)
                return;
        c->fd = safe_close(c->fd);
        l->n_open--;
}

static void failed(Load *l, const char *reply) {
        l->n_failed++;
        l->n_failed_in_a_row++;
        l->last = now_usec(CLOCK_MONOTONIC);
        if (!l->first_failure)
                l->first_failure = text_sanitize(reply, 200);
}

/* The connection ended, well or badly; the next takes its place as long as there is something to send. */
static int connection_ended(Load *l, Connection *c) {
        if (IN_SET(c->step, STEP_ENVELOPE, STEP_TEXT))
                failed(l, "the connection was closed");
        else if (c->step != STEP_QUIT) {
                l->n_started++;
                failed(l, "the connection was closed before a message");
        }
        connection_close(l, c);
        if (l->n_started >= l->n_messages)
                return 0;
        return connection_open(l, c);
}

/* 0: all gone, > 0: there is no room, < 0: the connection is dead */
static int connection_flush(Load *l, Connection *c) {
        struct epoll_event event = { .data.ptr = c };

        while (c->out.size > 0 || c->text_left > 0) {
                struct iovec pieces[] = {
                        { c->out.data, c->out.size },
                        { l->text.data + l->text.size - c->text_left, c->text_left },
                };
                ssize_t n = sendmsg(c->fd, &(struct msghdr) { .msg_iov = pieces, .msg_iovlen = 2 }, MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0)
                        return negative_errno();
                size_t first = MIN((size_t) n, c->out.size);
                buf_consume(&c->out, first);
                c->text_left -= n - first;
        }
        bool waits = c->out.size > 0 || c->text_left > 0;
        if (waits != c->waits_for_room) {
                c->waits_for_room = waits;
                event.events = EPOLLIN | (waits ? EPOLLOUT : 0);
                (void) epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event);
        }
        return waits;
}

static int append_command(Load *l, Connection *c, unsigned i) {
        switch (i) {
        case 0:
                return buf_appendf(&c->out, "MAIL FROM:<%s>\r\n", l->from);
        case 1: {
                const char *mark = strchr(l->to, '%');
                if (!mark)
                        return buf_appendf(&c->out, "RCPT TO:<%s>\r\n", l->to);
                return buf_appendf(&c->out, "RCPT TO:<%.*s%" PRIu64 "%s>\r\n", (int) (mark - l->to), l->to,
                                   c->message % l->n_recipients, mark + 1);
        }
        default:
                return buf_append_str(&c->out, "DATA\r\n");
        }
}

/* Starts a message, or says QUIT. */
static int connection_next(Load *l, Connection *c) {
        if (l->n_started >= l->n_messages || (l->per_connection > 0 && c->n_messages >= l->per_connection)) {
                c->step = STEP_QUIT;
                return buf_append_str(&c->out, "QUIT\r\n");
        }
        c->step = STEP_ENVELOPE;
        c->answered = 0;
        c->refused = false;
        c->message = l->n_started++;
        c->n_messages++;
        c->begin = now_usec(CLOCK_MONOTONIC);
        int r = 0;
        for (unsigned i = 0; i < (c->pipelining ? ELEMENTSOF(envelope_commands) : 1) && r >= 0; i++)
                r = append_command(l, c, i);
        return r;
}

static int envelope_answered(Load *l, Connection *c, const char *reply, bool positive) {
        c->answered++;
        if (!positive && !c->refused) {
                c->refused = true;
                failed(l, reply);
        }
        bool complete = c->answered == ELEMENTSOF(envelope_commands);
        if (c->refused && (complete || !c->pipelining)) {
                /* Whatever state the server is in now; where it wants the text nevertheless, closing ends that too. */
                c->step = STEP_QUIT;
                return reply[0] == '3' ? -ECONNRESET : buf_append_str(&c->out, "QUIT\r\n");
        }
        if (!complete)
                return c->pipelining ? 0 : append_command(l, c, c->answered);
        c->step = STEP_TEXT;
        c->text_left = l->text.size;
        return buf_appendf(&c->out, "Message-ID: <load.%u.%" PRIu64 "@localhost>\r\n", (unsigned) getpid(), c->message);
}

static int text_answered(Load *l, Connection *c, const char *reply, bool positive) {
        if (!positive) {
                failed(l, reply);
                c->step = STEP_QUIT;
                return buf_append_str(&c->out, "QUIT\r\n");
        }
        l->last = now_usec(CLOCK_MONOTONIC);
        l->times[l->n_accepted++] = MIN(l->last - c->begin, (usec_t) UINT32_MAX);
        l->n_failed_in_a_row = 0;
        return connection_next(l, c);
}

/* One line of a reply; < 0 ends the connection. */
static int line_arrived(Load *l, Connection *c, const char *line) {
        bool positive = IN_SET(line[0], '2', '3');

        if (c->step == STEP_EHLO && startswith(line, "250") && ascii_strncasecmp(line + 4, "PIPELINING", 10) == 0)
                c->pipelining = true;
        if (strlen(line) < 3 || line[3] == '-')
                return 0;
        switch (c->step) {
        case STEP_GREETING:
        case STEP_EHLO:
                if (!positive) {
                        l->n_started++;
                        failed(l, line);
                        c->step = STEP_QUIT;
                        return -ECONNRESET;
                }
                if (c->step == STEP_EHLO)
                        return connection_next(l, c);
                c->step = STEP_EHLO;
                return buf_append_str(&c->out, "EHLO localhost\r\n");
        case STEP_ENVELOPE:
                return envelope_answered(l, c, line, positive);
        case STEP_TEXT:
                return text_answered(l, c, line, positive);
        case STEP_QUIT:
        default:
                return -ECONNRESET;
        }
}

static int connection_read(Load *l, Connection *c) {
        char *end;
        int r = buf_reserve(&c->in, 4096);
        if (r < 0)
                return r;
        ssize_t n = recv(c->fd, c->in.data + c->in.size, 4096, 0);
        if (n < 0)
                return errno == EAGAIN ? 0 : negative_errno();
        if (n == 0)
                return -ECONNRESET;
        c->in.size += n;
        if (c->in.size > 65536)
                return -EMSGSIZE;
        while (c->in.size > 0 && (end = memchr(c->in.data, '\n', c->in.size))) {
                *end = 0;
                r = line_arrived(l, c, c->in.data);
                if (r < 0)
                        return r;
                buf_consume(&c->in, end + 1 - c->in.data);
        }
        return 0;
}

static int load_run(Load *l) {
        int r;

        l->begin = l->last = now_usec(CLOCK_MONOTONIC);
        for (uint64_t i = 0; i < l->n_connections; i++) {
                l->connections[i].fd = -EBADF;
                r = connection_open(l, &l->connections[i]);
                if (r < 0)
                        return r;
        }
        while (l->n_open > 0 && l->n_failed_in_a_row < FAILURES_IN_A_ROW) {
                struct epoll_event events[64];
                int n = epoll_wait(l->epoll, events, ELEMENTSOF(events), 1000);
                if (n < 0 && errno != EINTR)
                        return negative_errno();
                if (now_usec(CLOCK_MONOTONIC) - l->last > l->timeout)
                        return -ETIMEDOUT;
                for (int i = 0; i < n; i++) {
                        Connection *c = events[i].data.ptr;
                        r = events[i].events & ~EPOLLOUT ? connection_read(l, c) : 0;
                        if (r >= 0)
                                r = connection_flush(l, c);
                        if (r < 0)
                                r = connection_ended(l, c);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int compare_times(const void *a, const void *b) {
        uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
        return x < y ? -1 : x > y;
}

static void load_report(Load *l) {
        double seconds = (l->last - l->begin) / 1e6;
        uint64_t n = l->n_accepted;

        qsort(l->times, n, sizeof(l->times[0]), compare_times);
        printf("accepted=%" PRIu64 " failed=%" PRIu64 " seconds=%.3f rate=%.1f p50_ms=%.2f p99_ms=%.2f\n", n,
               l->n_messages - n, seconds, seconds > 0 ? n / seconds : 0, n > 0 ? l->times[n / 2] / 1e3 : 0,
               n > 0 ? l->times[n * 99 / 100] / 1e3 : 0);
        if (l->first_failure)
                fprintf(stderr, "smtp-load: the first that failed: %s\n", l->first_failure);
}

static int usage(void) {
        puts("usage: smtp-load [OPTION...] ADDRESS\n\n"
             "Sends messages by SMTP to ADDRESS: the path of a socket, or a numeric IP:PORT.\n\n"
             "  --messages=N         in all (1000)\n"
             "  --connections=N      at once (20)\n"
             "  --per-connection=N   messages per connection (0: as many as there are)\n"
             "  --size=BYTES         of a message (4096)\n"
             "  --from=ADDRESS       sender (load@localhost)\n"
             "  --to=ADDRESS         recipient (root@localhost); a % stands for 0, 1, 2 ... in turn\n"
             "  --recipients=K       how many different ones (1)\n"
             "  --timeout=SECONDS    ends when no message is answered for so long (60)");
        return 0;
}

static int parse_arguments(Load *l, int argc, char *argv[]) {
        static const struct option options[] = {
                { "messages", required_argument, NULL, 'm' },       { "connections", required_argument, NULL, 'c' },
                { "per-connection", required_argument, NULL, 'p' }, { "size", required_argument, NULL, 's' },
                { "from", required_argument, NULL, 'f' },           { "to", required_argument, NULL, 't' },
                { "recipients", required_argument, NULL, 'r' },     { "timeout", required_argument, NULL, 'x' },
                { "help", no_argument, NULL, 'h' },                 {},
        };
        int o, r = 0;

        while (r >= 0 && (o = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (o) {
                case 'm': r = parse_u64(optarg, 100000000, &l->n_messages); break;
                case 'c': r = parse_u64(optarg, CONNECTIONS_MAX, &l->n_connections); break;
                case 'p': r = parse_u64(optarg, UINT32_MAX, &l->per_connection); break;
                case 's': r = parse_u64(optarg, UINT32_MAX, &l->size); break;
                case 'f': l->from = optarg; break;
                case 't': l->to = optarg; break;
                case 'r': r = parse_u64(optarg, UINT32_MAX, &l->n_recipients); break;
                case 'x': r = parse_u64(optarg, 86400, &l->timeout); break;
                case 'h': exit(usage());
                default: r = -EINVAL;
                }
        if (r < 0 || optind != argc - 1 || l->n_messages == 0 || l->n_connections == 0 || l->n_recipients == 0)
                return -EINVAL;
        l->timeout *= USEC_PER_SEC;
        l->address = argv[optind];
        return 0;
}

int main(int argc, char *argv[]) {
        Load l = {
                .n_messages = 1000, .n_connections = 20, .n_recipients = 1, .size = 4096, .timeout = 60,
                .from = "load@localhost", .to = "root@localhost",
        };

        if (parse_arguments(&l, argc, argv) < 0) {
                fputs("smtp-load: bad arguments; --help shows what there is\n", stderr);
                return 2;
        }
        l.n_connections = MIN(l.n_connections, l.n_messages);
        l.epoll = epoll_create1(EPOLL_CLOEXEC);
        l.connections = new0(Connection, l.n_connections);
        l.times = new0(uint32_t, l.n_messages);
        if (l.epoll < 0 || !l.connections || !l.times || make_text(&l) < 0) {
                fputs("smtp-load: not enough memory\n", stderr);
                return 1;
        }
        int r = load_run(&l);
        if (r < 0)
                fprintf(stderr, "smtp-load: %s: %s\n", l.address, strerror(-r));
        load_report(&l);
        return r < 0 || l.n_accepted < l.n_messages;
}
