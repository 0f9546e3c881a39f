/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first octet chooses the flags, the rest is the path. What is accepted must be safe to write into a command,
 * and mean the same when it is read again. */

#include "address/address.h"
#include "basic/test.h"
#include "basic/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Address a, b;
        const char *rest;

        if (size < 1)
                return 0;
        AddressFlags flags = data[0] & (ADDRESS_UTF8 | ADDRESS_NULL | ADDRESS_UNQUALIFIED);
        const char *s = (const char *) data + 1;
        size_t n = size - 1;

        (void) domain_valid(s, n, flags);
        (void) domain_literal_valid(s, n);
        (void) address_parse(s, n, flags, &a);

        if (address_parse_path(s, n, flags, &rest, &a) != 0)
                return 0;
        assert(rest > s && rest <= s + n && rest[-1] == '>');
        assert(a.size <= ADDRESS_MAX && a.local_size <= ADDRESS_LOCAL_MAX);
        assert(!has_control(a.s, a.size));
        assert((flags & ADDRESS_UTF8) ? utf8_valid(a.s, a.size) : ascii_valid(a.s, a.size));
        assert(address_parse(a.s, a.size, flags, &b) == 0);
        assert(b.size == a.size && b.local_size == a.local_size && b.domain == a.domain);

        _cleanup_free_ char *copy = strndup(a.s, a.size);
        assert(copy && strlen(copy) == a.size);
        const char *domain = address_domain(copy);
        assert(!domain == !a.domain);
        assert(!domain || strlen(domain) == a.domain_size);
        assert(address_equal(copy, copy));
        return 0;
}
