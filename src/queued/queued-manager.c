/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <systemd/sd-daemon.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "ipc/names.h"
#include "ipc/service.h"
#include "queued/queued-bus.h"
#include "queued/queued-dispatch.h"
#include "queued/queued-event.h"
#include "queued/queued-load.h"
#include "queued/queued-manager.h"
#include "queued/queued-pause.h"
#include "queued/queued-report.h"
#include "queued/queued-route.h"
#include "queued/queued-session.h"
#include "queued/queued-settle.h"
#include "queued/queued-submission.h"
#include "queued/queued-users.h"
#include "queued/queued-varlink.h"

#define POOL_THREADS 32U
#define READER_THREADS 4U
#define STATUS_USEC (3 * USEC_PER_SEC)
#define TRIM_USEC (20 * USEC_PER_SEC)
#define DRAIN_USEC (3 * USEC_PER_SEC)       /* at the end, for the results of what is being delivered */
#define DRAIN_LOOK_USEC (20 * USEC_PER_MSEC)

RetryClock manager_clock(void) {
        return (RetryClock) { .realtime = now_usec(CLOCK_REALTIME), .boottime = now_usec(CLOCK_BOOTTIME) };
}

RetryPolicy manager_retry_policy(const Manager *m) {
        return (RetryPolicy) { m->config->retry_min, m->config->retry_max, m->config->warn_after, m->config->expire_after };
}

const char *counter_to_string(Counter c) {
        static const char *const names[_COUNTER_MAX] = {
                [COUNTER_RECEIVED] = "received",   [COUNTER_REFUSED] = "refused",   [COUNTER_DELIVERED] = "delivered",
                [COUNTER_DEFERRED] = "deferred",   [COUNTER_FAILED] = "failed",     [COUNTER_EXPIRED] = "expired",
                [COUNTER_EXPANDED] = "expanded",   [COUNTER_REMOVED] = "removed",   [COUNTER_REPORTS] = "reports",
                [COUNTER_SESSIONS] = "sessions",   [COUNTER_DAMAGED] = "damaged",
        };
        return names[c];
}

/* Runs before the loop sleeps: starts what is due and sets the timer for what is next. */
static int on_dispatch(sd_event_source *s, void *userdata) {
        Manager *m = userdata;
        usec_t now;
        int r;

        r = sd_event_source_set_enabled(s, SD_EVENT_OFF);
        if (r < 0)
                return r;
        if (m->stopping || m->drain_until > 0)
                return 0;
        dispatch_due(m);

        now = now_usec(CLOCK_BOOTTIME);
        usec_t deadline = scheduler_deadline(m->scheduler, now);
        if (deadline == USEC_INFINITY)
                return sd_event_source_set_enabled(m->timer, SD_EVENT_OFF);
        r = sd_event_source_set_time(m->timer, MAX(deadline, now + 1));
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        manager_kick(userdata);
        return 0;
}

void manager_kick(Manager *m) {
        if (m->dispatch)
                (void) sd_event_source_set_enabled(m->dispatch, SD_EVENT_ONESHOT);
}

static void send_status(const Manager *m) {
        (void) sd_notifyf(false, "STATUS=%zu messages for %zu recipients%s%s%s", m->messages.size, m->n_recipients,
                          m->n_held > 0 ? ", some held" : "", m->pauses ? ", paused in part" : "",
                          m->config_error ? "; the configuration on disk has an error and is not used" : "");
}

static int on_trim(sd_event_source *s, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        (void) s;
        m->status_timer = sd_event_source_disable_unref(m->status_timer);
        if (m->n_in_flight == 0 && m->n_submitting == 0)
                (void) malloc_trim(0);
        return 0;
}

static int on_status(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        m->status_timer = sd_event_source_disable_unref(m->status_timer);
        send_status(m);
        bus_counters_changed(m);
        /* Once more when it has been quiet for a while: what a burst took goes back. */
        (void) sd_event_add_time_relative(m->event, &m->status_timer, CLOCK_BOOTTIME, TRIM_USEC, USEC_PER_SEC, on_trim, m);
        m->trimming = true;
        return 0;
}

