/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A look-up that fails defers without an attempt being counted; so does whatever the configuration of the moment cannot
 * do, but counted. Only a definite answer about the recipient fails it. */

#include <stdio.h>

#include "address/address.h"
#include "basic/log.h"
#include "basic/text.h"
#include "ipc/names.h"
#include "queued/queued-dispatch.h"
#include "queued/queued-expand.h"
#include "queued/queued-route.h"
#include "queued/queued-settle.h"
#include "queued/queued-store.h"
#include "queued/queued-users.h"

#define LOOKUP_AGAIN_USEC (30 * USEC_PER_SEC)
#define UNKNOWN_USER_TRIES 3U /* one that was accepted and has vanished may come back with its directory server */

const char *recipient_destination(const Manager *manager, const Recipient *r, char buffer[static DESTINATION_MAX]) {
        const char *domain = address_domain(r->address);

        if (domain && !config_domain_is_local(manager->config, domain)) {
                (void) snprintf(buffer, DESTINATION_MAX, "relay:%s", domain);
                ascii_strlower(buffer);
        } else if (r->uid != UID_UNKNOWN)
                (void) snprintf(buffer, DESTINATION_MAX, "%s:%u", session_class(manager), (unsigned) r->uid);
        else
                strcpy(buffer, "local");
        return buffer;
}

/* One look at the file for a whole burst: a stat() for each recipient would be the largest part of the work. */
static void refresh(Manager *manager) {
        usec_t now = now_usec(CLOCK_BOOTTIME);

        if (manager->router_checked != 0 && now < manager->router_checked + USEC_PER_SEC / 4)
                return;
        manager->router_checked = now;
        int r = router_refresh(manager->router, log_config_report, NULL);
        if (r < 0)
                log_error_errno(r, "Cannot read %s: %m", manager->config->aliases);
}

/* Looks the users of a result up, one after another, until one exists. */

typedef struct Lookup {
        RouteRequest request;
        RouteResult result;
        size_t next;
        /* At the end: r < 0: cannot tell; else what the engine says. The result is the callee's. */
        void (*done)(Manager *manager, void *userdata, int r, RouteResult *result, uid_t uid);
        void *userdata;
} Lookup;

static void lookup_step(Manager *manager, Lookup *l);

static void lookup_end(Manager *manager, Lookup *l, int r, uid_t uid) {
        l->done(manager, l->userdata, r, &l->result, uid);
        route_result_done(&l->result);
        free(l);
}

/* Root's mail is delivered by a user of its own. */
static void on_root_user(Manager *manager, void *userdata, int r, const User *user) {
        if (r == USERS_NOT_FOUND)
                r = log_error_errno(ENOENT, "The user " POSTD_ROOT_USER " does not exist; root's mail waits. See systemd-sysusers(8).");
        lookup_end(manager, userdata, r, user ? user->uid : UID_UNKNOWN);
}

static void on_user(Manager *manager, void *userdata, int r, const User *user) {
        Lookup *l = userdata;
        RouteResult result = ROUTE_RESULT_INIT;

        if (r == USERS_NOT_FOUND && l->result.users[l->next]) {
                lookup_step(manager, l);
                return;
        }
        if (r >= 0)
                r = route_user(manager->router, &l->request, user ? &(RouteUser) { user->name, user->uid } : NULL, &result);
        if (r < 0) {
                lookup_end(manager, l, r, UID_UNKNOWN);
                return;
        }
        uid_t uid = user ? user->uid : UID_UNKNOWN;
        route_result_done(&l->result);
        l->result = result;
        if (result.kind == ROUTE_USER && uid == 0)
                users_lookup(manager->users, POSTD_ROOT_USER, on_root_user, l);
        else
                lookup_end(manager, l, 0, uid);
}

static void lookup_step(Manager *manager, Lookup *l) {
        users_lookup(manager->users, l->result.users[l->next++], on_user, l);
}

/* One step of the engine with its look-ups. The strings of the request must stay until done(). */
static void decide(Manager *manager, const RouteRequest *request,
                   void (*done)(Manager *, void *, int, RouteResult *, uid_t), void *userdata) {
        Lookup *l = new0(Lookup, 1);
        int r;

        if (!l) {
                RouteResult none = ROUTE_RESULT_INIT;
                done(manager, userdata, log_oom(), &none, UID_UNKNOWN);
                return;
        }
        *l = (Lookup) { .request = *request, .result = ROUTE_RESULT_INIT, .done = done, .userdata = userdata };
        refresh(manager);
        r = route_recipient(manager->router, request, &l->result);
        if (r < 0 || l->result.kind != ROUTE_USER) {
                lookup_end(manager, l, r, UID_UNKNOWN);
                return;
        }
        lookup_step(manager, l);
}

/* An attempt for a queued recipient. */

typedef struct Attempt {
        Recipient *recipient;
        const char *ancestors[];
} Attempt;

