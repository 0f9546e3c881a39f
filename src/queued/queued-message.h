/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The light view of the queue in memory: per message what is needed to find it, per recipient that is still pending what
 * is needed to try it in time. Everything else is read from the message's file when it is worked on, and forgotten
 * again: that is a message being "open". */

#include "basic/pool.h"
#include "schedule/retry.h"
#include "schedule/schedule.h"
#include "spool/store.h"

typedef struct Manager Manager;
typedef struct Message Message;
typedef struct StoreOp StoreOp;

typedef enum RecipientPhase {
        PHASE_WAITING,    /* in the scheduler until due, then routed */
        PHASE_ROUTING,    /* a look-up or an expansion is under way */
        PHASE_READY,      /* routed in this attempt, in the scheduler for a slot of its destination */
        PHASE_DELIVERING, /* a transport has it */
        PHASE_SETTLING,   /* the outcome is being reported or written */
} RecipientPhase;

typedef struct Outcome Outcome;

typedef struct Recipient {
        Job job;
        Message *message;
        struct Recipient *next;   /* of the message */
        char *address;
        char *sender;             /* of an expanded list's children: owner-LIST, else NULL */
        Outcome *outcome;         /* PHASE_SETTLING: what is to be written */
        int64_t born;             /* CLOCK_BOOTTIME at which its age was 0; may be before the boot */
        uint32_t index;
        uint32_t parent;
        uid_t uid;                /* of the local user it was last routed to, else UID_UNKNOWN */
        uint16_t tries;
        uint8_t phase;            /* RecipientPhase */
        uint8_t notify;           /* NotifyFlags */
        uint8_t dsn;              /* DsnKind: reports made */
        bool repeated;            /* an earlier attempt may have succeeded unheard */
        bool expansion_waits;     /* for the expansion of another */
} Recipient;

struct Message {
        QueueId id;
        bool held, finishing, settling, null_sender;
        bool damaged;             /* put aside; forgotten as soon as nothing is under way */
        bool gathering;           /* outcomes are being added: settle_resume() comes when all are */
        bool expanding;           /* an expansion is being written */
        uid_t uid;                /* who submitted it on this host */
        sd_id128_t token;
        uint64_t size;
        Recipient *recipients;    /* the pending ones */
        size_t n_recipients;

        QueuedMessage *open;      /* as read from the file; main thread: only envelope, and the rest while no op runs */
        int content_fd;           /* while open and wanted */
        unsigned n_users;         /* who needs it open */
        unsigned n_ready;         /* recipients that are PHASE_READY: it may stay open for them */

        StoreOp *ops, **last_op;  /* one at a time, in order */
        bool op_running;
        Message *next_finished, *next_settling;
        void (*ended)(Manager *manager, void *userdata); /* called once its end is on disk */
        void *ended_userdata;
};

/* A message read from disk or just written; takes over *q as its open state if keep_open, else only looks at it.
 * Creates a Recipient for each that is pending. Not yet in the manager. */
int message_new(QueuedMessage *q, const RetryClock *now, Message **ret);
Message *message_free(Message *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Message *, message_free);

/* In or out of the manager's map and counts. */
int message_register(Manager *manager, Message *m);
void message_unregister(Manager *manager, Message *m);

Recipient *message_find_recipient(const Message *m, uint32_t index);
int message_add_recipient(Message *m, const QueuedRecipient *q, uint32_t index, int64_t born, Recipient **ret);
/* Out of the scheduler and the message. */
Recipient *recipient_free(Manager *manager, Recipient *r);

/* Into and out of PHASE_READY, which need not have the message open. */
void recipient_set_ready(Recipient *r);
void recipient_unset_ready(Recipient *r, RecipientPhase phase);

usec_t recipient_age(const Recipient *r, usec_t boottime);

/* Keeps the message open; the callback comes when it is, at once if it is already: r < 0 if its file cannot be read.
 * Each success is paired with message_close(). with_content also opens content_fd. */
void message_open(Manager *manager, Message *m, bool with_content, void (*callback)(Manager *, Message *, void *, int r), void *userdata);
void message_close(Manager *manager, Message *m);

/* It has been read: takes the state and the descriptor (may be -EBADF) over. */
void message_set_open(Manager *manager, Message *m, QueuedMessage *open, int content_fd);
void message_forget_open(Manager *manager, Message *m);
