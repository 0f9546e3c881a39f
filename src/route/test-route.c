/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/buf.h"
#include "basic/fd.h"
#include "basic/strv.h"
#include "basic/test.h"
#include "route/route.h"

static char directory[] = "/tmp/test-route.XXXXXX";
static char aliases_file[64], list_file[64];

static char host_name[] = "mx.example.org", mail_name[] = "example.org", localhost[] = "localhost", root[] = "root";
static char *local_domains[] = { host_name, mail_name, localhost, NULL };

static Config config_of(void) {
        return (Config) {
                .host_name = host_name,
                .mail_name = mail_name,
                .local_domains = local_domains,
                .alias_depth_max = 16,
                .alias_fanout_max = 100,
                .system_users = root,
                .aliases = aliases_file,
        };
}

static void put(const char *path, const char *text, mode_t mode) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ASSERT_OK(fd);
        ASSERT_OK(write_full(fd, text, strlen(text)));
        ASSERT_EQ(fchmod(fd, mode), 0);
}

static void ignore(int level _unused_, const char *line _unused_, void *userdata _unused_) {
}

static const char *const kinds[_ROUTE_KIND_MAX] = {
        [ROUTE_USER] = "user", [ROUTE_EXPAND] = "expand", [ROUTE_REMOTE] = "remote", [ROUTE_REJECT] = "reject",
        [ROUTE_DEFER] = "defer", [ROUTE_COMMAND] = "command", [ROUTE_FILE] = "file",
};

/* "user: bob carol +tag", "expand: a, b; sender x", "reject: 5.1.1", ... */
static char *format_result(const RouteResult *r) {
        Buf b = BUF_INIT;
        char status[ENHANCED_STATUS_MAX];

        ASSERT_OK(buf_appendf(&b, "%s", kinds[r->kind]));
        STRV_FOREACH(i, r->users)
                ASSERT_OK(buf_appendf(&b, " %s", *i));
        if (r->extension)
                ASSERT_OK(buf_appendf(&b, " +%s", r->extension));
        STRV_FOREACH(i, r->children)
                ASSERT_OK(buf_appendf(&b, " <%s>", *i));
        if (r->sender)
                ASSERT_OK(buf_appendf(&b, " from %s", r->sender));
        if (r->host || r->target)
                ASSERT_OK(buf_appendf(&b, " %s", r->host ?: r->target));
        if (r->text)
                ASSERT_OK(buf_appendf(&b, " %s", enhanced_status_format(r->status, status)));
        ASSERT_EQ(!r->text, r->kind == ROUTE_USER || r->kind == ROUTE_EXPAND);
        return buf_take(&b, NULL);
}

static RouteRequest request_of(char *ancestry, const char **ancestors) {
        RouteRequest q = { .ancestors = ancestors };

        q.address = strtok(ancestry, "<");
        for (const char *p; (p = strtok(NULL, "<"));)
                ancestors[q.n_ancestors++] = p;
        return q;
}

