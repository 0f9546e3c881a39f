/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The programs beside postctl on a terminal: polkit's agent, which asks for passwords, and a pager. Either may be
 * missing; then it is done without. */

#include "basic/macro.h"

/* Its process once it is ready to ask, or 0. */
pid_t agent_open(void);
void agent_close(pid_t agent);

/* Puts a pager behind standard output: its process, or 0. */
pid_t pager_open(void);
/* Ends the output and waits until the reader has seen enough. */
void pager_close(pid_t pager);
