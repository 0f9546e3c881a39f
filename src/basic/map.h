/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A hash map from strings to pointers: open addressing, keyed hash (strings from outside cannot be chosen to collide).
 * Keys are not copied: they usually live in the value and must stay while the entry does. Embedded by value,
 * MAP_INIT (all zero), map_done(). */

#include "basic/macro.h"

typedef struct MapEntry {
        const char *key;
        void *value;
        uint32_t hash;
} MapEntry;

typedef struct Map {
        MapEntry *entries;
        size_t size;      /* entries in use */
        size_t n_slots;   /* 0 or a power of two */
} Map;

#define MAP_INIT ((Map) {})

/* Frees the table, not the values. */
void map_done(Map *m);

void *map_get(const Map *m, const char *key);

/* 0, -EEXIST if the key is there already, -ENOMEM. */
int map_put(Map *m, const char *key, void *value);

/* Returns the value that was removed, or NULL. Not while iterating. */
void *map_remove(Map *m, const char *key);

/* One value after another in no order: start with *i = 0, NULL at the end. */
void *map_iterate(const Map *m, size_t *i);

#define MAP_FOREACH(value, m) \
        for (size_t _i_##value = 0; ((value) = map_iterate((m), &_i_##value));)
