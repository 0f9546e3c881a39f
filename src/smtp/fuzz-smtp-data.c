/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first two octets seed the cutting; the rest is decoded whole and in pieces, and encoded. */

#include "basic/buf.h"
#include "smtp/data-decoder.h"
#include "smtp/data-encoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t next_random(uint32_t *seed) {
        *seed = *seed * 1103515245 + 12345;
        return *seed >> 16;
}

static int decode(const char *p, size_t n, uint32_t seed, Buf *b, size_t *ret_used) {
        SmtpDataDecoder d = {};
        size_t done = 0;
        int r = 0;

        while (done < n && r == 0) {
                size_t k = seed ? MIN((size_t) next_random(&seed) % 9 + 1, n - done) : n - done, used, size;
                const char *span;
                r = smtp_data_decode(&d, p + done, k, &used, &span, &size);
                assert(used > 0 && used <= k);
                if (buf_append(b, span ?: "", size) < 0)
                        abort();
                done += used;
        }
        *ret_used = done;
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_buf_ Buf whole = BUF_INIT, pieces = BUF_INIT, encoded = BUF_INIT, back = BUF_INIT, again = BUF_INIT;
        SmtpDataEncoder e = {}, f = {};
        size_t used, used_pieces;

        if (size < 2)
                return 0;
        uint32_t seed = data[0] + 256U * data[1] + 1;
        const char *p = (const char *) data + 2;
        size_t n = size - 2;

        int r = decode(p, n, 0, &whole, &used), q = decode(p, n, seed, &pieces, &used_pieces);
        /* How far a decoder looked before it gave up is its own affair. */
        assert(r == q && (r == SMTP_DATA_E_BARE || used == used_pieces));
        assert(whole.size == pieces.size && (whole.size == 0 || memcmp(whole.data, pieces.data, whole.size) == 0));
        if (r == SMTP_DATA_E_END) {
                assert(used >= 3 && memcmp(p + used - 3, ".\r\n", 3) == 0);
                assert(used == 3 || memcmp(p + used - 5, "\r\n.\r\n", 5) == 0);
        }

        /* Whatever the content, its encoded form ends where it ends, and is stable. */
        for (size_t i = 0; i < n;) {
                size_t k = MIN((size_t) next_random(&seed) % 9 + 1, n - i);
                if (smtp_data_encode(&e, &encoded, p + i, k) < 0)
                        abort();
                i += k;
        }
        if (smtp_data_encode_end(&e, &encoded) < 0)
                abort();
        assert(decode(encoded.data, encoded.size, seed, &back, &used) == SMTP_DATA_E_END);
        assert(used == encoded.size);
        if (smtp_data_encode(&f, &again, back.data ?: "", back.size) < 0 || smtp_data_encode_end(&f, &again) < 0)
                abort();
        assert(again.size == encoded.size && memcmp(again.data, encoded.data, again.size) == 0);
        return 0;
}
