/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* io.postd.Queue1 on the system bus, and the log level. The queue manager runs without a bus, takes its name when one
 * appears, and survives its loss. */

#include "queued/queued-manager.h"

int bus_start(Manager *manager);
Bus *bus_free(Bus *b);

/* NULL while there is none. */
sd_bus *bus_get(const Manager *manager);

/* Tells the counters to those who listen; at most every few seconds. */
void bus_counters_changed(Manager *manager);
