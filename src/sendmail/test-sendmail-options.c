/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/strv.h"
#include "basic/test.h"
#include "sendmail/options.h"

/* How callers in the field invoke sendmail, and what must come of it. Words are separated by blanks, "''" is empty. */
static const struct {
        const char *command;
        SendmailOptions expected;
        const char *recipients;
} table[] = {
#define FLAGS_TI .recipients_from_header = true, .dots_are_text = true
        /* cron */
        { "/usr/sbin/sendmail -FCronDaemon -i -B8BITMIME -oem root", { .full_name = "CronDaemon", .dots_are_text = true }, "root" },
        /* cronie */
        { "sendmail -FCronDaemon -i -odi -oem -oi -t -f joe", { .full_name = "CronDaemon", FLAGS_TI, .sender = "joe" }, "" },
        { "sendmail -FCronDaemon -i -odi -oem -oi -t -f <>", { .full_name = "CronDaemon", FLAGS_TI, .sender = "<>" }, "" },
        /* bcron, anacron, systemd-cron, at */
        { "sendmail -FCronDaemon -i -odi -oem -t", { .full_name = "CronDaemon", FLAGS_TI }, "" },
        { "sendmail -FAnacron -odi joe", { .full_name = "Anacron" }, "joe" },
        { "sendmail -i -B8BITMIME joe", { .dots_are_text = true }, "joe" },
        { "sendmail -i joe", { .dots_are_text = true }, "joe" },
        /* mdadm, sudo, logwatch */
        { "/usr/sbin/sendmail -t", { .recipients_from_header = true }, "" },
        /* unattended-upgrades, apt-listchanges, cron-apt, php */
        { "sendmail -oi -t", { FLAGS_TI }, "" },
        { "sendmail -t -oi", { FLAGS_TI }, "" },
        { "/usr/sbin/sendmail -t -i", { FLAGS_TI }, "" },
        { "/usr/sbin/sendmail -t -i -fwww@example.com", { FLAGS_TI, .sender = "www@example.com" }, "" },
        /* rkhunter, fail2ban */
        { "sendmail root@localhost", {}, "root@localhost" },
        { "sendmail -f fail2ban@host root@localhost", { .sender = "fail2ban@host" }, "root@localhost" },
        { "sendmail -f '' root", { .sender = "" }, "root" },
        /* git send-email and hooks */
        { "sendmail -f joe@example.com -i a@b c@d", { .sender = "joe@example.com", .dots_are_text = true }, "a@b c@d" },
        { "sendmail -i a@b", { .dots_are_text = true }, "a@b" },
        { "sendmail -t -f joe@example.com", { .recipients_from_header = true, .sender = "joe@example.com" }, "" },
        /* mutt */
        { "sendmail -oem -oi -f joe@x -B8BITMIME -N failure,delay -R hdrs -- a@b -c@d",
          { .dots_are_text = true, .sender = "joe@x", .notify = NOTIFY_FAILURE | NOTIFY_DELAY, .dsn_return = DSN_RETURN_HEADERS },
          "a@b -c@d" },
        { "sendmail -oem -oi -N never -R full -- a", { .dots_are_text = true, .notify = NOTIFY_NEVER, .dsn_return = DSN_RETURN_FULL }, "a" },
        /* bsd-mailx, s-nail, GNU mailutils */
        { "send-mail -i -m -v -f joe@x -t root", { FLAGS_TI, .verbose = true, .sender = "joe@x" }, "root" },
        { "sendmail -i -m -v -r joe@x -F Joe -- root", { .dots_are_text = true, .verbose = true, .sender = "joe@x", .full_name = "Joe" }, "root" },
        { "sendmail -oi -f joe@x -t", { FLAGS_TI, .sender = "joe@x" }, "" },
        /* Alpine, INN */
        { "sendmail -bs -odb -oem", { .mode = MODE_SMTP }, "" },
        { "sendmail -odq root", {}, "root" },
        /* LSB and the rest of the grammar */
        { "sendmail -bm -odb -odf -odi -odq -oep -oi -om -v a", { .dots_are_text = true, .verbose = true }, "a" },
        { "sendmail -b m -o i -B 7BIT -F Joe -V id a", { .dots_are_text = true, .full_name = "Joe", .envid = "id" }, "a" },
        { "sendmail -oeq -em a", {}, "a" },
        { "sendmail -em -oeq a", { .quiet = true }, "a" },
        { "sendmail -ti", { FLAGS_TI }, "" },
        { "sendmail -tif joe", { FLAGS_TI, .sender = "joe" }, "" },
        { "sendmail -Am -Ac -A m -C /etc/x -d0.1 -d -G -h 5 -L tag -m -n -O Timeout=1 -p ESMTP:h -Q -U -X /dev/null -x -T -c -s -D f a", {}, "a" },
        { "sendmail -o7 -oA/etc/aliases -oQ/tmp -ow a", {}, "a" },
        { "sendmail -- -t", {}, "-t" },
        { "sendmail a -t", {}, "a -t" },
        { "sendmail -", {}, "-" },
        { "sendmail", {}, "" },
        { "sendmail -bp", { .mode = MODE_LIST }, "" },
        { "sendmail -bi", { .mode = MODE_ALIASES }, "" },
        { "sendmail -I", { .mode = MODE_ALIASES }, "" },
        { "sendmail -bv a b", { .mode = MODE_VERIFY }, "a b" },
        { "sendmail -q", { .mode = MODE_FLUSH }, "" },
        { "sendmail -q30m", { .mode = MODE_FLUSH }, "" },
        { "sendmail -v -q -oem", { .mode = MODE_FLUSH, .verbose = true }, "" },
        { "sendmail -qIabc", { .mode = MODE_FLUSH, .flush_id = "abc" }, "" },
        { "sendmail -bp -q", { .mode = MODE_LIST }, "" },
        { "/usr/bin/mailq", { .mode = MODE_LIST }, "" },
        { "mailq.postd -v", { .mode = MODE_LIST, .verbose = true }, "" },
        { "/usr/bin/newaliases", { .mode = MODE_ALIASES }, "" },
        { "newaliases.sendmail.postd", { .mode = MODE_ALIASES }, "" },
        { "/opt/mail.d/sendmail -t", { .recipients_from_header = true }, "" },
        { "mailquery", {}, "" },
        { "sendmail --help", { .mode = MODE_HELP }, "--help" },
        { "mailq --version", { .mode = MODE_VERSION }, "--version" },
};

