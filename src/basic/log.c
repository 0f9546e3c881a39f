/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "basic/buf.h"
#include "basic/log.h"
#include "basic/text.h"

#define RING_SLOTS 1024U            /* power of two */
#define RING_BYTES (1024U * 1024U)  /* of all entries in it */
#define FIELDS_MAX 40U
#define MESSAGE_MAX 2000U
#define VALUE_MAX 4000U

/* One entry: the fields "NAME=value" one behind another, sizes[i] bytes each. */
typedef struct Entry {
        size_t n;
        size_t bytes;
        uint32_t sizes[FIELDS_MAX];
        char data[];
} Entry;

static const char *log_identifier = "postd";
static int log_max_level = LOG_INFO;

static struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        pthread_t thread;
        bool running, stop, sending;
        Entry *slots[RING_SLOTS];
        size_t head, tail, bytes; /* tail <= head; slots by modulo */
        uint64_t lost;
} ring = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static const char *const level_names[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

void log_setup(const char *identifier) {
        log_identifier = identifier;
}

void log_set_max_level(int level) {
        log_max_level = CLAMP(level, LOG_EMERG, LOG_DEBUG);
}

int log_get_max_level(void) {
        return log_max_level;
}

int log_level_from_string(const char *s) {
        for (size_t i = 0; i < ELEMENTSOF(level_names); i++)
                if (streq(level_names[i], s))
                        return i;
        return -EINVAL;
}

const char *log_level_to_string(int level) {
        return level >= 0 && (size_t) level < ELEMENTSOF(level_names) ? level_names[level] : NULL;
}

static void send_entry(const Entry *e) {
        struct iovec iov[FIELDS_MAX];
        const char *p = e->data;

        for (size_t i = 0; i < e->n; i++) {
                iov[i] = (struct iovec) { (void *) p, e->sizes[i] };
                p += e->sizes[i];
        }
        (void) sd_journal_sendv(iov, e->n);
}

static void send_losses(uint64_t lost) {
        (void) sd_journal_send("MESSAGE=%" PRIu64 " log entries were lost because the journal took none.", lost,
                               "MESSAGE_ID=" MESSAGE_LOST_ENTRIES, "PRIORITY=%i", LOG_WARNING,
                               "SYSLOG_IDENTIFIER=%s", log_identifier, "POSTD_COUNT=%" PRIu64, lost, NULL);
}

static void *ring_run(void *userdata _unused_) {
        pthread_mutex_lock(&ring.mutex);
        while (!ring.stop || ring.tail != ring.head) {
                if (ring.tail == ring.head) {
                        pthread_cond_wait(&ring.changed, &ring.mutex);
                        continue;
                }
                Entry *e = TAKE_PTR(ring.slots[ring.tail++ % RING_SLOTS]);
                uint64_t lost = ring.lost;
                ring.lost = 0;
                ring.bytes -= e->bytes;
                ring.sending = true;
                pthread_mutex_unlock(&ring.mutex);

                if (lost > 0)
                        send_losses(lost);
                send_entry(e);
                free(e);

                pthread_mutex_lock(&ring.mutex);
                ring.sending = false;
                if (ring.tail == ring.head)
                        pthread_cond_broadcast(&ring.changed);
        }
        pthread_mutex_unlock(&ring.mutex);
        return NULL;
}

/* Is stderr the stream that systemd connected to the journal? */
static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        if (!e || sscanf(e, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &st) < 0)
                return false;
        return st.st_dev == (dev_t) device && st.st_ino == (ino_t) inode;
}

int log_open(void) {
        sigset_t all, old;
        int r;

        const char *level = getenv("SYSTEMD_LOG_LEVEL");
        if (level && log_level_from_string(level) >= 0)
                log_set_max_level(log_level_from_string(level));

        if (ring.running || !stderr_is_journal())
                return 0;

        /* Signals belong to the main thread. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pthread_attr_t attr;
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, 128 * 1024);
        r = pthread_create(&ring.thread, &attr, ring_run, NULL);
        pthread_attr_destroy(&attr);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (r != 0)
                return -r;
        ring.running = true;
        return 0;
}

void log_close(void) {
        struct timespec deadline;
        bool drained;

        if (!ring.running)
                return;

        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec++;

        pthread_mutex_lock(&ring.mutex);
        ring.stop = true;
        pthread_cond_broadcast(&ring.changed);
        int r = 0;
        while ((ring.tail != ring.head || ring.sending) && r == 0)
                r = pthread_cond_timedwait(&ring.changed, &ring.mutex, &deadline);
        drained = ring.tail == ring.head && !ring.sending;
        pthread_mutex_unlock(&ring.mutex);

        /* A thread stuck in a send ends with the process. */
        if (drained)
                pthread_join(ring.thread, NULL);
        else
                pthread_detach(ring.thread);
        ring.running = false;
}

