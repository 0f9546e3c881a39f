/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Measures the spool, and loads it for test/powercut. Built, not installed, not run as a test.
 *
 *   bench-spool create DIR THREADS SECONDS [BYTES]   messages made durable per second, CPU time for each
 *   bench-spool life DIR THREADS SECONDS [BYTES]     the same for created, read out, marked delivered, finished
 *   bench-spool fill DIR N                           N messages as fast as possible
 *   bench-spool scan DIR                             recovery of what is there
 *   bench-spool load DIR JOURNAL THREADS             works until it fails or is told to end; what was acknowledged
 *                                                    is a line in JOURNAL (on another disk)
 *   bench-spool check DIR JOURNAL                    recovers the spool and compares it with the journal
 *   bench-spool full DIR                             fills the (small) disk, and brings every message to its end
 *
 * The content of a message is made from its id, so that check knows what it must be. */

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/map.h"
#include "basic/usec.h"
#include "spool/store-internal.h"

#define THREADS_MAX 256U
#define LIVE_MAX 40U
#define PREFIX "Received: by bench-spool\r\n"

static Store *store;
static size_t arg_bytes = 4096;
static usec_t arg_end = USEC_INFINITY;
static int journal = -EBADF;
static atomic_bool stop;
static atomic_size_t n_done;

static uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static void fill(const QueueId *id, uint8_t *p, size_t n) {
        uint64_t state = 1;

        for (size_t i = 0; i < QUEUE_ID_LENGTH; i++)
                state = state * 131 + (uint8_t) id->s[i];
        for (size_t i = 0; i < n; i += 8) {
                uint64_t r = next_random(&state);
                memcpy(p + i, &r, MIN(n - i, (size_t) 8));
        }
}

static int die(const char *what, int r) {
        fprintf(stderr, "%s: %s\n", what, strerror(-r));
        return r;
}

/* An operation that ends while the file system is being shut down may report success for what no longer reaches the
 * disk (XFS does). With a real cut nobody would have heard of it, so it counts only if the disk is there afterwards. */
static bool disk_is_there(void) {
        return fsync(store->lock_fd) >= 0;
}

static void note(const char *format, ...) _printf_(1, 2);
static void note(const char *format, ...) {
        char line[128];
        va_list ap;

        va_start(ap, format);
        int n = vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        if (journal >= 0 && disk_is_there() && write(journal, line, n) != n)
                abort();
}

/* One message with its content; *content is a memfd that is used again and again. */
static int create(int content, uint8_t *buffer, size_t size, size_t n_recipients, QueuedMessage *ret) {
        _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT;
        char address[64];
        QueueId id;
        int r;

        r = queue_id_new(now_usec(CLOCK_REALTIME), &id);
        if (r < 0)
                return r;
        if (journal >= 0) {
                fill(&id, buffer, size);
                r = pwrite_full(content, buffer, size, 0);
                if (r < 0)
                        return r;
        }
        memcpy(e.token.bytes, id.s, 16);
        e.arrival = now_usec(CLOCK_REALTIME);
        e.origin.listener = strdup("smtp");
        e.origin.protocol = strdup("ESMTP");
        e.origin.helo = strdup("client.example.org");
        e.origin.peer_address = strdup("192.0.2.1");
        e.sender = strdup("sender@example.org");
        for (size_t i = 0; i < n_recipients; i++) {
                (void) snprintf(address, sizeof(address), "user%zu@example.net", i);
                r = envelope_add_recipient(&e, address, NULL, 0);
                if (r < 0)
                        return r;
        }
        note("begin %s %zu\n", id.s, size);
        r = store_create(store, &id, &e, PREFIX, strlen(PREFIX), content, size, ret);
        if (r >= 0)
                note("create %s %zu\n", id.s, size);
        return r;
}

static int deliver(QueuedMessage *m, uint32_t index, bool sync) {
        Record record = { .type = RECORD_ATTEMPT, .index = index, .state = RECIPIENT_DELIVERED, .tries = 1,
                          .status = STATUS(2, 1, 5), .reply = "250 2.0.0 delivered to mailbox" };
        return store_append(store, m, &record, 1, sync);
}

static int live_through(QueuedMessage *m) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = store_open_content(store, m, &fd);
        if (r < 0)
                return r;
        r = deliver(m, 0, false);
        if (r < 0)
                return r;
        return store_finish(store, &(StoreFinished) { m->id, m->envelope.token }, 1);
}

