/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A look-up that fails defers; so does everything that the configuration of the moment cannot do. */

#include <stdio.h>

#include "address/address.h"
#include "basic/log.h"
#include "basic/strv.h"
#include "basic/text.h"
#include "ipc/names.h"
#include "queued/queued-event.h"
#include "queued/queued-route.h"
#include "queued/queued-session.h"
#include "queued/queued-settle.h"
#include "queued/queued-store.h"
#include "queued/queued-users.h"

#define LOOKUP_AGAIN_USEC (30 * USEC_PER_SEC)
#define UNKNOWN_USER_TRIES 3U /* a user that has vanished may come back with its directory server */

const char *recipient_destination(const Manager *manager, const Recipient *r, char buffer[static DESTINATION_MAX]) {
        const char *domain = address_domain(r->address);

        if (domain && !config_domain_is_local(manager->config, domain)) {
                (void) snprintf(buffer, DESTINATION_MAX, "relay:%s", domain);
                ascii_strlower(buffer);
        } else if (r->uid != UID_UNKNOWN)
                (void) snprintf(buffer, DESTINATION_MAX, "%s:%u", manager->config->deliver == DELIVER_MAILDIR ? "home" : "mailbox",
                                (unsigned) r->uid);
        else
                strcpy(buffer, "local");
        return buffer;
}

static void ready(Manager *manager, Recipient *r, uid_t uid) {
        char destination[DESTINATION_MAX];
        int k;

        r->uid = uid;
        r->phase = PHASE_READY;
        k = scheduler_add(manager->scheduler, &r->job, recipient_destination(manager, r, destination), now_usec(CLOCK_BOOTTIME));
        if (k < 0) {
                log_error_errno(k, "Cannot schedule %s of message %s, trying again: %m", r->address, r->message->id.s);
                settle_untried(manager, r, LOOKUP_AGAIN_USEC);
                return;
        }
        manager_kick(manager);
}

static void on_user(Manager *manager, void *userdata, int k, const User *user) {
        Recipient *r = userdata;

        if (k < 0)
                settle_untried(manager, r, LOOKUP_AGAIN_USEC);
        else if (k == USERS_NOT_FOUND)
                settle(manager, r, r->tries < UNKNOWN_USER_TRIES ? RESULT_DEFERRED : RESULT_FAILED,
                       r->tries < UNKNOWN_USER_TRIES ? STATUS(4, 1, 1) : STATUS(5, 1, 1), "no such user here", NULL);
        else
                ready(manager, r, user->uid);
}

static void route(Manager *manager, Recipient *r) {
        const char *domain = address_domain(r->address);
        char local[ADDRESS_LOCAL_MAX + 1];
        size_t n;

        if (domain && !config_domain_is_local(manager->config, domain)) {
                settle(manager, r, RESULT_DEFERRED, STATUS(4, 4, 4), "no transport", NULL);
                return;
        }
        address_split(r->address, &n, &domain);
        if (address_unquote_local(r->address, n, local, sizeof(local)) < 0) {
                settle(manager, r, RESULT_DEFERRED, STATUS(4, 1, 3), "the local part cannot be used", NULL);
                return;
        }
        users_lookup(manager->users, streq(local, "root") ? POSTD_ROOT_USER : local, on_user, r);
}

static void on_open(Manager *manager, Message *m _unused_, void *userdata, int k) {
        Recipient *r = userdata;

        if (k < 0) {
                r->phase = PHASE_WAITING;
                recipient_wait(manager, r, now_usec(CLOCK_BOOTTIME) + manager->config->retry_min);
                return;
        }
        route(manager, r);
}

void route_recipient_begin(Manager *manager, Recipient *r) {
        if (manager->stopping)
                return;
        r->phase = PHASE_ROUTING;
        message_open(manager, r->message, true, on_open, r);
}

static void deliver(Manager *manager, Recipient *first, usec_t now) {
        Recipient *batch[BATCH_MAX];
        size_t n = 1;

        batch[0] = first;
        while (n < BATCH_MAX) {
                Job *j = scheduler_next_same(manager->scheduler, &first->job, now);
                if (!j)
                        break;
                Recipient *r = container_of(j, Recipient, job);
                if (r->phase == PHASE_READY) {
                        batch[n++] = r;
                        continue;
                }
                scheduler_done(manager->scheduler, j, JOB_UNTRIED, now);
                route_recipient_begin(manager, r);
        }
        sessions_deliver(manager->sessions, manager->config->deliver == DELIVER_MAILDIR ? "home" : "mailbox", first->uid, batch, n);
}

void route_dispatch(Manager *manager) {
        usec_t now = now_usec(CLOCK_BOOTTIME);

        for (Job *j; (j = scheduler_next(manager->scheduler, now));) {
                Recipient *r = container_of(j, Recipient, job);

                if (r->phase == PHASE_READY) {
                        deliver(manager, r, now);
                        continue;
                }
                scheduler_done(manager->scheduler, j, JOB_UNTRIED, now);
                route_recipient_begin(manager, r);
        }
}

/* RCPT */

typedef struct Check {
        check_callback_t callback;
        void *userdata;
} Check;

static void on_check_user(Manager *manager, void *userdata, int k, const User *user _unused_) {
        static const CheckReply accept = { CHECK_ACCEPT, 250, STATUS(2, 1, 5), "Recipient ok" },
                                unknown = { CHECK_REJECT, 550, STATUS(5, 1, 1), "No such user here" },
                                later = { CHECK_DEFER, 451, STATUS(4, 3, 0), "User look-up failed, try again later" };
        Check *c = userdata;

        c->callback(manager, c->userdata, k < 0 ? &later : k == USERS_NOT_FOUND ? &unknown : &accept);
        free(c);
}

void route_check(Manager *manager, const Origin *origin _unused_, const char *sender _unused_, const char *address,
                 check_callback_t callback, void *userdata) {
        static const CheckReply accept = { CHECK_ACCEPT, 250, STATUS(2, 1, 5), "Recipient ok" },
                                later = { CHECK_DEFER, 451, STATUS(4, 3, 0), "Local error, try again later" };
        const char *domain = address_domain(address);
        char local[ADDRESS_LOCAL_MAX + 1];
        size_t n;

        if (domain && !config_domain_is_local(manager->config, domain)) {
                callback(manager, userdata, &accept);
                return;
        }
        Check *c = new0(Check, 1);
        address_split(address, &n, &domain);
        if (!c || address_unquote_local(address, n, local, sizeof(local)) < 0) {
                free(c);
                callback(manager, userdata, &later);
                return;
        }
        *c = (Check) { callback, userdata };
        users_lookup(manager->users, local, on_check_user, c);
}

int route_explain_steps(Manager *manager _unused_, const char *sender _unused_, const char *recipient _unused_, char ***ret) {
        *ret = NULL;
        return 0;
}
