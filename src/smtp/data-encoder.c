/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "smtp/data-encoder.h"

/* The next CR or LF, or the end. */
static const char *line_end(const char *p, const char *end) {
        const char *nl = memchr(p, '\n', end - p);
        const char *cr = memchr(p, '\r', (nl ?: end) - p);
        return cr ?: nl ?: end;
}

int smtp_data_encode(SmtpDataEncoder *e, Buf *b, const char *p, size_t n) {
        const char *end = p + n;
        int r;

        /* Short lines and many dots need more; buf_append() grows it then. */
        r = buf_reserve(b, n + n / 16 + 8);
        if (r < 0)
                return r;
        while (p < end) {
                if (*p == '\n' || *p == '\r') {
                        bool written = *p == '\n' && e->cr;
                        e->cr = *p == '\r';
                        e->in_line = false;
                        p++;
                        if (written)
                                continue;
                        r = buf_append(b, "\r\n", 2);
                        if (r < 0)
                                return r;
                        continue;
                }
                e->cr = false;
                if (!e->in_line && *p == '.') {
                        r = buf_append(b, ".", 1);
                        if (r < 0)
                                return r;
                }
                e->in_line = true;
                const char *stop = line_end(p, end);
                r = buf_append(b, p, stop - p);
                if (r < 0)
                        return r;
                p = stop;
        }
        return 0;
}

int smtp_data_encode_end(SmtpDataEncoder *e, Buf *b) {
        return e->in_line ? buf_append(b, "\r\n.\r\n", 5) : buf_append(b, ".\r\n", 3);
}