static void *bench_thread(void *userdata) {
        bool whole_life = userdata;
        _cleanup_free_ uint8_t *buffer = calloc(1, arg_bytes + 8);
        _cleanup_close_ int content = memfd_new("bench");
        int r = write_full(content, buffer, arg_bytes);

        while (r >= 0 && !stop && now_usec(CLOCK_BOOTTIME) < arg_end) {
                _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
                r = create(content, buffer, arg_bytes, 1, &m);
                if (r >= 0 && whole_life)
                        r = live_through(&m);
                n_done++;
        }
        if (r < 0)
                (void) die("bench", r);
        return NULL;
}

static usec_t cpu_time(void) {
        struct rusage u;
        (void) getrusage(RUSAGE_SELF, &u);
        return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * USEC_PER_SEC + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void run_threads(unsigned n, void *(*f)(void *), void *userdata) {
        pthread_t threads[THREADS_MAX];

        n = MIN(n, THREADS_MAX);
        for (unsigned i = 0; i < n; i++)
                if (pthread_create(threads + i, NULL, f, userdata) != 0)
                        abort();
        for (unsigned i = 0; i < n; i++)
                (void) pthread_join(threads[i], NULL);
}

static int bench(unsigned threads, unsigned seconds, bool whole_life) {
        usec_t begin = now_usec(CLOCK_BOOTTIME), cpu = cpu_time();

        arg_end = begin + seconds * USEC_PER_SEC;
        run_threads(threads, bench_thread, whole_life ? &stop : NULL);
        usec_t took = now_usec(CLOCK_BOOTTIME) - begin;
        printf("%3u threads: %6.0f messages/s, %5.1f us CPU each\n", threads, (double) n_done * USEC_PER_SEC / took,
               (double) (cpu_time() - cpu) / n_done);
        return 0;
}

static atomic_size_t n_wanted;

static void *fill_thread(_unused_ void *userdata) {
        _cleanup_free_ uint8_t *buffer = calloc(1, arg_bytes + 8);
        _cleanup_close_ int content = memfd_new("bench");
        int r = write_full(content, buffer, arg_bytes);

        while (r >= 0 && n_done++ < n_wanted)
                r = create(content, buffer, arg_bytes, 1, NULL);
        if (r < 0)
                (void) die("fill", r);
        return NULL;
}

static int on_found(const QueueId *id, _unused_ void *userdata) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        n_done++;
        return store_read(store, id, &m);
}

static void on_damaged(const char *name, int error, const char *action, _unused_ void *userdata) {
        printf("%s: %s: %s\n", name, action, strerror(-error));
}

static int scan(void) {
        usec_t begin = now_usec(CLOCK_BOOTTIME);
        int r = store_scan(store, &(StoreScan) { .found = on_found, .damaged = on_damaged });
        printf("%zu messages in %.3f s\n", n_done, (double) (now_usec(CLOCK_BOOTTIME) - begin) / USEC_PER_SEC);
        return r;
}

/* Load for power cuts. */

typedef struct Live {
        QueuedMessage messages[LIVE_MAX];
        size_t n;
} Live;

static int one_append(QueuedMessage *m, uint64_t random) {
        uint32_t index = random % m->n_recipients;
        int r;

        if (m->recipients[index].state != RECIPIENT_PENDING)
                return 0;
        if (random >> 32 & 1) {
                Record record = { .type = RECORD_ATTEMPT, .index = index, .tries = m->recipients[index].tries + 1,
                                  .status = STATUS(4, 2, 1), .reply = "451 4.2.1 try again some other time please" };
                return store_append(store, m, &record, 1, random >> 33 & 1);
        }
        r = deliver(m, index, true);
        if (r >= 0)
                note("deliver %s %" PRIu32 "\n", m->id.s, index);
        return r;
}

static int finish_some(Live *live, size_t n) {
        StoreFinished batch[LIVE_MAX];
        int r;

        n = MIN(n, live->n);
        for (size_t i = 0; i < n; i++) {
                batch[i] = (StoreFinished) { live->messages[i].id, live->messages[i].envelope.token };
                note("ending %s 0\n", batch[i].id.s);
        }
        r = store_finish(store, batch, n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                note("finish %s 0\n", batch[i].id.s);
                queued_message_done(live->messages + i);
        }
        memmove(live->messages, live->messages + n, (live->n - n) * sizeof(*live->messages));
        live->n -= n;
        return 0;
}

