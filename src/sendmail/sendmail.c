/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* sendmail(1), mailq(1), newaliases(1): arguments and main. A plain program without privileges, for whoever calls it in
 * whatever sandbox. */

#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "sendmail/deliver.h"
#include "sendmail/proxy.h"

static int help(void) {
        (void) puts("sendmail [OPTION…] [--] [RECIPIENT…]\n"
                    "\n"
                    "Sends the message on standard input.\n"
                    "\n"
                    "  -t           send to the recipients in the header, too\n"
                    "  -i, -oi      a line with a single dot does not end the message\n"
                    "  -f ADDRESS   the envelope sender; \"<>\" is none\n"
                    "  -F NAME      the sender's name, for a message without From field\n"
                    "  -N WHEN      delivery reports: never, or a list of success, failure, delay\n"
                    "  -R WHAT      what they return: full or hdrs\n"
                    "  -V ID        an id of your own for the delivery reports\n"
                    "  -bs          speak SMTP on standard input and output\n"
                    "  -bv          only ask whether the recipients would be taken\n"
                    "  -bp, mailq   list the queue\n"
                    "  -q           try everything in the queue now\n"
                    "  -bi, newaliases  do nothing: aliases are read as they are\n"
                    "  -v           say more\n"
                    "  --help, --version\n"
                    "\n"
                    "Options of other programs named sendmail are understood and ignored; see sendmail(1).");
        return EX_OK;
}

/* Another program of postd does it; it lies beside this one on the path of everybody. */
static int run_postctl(const char *verb, const char *argument) {
        (void) execl(BINDIR "/postctl", "postctl", verb, argument, NULL);
        (void) fprintf(stderr, "sendmail: Failed to run %s: %s\n", BINDIR "/postctl", strerror(errno));
        return EX_UNAVAILABLE;
}

int main(int argc, char *argv[]) {
        char error[SENDMAIL_ERROR_MAX];
        SendmailOptions o;

        (void) signal(SIGPIPE, SIG_IGN);
        if (sendmail_options_parse(argc, argv, &o, error) < 0) {
                (void) fprintf(stderr, "sendmail: %s\n", error);
                return EX_USAGE;
        }

        switch (o.mode) {
        case MODE_HELP:
                return help();
        case MODE_VERSION:
                (void) puts("postd " POSTD_VERSION);
                return EX_OK;
        case MODE_LIST:
                return run_postctl("list", NULL);
        case MODE_FLUSH:
                return run_postctl("flush", o.flush_id);
        case MODE_ALIASES:
                if (o.verbose)
                        (void) puts("Aliases are read as they are; nothing has to be rebuilt.");
                return EX_OK;
        case MODE_SMTP:
                return proxy();
        case MODE_VERIFY:
                return verify(&o);
        default:
                return deliver(&o);
        }
}
