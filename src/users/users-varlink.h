/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* io.postd.Table with the tables "users" and "uids". */

#include <systemd/sd-varlink.h>
#include "users/lookup.h"

/* The look-ups must outlive the server. */
int users_varlink_server_new(sd_event *event, Lookups *lookups, unsigned connections_max, sd_varlink_server **ret);
