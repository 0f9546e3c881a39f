/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postd-users: answers who a user is, over varlink (io.postd.Table), so that no other program of postd loads NSS
 * modules or waits for them. When every thread hangs in a module it ends with a failure, and systemd starts a new one. */

#include <unistd.h>

#include "basic/log.h"
#include "ipc/service.h"
#include "ipc/varlink-io.postd.h"
#include "users/lookup.h"
#include "users/users-varlink.h"

#define THREADS_MAX 16
#define TIMEOUT (10 * USEC_PER_SEC)
#define IDLE (60 * USEC_PER_SEC)
#define CONNECTIONS_MAX 256

static void on_all_stuck(void *userdata) {
        log_error("All %d look-ups hang in the user database (see nsswitch.conf(5)): starting afresh.", THREADS_MAX);
        sd_event_exit(userdata, EXIT_FAILURE);
}

static bool is_busy(void *userdata) {
        return lookups_busy(userdata);
}

static int take_socket(int fd, const char *name _unused_, void *userdata) {
        return sd_varlink_server_listen_fd(userdata, fd);
}

static int run(void) {
        _cleanup_(sd_varlink_server_unrefp) sd_varlink_server *server = NULL;
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        Lookups *lookups = NULL;
        int r;

        r = service_event_new(&event);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the event loop: %m");
        r = lookups_new(event, THREADS_MAX, TIMEOUT, on_all_stuck, event, &lookups);
        if (r < 0)
                return log_error_errno(r, "Failed to set up look-ups: %m");
        r = users_varlink_server_new(event, lookups, CONNECTIONS_MAX, &server);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the varlink server: %m");
        r = service_listen_fds(take_socket, server);
        if (r < 0)
                return log_error_errno(r, "Failed to take the socket: %m");
        if (r == 0) {
                log_error("No socket was passed: postd-users is started by postd-users.socket.");
                return -EINVAL;
        }
        r = service_run(event, IDLE, is_busy, lookups);
        if (r < 0)
                log_error_errno(r, "Event loop failed: %m");

        /* A thread that hangs in a module can be neither ended nor waited for. */
        size_t stuck = lookups_stuck(lookups);
        if (stuck > 0 || lookups_busy(lookups)) {
                log_close();
                _exit(r < 0 ? EXIT_FAILURE : r);
        }
        server = sd_varlink_server_unref(server);
        lookups_free(lookups);
        return r;
}

int main(int argc, char *argv[]) {
        int r;

        r = service_arguments(argc, argv, "Looks users up for postd's programs. Started by postd-users.socket.");
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        log_setup("postd-users");
        (void) log_open();
        r = run();
        log_close();
        return r < 0 ? EXIT_FAILURE : r;
}
