/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/usec.h"

usec_t now_usec(clockid_t clock) {
        struct timespec ts;

        if (clock_gettime(clock, &ts) < 0 || ts.tv_sec < 0)
                return 0;
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / 1000;
}

usec_t usec_add(usec_t a, usec_t b) {
        usec_t sum;
        return __builtin_add_overflow(a, b, &sum) ? USEC_INFINITY : sum;
}

usec_t usec_sub(usec_t a, usec_t b) {
        if (a == USEC_INFINITY)
                return a;
        return a > b ? a - b : 0;
}

char *format_timespan(char *buffer, size_t size, usec_t t) {
        static const struct {
                const char *name;
                usec_t usec;
        } units[] = {
                { "w",   USEC_PER_WEEK   }, { "d",  USEC_PER_DAY  }, { "h", USEC_PER_HOUR },
                { "min", USEC_PER_MINUTE }, { "s",  USEC_PER_SEC  }, { "ms", USEC_PER_MSEC }, { "us", 1 },
        };

        if (t == USEC_INFINITY) {
                (void) snprintf(buffer, size, "infinity");
                return buffer;
        }
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                if (t < units[i].usec)
                        continue;
                usec_t major = t / units[i].usec, minor = 0;
                if (i + 1 < ELEMENTSOF(units))
                        minor = t % units[i].usec / units[i + 1].usec;
                if (minor > 0 && units[i].usec > USEC_PER_SEC)
                        (void) snprintf(buffer, size, "%" PRIu64 "%s %" PRIu64 "%s",
                                        major, units[i].name, minor, units[i + 1].name);
                else
                        (void) snprintf(buffer, size, "%" PRIu64 "%s", major, units[i].name);
                return buffer;
        }
        (void) snprintf(buffer, size, "0");
        return buffer;
}
