/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The pure parts of postctl: tables, screens, JSON, times, ids. */

#include <locale.h>

#include "basic/test.h"
#include "postctl/json.h"
#include "postctl/match.h"
#include "postctl/screen.h"
#include "postctl/table.h"

static void test_colors(void) {
        ASSERT_TRUE(terminal_wants_colors(true, NULL, NULL, "xterm"));
        ASSERT_TRUE(!terminal_wants_colors(false, NULL, NULL, "xterm"));
        ASSERT_TRUE(!terminal_wants_colors(true, NULL, NULL, "dumb"));
        ASSERT_TRUE(!terminal_wants_colors(true, NULL, NULL, NULL));
        ASSERT_TRUE(!terminal_wants_colors(true, NULL, "1", "xterm"));
        ASSERT_TRUE(terminal_wants_colors(true, NULL, "", "xterm"));
        ASSERT_TRUE(!terminal_wants_colors(true, "0", NULL, "xterm"));
        ASSERT_TRUE(terminal_wants_colors(false, "256", "1", "dumb"));
        ASSERT_EQ(terminal_columns("132", 80), 132U);
        ASSERT_EQ(terminal_columns("wide", 100), 100U);
        ASSERT_EQ(terminal_columns("0", 0), 80U);
}

static void test_formats(void) {
        char relative[FORMAT_RELATIVE_MAX], size[FORMAT_SIZE_MAX], age[FORMAT_AGE_MAX];
        usec_t now = 1000 * USEC_PER_HOUR;

        ASSERT_STREQ(format_relative(relative, now, now - 5 * USEC_PER_MINUTE), "5min ago");
        ASSERT_STREQ(format_relative(relative, now, now + 2 * USEC_PER_HOUR + 30), "in 2h");
        ASSERT_STREQ(format_relative(relative, now, now + 30), "now");
        ASSERT_STREQ(format_age(age, 3 * USEC_PER_DAY + USEC_PER_HOUR), "3d");
        ASSERT_STREQ(format_age(age, USEC_PER_SEC - 1), "now");
        ASSERT_STREQ(format_age(age, USEC_INFINITY), "infinity");
        ASSERT_STREQ(format_size(size, 0), "0B");
        ASSERT_STREQ(format_size(size, 1023), "1023B");
        ASSERT_STREQ(format_size(size, 1024), "1.0K");
        ASSERT_STREQ(format_size(size, 1536), "1.5K");
        ASSERT_STREQ(format_size(size, 50 * 1024 * 1024), "50M");
        ASSERT_STREQ(format_size(size, UINT64_MAX), "15E");
        for (uint64_t n = 1000; n < 20000; n++)
                ASSERT_TRUE(strlen(format_size(size, n)) <= 5);
}

static void fits(const char *s, size_t width, const char *expected) {
        _cleanup_free_ char *p = text_fit(s, width);

        ASSERT_STREQ(p, expected);
        ASSERT_TRUE(text_width(p) <= width);
}

static void test_text(void) {
        ASSERT_EQ(text_width("abc"), (size_t) 3);
        ASSERT_EQ(text_width("grüße"), (size_t) 5);
        ASSERT_EQ(text_width("日本"), (size_t) 4);
        ASSERT_EQ(text_width("e\xcc\x81"), (size_t) 1); /* with a combining accent */
        fits("abcdef", 6, "abcdef");
        fits("abcdef", 5, "abcd…");
        fits("日本語", 5, "日本…");
        fits("日本語", 4, "日…"); /* no half characters */
        fits("日本語", 1, "…");
        fits("x", 0, "");
}

static void test_fit(void) {
        static const Column columns[] = { { "A" }, { "B", .least = 5 }, { "C", .least = 8 } };

        size_t wide[] = { 10, 20, 30 };
        table_fit(columns, 3, wide, 100);
        ASSERT_EQ(wide[2], (size_t) 30);
        table_fit(columns, 3, wide, 44);
        ASSERT_EQ(wide[0], (size_t) 10);
        ASSERT_EQ(wide[1] + wide[2], (size_t) 30);
        ASSERT_EQ(wide[1], (size_t) 15);
        table_fit(columns, 3, wide, 1);
        ASSERT_EQ(wide[0], (size_t) 10);
        ASSERT_EQ(wide[1], (size_t) 5);
        ASSERT_EQ(wide[2], (size_t) 8);
        size_t unlimited[] = { 10, 20, 3000 };
        table_fit(columns, 3, unlimited, 0);
        ASSERT_EQ(unlimited[2], (size_t) 3000);
}

static void test_table(void) {
        static const Column columns[] = { { "ID" }, { "N", .right = true }, { "TEXT", .least = 4 } };
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        const Terminal terminal = { .tty = true, .width = 16 };
        Table t = TABLE_INIT(f, &terminal, columns, true);

        ASSERT_OK(table_row(&t, (const char *[]) { "one", "1", "\x1b[31mred\x1b[0m" }, NULL));
        ASSERT_OK(table_row(&t, (const char *[]) { "two", "22", NULL }, NULL));
        ASSERT_OK(table_flush(&t));
        ASSERT_OK(table_row(&t, (const char *[]) { "three", "333", "tail" }, NULL)); /* goes out at once */
        table_done(&t);
        fclose(f);
        ASSERT_STREQ(text, "ID    N  TEXT\n"
                           "one   1  \\x1b[3…\n"
                           "two  22\n"
                           "three  333  tail\n");
}

