/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* SMTP replies (RFC 5321 4.2, enhanced status codes RFC 2034 and 3463): read by clients, written by servers. Pure. */

#include "basic/buf.h"
#include "envelope/envelope.h"

#define SMTP_REPLY_LINE_MAX 2048U  /* octets of one line that a client takes; RFC 5321 allows 512 */
#define SMTP_REPLY_LINES_MAX 200U  /* lines of one reply */
#define SMTP_REPLY_TEXT_MAX 4096U  /* octets of text that are kept of one reply */

/* code 0: there is none. */
typedef struct SmtpReply {
        unsigned code;         /* 200 to 599 */
        EnhancedStatus status; /* as the server said, else CLASS.0.0 of the code */
        char *text;            /* what a person can read: lines joined by "\n", without codes; control characters and
                                * invalid UTF-8 replaced by "?"; NULL if there is none */
} SmtpReply;

#define SMTP_REPLY_NULL ((SmtpReply) {})

void smtp_reply_done(SmtpReply *r);
int smtp_reply_copy(const SmtpReply *from, SmtpReply *to); /* frees what *to had; 0 or -ENOMEM */

static inline bool smtp_reply_positive(const SmtpReply *r) {
        return r->code >= 200 && r->code < 300;
}
static inline bool smtp_reply_transient(const SmtpReply *r) {
        return r->code >= 400 && r->code < 500;
}
static inline bool smtp_reply_permanent(const SmtpReply *r) {
        return r->code >= 500;
}

/* Collects the lines of one reply. All zero at the start, and again after each complete reply. */
typedef struct SmtpReplyParser {
        unsigned code;
        unsigned n_lines;
        EnhancedStatus status;
        Buf text;
} SmtpReplyParser;

void smtp_reply_parser_done(SmtpReplyParser *p);

enum {
        SMTP_REPLY_E_MORE = 1, /* the reply goes on */
        SMTP_REPLY_E_SYNTAX,   /* that was no reply, or one beyond the limits */
};

/* One line without its line end. 0: the reply is complete and in *ret; SMTP_REPLY_E_*; -ENOMEM. */
int smtp_reply_parse_line(SmtpReplyParser *p, const char *line, size_t n, SmtpReply *ret);

/* Appends a reply, with a line for each line of text. Without a status (all zero) none is written: greeting, EHLO, 354.
 * Unless utf8, octets above 0x7F become "?"; control characters always do. Lines are cut at 500 octets. */
int smtp_reply_format(Buf *b, unsigned code, EnhancedStatus status, const char *text, bool utf8);