static const struct {
        const char *command, *error;
} bad[] = {
        { "sendmail -bd",        "-bd is not supported: postd runs as units of systemd, see postd(7)" },
        { "sendmail -bd -q15m",  "-bd is not supported: postd runs as units of systemd, see postd(7)" },
        { "sendmail -bx",        "unknown mode: -bx"                      },
        { "sendmail -b ''",      "unknown mode: -b"                       },
        { "sendmail -f",         "option without its argument: -f"        },
        { "sendmail -t -o",      "option without its argument: -o"        },
        { "sendmail -z",         "unknown option: -z"                     },
        { "sendmail -tz\x1b",    "unknown option: -z?"                    },
        { "sendmail --fast",     "unknown option: --fast"                 },
        { "sendmail -N x a",     "-N takes \"never\" or a list of success, failure, delay, not: x" },
        { "sendmail -R x a",     "-R takes \"full\" or \"hdrs\", not: x"  },
        { "sendmail -R '' a",    "-R takes \"full\" or \"hdrs\", not: "   },
};

static int parse(const char *command, char ***ret_argv, SendmailOptions *ret, char *error) {
        ASSERT_OK(strv_split(command, " ", ret_argv));
        STRV_FOREACH(i, *ret_argv)
                if (streq(*i, "''"))
                        (*i)[0] = 0;
        return sendmail_options_parse(strv_length(*ret_argv), *ret_argv, ret, error);
}

int main(void) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const SendmailOptions *e = &table[i].expected;
                _cleanup_strv_free_ char **argv = NULL, **recipients = NULL;
                char error[SENDMAIL_ERROR_MAX] = "";
                SendmailOptions o = {};

                printf("%s\n", table[i].command);
                ASSERT_OK(parse(table[i].command, &argv, &o, error));
                ASSERT_EQ(o.mode, e->mode);
                ASSERT_STREQ(o.sender, e->sender);
                ASSERT_STREQ(o.full_name, e->full_name);
                ASSERT_STREQ(o.envid, e->envid);
                ASSERT_STREQ(o.flush_id, e->flush_id);
                ASSERT_EQ(o.notify, e->notify);
                ASSERT_EQ(o.dsn_return, e->dsn_return);
                ASSERT_EQ(o.recipients_from_header, e->recipients_from_header);
                ASSERT_EQ(o.dots_are_text, e->dots_are_text);
                ASSERT_EQ(o.quiet, e->quiet);
                ASSERT_EQ(o.verbose, e->verbose);
                ASSERT_OK(strv_split(table[i].recipients, " ", &recipients));
                ASSERT_EQ(o.n_recipients, strv_length(recipients));
                for (size_t k = 0; k < o.n_recipients; k++)
                        ASSERT_STREQ(o.recipients[k], recipients[k]);
        }

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_strv_free_ char **argv = NULL;
                char error[SENDMAIL_ERROR_MAX] = "";
                SendmailOptions o;

                printf("%s\n", bad[i].command);
                ASSERT_ERROR(parse(bad[i].command, &argv, &o, error), EINVAL);
                ASSERT_STREQ(error, bad[i].error);
        }

        char error[SENDMAIL_ERROR_MAX];
        SendmailOptions o;
        ASSERT_OK(sendmail_options_parse(0, (char *[]) { NULL }, &o, error));
        return 0;
}
