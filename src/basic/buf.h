/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A growing byte buffer. The bytes may hold NUL; data is always NUL-terminated once something was added.
 * Embedded by value: BUF_INIT, buf_done(). A failed call leaves the content as it was. */

#include <stdarg.h>
#include "basic/macro.h"

typedef struct Buf {
        char *data;
        size_t size;
        size_t allocated;
} Buf;

#define BUF_INIT ((Buf) {})

void buf_done(Buf *b);
#define _cleanup_buf_ _cleanup_(buf_done)

/* Makes room for n more bytes: 0 or -ENOMEM. */
int buf_reserve(Buf *b, size_t n);

int buf_append(Buf *b, const void *p, size_t n);
int buf_append_str(Buf *b, const char *s);
int buf_appendf(Buf *b, const char *format, ...) _printf_(2, 3);

/* Drops n bytes from the front. */
void buf_consume(Buf *b, size_t n);

/* Forgets the content, keeps the memory (buf_done() gives it back). */
static inline void buf_clear(Buf *b) {
        b->size = 0;
        if (b->data)
                b->data[0] = 0;
}

/* Hands the bytes over as a NUL-terminated string (an empty buffer gives an empty string), NULL without memory. */
char *buf_take(Buf *b, size_t *ret_size);
