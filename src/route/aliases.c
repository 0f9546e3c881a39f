/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All strings lie in one block, and the aliases in one array, so that 100,000 of them cost no 100,000 allocations. */

#include <fcntl.h>
#include <stdio.h>
#include <syslog.h>

#include "basic/fd.h"
#include "basic/map.h"
#include "basic/text.h"
#include "route/aliases.h"

#define REPORTS_MAX 50U

typedef struct Entry { /* while the block still moves */
        size_t name, targets;
        uint32_t n_targets, line;
        bool broken;
} Entry;

struct Aliases {
        char *path;
        struct stat st; /* all zero: no file */
        Buf strings;
        Alias *aliases;
        Map map;
};

typedef struct AliasLoader {
        Aliases *a;
        Entry *entries;
        size_t n_entries, allocated;
        size_t n_reports;
        route_report_t report;
        void *userdata;
} AliasLoader;

static void loader_done(AliasLoader *l) {
        free(l->entries);
}

Aliases *aliases_free(Aliases *a) {
        if (!a)
                return NULL;
        map_done(&a->map);
        free(a->aliases);
        buf_done(&a->strings);
        free(a->path);
        return mfree(a);
}

static void say(AliasLoader *l, int level, unsigned line, const char *name, const char *message) {
        char text[512];

        if (!l->report || l->n_reports > REPORTS_MAX)
                return;
        if (l->n_reports++ == REPORTS_MAX) {
                (void) snprintf(text, sizeof(text), "%s: more lines with errors follow", l->a->path);
                l->report(level, text, l->userdata);
                return;
        }
        _cleanup_free_ char *shown = name ? text_sanitize(name, 64) : NULL;
        (void) snprintf(text, sizeof(text), "%s:%u: %s%s%s", l->a->path, line, strempty(shown), shown ? ": " : "", message);
        l->report(level, text, l->userdata);
}

static int on_entry(const AliasEntry *e, void *userdata) {
        AliasLoader *l = userdata;
        Buf *b = &l->a->strings;
        int r;

        if (e->error)
                say(l, LOG_ERR, e->line, e->name, e->error);
        if (!e->name)
                return 0;
        if (l->n_entries == l->allocated) {
                size_t n = MAX(l->allocated * 2, (size_t) 64);
                Entry *p = reallocarray(l->entries, n, sizeof(Entry));
                if (!p)
                        return -ENOMEM;
                l->entries = p;
                l->allocated = n;
        }
        Entry entry = {
                .name = b->size,
                .targets = b->size + strlen(e->name) + 1,
                .n_targets = (uint32_t) e->n_targets,
                .line = e->line,
                .broken = !!e->error,
        };
        r = buf_append(b, e->name, strlen(e->name) + 1);
        if (r >= 0 && e->n_targets > 0)
                r = buf_append(b, e->targets, e->targets_size);
        if (r < 0)
                return r;
        l->entries[l->n_entries++] = entry;
        return 0;
}

/* The block has its final place: from offsets to pointers, and into the map. */
static int build(AliasLoader *l) {
        Aliases *a = l->a;
        size_t n = 0;
        int r;

        a->aliases = new0(Alias, MAX(l->n_entries, (size_t) 1));
        if (!a->aliases)
                return -ENOMEM;
        for (const Entry *e = l->entries; e < l->entries + l->n_entries; e++) {
                Alias alias = {
                        .name = a->strings.data + e->name,
                        .targets = a->strings.data + e->targets,
                        .n_targets = e->n_targets,
                        .line = e->line,
                        .broken = e->broken,
                };
                Alias *old = map_get(&a->map, alias.name);
                if (old) {
                        char text[64];
                        (void) snprintf(text, sizeof(text), "takes the place of the same name in line %u", old->line);
                        say(l, LOG_WARNING, e->line, alias.name, text);
                        alias.name = old->name; /* the key */
                        *old = alias;
                        continue;
                }
                a->aliases[n] = alias;
                r = map_put(&a->map, alias.name, a->aliases + n++);
                if (r < 0)
                        return r;
        }
        return 0;
}

int aliases_load(int dir_fd, const char *path, route_report_t report, void *userdata, Aliases **ret) {
        _cleanup_(aliases_freep) Aliases *a = new0(Aliases, 1);
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        int r;

        if (!a)
                return -ENOMEM;
        a->path = strdup(path);
        if (!a->path)
                return -ENOMEM;
        r = read_file_at(dir_fd, path, ALIASES_SIZE_MAX, &text, &size, &a->st);
        if (r < 0 && r != -ENOENT)
                return r;

        _cleanup_(loader_done) AliasLoader l = { .a = a, .report = report, .userdata = userdata };
        r = alias_parse(strempty(text), size, false, on_entry, &l);
        if (r >= 0)
                r = build(&l);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

bool aliases_changed(const Aliases *a, int dir_fd) {
        struct stat st;

        if (fstatat(dir_fd, a->path, &st, 0) < 0)
                return errno != ENOENT || a->st.st_ino != 0;
        return st.st_ino != a->st.st_ino || st.st_dev != a->st.st_dev || st.st_size != a->st.st_size ||
                st.st_mtim.tv_sec != a->st.st_mtim.tv_sec || st.st_mtim.tv_nsec != a->st.st_mtim.tv_nsec ||
                st.st_ctim.tv_sec != a->st.st_ctim.tv_sec || st.st_ctim.tv_nsec != a->st.st_ctim.tv_nsec;
}

const Alias *aliases_get(const Aliases *a, const char *name) {
        return map_get(&a->map, name);
}

const char *aliases_path(const Aliases *a) {
        return a->path;
}

uid_t aliases_owner(const Aliases *a) {
        return a->st.st_uid;
}

size_t aliases_count(const Aliases *a) {
        return a->map.size;
}
