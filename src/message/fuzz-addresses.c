/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A header. What is extracted is clean and comes out the same when it is read as an address list again. */

#include "basic/strv.h"
#include "basic/test.h"
#include "basic/text.h"
#include "message/address-list.h"
#include "message/addresses.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const char *address) {
        AddressListReader r;
        AddressItem item;

        ASSERT_TRUE(*address && !has_control(address, strlen(address)));
        address_list_init(&r, address, strlen(address));
        ASSERT_TRUE(address_list_next(&r, &item) == ADDRESS_LIST_ITEM);
        ASSERT_STREQ(item.address, address);
        ASSERT_TRUE(address_list_next(&r, &item) == ADDRESS_LIST_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_strv_free_ char **good = NULL, **bad = NULL;

        if (addresses_extract((const char *) data, size, HEADER_BARE_LF, 1000, &good, &bad) < 0)
                return 0;
        STRV_FOREACH(i, good)
                check_again(*i);
        STRV_FOREACH(i, bad)
                ASSERT_TRUE(!has_control(*i, strlen(*i)));
        return 0;
}
