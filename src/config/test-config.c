/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/buf.h"
#include "basic/fd.h"
#include "basic/strv.h"
#include "basic/test.h"
#include "config/config-key.h"

static char root[] = "/tmp/test-config.XXXXXX";

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_, struct FTW *ftw _unused_) {
        return remove(path);
}

static void clear_root(void) {
        (void) nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void fresh_root(void) {
        static const char *const directories[] = {
                "", "/usr", "/usr/lib", "/usr/lib/postd", "/usr/lib/postd/postd.conf.d", "/etc", "/etc/postd", "/etc/postd/postd.conf.d",
        };
        clear_root();
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                char path[256];
                (void) snprintf(path, sizeof(path), "%s%s", root, directories[i]);
                ASSERT_EQ(mkdir(path, 0700), 0);
        }
}

static void put(const char *name, const char *text) {
        char path[256];
        (void) snprintf(path, sizeof(path), "%s/%s", root, name);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ASSERT_OK(fd);
        ASSERT_OK(write_full(fd, text, strlen(text)));
}

static void collect(int level, const char *line, void *userdata) {
        ASSERT_OK(buf_appendf(userdata, "%d %s\n", level, line));
}

static Config *load(void) {
        _cleanup_buf_ Buf b = BUF_INIT;
        Config *c;

        if (config_load(root, collect, &b, &c) < 0)
                _TEST_FAIL("%s", b.data);
        ASSERT_STREQ(strempty(b.data), "");
        return c;
}

/* The configuration is refused, with these lines. */
static void refused(const char *text, const char *expected) {
        _cleanup_buf_ Buf b = BUF_INIT;
        Config *c;

        put("etc/postd/postd.conf", text);
        ASSERT_ERROR(config_load(root, collect, &b, &c), EBADMSG);
        ASSERT_STREQ(strempty(b.data), expected);
        put("etc/postd/postd.conf", "");
}

static void test_defaults(void) {
        fresh_root();
        _cleanup_(config_freep) Config *c = load();

        ASSERT_TRUE(*c->host_name);
        ASSERT_STREQ(c->mail_name, c->host_name);
        ASSERT_EQ(config_domain_is_local(c, c->host_name), true);
        ASSERT_EQ(config_domain_is_local(c, "LocalHost"), true);
        ASSERT_EQ(config_domain_is_local(c, "example.org"), false);
        ASSERT_EQ(c->retry_min, 5 * USEC_PER_MINUTE);
        ASSERT_EQ(c->expire_after, 4 * USEC_PER_DAY);
        ASSERT_EQ(c->message_size_max, (uint64_t) 50 << 20);
        ASSERT_EQ(c->recipients_max, 1000U);
        ASSERT_EQ(c->deliver == DELIVER_MBOX, true);
        ASSERT_STREQ(c->aliases, "/etc/aliases");
        ASSERT_STREQ(c->system_users, "root");
        ASSERT_EQ(config_listener(c, "smtp")->errors_max, 20U);
}

