/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks polkit whether a caller may do something, without ever waiting for it: polkit and the bus may be missing, hang
 * or vanish. Whatever fails is POLKIT_UNAVAILABLE, which callers treat as a refusal. root needs neither of them.
 *
 * The asking program's user has to own the action (the annotation org.freedesktop.policykit.owner in
 * polkit/io.postd.policy), otherwise polkit answers questions about others to root only. */

#include <systemd/sd-bus.h>
#include <systemd/sd-varlink.h>
#include "basic/macro.h"

#define POLKIT_ACTION_VIEW "io.postd.queue.view"       /* other people's messages */
#define POLKIT_ACTION_MANAGE "io.postd.queue.manage"   /* hold, release, remove, flush, requeue, pause, resume */
#define POLKIT_ACTION_CONTENT "io.postd.queue.content" /* header and body of other people's messages */

typedef enum PolkitResult {
        POLKIT_PENDING,     /* the callback will tell */
        POLKIT_ALLOWED,
        POLKIT_DENIED,
        POLKIT_INTERACTIVE, /* would be allowed after asking the user, which the caller did not permit */
        POLKIT_UNAVAILABLE, /* no bus, no polkit, no answer in time: nobody but root */
} PolkitResult;

typedef struct PolkitCheck PolkitCheck;

/* Called once from the event loop, after the check is gone (forget the pointer). uid is the caller's. */
typedef void (*polkit_callback_t)(PolkitResult result, uid_t uid, void *userdata);

/* Both: POLKIT_PENDING, with the check in *ret until the callback or polkit_check_cancel(); another PolkitResult that
 * needs no callback; or -errno (-ENOMEM, ...). bus may be NULL; otherwise it is attached to the event loop.
 * With interactive polkit may ask the user, for two minutes at most; without, an answer takes at most ten seconds. */

/* For a varlink peer, by its uid and pidfd. */
int polkit_check_varlink(sd_bus *bus, sd_varlink *link, const char *action, bool interactive,
                         polkit_callback_t callback, void *userdata, PolkitCheck **ret);

/* For a bus peer, by its unique name. Never decided at once. With action NULL only the uid is found out: ALLOWED for
 * root, else DENIED; uid is UID_UNKNOWN if the result is UNAVAILABLE. */
int polkit_check_sender(sd_bus *bus, const char *sender, const char *action, bool interactive,
                        polkit_callback_t callback, void *userdata, PolkitCheck **ret);

/* For callers that have gone away: takes back the question, also from the user's screen. The callback is not called. */
PolkitCheck *polkit_check_cancel(PolkitCheck *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(PolkitCheck *, polkit_check_cancel);
