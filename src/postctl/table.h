/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables of any length in constant memory: the first rows decide how wide the columns are, the others are printed as
 * they come. Everything that is printed passes text_sanitize() here, so cells may hold what strangers sent. */

#include "postctl/terminal.h"

#define TABLE_COLUMNS_MAX 12U
#define TABLE_MEASURED_ROWS 100U
#define TABLE_CELL_MAX 1000U /* bytes, on a terminal */

typedef struct Column {
        const char *title;
        bool right;      /* aligned to the right */
        unsigned least;  /* may be cut down to so many columns of the terminal; 0: never cut */
} Column;

typedef struct Table {
        FILE *file;
        const Terminal *terminal;
        const Column *columns;
        size_t n_columns;
        bool legend;               /* print the titles */
        bool started;              /* widths are fixed, the titles are out */
        size_t widths[TABLE_COLUMNS_MAX];
        char **cells;              /* of the rows that wait for the widths */
        Color *colors;
        size_t n_rows;             /* waiting */
} Table;

#define TABLE_INIT(f, t, c, l)                                                                            \
        ((Table) { .file = (f), .terminal = (t), .columns = (c), .n_columns = ELEMENTSOF(c), .legend = (l) })

void table_done(Table *t);

/* One cell per column, NULL for an empty one; colors may be NULL. 0 or -ENOMEM. */
int table_row(Table *t, const char *const *cells, const Color *colors);

/* Prints what waits; also the titles of a table without rows. Then the table may go on: the widths stay. */
int table_flush(Table *t);

/* How many columns of a terminal a clean string takes, and that string cut to fit, with an ellipsis at its end. The
 * locale's character type has to be UTF-8. */
size_t text_width(const char *s);
char *text_fit(const char *s, size_t width);

/* Makes the widths of the columns fit into total, gaps between them included: the widest of those that may be cut
 * give way first. total 0: no limit. */
void table_fit(const Column *columns, size_t n, size_t *widths, size_t total);
