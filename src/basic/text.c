/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/buf.h"
#include "basic/text.h"
#include "basic/usec.h"

int utf8_sequence(const char *s, size_t n) {
        const unsigned char *p = (const unsigned char *) s;
        size_t length;
        uint32_t c, least;

        if (p[0] < 0x80)
                return 1;
        if (p[0] >= 0xC2 && p[0] <= 0xDF)
                length = 2, c = p[0] & 0x1F, least = 0x80;
        else if ((p[0] & 0xF0) == 0xE0)
                length = 3, c = p[0] & 0x0F, least = 0x800;
        else if (p[0] >= 0xF0 && p[0] <= 0xF4)
                length = 4, c = p[0] & 0x07, least = 0x10000;
        else
                return -EBADMSG;

        if (n < length)
                return -EBADMSG;
        for (size_t i = 1; i < length; i++) {
                if ((p[i] & 0xC0) != 0x80)
                        return -EBADMSG;
                c = c << 6 | (p[i] & 0x3F);
        }
        if (c < least || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
                return -EBADMSG;
        return length;
}

bool utf8_valid(const char *p, size_t n) {
        while (n > 0) {
                int k = utf8_sequence(p, n);
                if (k < 0)
                        return false;
                p += k;
                n -= k;
        }
        return true;
}

bool ascii_valid(const char *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) p[i] >= 0x80)
                        return false;
        return true;
}

bool has_control(const char *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) p[i] < 0x20 || p[i] == 0x7F)
                        return true;
        return false;
}

/* What a terminal or a log viewer may take for more than a character: C0, DEL, C1, the line and paragraph
 * separators, the direction marks and overrides, the byte order mark. */
static bool is_printable(const char *s, int length) {
        const unsigned char *p = (const unsigned char *) s;

        switch (length) {
        case 1:
                return p[0] >= 0x20 && p[0] != 0x7F;
        case 2:
                return !(p[0] == 0xC2 && p[1] < 0xA0) && !(p[0] == 0xD8 && p[1] == 0x9C);
        case 3:
                if (p[0] == 0xE2 && p[1] == 0x80)
                        return !(p[2] >= 0x8B && p[2] <= 0x8F) && !(p[2] >= 0xA8 && p[2] <= 0xAE);
                if (p[0] == 0xE2 && p[1] == 0x81)
                        return !(p[2] >= 0xA0 && p[2] <= 0xAF);
                return !(p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF);
        default:
                return true;
        }
}

char *text_sanitize(const char *s, size_t max) {
        _cleanup_buf_ Buf b = BUF_INIT;
        size_t n = strlen(s);

        while (n > 0) {
                char escaped[5];
                const char *piece = s;
                size_t piece_size;

                int k = utf8_sequence(s, n);
                if (k > 0 && is_printable(s, k))
                        piece_size = k;
                else {
                        static const char digits[] = "0123456789abcdef";
                        unsigned char c = s[0];

                        memcpy(escaped, "\\x", 2);
                        escaped[2] = digits[c >> 4];
                        escaped[3] = digits[c & 15];
                        piece = escaped;
                        piece_size = 4;
                        k = 1;
                }
                if (b.size + piece_size > max) {
                        if (buf_append_str(&b, "...") < 0)
                                return NULL;
                        break;
                }
                if (buf_append(&b, piece, piece_size) < 0)
                        return NULL;
                s += k;
                n -= k;
        }
        return buf_take(&b, NULL);
}

char *ascii_strlower(char *s) {
        for (char *p = s; *p; p++)
                *p = ascii_tolower(*p);
        return s;
}

int ascii_strncasecmp(const char *a, const char *b, size_t n) {
        for (; n > 0; a++, b++, n--) {
                int d = (unsigned char) ascii_tolower(*a) - (unsigned char) ascii_tolower(*b);
                if (d != 0 || !*a)
                        return d;
        }
        return 0;
}

bool ascii_strcaseeq(const char *a, const char *b) {
        return ascii_strncasecmp(a, b, SIZE_MAX) == 0;
}