static void test_steps(void) {
        static const char aliases[] =
                "root: root, admin@example.net, Root@LOCALHOST\n"
                "list: bob, carol, Bob@example.org\n"
                "owner-list: carol\n"
                "\"two words\": bob\n"
                "\"owner-two words\": carol\n"
                "a: b\nb: a\n"
                "bob+old: carol\n"
                "dave: \\dave, dave@example.com\n"
                "broken: a b\n"
                "cmd: |/bin/cat\n"
                "members: :include:/x\n"
                "webmaster: postmaster\n";
        static const struct {
                const char *address; /* with "<" before each ancestor */
                const char *expected;
        } table[] = {
                { "bob", "user bob" },
                { "bob@example.org", "user bob" },
                { "Bob@EXAMPLE.org", "user Bob bob" },
                { "\"bob\"@localhost", "user bob" },
                { "Bob+Tag@example.org", "user Bob+Tag bob+tag Bob bob +Tag" },
                { "bob+old@example.org", "expand <carol>" },
                { "bob@example.com", "remote example.com 4.4.4" },
                { "bob@Sub.Example.Org", "remote sub.example.org 4.4.4" },
                { "bob@[192.0.2.1]", "remote [192.0.2.1] 4.4.4" },
                { "list@example.org", "expand <bob> <carol> from owner-list@example.org" },
                { "list", "expand <bob> <carol> from owner-list@example.org" },
                { "list@mx.example.org", "expand <bob> <carol> from owner-list@mx.example.org" },
                { "list+x@localhost", "expand <bob> <carol> from owner-list@localhost" },
                { "owner-list", "expand <carol>" },
                { "\"two words\"@localhost", "expand <bob> from \"owner-two words\"@localhost" },
                /* The classic: an alias that names itself is the user. */
                { "root", "expand <root> <admin@example.net>" },
                { "root<root", "user root" },
                { "ROOT@localhost<root@example.org", "user ROOT root" },
                { "a<b<a", "user a" },
                { "dave", "expand <\\dave> <dave@example.com>" },
                { "\\dave<dave", "user dave" },
                { "postmaster@example.org", "expand <root>" },
                { "PostMaster", "expand <root>" },
                { "postmaster<root<postmaster", "user root" },
                { "webmaster", "expand <postmaster>" },
                { "broken", "defer 4.3.5" },
                { "cmd", "expand <|/bin/cat>" },
                { "|/bin/cat<cmd", "command /bin/cat 4.3.3" },
                { "/dev/null<cmd", "file /dev/null 4.3.3" },
                /* From outside these are addresses like others, of users that cannot exist. */
                { "|/bin/cat", "reject 5.1.1" },
                { "/dev/null", "reject 5.1.1" },
                { "\\dave", "reject 5.1.3" },
                { ":include:/etc/passwd", "reject 5.1.3" },
                { "../bob", "reject 5.1.3" },
                { "x/bob", "reject 5.1.1" },
                { "1000", "reject 5.1.1" },
                { "\"a b\"", "reject 5.1.1" },
                { "@example.org", "reject 5.1.3" },
                { "", "reject 5.1.3" },
                { "-x", "reject 5.1.1" },
                { "+tag", "user +tag" },
        };
        _cleanup_(router_freep) Router *r = NULL;
        Config config = config_of();

        put(aliases_file, aliases, 0644);
        ASSERT_OK(router_new(&config, &r));
        ASSERT_EQ(router_refresh(r, ignore, NULL), 1);
        ASSERT_EQ(router_refresh(r, ignore, NULL), 0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(route_result_done) RouteResult result = ROUTE_RESULT_INIT;
                _cleanup_free_ char *ancestry = strdup(table[i].address), *text = NULL;
                const char *ancestors[8];
                RouteRequest q = *ancestry ? request_of(ancestry, ancestors) : (RouteRequest) { .address = "" };
                ASSERT_OK(route_recipient(r, &q, &result));
                text = format_result(&result);
                if (!streq(text, table[i].expected))
                        _TEST_FAIL("%s: \"%s\", expected \"%s\"", table[i].address, text, table[i].expected);
        }

        /* Reports about a report have no sender to replace. */
        _cleanup_(route_result_done) RouteResult result = ROUTE_RESULT_INIT;
        ASSERT_OK(route_recipient(r, &(RouteRequest) { .address = "list", .null_sender = true }, &result));
        ASSERT_STREQ(result.sender, NULL);
}

static void test_users(void) {
        static const struct {
                const char *address, *name;
                uid_t uid;
                const char *expected;
        } table[] = {
                { "bob", "bob", 1000, "user bob" },
                { "Bob+Tag", "bob", 1000, "user bob +Tag" },
                { "bob+tag", "bob+tag", 1001, "user bob+tag" },
                { "\\bob+x<bob", "bob", 1001, "user bob +x" },
                { "root", "root", 0, "user root" },
                { "daemon", "daemon", 1, "expand <root>" },
                { "nobody", "nobody", 65534, "expand <root>" },
                { "ldap", "ldap", 1234567, "user ldap" },
                { "home", "home", 60001, "user home" },
                { "dynamic", "dynamic", 61184, "expand <root>" },
                { "daemon<root<daemon", "daemon", 1, "defer 4.3.5" },
                { "none", NULL, 0, "reject 5.1.1" },
                { "a<b<a", NULL, 0, "reject 5.4.6" },
        };
        _cleanup_(router_freep) Router *r = NULL;
        Config config = config_of();

        ASSERT_OK(router_new(&config, &r));
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(route_result_done) RouteResult result = ROUTE_RESULT_INIT;
                _cleanup_free_ char *ancestry = strdup(table[i].address), *text = NULL;
                const char *ancestors[8];
                RouteRequest q = request_of(ancestry, ancestors);
                RouteUser user = { table[i].name, table[i].uid };
                ASSERT_OK(route_user(r, &q, user.name ? &user : NULL, &result));
                text = format_result(&result);
                if (!streq(text, table[i].expected))
                        _TEST_FAIL("%s: \"%s\", expected \"%s\"", table[i].address, text, table[i].expected);
        }
}

static char *step(Router *r, const char *address, size_t n_ancestors) {
        _cleanup_(route_result_done) RouteResult result = ROUTE_RESULT_INIT;
        const char *ancestors[32];

        for (size_t i = 0; i < n_ancestors; i++)
                ancestors[i] = "other@example.org";
        RouteRequest q = { .address = address, .ancestors = ancestors, .n_ancestors = n_ancestors };
        ASSERT_OK(route_recipient(r, &q, &result));
        return format_result(&result);
}
#define ASSERT_STEP(address, n, expected)                               \
        ({                                                              \
                _cleanup_free_ char *_s = step(r, (address), (n));      \
                ASSERT_STREQ(_s, (expected));                           \
        })

