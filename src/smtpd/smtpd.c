/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postd-smtpd LISTENER: the receiver. Its sockets come from systemd; a configuration with an error, or no socket, is the end,
 * and clients wait in the socket's backlog until that is repaired. */

#include <getopt.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "basic/log.h"
#include "basic/text.h"
#include "ipc/service.h"
#include "smtpd/smtpd-manager.h"

static int help(void) {
        printf("postd-smtpd [OPTION…] LISTENER\n\n"
               "Receives mail by SMTP or LMTP on the sockets that systemd passes, and hands it to\n"
               "the queue manager.\n\n"
               "  --lmtp                    Speak LMTP instead of SMTP\n"
               "  --local                   Take mail of this host's users: complete addresses and headers\n"
               "  --origin                  Let the client name the user that a message is from\n"
               "  --command-timeout=TIME    Instead of CommandTimeout= of the listener\n"
               "  --data-timeout=TIME       Instead of DataTimeout= of the listener\n"
               "  -h, --help                Show this help\n"
               "      --version             Show the version\n\n"
               "See postd-smtpd(8).\n");
        return EXIT_SUCCESS;
}

static bool listener_name_valid(const char *s) {
        size_t n = strlen(s);

        for (const char *p = s; *p; p++)
                if (!ascii_isalnum(*p) && *p != '-' && *p != '_')
                        return false;
        return n >= 1 && n <= 64;
}

static int parse_timeout(const char *option, const char *s, usec_t *ret) {
        if (parse_sec(s, ret) >= 0 && *ret > 0)
                return 0;
        log_error("%s: not a time span: %s", option, s);
        return -EINVAL;
}

/* > 0: go on; 0: done; < 0: error, reported. */
static int parse_arguments(int argc, char *argv[], ManagerOptions *o) {
        enum { ARG_LMTP = 256, ARG_LOCAL, ARG_ORIGIN, ARG_COMMAND_TIMEOUT, ARG_DATA_TIMEOUT, ARG_VERSION };
        static const struct option options[] = {
                { "lmtp", no_argument, NULL, ARG_LMTP },
                { "local", no_argument, NULL, ARG_LOCAL },
                { "origin", no_argument, NULL, ARG_ORIGIN },
                { "command-timeout", required_argument, NULL, ARG_COMMAND_TIMEOUT },
                { "data-timeout", required_argument, NULL, ARG_DATA_TIMEOUT },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                {},
        };
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
                r = 0;
                switch (c) {
                case ARG_LMTP:
                        o->lmtp = true;
                        break;
                case ARG_LOCAL:
                        o->local = true;
                        break;
                case ARG_ORIGIN:
                        o->origin = true;
                        break;
                case ARG_COMMAND_TIMEOUT:
                        r = parse_timeout("--command-timeout=", optarg, &o->command_timeout);
                        break;
                case ARG_DATA_TIMEOUT:
                        r = parse_timeout("--data-timeout=", optarg, &o->data_timeout);
                        break;
                case 'h':
                        return help();
                case ARG_VERSION:
                        printf("postd-smtpd %s\n", POSTD_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
                if (r < 0)
                        return r;
        }
        if (optind + 1 != argc || !listener_name_valid(argv[optind])) {
                log_error("Name one listener, as in postd-smtpd@LISTENER.socket; see --help.");
                return -EINVAL;
        }
        o->listener = argv[optind];
        return 1;
}

static int run(int argc, char *argv[]) {
        _cleanup_(manager_freep) Manager *m = NULL;
        ManagerOptions options = {};
        Config *config = NULL;
        int r;

        r = parse_arguments(argc, argv, &options);
        if (r <= 0)
                return r;
        r = log_open();
        if (r < 0)
                log_warning_errno(r, "Cannot start the thread of the log, ignoring: %m");
        r = config_load(NULL, log_config_report, NULL, &config);
        if (r < 0)
                return log_error_errno(r, "Cannot load the configuration: %m");
        r = manager_new(&options, config, &m);
        if (r < 0)
                return log_error_errno(r, "Cannot start: %m");
        r = service_listen_fds(manager_take_socket, m);
        if (r < 0)
                return r;
        if (r == 0) {
                log_error("There is no socket to serve: start postd-smtpd@%s.socket, not this program.", options.listener);
                return -ENOTCONN;
        }
        (void) sd_notify(false, "READY=1");
        r = manager_run(m);
        return r < 0 ? log_error_errno(r, "The event loop failed: %m") : r;
}

int main(int argc, char *argv[]) {
        log_setup("postd-smtpd");
        int r = run(argc, argv);
        log_close();
        return r < 0 ? EXIT_FAILURE : r;
}
