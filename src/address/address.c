/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parser of addresses. It never fails for a reason of ours: what it does not accept is the peer's fault. */

#include <arpa/inet.h>

#include "address/address.h"
#include "basic/text.h"

/* Length of the character of an address at p: 1 for printable ASCII, more for UTF-8, 0 for what may not stand there.
 * The C1 controls and line separators of Unicode count as controls. */
static size_t character(const char *p, size_t n) {
        unsigned char c = p[0];

        if (c < 0x80)
                return c >= 0x20 && c != 0x7F;
        int k = utf8_sequence(p, n);
        if (k < 0)
                return 0;
        if (k == 2 && c == 0xC2 && (unsigned char) p[1] < 0xA0)
                return 0;
        if (k == 3 && c == 0xE2 && (unsigned char) p[1] == 0x80 && IN_SET((unsigned char) p[2], 0xA8, 0xA9))
                return 0;
        return k;
}

static bool is_atext(char c) {
        return ascii_isalnum(c) || (c != 0 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* The functions that scan return the octets that belong to the item, 0 if there is none. */

static size_t scan_dot_string(const char *s, size_t n) {
        size_t i = 0;

        for (;;) {
                size_t start = i;
                while (i < n) {
                        if (is_atext(s[i])) {
                                i++;
                                continue;
                        }
                        if ((unsigned char) s[i] < 0x80)
                                break;
                        size_t k = character(s + i, n - i);
                        if (k == 0)
                                return 0;
                        i += k;
                }
                if (i == start)
                        return 0;
                if (i >= n || s[i] != '.')
                        return i;
                i++;
        }
}

static size_t scan_quoted_string(const char *s, size_t n) {
        size_t i = 1;

        while (i < n && s[i] != '"') {
                /* quoted-pairSMTP is a backslash and printable ASCII. */
                if (s[i] == '\\') {
                        i++;
                        if (i >= n || (unsigned char) s[i] >= 0x80)
                                return 0;
                }
                size_t k = character(s + i, n - i);
                if (k == 0)
                        return 0;
                i += k;
        }
        return i < n && i > 1 ? i + 1 : 0;
}

static size_t scan_local(const char *s, size_t n) {
        return n > 0 && s[0] == '"' ? scan_quoted_string(s, n) : scan_dot_string(s, n);
}

static bool label_valid(const char *s, size_t n) {
        return n >= 1 && n <= 63 && s[0] != '-' && s[n - 1] != '-';
}

static size_t scan_domain_name(const char *s, size_t n) {
        size_t i = 0;

        for (;;) {
                size_t start = i;
                while (i < n) {
                        if (ascii_isalnum(s[i]) || s[i] == '-' || s[i] == '_') {
                                i++;
                                continue;
                        }
                        if ((unsigned char) s[i] < 0x80)
                                break;
                        size_t k = character(s + i, n - i);
                        if (k == 0)
                                return 0;
                        i += k;
                }
                if (!label_valid(s + start, i - start))
                        return 0;
                if (i >= n || s[i] != '.')
                        return i;
                i++;
        }
}

static size_t scan_domain(const char *s, size_t n) {
        if (n == 0 || s[0] != '[')
                return scan_domain_name(s, n);
        const char *end = memchr(s, ']', n);
        if (!end || !domain_literal_valid(s, end - s + 1))
                return 0;
        return end - s + 1;
}

bool domain_valid(const char *s, size_t n, AddressFlags flags) {
        if (n == 0 || n > ADDRESS_DOMAIN_MAX || scan_domain_name(s, n) != n)
                return false;
        return (flags & ADDRESS_UTF8) || ascii_valid(s, n);
}

bool domain_literal_valid(const char *s, size_t n) {
        char text[INET6_ADDRSTRLEN];
        struct in6_addr a;
        int family = AF_INET;

        if (n < 2 || s[0] != '[' || s[n - 1] != ']')
                return false;
        s++, n -= 2;
        if (n > 5 && ascii_strncasecmp(s, "IPv6:", 5) == 0) {
                s += 5, n -= 5;
                family = AF_INET6;
        }
        if (n == 0 || n >= sizeof(text) || memchr(s, 0, n))
                return false;
        memcpy(text, s, n);
        text[n] = 0;
        return inet_pton(family, text, &a) == 1;
}

/* "@one.example,@two.example:" before the mailbox. SIZE_MAX if it is damaged. */
static size_t scan_source_route(const char *s, size_t n) {
        size_t i = 0;

        if (n == 0 || s[0] != '@')
                return 0;
        for (;;) {
                if (i >= n || s[i] != '@')
                        return SIZE_MAX;
                i++;
                size_t k = scan_domain(s + i, n - i);
                if (k == 0)
                        return SIZE_MAX;
                i += k;
                if (i >= n)
                        return SIZE_MAX;
                if (s[i] == ':')
                        return i + 1;
                if (s[i] != ',')
                        return SIZE_MAX;
                i++;
        }
}

/* The longest mailbox at the start of s. */
static int parse_mailbox(const char *s, size_t n, AddressFlags flags, Address *ret) {
        Address a = { .s = s };

        a.local_size = scan_local(s, n);
        if (a.local_size == 0)
                return ADDRESS_E_SYNTAX;
        a.size = a.local_size;
        if (a.size < n && s[a.size] == '@') {
                a.domain = s + a.size + 1;
                a.domain_size = scan_domain(a.domain, n - a.size - 1);
                if (a.domain_size == 0)
                        return ADDRESS_E_SYNTAX;
                a.size += 1 + a.domain_size;
        } else if (!(flags & ADDRESS_UNQUALIFIED) &&
                   !(a.size == 10 && ascii_strncasecmp(s, "postmaster", 10) == 0))
                return ADDRESS_E_SYNTAX;

        if (a.local_size > ADDRESS_LOCAL_MAX || a.domain_size > ADDRESS_DOMAIN_MAX || a.size > ADDRESS_MAX)
                return ADDRESS_E_LENGTH;
        if (!(flags & ADDRESS_UTF8) && !ascii_valid(s, a.size))
                return ADDRESS_E_UTF8;
        *ret = a;
        return 0;
}

int address_parse_path(const char *s, size_t n, AddressFlags flags, const char **ret_rest, Address *ret) {
        const char *end = s + n, *p = s;
        Address a = {};
        int r;

        if (n < 2 || *p != '<')
                return ADDRESS_E_SYNTAX;
        p++;
        if (*p == '>' && (flags & ADDRESS_NULL))
                a.s = p;
        else {
                size_t route = scan_source_route(p, end - p);
                if (route == SIZE_MAX)
                        return ADDRESS_E_SYNTAX;
                p += route;
                r = parse_mailbox(p, end - p, flags, &a);
                if (r != 0)
                        return r;
                /* Only an address with a domain has a way to it. */
                if (route > 0 && !a.domain)
                        return ADDRESS_E_SYNTAX;
                p += a.size;
        }
        if (p >= end || *p != '>')
                return ADDRESS_E_SYNTAX;
        p++;
        if (!ret_rest && p != end)
                return ADDRESS_E_SYNTAX;
        if (ret_rest)
                *ret_rest = p;
        *ret = a;
        return 0;
}

int address_parse(const char *s, size_t n, AddressFlags flags, Address *ret) {
        Address a = { .s = s };
        int r;

        if (n == 0 && (flags & ADDRESS_NULL)) {
                *ret = a;
                return 0;
        }
        r = parse_mailbox(s, n, flags, &a);
        if (r != 0)
                return r;
        if (a.size != n)
                return ADDRESS_E_SYNTAX;
        *ret = a;
        return 0;
}

bool address_valid(const char *s, AddressFlags flags) {
        Address a;

        return s && address_parse(s, strlen(s), flags, &a) == 0;
}

/* No domain holds an "@" or ends in a quote, so the last "@" is the one unless the address is a bare quoted string. */
const char *address_domain(const char *s) {
        size_t n = strlen(s);

        if (n == 0 || s[n - 1] == '"')
                return NULL;
        const char *at = memrchr(s, '@', n);
        return at ? at + 1 : NULL;
}

void address_split(const char *s, size_t *ret_local_size, const char **ret_domain) {
        const char *domain = address_domain(s);

        *ret_local_size = domain ? (size_t) (domain - 1 - s) : strlen(s);
        *ret_domain = domain;
}

ssize_t address_unquote_local(const char *s, size_t local_size, char *buffer, size_t room) {
        size_t i = 0, k = 0, end = local_size;
        bool quoted = local_size >= 2 && s[0] == '"' && s[local_size - 1] == '"';

        if (quoted)
                i++, end--;
        while (i < end) {
                if (quoted && s[i] == '\\' && i + 1 < end)
                        i++;
                if (k + 1 >= room)
                        return -ENOBUFS;
                buffer[k++] = s[i++];
        }
        if (k >= room)
                return -ENOBUFS;
        buffer[k] = 0;
        return k;
}

bool address_equal(const char *a, const char *b) {
        char x[ADDRESS_LOCAL_MAX + 1], y[ADDRESS_LOCAL_MAX + 1];
        const char *da, *db;
        size_t na, nb;

        address_split(a, &na, &da);
        address_split(b, &nb, &db);
        if (!da != !db || (da && !ascii_strcaseeq(da, db)))
                return false;
        ssize_t k = address_unquote_local(a, na, x, sizeof(x)), m = address_unquote_local(b, nb, y, sizeof(y));
        return k >= 0 && k == m && memcmp(x, y, k) == 0;
}
