/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The vocabulary that receivers, spool, queue manager and transports share: where a message came from, its envelope,
 * and what became of a recipient. Strings are owned; NULL means absent (an empty reverse-path is ""). */

#include <systemd/sd-id128.h>
#include "basic/usec.h"
#include "envelope/queue-id.h"

#define UID_UNKNOWN ((uid_t) -1)

/* Where a message came from. The listener is told by the socket it was submitted through, never by a receiver. */
typedef struct Origin {
        char *listener;
        char *protocol;      /* the "with" of Received: SMTP, ESMTP, UTF8SMTP, LMTP, ... (RFC 3848, 6531), or "local" */
        char *helo;
        char *peer_address;  /* IP address; NULL on AF_UNIX */
        char *peer_name;     /* verified name of that address */
        uid_t uid;           /* of the peer on AF_UNIX, else UID_UNKNOWN */
        char *unit;          /* systemd unit of the peer, NULL if unknown */
        char *login;         /* authenticated user of SMTP AUTH */
} Origin;

#define ORIGIN_INIT ((Origin) { .uid = UID_UNKNOWN })

void origin_done(Origin *o);

/* Parameters of MAIL and RCPT (RFC 1870, 3461, 6152, 6531). */
typedef enum BodyType {
        BODY_7BIT,
        BODY_8BITMIME,
        BODY_BINARYMIME,
        _BODY_MAX,
        _BODY_INVALID = -EINVAL,
} BodyType;

typedef enum DsnReturn { /* RET= */
        DSN_RETURN_DEFAULT,
        DSN_RETURN_FULL,
        DSN_RETURN_HEADERS,
        _DSN_RETURN_MAX,
        _DSN_RETURN_INVALID = -EINVAL,
} DsnReturn;

typedef enum NotifyFlags { /* NOTIFY=; 0 is the default: failure and delay */
        NOTIFY_NEVER = 1 << 0,
        NOTIFY_SUCCESS = 1 << 1,
        NOTIFY_FAILURE = 1 << 2,
        NOTIFY_DELAY = 1 << 3,
        _NOTIFY_ALL = (1 << 4) - 1,
} NotifyFlags;

typedef struct EnvelopeRecipient {
        char *address;              /* without angle brackets */
        char *original_recipient;   /* ORCPT= as it came, "rfc822;..." in xtext, or NULL */
        NotifyFlags notify;
} EnvelopeRecipient;

typedef struct Envelope {
        sd_id128_t token;           /* of the submission: the same token is the same message */
        usec_t arrival;             /* CLOCK_REALTIME */
        Origin origin;
        char *sender;               /* reverse-path without angle brackets, "" for <> */
        char *envid;                /* ENVID= as it came (xtext), or NULL */
        DsnReturn dsn_return;
        BodyType body;
        bool smtputf8;
        uint64_t size;              /* bytes of content: header and body with CRLF line ends, no dot-stuffing */
        EnvelopeRecipient *recipients;
        size_t n_recipients;
} Envelope;

#define ENVELOPE_INIT ((Envelope) { .origin = ORIGIN_INIT })

void envelope_done(Envelope *e);

/* Appends a recipient, copying the strings. */
int envelope_add_recipient(Envelope *e, const char *address, const char *original_recipient, NotifyFlags notify);

const char *body_type_to_string(BodyType b);            /* "7BIT", "8BITMIME", "BINARYMIME" */
BodyType body_type_from_string(const char *s);          /* any case */
const char *dsn_return_to_string(DsnReturn r);          /* "", "FULL", "HDRS" */
DsnReturn dsn_return_from_string(const char *s);
/* "NEVER" or a comma list of SUCCESS, FAILURE, DELAY; "" for 0. */
const char *notify_to_string(NotifyFlags n);
int notify_from_string(const char *s, NotifyFlags *ret); /* -EINVAL */

/* Enhanced status code (RFC 3463). All zero means absent. */
typedef struct EnhancedStatus {
        uint8_t class;    /* 2, 4, 5 */
        uint16_t subject;
        uint16_t detail;
} EnhancedStatus;

#define STATUS(c, s, d) ((EnhancedStatus) { (c), (s), (d) })
#define ENHANCED_STATUS_MAX 12U

char *enhanced_status_format(EnhancedStatus s, char buffer[static ENHANCED_STATUS_MAX]);
int enhanced_status_parse(const char *s, EnhancedStatus *ret); /* the whole string: 0 or -EINVAL */

/* What an attempt, or the decision engine, says of one recipient. */
typedef enum DeliveryResult {
        RESULT_DELIVERED, /* handed over for good: synced in the mailbox, or 250 of the next hop */
        RESULT_DEFERRED,  /* try again */
        RESULT_FAILED,    /* never */
        RESULT_EXPANDED,  /* replaced by other recipients */
        _RESULT_MAX,
        _RESULT_INVALID = -EINVAL,
} DeliveryResult;

const char *delivery_result_to_string(DeliveryResult r);
DeliveryResult delivery_result_from_string(const char *s);
