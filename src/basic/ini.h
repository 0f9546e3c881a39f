/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* INI text through libinih, with none of its surprises: nothing is cut, joined or guessed. Stricter than the library:
 * only "Key=value" (no colon), no continuation lines, no comment behind a value, no control characters, valid UTF-8,
 * key and section within their limits. The only file that includes <ini.h>. */

#include "basic/macro.h"

#define INI_LINE_MAX 8192U    /* bytes of a line, without its end */
#define INI_SECTION_MAX 49U   /* the library remembers no more */

/* Called for each section header (key and value NULL) and each assignment, with white space removed around the value.
 * Before the first header section is "". < 0: give up with this error; > 0: this line was wrong, go on. */
typedef int (*ini_handler_t)(const char *section, const char *key, const char *value, unsigned line, void *userdata);

/* Called for each line that is no INI; the text says what is wrong with it. */
typedef void (*ini_report_t)(unsigned line, const char *message, void *userdata);

/* 0, or -EBADMSG if any line was wrong (all were looked at, and the good ones handed out), or an error. */
int ini_read(const char *text, size_t size, ini_handler_t handler, ini_report_t report, void *userdata);