void manager_status_changed(Manager *m) {
        if (m->stopping || (m->status_timer && !m->trimming))
                return;
        m->trimming = false;
        m->status_timer = sd_event_source_disable_unref(m->status_timer);
        (void) sd_event_add_time_relative(m->event, &m->status_timer, CLOCK_BOOTTIME, STATUS_USEC, USEC_PER_SEC, on_status, m);
}

void manager_take_message(Manager *manager, QueuedMessage *stored, int *content_fd) {
        RetryClock now = manager_clock();
        Message *m = NULL;
        int r;

        r = message_new(stored, &now, &m);
        if (r >= 0)
                r = message_register(manager, m);
        if (r >= 0 && manager->loader)
                r = loader_remember(manager->loader, &m->id);
        if (r < 0) {
                log_error_errno(r, "Message %s is safe on disk but waits for the next start: %m", stored->id.s);
                if (m && map_get(&manager->messages, m->id.s) == m)
                        message_unregister(manager, m);
                message_free(m);
                queued_message_done(stored);
                free(stored);
                return;
        }
        message_set_open(manager, m, stored, TAKE_FD(*content_fd));
        event_received(manager, m, &stored->envelope);

        /* Held open for the time of this function: an attempt may end at once. */
        m->n_users++;
        for (Recipient *i = m->recipients, *next; i; i = next) {
                next = i->next;
                route_recipient_begin(manager, i);
        }
        message_close(manager, m);
        manager_kick(manager);
}

static void report_config(int level, const char *line, void *userdata) {
        char **first = userdata;

        if (level <= LOG_ERR && !*first)
                *first = strdup(line);
        log_config_report(level, line, NULL);
}

static int on_sighup(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *userdata) {
        Manager *m = userdata;
        _cleanup_free_ char *error = NULL;
        Config *config = NULL;
        Router *router = NULL;
        int r;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec(CLOCK_MONOTONIC));
        r = config_load(NULL, report_config, &error, &config);
        if (r >= 0)
                r = router_new(config, &router);
        if (r < 0) {
                log_error_errno(r, "The configuration was not reloaded, the one before stays: %m");
                if (!error && asprintf(&error, "%s", strerror(-r)) < 0)
                        error = NULL;
                config_free(config);
                free_and_replace(m->config_error, error);
        } else {
                router_free(m->router);
                m->router = router;
                m->router_checked = 0;
                /* Paths and users of things that are open stay as they were started. */
                m->old_config = config_free(m->old_config);
                m->old_config = m->config;
                m->config = config;
                m->config_error = mfree(m->config_error);
                users_flush(m->users);
        }
        send_status(m);
        (void) sd_notify(false, "READY=1");
        manager_kick(m);
        return 0;
}

static int on_drain(sd_event_source *s, uint64_t usec, void *userdata);

/* What a session has delivered without being heard might be delivered again: no new deliveries, and the end when none is
 * under way. Meanwhile mail is accepted as ever. */
static int drain(Manager *m) {
        m->drain_timer = sd_event_source_disable_unref(m->drain_timer);
        if (m->n_in_flight > 0 && now_usec(CLOCK_BOOTTIME) < m->drain_until &&
            sd_event_add_time_relative(m->event, &m->drain_timer, CLOCK_BOOTTIME, DRAIN_LOOK_USEC, USEC_PER_MSEC, on_drain, m) >= 0)
                return 0;
        m->stopping = true;
        return sd_event_exit(m->event, 0);
}

static int on_drain(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        return drain(userdata);
}

static int on_stop(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *userdata) {
        Manager *m = userdata;

        if (m->drain_until == 0)
                m->drain_until = now_usec(CLOCK_BOOTTIME) + DRAIN_USEC;
        return drain(m);
}

