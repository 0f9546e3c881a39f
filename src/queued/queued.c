/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postd-queued, the queue manager: accepts messages from the receivers, keeps them safe, decides where they go and has
 * them delivered. See postd-queued(8). */

#include "basic/log.h"
#include "ipc/service.h"
#include "queued/queued-manager.h"

static int run(void) {
        _cleanup_(manager_freep) Manager *m = NULL;
        Config *config = NULL;
        int r;

        r = config_load(NULL, log_config_report, NULL, &config);
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
        r = service_arguments(argc, argv,
                              "The queue manager of postd. It is started by systemd and needs its sockets;\n"
                              "control it with postctl(1) and systemctl(1).");
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        (void) log_open();
        r = run();
        log_close();
        return r < 0 ? EXIT_FAILURE : r;
}
