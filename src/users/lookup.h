/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Look-ups in the user database (NSS) that do not hang whoever asks. Each runs in a thread; after a deadline the caller
 * has "temporary failure" and the thread stays counted as stuck until the module returns. A key that hangs holds at
 * most STUCK_PER_KEY_MAX threads, and the same key asked for twice is looked up once. */

#include <systemd/sd-event.h>
#include "basic/usec.h"

#define LOOKUP_KEY_MAX 256U

typedef struct Lookups Lookups;
typedef struct Asker Asker;

typedef struct User {
        char *name;
        uid_t uid;
        gid_t gid;
        char *home;      /* NULL if not an absolute path in UTF-8 */
        char *real_name; /* first part of GECOS, NULL if empty or not UTF-8 */
} User;

typedef enum LookupTable {
        LOOKUP_USERS, /* by name: as given, then in lower case */
        LOOKUP_UIDS,  /* by decimal number */
        _LOOKUP_TABLE_MAX,
        _LOOKUP_TABLE_INVALID = -EINVAL,
} LookupTable;

LookupTable lookup_table_from_string(const char *s);

/* Called once in the event loop. r: 0 with user, 0 with NULL (there is no such user: a definite answer), or -errno
 * (-ETIMEDOUT after the deadline). The user is the callee's to read during the call only. */
typedef void (*lookup_done_t)(int r, const User *user, void *userdata);

/* all_stuck() is called when no thread is left that could answer anybody. */
int lookups_new(sd_event *event, size_t threads_max, usec_t timeout, void (*all_stuck)(void *userdata), void *userdata,
                Lookups **ret);

/* To be called with nothing stuck: waits for its threads. */
Lookups *lookups_free(Lookups *l);
DEFINE_TRIVIAL_CLEANUP_FUNC(Lookups *, lookups_free);

/* *ret is valid until done() was called. A key that cannot be a name (a number) is answered at once with "no such user"
 * through 1; then done() is not called. -EBUSY: the key hangs already, in as many threads as it may have. */
int lookups_ask(Lookups *l, LookupTable table, const char *key, lookup_done_t done, void *userdata, Asker **ret);

/* The answer is not wanted any more. */
void lookups_forget(Asker *a);

/* Somebody waits for an answer. */
bool lookups_busy(const Lookups *l);
size_t lookups_stuck(const Lookups *l);

/* The look-up itself: blocks. 0 with a user, 0 with NULL, or -errno. */
int lookup_user(LookupTable table, const char *key, User **ret);
User *user_free(User *u);
DEFINE_TRIVIAL_CLEANUP_FUNC(User *, user_free);

/* Could this be a key of the table at all? Keeps nonsense away from NSS modules. */
bool lookup_key_valid(LookupTable table, const char *key);
