/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/strv.h"

char **strv_free(char **l) {
        STRV_FOREACH(i, l)
                free(*i);
        return mfree(l);
}

size_t strv_length(char *const *l) {
        size_t n = 0;
        while (l && l[n])
                n++;
        return n;
}

bool strv_contains(char *const *l, const char *s) {
        STRV_FOREACH(i, l)
                if (streq(*i, s))
                        return true;
        return false;
}

int strv_consume(char ***l, char *s) {
        size_t n = strv_length(*l);

        /* Grows at powers of two, so that appending stays linear in allocations. */
        if ((n & (n + 1)) == 0 || !*l) {
                char **p = reallocarray(*l, (n + 1) * 2, sizeof(char *));
                if (!p) {
                        free(s);
                        return -ENOMEM;
                }
                *l = p;
        }
        (*l)[n] = s;
        (*l)[n + 1] = NULL;
        return 0;
}

int strv_extend(char ***l, const char *s) {
        char *copy = strdup(s);
        return copy ? strv_consume(l, copy) : -ENOMEM;
}

int strv_split(const char *s, const char *separators, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        int r;

        for (;;) {
                s += strspn(s, separators);
                size_t n = strcspn(s, separators);
                if (n == 0)
                        break;
                char *piece = strndup(s, n);
                if (!piece)
                        return -ENOMEM;
                r = strv_consume(&l, piece);
                if (r < 0)
                        return r;
                s += n;
        }
        *ret = TAKE_PTR(l);
        return 0;
}
