/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The server's side of an SMTP or LMTP session (RFC 5321, 2033, 2920, 1870, 2034, 3461, 6152, 6531) as a pure object:
 * bytes in, reply bytes and events out; no descriptor, no clock. However the bytes are cut into pieces, the replies and
 * the messages are the same.
 *
 * The caller feeds smtp_session_process() with what it has read until that asks for more, and acts on the events. An
 * event that wants an answer stops the session until the answer was given; this may take as long as it likes. What is
 * in `output` is to be written whenever the caller waits. Whatever the peer does wrong becomes a reply here; a negative
 * result is ours (-ENOMEM), and the caller ends the session with 421. */

#include "basic/buf.h"
#include "smtp/command.h"
#include "smtp/data-decoder.h"

typedef struct SmtpSessionOptions {
        const char *host_name;     /* in the greeting; must stay */
        const char *mail_name;     /* the domain of addresses that have none; must stay */
        uint64_t size_max;         /* octets of content */
        unsigned recipients_max;   /* per message */
        unsigned errors_max;       /* refused commands per session, then 421 */
        unsigned idle_commands_max; /* commands in a row that lead to no message, then 421 */
        bool lmtp;
        bool local;                /* unqualified addresses, XPOSTDTOKEN */
        bool origin;               /* XPOSTDORIGIN */
} SmtpSessionOptions;

typedef enum SmtpEvent {
        SMTP_EVENT_MORE,    /* feed more; write the output */
        SMTP_EVENT_CHECK,   /* may the sender (if mail_pending) send to the recipients from n_checked on? */
        SMTP_EVENT_DATA,    /* is there room for the content? Size announced: announced_size, 0 unknown. */
        SMTP_EVENT_CONTENT, /* take over content[0..content_size); no answer */
        SMTP_EVENT_DISCARD, /* content that was taken is not needed any more; no answer */
        SMTP_EVENT_MESSAGE, /* the message is complete: queue it */
        SMTP_EVENT_CLOSE,   /* write the output, then close; nothing more is processed */
        _SMTP_EVENT_NONE,   /* private */
} SmtpEvent;

/* Which of our limits the peer has met, since the caller last cleared it: for the log. */
typedef enum SmtpLimits {
        SMTP_LIMIT_ERRORS = 1 << 0,
        SMTP_LIMIT_COMMANDS = 1 << 1,
        SMTP_LIMIT_RECIPIENTS = 1 << 2,
        SMTP_LIMIT_SIZE = 1 << 3,
        SMTP_LIMIT_BARE = 1 << 4, /* not a limit: a CR or LF alone in a command or in the data */
} SmtpLimits;

/* An answer. A code of 2xx accepts. The text may have several lines. */
typedef struct SmtpDecision {
        unsigned code;
        EnhancedStatus status;
        const char *text;
} SmtpDecision;

/* Embedded; the first block is for callers to read. */
typedef struct SmtpSession {
        Envelope envelope;         /* of the message under way: recipients up to n_checked are accepted; token and
                                    * origin_uid as the client gave them. origin is the caller's. */
        size_t n_checked;
        bool mail_pending;         /* MAIL is not answered yet */
        uint64_t announced_size;
        uid_t origin_uid;
        char *helo;
        const char *content;
        size_t content_size;
        SmtpLimits limits;
        Buf output;

        const SmtpSessionOptions *options;
        SmtpVerb greeting;         /* which of HELO, EHLO, LHLO was given; _SMTP_VERB_INVALID */
        enum {
                SMTP_SESSION_COMMAND,
                SMTP_SESSION_DATA,
                SMTP_SESSION_CLOSED,
        } state;
        SmtpEvent waiting;         /* for the answer to this one; SMTP_EVENT_MORE: for none */
        bool in_transaction;
        bool skipping;             /* the rest of a line that is too long */
        bool too_large;
        uint64_t received;         /* octets of content, also those not kept */
        unsigned n_errors;
        unsigned n_idle_commands;
        SmtpDataDecoder decoder;
} SmtpSession;

/* Puts the greeting into the output: 0 or -ENOMEM. */
int smtp_session_init(SmtpSession *s, const SmtpSessionOptions *options);
void smtp_session_done(SmtpSession *s);

/* Processes from p[0..n); *ret_used octets are done with, the rest must be offered again, with more behind it (room for
 * SMTP_COMMAND_LINE_MAX + 1 octets always suffices). Content points into p. 0 or -ENOMEM. */
int smtp_session_process(SmtpSession *s, const char *p, size_t n, size_t *ret_used, SmtpEvent *ret);

/* The answers; each 0 or -ENOMEM. */

/* To CHECK: one decision for each recipient from n_checked on; or refused, for the whole question. */
int smtp_session_check_done(SmtpSession *s, const SmtpDecision *decisions, const SmtpDecision *refused);
/* To DATA: NULL to go on. */
int smtp_session_data_done(SmtpSession *s, const SmtpDecision *refused);
/* To MESSAGE: also ends the transaction. */
int smtp_session_message_done(SmtpSession *s, const SmtpDecision *decision);

/* At any time: a last reply (421), then SMTP_EVENT_CLOSE. */
int smtp_session_abort(SmtpSession *s, unsigned code, EnhancedStatus status, const char *text);

/* Nothing is under way: the session can be ended without harm. */
static inline bool smtp_session_idle(const SmtpSession *s) {
        return s->state == SMTP_SESSION_COMMAND && !s->in_transaction && s->waiting == SMTP_EVENT_MORE;
}

/* The "with" of a Received field (RFC 3848, 6531). */
const char *smtp_session_protocol(const SmtpSession *s);
