/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Completes the header of a message that was written on this host or by a mail user agent (RFC 6409 8): never used on
 * mail of others. */

#include "basic/buf.h"
#include "basic/usec.h"
#include "message/header.h"

typedef struct MessageFixup {
        const char *mail_name;   /* the domain for addresses without one */
        const char *host_name;   /* the right-hand side of a new Message-ID */
        const char *sender;      /* envelope sender, for a new From; "" becomes MAILER-DAEMON */
        const char *full_name;   /* display name for a new From, UTF-8 or not, or NULL */
        usec_t now;              /* CLOCK_REALTIME */
        HeaderFlags flags;       /* line ends of the input */
        bool add_date;
        bool add_message_id;
        bool add_from;
        bool qualify;            /* addresses without domain in From, Sender, Reply-To, To, Cc, Bcc and their Resent- forms */
        bool remove_bcc;         /* Bcc and Resent-Bcc */
} MessageFixup;

/* Appends the new header to *ret: all fields in their order with CRLF line ends, what was missing behind them, and the
 * empty line. Only what header_end() says is read of the data; the body follows as it is. What cannot be parsed stays as
 * it is. A header with Resent- fields gets the Resent- forms instead (RFC 5322 3.6.6). 0 or -errno (-ENOMEM, no random bits). */
int message_fixup(const char *header, size_t size, const MessageFixup *o, Buf *ret);
