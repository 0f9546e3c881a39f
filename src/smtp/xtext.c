/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "smtp/xtext.h"

static int upper_hex(char c) {
        if (ascii_isdigit(c))
                return c - '0';
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Length of the xtext character at p (1 or 3), 0 if there is none. */
static size_t xchar(const char *p, size_t n, bool utf8) {
        unsigned char c = *p;

        if (c == '+')
                return n >= 3 && upper_hex(p[1]) >= 0 && upper_hex(p[2]) >= 0 ? 3 : 0;
        if (c >= 0x80) {
                int k = utf8 ? utf8_sequence(p, n) : 0;
                return k > 0 && !(c == 0xC2 && (unsigned char) p[1] < 0xA0) ? k : 0;
        }
        return c > 0x20 && c < 0x7F && c != '=';
}

static bool valid(const char *s, size_t n, bool utf8) {
        while (n > 0) {
                size_t k = xchar(s, n, utf8);
                if (k == 0)
                        return false;
                s += k;
                n -= k;
        }
        return true;
}

bool xtext_valid(const char *s, size_t n) {
        return valid(s, n, false);
}

bool orcpt_valid(const char *s, size_t n, bool utf8) {
        const char *semicolon = memchr(s, ';', n);

        if (n > SMTP_ORCPT_MAX || !semicolon || semicolon == s || semicolon == s + n - 1)
                return false;
        for (const char *p = s; p < semicolon; p++)
                if (!ascii_isalnum(*p) && *p != '-')
                        return false;
        return valid(semicolon + 1, s + n - semicolon - 1, utf8);
}

char *xtext_decode(const char *s) {
        char *result = malloc(strlen(s) + 1), *q = result;

        if (!result)
                return NULL;
        while (*s) {
                if (s[0] == '+' && upper_hex(s[1]) >= 0 && upper_hex(s[2]) >= 0) {
                        int c = upper_hex(s[1]) * 16 + upper_hex(s[2]);
                        if (c >= 0x20 && c != 0x7F) {
                                *q++ = c;
                                s += 3;
                                continue;
                        }
                }
                *q++ = *s++;
        }
        *q = 0;
        return result;
}

char *xtext_encode(const char *s) {
        static const char digits[] = "0123456789ABCDEF";
        char *result = malloc(3 * strlen(s) + 1), *q = result;

        if (!result)
                return NULL;
        for (; *s; s++) {
                unsigned char c = *s;
                if (c > 0x20 && c < 0x7F && c != '+' && c != '=')
                        *q++ = c;
                else {
                        *q++ = '+';
                        *q++ = digits[c >> 4];
                        *q++ = digits[c & 15];
                }
        }
        *q = 0;
        return result;
}
