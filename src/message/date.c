/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "message/date.h"

char *rfc5322_date(usec_t realtime, char buffer[static RFC5322_DATE_MAX]) {
        static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        /* Four digits of a year are all that the format has room for. */
        time_t t = MIN(realtime / USEC_PER_SEC, UINT64_C(253370764800));
        struct tm tm;

        /* The zone of the time itself ("-0500" in winter, "-0400" in summer); without one it is UTC, said as unknown. */
        if (!localtime_r(&t, &tm) && !gmtime_r(&t, &tm))
                tm = (struct tm) { .tm_mday = 1, .tm_year = 70, .tm_wday = 4 };
        long minutes = tm.tm_gmtoff / 60;
        long absolute = labs(minutes);

        (void) snprintf(buffer, RFC5322_DATE_MAX, "%.3s, %02d %.3s %04d %02d:%02d:%02d %c%02ld%02ld",
                        days[tm.tm_wday % 7], tm.tm_mday, months[tm.tm_mon % 12], (tm.tm_year + 1900) % 10000,
                        tm.tm_hour, tm.tm_min, tm.tm_sec, minutes < 0 ? '-' : '+', absolute / 60 % 100, absolute % 60);
        return buffer;
}
