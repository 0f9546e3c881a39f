/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/buf.h"
#include "basic/text.h"
#include "postctl/json.h"

const char *json_string(sd_json_variant *v, const char *name) {
        sd_json_variant *field = sd_json_variant_by_key(v, name);

        return sd_json_variant_is_string(field) ? sd_json_variant_string(field) : NULL;
}

uint64_t json_number(sd_json_variant *v, const char *name) {
        sd_json_variant *field = sd_json_variant_by_key(v, name);

        return sd_json_variant_is_unsigned(field) ? sd_json_variant_unsigned(field) : 0;
}

bool json_bool(sd_json_variant *v, const char *name) {
        sd_json_variant *field = sd_json_variant_by_key(v, name);

        return sd_json_variant_is_boolean(field) && sd_json_variant_boolean(field);
}

size_t json_elements(sd_json_variant *v) {
        return sd_json_variant_is_array(v) ? sd_json_variant_elements(v) : 0;
}

int json_escape(const char *json, char **ret) {
        static const unsigned char masks[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
        _cleanup_buf_ Buf b = BUF_INIT;
        size_t n = strlen(json);
        int r;

        while (n > 0) {
                /* Outside of strings JSON is ASCII, so whatever is not stands in one. */
                int k = utf8_sequence(json, n);
                if (k < 0)
                        return k;
                uint32_t c = (unsigned char) json[0] & masks[k];
                for (int i = 1; i < k; i++)
                        c = c << 6 | ((unsigned char) json[i] & 0x3F);
                if (c < 0x7F)
                        r = buf_append(&b, json, 1);
                else if (c < 0x10000)
                        r = buf_appendf(&b, "\\u%04x", c);
                else
                        r = buf_appendf(&b, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10), 0xDC00 + ((c - 0x10000) & 0x3FF));
                if (r < 0)
                        return r;
                json += k;
                n -= k;
        }
        *ret = buf_take(&b, NULL);
        return *ret ? 0 : -ENOMEM;
}

int json_print(FILE *f, sd_json_variant *v) {
        _cleanup_free_ char *text = NULL, *escaped = NULL;
        int r;

        r = sd_json_variant_format(v, 0, &text);
        if (r < 0)
                return r;
        r = json_escape(text, &escaped);
        if (r < 0)
                return r;
        fprintf(f, "%s\n", escaped);
        return 0;
}