static void *load_thread(_unused_ void *userdata) {
        static const size_t sizes[] = { 100, 1000, 3000, 4096, 6000, 12000, 40000, 300000 };
        _cleanup_free_ uint8_t *buffer = calloc(1, 300000 + 8);
        _cleanup_close_ int content = memfd_new("bench");
        uint64_t random = now_usec(CLOCK_MONOTONIC) ^ (uint64_t) (uintptr_t) buffer;
        Live live = {};
        int r = 0;

        while (r >= 0 && !stop) {
                uint64_t dice = next_random(&random) >> 8;
                if (live.n == LIVE_MAX)
                        r = finish_some(&live, 1 + dice % LIVE_MAX);
                else if (dice % 3 > 0 || live.n == 0) {
                        r = create(content, buffer, sizes[(dice >> 16) % ELEMENTSOF(sizes)], 1 + (dice >> 32) % 5, live.messages + live.n);
                        live.n += r >= 0;
                } else
                        r = one_append(live.messages + (dice >> 16) % live.n, next_random(&random) >> 8);
                n_done++;
        }
        if (r < 0 && !IN_SET(r, -EIO, -EROFS, -EUCLEAN)) /* what cut-off file systems say */
                (void) die("load", r);
        for (size_t i = 0; i < live.n; i++)
                queued_message_done(live.messages + i);
        return NULL;
}

static void on_signal(_unused_ int sig) {
        stop = true;
}

/* The check. */

typedef struct Expected {
        char id[QUEUE_ID_LENGTH + 1];
        size_t size;
        bool created, ending, finished, delivered[5];
        bool found;
} Expected;

typedef struct Check {
        Map map;
        Expected *entries;
        size_t n, allocated, n_created, n_finished, n_delivered;
        size_t n_found, n_unacknowledged, n_discarded, n_torn, n_bad;
} Check;

static int read_journal(const char *path, Check *c) {
        char line[128], verb[16], id[32];
        size_t number;
        FILE *f = fopen(path, "re");

        if (!f)
                return negative_errno();
        while (fgets(line, sizeof(line), f)) {
                if (sscanf(line, "%15s %31s %zu", verb, id, &number) != 3 || strlen(id) != QUEUE_ID_LENGTH)
                        continue;
                Expected *e = map_get(&c->map, id);
                if (!e) {
                        e = new0(Expected, 1);
                        memcpy(e->id, id, sizeof(e->id));
                        if (map_put(&c->map, e->id, e) < 0)
                                abort();
                }
                if (streq(verb, "begin"))
                        e->size = number;
                else if (streq(verb, "create"))
                        e->created = true, c->n_created++;
                else if (streq(verb, "ending"))
                        e->ending = true;
                else if (streq(verb, "finish"))
                        e->finished = true, c->n_finished++;
                else if (streq(verb, "deliver") && number < ELEMENTSOF(e->delivered))
                        e->delivered[number] = true, c->n_delivered++;
        }
        (void) fclose(f);
        return 0;
}

static void bad(Check *c, const char *id, const char *what, int r) {
        printf("BAD %s: %s%s%s\n", id, what, r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
        c->n_bad++;
}

static bool content_is_right(const QueuedMessage *m, size_t size, int *ret_error) {
        _cleanup_close_ int fd = -EBADF;
        size_t prefix = strlen(PREFIX);

        *ret_error = store_open_content(store, m, &fd);
        if (*ret_error < 0)
                return false;
        _cleanup_free_ uint8_t *p = malloc(size + prefix + 8), *q = malloc(size + 8);
        fill(&m->id, q, size);
        return pread_full(fd, p, size + prefix + 1, 0) == (ssize_t) (size + prefix) && memcmp(p, PREFIX, prefix) == 0 &&
                memcmp(p + prefix, q, size) == 0;
}

static int check_found(const QueueId *id, void *userdata) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        Check *c = userdata;
        Expected *e = map_get(&c->map, id->s);
        int r;

        c->n_found++;
        r = store_read(store, id, &m);
        if (r < 0 || !e) {
                bad(c, id->s, r < 0 ? "cannot be read" : "never began", r);
                return 0;
        }
        e->found = true;
        c->n_unacknowledged += !e->created;
        if (e->finished)
                bad(c, id->s, "is finished and would be delivered again", 0);
        if (!content_is_right(&m, e->size, &r)) {
                /* Not acknowledged and seen to be torn: nobody gets it. */
                if (!e->created && r == -EBADMSG)
                        c->n_torn++;
                else
                        bad(c, id->s, "has the wrong content", r);
        }
        if (m.log_damaged)
                bad(c, id->s, "has a damaged log", 0);
        for (size_t i = 0; i < ELEMENTSOF(e->delivered); i++)
                if (e->delivered[i] && (i >= m.n_recipients || m.recipients[i].state != RECIPIENT_DELIVERED))
                        bad(c, id->s, "has lost a result", 0);
        return 0;
}

static void check_damaged(const char *name, int error, const char *action, void *userdata) {
        Check *c = userdata;
        Expected *e = map_get(&c->map, name);

        if (e && !e->created && error == -EUCLEAN)
                c->n_discarded++;
        else if (e && !e->created && error == -EBADMSG) {
                printf("%s: %s, not acknowledged\n", name, action);
                c->n_torn++;
        } else
                bad(c, name, action, error);
}

