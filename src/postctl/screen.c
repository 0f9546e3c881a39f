/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "postctl/screen.h"

#define LINE_MAX_BYTES (64U * 1024U) /* longer lines are shown in pieces */

void screen_done(Screen *s) {
        buf_done(&s->line);
}

/* Prints a line without its end. Tabs are kept, and NUL ends no string here. */
static int print_line(Screen *s) {
        size_t n = s->line.size, k;

        if (n > 0 && s->line.data[n - 1] == '\r')
                s->line.data[--n] = 0;
        for (size_t i = 0; i < n; i += k + 1) {
                _cleanup_free_ char *clean = NULL;
                char *piece = s->line.data + i;

                for (k = 0; i + k < n && piece[k] != '\t' && piece[k] != 0;)
                        k++;
                bool tab = i + k < n && piece[k] == '\t', nul = i + k < n && !tab;
                piece[k] = 0;
                clean = text_sanitize(piece, SIZE_MAX);
                if (!clean)
                        return -ENOMEM;
                fprintf(s->file, "%s%s", clean, tab ? "\t" : nul ? "\\x00" : "");
        }
        buf_clear(&s->line);
        return fputc('\n', s->file) == EOF ? -EIO : 0;
}

int screen_write(Screen *s, const char *p, size_t n) {
        int r;

        while (n > 0) {
                const char *end = memchr(p, '\n', n);
                size_t piece = end ? (size_t) (end - p) : n;

                piece = MIN(piece, LINE_MAX_BYTES - s->line.size);
                r = buf_append(&s->line, p, piece);
                if (r < 0)
                        return r;
                p += piece;
                n -= piece;
                bool ended = n > 0 && *p == '\n';
                if (ended) {
                        p++;
                        n--;
                }
                if (ended || s->line.size == LINE_MAX_BYTES) {
                        r = print_line(s);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

int screen_flush(Screen *s) {
        return s->line.size > 0 ? print_line(s) : 0;
}
