/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "basic/fd.h"
#include "basic/strv.h"
#include "ipc/service.h"

int service_arguments(int argc, char *argv[], const char *description) {
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        printf("%s [OPTION…]\n\n%s\n\n"
                               "  -h --help     show this help\n"
                               "     --version  show the version\n",
                               program_invocation_short_name, description);
                        return 0;
                case 'V':
                        puts("postd " POSTD_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "%s: takes no argument like %s; see --help.\n", program_invocation_short_name, argv[optind]);
                return -EINVAL;
        }
        return 1;
}

int service_event_new(sd_event **ret) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        int r;

        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return negative_errno();
        r = sd_event_default(&event);
        if (r < 0)
                return r;
        r = sd_event_set_signal_exit(event, true);
        if (r < 0)
                return r;
        r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(event);
        return 0;
}

int service_run(sd_event *event, usec_t idle, bool (*busy)(void *userdata), void *userdata) {
        int r, code = 0;

        for (;;) {
                if (sd_event_get_state(event) == SD_EVENT_FINISHED)
                        break;
                r = sd_event_run(event, idle);
                if (r < 0)
                        return r;
                if (r == 0 && idle != USEC_INFINITY && !(busy && busy(userdata)))
                        break;
        }
        (void) sd_notify(false, "STOPPING=1");
        r = sd_event_get_exit_code(event, &code);
        return r < 0 && r != -ENODATA ? r : code;
}

static int on_connect(sd_varlink_server *server _unused_, sd_varlink *link, ServerFlags flags) {
        int r;

        if (flags & SERVER_TAKES_FDS) {
                r = sd_varlink_set_allow_fd_passing_input(link, true);
                if (r < 0)
                        return r;
        }
        if (flags & SERVER_GIVES_FDS) {
                r = sd_varlink_set_allow_fd_passing_output(link, true);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The callback's userdata is the server's, which belongs to the methods; hence one function per set of flags. */
static int on_connect_takes(sd_varlink_server *server, sd_varlink *link, void *userdata _unused_) {
        return on_connect(server, link, SERVER_TAKES_FDS);
}
static int on_connect_gives(sd_varlink_server *server, sd_varlink *link, void *userdata _unused_) {
        return on_connect(server, link, SERVER_GIVES_FDS);
}
static int on_connect_both(sd_varlink_server *server, sd_varlink *link, void *userdata _unused_) {
        return on_connect(server, link, SERVER_TAKES_FDS | SERVER_GIVES_FDS);
}

int service_varlink_server_new(sd_event *event, const sd_varlink_interface *interface, ServerFlags flags,
                               unsigned connections_max, unsigned connections_per_uid_max, void *userdata,
                               sd_varlink_server **ret) {
        static const sd_varlink_connect_t on_connect_table[] = {
                NULL, on_connect_takes, on_connect_gives, on_connect_both,
        };
        _cleanup_(sd_varlink_server_unrefp) sd_varlink_server *server = NULL;
        int r;

        r = sd_varlink_server_new(&server, SD_VARLINK_SERVER_ACCOUNT_UID | SD_VARLINK_SERVER_INHERIT_USERDATA);
        if (r < 0)
                return r;
        sd_varlink_server_set_userdata(server, userdata);
        r = sd_varlink_server_set_info(server, "postd", "postd", POSTD_VERSION, NULL);
        if (r < 0)
                return r;
        r = sd_varlink_server_set_connections_max(server, connections_max);
        if (r < 0)
                return r;
        r = sd_varlink_server_set_connections_per_uid_max(server, connections_per_uid_max);
        if (r < 0)
                return r;
        r = sd_varlink_server_add_interface(server, interface);
        if (r < 0)
                return r;
        if (on_connect_table[flags]) {
                r = sd_varlink_server_bind_connect(server, on_connect_table[flags]);
                if (r < 0)
                        return r;
        }
        r = sd_varlink_server_attach_event(server, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(server);
        return 0;
}

int service_listen_fds(int (*take)(int fd, const char *name, void *userdata), void *userdata) {
        _cleanup_strv_free_ char **names = NULL;
        int n, r = 0;

        n = sd_listen_fds_with_names(true, &names);
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;
                if (r < 0)
                        safe_close(fd);
                else
                        r = take(fd, names[i], userdata);
        }
        return r < 0 ? r : n;
}
