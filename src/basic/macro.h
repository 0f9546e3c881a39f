/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small language helpers in the style of libsystemd. May be included by everybody. */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define _cleanup_(f) __attribute__((__cleanup__(f)))
#define _cleanup_free_ _cleanup_(freep)
#define _printf_(a, b) __attribute__((__format__(printf, a, b)))
#define _unused_ __attribute__((__unused__))
#define _pure_ __attribute__((__pure__))
#define _fallthrough_ __attribute__((__fallthrough__))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
#define container_of(ptr, type, member) ((type *) ((char *) (ptr) - offsetof(type, member)))

#define MIN(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a < _b ? _a : _b; })
#define MAX(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })
#define CLAMP(x, low, high) MAX((low), MIN((x), (high)))

/* Hand a pointer (a descriptor) over: the variable is emptied, the value returned. */
#define TAKE_PTR(ptr) ({ typeof(ptr) *_pp = &(ptr); typeof(ptr) _p = *_pp; *_pp = NULL; _p; })
#define TAKE_FD(fd) ({ int *_fp = &(fd); int _f = *_fp; *_fp = -EBADF; _f; })

#define new0(t, n) ((t *) calloc((n), sizeof(t)))
#define mfree(p) ({ free(p); (typeof(p)) NULL; })
#define free_and_replace(a, b) ({ free(a); (a) = TAKE_PTR(b); 0; })

#define STR_IN_SET(x, ...) str_in_set((x), (const char *const[]) { __VA_ARGS__, NULL })
#define IN_SET(x, first, ...)                                                       \
        ({                                                                          \
                const typeof(x) _x = (x), _set[] = { (first), ##__VA_ARGS__ };      \
                bool _found = false;                                                \
                for (size_t _i = 0; _i < ELEMENTSOF(_set) && !_found; _i++)         \
                        _found = _set[_i] == _x;                                    \
                _found;                                                             \
        })

/* Defines funcp() for _cleanup_(funcp), which skips NULL. */
#define DEFINE_TRIVIAL_CLEANUP_FUNC(type, func)                                     \
        static inline void func##p(type *p) {                                       \
                if (*p)                                                             \
                        func(*p);                                                   \
        }                                                                           \
        struct __dummy_##func

static inline void freep(void *p) {
        free(*(void **) p);
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* NULL is equal to NULL only. */
static inline bool streq_ptr(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

static inline const char *strempty(const char *s) {
        return s ?: "";
}

static inline bool isempty(const char *s) {
        return !s || !*s;
}

/* Returns what follows the prefix, or NULL. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);
        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static inline bool str_in_set(const char *s, const char *const *set) {
        for (; *set; set++)
                if (streq_ptr(s, *set))
                        return true;
        return false;
}

/* Keeps errno as it was over the clean-up that follows. */
static inline void restore_errnop(const int *saved) {
        errno = *saved;
}
#define PROTECT_ERRNO _cleanup_(restore_errnop) _unused_ int _saved_errno_ = errno

/* errno as a negative number that is never 0, for calls that failed. */
static inline int negative_errno(void) {
        return errno > 0 ? -errno : -EIO;
}
