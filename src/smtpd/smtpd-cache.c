/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/crc32c.h"
#include "smtpd/smtpd-cache.h"

/* The sum only chooses a slot; a client that makes its own collide only loses its own hits. */
static size_t slot_of(const char *client, const char *recipient) {
        return crc32c(crc32c(0, client, strlen(client)), recipient, strlen(recipient)) % CACHE_SLOTS;
}

/* Keys are "CLIENT\nRECIPIENT": neither holds a newline. */
static bool key_is(const char *key, const char *client, const char *recipient) {
        size_t n = strlen(client);
        return strncmp(key, client, n) == 0 && key[n] == '\n' && streq(key + n + 1, recipient);
}

void check_cache_done(CheckCache *c) {
        for (size_t i = 0; i < CACHE_SLOTS; i++)
                c->slots[i].key = mfree(c->slots[i].key);
}

bool check_cache_has(const CheckCache *c, const char *client, const char *recipient, usec_t now) {
        size_t i = slot_of(client, recipient);
        return c->slots[i].key && now < c->slots[i].until && key_is(c->slots[i].key, client, recipient);
}

void check_cache_add(CheckCache *c, const char *client, const char *recipient, usec_t now) {
        size_t i = slot_of(client, recipient);
        char *key;

        if (c->slots[i].key && key_is(c->slots[i].key, client, recipient)) {
                c->slots[i].until = usec_add(now, CACHE_SPAN);
                return;
        }
        if (asprintf(&key, "%s\n%s", client, recipient) < 0)
                return;
        free(c->slots[i].key);
        c->slots[i].key = key;
        c->slots[i].until = usec_add(now, CACHE_SPAN);
}
