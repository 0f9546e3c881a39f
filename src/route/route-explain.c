/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The engine with its steps printed. Follows every child, but prints no more than a person can read. */

#include <stdio.h>

#include "basic/strv.h"
#include "basic/text.h"
#include "route/route-private.h"

#define LINES_MAX 1000U
#define DEPTH_MAX 101U /* as AliasDepthMax= at most, and the first */

typedef struct Explanation {
        Router *router;
        route_lookup_t lookup;
        void (*print)(const char *line, void *userdata);
        void *userdata;
        size_t n_lines;
        size_t depth;
        const char *path[DEPTH_MAX]; /* the address and its ancestors, from the end */
} Explanation;

static void print_line(const char *line, void *userdata) {
        Explanation *x = userdata;
        char text[1200];

        if (x->n_lines++ >= LINES_MAX) {
                if (x->n_lines == LINES_MAX + 1)
                        x->print("...", x->userdata);
                return;
        }
        (void) snprintf(text, sizeof(text), "%*s%s", (int) (2 * MIN(x->depth, (size_t) 40)), "", line);
        x->print(text, x->userdata);
}

static int look_up(Explanation *x, char *const *users, RouteUser *ret) {
        uid_t uid;

        STRV_FOREACH(i, users) {
                int e = x->lookup(*i, &uid, x->userdata);
                if (e < 0)
                        return e;
                if (e > 0) {
                        *ret = (RouteUser) { *i, uid };
                        return 1;
                }
        }
        return 0;
}

static int explain(Explanation *x, const char *address) {
        _cleanup_(route_result_done) RouteResult result = ROUTE_RESULT_INIT, final = ROUTE_RESULT_INIT;
        const RouteResult *end = &result;
        int e;

        if (x->depth >= DEPTH_MAX || x->n_lines > LINES_MAX)
                return 0;
        _cleanup_free_ char *shown = text_sanitize(address, 512);
        print_line(strempty(shown), x);
        x->depth++;
        x->path[DEPTH_MAX - x->depth] = address;
        RouteRequest request = {
                .address = address,
                .ancestors = x->path + DEPTH_MAX - x->depth + 1,
                .n_ancestors = x->depth - 1,
                .trace = print_line,
                .userdata = x,
        };
        e = route_recipient(x->router, &request, &result);
        if (e >= 0 && result.kind == ROUTE_USER) {
                RouteUser user;
                int found = look_up(x, result.users, &user);
                if (found < 0)
                        print_line("users cannot be looked up now", x);
                else
                        e = route_user(x->router, &request, found > 0 ? &user : NULL, &final);
                end = &final;
        }
        if (e >= 0)
                STRV_FOREACH(child, end->children) {
                        e = explain(x, *child);
                        if (e < 0)
                                break;
                }
        x->depth--;
        return e;
}

int route_explain(Router *r, const char *address, route_lookup_t lookup, void (*print)(const char *line, void *userdata), void *userdata) {
        Explanation x = { .router = r, .lookup = lookup, .print = print, .userdata = userdata };
        return explain(&x, address);
}