static void ready(Manager *manager, Recipient *r, uid_t uid) {
        char destination[DESTINATION_MAX];
        int k;

        r->uid = uid;
        if (r->message->held) { /* meanwhile */
                settle_untried(manager, r, 0);
                return;
        }
        k = scheduler_add(manager->scheduler, &r->job, recipient_destination(manager, r, destination), now_usec(CLOCK_BOOTTIME));
        if (k < 0) {
                log_error_errno(k, "Cannot schedule %s of message %s, trying again: %m", r->address, r->message->id.s);
                settle_untried(manager, r, LOOKUP_AGAIN_USEC);
                return;
        }
        recipient_set_ready(r);
        message_close(manager, r->message);
        manager_kick(manager);
}

static void on_decided(Manager *manager, void *userdata, int k, RouteResult *result, uid_t uid) {
        _cleanup_free_ Attempt *a = userdata;
        Recipient *r = a->recipient;

        if (k < 0) {
                settle_untried(manager, r, LOOKUP_AGAIN_USEC);
                return;
        }
        switch (result->kind) {
        case ROUTE_USER:
                ready(manager, r, uid);
                break;
        case ROUTE_EXPAND:
                expand(manager, r, result);
                break;
        case ROUTE_REMOTE:
                settle(manager, r, RESULT_DEFERRED, STATUS(4, 4, 4), "no transport", NULL);
                break;
        case ROUTE_REJECT: {
                bool unknown = result->status.subject == 1 && result->status.detail == 1 && r->tries < UNKNOWN_USER_TRIES &&
                        r->parent == RECIPIENT_NONE;
                settle(manager, r, unknown ? RESULT_DEFERRED : RESULT_FAILED, unknown ? STATUS(4, 1, 1) : result->status,
                       strempty(result->text), NULL);
                break;
        }
        default:
                settle(manager, r, RESULT_DEFERRED, result->status.class == 4 ? result->status : STATUS(4, 3, 5), strempty(result->text), NULL);
        }
}

void route_attempt(Manager *manager, Recipient *r) {
        const QueuedMessage *q = r->message->open;
        size_t n = 0;

        for (uint32_t i = r->parent; i < q->n_recipients; i = q->recipients[i].parent)
                n++;
        Attempt *a = calloc(1, sizeof(Attempt) + n * sizeof(char *));
        if (!a) {
                log_oom();
                settle_untried(manager, r, LOOKUP_AGAIN_USEC);
                return;
        }
        a->recipient = r;
        n = 0;
        for (uint32_t i = r->parent; i < q->n_recipients; i = q->recipients[i].parent)
                a->ancestors[n++] = q->recipients[i].address;
        decide(manager, &(RouteRequest) { .address = r->address, .ancestors = a->ancestors, .n_ancestors = n,
                                          .null_sender = r->message->null_sender }, on_decided, a);
}

static void on_open(Manager *manager, Message *m _unused_, void *userdata, int k) {
        Recipient *r = userdata;

        if (k < 0) {
                r->phase = PHASE_WAITING;
                recipient_wait(manager, r, now_usec(CLOCK_BOOTTIME) + manager->config->retry_min);
                return;
        }
        if (expand_in_progress(r))
                return; /* it is begun again when that is done: it may be a double by then */
        route_attempt(manager, r);
}

void route_recipient_begin(Manager *manager, Recipient *r) {
        if (manager->stopping)
                return;
        r->phase = PHASE_ROUTING;
        message_open(manager, r->message, false, on_open, r);
}

/* RCPT */

typedef struct Check {
        bool may_relay;
        check_callback_t callback;
        void *userdata;
} Check;

static void on_check(Manager *manager, void *userdata, int k, RouteResult *result, uid_t uid _unused_) {
        _cleanup_free_ Check *c = userdata;
        CheckReply reply = { CHECK_ACCEPT, 250, STATUS(2, 1, 5), "Recipient ok" };

        if (k < 0)
                reply = (CheckReply) { CHECK_DEFER, 451, STATUS(4, 3, 0), "Recipient cannot be looked up, try again later" };
        else if (result->kind == ROUTE_REJECT) {
                reply = (CheckReply) { .result = CHECK_REJECT, .code = 550, .status = result->status };
                (void) snprintf(reply.text, sizeof(reply.text), "%s", strempty(result->text));
        } else if (result->kind == ROUTE_DEFER)
                reply = (CheckReply) { CHECK_DEFER, 451, STATUS(4, 3, 5), "Recipient cannot be looked up, try again later" };
        else if (result->kind == ROUTE_REMOTE && !c->may_relay)
                reply = (CheckReply) { CHECK_REJECT, 550, STATUS(5, 7, 1), "Relaying is not permitted" };
        c->callback(manager, c->userdata, &reply);
}

void route_check(Manager *manager, const Origin *origin, const char *sender, const char *address,
                 check_callback_t callback, void *userdata) {
        Check *c = new0(Check, 1);
        if (!c) {
                log_oom();
                callback(manager, userdata, &(CheckReply) { CHECK_DEFER, 451, STATUS(4, 3, 0), "Out of memory, try again later" });
                return;
        }
        /* Mail that comes from this host, or from a user who has logged in, may go anywhere. */
        *c = (Check) { STR_IN_SET(origin->listener, "local", "inject") || origin->login, callback, userdata };
        decide(manager, &(RouteRequest) { .address = address, .null_sender = isempty(sender) }, on_check, c);
}
