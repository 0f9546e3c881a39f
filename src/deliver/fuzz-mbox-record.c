/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The extended attribute of a mailbox, which its owner can set: what is read must be written as it was. */

#include "basic/test.h"
#include "deliver/mbox-record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_buf_ Buf b = BUF_INIT;
        MboxRecord r, again;

        if (size > MBOX_RECORD_SIZE_MAX || mbox_record_parse((const char *) data, size, &r) < 0)
                return 0;
        ASSERT_OK(mbox_record_format(&r, &b));
        ASSERT_OK(mbox_record_parse(b.data, b.size, &again));
        ASSERT_EQ(memcmp(&r, &again, sizeof(r)), 0);
        return 0;
}
