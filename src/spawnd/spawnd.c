/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postd-spawnd: starts delivery sessions as transient units for the queue manager, which cannot choose more than a
 * numeric uid and a class. It runs as root without any capability, sees no message and no text from one. When it dies
 * sessions go on, and only their results are lost. */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>

#include "basic/log.h"
#include "ipc/service.h"
#include "spawnd/spawnd.h"

#define IDLE (60 * USEC_PER_SEC)
#define CONNECTIONS_MAX 256

static void help(void) {
        printf("postd-spawnd [--help] [--version] [--dump-unit=CLASS]\n\n"
               "Starts delivery sessions. Started by postd-spawnd.socket; see postd-spawnd(8).\n\n"
               "  --dump-unit=CLASS  print what a session may do as a unit file: mailbox, home or command\n");
}

static bool is_busy(void *userdata) {
        return manager_busy(userdata);
}

static int take_socket(int fd, const char *name _unused_, void *userdata) {
        return sd_varlink_server_listen_fd(userdata, fd);
}

/* Type=notify-reload: systemd waits for READY=1 with a later time stamp. */
static int on_reload(sd_event_source *source _unused_, const struct signalfd_siginfo *info _unused_, void *userdata) {
        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec(CLOCK_MONOTONIC));
        manager_reload(userdata);
        (void) sd_notify(false, "READY=1");
        return 0;
}

static int run(void) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(manager_freep) Manager *m = NULL;
        _cleanup_(sd_varlink_server_unrefp) sd_varlink_server *server = NULL;
        int r;

        r = service_event_new(&event);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the event loop: %m");
        r = manager_new(event, &m);
        if (r < 0)
                return log_error_errno(r, "Failed to set up: %m");
        r = spawnd_varlink_server_new(m, CONNECTIONS_MAX, &server);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the varlink server: %m");
        r = service_listen_fds(take_socket, server);
        if (r < 0)
                return log_error_errno(r, "Failed to take the socket: %m");
        if (r == 0) {
                log_error("No socket was passed: postd-spawnd is started by postd-spawnd.socket.");
                return -EINVAL;
        }
        r = sd_event_add_signal(event, NULL, SIGHUP | SD_EVENT_SIGNAL_PROCMASK, on_reload, m);
        if (r < 0)
                return log_error_errno(r, "Failed to watch for reloads: %m");
        (void) sd_notify(false, "READY=1");
        r = service_run(event, IDLE, is_busy, m);
        if (r < 0)
                return log_error_errno(r, "Event loop failed: %m");
        return r;
}

static int dump(const char *name) {
        SessionClass class = session_class_from_string(name);
        if (class < 0) {
                fprintf(stderr, "postd-spawnd: there is no class \"%s\"; there are mailbox, home and command.\n", name);
                return EXIT_FAILURE;
        }
        return session_class_dump(class, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { "dump-unit", required_argument, NULL, 'd' },
                {},
        };
        int c, r;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        help();
                        return EXIT_SUCCESS;
                case 'V':
                        puts("postd " POSTD_VERSION);
                        return EXIT_SUCCESS;
                case 'd':
                        return dump(optarg);
                default:
                        return EXIT_FAILURE;
                }
        if (optind < argc) {
                fprintf(stderr, "postd-spawnd: takes no arguments; see --help.\n");
                return EXIT_FAILURE;
        }
        log_setup("postd-spawnd");
        (void) log_open();
        r = run();
        log_close();
        return r < 0 ? EXIT_FAILURE : r;
}
