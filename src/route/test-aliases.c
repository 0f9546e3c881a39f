/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/test.h"
#include "basic/usec.h"
#include "route/aliases.h"

static int show(const AliasEntry *e, void *userdata) {
        Buf *b = userdata;
        const char *t = e->targets;

        ASSERT_OK(buf_appendf(b, "%u %s:", e->line, e->name ?: "-"));
        for (size_t i = 0; i < e->n_targets; i++, t += strlen(t) + 1)
                ASSERT_OK(buf_appendf(b, " <%s>", t));
        ASSERT_EQ(e->n_targets == 0 || t == e->targets + e->targets_size, true);
        return buf_appendf(b, "%s%.10s\n", e->error ? " !" : "", strempty(e->error));
}

static void test_parse(void) {
        static const struct {
                const char *text, *expected;
                bool is_list;
        } table[] = {
                { "", "" },
                { "\n  \n# c\n   # c\n", "" },
                { "root: bob", "1 root: <bob>\n" },
                { "Root : Bob@Example.ORG ,carol\n", "1 root: <Bob@Example.ORG> <carol>\n" },
                { "\nstaff: a,\n  b, # c\n# c\n\n\tc\nnext:d\n", "2 staff: <a> <b> <c>\n7 next: <d>\n" },
                { "a: b,,c,\n", "1 a: <b> <c>\n" },
                { "a:b\r\n c:d\r\n", "1 a: !white spac\n" },
                { "a: b # c\na2: b#c, d\n", "1 a: <b>\n2 a2: <b#c> <d>\n" },
                { "me: \\me, other@example.org\n", "1 me: <\\me> <other@example.org>\n" },
                { "x: |/bin/cat -n\ny: \"|/bin/sh -c 'a, b \\\"c\\\" # d'\"\nz: |\"cat, x\", a\n",
                  "1 x: <|/bin/cat -n>\n2 y: <|/bin/sh -c 'a, b \"c\" # d'>\n3 z: <|cat, x> <a>\n" },
                { "f: /dev/null\ng: \"/var/mail/a b\"\n", "1 f: </dev/null>\n2 g: </var/mail/a b>\n" },
                { "l: :include:/etc/list, \":Include:/etc/a, b\"\n", "1 l: <:include:/etc/list> <:include:/etc/a, b>\n" },
                { "\"John Doe\": \"jane doe\"@example.org, \"j\"\n", "1 john doe: <\"jane doe\"@example.org> <\"j\">\n" },
                { "a: Bob Builder <bob@example.org>, <carol>\n", "1 a: <bob@example.org> <carol>\n" },
                { "\xef\xbb\xbf" "a: \xc3\xa4@example.org\n", "1 a: <\xc3\xa4@example.org>\n" },
                /* What is wrong stays under its name where that can be made out. */
                { "a: b c\n", "1 a: !white spac\n" },
                { "a: @x\nb: c\n", "1 a: !neither a \n2 b: <c>\n" },
                { "a:\nb: ,\n", "1 a: !there is n\n2 b: !there is n\n" },
                { "a\n", "1 -: !there is n\n" },
                { ": b\n", "1 -: !there is n\n" },
                { " a: b\n", "1 -: !a continua\n" },
                { "a@example.org: b\n", "1 -: !the name m\n" },
                { "a: \"b\n c\"\n", "1 a: <\"b  c\">\n" },
                { "a: \"b\nc: d\n", "1 a: !a quote is\n2 c: <d>\n" },
                { "a: |\nb: :include:x\nc: \\\nd: \\u@x\ne: /x/\n", "1 a: !there is n\n2 b: !not an abs\n3 c: !not a user\n4 d: !not a user\n5 e: !the file's\n" },
                { "a: \"b\"c\n", "1 a: !neither a \n" },
                { "a: b\x01\nb: \xff\n", "1 -: !the line h\n2 -: !the line i\n" },
                /* Lists */
                { "a, b\n c # x\n# y\n\n<d@example.org>\n", "1 -: <a> <b>\n2 -: <c>\n5 -: <d@example.org>\n", true },
                { "|cmd\n/file\n:include:/x\n\\u\n", "1 -: !a list may\n2 -: !a list may\n3 -: <:include:/x>\n4 -: <\\u>\n", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_buf_ Buf b = BUF_INIT;
                ASSERT_OK(alias_parse(table[i].text, strlen(table[i].text), table[i].is_list, show, &b));
                ASSERT_STREQ(strempty(b.data), table[i].expected);
        }
        _cleanup_buf_ Buf b = BUF_INIT;
        ASSERT_OK(alias_parse("a: b\0c\nd: e", 11, false, show, &b));
        ASSERT_STREQ(b.data, "1 -: !the line h\n2 d: <e>\n");
}

/* Bounded: an endless line, an endless target. */
static void test_long(void) {
        _cleanup_buf_ Buf text = BUF_INIT, b = BUF_INIT;

        ASSERT_OK(buf_append_str(&text, "a: b"));
        for (size_t i = 0; i < ALIAS_LINE_MAX / 8; i++)
                ASSERT_OK(buf_append_str(&text, ",\n bcdefg"));
        ASSERT_OK(buf_append_str(&text, "\nc: |"));
        for (size_t i = 0; i < ALIAS_TARGET_MAX; i++)
                ASSERT_OK(buf_append(&text, "x", 1));
        ASSERT_OK(buf_append_str(&text, "\nd: e"));
        ASSERT_OK(alias_parse(text.data, text.size, false, show, &b));
        char expected[100];
        (void) snprintf(expected, sizeof(expected), "1 -: !the line i\n%u c: !a target i\n%u d: <e>\n", ALIAS_LINE_MAX / 8 + 2, ALIAS_LINE_MAX / 8 + 3);
        ASSERT_STREQ(b.data, expected);
}

static void report(int level, const char *line, void *userdata) {
        ASSERT_OK(buf_appendf(userdata, "%d %s\n", level, line));
}

static void put(const char *path, const char *text, size_t n) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        ASSERT_OK(fd);
        ASSERT_OK(write_full(fd, text, n));
}

