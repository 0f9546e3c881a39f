/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Stores copies in a maildir (https://cr.yp.to/proto/maildir.html): written to tmp/, synced together, moved to new/, and
 * that synced once. A name is made of the message's time, queue id and recipient, so that a copy has the same name however
 * often it is tried. Everything is opened relative to the home, and no symbolic link is followed. */

#include "deliver/request.h"

typedef struct Maildir Maildir;

/* Opens home/name (a relative path without ".."), and makes it and what belongs into it with mode 0700 where missing.
 * When that cannot be done maildir_deliver() defers every copy with the reason. -EINVAL: not such a name; -ENOMEM. */
int maildir_open(const char *home, const char *name, const char *host, uid_t uid, Maildir **ret);
Maildir *maildir_close(Maildir *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Maildir *, maildir_close);

/* For Landlock; -EBADF if the maildir cannot be used. */
int maildir_fd(const Maildir *m);

/* Settles every copy. 0, or 1 if a new session must begin (the maildir cannot be used, or has gone). */
int maildir_deliver(void *maildir, Copy *copies, size_t n);

/* "1795293767.M123456Q0h7dadmq399tw8hwR0.host"; slashes and colons in the host become \057 and \072. */
int maildir_name(const Copy *c, const char *host, char **ret);