char *strstrip(char *s) {
        s += strspn(s, " \t\r\n");
        for (char *e = s + strlen(s); e > s && strchr(" \t\r\n", e[-1]); e--)
                e[-1] = 0;
        return s;
}

int parse_u64(const char *s, uint64_t max, uint64_t *ret) {
        uint64_t v = 0;

        if (!*s)
                return -EINVAL;
        for (; *s; s++) {
                if (!ascii_isdigit(*s))
                        return -EINVAL;
                if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
                    __builtin_add_overflow(v, (uint64_t) (*s - '0'), &v))
                        return -ERANGE;
        }
        if (v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_boolean(const char *s) {
        static const char *const yes[] = { "yes", "true", "on", "1" }, *const no[] = { "no", "false", "off", "0" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (ascii_strcaseeq(s, yes[i]))
                        return 1;
                if (ascii_strcaseeq(s, no[i]))
                        return 0;
        }
        return -EINVAL;
}

/* Reads the digits at *s and moves behind them. */
static int take_number(const char **s, uint64_t *ret) {
        size_t n = strspn(*s, "0123456789");
        char digits[21];

        if (n == 0)
                return -EINVAL;
        if (n >= sizeof(digits))
                return -ERANGE;
        memcpy(digits, *s, n);
        digits[n] = 0;
        *s += n;
        return parse_u64(digits, UINT64_MAX, ret);
}

int parse_size(const char *s, uint64_t *ret) {
        static const char units[] = "KMGT";
        uint64_t v;
        int r;

        if (streq(s, "infinity")) {
                *ret = UINT64_MAX;
                return 0;
        }
        r = take_number(&s, &v);
        if (r < 0)
                return r;
        if (*s) {
                const char *u = strchr(units, *s);
                if (!u || s[1])
                        return -EINVAL;
                if (__builtin_mul_overflow(v, UINT64_C(1) << (10 * (u - units + 1)), &v))
                        return -ERANGE;
        }
        *ret = v;
        return 0;
}

int parse_sec(const char *s, uint64_t *ret) {
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                { "us",      1               }, { "usec",   1               }, { "ms",    USEC_PER_MSEC   },
                { "msec",    USEC_PER_MSEC   }, { "s",      USEC_PER_SEC    }, { "sec",   USEC_PER_SEC    },
                { "second",  USEC_PER_SEC    }, { "seconds", USEC_PER_SEC   }, { "m",     USEC_PER_MINUTE },
                { "min",     USEC_PER_MINUTE }, { "minute", USEC_PER_MINUTE }, { "minutes", USEC_PER_MINUTE },
                { "h",       USEC_PER_HOUR   }, { "hr",     USEC_PER_HOUR   }, { "hour",  USEC_PER_HOUR   },
                { "hours",   USEC_PER_HOUR   }, { "d",      USEC_PER_DAY    }, { "day",   USEC_PER_DAY    },
                { "days",    USEC_PER_DAY    }, { "w",      USEC_PER_WEEK   }, { "week",  USEC_PER_WEEK   },
                { "weeks",   USEC_PER_WEEK   }, { "",       USEC_PER_SEC    },
        };
        uint64_t sum = 0;
        bool any = false;
        int r;

        if (streq(s, "infinity")) {
                *ret = USEC_INFINITY;
                return 0;
        }
        for (s += strspn(s, " "); *s; s += strspn(s, " ")) {
                uint64_t v, factor = 0;

                r = take_number(&s, &v);
                if (r < 0)
                        return r;
                s += strspn(s, " ");
                size_t n = 0;
                while (ascii_isalpha(s[n]))
                        n++;
                for (size_t i = 0; i < ELEMENTSOF(units) && factor == 0; i++)
                        if (strlen(units[i].name) == n && strncmp(units[i].name, s, n) == 0)
                                factor = units[i].usec;
                if (factor == 0)
                        return -EINVAL;
                s += n;
                if (__builtin_mul_overflow(v, factor, &v) || __builtin_add_overflow(sum, v, &sum))
                        return -ERANGE;
                any = true;
        }
        if (!any)
                return -EINVAL;
        if (sum == USEC_INFINITY)
                return -ERANGE;
        *ret = sum;
        return 0;
}
