/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The spawner's state. A session goes LOOKUP (who is the user?) -> WAITING (for a slot to start) -> STARTING (PID 1 works
 * on it) -> RUNNING -> gone; on_* functions are the events that move it on, and session_*() in session.c decide. */

#include <systemd/sd-bus.h>
#include <systemd/sd-varlink.h>
#include "spawnd/classes.h"
#include "spawnd/rules.h"

#define STARTS_MAX 4 /* jobs that PID 1 works on at a time */

typedef enum SessionState {
        SESSION_LOOKUP,
        SESSION_WAITING,
        SESSION_STARTING,
        SESSION_RUNNING,
} SessionState;

typedef struct Manager Manager;

/* What PID 1 says of a unit. */
typedef struct UnitStatus {
        bool seen_job;  /* the start job exists or existed */
        bool has_job;
        bool active;    /* the program has been executed */
        bool over;      /* inactive or failed */
        char invocation_id[33];
        char result[24];
        int32_t code;   /* CLD_EXITED, ... */
        int32_t status;
        uint64_t memory_peak, cpu_usage; /* UINT64_MAX: unknown */
} UnitStatus;

typedef struct Session {
        Manager *manager;
        struct Session *next;
        SessionState state;
        sd_varlink *link; /* the caller's; NULL once it has hung up */
        uid_t uid;
        SessionClass class;
        char *home;
        char *unit;
        char *path;       /* of the unit on the bus */
        int theirs;       /* our caller's end, until it is handed over */
        sd_varlink *lookup;
        sd_event_source *deadline;
        sd_bus_slot *match, *call, *memory_call;
        bool usage_asked; /* at the end */
        unsigned n_gets;  /* properties still awaited */
        UnitStatus status;
} Session;

struct Manager {
        sd_event *event;
        sd_bus *bus;
        sd_bus_slot *disconnected;
        Rules *rules;
        Session *first, **last; /* in the order they came */
        size_t n_sessions;
        size_t n_starting, n_starting_root;
        bool pumping;
};

/* manager.c */
int manager_new(sd_event *event, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Manager *, manager_free);
/* Starts what waits, as far as there are slots. */
void manager_pump(Manager *m);
/* Reads the configuration again; with an error in it everything stays as it was. */
void manager_reload(Manager *m);
bool manager_busy(const Manager *m);

/* session.c: a new session for the caller; it answers through the link from now on. */
int session_open(Manager *m, sd_varlink *link, uid_t uid, SessionClass class);
void session_start(Session *s);
Session *session_free(Session *s);
/* Something is wrong before the program ran: answers SetupFailed and forgets the session. */
void session_fail(Session *s, const char *reason, int32_t status);
/* The status has changed. */
void session_advance(Session *s);
void session_caller_gone(Session *s);
/* The bus was lost: nothing more will be heard of the unit. */
void session_bus_lost(Session *s);

/* bus.c: calls to PID 1. Errors come back through session_fail(). */
int bus_connect(Manager *m);
int bus_start_unit(Session *s, int session_fd);
int bus_ask_usage(Session *s); /* fills memory_peak and cpu_usage, then session_advance() */
void bus_unref_unit(Session *s);
void bus_stop_unit(Session *s);

/* varlink.c */
int spawnd_varlink_server_new(Manager *m, unsigned connections_max, sd_varlink_server **ret);
