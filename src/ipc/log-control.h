/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.freedesktop.LogControl1 at /org/freedesktop/LogControl1, so that systemctl service-log-level works on services
 * with a BusName=. Only root and the program's own user may change the level, for as long as the program runs. */

#include <systemd/sd-bus.h>

/* identifier is the SYSLOG_IDENTIFIER= of the program, and must stay. 0 or -errno. */
int log_control_add(sd_bus *bus, const char *identifier);
