/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/map.h"
#include "basic/strv.h"
#include "basic/text.h"
#include "message/address-list.h"
#include "message/addresses.h"

typedef struct Extraction {
        char **good, **bad;
        size_t n_good, n_bad;
        size_t max;
        Map seen;
} Extraction;

static void extraction_done(Extraction *x) {
        map_done(&x->seen);
        strv_free(x->good);
        strv_free(x->bad);
}

static int extraction_add(Extraction *x, const char *address) {
        int r;

        if (map_get(&x->seen, address))
                return 0;
        if (x->n_good >= x->max)
                return -E2BIG;
        r = strv_extend(&x->good, address);
        if (r < 0)
                return r;
        char *copy = x->good[x->n_good++];
        return map_put(&x->seen, copy, copy);
}

static int extraction_add_field(Extraction *x, const HeaderField *f) {
        AddressListReader reader;
        AddressItem item;
        int r;

        address_list_init(&reader, f->value, f->value_size);
        for (;;) {
                switch (address_list_next(&reader, &item)) {
                case ADDRESS_LIST_END:
                        return 0;
                case ADDRESS_LIST_ITEM:
                        r = extraction_add(x, item.address);
                        if (r < 0)
                                return r;
                        break;
                case ADDRESS_LIST_BAD:
                        if (x->n_bad >= x->max)
                                return -E2BIG;
                        r = strv_extend(&x->bad, item.address);
                        if (r < 0)
                                return r;
                        x->n_bad++;
                        break;
                }
        }
}

static bool is_resent(const HeaderField *f) {
        return f->name_size > 7 && ascii_strncasecmp(f->name, "Resent-", 7) == 0;
}

static bool is_destination(const HeaderField *f, bool resent) {
        if (resent)
                return header_field_is(f, "Resent-To") || header_field_is(f, "Resent-Cc") || header_field_is(f, "Resent-Bcc");
        return header_field_is(f, "To") || header_field_is(f, "Cc") || header_field_is(f, "Bcc");
}

static bool has_resent_destination(const char *header, size_t size, HeaderFlags flags) {
        HeaderReader h;
        HeaderField f;

        header_reader_init(&h, header, size, flags);
        while (header_next(&h, &f))
                if (is_destination(&f, true))
                        return true;
        return false;
}

int addresses_extract(const char *header, size_t size, HeaderFlags flags, size_t max, char ***ret, char ***ret_bad) {
        _cleanup_(extraction_done) Extraction x = { .max = MIN(max, (size_t) 65536) };
        bool resent = has_resent_destination(header, size, flags), found = false;
        HeaderReader h;
        HeaderField f;
        int r;

        header_reader_init(&h, header, size, flags);
        while (header_next(&h, &f)) {
                if (is_destination(&f, resent)) {
                        r = extraction_add_field(&x, &f);
                        if (r < 0)
                                return r;
                        found = true;
                } else if (resent && found && !is_resent(&f))
                        break; /* the newest block is over */
        }
        *ret = TAKE_PTR(x.good);
        *ret_bad = TAKE_PTR(x.bad);
        return 0;
}
