/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looks users up through postd-users, asynchronously and with a small cache. A look-up that fails, or takes longer than
 * 10 s, says "cannot tell" to those who asked for that user only; others go on over connections of their own. */

#include "queued/queued-manager.h"

typedef struct User {
        char *name;
        uid_t uid;
        gid_t gid;
} User;

int users_new(Manager *manager, Users **ret);
Users *users_free(Users *u);

/* The callback comes later or at once: r 0 and the user; r > 0 (USERS_NOT_FOUND): there is no such user; r < 0: cannot
 * tell (-ETIMEDOUT, -EAGAIN, ...). */
#define USERS_NOT_FOUND 1
typedef void (*users_callback_t)(Manager *manager, void *userdata, int r, const User *user);
void users_lookup(Users *u, const char *name, users_callback_t callback, void *userdata);

/* Forgets the cache: after a reload. */
void users_flush(Users *u);
