/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An alias file, aliases(5), in memory. What is wrong with an entry is reported once when the file is read; the entry
 * stays, so that mail for it waits until it is repaired instead of going back to its sender. */

#include <sys/stat.h>
#include "route/alias-parse.h"

#define ALIASES_SIZE_MAX (256U * 1024 * 1024)

typedef struct Aliases Aliases;

typedef struct Alias {
        const char *name;
        const char *targets;  /* n_targets strings, each with its NUL */
        uint32_t n_targets;
        uint32_t line;
        bool broken;
} Alias;

/* As config_load() reports: level as in syslog(3), text like "/etc/aliases:7: ...". */
typedef void (*route_report_t)(int level, const char *line, void *userdata);

/* A file that is not there has no aliases. -errno if it cannot be read: -EBADFD (not plain), -EFBIG, -EACCES, ... */
int aliases_load(int dir_fd, const char *path, route_report_t report, void *userdata, Aliases **ret);
Aliases *aliases_free(Aliases *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Aliases *, aliases_free);

/* Has the file changed since it was read? Also when it cannot be told. */
bool aliases_changed(const Aliases *a, int dir_fd);

/* name in lower case. NULL: there is no such alias. */
const Alias *aliases_get(const Aliases *a, const char *name);

const char *aliases_path(const Aliases *a);
uid_t aliases_owner(const Aliases *a); /* 0 if there is no file */
size_t aliases_count(const Aliases *a);