static void test_load(const char *path) {
        static const char text[] = "Root: bob\nbroken: a b\nlist: a,b\nroot: carol\nnoname\n";
        _cleanup_(aliases_freep) Aliases *a = NULL, *missing = NULL;
        _cleanup_buf_ Buf b = BUF_INIT;
        char expected[512];

        put(path, text, strlen(text));
        ASSERT_OK(aliases_load(AT_FDCWD, path, report, &b, &a));
        (void) snprintf(expected, sizeof(expected),
                        "3 %s:2: broken: white space in a target (targets are separated by commas)\n"
                        "3 %s:5: there is no \":\" behind the name\n"
                        "4 %s:4: root: takes the place of the same name in line 1\n", path, path, path);
        ASSERT_STREQ(b.data, expected);
        ASSERT_EQ(aliases_count(a), 3U);
        ASSERT_STREQ(aliases_get(a, "root")->targets, "carol");
        ASSERT_EQ(aliases_get(a, "root")->line, 4U);
        ASSERT_EQ(aliases_get(a, "list")->n_targets, 2U);
        ASSERT_EQ(aliases_get(a, "broken")->broken, true);
        ASSERT_TRUE(!aliases_get(a, "noname"));
        ASSERT_EQ(aliases_owner(a), getuid());

        ASSERT_EQ(aliases_changed(a, AT_FDCWD), false);
        put(path, text, strlen(text) - 1);
        ASSERT_EQ(aliases_changed(a, AT_FDCWD), true);
        ASSERT_EQ(unlink(path), 0);
        ASSERT_EQ(aliases_changed(a, AT_FDCWD), true);

        ASSERT_OK(aliases_load(AT_FDCWD, path, report, &b, &missing));
        ASSERT_EQ(aliases_count(missing), 0U);
        ASSERT_EQ(aliases_changed(missing, AT_FDCWD), false);
        put(path, text, strlen(text));
        ASSERT_EQ(aliases_changed(missing, AT_FDCWD), true);

        Aliases *none;
        ASSERT_ERROR(aliases_load(AT_FDCWD, "/dev/null", report, &b, &none), EBADFD);
}

/* A file with nothing but errors does not fill the journal. */
static void test_many_errors(const char *path) {
        _cleanup_(aliases_freep) Aliases *a = NULL;
        _cleanup_buf_ Buf text = BUF_INIT, b = BUF_INIT;
        size_t n = 0;

        for (size_t i = 0; i < 10000; i++)
                ASSERT_OK(buf_append_str(&text, "bad\n"));
        put(path, text.data, text.size);
        ASSERT_OK(aliases_load(AT_FDCWD, path, report, &b, &a));
        for (const char *p = b.data; *p; p++)
                n += *p == '\n';
        ASSERT_EQ(n, 51U);
}

static void test_speed(const char *path) {
        enum { N = 100000 };
        _cleanup_(aliases_freep) Aliases *a = NULL;
        _cleanup_buf_ Buf text = BUF_INIT, b = BUF_INIT;

        for (size_t i = 0; i < N; i++)
                ASSERT_OK(buf_appendf(&text, "first.last%zu: user%zu@mail%zu.example.org, archive\n", i, i, i % 100));
        put(path, text.data, text.size);
        usec_t begin = now_usec(CLOCK_MONOTONIC);
        ASSERT_OK(aliases_load(AT_FDCWD, path, report, &b, &a));
        usec_t loaded = now_usec(CLOCK_MONOTONIC);
        for (size_t i = 0; i < N; i++) {
                char name[32];
                (void) snprintf(name, sizeof(name), "first.last%zu", i * 7919 % N);
                ASSERT_EQ(aliases_get(a, name)->n_targets, 2U);
        }
        printf("%d aliases, %zu bytes: read in %" PRIu64 " ms, look-up %" PRIu64 " ns\n", N, text.size,
               (loaded - begin) / 1000, (now_usec(CLOCK_MONOTONIC) - loaded) * 1000 / N);
        ASSERT_EQ(aliases_count(a), (size_t) N);
}

int main(void) {
        char path[] = "/tmp/test-aliases.XXXXXX";

        test_parse();
        test_long();
        _cleanup_close_ int fd = mkstemp(path);
        ASSERT_OK(fd);
        test_load(path);
        test_many_errors(path);
        test_speed(path);
        ASSERT_EQ(unlink(path), 0);
        return 0;
}
