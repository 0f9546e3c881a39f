/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which messages somebody means. Pure. */

#include "envelope/queue-id.h"

typedef struct IdList {
        QueueId *items;
        size_t n, allocated;
} IdList;

void id_list_done(IdList *l);
int id_list_add(IdList *l, const char *id); /* -EINVAL if it is none */
void id_list_sort(IdList *l);

/* Can this be a part of a queue id? */
#define ID_PART_MIN 4U
bool queue_id_part_valid(const char *s);

/* Does the id begin or end with the part? */
bool queue_id_matches(const char *id, const char *part);

/* As the filters of List mean it: the whole address in any case, or any address in a domain, "@example.org". */
bool address_matches(const char *address, const char *pattern);
