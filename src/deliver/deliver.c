/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postd-deliver: stores mail as the user it is for. Started by postd-spawnd as a transient unit with one end of a
 * connection to the queue manager; whatever goes wrong, mail stays in the queue. */

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/text.h"
#include "deliver/maildir.h"
#include "deliver/mbox.h"
#include "deliver/restrict.h"
#include "deliver/session.h"
#include "ipc/names.h"
#include "ipc/service.h"

#define MAIL_DIR "/var/mail"

static void help(void) {
        printf("postd-deliver [--help] [--version] CLASS\n\n"
               "A delivery session, started by postd-spawnd; see postd-deliver(8). CLASS is one of\n\n"
               "  mailbox   the user's mbox in " MAIL_DIR "\n"
               "  home      a maildir in the user's home\n\n"
               "  --maildir=NAME   the maildir's name below the home (Maildir)\n");
}

/* systemd looks the uid up that it was given, and says the name here. */
static int find_user(const char **ret) {
        const char *user = getenv("USER");
        size_t n = strlen(strempty(user));

        if (n == 0 || n > 255 || strchr(user, '/') || user[0] == '.' || has_control(user, n) || strspn(user, "0123456789") == n)
                return -ENXIO;
        *ret = user;
        return 0;
}

static int restrict_or_say(const RestrictRule *rules, size_t n) {
        int r;

        r = restrict_session(rules, n);
        if (r < 0)
                return log_error_errno(r, "Failed to restrict the session with Landlock: %m");
        if (r > 0)
                log_notice("There is no Landlock here: only the unit's sandbox holds the session.");
        return 0;
}

static int run_mailbox(sd_event *event, int connection) {
        _cleanup_(mbox_closep) Mbox *mbox = NULL;
        const char *user;
        int r;

        r = find_user(&user);
        if (r < 0)
                return log_error_errno(r, "The user database has no name for uid %u.", getuid());
        bool root_mail = streq(user, POSTD_ROOT_USER);
        r = mbox_open(MAIL_DIR, root_mail ? "root" : user, getuid(), root_mail, &mbox);
        if (r < 0)
                return log_error_errno(r, "Failed to open the mailbox of %s in " MAIL_DIR ": %m", user);
        r = restrict_or_say((RestrictRule[]) { { mbox_fd(mbox), RESTRICT_FILE }, { mbox_dir_fd(mbox), RESTRICT_LOCKS } }, 2);
        if (r < 0)
                return r;
        r = session_run(event, connection, mbox_deliver, mbox);
        return r < 0 ? log_error_errno(r, "The session failed: %m") : 0;
}

static int run_home(sd_event *event, int connection, const char *name) {
        _cleanup_(maildir_closep) Maildir *maildir = NULL;
        char host[HOST_NAME_MAX + 1];
        const char *home = getenv("HOME");
        int r;

        if (!home || home[0] != '/')
                return log_error_errno(ENXIO, "The user database has no home for uid %u.", getuid());
        if (gethostname(host, sizeof(host)) < 0)
                return log_error_errno(negative_errno(), "Failed to read the host's name: %m");
        r = maildir_open(home, name, host, getuid(), &maildir);
        if (r == -EINVAL)
                return log_error_errno(r, "--maildir=%s: not a name below the home.", name);
        if (r < 0)
                return log_error_errno(r, "Failed to open the maildir %s of uid %u: %m", name, getuid());
        r = restrict_or_say(&(RestrictRule) { maildir_fd(maildir), RESTRICT_TREE }, 1);
        if (r < 0)
                return r;
        r = session_run(event, connection, maildir_deliver, maildir);
        return r < 0 ? log_error_errno(r, "The session failed: %m") : 0;
}

static int take_connection(int fd, const char *name, void *userdata) {
        int *connection = userdata;

        if (*connection >= 0 || !streq(name, "varlink"))
                safe_close(fd);
        else
                *connection = fd;
        return 0;
}

static int run(const char *class, const char *maildir) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int connection = -EBADF, r;

        r = service_listen_fds(take_connection, &connection);
        if (r < 0)
                return log_error_errno(r, "Failed to take the connection: %m");
        if (connection < 0) {
                log_error("No connection was passed: sessions are started by postd-spawnd.");
                return -EINVAL;
        }
        r = service_event_new(&event);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the event loop: %m");
        return streq(class, "home") ? run_home(event, connection, maildir) : run_mailbox(event, connection);
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { "maildir", required_argument, NULL, 'm' },
                {},
        };
        const char *maildir = "Maildir";
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                case 'V':
                        puts("postd " POSTD_VERSION);
                        return EXIT_SUCCESS;
                case 'm':
                        maildir = optarg;
                        break;
                default:
                        return EXIT_FAILURE;
                }
        if (optind + 1 != argc || !STR_IN_SET(argv[optind], "mailbox", "home")) {
                fprintf(stderr, "postd-deliver: expects a class, mailbox or home; see --help.\n");
                return EXIT_FAILURE;
        }
        log_setup("postd-deliver");
        umask(0); /* every file is made with a mode that is meant */
        return run(argv[optind], maildir) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
