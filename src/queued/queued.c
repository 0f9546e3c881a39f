/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postd-queued, the queue manager: accepts messages from the receivers, keeps them safe, decides where they go and has
 * them delivered. See postd-queued(8). */

#include <getopt.h>
#include <stdio.h>

#include "basic/log.h"
#include "queued/queued-manager.h"

static void report(int level, const char *line, void *userdata _unused_) {
        LogField fields[] = { { "POSTD_REASON", line } };

        if (level <= LOG_ERR)
                log_event(level, MESSAGE_CONFIG_ERROR, fields, "%s", line);
        else
                (void) log_errno(level, 0, "%s", line);
}

static int parse_argv(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        printf("%s [OPTION…]\n\n"
                               "The queue manager of postd. It is started by systemd and needs its sockets;\n"
                               "control it with postctl(1) and systemctl(1).\n\n"
                               "  -h --help     show this help\n"
                               "     --version  show the version\n",
                               program_invocation_short_name);
                        return 0;
                case 'V':
                        puts("postd " POSTD_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc)
                return log_error_errno(EINVAL, "Unexpected argument %s, see --help.", argv[optind]);
        return 1;
}

static int run(void) {
        _cleanup_(manager_freep) Manager *m = NULL;
        Config *config = NULL;
        int r;

        r = config_load(NULL, report, NULL, &config);
        if (r < 0)
                return log_error_errno(r, "The configuration has errors; see above, and postctl check-config.");
        r = manager_new(config, &m);
        if (r < 0) {
                config_free(config);
                return log_error_errno(r, "Cannot start: %m");
        }
        r = manager_start(m);
        if (r < 0)
                return r;
        return manager_run(m);
}

int main(int argc, char *argv[]) {
        int r;

        log_setup("postd-queued");
        r = parse_argv(argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        (void) log_open();
        r = run();
        log_close();
        return r < 0 ? EXIT_FAILURE : r;
}
