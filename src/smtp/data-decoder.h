/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What follows DATA (RFC 5321 4.5.2, 2.3.8): finds the one end of data, <CRLF>.<CRLF>, takes away stuffed dots, and
 * refuses every CR that is not followed by LF and every LF that does not follow CR. There is no second opinion on where
 * the message ends, so that nothing can be smuggled behind it. Pure, without a copy. */

#include "basic/macro.h"

typedef enum SmtpDataState {
        SMTP_DATA_LINE_START,
        SMTP_DATA_LINE,
        SMTP_DATA_CR,      /* a CR that is not yet given out */
        SMTP_DATA_DOT,     /* a dot at the start of a line, never given out */
        SMTP_DATA_DOT_CR,
} SmtpDataState;

/* All zero at the start. */
typedef struct SmtpDataDecoder {
        SmtpDataState state;
} SmtpDataDecoder;

enum {
        SMTP_DATA_E_END = 1, /* the end of data was read */
        SMTP_DATA_E_BARE,    /* a CR or LF alone */
};

/* Decodes from p[0..n), n > 0, of which *ret_used octets are done; *ret_span (size may be 0) is content. 0, call again
 * with the rest and with what follows, or SMTP_DATA_E_* (with the content before it). */
int smtp_data_decode(SmtpDataDecoder *d, const char *p, size_t n, size_t *ret_used, const char **ret_span, size_t *ret_span_size);
