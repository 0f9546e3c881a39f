/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mail on a screen: lines as they are, with everything made visible that a terminal would obey. Pure. */

#include <stdio.h>
#include "basic/buf.h"

typedef struct Screen {
        FILE *file;
        Buf line; /* so far */
} Screen;

#define SCREEN_INIT(f) ((Screen) { .file = (f) })
void screen_done(Screen *s);

/* Takes any bytes, prints the lines that are complete. 0, -ENOMEM, -EIO. */
int screen_write(Screen *s, const char *p, size_t n);

/* Prints the rest as a line. */
int screen_flush(Screen *s);
