/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parameters of a Deliver call, as JSON: whatever is accepted must come out as results again. */

#include "basic/test.h"
#include "deliver/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL, *results = NULL;
        _cleanup_(request_freep) Request *r = NULL;
        _cleanup_free_ char *text = strndup((const char *) data, size);

        if (!text || sd_json_parse(text, 0, &v, NULL, NULL) < 0 || request_parse(v, &r) < 0)
                return 0;
        ASSERT_TRUE(r->n_letters <= LETTERS_MAX && r->n_copies <= COPIES_MAX);
        for (size_t i = 0; i < r->n_copies; i++) {
                Copy *c = r->copies + i;
                ASSERT_TRUE(c->letter >= r->letters && c->letter < r->letters + r->n_letters && c->letter->sender && c->address);
                if (i % 2)
                        copy_delivered(c, c->address);
                else
                        copy_deferred_errno(c, -ENOSPC, c->address);
        }
        ASSERT_OK(copies_to_json(r->copies, r->n_copies, &results));
        ASSERT_EQ(sd_json_variant_elements(sd_json_variant_by_key(results, "results")), r->n_copies);
        return 0;
}
