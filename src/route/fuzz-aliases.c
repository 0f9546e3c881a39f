/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "address/address.h"
#include "basic/text.h"
#include "route/alias-parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is handed out is clean, and what an address says it is. */
static int check_entry(const AliasEntry *e, void *userdata) {
        const char *t = e->targets, *rest;
        unsigned *line = userdata;

        assert(e->line > *line);
        *line = e->line;
        assert(!e->error || e->n_targets == 0);
        assert(!e->name || (*e->name && strlen(e->name) <= ADDRESS_LOCAL_MAX && !strchr(e->name, '@')));
        for (size_t i = 0; i < e->n_targets; i++, t += strlen(t) + 1) {
                size_t n = strlen(t);

                assert(t + n < e->targets + e->targets_size);
                assert(n > 0 && n <= ALIAS_TARGET_MAX && utf8_valid(t, n) && !strpbrk(t, "\r\n"));
                switch (alias_kind(t, &rest)) {
                case ALIAS_ADDRESS:
                        assert(address_valid(t, ADDRESS_UTF8 | ADDRESS_UNQUALIFIED));
                        break;
                case ALIAS_DIRECT:
                        assert(address_valid(rest, ADDRESS_UTF8 | ADDRESS_UNQUALIFIED));
                        break;
                case ALIAS_INCLUDE:
                        assert(rest[0] == '/');
                        break;
                default:
                        assert(e->name);
                }
        }
        assert(e->n_targets == 0 || t == e->targets + e->targets_size);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        for (int list = 0; list < 2; list++) {
                unsigned line = 0;
                int r = alias_parse((const char *) data, size, list, check_entry, &line);
                assert(r == 0 || r == -ENOMEM);
        }
        return 0;
}
