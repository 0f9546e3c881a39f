/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For whom sessions may be started: uids of people and whom the root-owned configuration adds. */

#include "basic/macro.h"

typedef struct UidRange {
        uid_t first, last;
} UidRange;

#define RULES_SESSIONS_DEFAULT 64

typedef struct Rules {
        UidRange *ranges;
        size_t n_ranges;
        uid_t root_mail_uid;   /* of postd-root, who delivers root's mail; (uid_t) -1 if there is none */
        size_t sessions_max;
        char *maildir;         /* below the home; NULL: the session's default */
} Rules;

Rules *rules_free(Rules *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(Rules *, rules_free);

/* The rules as they come: people only. */
int rules_new(Rules **ret);

/* The rules of the configuration, which must be root's. A configuration that cannot be used is an error with a reason on
 * the log through report(): -EBADMSG, -EPERM (somebody else could change it). */
int rules_load(void (*report)(int level, const char *line, void *userdata), Rules **ret);

/* Takes "1000-60000 5000 vmail": numbers, ranges, names through find() (0 or -errno). Uid 0 and (uid_t) -1 are never
 * allowed, not even inside a range. -EINVAL, -ERANGE, -ENOENT (no such name), -ENOMEM; then nothing was added. */
int rules_allow(Rules *r, const char *text, int (*find)(const char *name, uid_t *ret));

/* NULL if sessions may run as this uid, else why not. */
const char *rules_refuse(const Rules *r, uid_t uid);

/* A name in /etc/passwd itself, without NSS: -ENOENT. */
int find_static_user(const char *name, uid_t *ret);
