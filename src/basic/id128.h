/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* 128-bit ids without libsystemd: sendmail starts for each message and need not load the library for two functions. */

#include <sys/random.h>
#include <systemd/sd-id128.h>

#include "basic/macro.h"

/* Random bits as a UUID of version 4: 0 or -errno. */
static inline int id128_random(sd_id128_t *ret) {
        sd_id128_t id;

        if (getrandom(&id, sizeof(id), 0) != sizeof(id))
                return negative_errno();
        id.bytes[6] = (id.bytes[6] & 0x0F) | 0x40;
        id.bytes[8] = (id.bytes[8] & 0x3F) | 0x80;
        *ret = id;
        return 0;
}

/* 32 hexadecimal digits and no more; not the null id. 0 or -EINVAL. */
static inline int id128_parse(const char *s, sd_id128_t *ret) {
        sd_id128_t id;

        if (strlen(s) != 2 * sizeof(id) || strspn(s, "0123456789abcdefABCDEF") != 2 * sizeof(id))
                return -EINVAL;
        for (size_t i = 0; i < 2 * sizeof(id); i++) {
                unsigned digit = s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10;
                id.bytes[i / 2] = i % 2 == 0 ? digit << 4 : id.bytes[i / 2] | digit;
        }
        if (sd_id128_is_null(id))
                return -EINVAL;
        *ret = id;
        return 0;
}
