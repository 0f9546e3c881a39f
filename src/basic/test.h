/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Assertions for tests: they say what was expected and what came, and end the program. */

#include <stdio.h>
#include "basic/macro.h"

#define _TEST_FAIL(...)                                                 \
        ({                                                              \
                fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);         \
                fprintf(stderr, __VA_ARGS__);                           \
                fputc('\n', stderr);                                    \
                abort();                                                \
        })

#define ASSERT_TRUE(x)                                                  \
        ({                                                              \
                if (!(x))                                               \
                        _TEST_FAIL("expected: %s", #x);                 \
        })
#define ASSERT_EQ(a, b)                                                 \
        ({                                                              \
                typeof(a) _ta = (a);                                    \
                typeof(b) _tb = (b);                                    \
                if ((long long) _ta != (long long) _tb)                                         \
                        _TEST_FAIL("%s == %s: %lld and %lld", #a, #b, (long long) _ta, (long long) _tb); \
        })
#define ASSERT_STREQ(a, b)                                              \
        ({                                                              \
                const char *_ta = (a), *_tb = (b);                      \
                if (!streq_ptr(_ta, _tb))                               \
                        _TEST_FAIL("%s: \"%s\" and \"%s\"", #a, _ta ?: "(null)", _tb ?: "(null)"); \
        })
/* Evaluates to the result, which must be >= 0. */
#define ASSERT_OK(x)                                                    \
        ({                                                              \
                typeof(x) _tr = (x);                                    \
                if (_tr < 0)                                            \
                        _TEST_FAIL("%s: %s", #x, strerror(-(int) _tr)); \
                _tr;                                                    \
        })
#define ASSERT_ERROR(x, e)                                              \
        ({                                                              \
                int _tr = (x);                                          \
                if (_tr != -(e))                                        \
                        _TEST_FAIL("%s: %d (%s), expected -%s", #x, _tr, _tr < 0 ? strerror(-_tr) : "no error", #e); \
        })
