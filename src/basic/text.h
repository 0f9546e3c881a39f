/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strings from outside: what they are made of, how to show them, how to read numbers from them. */

#include "basic/macro.h"

/* Length of the UTF-8 sequence at p (1 to 4), or -EBADMSG: overlong forms, surrogates, cut sequences and
 * everything above U+10FFFF are refused. n > 0. */
int utf8_sequence(const char *p, size_t n);
bool utf8_valid(const char *p, size_t n);
bool ascii_valid(const char *p, size_t n);

/* Is there a byte below 0x20 or 0x7F? */
bool has_control(const char *p, size_t n);

/* A copy fit for a journal message or a terminal: control bytes (also the C1 range of UTF-8), invalid UTF-8 and
 * line and direction controls of Unicode become \xNN; at most max bytes, cut with "..." beyond. NULL without memory. */
char *text_sanitize(const char *s, size_t max);

/* ASCII only; no locale ever. */
static inline char ascii_tolower(char c) {
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
}
static inline bool ascii_isdigit(char c) {
        return c >= '0' && c <= '9';
}
static inline bool ascii_isalpha(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool ascii_isalnum(char c) {
        return ascii_isdigit(c) || ascii_isalpha(c);
}
char *ascii_strlower(char *s);
int ascii_strncasecmp(const char *a, const char *b, size_t n);
bool ascii_strcaseeq(const char *a, const char *b);

/* Removes white space at both ends, in place. */
char *strstrip(char *s);

/* Decimal digits only, nothing around them: 0, -EINVAL or -ERANGE (above max). */
int parse_u64(const char *s, uint64_t max, uint64_t *ret);

/* yes/no, true/false, on/off, 1/0: 1 or 0, else -EINVAL. */
int parse_boolean(const char *s);

/* "50M", "512K", "1G" (1024), bare bytes, "infinity" (UINT64_MAX). */
int parse_size(const char *s, uint64_t *ret);

/* "4d", "30min", "1h 30s", bare seconds, "infinity" (USEC_INFINITY), in microseconds; as systemd.time(7),
 * without months and years. */
int parse_sec(const char *s, uint64_t *ret);
