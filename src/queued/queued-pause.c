/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file has one pause per line, "what" or "what name"; names hold no white space. It is replaced as a whole. */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/buf.h"
#include "basic/fd.h"
#include "basic/text.h"
#include "queued/queued-event.h"
#include "queued/queued-pause.h"

#define PAUSES_MAX 256U
#define FILE_SIZE_MAX (128U * 1024)

static bool takes_name(const char *what) {
        return STR_IN_SET(what, "destination", "listener");
}

static bool valid(const char *what, const char *name) {
        if (takes_name(what))
                return !isempty(name) && strlen(name) <= 255 && !has_control(name, strlen(name)) && !strpbrk(name, " \t") &&
                        utf8_valid(name, strlen(name));
        return STR_IN_SET(what, "all", "local", "relay") && !name;
}

static int apply(Manager *manager, const char *what, const char *name, bool paused) {
        int (*f)(Scheduler *, const char *) = paused ? scheduler_pause : scheduler_resume;
        int r;

        if (streq(what, "all"))
                return f(manager->scheduler, NULL);
        if (streq(what, "relay"))
                return f(manager->scheduler, "relay:");
        if (streq(what, "destination"))
                return f(manager->scheduler, name);
        if (streq(what, "listener"))
                return 0;
        static const char *const local[] = { "mailbox:", "home:", "command:", "local" };
        for (size_t i = 0; i < ELEMENTSOF(local); i++) {
                r = f(manager->scheduler, local[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static Pause **find(Manager *manager, const char *what, const char *name) {
        Pause **p = &manager->pauses;

        while (*p && !(streq((*p)->what, what) && streq_ptr((*p)->name, name)))
                p = &(*p)->next;
        return p;
}

static Pause *pause_free(Pause *p) {
        if (!p)
                return NULL;
        free(p->what);
        free(p->name);
        return mfree(p);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(Pause *, pause_free);

static int add(Manager *manager, const char *what, const char *name) {
        _cleanup_(pause_freep) Pause *p = new0(Pause, 1);

        if (!p || !(p->what = strdup(what)) || (name && !(p->name = strdup(name))))
                return -ENOMEM;
        p->next = manager->pauses;
        manager->pauses = TAKE_PTR(p);
        return 0;
}

static int save(Manager *manager) {
        _cleanup_buf_ Buf b = BUF_INIT;
        _cleanup_close_ int dir = -EBADF, fd = -EBADF;
        int r;

        for (Pause *p = manager->pauses; p; p = p->next) {
                r = buf_appendf(&b, "%s%s%s\n", p->what, p->name ? " " : "", strempty(p->name));
                if (r < 0)
                        return r;
        }
        dir = open(manager->config->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return negative_errno();
        fd = openat(dir, "paused.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return negative_errno();
        r = write_full(fd, strempty(b.data), b.size);
        if (r < 0)
                return r;
        if (fsync(fd) < 0 || renameat(dir, "paused.new", dir, "paused") < 0 || fsync(dir) < 0)
                return negative_errno();
        return 0;
}

int pauses_load(Manager *manager) {
        _cleanup_close_ int dir = -EBADF;
        _cleanup_free_ char *text = NULL;
        int r;

        dir = open(manager->config->spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return negative_errno();
        r = read_file_at(dir, "paused", FILE_SIZE_MAX, &text, NULL, NULL);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n"));) {
                char *name = strchr(line, ' ');

                if (name)
                        *name++ = 0;
                if (!valid(line, name) || *find(manager, line, name))
                        continue;
                r = add(manager, line, name);
                if (r >= 0)
                        r = apply(manager, line, name, true);
                if (r < 0)
                        return r;
        }
        return 0;
}

int pause_set(Manager *manager, const char *what, const char *name, bool paused, uid_t by) {
        size_t n = 0;
        int r;

        if (!valid(what, name))
                return -EINVAL;
        Pause **p = find(manager, what, name);
        if (paused == !!*p)
                return paused ? 0 : -ENOENT;
        if (paused) {
                for (Pause *i = manager->pauses; i; i = i->next)
                        n++;
                r = n < PAUSES_MAX ? add(manager, what, name) : -ENOBUFS;
                if (r < 0)
                        return r;
        } else {
                Pause *gone = *p;
                *p = gone->next;
                pause_free(gone);
        }
        r = save(manager);
        if (r >= 0)
                r = apply(manager, what, name, paused);
        event_paused(manager, paused, what, name, by);
        manager_kick(manager);
        return r;
}

bool pause_listener(const Manager *manager, const char *listener) {
        for (const Pause *p = manager->pauses; p; p = p->next)
                if (streq(p->what, "listener") && streq(p->name, listener))
                        return true;
        return false;
}

void pauses_free(Manager *manager) {
        while (manager->pauses) {
                Pause *next = manager->pauses->next;
                pause_free(manager->pauses);
                manager->pauses = next;
        }
}
