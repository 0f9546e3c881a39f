/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The blocking half of a look-up: getpwnam_r() and getpwuid_r(), in a thread of lookup.c. */

#include <pwd.h>

#include "basic/text.h"
#include "users/lookup.h"

#define ENTRY_SIZE_MAX (1024U * 1024U)
#define UID_LAST (UINT32_MAX - 1) /* the one above means "no uid" */

User *user_free(User *u) {
        if (!u)
                return NULL;
        free(u->name);
        free(u->home);
        free(u->real_name);
        return mfree(u);
}

LookupTable lookup_table_from_string(const char *s) {
        return streq_ptr(s, "users") ? LOOKUP_USERS : streq_ptr(s, "uids") ? LOOKUP_UIDS : _LOOKUP_TABLE_INVALID;
}

bool lookup_key_valid(LookupTable table, const char *key) {
        size_t n = strlen(key);
        uint64_t uid;

        if (table == LOOKUP_UIDS)
                return parse_u64(key, UID_LAST, &uid) >= 0;

        /* What passwd(5) and file names allow; not the stricter rules of useradd(8), which directory services break. */
        return n > 0 && n <= LOOKUP_KEY_MAX && !strpbrk(key, ":/") && !has_control(key, n) && utf8_valid(key, n) &&
               !STR_IN_SET(key, ".", "..");
}

static int user_from_passwd(const struct passwd *pw, User **ret) {
        _cleanup_(user_freep) User *u = new0(User, 1);

        if (!u)
                return -ENOMEM;
        /* A module may answer with what nobody asked for; a name that varlink cannot carry is no name. */
        if (!lookup_key_valid(LOOKUP_USERS, pw->pw_name))
                return -EBADMSG;
        u->uid = pw->pw_uid;
        u->gid = pw->pw_gid;
        u->name = strdup(pw->pw_name);
        if (!u->name)
                return -ENOMEM;
        if (pw->pw_dir && pw->pw_dir[0] == '/' && utf8_valid(pw->pw_dir, strlen(pw->pw_dir))) {
                u->home = strdup(pw->pw_dir);
                if (!u->home)
                        return -ENOMEM;
        }
        size_t n = strcspn(strempty(pw->pw_gecos), ",");
        if (n > 0 && utf8_valid(pw->pw_gecos, n)) {
                u->real_name = strndup(pw->pw_gecos, n);
                if (!u->real_name)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(u);
        return 0;
}

/* 0 with a user, 0 with NULL. Only an answer without error is definite: every errno may be a module that is not
 * there (ENOENT included), and then nobody may be told that the user does not exist. */
static int ask_nss(LookupTable table, const char *key, User **ret) {
        _cleanup_free_ char *buffer = NULL;
        uint64_t uid = 0;
        int r;

        if (table == LOOKUP_UIDS) {
                r = parse_u64(key, UID_LAST, &uid);
                if (r < 0)
                        return r;
        }
        for (size_t size = 4096; size <= ENTRY_SIZE_MAX; size *= 4) {
                struct passwd entry, *found = NULL;

                free(buffer);
                buffer = malloc(size);
                if (!buffer)
                        return -ENOMEM;
                r = table == LOOKUP_UIDS ? getpwuid_r((uid_t) uid, &entry, buffer, size, &found)
                                         : getpwnam_r(key, &entry, buffer, size, &found);
                if (r == ERANGE || r == EINTR)
                        continue;
                if (r != 0)
                        return -r;
                if (!found) {
                        *ret = NULL;
                        return 0;
                }
                return user_from_passwd(found, ret);
        }
        return -E2BIG;
}

int lookup_user(LookupTable table, const char *key, User **ret) {
        _cleanup_free_ char *lower = NULL;
        int r;

        r = ask_nss(table, key, ret);
        if (r < 0 || *ret || table == LOOKUP_UIDS)
                return r;

        lower = strdup(key);
        if (!lower)
                return -ENOMEM;
        return streq(ascii_strlower(lower), key) ? 0 : ask_nss(table, lower, ret);
}