static void test_limits(void) {
        _cleanup_(router_freep) Router *r = NULL;
        _cleanup_buf_ Buf b = BUF_INIT;
        Config config = config_of();

        ASSERT_OK(buf_append_str(&b, "most: x0"));
        for (size_t i = 1; i < 100; i++)
                ASSERT_OK(buf_appendf(&b, ",x%zu", i));
        ASSERT_OK(buf_append_str(&b, "\nmany: y"));
        for (size_t i = 0; i < 100; i++)
                ASSERT_OK(buf_appendf(&b, ",x%zu", i));
        put(aliases_file, b.data, 0644);
        ASSERT_OK(router_new(&config, &r));
        ASSERT_OK(router_refresh(r, ignore, NULL));
        _cleanup_free_ char *most = step(r, "most", 0);
        ASSERT_TRUE(startswith(most, "expand <x0> <x1> "));
        ASSERT_STEP("many", 0, "defer 4.5.3");
        ASSERT_STEP("bob", 15, "user bob");
        ASSERT_STEP("bob", 16, "reject 5.4.6");
        ASSERT_STEP("|cmd", 16, "reject 5.4.6");
}

static void test_lists(void) {
        _cleanup_(router_freep) Router *r = NULL;
        Config config = config_of();
        char include[128];

        (void) snprintf(include, sizeof(include), ":include:%s", list_file);
        put(aliases_file, "", 0644);
        ASSERT_OK(router_new(&config, &r));
        ASSERT_OK(router_refresh(r, ignore, NULL));
        ASSERT_STEP(include, 1, "defer 4.3.5");
        put(list_file, "# members\nbob, carol\n:include:/more\nBOB@localhost\n", 0644);
        ASSERT_STEP(include, 1, "expand <bob> <carol> <:include:/more>");
        put(list_file, "bob\n|cmd\n", 0644);
        ASSERT_STEP(include, 1, "defer 4.3.5");
        put(list_file, "# nobody\n", 0644);
        ASSERT_STEP(include, 1, "defer 4.2.4");
        put(list_file, "bob\n", 0664);
        ASSERT_STEP(include, 1, "defer 4.3.5");
        put(list_file, "bob\n", 0646);
        ASSERT_STEP(include, 1, "defer 4.3.5");
        if (getuid() == 0) {
                put(list_file, "bob\n", 0644);
                ASSERT_EQ(chown(list_file, 1234, 1234), 0);
                ASSERT_STEP(include, 1, "defer 4.3.5");
                ASSERT_EQ(chown(aliases_file, 1234, 1234), 0);
                ASSERT_OK(router_refresh(r, ignore, NULL));
                ASSERT_STEP(include, 1, "expand <bob>");
                ASSERT_EQ(chown(aliases_file, 0, 0), 0);
        }
        ASSERT_EQ(unlink(list_file), 0);
        ASSERT_EQ(mkfifo(list_file, 0644), 0);
        ASSERT_STEP(include, 1, "defer 4.3.5");
        ASSERT_EQ(unlink(list_file), 0);
}

static void count(int level _unused_, const char *line _unused_, void *userdata) {
        ++*(size_t *) userdata;
}

/* A file that cannot be read keeps what was read before; without that, local mail waits. No file: no aliases. */
static void test_refresh(void) {
        _cleanup_(router_freep) Router *r = NULL, *bad = NULL, *none = NULL;
        Config config = config_of(), no_aliases = config_of();
        size_t n = 0;

        ASSERT_EQ(unlink(aliases_file), 0);
        ASSERT_OK(router_new(&config, &r));
        ASSERT_EQ(router_refresh(r, count, &n), 1);
        ASSERT_STEP("x", 0, "user x");
        put(aliases_file, "x: y\n", 0644);
        ASSERT_EQ(router_refresh(r, count, &n), 1);
        ASSERT_STEP("x", 0, "expand <y>");
        ASSERT_EQ(unlink(aliases_file), 0);
        ASSERT_EQ(mkfifo(aliases_file, 0644), 0);
        for (unsigned i = 0; i < 3; i++)
                ASSERT_EQ(router_refresh(r, count, &n), 0);
        ASSERT_EQ(n, 1U);
        ASSERT_STEP("x", 0, "expand <y>");

        ASSERT_OK(router_new(&config, &bad));
        ASSERT_EQ(router_refresh(bad, count, &n), 0);
        ASSERT_EQ(n, 2U);
        { Router *s = r; r = bad; ASSERT_STEP("x", 0, "defer 4.3.0"); ASSERT_STEP("x@example.com", 0, "remote example.com 4.4.4"); r = s; }
        ASSERT_EQ(unlink(aliases_file), 0);
        put(aliases_file, "x: z\n", 0644);
        ASSERT_EQ(router_refresh(r, count, &n), 1);
        ASSERT_STEP("x", 0, "expand <z>");

        no_aliases.aliases = NULL;
        ASSERT_OK(router_new(&no_aliases, &none));
        ASSERT_EQ(router_refresh(none, count, &n), 0);
        { Router *s = r; r = none; ASSERT_STEP("x", 0, "user x"); r = s; }
}

