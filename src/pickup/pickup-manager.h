/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* postd-pickup: looks through the offline directory and feeds what it finds into the queue, until nothing is left.
 *
 * One thing at a time, nothing kept: it may be killed at any moment. A file goes only after its message was accepted, and
 * the token in it keeps one that was accepted twice from becoming two. */

#include <signal.h>
#include "config/config.h"

/* Set by a signal: the program ends soon. */
extern volatile sig_atomic_t pickup_stop;

/* Works until the directory holds nothing more to do and was quiet for a while, or until told to stop. 0 or -errno
 * (logged). */
int pickup_run(const Config *config, const char *directory);