static void test_layers(void) {
        fresh_root();
        put("usr/lib/postd/postd.conf", "[Server]\nRetryMin=1min\nRetryMax=1h\nSessionsMax=1\n");
        put("etc/postd/postd.conf", "[Server]\nRetryMin=2min\nLocalDomains=a.example b.example\nSessionsMax=2\n");
        put("usr/lib/postd/postd.conf.d/10-a.conf", "[Server]\nSessionsMax=10\nLocalDomains=c.example\n");
        put("etc/postd/postd.conf.d/20-b.conf", "[Server]\nSessionsMax=20\n[Listener smtp]\nErrorsMax=5\n");
        put("usr/lib/postd/postd.conf.d/30-c.conf", "[Server]\nSessionsMax=30\n");
        put("etc/postd/postd.conf.d/30-c.conf", "[Server]\nReceivedMax=33\n[Listener smtp]\nMaxConnections=7\n");
        put("usr/lib/postd/postd.conf.d/40-d.conf", "[Server]\nSessionsMax=40\n");
        put("etc/postd/postd.conf.d/50-not.conf.dpkg-new", "broken");
        put("etc/postd/postd.conf.d/.hidden.conf", "broken");
        char path[256];
        (void) snprintf(path, sizeof(path), "%s/etc/postd/postd.conf.d/40-d.conf", root);
        ASSERT_EQ(symlink("/dev/null", path), 0);

        _cleanup_(config_freep) Config *c = load();
        ASSERT_EQ(c->retry_min, 2 * USEC_PER_MINUTE);
        ASSERT_EQ(c->retry_max, USEC_PER_HOUR);
        ASSERT_EQ(c->sessions_max, 20U);
        ASSERT_EQ(c->received_max, 33U);
        ASSERT_EQ(strv_length(c->local_domains), 3U);
        ASSERT_EQ(config_listener(c, "smtp")->errors_max, 5U);
        ASSERT_EQ(config_listener(c, "smtp")->connections_max, 7U);
        ASSERT_EQ(config_listener(c, "local")->errors_max, 20U);

        /* Nothing is lost when the dump is read in place of the files. */
        _cleanup_free_ char *dump = NULL, *again = NULL;
        size_t n;
        FILE *f = open_memstream(&dump, &n);
        ASSERT_OK(config_dump(c, f));
        fclose(f);
        ASSERT_TRUE(strstr(dump, "# /etc/postd/postd.conf.d/20-b.conf:2\nSessionsMax=20\n"));
        ASSERT_TRUE(strstr(dump, "# default\nSpool=/var/spool/postd\n"));
        fresh_root();
        put("etc/postd/postd.conf", dump);
        _cleanup_(config_freep) Config *d = load();
        f = open_memstream(&again, &n);
        ASSERT_OK(config_dump(d, f));
        fclose(f);
        for (char *x = dump, *y = again; *x || *y; x += strcspn(x, "\n"), y += strcspn(y, "\n"), x += !!*x, y += !!*y)
                if (*x != '#') {
                        ASSERT_EQ(strcspn(x, "\n"), strcspn(y, "\n"));
                        ASSERT_EQ(strncmp(x, y, strcspn(x, "\n")), 0);
                }
}

static void test_reset(void) {
        fresh_root();
        put("usr/lib/postd/postd.conf", "[Server]\nLocalDomains=a.example\nRetryMin=1min\n[Action local]\nAliases=/x\n");
        put("etc/postd/postd.conf", "[Server]\nLocalDomains=\nLocalDomains=b.example\nRetryMin=\n[Action local]\nAliases=\nDeliver=maildir\n");
        _cleanup_(config_freep) Config *c = load();
        ASSERT_EQ(strv_length(c->local_domains), 1U);
        ASSERT_STREQ(c->local_domains[0], "b.example");
        ASSERT_EQ(c->retry_min, 5 * USEC_PER_MINUTE);
        ASSERT_STREQ(c->aliases, NULL);
        ASSERT_EQ(c->deliver == DELIVER_MAILDIR, true);
}

