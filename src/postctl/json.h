/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading what the queue manager says, and printing JSON. */

#include <stdio.h>
#include <systemd/sd-json.h>
#include "basic/macro.h"

/* A field of an object; what is missing or of another type is NULL, 0, false. Borrowed. */
const char *json_string(sd_json_variant *v, const char *name);
uint64_t json_number(sd_json_variant *v, const char *name);
bool json_bool(sd_json_variant *v, const char *name);
/* Number of elements of an array, 0 for anything else. */
size_t json_elements(sd_json_variant *v);

/* One line of JSON, in ASCII: what is not becomes \uXXXX, so that nothing in it means anything to a terminal. */
int json_print(FILE *f, sd_json_variant *v);
/* The same for a text that is JSON already: 0, -ENOMEM, or -EBADMSG if it is not UTF-8. */
int json_escape(const char *json, char **ret);
