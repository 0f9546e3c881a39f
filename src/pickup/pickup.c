/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postd-pickup: arguments and main. See pickup-manager.h and postd-pickup(8). */

#include <getopt.h>
#include <stdio.h>

#include "basic/log.h"
#include "ipc/names.h"
#include "pickup/pickup-manager.h"

static void on_signal(int signal _unused_) {
        pickup_stop = true;
}

static void report(int level, const char *line, void *userdata _unused_) {
        (void) log_errno(level, 0, "%s", line);
}

/* 1 to go on, 0 when all is said, -EINVAL. */
static int parse_argv(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        puts("postd-pickup [OPTION…]\n\n"
                             "Feeds the messages in " POSTD_OFFLINE_DIR " into the queue.\n"
                             "Started by systemd when there are any.\n\n"
                             "  -h --help     show this help\n"
                             "     --version  show the version");
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
        const struct sigaction stop = { .sa_handler = on_signal }; /* without SA_RESTART: it ends what waits */
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        (void) sigaction(SIGTERM, &stop, NULL);
        (void) sigaction(SIGINT, &stop, NULL);
        r = config_load(NULL, report, NULL, &config);
        if (r < 0)
                return log_error_errno(r, "The configuration has errors; see above, and postctl check-config.");
        return pickup_run(config, POSTD_OFFLINE_DIR);
}

int main(int argc, char *argv[]) {
        int r;

        log_setup("postd-pickup");
        r = parse_argv(argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        (void) log_open();
        r = run();
        log_close();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