static void ring_put(Entry *e) {
        bool wake = false;

        pthread_mutex_lock(&ring.mutex);
        if (ring.head - ring.tail >= RING_SLOTS || ring.bytes + e->bytes > RING_BYTES) {
                ring.lost++;
                free(e);
        } else {
                ring.slots[ring.head++ % RING_SLOTS] = e;
                ring.bytes += e->bytes;
                wake = ring.head - ring.tail == 1 && !ring.sending;
        }
        pthread_mutex_unlock(&ring.mutex);
        /* Woken before that, the thread would sleep again for the mutex. */
        if (wake)
                pthread_cond_signal(&ring.changed);
}

static void add_field(Buf *b, Entry *sizes, const char *name, const char *value) {
        size_t before = b->size;

        if (sizes->n >= FIELDS_MAX)
                return;
        size_t n = strnlen(value, VALUE_MAX);
        if (buf_append_str(b, name) < 0 || buf_append(b, "=", 1) < 0 || buf_append(b, value, n) < 0) {
                b->size = before;
                return;
        }
        sizes->sizes[sizes->n++] = b->size - before;
}

static void log_to_journal(int level, const char *message_id, const LogField *fields, size_t n, const char *text) {
        _cleanup_buf_ Buf b = BUF_INIT;
        Entry sizes = {};
        char priority[4];

        (void) snprintf(priority, sizeof(priority), "%i", level);
        add_field(&b, &sizes, "MESSAGE", text);
        add_field(&b, &sizes, "PRIORITY", priority);
        add_field(&b, &sizes, "SYSLOG_IDENTIFIER", log_identifier);
        if (message_id)
                add_field(&b, &sizes, "MESSAGE_ID", message_id);
        for (size_t i = 0; i < n; i++)
                if (fields[i].value)
                        add_field(&b, &sizes, fields[i].name, fields[i].value);

        Entry *e = malloc(sizeof(Entry) + b.size);
        if (!e) {
                pthread_mutex_lock(&ring.mutex);
                ring.lost++;
                pthread_mutex_unlock(&ring.mutex);
                return;
        }
        *e = sizes;
        e->bytes = b.size;
        memcpy(e->data, b.data, b.size);
        ring_put(e);
}

static void log_text(int level, const char *message_id, const LogField *fields, size_t n, const char *raw) {
        _cleanup_free_ char *text = text_sanitize(raw, MESSAGE_MAX);

        if (!text)
                return;
        if (ring.running)
                log_to_journal(level, message_id, fields, n, text);
        else if (stderr_is_journal()) /* the prefix keeps the level */
                fprintf(stderr, "<%i>%s\n", level, text);
        else
                fprintf(stderr, "%s: %s\n", log_identifier, text);
}

int log_full_errno(int level, int error, const char *format, ...) {
        _cleanup_free_ char *raw = NULL;
        PROTECT_ERRNO;
        va_list ap;

        error = error < 0 ? -error : error;
        if (level > log_max_level)
                return -error;

        errno = error;
        va_start(ap, format);
        int r = vasprintf(&raw, format, ap);
        va_end(ap);
        if (r < 0) {
                raw = NULL;
                return -error;
        }

        char code[16];
        (void) snprintf(code, sizeof(code), "%i", error);
        LogField fields[] = { { "ERRNO", error ? code : NULL } };
        log_text(level, NULL, fields, ELEMENTSOF(fields), raw);
        return -error;
}

void log_event_full(int level, const char *message_id, const LogField *fields, size_t n, const char *format, ...) {
        _cleanup_free_ char *raw = NULL;
        PROTECT_ERRNO;
        va_list ap;

        if (level > log_max_level)
                return;
        va_start(ap, format);
        int r = vasprintf(&raw, format, ap);
        va_end(ap);
        if (r < 0) {
                raw = NULL;
                return;
        }
        log_text(level, message_id, fields, n, raw);
}

void log_config_report(int level, const char *line, void *userdata _unused_) {
        LogField fields[] = { { "POSTD_REASON", line } };

        if (level <= LOG_ERR)
                log_event(level, MESSAGE_CONFIG_ERROR, fields, "%s", line);
        else
                (void) log_errno(level, 0, "%s", line);
}