int manager_new(Config *config, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = new0(Manager, 1);
        uint64_t seed;
        int r;

        if (!m)
                return -ENOMEM;
        m->config = config;
        if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
                return negative_errno();
        r = service_event_new(&m->event);
        if (r >= 0)
                r = router_new(config, &m->router);
        if (r >= 0)
                r = pool_new(m->event, POOL_THREADS, &m->pool);
        if (r >= 0)
                r = pool_new(m->event, READER_THREADS, &m->readers);
        if (r >= 0)
                r = scheduler_new(&(SchedulePolicy) { .concurrency = 1, .concurrency_total = config->sessions_max,
                                                      .backoff_min = 15 * USEC_PER_SEC, .backoff_max = USEC_PER_HOUR },
                                  seed, &m->scheduler);
        if (r >= 0)
                r = users_new(m, &m->users);
        if (r >= 0)
                r = sessions_new(m, &m->sessions);
        if (r >= 0)
                r = reports_new(m, &m->reports);
        if (r >= 0)
                r = sd_event_add_defer(m->event, &m->dispatch, on_dispatch, m);
        if (r >= 0)
                r = sd_event_add_defer(m->event, &m->settle, settle_pending, m);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->settle, SD_EVENT_OFF);
        if (r >= 0) /* behind everything else that the loop has to do */
                r = sd_event_source_set_priority(m->dispatch, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->timer, CLOCK_BOOTTIME, 0, USEC_PER_SEC / 10, on_timer, m);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_sighup, m);
        if (r >= 0) {
                (void) sd_event_set_signal_exit(m->event, false);
                r = sd_event_add_signal(m->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, on_stop, m);
        }
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_stop, m);
        if (r < 0) {
                m->config = NULL; /* stays the caller's */
                return r;
        }
        *ret = TAKE_PTR(m);
        return 0;
}

static int take_fd(int fd, const char *name, void *userdata) {
        Manager *m = userdata;
        const char *listener;

        if (streq(name, POSTD_FD_QUEUE) && !m->queue_server)
                return queue_listen(m, fd);
        listener = startswith(name, POSTD_FD_SUBMISSION_PREFIX);
        if (listener && *listener)
                return submission_listen(m, fd, listener);
        log_warning("Got a descriptor named %s, which is not known, ignoring.", name);
        safe_close(fd);
        return 0;
}

int manager_start(Manager *m) {
        int r;

        r = store_open(m->config->spool, 0, &m->store);
        if (r < 0)
                return log_error_errno(r, "Cannot open the spool %s: %m%s", m->config->spool,
                                       r == -EBUSY ? ". Another process uses it." : "");
        r = pauses_load(m);
        if (r < 0)
                log_warning_errno(r, "Cannot read what was paused, going on with nothing paused: %m");
        r = service_listen_fds(take_fd, m);
        if (r < 0)
                return log_error_errno(r, "Cannot use the sockets that systemd passed: %m");
        if (r == 0)
                return log_error_errno(EINVAL, "No sockets were passed. This program is started by systemd: systemctl start postd-queued.service");
        r = loader_start(m);
        if (r < 0)
                return log_error_errno(r, "Cannot begin to read the spool: %m");
        (void) bus_start(m);
        (void) sd_notify(false, "READY=1");
        manager_status_changed(m);
        return 0;
}

int manager_run(Manager *m) {
        int r = service_run(m->event, USEC_INFINITY, NULL, NULL);

        /* What is being written is finished and answered; the rest is found again at the next start. */
        m->stopping = true;
        (void) settle_pending(NULL, m);
        if (m->loader)
                loader_stop(m->loader);
        return r;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;

        m->stopping = true;
        m->dispatch = sd_event_source_disable_unref(m->dispatch);
        m->settle = sd_event_source_disable_unref(m->settle);
        m->drain_timer = sd_event_source_disable_unref(m->drain_timer);
        m->readers = pool_free(m->readers);
        m->pool = pool_free(m->pool);
        m->loader = loader_free(m->loader);
        m->sessions = sessions_free(m->sessions);
        m->reports = reports_free(m->reports);
        m->users = users_free(m->users);
        queue_done(m);
        submission_done(m);
        m->bus = bus_free(m->bus);
        for (;;) {
                size_t i = 0;
                Message *message = map_iterate(&m->messages, &i);
                if (!message)
                        break;
                message_unregister(m, message);
                message_free(message);
        }
        map_done(&m->messages);
        scheduler_free(m->scheduler);
        store_close(m->store);
        pauses_free(m);
        router_free(m->router);

        sd_event_source_disable_unref(m->timer);
        sd_event_source_disable_unref(m->status_timer);
        config_free(m->old_config);
        config_free(m->config);
        free(m->config_error);
        sd_event_unref(m->event);
        return mfree(m);
}
