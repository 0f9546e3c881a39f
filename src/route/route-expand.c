/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From one recipient to its children. A list or an alias with an error makes mail wait, never bounce. */

#include <fcntl.h>
#include <stdio.h>

#include "basic/fd.h"
#include "basic/map.h"
#include "basic/strv.h"
#include "route/route-private.h"

#define LIST_SIZE_MAX (16U * 1024 * 1024)

static void free_seen(Map *m) {
        char *s;

        MAP_FOREACH(s, m)
                free(s);
        map_done(m);
}

/* The targets, those that are the same only once. */
static int set_children(Router *r, const char *targets, size_t n, RouteResult *ret) {
        _cleanup_(free_seen) Map seen = MAP_INIT;
        _cleanup_strv_free_ char **children = new0(char *, n + 1);
        size_t k = 0;
        int e;

        if (!children)
                return -ENOMEM;
        if (n > r->config->alias_fanout_max)
                return result_set(ret, ROUTE_DEFER, STATUS(4, 5, 3), "more than %u recipients in one alias or list",
                                  r->config->alias_fanout_max);
        for (size_t i = 0; i < n; i++, targets += strlen(targets) + 1) {
                _cleanup_free_ char *key = route_normalize(r, targets, true);
                if (!key)
                        return -ENOMEM;
                e = map_put(&seen, key, key);
                if (e == -EEXIST)
                        continue;
                if (e < 0)
                        return e;
                TAKE_PTR(key);
                children[k] = strdup(targets);
                if (!children[k++])
                        return -ENOMEM;
        }
        ret->children = TAKE_PTR(children);
        ret->kind = ROUTE_EXPAND;
        return 0;
}

/* The local part in the form that an address needs. */
static int format_sender(const char *local, const char *domain, char **ret) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int e;

        e = buf_appendf(&b, "%s@%s", local, domain);
        if (e >= 0 && !address_valid(b.data, ADDRESS_UTF8)) {
                buf_clear(&b);
                e = buf_append(&b, "\"", 1);
                for (const char *p = local; *p && e >= 0; p++)
                        e = buf_appendf(&b, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
                if (e >= 0)
                        e = buf_appendf(&b, "\"@%s", domain);
        }
        if (e < 0)
                return e;
        if (!address_valid(b.data, ADDRESS_UTF8)) /* too long: then without an owner */
                return 0;
        *ret = buf_take(&b, NULL);
        return *ret ? 0 : -ENOMEM;
}

/* owner-NAME, if there is such an alias, gets the reports about the children (RFC 5321 3.9.2). */
static int set_owner(Router *r, const RouteRequest *request, const Alias *alias, const char *domain, RouteResult *ret) {
        _cleanup_free_ char *owner = NULL;
        int e;

        if (request->null_sender)
                return 0;
        if (asprintf(&owner, "owner-%s", alias->name) < 0)
                return -ENOMEM;
        if (!aliases_get(r->aliases, owner))
                return 0;
        if (!domain)
                domain = config_domain_is_local(r->config, r->config->mail_name) ? r->config->mail_name : r->config->host_name;
        e = format_sender(owner, domain, &ret->sender);
        if (e >= 0 && ret->sender)
                trace(request, "its owner becomes the sender: %s", ret->sender);
        return e;
}

int expand_alias(Router *r, const RouteRequest *request, const Alias *alias, const char *domain, RouteResult *ret) {
        int e;

        if (alias->broken)
                return result_set(ret, ROUTE_DEFER, STATUS(4, 3, 5), "%s:%u: the alias %s has an error",
                                  aliases_path(r->aliases), alias->line, alias->name);
        trace(request, "alias %s in %s:%u, targets: %u", alias->name, aliases_path(r->aliases), alias->line, alias->n_targets);
        e = set_owner(r, request, alias, domain, ret);
        if (e < 0)
                return e;
        return set_children(r, alias->targets, alias->n_targets, ret);
}

int expand_to(const RouteRequest *request _unused_, const char *child, RouteResult *ret) {
        int e = strv_extend(&ret->children, child);
        if (e >= 0)
                ret->kind = ROUTE_EXPAND;
        return e;
}

typedef struct List {
        Buf targets;
        size_t n;
        unsigned line;
        char error[100];
} List;

static void list_done(List *l) {
        buf_done(&l->targets);
}

static int on_entry(const AliasEntry *e, void *userdata) {
        List *l = userdata;

        if (e->error) {
                if (!*l->error) {
                        (void) snprintf(l->error, sizeof(l->error), "%s", e->error);
                        l->line = e->line;
                }
                return 0;
        }
        l->n += e->n_targets;
        return e->n_targets > 0 ? buf_append(&l->targets, e->targets, e->targets_size) : 0;
}

/* Whoever may write to a list decides who gets the mail; so only those who could as well write to the aliases. */
static const char *check_list(const Router *r, const struct stat *st) {
        if (st->st_uid != 0 && st->st_uid != aliases_owner(r->aliases))
                return "the list is owned neither by root nor by the owner of the alias file";
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return "the list is writable by others than its owner";
        return NULL;
}

int expand_list(Router *r, const RouteRequest *request, const char *path, RouteResult *ret) {
        _cleanup_(list_done) List l = {};
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size;
        int e;

        if (!r->aliases) /* who owns it is needed below */
                return result_set(ret, ROUTE_DEFER, STATUS(4, 3, 0), "the alias file cannot be read");
        e = read_file_at(AT_FDCWD, path, LIST_SIZE_MAX, &text, &size, &st);
        if (e == -ENOMEM)
                return e;
        if (e < 0)
                return result_set(ret, ROUTE_DEFER, STATUS(4, 3, 5), "%s: the list cannot be read: %s", path,
                                  e == -EBADFD ? "not a plain file" : strerror(-e));
        const char *wrong = check_list(r, &st);
        if (wrong)
                return result_set(ret, ROUTE_DEFER, STATUS(4, 3, 5), "%s: %s", path, wrong);
        e = alias_parse(text, size, true, on_entry, &l);
        if (e < 0)
                return e;
        if (*l.error)
                return result_set(ret, ROUTE_DEFER, STATUS(4, 3, 5), "%s:%u: %s", path, l.line, l.error);
        if (l.n == 0) /* perhaps it is being written */
                return result_set(ret, ROUTE_DEFER, STATUS(4, 2, 4), "%s: the list is empty", path);
        trace(request, "list %s, targets: %zu", path, l.n);
        return set_children(r, l.targets.data, l.n, ret);
}
