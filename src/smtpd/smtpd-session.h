/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One client: its socket, the protocol object, the content on its way, and the question to the queue manager that it waits
 * for. A session that waits blocks no other. */

#include "net/stream.h"
#include "smtpd/smtpd-manager.h"

struct Session {
        Manager *manager;
        Session *previous, *next;    /* the manager's list */
        PeerIdentity identity;
        Peer *peer;
        Stream stream;
        sd_event_source *io;
        bool reading, writing;       /* what the event source waits for */
        SmtpSession smtp;
        Buf input;                   /* read, and not yet processed */
        usec_t progress;             /* when something last came or went, CLOCK_BOOTTIME */
        bool ending;                 /* close as soon as the output is written */

        Content content;
        bool receiving;              /* between 354 and the end of data */
        MessageFixup fixup;
        uint64_t charged;            /* to the peer, for this transaction */
        bool over_budget;
        SubmissionCall *call;        /* waits for its answer */
};

/* Takes the connection over, also on failure. */
int session_new(Manager *m, int fd, Peer *peer, PeerIdentity *identity, Session **ret);
Session *session_free(Session *s);

/* Sends the greeting. The session may be gone afterwards, as after each function below. */
void session_start(Session *s);

/* Says 421 and ends. A transaction in progress is left alone unless force. */
void session_stop(Session *s, bool force);

/* Ends it with 421 if nothing has come for too long. */
void session_check_timeout(Session *s, usec_t now);
