/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A queued message as its file tells it: the envelope as it was accepted, and for each recipient what has happened since.
 * Recipients are numbered: those of the envelope first, in order, then the children that expansions added.
 * Everything here is pure; spool/store.h reads and writes the files. */

#include "envelope/envelope.h"

#define RECIPIENT_NONE UINT32_MAX
#define REPLY_TEXT_MAX 512U /* longer replies are cut when a record is made */

typedef enum RecipientState {
        RECIPIENT_PENDING,
        RECIPIENT_EXPANDED,  /* its children stand for it */
        RECIPIENT_DELIVERED,
        RECIPIENT_FAILED,
        RECIPIENT_EXPIRED,
        RECIPIENT_REMOVED,   /* by a user or administrator */
        _RECIPIENT_STATE_MAX,
        _RECIPIENT_STATE_INVALID = -EINVAL,
} RecipientState;

const char *recipient_state_to_string(RecipientState s);

typedef enum DsnKind { /* reports that were made durable for a recipient, as flags */
        DSN_DELAYED = 1 << 0,
        DSN_FAILED = 1 << 1,
        DSN_SUCCESS = 1 << 2,
        _DSN_KIND_ALL = (1 << 3) - 1,
} DsnKind;

typedef struct QueuedRecipient {
        uint32_t parent;           /* RECIPIENT_NONE for those of the envelope */
        char *address;
        char *original_recipient;  /* ORCPT=, only on recipients of the envelope */
        char *sender;              /* envelope sender for this child (owner-LIST), NULL: the message's */
        NotifyFlags notify;        /* children inherit it */
        RecipientState state;
        uint32_t tries;            /* attempts made */
        usec_t attempted;          /* last attempt, CLOCK_REALTIME, 0: none */
        usec_t due;                /* next attempt, CLOCK_REALTIME, 0: at once */
        usec_t age;                /* time spent in the queue up to the last attempt; does not jump with the clock */
        EnhancedStatus status;     /* of the last attempt */
        char *reply;               /* its text, NULL: none */
        DsnKind dsn;
} QueuedRecipient;

typedef struct QueuedMessage {
        QueueId id;
        Envelope envelope;         /* its recipients are also recipients[0 … envelope.n_recipients) */
        bool held;
        char *hold_reason;
        QueuedRecipient *recipients;
        size_t n_recipients;
        uint64_t content_offset;   /* of the content in the file; envelope.size bytes */
        uint64_t log_end;          /* where the next record goes */
        uint32_t next_sequence;
        bool log_damaged;          /* a record in the middle did not verify: set aside, the message is held */
} QueuedMessage;

#define QUEUED_MESSAGE_INIT ((QueuedMessage) { .envelope = ENVELOPE_INIT })
void queued_message_done(QueuedMessage *m);

/* What is appended to a message's log. A record is complete or, after a crash, not there. */
typedef enum RecordType {
        RECORD_ATTEMPT,   /* index, state (PENDING: deferred), tries, attempted, due, age, status, reply */
        RECORD_EXPAND,    /* index is the parent; children */
        RECORD_HOLD,      /* reply is the reason */
        RECORD_RELEASE,
        RECORD_DSN,       /* index, dsn: kinds that are now durable */
        RECORD_DUE,       /* index, due: requeued or flushed, without an attempt */
        _RECORD_TYPE_MAX,
        _RECORD_TYPE_INVALID = -EINVAL,
} RecordType;

typedef struct RecordChild {
        const char *address;
        const char *sender;        /* NULL: as the message */
} RecordChild;

typedef struct Record {
        RecordType type;
        uint32_t index;
        RecipientState state;
        uint32_t tries;
        usec_t attempted, due, age;
        EnhancedStatus status;
        DsnKind dsn;
        const char *reply;
        const RecordChild *children;
        size_t n_children;
} Record;

/* Applies a record to the state: 0, -EBADMSG if it does not fit (unknown index, expansion of a recipient that is not
 * pending, ...), -ENOMEM. The same function serves recovery and the running queue manager. */
int queued_message_apply(QueuedMessage *m, const Record *record);

/* Is there no recipient left that is pending? */
bool queued_message_finished(const QueuedMessage *m);