static void test_table_plain(void) {
        static const Column columns[] = { { "A", .least = 2 }, { "B", .least = 2 } };
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        const Terminal terminal = {};
        Table t = TABLE_INIT(f, &terminal, columns, false);

        for (unsigned i = 0; i < 3 * TABLE_MEASURED_ROWS; i++)
                ASSERT_OK(table_row(&t, (const char *[]) { "a long value that is not cut", "b\nb" }, NULL));
        ASSERT_EQ(t.n_rows, (size_t) 0); /* nothing waits once the widths are known */
        table_done(&t);
        fclose(f);
        ASSERT_EQ(size, 3 * TABLE_MEASURED_ROWS * strlen("a long value that is not cut  b\\x0ab\n"));
}

static void shows(const char *in, size_t n, size_t piece, const char *expected) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        _cleanup_(screen_done) Screen s = SCREEN_INIT(f);

        for (size_t i = 0; i < n; i += piece)
                ASSERT_OK(screen_write(&s, in + i, MIN(piece, n - i)));
        ASSERT_OK(screen_flush(&s));
        fclose(f);
        ASSERT_STREQ(text, expected);
}

static void test_screen(void) {
        static const char in[] = "Subject: \x1b]0;own\x07\r\n\r\n\tTab\0nul \xc2\x9b" "31m \xff ü\r\nend";
        static const char expected[] = "Subject: \\x1b]0;own\\x07\n\n\tTab\\x00nul \\xc2\\x9b31m \\xff ü\nend\n";

        for (size_t piece = 1; piece < sizeof(in); piece++)
                shows(in, sizeof(in) - 1, piece, expected);
        shows("", 0, 1, "");

        _cleanup_free_ char *endless = malloc(200000);
        ASSERT_TRUE(endless);
        memset(endless, 'x', 200000);
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        _cleanup_(screen_done) Screen s = SCREEN_INIT(f);
        ASSERT_OK(screen_write(&s, endless, 200000));
        ASSERT_TRUE(s.line.size <= 64 * 1024);
        ASSERT_OK(screen_flush(&s));
        fclose(f);
        ASSERT_EQ(size, (size_t) 200000 + 4);
}

static void test_json(void) {
        _cleanup_free_ char *a = NULL, *b = NULL;

        ASSERT_OK(json_escape("{\"a\":\"ü\x7f\xc2\x9b\xf0\x9f\x93\xa7\"}", &a));
        ASSERT_STREQ(a, "{\"a\":\"\\u00fc\\u007f\\u009b\\ud83d\\udce7\"}");
        ASSERT_ERROR(json_escape("\"\xff\"", &b), EBADMSG);
}

static void test_ids(void) {
        _cleanup_(id_list_done) IdList l = {};

        ASSERT_TRUE(queue_id_matches("0123456789abcdef", "0123"));
        ASSERT_TRUE(queue_id_matches("0123456789abcdef", "cdef"));
        ASSERT_TRUE(!queue_id_matches("0123456789abcdef", "4567"));
        ASSERT_TRUE(!queue_id_matches("0123", "01234"));
        ASSERT_TRUE(queue_id_part_valid("abcd"));
        ASSERT_TRUE(queue_id_part_valid("0123456789abcdef"));
        ASSERT_TRUE(!queue_id_part_valid("abc"));
        ASSERT_TRUE(!queue_id_part_valid("abcu"));
        ASSERT_TRUE(!queue_id_part_valid("../../etc/passwd"));
        ASSERT_TRUE(!queue_id_part_valid(""));
        ASSERT_TRUE(!queue_id_part_valid("0123456789abcdef0"));

        ASSERT_ERROR(id_list_add(&l, "short"), EINVAL);
        for (unsigned i = 0; i < 1000; i++) {
                QueueId id;
                ASSERT_OK(queue_id_new((1000 - i) * USEC_PER_SEC, &id));
                ASSERT_OK(id_list_add(&l, id.s));
        }
        id_list_sort(&l);
        for (size_t i = 1; i < l.n; i++)
                ASSERT_TRUE(strcmp(l.items[i - 1].s, l.items[i].s) < 0);
}

static void test_addresses(void) {
        ASSERT_TRUE(address_matches("Bob@Example.org", "bob@example.org"));
        ASSERT_TRUE(!address_matches("bob@example.org", "bob"));
        ASSERT_TRUE(address_matches("bob@example.org", "@example.ORG"));
        ASSERT_TRUE(!address_matches("bob@an.example.org", "@example.org"));
        ASSERT_TRUE(address_matches("\"@a\"@example.org", "@example.org"));
        ASSERT_TRUE(!address_matches("bob", "@example.org"));
        ASSERT_TRUE(address_matches("", ""));
        ASSERT_TRUE(!address_matches("bob@example.org", ""));
}

int main(void) {
        ASSERT_TRUE(setlocale(LC_CTYPE, "C.UTF-8"));
        test_colors();
        test_formats();
        test_text();
        test_fit();
        test_table();
        test_table_plain();
        test_screen();
        test_json();
        test_ids();
        test_addresses();
        return 0;
}
