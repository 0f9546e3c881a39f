/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/random.h>
#include <systemd/sd-id128.h>

#include "basic/macro.h"

/* 128 random bits as a UUID of version 4: sd_id128_randomize() for a program that starts for each message and saves the
 * time to load the library. 0 or -errno. */
static inline int random_id128(sd_id128_t *ret) {
        sd_id128_t id;

        if (getrandom(&id, sizeof(id), 0) != sizeof(id))
                return negative_errno();
        id.bytes[6] = (id.bytes[6] & 0x0F) | 0x40;
        id.bytes[8] = (id.bytes[8] & 0x3F) | 0x80;
        *ret = id;
        return 0;
}
