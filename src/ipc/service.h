/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every daemon does alike: the event loop with signals, watchdog and exit when idle, varlink servers with limits,
 * and the sockets that systemd passed. */

#include <systemd/sd-event.h>
#include <systemd/sd-varlink.h>
#include "basic/usec.h"

/* For programs that take no arguments but --help and --version: 1 to go on, 0 when all is said, -EINVAL (reported). */
int service_arguments(int argc, char *argv[], const char *description);

/* An event loop that ends on SIGTERM and SIGINT and feeds the watchdog; SIGPIPE is ignored. */
int service_event_new(sd_event **ret);

/* Runs the loop until it is told to exit, or until nothing has happened for idle microseconds (USEC_INFINITY: never)
 * and busy() (may be NULL) says no. Tells systemd STOPPING=1. Returns the exit code of the loop or -errno. */
int service_run(sd_event *event, usec_t idle, bool (*busy)(void *userdata), void *userdata);

typedef enum ServerFlags {
        SERVER_TAKES_FDS = 1 << 0,  /* callers may send descriptors */
        SERVER_GIVES_FDS = 1 << 1,  /* replies may carry descriptors */
} ServerFlags;

/* A varlink server for one interface on the loop. Connections are counted by uid (sd-varlink enforces no limit at all
 * without that). Methods get userdata. */
int service_varlink_server_new(sd_event *event, const sd_varlink_interface *interface, ServerFlags flags,
                               unsigned connections_max, unsigned connections_per_uid_max, void *userdata,
                               sd_varlink_server **ret);

/* Calls take(fd, name, userdata) for each descriptor passed by systemd, in order; the callee owns fd then.
 * Returns their number or the first error. */
int service_listen_fds(int (*take)(int fd, const char *name, void *userdata), void *userdata);
