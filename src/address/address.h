/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses as they stand in envelopes: RFC 5321 4.1.2 (paths, mailboxes, address literals), 4.5.3.1 (lengths) and
 * RFC 6531 3.3 (UTF-8). Pure: nothing is allocated, an Address points into the text that was parsed.
 *
 * What these functions accept holds no control character, hence no CR, LF, NUL or tab, and no octet above 0x7F unless
 * ADDRESS_UTF8 was given; then it is valid UTF-8. An accepted address may be written into a command as it is. */

#include "basic/macro.h"

/* RFC 5321 4.5.3.1; a path counts its angle brackets. */
#define ADDRESS_LOCAL_MAX 64U
#define ADDRESS_DOMAIN_MAX 255U
#define ADDRESS_PATH_MAX 256U
#define ADDRESS_MAX (ADDRESS_PATH_MAX - 2)

typedef enum AddressFlags {
        ADDRESS_UTF8 = 1 << 0,        /* the SMTPUTF8 extension was asked for */
        ADDRESS_NULL = 1 << 1,        /* "<>" is fine: the reverse-path of a DSN */
        ADDRESS_UNQUALIFIED = 1 << 2, /* a bare local part is fine; "postmaster" always is */
} AddressFlags;

/* What may be wrong with it. */
enum {
        _ADDRESS_E_SUCCESS,
        ADDRESS_E_SYNTAX,
        ADDRESS_E_LENGTH, /* a part or the whole is too long */
        ADDRESS_E_UTF8,   /* would be fine with ADDRESS_UTF8 */
};

/* The mailbox is s[0..size), without angle brackets and source route; its local part (in its quotes, if it has any)
 * is s[0..local_size); domain points behind the @, NULL without one. size is 0 for "<>". Not NUL-terminated. */
typedef struct Address {
        const char *s;
        size_t size;
        size_t local_size;
        const char *domain;
        size_t domain_size;
} Address;

/* Parses a path in angle brackets at the start of s[0..n); *ret_rest (may be NULL: nothing may follow) is what comes
 * behind the ">". A source route is checked and left out (RFC 5321 appendix C). 0 or ADDRESS_E_*. */
int address_parse_path(const char *s, size_t n, AddressFlags flags, const char **ret_rest, Address *ret);

/* Parses all of s[0..n) as a mailbox without angle brackets; ADDRESS_NULL permits nothing at all. 0 or ADDRESS_E_*. */
int address_parse(const char *s, size_t n, AddressFlags flags, Address *ret);

/* Is the whole string an address? NULL is none. */
bool address_valid(const char *s, AddressFlags flags);

/* The domain of an address that is known to be valid, NULL if it has none. */
const char *address_domain(const char *s);

/* The same split in two: *ret_local_size octets of s, then the domain or NULL. */
void address_split(const char *s, size_t *ret_local_size, const char **ret_domain);

/* The local part without quotes and backslashes, which mean nothing (RFC 5321 4.1.2): "john doe" of "\"john doe\"".
 * At most room - 1 octets and a NUL; room of ADDRESS_LOCAL_MAX + 1 always does. Returns its length, or -ENOBUFS. */
ssize_t address_unquote_local(const char *s, size_t local_size, char *buffer, size_t room);

/* Do two valid addresses name the same mailbox? Domains without case (ASCII), local parts with case, without quotes. */
bool address_equal(const char *a, const char *b);

/* A domain name of labels (no trailing dot), also with an underscore, which hosts have in practice. Without
 * ADDRESS_UTF8 ASCII only. Not an address literal. */
bool domain_valid(const char *s, size_t n, AddressFlags flags);

/* "[192.0.2.1]" or "[IPv6:2001:db8::1]", brackets included. */
bool domain_literal_valid(const char *s, size_t n);
