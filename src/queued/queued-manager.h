/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The queue manager's one object. What belongs to a part is declared in that part's header; everything runs in the
 * thread of the event loop but what queued-store.h hands to the pool. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <systemd/sd-varlink.h>

#include "basic/map.h"
#include "basic/pool.h"
#include "config/config.h"
#include "queued/queued-message.h"
#include "route/route.h"
#include "schedule/retry.h"
#include "schedule/schedule.h"
#include "spool/store.h"

typedef struct Users Users;
typedef struct Sessions Sessions;
typedef struct Reports Reports;
typedef struct Loader Loader;
typedef struct Bus Bus;
typedef struct Submission Submission;
typedef struct Pause Pause;
typedef struct Subscriber Subscriber;
typedef struct Listener Listener;
typedef struct List List;

typedef enum Counter {
        COUNTER_RECEIVED,
        COUNTER_REFUSED,
        COUNTER_DELIVERED,
        COUNTER_DEFERRED,
        COUNTER_FAILED,
        COUNTER_EXPIRED,
        COUNTER_EXPANDED,
        COUNTER_REMOVED,
        COUNTER_REPORTS,
        COUNTER_SESSIONS,
        COUNTER_DAMAGED,
        _COUNTER_MAX,
} Counter;

typedef struct Manager {
        sd_event *event;
        Config *config, *old_config;
        char *config_error;          /* why the last reload was refused, NULL: it was not */
        Router *router;
        usec_t router_checked;       /* when the alias file was last looked at */
        Store *store;
        Pool *pool;                  /* messages: written, read, finished */
        Pool *readers;               /* what callers ask for, which keeps no mail waiting */

        Map messages;                /* by id */
        size_t n_held, n_recipients, n_in_flight, n_open;
        Scheduler *scheduler;
        sd_event_source *dispatch;   /* runs the scheduler soon: a deferred source */
        sd_event_source *timer;      /* and when the next recipient falls due */

        struct Submission *submitting; /* being written */
        size_t n_submitting;
        uint64_t free_bytes;         /* of the spool, looked up at free_checked */
        usec_t free_checked;

        Message *settling;           /* have outcomes to be looked at before the loop goes on */
        sd_event_source *settle;
        Message *finished;           /* to be ended on disk with the next batch */
        struct FinishBatch *finishing;

        Users *users;
        Sessions *sessions;
        Reports *reports;
        Loader *loader;              /* NULL once the spool was read */
        Bus *bus;
        Pause *pauses;
        Subscriber *subscribers;
        List *lists;                 /* being answered */
        size_t n_explanations;

        sd_varlink_server *queue_server;
        Listener **listeners;        /* of submissions */
        size_t n_listeners;

        sd_event_source *status_timer;
        sd_event_source *drain_timer;
        usec_t drain_until;          /* CLOCK_BOOTTIME; 0: not asked to stop */
        bool settle_timer_armed, trimming;
        uint64_t counters[_COUNTER_MAX];
        bool stopping;
} Manager;

int manager_new(Config *config, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Manager *, manager_free);

/* Takes the sockets, opens the spool, starts to read it, tells systemd that it is ready. */
int manager_start(Manager *m);
int manager_run(Manager *m);

/* Something may have fallen due: looks at the scheduler before the loop sleeps again. */
void manager_kick(Manager *m);

/* The counts in the status line of systemctl have changed. */
void manager_status_changed(Manager *m);

const char *counter_to_string(Counter c);

/* A message that has just become durable: registers it and begins its first attempts. Takes over *stored (also on
 * failure) and *content_fd. Without memory the message waits on disk for the next start. */
void manager_take_message(Manager *m, QueuedMessage *stored, int *content_fd);

RetryClock manager_clock(void);
RetryPolicy manager_retry_policy(const Manager *m);
