/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/text.h"
#include "envelope/queue-id.h"
#include "pickup/pickup-fair.h"
#include "pickup/pickup-file.h"
#include "pickup/pickup-manager.h"
#include "pickup/pickup-report.h"
#include "pickup/pickup-session.h"

/* A batch ends after this time, so that files which came meanwhile have their turn. */
#define BATCH_TIME (5 * USEC_PER_SEC)
#define SCAN_PAUSE (200 * USEC_PER_MSEC)
#define LINGER (10 * USEC_PER_SEC)
#define RETRY_MIN (1 * USEC_PER_SEC)
#define RETRY_MAX (60 * USEC_PER_SEC)
/* So many messages of a batch that are to come later: the queue takes nothing now. */
#define LATER_MAX 20U
/* What sendmail left half written under a dot name, when it is sure that nobody writes any more. */
#define UNFINISHED_AGE USEC_PER_DAY

volatile sig_atomic_t pickup_stop;

typedef struct Pickup {
        const Config *config;
        int dir_fd;
        int watch_fd;          /* inotify, or -EBADF: then only scans find new files */
        PickupSession session;
        Fair fair;
        unsigned failures;     /* batches in a row that came to nothing */
} Pickup;

static void pickup_done(Pickup *p) {
        pickup_session_close(&p->session);
        fair_done(&p->fair);
        safe_close(p->dir_fd);
        safe_close(p->watch_fd);
}

static int pickup_open(Pickup *p, const char *directory) {
        p->dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (p->dir_fd < 0)
                return negative_errno();
        p->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (p->watch_fd >= 0 && inotify_add_watch(p->watch_fd, directory, IN_CREATE | IN_MOVED_TO) < 0)
                p->watch_fd = safe_close(p->watch_fd);
        return 0;
}

