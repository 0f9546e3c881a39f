/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/strv.h"
#include "route/route-private.h"

#define USER_NAME_MAX 256U

/* May a user have this name? Nothing that a look-up could take for something else than a name. */
static bool user_name_possible(const char *s, size_t n) {
        bool digits_only = true;

        if (n == 0 || n > USER_NAME_MAX || s[0] == '-' || s[0] == '.')
                return false;
        for (size_t i = 0; i < n; i++) {
                if ((uint8_t) s[i] <= 0x20 || s[i] == 0x7F || strchr(":/\\,;'\"`|<>&*?()[]{}!#%", s[i]))
                        return false;
                if (s[i] < '0' || s[i] > '9')
                        digits_only = false;
        }
        return !digits_only;
}

static int offer(char ***users, const char *s, size_t n) {
        if (!user_name_possible(s, n))
                return 0;
        _cleanup_free_ char *name = strndup(s, n);
        if (!name)
                return -ENOMEM;
        return strv_contains(*users, name) ? 0 : strv_consume(users, TAKE_PTR(name));
}

int offer_users(const RouteRequest *request, const LocalName *name, RouteResult *ret) {
        size_t n = strlen(name->exact);
        int e;

        e = offer(&ret->users, name->exact, n);
        if (e >= 0)
                e = offer(&ret->users, name->lower, n);
        if (e >= 0)
                e = offer(&ret->users, name->exact, name->base);
        if (e >= 0)
                e = offer(&ret->users, name->lower, name->base);
        if (e < 0)
                return e;
        if (!ret->users)
                return result_set(ret, ROUTE_REJECT, STATUS(5, 1, 1), "no such user");
        if (name->base < n) {
                ret->extension = strdup(name->exact + name->base + 1);
                if (!ret->extension)
                        return -ENOMEM;
        }
        STRV_FOREACH(i, ret->users)
                trace(request, "user %s, if there is one", *i);
        ret->kind = ROUTE_USER;
        return 0;
}

bool route_uid_is_system(uid_t uid) {
        return (uid > 0 && uid < 1000) || (uid >= 60514 && uid <= 65535) || uid == UID_UNKNOWN;
}

/* The sub-address, if the user was found without it. */
static int set_extension(const RouteRequest *request, const RouteUser *user, RouteResult *ret) {
        const char *address = request->address, *domain;
        LocalName name;

        if (request->n_ancestors > 0 && alias_kind(address, NULL) == ALIAS_DIRECT)
                address++;
        if (local_name_parse(address, &name, &domain) > 0 || !name.exact[name.base] || strlen(user->name) != name.base)
                return 0;
        ret->extension = strdup(name.exact + name.base + 1);
        return ret->extension ? 0 : -ENOMEM;
}

static int route_found(Router *r, const RouteRequest *request, const RouteUser *user, int loop, RouteResult *ret) {
        int e;

        if (!route_uid_is_system(user->uid)) {
                e = strv_extend(&ret->users, user->name);
                if (e >= 0)
                        e = set_extension(request, user, ret);
                if (e < 0)
                        return e;
                ret->kind = ROUTE_USER;
                trace(request, "user %s, uid %u: %s", user->name, (unsigned) user->uid,
                      user->uid == 0 ? "to root's mailbox" :
                      r->config->deliver == DELIVER_MBOX ? "to his mailbox" : "to his maildir");
                return 0;
        }
        if (loop > 0)
                return result_set(ret, ROUTE_DEFER, STATUS(4, 3, 5), "SystemUsers=%s leads to a system user without an alias",
                                  r->config->system_users);
        trace(request, "user %s, uid %u, is a system user: to SystemUsers=%s", user->name, (unsigned) user->uid,
              r->config->system_users);
        return expand_to(request, r->config->system_users, ret);
}

int route_user(Router *r, const RouteRequest *request, const RouteUser *user, RouteResult *ret) {
        _cleanup_(route_result_done) RouteResult result = ROUTE_RESULT_INIT;
        int e;

        int loop = is_loop(r, request);
        if (loop < 0)
                return loop;
        if (user)
                e = route_found(r, request, user, loop, &result);
        else if (loop > 0)
                e = result_set(&result, ROUTE_REJECT, STATUS(5, 4, 6), "aliases lead back to where they began, and there is no such user");
        else
                e = result_set(&result, ROUTE_REJECT, STATUS(5, 1, 1), "no such user");
        return result_hand_over(request, e, &result, ret);
}
