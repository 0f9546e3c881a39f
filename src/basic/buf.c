/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/buf.h"

void buf_done(Buf *b) {
        free(b->data);
        *b = BUF_INIT;
}

int buf_reserve(Buf *b, size_t n) {
        size_t need;

        if (__builtin_add_overflow(b->size, n, &need) || __builtin_add_overflow(need, (size_t) 1, &need))
                return -ENOMEM;
        if (need <= b->allocated)
                return 0;

        size_t room = MAX(need, MIN(b->allocated * 2, need + (size_t) 1024 * 1024));
        room = MAX(room, (size_t) 64);
        char *p = realloc(b->data, room);
        if (!p)
                return -ENOMEM;
        b->data = p;
        b->allocated = room;
        return 0;
}

int buf_append(Buf *b, const void *p, size_t n) {
        int r = buf_reserve(b, n);
        if (r < 0)
                return r;
        if (n > 0)
                memcpy(b->data + b->size, p, n);
        b->size += n;
        b->data[b->size] = 0;
        return 0;
}

int buf_append_str(Buf *b, const char *s) {
        return buf_append(b, s, strlen(s));
}

int buf_appendf(Buf *b, const char *format, ...) {
        va_list ap;
        int n, r;

        va_start(ap, format);
        n = vsnprintf(NULL, 0, format, ap);
        va_end(ap);
        if (n < 0)
                return -EINVAL;

        r = buf_reserve(b, n);
        if (r < 0)
                return r;

        va_start(ap, format);
        (void) vsnprintf(b->data + b->size, (size_t) n + 1, format, ap);
        va_end(ap);
        b->size += n;
        return 0;
}

void buf_consume(Buf *b, size_t n) {
        assert(n <= b->size);
        b->size -= n;
        if (b->size > 0)
                memmove(b->data, b->data + n, b->size);
        if (b->data)
                b->data[b->size] = 0;
}

char *buf_take(Buf *b, size_t *ret_size) {
        if (!b->data && buf_reserve(b, 0) < 0)
                return NULL;
        b->data[b->size] = 0;
        if (ret_size)
                *ret_size = b->size;
        b->size = b->allocated = 0;
        return TAKE_PTR(b->data);
}
