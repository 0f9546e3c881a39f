/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "basic/strv.h"
#include "basic/text.h"
#include "route/route-private.h"

void route_result_done(RouteResult *r) {
        strv_free(r->users);
        strv_free(r->children);
        free(r->extension);
        free(r->sender);
        free(r->host);
        free(r->target);
        free(r->text);
        *r = ROUTE_RESULT_INIT;
}

int router_new(const Config *config, Router **ret) {
        Router *r = new0(Router, 1);
        if (!r)
                return -ENOMEM;
        r->config = config;
        r->error = -ENODATA;
        *ret = r;
        return 0;
}

Router *router_free(Router *r) {
        if (!r)
                return NULL;
        aliases_free(r->aliases);
        return mfree(r);
}

int router_refresh(Router *r, route_report_t report, void *userdata) {
        const char *path = r->config->aliases;
        Aliases *aliases;
        char text[512];

        if (!path || (r->aliases && r->error == 0 && !aliases_changed(r->aliases, AT_FDCWD)))
                return 0;
        int e = aliases_load(AT_FDCWD, path, report, userdata, &aliases);
        if (e >= 0) {
                aliases_free(r->aliases);
                r->aliases = aliases;
                r->error = 0;
                return 1;
        }
        /* Said once for each reason, not for each mail. */
        if (e != r->error && report) {
                (void) snprintf(text, sizeof(text), "%s: cannot be read, %s: %s", path,
                                r->aliases ? "keeping what was read before" : "local mail waits",
                                e == -EBADFD ? "not a plain file" : strerror(-e));
                report(LOG_ERR, text, userdata);
        }
        r->error = e;
        return 0;
}

void trace(const RouteRequest *request, const char *format, ...) {
        char text[1024];
        va_list ap;

        if (!request->trace)
                return;
        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        _cleanup_free_ char *shown = text_sanitize(text, sizeof(text));
        request->trace(strempty(shown), request->userdata);
}

int result_set(RouteResult *ret, RouteKind kind, EnhancedStatus status, const char *format, ...) {
        char *text;
        va_list ap;

        va_start(ap, format);
        int n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0)
                return -ENOMEM;
        ret->kind = kind;
        ret->status = status;
        ret->text = text;
        return 0;
}

int local_name_parse(const char *address, LocalName *ret, const char **ret_domain) {
        size_t n;

        if (!address_valid(address, ADDRESS_UTF8 | ADDRESS_UNQUALIFIED))
                return 1;
        address_split(address, &n, ret_domain);
        if (address_unquote_local(address, n, ret->exact, sizeof(ret->exact)) <= 0)
                return 1;
        memcpy(ret->lower, ret->exact, sizeof(ret->lower));
        ascii_strlower(ret->lower);
        ret->base = strlen(ret->lower);
        const char *plus = strchr(ret->lower + 1, '+');
        if (ret->lower[0] != '+' && plus)
                ret->base = (size_t) (plus - ret->lower);
        return 0;
}

char *route_normalize(const Router *r, const char *address, bool child) {
        LocalName name;
        const char *domain;
        char *s;

        /* No address has a control character: so nobody can write one that looks like another kind of target. */
        if ((child && alias_kind(address, NULL) != ALIAS_ADDRESS) || local_name_parse(address, &name, &domain) > 0)
                return asprintf(&s, "\001%s", address) < 0 ? NULL : s;
        if (!domain || config_domain_is_local(r->config, domain))
                return asprintf(&s, "%s@", name.lower) < 0 ? NULL : s;
        s = strdup(address);
        if (s)
                ascii_strlower(s + (domain - address));
        return s;
}

int is_loop(const Router *r, const RouteRequest *request) {
        _cleanup_free_ char *own = route_normalize(r, request->address, request->n_ancestors > 0);
        if (!own)
                return -ENOMEM;
        for (size_t i = 0; i < request->n_ancestors; i++) {
                _cleanup_free_ char *other = route_normalize(r, request->ancestors[i], i + 1 < request->n_ancestors);
                if (!other)
                        return -ENOMEM;
                if (streq(own, other))
                        return 1;
        }
        return 0;
}

