/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Delivery status notifications: multipart/report messages of RFC 3464 and, for internationalised mail, RFC 6533. */

#include "basic/buf.h"
#include "envelope/envelope.h"

typedef enum DsnAction { /* RFC 3464 2.3.3 */
        DSN_ACTION_FAILED,
        DSN_ACTION_DELAYED,
        DSN_ACTION_DELIVERED,
        DSN_ACTION_RELAYED,
        DSN_ACTION_EXPANDED,
        _DSN_ACTION_MAX,
        _DSN_ACTION_INVALID = -EINVAL,
} DsnAction;

const char *dsn_action_to_string(DsnAction a);

typedef struct DsnRecipient {
        const char *original_recipient; /* ORCPT= as it came ("rfc822;" and xtext), or NULL */
        const char *final_recipient;
        DsnAction action;
        EnhancedStatus status;          /* absent: x.0.0 of the action's class */
        const char *remote_host;        /* who said it, or NULL: this host */
        const char *diagnostic;         /* text of the reply (one line or several), or NULL */
        usec_t last_attempt;            /* CLOCK_REALTIME, 0: none */
        usec_t will_retry_until;        /* of a delay, 0: not said */
} DsnRecipient;

typedef struct DsnReport {
        const char *host_name;          /* reporting MTA; the From is MAILER-DAEMON@ this */
        const char *sender;             /* of the original: who gets the report; never "" */
        const char *message_id;         /* of the report, without angle brackets */
        const QueueId *queue_id;        /* of the original */
        usec_t now;                     /* CLOCK_REALTIME */
        usec_t arrival;                 /* of the original */
        const char *envid;              /* ENVID= as it came (xtext), or NULL */
        bool smtputf8;                  /* the original was; the global variant is used when something needs it */
        const DsnRecipient *recipients; /* any mixture of actions, at least one */
        size_t n_recipients;
} DsnReport;

typedef enum DsnFormatFlags { /* parameters that MAIL for the report needs */
        DSN_FORMAT_8BIT = 1 << 0,
        DSN_FORMAT_SMTPUTF8 = 1 << 1,
} DsnFormatFlags;

/* Appends the report to *ret: plain-English explanation, delivery-status, and the original: with full all of it, else
 * (also where its bytes would not survive inside a report, or it is larger than 16M) its header. Text from remote hosts
 * is cut and made harmless; the boundary does not occur in the content. Returns DsnFormatFlags or -errno; reading the
 * content is the only I/O. */
int dsn_format(const DsnReport *r, int content_fd, uint64_t content_size, bool full, Buf *ret);