static void test_normalize(void) {
        static const struct {
                const char *a;
                bool a_child;
                const char *b;
                bool b_child, same;
        } table[] = {
                { "Bob", false, "bob@EXAMPLE.org", false, true },
                { "bob@localhost", false, "\"bob\"@mx.example.org", true, true },
                { "bob+a", false, "bob", false, false },
                { "bob@example.com", false, "bob@EXAMPLE.com", false, true },
                { "bob@example.com", false, "Bob@example.com", false, false },
                { "bob@example.com", false, "bob@example.org", false, false },
                { "\\bob", true, "bob", true, false },
                { "|cat", true, "|cat", true, true },
                { "|cat", false, "|cat", true, false }, /* an address from outside does not hide a command */
                { "/dev/null", false, "/dev/null", true, false },
        };
        _cleanup_(router_freep) Router *r = NULL;
        Config config = config_of();

        ASSERT_OK(router_new(&config, &r));
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *a = route_normalize(r, table[i].a, table[i].a_child);
                _cleanup_free_ char *b = route_normalize(r, table[i].b, table[i].b_child);
                if (streq(a, b) != table[i].same)
                        _TEST_FAIL("%s, %s: %s, %s", table[i].a, table[i].b, a, b);
        }
}

static int look_up(const char *name, uid_t *ret, void *userdata _unused_) {
        *ret = streq(name, "root") ? 0 : streq(name, "daemon") ? 1 : 1000;
        return STR_IN_SET(name, "root", "daemon", "bob") ? 1 : streq(name, "slow") ? -EAGAIN : 0;
}

static void print(const char *line, void *userdata) {
        ASSERT_OK(buf_appendf(userdata, "%s\n", line));
}

static void test_explain(void) {
        _cleanup_(router_freep) Router *r = NULL;
        _cleanup_buf_ Buf b = BUF_INIT, expected = BUF_INIT;
        Config config = config_of();

        put(aliases_file, "list: bob+x, daemon, carol, slow, dan@example.com\nowner-list: bob\nl: l1,l2\nl1: l,l1\nl2: l1,l2\n", 0644);
        ASSERT_OK(router_new(&config, &r));
        ASSERT_OK(router_refresh(r, ignore, NULL));
        ASSERT_OK(route_explain(r, "list@example.org", look_up, print, &b));
        ASSERT_OK(buf_appendf(&expected,
                "list@example.org\n"
                "  example.org is one of our domains\n"
                "  alias list in %1$s:1, targets: 5\n"
                "  its owner becomes the sender: owner-list@example.org\n"
                "  bob+x\n"
                "    no alias for bob+x in %1$s\n"
                "    user bob+x, if there is one\n"
                "    user bob, if there is one\n"
                "    user bob, uid 1000: to his mailbox\n"
                "  daemon\n"
                "    no alias for daemon in %1$s\n"
                "    user daemon, if there is one\n"
                "    user daemon, uid 1, is a system user: to SystemUsers=root\n"
                "    root\n"
                "      no alias for root in %1$s\n"
                "      user root, if there is one\n"
                "      user root, uid 0: to root's mailbox\n"
                "  carol\n"
                "    no alias for carol in %1$s\n"
                "    user carol, if there is one\n"
                "    no such user\n"
                "  slow\n"
                "    no alias for slow in %1$s\n"
                "    user slow, if there is one\n"
                "    users cannot be looked up now\n"
                "  dan@example.com\n"
                "    example.com is not one of our domains: for another host\n"
                "    no route to other hosts\n", aliases_file));
        ASSERT_STREQ(b.data, expected.data);

        /* Whatever the aliases are, it ends. */
        buf_clear(&b);
        ASSERT_OK(route_explain(r, "l", look_up, print, &b));
        ASSERT_TRUE(b.size > 0 && b.size < 200000);
}

int main(void) {
        ASSERT_TRUE(mkdtemp(directory));
        (void) snprintf(aliases_file, sizeof(aliases_file), "%s/aliases", directory);
        (void) snprintf(list_file, sizeof(list_file), "%s/list", directory);
        test_steps();
        test_users();
        test_limits();
        test_lists();
        test_refresh();
        test_normalize();
        test_explain();
        ASSERT_EQ(unlink(aliases_file), 0);
        ASSERT_EQ(rmdir(directory), 0);
        return 0;
}
