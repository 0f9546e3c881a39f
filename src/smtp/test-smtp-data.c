/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/buf.h"
#include "basic/test.h"
#include "smtp/data-decoder.h"
#include "smtp/data-encoder.h"

/* Decodes in pieces of a size; returns the last result and the octets used. */
static int decode(const char *s, size_t n, size_t piece, Buf *ret, size_t *ret_used) {
        SmtpDataDecoder d = {};
        size_t done = 0;
        int r = 0;

        while (done < n && r == 0) {
                size_t k = MIN(piece, n - done), used, size;
                const char *span;
                r = smtp_data_decode(&d, s + done, k, &used, &span, &size);
                ASSERT_TRUE(used > 0 && used <= k);
                ASSERT_OK(buf_append(ret, span ?: "", size));
                done += used;
        }
        *ret_used = done;
        return r;
}

static void test_decode(void) {
        static const struct {
                const char *in, *out, *rest;
                int result;
        } table[] = {
                { ".\r\n", "", "", SMTP_DATA_E_END },
                { "a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n", SMTP_DATA_E_END },
                { "a\r\n..\r\n...b\r\n.c\r\n.\r\n", "a\r\n.\r\n..b\r\nc\r\n", "", SMTP_DATA_E_END },
                { "\r\n\r\n.\r\n", "\r\n\r\n", "", SMTP_DATA_E_END },
                { "a.\r\n.\r\n", "a.\r\n", "", SMTP_DATA_E_END },
                { "a\r\n", "a\r\n", "", 0 },
                { "a\n.\n", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\r.\r", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\r\n.\n", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\n.\r\n", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\r.\r\n", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\r\n.\rb", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\r\n.\r\r\n", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\r\r\n", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\r\n\n", NULL, NULL, SMTP_DATA_E_BARE },
                { "\n", NULL, NULL, SMTP_DATA_E_BARE },
                { "a\rb\r\n.\r\n", NULL, NULL, SMTP_DATA_E_BARE },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (size_t piece = 1; piece <= strlen(table[i].in); piece++) {
                        _cleanup_buf_ Buf b = BUF_INIT;
                        size_t used;
                        int r = decode(table[i].in, strlen(table[i].in), piece, &b, &used);
                        if (r != table[i].result)
                                _TEST_FAIL("case %zu, pieces of %zu: %d", i, piece, r);
                        if (table[i].out) {
                                ASSERT_EQ(b.size, strlen(table[i].out));
                                ASSERT_TRUE(b.size == 0 || memcmp(b.data, table[i].out, b.size) == 0);
                                ASSERT_STREQ(table[i].in + used, table[i].rest);
                        }
                }
}

static void test_encode(void) {
        static const struct {
                const char *in, *out;
        } table[] = {
                { "", ".\r\n" },
                { "a\nb\n", "a\r\nb\r\n.\r\n" },
                { "a\r\nb\r\n", "a\r\nb\r\n.\r\n" },
                { "a", "a\r\n.\r\n" },
                { ".\n..a\n.b", "..\r\n...a\r\n..b\r\n.\r\n" },
                { "10%\r20%\r\n", "10%\r\n20%\r\n.\r\n" },
                { "a\r\r\nb", "a\r\n\r\nb\r\n.\r\n" },
                { "\n.\r.\r\n.", "\r\n..\r\n..\r\n..\r\n.\r\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (size_t piece = 1; piece <= strlen(table[i].in) + 1; piece++) {
                        _cleanup_buf_ Buf b = BUF_INIT, back = BUF_INIT;
                        SmtpDataEncoder e = {};
                        size_t n = strlen(table[i].in), used;
                        for (size_t k = 0; k < n; k += piece)
                                ASSERT_OK(smtp_data_encode(&e, &b, table[i].in + k, MIN(piece, n - k)));
                        ASSERT_OK(smtp_data_encode_end(&e, &b));
                        ASSERT_STREQ(b.data, table[i].out);
                        /* What we send, we would take. */
                        ASSERT_EQ(decode(b.data, b.size, piece, &back, &used), SMTP_DATA_E_END);
                        ASSERT_EQ(used, b.size);
                }
}

int main(void) {
        test_decode();
        test_encode();
        return EXIT_SUCCESS;
}
