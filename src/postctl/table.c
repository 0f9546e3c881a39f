/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <wchar.h>

#include "basic/buf.h"
#include "basic/text.h"
#include "postctl/table.h"

#define GAP 2U
#define ELLIPSIS "\xe2\x80\xa6"

/* Columns of the character of k bytes at s; what the locale cannot tell takes one. */
static size_t character_width(const char *s, int k) {
        static const unsigned char masks[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
        wchar_t c;

        if (k <= 0)
                return 1;
        c = (unsigned char) s[0] & masks[k];
        for (int i = 1; i < k; i++)
                c = c << 6 | ((unsigned char) s[i] & 0x3F);
        int w = wcwidth(c);
        return w < 0 ? 1 : w;
}

size_t text_width(const char *s) {
        size_t width = 0, n = strlen(s);

        while (n > 0) {
                int k = utf8_sequence(s, n);
                width += character_width(s, k);
                s += k > 0 ? k : 1;
                n -= k > 0 ? k : 1;
        }
        return width;
}

char *text_fit(const char *s, size_t width) {
        size_t used = 0, n = strlen(s), keep = 0;

        if (text_width(s) <= width)
                return strdup(s);
        if (width == 0)
                return strdup("");
        while (keep < n) {
                int k = utf8_sequence(s + keep, n - keep);
                size_t w = character_width(s + keep, k);
                if (used + w > width - 1)
                        break;
                used += w;
                keep += k > 0 ? k : 1;
        }
        char *p = malloc(keep + sizeof(ELLIPSIS));
        if (p) {
                memcpy(p, s, keep);
                memcpy(p + keep, ELLIPSIS, sizeof(ELLIPSIS));
        }
        return p;
}

void table_fit(const Column *columns, size_t n, size_t *widths, size_t total) {
        size_t sum = GAP * (n - 1);

        for (size_t i = 0; i < n; i++)
                sum += widths[i];
        while (total > 0 && sum > total) {
                size_t widest = SIZE_MAX;
                for (size_t i = 0; i < n; i++)
                        if (columns[i].least > 0 && widths[i] > columns[i].least &&
                            (widest == SIZE_MAX || widths[i] >= widths[widest]))
                                widest = i;
                if (widest == SIZE_MAX)
                        break;
                widths[widest]--;
                sum--;
        }
}

static void drop_rows(Table *t) {
        for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
                free(t->cells[i]);
        t->cells = mfree(t->cells);
        t->colors = mfree(t->colors);
        t->n_rows = 0;
}

void table_done(Table *t) {
        drop_rows(t);
}

static int print_row(Table *t, char *const *cells, const Color *colors) {
        size_t n = t->n_columns;

        while (n > 1 && isempty(cells[n - 1])) /* no blanks at the end of a line */
                n--;
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *cut = NULL;
                const char *text = cells[i];
                bool last = i + 1 == n;

                if (t->terminal->width > 0 && t->columns[i].least > 0) {
                        cut = text_fit(text, t->widths[i]);
                        if (!cut)
                                return -ENOMEM;
                        text = cut;
                }
                size_t width = text_width(text);
                int padding = width < t->widths[i] ? (int) (t->widths[i] - width) : 0;
                fprintf(t->file, "%*s%s%s%s%*s%s", t->columns[i].right ? padding : 0, "",
                        color_on(t->terminal, colors[i]), text, color_off(t->terminal, colors[i]),
                        t->columns[i].right || last ? 0 : padding, "", last ? "\n" : "  ");
        }
        return 0;
}

static int start(Table *t) {
        Color bold[TABLE_COLUMNS_MAX];
        char *titles[TABLE_COLUMNS_MAX];

        for (size_t i = 0; i < t->n_columns; i++) {
                titles[i] = (char *) t->columns[i].title;
                bold[i] = COLOR_BOLD;
                t->widths[i] = t->legend ? text_width(titles[i]) : 0;
                for (size_t row = 0; row < t->n_rows; row++)
                        t->widths[i] = MAX(t->widths[i], text_width(t->cells[row * t->n_columns + i]));
                /* One long cell should not push the columns behind it away where nothing is cut. */
                if (t->terminal->width == 0)
                        t->widths[i] = MIN(t->widths[i], (size_t) 40);
        }
        table_fit(t->columns, t->n_columns, t->widths, t->terminal->width);
        t->started = true;
        return t->legend ? print_row(t, titles, bold) : 0;
}

int table_flush(Table *t) {
        int r = 0;

        if (!t->started)
                r = start(t);
        for (size_t row = 0; row < t->n_rows && r >= 0; row++)
                r = print_row(t, t->cells + row * t->n_columns, t->colors + row * t->n_columns);
        drop_rows(t);
        return r;
}

int table_row(Table *t, const char *const *cells, const Color *colors) {
        if (!t->cells) {
                size_t room = (t->started ? 1 : TABLE_MEASURED_ROWS) * t->n_columns;
                t->cells = new0(char *, room);
                t->colors = new0(Color, room);
                if (!t->cells || !t->colors)
                        return -ENOMEM;
        }

        size_t at = t->n_rows++ * t->n_columns;
        for (size_t i = 0; i < t->n_columns; i++) {
                t->cells[at + i] = text_sanitize(strempty(cells[i]), t->terminal->width > 0 ? TABLE_CELL_MAX : SIZE_MAX);
                if (!t->cells[at + i])
                        return -ENOMEM;
                t->colors[at + i] = colors ? colors[i] : COLOR_NONE;
        }
        return t->n_rows >= (t->started ? 1 : TABLE_MEASURED_ROWS) ? table_flush(t) : 0;
}
