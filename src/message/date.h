/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Dates of RFC 5322 3.3. */

#include "basic/usec.h"

#define RFC5322_DATE_MAX 40U

/* "Sat, 21 Nov 2026 20:16:45 +0000" in the local time zone, independent of the locale. Returns the buffer. Thread-safe. */
char *rfc5322_date(usec_t realtime, char buffer[static RFC5322_DATE_MAX]);
#define RFC5322_DATE(t) rfc5322_date((t), (char[RFC5322_DATE_MAX]) {})
