/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The rules as postd.conf(5) has them. A configuration that somebody else than root could have written would let that
 * somebody become any user, so it does not count. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/strv.h"
#include "config/config.h"
#include "spawnd/rules.h"

typedef void (*report_t)(int level, const char *line, void *userdata);

/* Also what a link points to. 0, -EPERM; what is not there is nobody's. */
static int check_owner(int dir_fd, const char *directory, const char *name, report_t report) {
        static const int flags[] = { AT_SYMLINK_NOFOLLOW, 0 };
        char line[512];
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
                if (fstatat(dir_fd, name, &st, flags[i]) < 0)
                        return errno == ENOENT ? 0 : negative_errno();
                if (st.st_uid == 0 && (S_ISLNK(st.st_mode) || S_ISCHR(st.st_mode) || !(st.st_mode & 0022)))
                        continue;
                (void) snprintf(line, sizeof(line), "%s/%s: must belong to root and be writable for nobody else", directory, name);
                report(LOG_ERR, line, NULL);
                return -EPERM;
        }
        return 0;
}

static int check_directory(const char *path, report_t report) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct dirent *entry;
        int r;

        if (fd < 0)
                return errno == ENOENT ? 0 : negative_errno();
        DIR *dir = fdopendir(fd);
        if (!dir)
                return -ENOMEM;
        TAKE_FD(fd);
        r = check_owner(dirfd(dir), path, ".", report);
        while (r >= 0 && (entry = readdir(dir)))
                if (!STR_IN_SET(entry->d_name, ".", ".."))
                        r = check_owner(dirfd(dir), path, entry->d_name, report);
        closedir(dir);
        return r;
}

static int rules_take_config(Rules *rules, const Config *c, report_t report) {
        char line[512];
        int r;

        rules->sessions_max = (size_t) c->sessions_max * 2 + 32;
        if (!streq(c->maildir, "Maildir")) {
                rules->maildir = strdup(c->maildir);
                if (!rules->maildir)
                        return -ENOMEM;
        }
        STRV_FOREACH(word, c->allow_users) {
                r = rules_allow(rules, *word, find_static_user);
                if (r >= 0)
                        continue;
                (void) snprintf(line, sizeof(line), "[Spawn] AllowUsers=: %s: %s", *word,
                                r == -ENOENT ? "no such user in /etc/passwd" : strerror(-r));
                report(LOG_ERR, line, NULL);
                return r;
        }
        return 0;
}

int rules_load(report_t report, Rules **ret) {
        _cleanup_(rules_freep) Rules *rules = NULL;
        _cleanup_(config_freep) Config *c = NULL;
        int r;

        r = check_directory("/etc/postd", report);
        if (r >= 0)
                r = check_directory("/etc/postd/postd.conf.d", report);
        if (r >= 0)
                r = config_load(NULL, report, NULL, &c);
        if (r >= 0)
                r = rules_new(&rules);
        if (r >= 0)
                r = rules_take_config(rules, c, report);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(rules);
        return 0;
}
