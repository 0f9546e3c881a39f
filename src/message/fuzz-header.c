/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first byte are the flags. Fields follow one another without gap and lie within the data. */

#include "basic/test.h"
#include "message/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size < 1)
                return 0;
        const char *p = (const char *) data + 1, *end = p + --size;
        HeaderFlags flags = data[0] & 1 ? HEADER_BARE_LF : 0;
        const char *last = NULL;
        HeaderReader h;
        HeaderField f;

        header_reader_init(&h, p, size, flags);
        while (header_next(&h, &f)) {
                ASSERT_TRUE(!last || f.start == last);
                last = f.start + f.size;
                ASSERT_TRUE(last == h.next && last <= end && f.size > 0);
                ASSERT_TRUE(f.name == f.start && f.name_size > 0 && f.name_size < f.size);
                ASSERT_TRUE(f.value > f.name && f.value + f.value_size <= last);
                ASSERT_TRUE(!memchr(f.name, '\n', f.name_size) && !memchr(f.name, ':', f.name_size));
        }
        ASSERT_EQ(header_end(p, size, flags), (size_t) (h.next - p));
        ASSERT_TRUE(header_count_received(p, size, flags) <= size / 9);
        (void) header_has_delivered_to(p, size, flags, "a@b");
        return 0;
}
