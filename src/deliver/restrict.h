/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Landlock: from now on the session opens nothing but what these rules name, whatever its user may. */

#include "basic/macro.h"

typedef enum RestrictRight {
        RESTRICT_FILE,  /* that one file: read, write, truncate */
        RESTRICT_LOCKS, /* make and remove files in that directory, without reading or writing any */
        RESTRICT_TREE,  /* everything below that directory */
} RestrictRight;

typedef struct RestrictRule {
        int fd; /* a negative one is left out */
        RestrictRight right;
} RestrictRule;

/* 0, 1 if the kernel has no Landlock (or a container forbids it), -errno. */
int restrict_session(const RestrictRule *rules, size_t n);
