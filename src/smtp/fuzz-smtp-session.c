/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first octet chooses the kind of listener, the next two seed the cutting. A session gives the same replies and takes the
 * same messages, however its input is cut. */

#include "smtp/test-session-driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        SmtpSessionOptions options = driver_options;
        Driver whole, pieces;

        if (size < 3)
                return 0;
        options.lmtp = data[0] & 1;
        options.local = !(data[0] & 2);
        options.origin = !(data[0] & 4);
        uint32_t seed = data[1] + 256U * data[2];
        data += 3, size -= 3;

        driver_init(&whole, &options);
        driver_feed(&whole, data, size);

        driver_init(&pieces, &options);
        for (size_t i = 0; i < size && !pieces.closed;) {
                seed = seed * 1103515245 + 12345;
                size_t k = MIN((size_t) (seed >> 16) % 31 + 1, size - i);
                driver_feed(&pieces, data + i, k);
                i += k;
        }

        const Buf *a = &whole.session.output, *b = &pieces.session.output;
        assert(a->size == b->size && memcmp(a->data, b->data, a->size) == 0);
        a = &whole.messages, b = &pieces.messages;
        assert(a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0));
        assert(whole.closed == pieces.closed);
        driver_done(&whole);
        driver_done(&pieces);
        return 0;
}