static int check(const char *path) {
        Check c = {};
        Expected *e;
        int r;

        r = read_journal(path, &c);
        if (r < 0)
                return die(path, r);
        r = store_scan(store, &(StoreScan) { .found = check_found, .damaged = check_damaged, .userdata = &c });
        if (r < 0)
                return die("scan", r);
        MAP_FOREACH(e, &c.map)
                if (e->created && !e->ending && !e->found)
                        bad(&c, e->id, "is lost", 0);
        printf("acknowledged: %zu created, %zu results, %zu finished; found %zu, of these not acknowledged %zu; discarded %zu, torn %zu; bad %zu\n",
               c.n_created, c.n_delivered, c.n_finished, c.n_found, c.n_unacknowledged, c.n_discarded, c.n_torn, c.n_bad);
        return c.n_bad > 0 ? -EBADMSG : 0;
}

/* A full disk. */

#define FULL_MAX 100000U

/* Until there is no room for a message. Then other things take what is left. */
static int fill_up(QueuedMessage *messages, size_t *n) {
        static const uint8_t buffer[60000];
        _cleanup_close_ int content = memfd_new("bench");
        int r = write_full(content, buffer, sizeof(buffer)), fd;

        while (r >= 0 && *n < FULL_MAX) {
                r = create(content, NULL, *n % 3 ? sizeof(buffer) : 2000, 1 + *n % 20, messages + *n);
                *n += r >= 0;
        }
        if (r != -ENOSPC)
                return r < 0 ? r : -EFBIG;
        fd = openat(store->fd, "ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        for (uint64_t at = 0; pwrite(fd, buffer, 1, at) == 1; at += SPOOL_BLOCK)
                ;
        (void) fsync(fd);
        safe_close(fd);
        return 0;
}

static int full(void) {
        _cleanup_free_ QueuedMessage *messages = new0(QueuedMessage, FULL_MAX);
        size_t n = 0, n_refused = 0, n_results = 0;
        int r;

        r = fill_up(messages, &n);
        if (r < 0)
                return die("fill", r);
        /* Deferrals are refused before they take the room of results. */
        for (int round = 0; round < 20; round++)
                for (size_t i = 0; i < n; i += 7) {
                        Record later = { .type = RECORD_ATTEMPT, .tries = 1, .reply = "451 4.2.1 try again some other time please" };
                        r = store_append(store, messages + i, &later, 1, false);
                        if (r < 0 && r != -ENOSPC)
                                return die("defer", r);
                        n_refused += r < 0;
                }
        for (size_t i = 0; i < n; i++)
                for (uint32_t k = 0; k < messages[i].n_recipients; k++, n_results++) {
                        r = deliver(messages + i, k, k == 0);
                        if (r < 0)
                                return die("result", r);
                }
        for (size_t i = 0; i < n; i++) {
                r = store_finish(store, &(StoreFinished) { messages[i].id, messages[i].envelope.token }, 1);
                if (r < 0)
                        return die("finish", r);
                queued_message_done(messages + i);
        }
        printf("%zu messages filled the disk; %zu deferrals refused, %zu results written, all finished\n", n, n_refused, n_results);
        return n_refused > 0 ? 0 : -ENOTRECOVERABLE;
}

static int run(int argc, char *argv[]) {
        const char *verb = argv[1];
        int r;

        r = store_open(argv[2], 0, &store);
        if (r < 0)
                return die(argv[2], r);
        if ((streq(verb, "create") || streq(verb, "life")) && argc >= 5) {
                if (argc > 5)
                        arg_bytes = atol(argv[5]);
                return bench(atoi(argv[3]), atoi(argv[4]), streq(verb, "life"));
        }
        if (streq(verb, "fill") && argc == 4) {
                n_wanted = atol(argv[3]);
                run_threads(32, fill_thread, NULL);
                return 0;
        }
        if (streq(verb, "scan"))
                return scan();
        if (streq(verb, "full"))
                return full();
        if (streq(verb, "check") && argc == 4)
                return check(argv[3]);
        if (streq(verb, "load") && argc == 5) {
                journal = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
                if (journal < 0)
                        return die(argv[3], negative_errno());
                (void) signal(SIGTERM, on_signal);
                run_threads(atoi(argv[4]), load_thread, NULL);
                return 0;
        }
        fprintf(stderr, "%s: see the head of bench-spool.c\n", verb);
        return -EINVAL;
}

int main(int argc, char *argv[]) {
        if (argc < 3) {
                fprintf(stderr, "Usage: bench-spool create|life|fill|scan|load|check|full DIR ...\n");
                return EXIT_FAILURE;
        }
        int r = run(argc, argv);
        store = store_close(store);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
