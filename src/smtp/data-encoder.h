/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Content on its way into DATA (RFC 5321 4.5.2, 2.3.8): dots are stuffed, and every line end becomes CRLF, be it LF, CRLF
 * or a CR alone (nothing else could be sent that every server reads alike). Content with CRLF stays as it is. Pure. */

#include "basic/buf.h"

/* All zero at the start. */
typedef struct SmtpDataEncoder {
        bool in_line; /* something stands in the line already */
        bool cr;      /* the last octet was a CR, whose line end is written */
} SmtpDataEncoder;

/* Appends the encoded form of p[0..n): 0 or -ENOMEM. */
int smtp_data_encode(SmtpDataEncoder *e, Buf *b, const char *p, size_t n);

/* Ends the last line if it has no end, and the data: ".\r\n". */
int smtp_data_encode_end(SmtpDataEncoder *e, Buf *b);
