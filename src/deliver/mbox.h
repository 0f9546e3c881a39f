/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Appends copies to one mbox (mboxrd): a batch under one pair of locks with one sync. The mailbox is opened and, if it
 * is missing, made when the session begins; from then on the session sticks to that very file. */

#include "deliver/request.h"

typedef struct Mbox Mbox;

/* dir/name, to be owned by uid (or, with root_mail, also by root), made with mode 0660 and the directory's group. When the
 * file cannot be used (a link, not plain, somebody else's, no room to make it) mbox_deliver() defers every copy with the reason.
 * -ENOMEM and the like for the rest. */
int mbox_open(const char *dir, const char *name, uid_t uid, bool root_mail, Mbox **ret);
Mbox *mbox_close(Mbox *m);
DEFINE_TRIVIAL_CLEANUP_FUNC(Mbox *, mbox_close);

/* For Landlock; -EBADF if the mailbox cannot be used. */
int mbox_fd(const Mbox *m);
int mbox_dir_fd(const Mbox *m);

/* How long to wait for locks; 10 s unless told. */
void mbox_set_lock_timeout(Mbox *m, usec_t timeout);

/* Settles every copy. 0, or 1 if this session can do no more (the mailbox was removed or replaced, a sync failed) and a
 * new one must begin. */
int mbox_deliver(void *mbox, Copy *copies, size_t n);
