/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Address lists in header fields (RFC 5322 3.4 and the obsolete forms of 4.4): mailboxes with display names, groups,
 * comments, quoted strings, source routes. One address after another, no recursion, no allocation. */

#include "basic/macro.h"

#define ADDRESS_LIST_ADDRESS_MAX 1024U /* longer ones are bad */

typedef struct AddressItem {
        char address[ADDRESS_LIST_ADDRESS_MAX]; /* without comments, white space, source route and angle brackets */
        size_t local_end;  /* offset in the value right behind the local part: "@domain" could stand here */
        bool has_domain;
} AddressItem;

typedef enum AddressListResult {
        ADDRESS_LIST_END = 0,
        ADDRESS_LIST_ITEM = 1,
        ADDRESS_LIST_BAD = 2, /* something that is no address was skipped; *ret holds as much of its text as fits */
} AddressListResult;

typedef struct AddressListReader {
        const char *data;
        size_t size;
        size_t next;
} AddressListReader;

/* value: of a field, folded as it came (line ends of either kind are white space). */
void address_list_init(AddressListReader *r, const char *value, size_t size);
AddressListResult address_list_next(AddressListReader *r, AddressItem *ret);
