/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The header of a message (RFC 5322 2.2) read in place: fields one after another, nothing copied, nothing allocated.
 * Never fails; whatever the bytes are, the header ends somewhere in them.
 *
 * The header ends behind the first empty line, or before the first line that is neither a field nor the continuation of
 * one (what follows is then body), or at the end of the data. An mbox "From " line at the very start is skipped. */

#include "basic/macro.h"

typedef enum HeaderFlags {
        HEADER_BARE_LF = 1 << 0, /* LF ends a line as CRLF does; without it only CRLF does */
} HeaderFlags;

typedef struct HeaderField {
        const char *start;       /* the whole field with its line end */
        size_t size;
        const char *name;        /* without the colon and white space before it; never empty */
        size_t name_size;
        const char *value;       /* behind the colon, folded as it came, without the last line end */
        size_t value_size;
} HeaderField;

typedef struct HeaderReader {
        const char *next;
        const char *end;
        HeaderFlags flags;
        bool started;
        bool finished;
} HeaderReader;

void header_reader_init(HeaderReader *h, const char *data, size_t size, HeaderFlags flags);

/* True with the next field in *ret. False at the end of the header; h->next is then the first byte of the body. */
bool header_next(HeaderReader *h, HeaderField *ret);

bool header_field_is(const HeaderField *f, const char *name);

/* Where the body begins: the size of the header with its empty line if there is one. */
size_t header_end(const char *data, size_t size, HeaderFlags flags);

/* How many fields of that name there are. */
size_t header_count(const char *data, size_t size, HeaderFlags flags, const char *name);

/* Received fields, against loops (RFC 5321 6.3). */
static inline size_t header_count_received(const char *data, size_t size, HeaderFlags flags) {
        return header_count(data, size, flags, "Received");
}

/* Was the message delivered to this address before? Compares Delivered-To fields, without case. */
bool header_has_delivered_to(const char *data, size_t size, HeaderFlags flags, const char *address);
