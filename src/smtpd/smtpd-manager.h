/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The state of one receiver: its listener's configuration, its sockets, all sessions and what they share. */

#include <systemd/sd-event.h>

#include "config/config.h"
#include "smtpd/smtpd-cache.h"
#include "smtpd/smtpd-content.h"
#include "smtpd/smtpd-peer.h"
#include "smtpd/smtpd-submission.h"

#define INPUT_SIZE (64U * 1024U)

typedef struct Manager Manager;
typedef struct Session Session;
typedef struct Listener Listener;

typedef struct ManagerOptions {
        const char *listener;       /* its name; must stay */
        bool lmtp;
        bool local;                 /* local submissions: addresses and headers are completed */
        bool origin;                /* XPOSTDORIGIN */
        usec_t command_timeout;     /* 0: as configured */
        usec_t data_timeout;
} ManagerOptions;

struct Manager {
        ManagerOptions options;
        Config *config;
        const ListenerConfig *listener_config;
        SmtpSessionOptions smtp;
        sd_event *event;
        sd_event_source *sweep, *sigterm, *sigint, *stop_timer;
        Submission *submission;
        Listener *listeners;
        Session *sessions;
        unsigned n_sessions;
        PeerTable peers;
        CheckCache cache;
        usec_t room_until;          /* the queue manager has just said that there is room */
        bool stopping;
        bool full;                  /* nothing is accepted until a session ends */
        bool sweeping;              /* the timer runs */
        usec_t command_timeout, data_timeout;
        char input[INPUT_SIZE];     /* what was just read, of whichever session */
};

/* Takes the configuration over. */
int manager_new(const ManagerOptions *options, Config *config, Manager **ret);
Manager *manager_free(Manager *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Manager *, manager_free);

/* A socket passed by systemd: listens, or is one connection to serve. Takes the descriptor over. */
int manager_take_socket(int fd, const char *name, void *userdata);

/* Serves until there is nothing to do for a while, or told to stop. Returns an exit code or -errno. */
int manager_run(Manager *m);

/* For sessions. */
usec_t manager_now(Manager *m);                    /* CLOCK_BOOTTIME at the start of this turn of the loop */
void manager_session_ended(Manager *m, Session *s); /* takes it out of the list */
