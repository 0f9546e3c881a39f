/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The decision engine: what becomes of a recipient. One step for one address at a time; pure but for the alias file
 * (router_refresh()) and lists (:include:), which are read here, and users, which the caller looks up in between:
 *
 *   route_recipient()  ROUTE_USER: look up users[0], then the others until one exists
 *   route_user()       ROUTE_USER: deliver to him; or what else becomes of it
 *
 * Every result that is neither ROUTE_USER nor ROUTE_EXPAND has a status and a text for the sender's report. */

#include "config/config.h"
#include "envelope/envelope.h"
#include "route/aliases.h"

typedef struct Router Router;

typedef enum RouteKind {
        ROUTE_USER,    /* a user of this host: users, extension */
        ROUTE_EXPAND,  /* children stand for it */
        ROUTE_REMOTE,  /* host: another host's */
        ROUTE_REJECT,  /* nobody, never */
        ROUTE_DEFER,   /* cannot be told now: a configuration to be repaired */
        ROUTE_COMMAND, /* target: not supported yet, to be deferred */
        ROUTE_FILE,    /* target: not supported yet, to be deferred */
        _ROUTE_KIND_MAX,
        _ROUTE_KIND_INVALID = -EINVAL,
} RouteKind;

typedef struct RouteRequest {
        /* An address as in the envelope; of a child also the other forms of route/alias-parse.h. */
        const char *address;
        /* Of a child: its parent, that one's parent, and so on up to the recipient of the envelope. */
        const char *const *ancestors;
        size_t n_ancestors;
        bool null_sender; /* of the message: then a list's owner does not become the sender */
        /* Called with each step as a line of text; NULL: none. */
        void (*trace)(const char *line, void *userdata);
        void *userdata;
} RouteRequest;

typedef struct RouteResult {
        RouteKind kind;
        char **users;      /* names to look up, in this order */
        char *extension;   /* the sub-address behind the "+", NULL: none */
        char **children;   /* ROUTE_EXPAND: each once */
        char *sender;      /* of the children: the list's owner; NULL: as the recipient's own */
        char *host;
        char *target;      /* command or file */
        EnhancedStatus status;
        char *text;
} RouteResult;

#define ROUTE_RESULT_INIT ((RouteResult) { .kind = _ROUTE_KIND_INVALID })
void route_result_done(RouteResult *r);

/* The configuration must stay as long as the router. Reads nothing yet. */
int router_new(const Config *config, Router **ret);
Router *router_free(Router *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(Router *, router_free);

/* Reads the alias file if it has changed (one stat() if not): before each batch of recipients. Errors in it are
 * reported; if it cannot be read the old one stays, and without an old one local mail waits. 1: read, 0: unchanged. */
int router_refresh(Router *r, route_report_t report, void *userdata);

/* < 0: our machine failed (-ENOMEM), *ret is not set. */
int route_recipient(Router *r, const RouteRequest *request, RouteResult *ret);

/* The same for the user that was found; user NULL: none of the names exists. ROUTE_USER: deliver to him (root's mail
 * under the static user for root). Mail of system users goes to SystemUsers=. */
typedef struct RouteUser {
        const char *name;
        uid_t uid;
} RouteUser;
int route_user(Router *r, const RouteRequest *request, const RouteUser *user, RouteResult *ret);

/* A user who is no person: below 1000 but not root, or in the range of dynamic users and nobody (60514 to 65535). */
bool route_uid_is_system(uid_t uid);

/* A form of the address that is the same for two which are the same recipient before aliases: local ones without
 * domain and case, others with the domain in lower case. child: it came from an expansion, where the other forms of
 * route/alias-parse.h have their meaning. For comparisons only. NULL without memory. */
char *route_normalize(const Router *r, const char *address, bool child);

/* For people: all steps for an address down to its ends, as lines; users through a callback (1: found, 0: not, < 0). */
typedef int (*route_lookup_t)(const char *name, uid_t *ret, void *userdata);
int route_explain(Router *r, const char *address, route_lookup_t lookup, void (*print)(const char *line, void *userdata), void *userdata);
