/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the output goes to, and how times and sizes are shown on it. */

#include <stdio.h>
#include "basic/usec.h"

typedef enum Color {
        COLOR_NONE,
        COLOR_BOLD,
        COLOR_RED,
        COLOR_GREEN,
        COLOR_YELLOW,
        COLOR_GREY,
        _COLOR_MAX,
} Color;

typedef struct Terminal {
        bool tty;
        bool colors;
        unsigned width; /* columns; 0: no limit, values are shown in full */
} Terminal;

/* Of standard output, by $SYSTEMD_COLORS, $NO_COLOR, $TERM, $COLUMNS and the terminal itself. */
Terminal terminal_detect(void);

/* The decisions of terminal_detect(); each string may be NULL. */
bool terminal_wants_colors(bool tty, const char *systemd_colors, const char *no_color, const char *term);
unsigned terminal_columns(const char *columns, unsigned real);

/* The sequence that starts the colour, and the one that ends it; "" without colours. */
const char *color_on(const Terminal *t, Color c);
const char *color_off(const Terminal *t, Color c);

#define FORMAT_RELATIVE_MAX (FORMAT_TIMESPAN_MAX + 8U)
/* "5min ago", "in 2h 3min", "now"; to the second. Both on one clock. Returns the buffer. */
char *format_relative(char buffer[static FORMAT_RELATIVE_MAX], usec_t now, usec_t t);

#define FORMAT_AGE_MAX 16U
/* The same in one unit, for tables: "5min", "3d", "now". */
char *format_age(char buffer[static FORMAT_AGE_MAX], usec_t span);

#define FORMAT_TIME_MAX 64U
/* "Sat 2026-11-21 20:26:53 UTC", in the time zone of the caller. */
char *format_time(char buffer[static FORMAT_TIME_MAX], usec_t realtime);

#define FORMAT_SIZE_MAX 16U
/* "512B", "1.2K", "34M". */
char *format_size(char buffer[static FORMAT_SIZE_MAX], uint64_t bytes);

#define FIELD_WIDTH 13
/* A line of a description: the name, aligned to the right, and the value with everything in it made harmless. */
void print_field(const Terminal *t, Color c, const char *name, const char *value);
