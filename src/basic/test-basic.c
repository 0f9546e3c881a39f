/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/buf.h"
#include "basic/crc32c.h"
#include "basic/heap.h"
#include "basic/map.h"
#include "basic/strv.h"
#include "basic/test.h"
#include "basic/text.h"
#include "basic/usec.h"

static void test_buf(void) {
        _cleanup_buf_ Buf b = BUF_INIT;

        ASSERT_OK(buf_append(&b, "a\0b", 3));
        ASSERT_OK(buf_appendf(&b, "%s-%d", "x", 7));
        ASSERT_EQ(b.size, 6U);
        ASSERT_EQ(memcmp(b.data, "a\0bx-7", 7), 0);
        buf_consume(&b, 3);
        ASSERT_STREQ(b.data, "x-7");

        size_t n;
        _cleanup_free_ char *s = buf_take(&b, &n);
        ASSERT_STREQ(s, "x-7");
        ASSERT_EQ(n, 3U);

        _cleanup_free_ char *empty = buf_take(&b, &n);
        ASSERT_STREQ(empty, "");
}

static void test_strv(void) {
        _cleanup_strv_free_ char **l = NULL;

        for (int i = 0; i < 100; i++) {
                char s[8];
                (void) snprintf(s, sizeof(s), "%d", i);
                ASSERT_OK(strv_extend(&l, s));
        }
        ASSERT_EQ(strv_length(l), 100U);
        ASSERT_STREQ(l[99], "99");
        ASSERT_EQ(strv_contains(l, "57"), true);
        ASSERT_EQ(strv_contains(l, "100"), false);

        _cleanup_strv_free_ char **w = NULL;
        ASSERT_OK(strv_split("  a b,,c ", " ,", &w));
        ASSERT_EQ(strv_length(w), 3U);
        ASSERT_STREQ(w[2], "c");
}

static void test_text(void) {
        static const struct {
                const char *in, *out;
        } table[] = {
                { "plain", "plain" },
                { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
                { "a\nb\x1b[31m", "a\\x0ab\\x1b[31m" },
                { "\xc2\x9b" "31m", "\\xc2\\x9b31m" },          /* C1 control sequence introducer */
                { "\xe2\x80\xae" "x", "\\xe2\\x80\\xaex" },     /* right-to-left override */
                { "\xff\xc3", "\\xff\\xc3" },
                { "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* surrogate */
                { "\xc0\xaf", "\\xc0\\xaf" },                   /* overlong */
        };
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *s = text_sanitize(table[i].in, 100);
                ASSERT_STREQ(s, table[i].out);
        }
        _cleanup_free_ char *cut = text_sanitize("abcdef", 3);
        ASSERT_STREQ(cut, "abc...");

        uint64_t v;
        ASSERT_OK(parse_u64("18446744073709551615", UINT64_MAX, &v));
        ASSERT_ERROR(parse_u64("18446744073709551616", UINT64_MAX, &v), ERANGE);
        ASSERT_ERROR(parse_u64("1 ", UINT64_MAX, &v), EINVAL);
        ASSERT_ERROR(parse_u64("-1", UINT64_MAX, &v), EINVAL);
        ASSERT_OK(parse_size("50M", &v));
        ASSERT_EQ(v, UINT64_C(50) << 20);
        ASSERT_ERROR(parse_size("99999999999T", &v), ERANGE);
        ASSERT_ERROR(parse_size("5MB", &v), EINVAL);
        ASSERT_OK(parse_sec("1h 30min", &v));
        ASSERT_EQ(v, 90 * USEC_PER_MINUTE);
        ASSERT_OK(parse_sec("4d", &v));
        ASSERT_EQ(v, 4 * USEC_PER_DAY);
        ASSERT_OK(parse_sec("15", &v));
        ASSERT_EQ(v, 15 * USEC_PER_SEC);
        ASSERT_ERROR(parse_sec("", &v), EINVAL);
        ASSERT_ERROR(parse_sec("4 fortnights", &v), EINVAL);
}

static void test_map(void) {
        enum { N = 5000 };
        _cleanup_(map_done) Map m = MAP_INIT;
        static char keys[N][8];

        for (size_t i = 0; i < N; i++) {
                (void) snprintf(keys[i], sizeof(keys[i]), "%zu", i);
                ASSERT_OK(map_put(&m, keys[i], keys[i]));
        }
        ASSERT_ERROR(map_put(&m, "77", keys[0]), EEXIST);
        for (size_t i = 0; i < N; i += 2)
                ASSERT_EQ(map_remove(&m, keys[i]) == keys[i], true);
        for (size_t i = 0; i < N; i++)
                ASSERT_EQ(map_get(&m, keys[i]) == (i % 2 ? keys[i] : NULL), true);

        size_t n = 0;
        char *value;
        MAP_FOREACH(value, &m)
                n++;
        ASSERT_EQ(n, (size_t) N / 2);
        for (size_t i = 1; i < N; i += 2)
                ASSERT_EQ(map_remove(&m, keys[i]) == keys[i], true);
        ASSERT_EQ(m.size, 0U);
}

typedef struct Thing {
        int order;
        HeapIndex index;
} Thing;

static int compare_things(const void *a, const void *b) {
        return ((const Thing *) a)->order - ((const Thing *) b)->order;
}

static void test_heap(void) {
        Heap h = HEAP_INIT(Thing, index, compare_things);
        Thing things[500];

        for (size_t i = 0; i < ELEMENTSOF(things); i++) {
                things[i] = (Thing) { .order = (int) (i * 7919 % 1000), .index = HEAP_NONE };
                ASSERT_OK(heap_push(&h, things + i));
        }
        for (size_t i = 0; i < ELEMENTSOF(things); i += 3)
                heap_remove(&h, things + i);
        things[1].order = -1;
        heap_moved(&h, things + 1);
        ASSERT_EQ(heap_peek(&h) == things + 1, true);

        int last = -2;
        for (Thing *t; (t = heap_peek(&h));) {
                ASSERT_EQ(t->order >= last, true);
                last = t->order;
                heap_remove(&h, t);
                ASSERT_EQ(t->index, HEAP_NONE);
        }
        heap_done(&h);
}

static void test_crc32c(void) {
        /* RFC 3720 B.4 and the usual check value. */
        uint8_t zeros[32] = {};

        ASSERT_EQ(crc32c(0, "123456789", 9), 0xE3069283U);
        ASSERT_EQ(crc32c(0, zeros, sizeof(zeros)), 0x8A9136AAU);
        ASSERT_EQ(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283U);
}

static void test_time(void) {
        char buffer[FORMAT_TIMESPAN_MAX];

        ASSERT_STREQ(format_timespan(buffer, sizeof(buffer), 2 * USEC_PER_HOUR + 5 * USEC_PER_MINUTE), "2h 5min");
        ASSERT_STREQ(format_timespan(buffer, sizeof(buffer), 350 * USEC_PER_MSEC), "350ms");
        ASSERT_STREQ(format_timespan(buffer, sizeof(buffer), 0), "0");
        ASSERT_EQ(usec_add(USEC_INFINITY - 1, 5), USEC_INFINITY);
        ASSERT_EQ(usec_sub(3, 5), 0U);
}

int main(void) {
        test_buf();
        test_strv();
        test_text();
        test_map();
        test_heap();
        test_crc32c();
        test_time();
        return 0;
}
