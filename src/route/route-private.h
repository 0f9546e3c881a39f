/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by the files of the decision engine. */

#include "address/address.h"
#include "route/route.h"

struct Router {
        const Config *config;
        Aliases *aliases;  /* NULL: none configured, or not read yet */
        int error;         /* why the file could not be read, 0: it was */
};

/* A local part, as aliases and users know it. */
typedef struct LocalName {
        char exact[ADDRESS_LOCAL_MAX + 1]; /* without quotes */
        char lower[ADDRESS_LOCAL_MAX + 1];
        size_t base;                       /* length without the sub-address and its "+"; without one that of the whole */
} LocalName;

/* 0, or > 0 if it is no address. *ret_domain is NULL if it has none. */
int local_name_parse(const char *address, LocalName *ret, const char **ret_domain);

void trace(const RouteRequest *request, const char *format, ...) _printf_(2, 3);

/* Fills in kind, status and text; 0 or -ENOMEM. */
int result_set(RouteResult *ret, RouteKind kind, EnhancedStatus status, const char *format, ...) _printf_(4, 5);

/* The end of a step: on success (e >= 0) the result goes to the caller and its text to the trace. */
int result_hand_over(const RouteRequest *request, int e, RouteResult *result, RouteResult *ret);

/* Is the address, which is a plain one, already among its ancestors? < 0, 0, 1. */
int is_loop(const Router *r, const RouteRequest *request);

/* The targets of an alias, and the lines of a list, as children. */
int expand_alias(Router *r, const RouteRequest *request, const Alias *alias, const char *domain, RouteResult *ret);
int expand_list(Router *r, const RouteRequest *request, const char *path, RouteResult *ret);
int expand_to(const RouteRequest *request, const char *child, RouteResult *ret);

/* ROUTE_USER with the names to look up; ROUTE_REJECT if no user can have such a name. */
int offer_users(const RouteRequest *request, const LocalName *name, RouteResult *ret);
