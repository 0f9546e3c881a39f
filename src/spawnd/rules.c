/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pwd.h>
#include <stdio.h>

#include "basic/strv.h"
#include "basic/text.h"
#include "ipc/names.h"
#include "spawnd/rules.h"

#define UID_NONE ((uid_t) -1)
#define RANGES_MAX 256

Rules *rules_free(Rules *r) {
        if (!r)
                return NULL;
        free(r->ranges);
        free(r->maildir);
        return mfree(r);
}

int rules_new(Rules **ret) {
        _cleanup_(rules_freep) Rules *r = new0(Rules, 1);
        int k;

        if (!r)
                return -ENOMEM;
        r->root_mail_uid = UID_NONE;
        r->sessions_max = RULES_SESSIONS_DEFAULT;
        /* People, and people with a home of systemd-homed (https://systemd.io/UIDS-GIDS). */
        k = rules_allow(r, "1000-60000 60001-60513", NULL);
        if (k < 0)
                return k;
        k = find_static_user(POSTD_ROOT_USER, &r->root_mail_uid);
        if (k < 0 && k != -ENOENT)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

static int parse_range(char *text, int (*find)(const char *name, uid_t *ret), UidRange *ret) {
        uint64_t first, last;
        uid_t uid;
        int r;

        if (!ascii_isdigit(text[0])) {
                r = find ? find(text, &uid) : -EINVAL;
                if (r < 0)
                        return r;
                if (uid == 0 || uid == UID_NONE)
                        return -ERANGE;
                *ret = (UidRange) { uid, uid };
                return 0;
        }
        char *dash = strchr(text, '-');
        if (dash)
                *dash = 0;
        r = parse_u64(text, UID_NONE - 1, &first);
        if (r < 0)
                return r;
        last = first;
        if (dash) {
                r = parse_u64(dash + 1, UID_NONE - 1, &last);
                if (r < 0)
                        return r;
        }
        if (first == 0 || last < first)
                return -ERANGE;
        *ret = (UidRange) { first, last };
        return 0;
}

int rules_allow(Rules *rules, const char *text, int (*find)(const char *name, uid_t *ret)) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = strv_split(text, " \t,", &words);
        if (r < 0)
                return r;
        size_t n = strv_length(words), added = 0;
        if (rules->n_ranges + n > RANGES_MAX)
                return -ERANGE;
        UidRange *ranges = reallocarray(rules->ranges, rules->n_ranges + n + 1, sizeof(UidRange));
        if (!ranges)
                return -ENOMEM;
        rules->ranges = ranges;
        STRV_FOREACH(word, words) {
                r = parse_range(*word, find, ranges + rules->n_ranges + added);
                if (r < 0)
                        return r;
                added++;
        }
        rules->n_ranges += added;
        return 0;
}

const char *rules_refuse(const Rules *r, uid_t uid) {
        if (uid == 0)
                return "no session runs as root";
        if (uid == UID_NONE)
                return "not a user";
        if (uid == r->root_mail_uid)
                return NULL;
        for (size_t i = 0; i < r->n_ranges; i++)
                if (uid >= r->ranges[i].first && uid <= r->ranges[i].last)
                        return NULL;
        return "system users get no session unless AllowUsers= names them";
}

int find_static_user(const char *name, uid_t *ret) {
        char buffer[4096];
        struct passwd entry, *found;
        int r = -ENOENT;

        FILE *f = fopen("/etc/passwd", "re");
        if (!f)
                return negative_errno();
        while (fgetpwent_r(f, &entry, buffer, sizeof(buffer), &found) == 0)
                if (streq(found->pw_name, name)) {
                        *ret = found->pw_uid;
                        r = 0;
                        break;
                }
        fclose(f);
        return r;
}