int result_hand_over(const RouteRequest *request, int e, RouteResult *result, RouteResult *ret) {
        if (e < 0)
                return e;
        if (result->text)
                trace(request, "%s", result->text);
        *ret = *result;
        *result = ROUTE_RESULT_INIT;
        return 0;
}

/* By the whole name, then without the sub-address. */
static const Alias *find_alias(const Router *r, const LocalName *name) {
        char base[ADDRESS_LOCAL_MAX + 1];

        const Alias *alias = aliases_get(r->aliases, name->lower);
        if (alias || !name->lower[name->base])
                return alias;
        memcpy(base, name->lower, name->base);
        base[name->base] = 0;
        return aliases_get(r->aliases, base);
}

static int route_local(Router *r, const RouteRequest *request, const LocalName *name, const char *domain, RouteResult *ret) {
        static const LocalName root = { "root", "root", 4 };
        bool postmaster = streq(name->lower, "postmaster"); /* RFC 5321 4.5.1: always there */

        int loop = is_loop(r, request);
        if (loop < 0)
                return loop;
        if (loop > 0)
                trace(request, "%s is its own ancestor: a user, no alias", request->address);
        else if (r->config->aliases) {
                if (!r->aliases)
                        return result_set(ret, ROUTE_DEFER, STATUS(4, 3, 0), "%s cannot be read", r->config->aliases);
                const Alias *alias = find_alias(r, name);
                if (alias)
                        return expand_alias(r, request, alias, domain, ret);
                trace(request, "no alias for %s in %s", name->lower, r->config->aliases);
        }
        if (postmaster && loop == 0) {
                trace(request, "postmaster without an alias is root");
                return expand_to(request, "root", ret);
        }
        return offer_users(request, postmaster ? &root : name, ret);
}

static int route_address(Router *r, const RouteRequest *request, RouteResult *ret) {
        LocalName name;
        const char *domain;

        if (local_name_parse(request->address, &name, &domain) > 0)
                return result_set(ret, ROUTE_REJECT, STATUS(5, 1, 3), "not a valid address");
        if (domain && !config_domain_is_local(r->config, domain)) {
                ret->host = strdup(domain);
                if (!ret->host)
                        return -ENOMEM;
                ascii_strlower(ret->host);
                trace(request, "%s is not one of our domains: for another host", ret->host);
                return result_set(ret, ROUTE_REMOTE, STATUS(4, 4, 4), "no route to other hosts");
        }
        if (domain)
                trace(request, "%s is one of our domains", domain);
        return route_local(r, request, &name, domain, ret);
}

static int route_target(Router *r, const RouteRequest *request, RouteResult *ret) {
        const char *text, *domain;
        LocalName name;

        switch (alias_kind(request->address, &text)) {
        case ALIAS_ADDRESS:
                return route_address(r, request, ret);
        case ALIAS_DIRECT:
                if (local_name_parse(text, &name, &domain) > 0 || domain)
                        return result_set(ret, ROUTE_REJECT, STATUS(5, 1, 3), "not a user name");
                trace(request, "\\%s: the user, no alias", text);
                return offer_users(request, &name, ret);
        case ALIAS_INCLUDE:
                return expand_list(r, request, text, ret);
        case ALIAS_COMMAND:
        case ALIAS_FILE:
                break;
        }
        bool command = request->address[0] == '|';
        ret->target = strdup(text);
        if (!ret->target)
                return -ENOMEM;
        return result_set(ret, command ? ROUTE_COMMAND : ROUTE_FILE, STATUS(4, 3, 3), "delivery to a %s is not supported yet",
                          command ? "command" : "file");
}

int route_recipient(Router *r, const RouteRequest *request, RouteResult *ret) {
        _cleanup_(route_result_done) RouteResult result = ROUTE_RESULT_INIT;
        int e;

        if (request->n_ancestors >= r->config->alias_depth_max)
                e = result_set(&result, ROUTE_REJECT, STATUS(5, 4, 6), "too many aliases that lead to aliases (%u)",
                               r->config->alias_depth_max);
        else if (request->n_ancestors > 0)
                e = route_target(r, request, &result);
        else
                e = route_address(r, request, &result);
        return result_hand_over(request, e, &result, ret);
}
