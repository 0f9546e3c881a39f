/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* NULL-terminated vectors of strings that own their strings. NULL is an empty vector. */

#include "basic/macro.h"

char **strv_free(char **l);
DEFINE_TRIVIAL_CLEANUP_FUNC(char **, strv_free);
#define _cleanup_strv_free_ _cleanup_(strv_freep)

size_t strv_length(char *const *l);
bool strv_contains(char *const *l, const char *s);

/* Appends a copy (takes over the string, which is freed on failure): 0 or -ENOMEM. */
int strv_extend(char ***l, const char *s);
int strv_consume(char ***l, char *s);

/* Splits at any run of the separators; empty pieces vanish. */
int strv_split(const char *s, const char *separators, char ***ret);

#define STRV_FOREACH(i, l) for (typeof(*(l)) *i = (l); i && *i; i++)
