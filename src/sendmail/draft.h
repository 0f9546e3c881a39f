/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is to be sent: envelope and message, made from options, standard input and who the caller is. */

#include "basic/buf.h"
#include "basic/map.h"
#include "sendmail/options.h"

typedef struct Draft {
        Envelope envelope;     /* recipients that may be valid; the token is set */
        Buf input;
        Buf header;            /* completed, with its empty line */
        size_t body_offset;    /* of the body in input */
        char **invalid;        /* recipients that are no addresses */
        Map seen;              /* addresses of recipients */
        bool named;            /* any recipient was named at all, valid or not */
} Draft;

#define DRAFT_INIT ((Draft) { .envelope = ENVELOPE_INIT })
void draft_done(Draft *d);

/* Sets the token, the sender and the parameters: 0, -EINVAL (the sender is no address), -E2BIG (an option is too long),
 * -ENOMEM. */
int draft_open(Draft *d, const SendmailOptions *o);

/* Adds the recipients of the command line: 0, -E2BIG (too many), -ENOMEM. */
int draft_add_recipients(Draft *d, const SendmailOptions *o);

/* Takes the message that is in d->input: completes its header, adds the recipients that it names if asked to. 0, -E2BIG
 * (too many recipients), -ENOMEM. */
int draft_take_message(Draft *d, const SendmailOptions *o);

static inline const char *draft_body(const Draft *d) {
        return d->input.data + d->body_offset;
}
static inline size_t draft_body_size(const Draft *d) {
        return d->input.size - d->body_offset;
}
