/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>

#include "basic/crc32c.h"

#define POLYNOMIAL 0x82F63B78U /* reflected */

static uint32_t table[8][256];

static void fill_table(void) {
        for (uint32_t i = 0; i < 256; i++) {
                uint32_t c = i;
                for (int bit = 0; bit < 8; bit++)
                        c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
                table[0][i] = c;
        }
        for (uint32_t i = 0; i < 256; i++)
                for (int k = 1; k < 8; k++)
                        table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xFF];
}

/* Eight bytes a step by eight tables. */
static uint32_t crc32c_tables(uint32_t crc, const uint8_t *p, size_t n) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void) pthread_once(&once, fill_table);
        for (; n >= 8; p += 8, n -= 8) {
                uint32_t low = crc ^ ((uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24);
                crc = table[7][low & 0xFF] ^ table[6][low >> 8 & 0xFF] ^ table[5][low >> 16 & 0xFF] ^
                        table[4][low >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
        }
        for (; n > 0; p++, n--)
                crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xFF];
        return crc;
}

#ifdef __x86_64__
__attribute__((__target__("sse4.2"))) static uint32_t crc32c_sse(uint32_t crc, const uint8_t *p, size_t n) {
        uint64_t c = crc;

        for (; n >= 8; p += 8, n -= 8) {
                uint64_t word;
                memcpy(&word, p, sizeof(word));
                c = __builtin_ia32_crc32di(c, word);
        }
        for (; n > 0; p++, n--)
                c = __builtin_ia32_crc32qi((uint32_t) c, *p);
        return (uint32_t) c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n) {
        crc = ~crc;
#ifdef __x86_64__
        if (__builtin_cpu_supports("sse4.2"))
                return ~crc32c_sse(crc, p, n);
#endif
        return ~crc32c_tables(crc, p, n);
}
