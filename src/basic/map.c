/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/random.h>

#include "basic/map.h"

#define SLOTS_MIN 16U

static uint64_t hash_seed(void) {
        static uint64_t seed;

        /* Races are harmless only before threads start; maps are used by the main thread of a program. */
        while (seed == 0)
                if (getrandom(&seed, sizeof(seed), 0) < 0 && errno != EINTR)
                        seed = (uintptr_t) &seed | 1;
        return seed;
}

/* Multiply and fold over eight bytes at a time, with a secret seed. */
static uint32_t hash_string(const char *s) {
        uint64_t h = hash_seed();
        size_t n = strlen(s);

        while (n > 0) {
                uint64_t word = 0;
                size_t k = MIN(n, sizeof(word));

                memcpy(&word, s, k);
                __uint128_t product = (__uint128_t) (h ^ word ^ (uint64_t) n << 56) * UINT64_C(0x9E3779B97F4A7C15);
                h = (uint64_t) product ^ (uint64_t) (product >> 64) ^ hash_seed();
                s += k;
                n -= k;
        }
        return (uint32_t) (h >> 32 ^ h);
}

void map_done(Map *m) {
        free(m->entries);
        *m = MAP_INIT;
}

/* The slot of the key, or the free slot where it would go. There is always a free slot. */
static MapEntry *find_slot(MapEntry *entries, size_t n_slots, uint32_t hash, const char *key) {
        for (size_t i = hash & (n_slots - 1);; i = (i + 1) & (n_slots - 1)) {
                MapEntry *e = entries + i;
                if (!e->key || (e->hash == hash && streq(e->key, key)))
                        return e;
        }
}

void *map_get(const Map *m, const char *key) {
        if (m->size == 0)
                return NULL;
        return find_slot(m->entries, m->n_slots, hash_string(key), key)->value;
}

static int map_resize(Map *m, size_t n_slots) {
        MapEntry *entries = new0(MapEntry, n_slots);
        if (!entries)
                return -ENOMEM;
        for (size_t i = 0; i < m->n_slots; i++)
                if (m->entries[i].key)
                        *find_slot(entries, n_slots, m->entries[i].hash, m->entries[i].key) = m->entries[i];
        free(m->entries);
        m->entries = entries;
        m->n_slots = n_slots;
        return 0;
}

int map_put(Map *m, const char *key, void *value) {
        int r;

        assert(value);
        if ((m->size + 1) * 4 > m->n_slots * 3) {
                r = map_resize(m, MAX(m->n_slots * 2, (size_t) SLOTS_MIN));
                if (r < 0)
                        return r;
        }
        uint32_t hash = hash_string(key);
        MapEntry *e = find_slot(m->entries, m->n_slots, hash, key);
        if (e->key)
                return -EEXIST;
        *e = (MapEntry) { key, value, hash };
        m->size++;
        return 0;
}

void *map_remove(Map *m, const char *key) {
        if (m->size == 0)
                return NULL;

        MapEntry *e = find_slot(m->entries, m->n_slots, hash_string(key), key);
        if (!e->key)
                return NULL;

        void *value = e->value;
        size_t mask = m->n_slots - 1, hole = e - m->entries;

        /* Entries behind the hole move up, unless that would put them before the slot they belong to. */
        for (size_t i = (hole + 1) & mask; m->entries[i].key; i = (i + 1) & mask) {
                size_t home = m->entries[i].hash & mask;
                if (((i - home) & mask) >= ((i - hole) & mask)) {
                        m->entries[hole] = m->entries[i];
                        hole = i;
                }
        }
        m->entries[hole] = (MapEntry) {};
        m->size--;

        /* After a burst the memory goes back. */
        if (m->n_slots > SLOTS_MIN && m->size * 8 < m->n_slots)
                (void) map_resize(m, m->n_slots / 2);
        return value;
}

void *map_iterate(const Map *m, size_t *i) {
        while (*i < m->n_slots) {
                const MapEntry *e = m->entries + (*i)++;
                if (e->key)
                        return e->value;
        }
        return NULL;
}
