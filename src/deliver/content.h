/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mail as it came (lines ended by CRLF) on its way into a file (lines ended by LF). Pure but for reading the content. */

#include "basic/buf.h"

typedef enum ConvertFlags {
        CONVERT_QUOTE_FROM = 1 << 0, /* mboxrd: a line of any number of ">" and "From " gets one ">" more */
} ConvertFlags;

/* Where the bytes go. flush() may write them out and clear the buffer when it has grown; 0 or -errno ends it. */
typedef struct Sink {
        Buf buf;
        int (*flush)(struct Sink *sink);
} Sink;

/* Appends text, whole lines or not, converted; the last line gets an end if it has none. 0 or -errno. */
int convert_text(Sink *sink, const char *p, size_t n, ConvertFlags flags);

/* The same with the first size bytes of a file: 0, -errno of flush(), or 1 if the content cannot be read to its end
 * (*ret_error says why). flush() is called between pieces of CONTENT_CHUNK bytes. */
#define CONTENT_CHUNK (64U * 1024U)
int convert_content(Sink *sink, int fd, uint64_t size, ConvertFlags flags, int *ret_error);

/* "From sender Sat Nov 21 20:00:00 2026\n", date in UTC (RFC 4155). In the sender only printing ASCII stays
 * (readers of mboxes expect it), all else becomes "-". */
int format_from_line(Buf *b, const char *sender, uint64_t arrival_usec);