static void remove_unfinished(Pickup *p, const char *name) {
        struct stat st;

        if (!startswith(name, ".new-") || fstatat(p->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                return;
        if (usec_add((usec_t) st.st_mtim.tv_sec * USEC_PER_SEC, UNFINISHED_AGE) < now_usec(CLOCK_REALTIME))
                (void) unlinkat(p->dir_fd, name, 0);
}

static DIR *closedir_wrapper(DIR *d) {
        if (d)
                closedir(d);
        return NULL;
}
DEFINE_TRIVIAL_CLEANUP_FUNC(DIR *, closedir_wrapper);

/* Fills the queue of names: 0 or -errno. */
static int scan(Pickup *p) {
        _cleanup_(closedir_wrapperp) DIR *d = NULL;
        _cleanup_close_ int fd = -EBADF;
        struct dirent *de;
        int r;

        fd = openat(p->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        d = fdopendir(fd);
        if (!d)
                return negative_errno();
        TAKE_FD(fd);

        while (!pickup_stop) {
                struct stat st;

                errno = 0;
                de = readdir(d);
                if (!de)
                        return errno > 0 ? negative_errno() : 0;
                if (de->d_name[0] == '.') {
                        remove_unfinished(p, de->d_name);
                        continue;
                }
                if (fstatat(p->dir_fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                r = fair_add(&p->fair, st.st_uid, de->d_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Renames an entry so that it is never looked at again, and says so. */
static void set_aside(Pickup *p, const char *name, uid_t uid, const char *reason) {
        char hidden[NAME_MAX + 1], owner[16];
        _cleanup_free_ char *shown_name = text_sanitize(name, 64), *shown_reason = text_sanitize(reason, 256);
        LogField fields[] = {
                { "POSTD_FILE", shown_name },
                { "POSTD_REASON", shown_reason },
                { "POSTD_ORIGIN_UID", owner },
        };

        /* Cutting a long name may hit one that exists; then that one goes. Neither is wanted. */
        (void) snprintf(hidden, sizeof(hidden), ".refused-%.*s", (int) (sizeof(hidden) - sizeof(".refused-")), name);
        (void) snprintf(owner, sizeof(owner), "%" PRIu32, (uint32_t) uid);
        if (renameat(p->dir_fd, name, p->dir_fd, hidden) < 0 && errno != ENOENT) {
                /* A directory of that name, say. Another name then. */
                (void) snprintf(hidden, sizeof(hidden), ".refused-%" PRIx64, now_usec(CLOCK_REALTIME));
                if (renameat(p->dir_fd, name, p->dir_fd, hidden) < 0)
                        log_error_errno(errno, "Cannot set aside %s in the offline directory: %m", strempty(shown_name));
        }
        log_event(LOG_WARNING, MESSAGE_PICKUP_REFUSED, fields, "%s of uid %s in the offline directory was refused: %s",
                  strempty(shown_name), owner, strempty(shown_reason));
}

/* The queue id stands somewhere in the reply to the data. */
static bool find_queue_id(const SmtpReply *reply, QueueId *ret) {
        for (const char *s = strempty(reply->text); *s;) {
                size_t n = strcspn(s, " \n");
                char word[QUEUE_ID_LENGTH + 1];

                if (n == QUEUE_ID_LENGTH) {
                        memcpy(word, s, n);
                        word[n] = 0;
                        if (queue_id_parse(word, ret) >= 0)
                                return true;
                }
                s += n + (s[n] != 0);
        }
        return false;
}

static void picked_up(Pickup *p, const char *name, const PickupFile *f, const QueueId *id) {
        _cleanup_free_ char *sender = text_sanitize(f->envelope.sender, 320);
        char owner[16], size[24], count[16];
        LogField fields[] = {
                { "POSTD_QUEUE_ID", id ? id->s : NULL },
                { "POSTD_SENDER", sender },
                { "POSTD_COUNT", count },
                { "POSTD_SIZE", size },
                { "POSTD_ORIGIN_UID", owner },
        };

        (void) snprintf(owner, sizeof(owner), "%" PRIu32, (uint32_t) f->uid);
        (void) snprintf(size, sizeof(size), "%" PRIu64, f->envelope.size);
        (void) snprintf(count, sizeof(count), "%zu", f->envelope.n_recipients);
        if (unlinkat(p->dir_fd, name, 0) < 0 && errno != ENOENT) {
                log_error_errno(errno, "Cannot remove an accepted message from the offline directory: %m");
                set_aside(p, name, f->uid, "accepted, but it cannot be removed");
        }
        log_event(LOG_INFO, MESSAGE_PICKED_UP, fields, "%s: picked up from <%s>, uid %s, for %s recipients, %s bytes",
                  id ? id->s : "a message", strempty(sender), owner, count, size);
}

/* Tells the sender, then lets go of the file. The same results as pickup_session_send(). */
static int finish_refused(Pickup *p, const char *name, const PickupFile *f, bool partly) {
        _cleanup_(pickup_report_done) PickupReport report = PICKUP_REPORT_INIT;
        const SmtpReply *reply = smtp_client_reply(p->session.client);
        _cleanup_free_ char *reason = strdup(p->session.refusal ?: strempty(reply->text));
        QueueId id;
        bool known = partly && find_queue_id(reply, &id);
        int r;

        if (!reason)
                return -ENOMEM;
        r = pickup_report_compose(p->config, &p->session, f, &report);
        if (r < 0)
                return r;
        if (r == 0) {
                r = pickup_session_send(&p->session, &report.envelope, UID_UNKNOWN, report.fd, 0, report.envelope.size);
                if (r < 0 || IN_SET(r, PICKUP_SESSION_E_LATER, PICKUP_SESSION_E_UNREACHABLE))
                        return r;
                if (r > 0)
                        log_warning("The report about a refused message of uid %" PRIu32 " was refused as well.", (uint32_t) f->uid);
        }
        if (partly)
                picked_up(p, name, f, known ? &id : NULL);
        else
                set_aside(p, name, f->uid, reason);
        return 0;
}

/* One file: 0 when it is dealt with, PICKUP_SESSION_E_LATER or _UNREACHABLE, -errno. */
static int handle(Pickup *p, const char *name, uid_t uid) {
        _cleanup_(pickup_file_done) PickupFile f = PICKUP_FILE_INIT;
        QueueId id;
        int r;

        r = pickup_file_open(p->dir_fd, name, &f);
        if (r == PICKUP_E_GONE)
                return 0;
        if (r > 0) {
                set_aside(p, name, f.uid != UID_UNKNOWN ? f.uid : uid, pickup_error_to_string(r));
                return 0;
        }
        if (r < 0)
                return r;

        r = pickup_session_send(&p->session, &f.envelope, f.uid, f.fd, f.offset, f.envelope.size);
        if (r == 0)
                picked_up(p, name, &f, find_queue_id(smtp_client_reply(p->session.client), &id) ? &id : NULL);
        else if (IN_SET(r, PICKUP_SESSION_E_PARTLY, PICKUP_SESSION_E_REFUSED))
                r = finish_refused(p, name, &f, r == PICKUP_SESSION_E_PARTLY);
        return r;
}

/* What the last scan found, as long as that makes sense: true if something was done and nothing speaks against going on. */
static bool batch(Pickup *p) {
        usec_t end = usec_add(now_usec(CLOCK_MONOTONIC), BATCH_TIME);
        unsigned done = 0, later = 0;
        int r = 0;

        while (!pickup_stop && later < LATER_MAX && now_usec(CLOCK_MONOTONIC) < end) {
                uid_t uid;
                _cleanup_free_ char *name = fair_next(&p->fair, &uid);

                if (!name)
                        break;
                r = handle(p, name, uid);
                if (r == 0) {
                        done++;
                        continue;
                }
                if (r < 0)
                        log_warning_errno(r, "Cannot take over a message of uid %" PRIu32 ", trying again: %m", (uint32_t) uid);
                if (r == PICKUP_SESSION_E_UNREACHABLE)
                        return false;
                later++;
        }
        return done > 0;
}

/* Waits, but not for somebody who wants us to stop. */
static void pause_for(usec_t t) {
        if (!pickup_stop)
                (void) poll(NULL, 0, (int) (t / USEC_PER_MSEC));
}

/* True if something new came within the time. */
static bool wait_for_files(Pickup *p, usec_t t) {
        struct pollfd w = { .fd = p->watch_fd, .events = POLLIN };
        char events[4096];
        bool any;

        if (p->watch_fd < 0 || pickup_stop)
                return false;
        any = poll(&w, 1, (int) (t / USEC_PER_MSEC)) > 0;
        while (read(p->watch_fd, events, sizeof(events)) > 0)
                ;
        return any;
}

static void report_trouble(Pickup *p) {
        if (p->failures++ == 3)
                log_warning("The queue takes no messages at the moment; what is in the offline directory waits.");
}

int pickup_run(const Config *config, const char *directory) {
        _cleanup_(pickup_done) Pickup p = {
                .config = config,
                .dir_fd = -EBADF,
                .watch_fd = -EBADF,
                .session = PICKUP_SESSION_INIT,
        };
        usec_t retry = RETRY_MIN;
        int r;

        r = pickup_open(&p, directory);
        if (r < 0)
                return log_error_errno(r, "Cannot open %s: %m", directory);
        while (!pickup_stop) {
                (void) wait_for_files(&p, 0); /* what came until now, the scan will find */
                fair_done(&p.fair);
                r = scan(&p);
                if (r < 0)
                        return log_error_errno(r, "Cannot read %s: %m", directory);
                if (p.fair.n == 0) {
                        pickup_session_close(&p.session);
                        if (!wait_for_files(&p, LINGER))
                                break;
                        pause_for(SCAN_PAUSE);
                        continue;
                }
                if (batch(&p)) {
                        p.failures = 0;
                        retry = RETRY_MIN;
                        continue;
                }
                pickup_session_close(&p.session);
                report_trouble(&p);
                pause_for(retry);
                retry = MIN(retry * 2, RETRY_MAX);
        }
        return 0;
}