static void test_errors(void) {
        fresh_root();
#define F "3 /etc/postd/postd.conf:"
        refused("[Server]\nRetryMin=x\n", F "2: [Server] RetryMin=: not a time span (such as \"30s\", \"5min\", \"4h\", \"2d\"): x\n");
        refused("[Servers]\nA=b\n[Filter x]\n", F "1: unknown section [Servers]\n" F "3: unknown section [Filter x]\n");
        refused("[Server]\nretrymin=5\nDeliver=mbox\n", F "2: [Server] retrymin=: unknown key\n" F "3: [Server] Deliver=: unknown key\n");
        refused("HostName=a\n", F "1: HostName= stands before the first section\n");
        refused("[Listener ../x]\n", F "1: [Listener ../x]: not the name of a listener (letters, digits, \"-\" and \"_\", at most 32)\n");
        refused("[Listener a]\nErrorsMax=0\nMaxConnections=99999999999\n",
                F "2: [Listener a] ErrorsMax=: too small: 0\n" F "3: [Listener a] MaxConnections=: too large: 99999999999\n");
        refused("[Server]\nHostName=a b\nLocalDomains=ok.example -bad\nSpool=relative\nMessageSizeMax=12Q\nSystemUsers=a@\n",
                F "2: [Server] HostName=: not a domain name: a b\n" F "3: [Server] LocalDomains=: not a domain name: ok.example -bad\n"
                F "4: [Server] Spool=: not an absolute path (without \".\", \"..\", \"//\" and \"/\" at the end): relative\n"
                F "5: [Server] MessageSizeMax=: not a size (such as \"64K\", \"50M\", \"1G\"): 12Q\n"
                F "6: [Server] SystemUsers=: neither a user name nor an address: a@\n");
        refused("[Action local]\nMaildir=../other\nDeliver=x\n",
                F "2: [Action local] Maildir=: not a path below the home directory: ../other\n"
                F "3: [Action local] Deliver=: neither \"mbox\" nor \"maildir\": x\n");
        refused("[Server]\nRetryMin=1h\nRetryMax=30min\n", "3 [Server] RetryMax= is smaller than RetryMin=\n");
        refused("[\xe2\x80\xae]\n", F "1: unknown section [\\xe2\\x80\\xae]\n");
#undef F
        /* A file that cannot be read is an error, one that is not there is not. */
        put("etc/postd/postd.conf.d/a.conf", "");
        char path[256];
        (void) snprintf(path, sizeof(path), "%s/etc/postd/postd.conf.d/b.conf", root);
        ASSERT_EQ(mkfifo(path, 0600), 0);
        refused("", "3 /etc/postd/postd.conf.d/b.conf: cannot be read: not a plain file\n");
        ASSERT_EQ(unlink(path), 0);
        ASSERT_EQ(symlink("nowhere", path), 0);
        refused("", "3 /etc/postd/postd.conf.d/b.conf: cannot be read: No such file or directory\n");
}

static void test_mail_name(void) {
        fresh_root();
        put("etc/mailname", "mail.example.org\n");
        put("etc/postd/postd.conf", "[Server]\nHostName=mx1.example.org\n");
        _cleanup_(config_freep) Config *c = load();
        ASSERT_STREQ(c->mail_name, "mail.example.org");
        static const char *const local[] = { "mx1.example.org", "mail.example.org", "localhost", "mx1" };
        ASSERT_EQ(strv_length(c->local_domains), ELEMENTSOF(local));
        for (size_t i = 0; i < ELEMENTSOF(local); i++)
                ASSERT_STREQ(c->local_domains[i], local[i]);

        put("etc/mailname", "not a domain\n");
        _cleanup_buf_ Buf b = BUF_INIT;
        _cleanup_(config_freep) Config *d = NULL;
        ASSERT_OK(config_load(root, collect, &b, &d));
        ASSERT_STREQ(b.data, "4 /etc/mailname:1: not a domain name, ignoring\n");
        ASSERT_STREQ(d->mail_name, "mx1.example.org");
}

static void test_host_name(void) {
        static const struct {
                const char *name, *hosts, *expected;
        } table[] = {
                { "mx.example.org", "127.0.1.1 other.example.net mx\n", "mx.example.org" },
                { "mx.example.org.", NULL, "mx.example.org" },
                { "mx", NULL, "mx" },
                { "mx", "127.0.0.1 localhost\n127.0.1.1\tMX.example.org mx # c\n", "MX.example.org" },
                { "mx", "127.0.0.1 localhost.localdomain localhost mx\n", "mx" },
                { "mx", "# 10.0.0.1 mx.example.org mx\n10.0.0.1 mx # mx.example.org", "mx" },
                { "mx", "10.0.0.1 mx2.example.org\n10.0.0.1 mx.", "mx" },
                { "mx", "::1 mx mx.example.org", "mx.example.org" },
                { "", NULL, "localhost" },
                { "(none)", NULL, "localhost" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                fresh_root();
                if (table[i].hosts)
                        put("etc/hosts", table[i].hosts);
                _cleanup_close_ int fd = open(root, O_PATH | O_CLOEXEC);
                _cleanup_free_ char *name = config_host_name(fd, table[i].name);
                ASSERT_STREQ(name, table[i].expected);
        }
}

int main(void) {
        ASSERT_TRUE(mkdtemp(root));
        test_defaults();
        test_layers();
        test_reset();
        test_errors();
        test_mail_name();
        test_host_name();
        clear_root();
        return 0;
}
