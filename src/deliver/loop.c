/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/fd.h"
#include "deliver/loop.h"
#include "message/header.h"

#define HEADER_MAX (64U * 1024)

void copies_refuse_loops(Copy *copies, size_t n) {
        _cleanup_free_ char *header = malloc(HEADER_MAX);
        const Letter *loaded = NULL;
        ssize_t size = 0;

        if (!header)
                return;
        for (size_t i = 0; i < n; i++) {
                Copy *c = copies + i;

                if (c->settled || !c->address)
                        continue;
                if (loaded != c->letter) {
                        loaded = c->letter;
                        size = pread_full(loaded->fd, header, MIN(loaded->size, (uint64_t) HEADER_MAX), 0);
                }
                if (size > 0 && header_has_delivered_to(header, size, 0, c->address))
                        copy_failed(c, STATUS(5, 4, 6), "mail is going round: it was delivered to %s before", c->address);
        }
}
