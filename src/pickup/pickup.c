/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postd-pickup: arguments and main. See pickup-manager.h and postd-pickup(8). */

#include <signal.h>

#include "basic/log.h"
#include "ipc/service.h"
#include "pickup/pickup-manager.h"

static void on_signal(int signal _unused_) {
        pickup_stop = true;
}

static int run(void) {
        const struct sigaction stop = { .sa_handler = on_signal }; /* without SA_RESTART: it ends what waits */
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        (void) sigaction(SIGTERM, &stop, NULL);
        (void) sigaction(SIGINT, &stop, NULL);
        r = config_load(NULL, log_config_report, NULL, &config);
        if (r < 0)
                return log_error_errno(r, "The configuration has errors; see above, and postctl check-config.");
        return pickup_run(config, POSTD_OFFLINE_DIR);
}

int main(int argc, char *argv[]) {
        int r;

        log_setup("postd-pickup");
        r = service_arguments(argc, argv,
                              "Feeds the messages in " POSTD_OFFLINE_DIR " into the queue.\n"
                              "Started by systemd when there are any.");
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        (void) log_open();
        r = run();
        log_close();
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
