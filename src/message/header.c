/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "message/header.h"

void header_reader_init(HeaderReader *h, const char *data, size_t size, HeaderFlags flags) {
        *h = (HeaderReader) { .next = data, .end = data + size, .flags = flags };
}

/* The line at p: returns where the next one begins; *ret_size is without the line end. */
static const char *line_at(const HeaderReader *h, const char *p, size_t *ret_size) {
        for (const char *from = p; from < h->end;) {
                const char *lf = memchr(from, '\n', h->end - from);

                if (!lf)
                        break;
                if (lf > p && lf[-1] == '\r') {
                        *ret_size = lf - 1 - p;
                        return lf + 1;
                }
                if (h->flags & HEADER_BARE_LF) {
                        *ret_size = lf - p;
                        return lf + 1;
                }
                from = lf + 1;
        }
        *ret_size = h->end - p;
        return h->end;
}

/* Length of the field name at the beginning of a line (RFC 5322 2.2, 4.5: white space before the colon is tolerated),
 * 0 if the line is no field. */
static size_t field_name(const char *line, size_t size, size_t *ret_value) {
        size_t n = 0, colon;

        while (n < size && line[n] > ' ' && line[n] != ':' && line[n] != 0x7F)
                n++;
        for (colon = n; colon < size && (line[colon] == ' ' || line[colon] == '\t');)
                colon++;
        if (colon >= size || line[colon] != ':')
                return 0;
        *ret_value = colon + 1;
        return n;
}

static bool is_continuation(const HeaderReader *h, const char *p) {
        return p < h->end && (*p == ' ' || *p == '\t');
}

bool header_next(HeaderReader *h, HeaderField *ret) {
        size_t size, value, name_size;
        const char *next;

        if (h->finished)
                return false;

        next = line_at(h, h->next, &size);
        if (!h->started && size >= 5 && memcmp(h->next, "From ", 5) == 0) {
                h->next = next;
                next = line_at(h, h->next, &size);
        }
        h->started = true;

        if (size == 0) {
                h->next = next; /* behind the empty line, or the end */
                h->finished = true;
                return false;
        }
        name_size = field_name(h->next, size, &value);
        if (name_size == 0) {
                h->finished = true;
                return false;
        }

        const char *start = h->next, *value_end = start + size;
        while (is_continuation(h, next)) {
                const char *line = next;
                next = line_at(h, line, &size);
                value_end = line + size;
        }
        h->next = next;
        *ret = (HeaderField) {
                .start = start,
                .size = next - start,
                .name = start,
                .name_size = name_size,
                .value = start + value,
                .value_size = value_end - (start + value),
        };
        return true;
}

bool header_field_is(const HeaderField *f, const char *name) {
        return strlen(name) == f->name_size && ascii_strncasecmp(f->name, name, f->name_size) == 0;
}

size_t header_end(const char *data, size_t size, HeaderFlags flags) {
        HeaderReader h;
        HeaderField f;

        header_reader_init(&h, data, size, flags);
        while (header_next(&h, &f))
                ;
        return h.next - data;
}

size_t header_count(const char *data, size_t size, HeaderFlags flags, const char *name) {
        HeaderReader h;
        HeaderField f;
        size_t n = 0;

        header_reader_init(&h, data, size, flags);
        while (header_next(&h, &f))
                n += header_field_is(&f, name);
        return n;
}

static bool is_space(char c) {
        return IN_SET(c, ' ', '\t', '\r', '\n');
}

bool header_has_delivered_to(const char *data, size_t size, HeaderFlags flags, const char *address) {
        size_t n = strlen(address);
        HeaderReader h;
        HeaderField f;

        header_reader_init(&h, data, size, flags);
        while (header_next(&h, &f)) {
                const char *p = f.value, *e = f.value + f.value_size;

                if (!header_field_is(&f, "Delivered-To"))
                        continue;
                while (p < e && is_space(*p))
                        p++;
                while (p < e && is_space(e[-1]))
                        e--;
                if ((size_t) (e - p) == n && ascii_strncasecmp(p, address, n) == 0)
                        return true;
        }
        return false;
}
