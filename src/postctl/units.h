/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What systemd says of postd's units. */

#include <systemd/sd-bus.h>
#include "basic/usec.h"

typedef struct UnitState {
        char *name;
        char *active; /* "active", "failed", ... */
        char *sub;
} UnitState;

typedef struct UnitStates {
        UnitState *items;
        size_t n;
} UnitStates;

void unit_states_done(UnitStates *u);

/* Asks for the loaded units that match; waits five seconds at most. */
int unit_states_get(const char *const *patterns, UnitStates *ret);

/* NULL if it is not there. */
const UnitState *unit_states_find(const UnitStates *u, const char *name);
