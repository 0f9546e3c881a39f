/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/id128.h"
#include "basic/text.h"
#include "message/address-list.h"
#include "message/date.h"
#include "message/fixup.h"

#define FULL_NAME_MAX 512U

typedef struct Seen {
        bool from, date, message_id;
        bool resent, resent_from, resent_date, resent_message_id;
} Seen;

static void seen_add(Seen *s, const HeaderField *f) {
        const struct {
                const char *name;
                bool *flag;
        } fields[] = {
                { "From",        &s->from        }, { "Date",        &s->date        }, { "Message-ID",        &s->message_id        },
                { "Resent-From", &s->resent_from }, { "Resent-Date", &s->resent_date }, { "Resent-Message-ID", &s->resent_message_id },
        };

        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (header_field_is(f, fields[i].name))
                        *fields[i].flag = true;
        if (f->name_size > 7 && ascii_strncasecmp(f->name, "Resent-", 7) == 0)
                s->resent = true;
}

static bool has_addresses(const HeaderField *f) {
        static const char *const names[] = { "From", "Sender", "Reply-To", "To", "Cc", "Bcc" };
        HeaderField base = *f;

        if (base.name_size > 7 && ascii_strncasecmp(base.name, "Resent-", 7) == 0) {
                base.name += 7;
                base.name_size -= 7;
        }
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (header_field_is(&base, names[i]))
                        return true;
        return false;
}

static bool is_bcc(const HeaderField *f) {
        return header_field_is(f, "Bcc") || header_field_is(f, "Resent-Bcc");
}

/* Copies text of a field; with HEADER_BARE_LF every line end becomes CRLF. */
static int append_lines(Buf *b, const char *p, size_t n, HeaderFlags flags) {
        int r;

        while ((flags & HEADER_BARE_LF) && n > 0) {
                const char *lf = memchr(p, '\n', n);
                if (!lf)
                        break;
                size_t k = lf - p;
                r = buf_append(b, p, k > 0 && p[k - 1] == '\r' ? k - 1 : k);
                if (r < 0)
                        return r;
                r = buf_append(b, "\r\n", 2);
                if (r < 0)
                        return r;
                p += k + 1;
                n -= k + 1;
        }
        return buf_append(b, p, n);
}

static int append_field(Buf *b, const HeaderField *f, const MessageFixup *o) {
        size_t done = 0; /* of the value */
        int r;

        r = append_lines(b, f->start, f->value - f->start, o->flags);
        if (r < 0)
                return r;
        if (o->qualify && has_addresses(f)) {
                AddressListReader reader;
                AddressListResult result;
                AddressItem item;

                address_list_init(&reader, f->value, f->value_size);
                while ((result = address_list_next(&reader, &item)) != ADDRESS_LIST_END) {
                        if (result != ADDRESS_LIST_ITEM || item.has_domain)
                                continue;
                        r = append_lines(b, f->value + done, item.local_end - done, o->flags);
                        if (r < 0)
                                return r;
                        r = buf_appendf(b, "@%s", o->mail_name);
                        if (r < 0)
                                return r;
                        done = item.local_end;
                }
        }
        r = append_lines(b, f->value + done, f->value_size - done, o->flags);
        return r < 0 ? r : buf_append(b, "\r\n", 2);
}

static int append_base64(Buf *b, const char *p, size_t n) {
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        int r;

        for (size_t i = 0; i < n; i += 3) {
                const unsigned char *s = (const unsigned char *) p + i;
                uint32_t v = (uint32_t) s[0] << 16 | (i + 1 < n ? (uint32_t) s[1] << 8 : 0) | (i + 2 < n ? s[2] : 0);
                char out[4] = { digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
                                i + 2 < n ? digits[v & 63] : '=' };
                r = buf_append(b, out, sizeof(out));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Encoded words of at most 75 characters, each with whole UTF-8 sequences (RFC 2047 2, 5). */
static int append_encoded(Buf *b, const char *s) {
        size_t left = strlen(s);
        int r;

        for (bool first = true; left > 0; first = false) {
                size_t n = 0;

                while (n < left) {
                        int k = utf8_sequence(s + n, left - n);
                        if (k < 0 || n + k > 45)
                                break;
                        n += k;
                }
                r = buf_append_str(b, first ? "=?utf-8?B?" : "\r\n =?utf-8?B?");
                if (r < 0)
                        return r;
                r = append_base64(b, s, n);
                if (r < 0)
                        return r;
                r = buf_append_str(b, "?=");
                if (r < 0)
                        return r;
                s += n;
                left -= n;
        }
        return 0;
}

static int append_quoted(Buf *b, const char *s) {
        int r;

        r = buf_append(b, "\"", 1);
        if (r < 0)
                return r;
        for (; *s; s++) {
                if (IN_SET(*s, '"', '\\')) {
                        r = buf_append(b, "\\", 1);
                        if (r < 0)
                                return r;
                }
                r = buf_append(b, s, 1);
                if (r < 0)
                        return r;
        }
        return buf_append(b, "\"", 1);
}

/* A display name: as it is if plain, else quoted or encoded; nothing but printable text is left of it. */
static int append_name(Buf *b, const char *full_name) {
        _cleanup_free_ char *name = strndup(full_name, FULL_NAME_MAX);
        bool utf8, plain = true;
        char *s;

        if (!name)
                return -ENOMEM;
        utf8 = utf8_valid(name, strlen(name));
        for (char *p = name; *p; p++)
                if (((unsigned char) *p & 0x80) && !utf8)
                        *p = '?';
                else if ((unsigned char) *p < 0x20 || *p == 0x7F)
                        *p = ' ';
        s = strstrip(name);
        if (!*s)
                return 0;
        for (const char *p = s; *p; p++)
                if ((unsigned char) *p & 0x80) {
                        int r = append_encoded(b, s);
                        return r < 0 ? r : buf_append(b, " ", 1);
                } else if (!ascii_isalnum(*p) && !strchr(" !#$%&'*+-/^_`{|}~", *p))
                        plain = false;
        int r = plain ? buf_append_str(b, s) : append_quoted(b, s);
        return r < 0 ? r : buf_append(b, " ", 1);
}

static int append_from(Buf *b, const char *prefix, const MessageFixup *o) {
        _cleanup_free_ char *address = strdup(isempty(o->sender) ? "MAILER-DAEMON" : o->sender);
        int r;

        if (!address)
                return -ENOMEM;
        for (char *p = address; *p; p++)
                if ((unsigned char) *p < 0x20 || IN_SET(*p, 0x7F, '<', '>'))
                        *p = '?';

        r = buf_appendf(b, "%sFrom: ", prefix);
        if (r < 0)
                return r;
        if (o->full_name) {
                r = append_name(b, o->full_name);
                if (r < 0)
                        return r;
        }
        if (o->qualify && !strrchr(address, '@'))
                return buf_appendf(b, "<%s@%s>\r\n", address, o->mail_name);
        return buf_appendf(b, "<%s>\r\n", address);
}

static int append_missing(Buf *b, const Seen *s, const MessageFixup *o) {
        const char *prefix = s->resent ? "Resent-" : "";
        int r;

        if (o->add_from && !(s->resent ? s->resent_from : s->from)) {
                r = append_from(b, prefix, o);
                if (r < 0)
                        return r;
        }
        if (o->add_date && !(s->resent ? s->resent_date : s->date)) {
                r = buf_appendf(b, "%sDate: %s\r\n", prefix, RFC5322_DATE(o->now));
                if (r < 0)
                        return r;
        }
        if (o->add_message_id && !(s->resent ? s->resent_message_id : s->message_id)) {
                sd_id128_t id;

                r = id128_random(&id);
                if (r < 0)
                        return r;
                r = buf_appendf(b, "%sMessage-ID: <" SD_ID128_FORMAT_STR "@%s>\r\n", prefix, SD_ID128_FORMAT_VAL(id),
                                o->host_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

int message_fixup(const char *header, size_t size, const MessageFixup *o, Buf *ret) {
        size_t before = ret->size;
        Seen seen = {};
        HeaderReader h;
        HeaderField f;
        int r;

        header_reader_init(&h, header, size, o->flags);
        while (header_next(&h, &f)) {
                seen_add(&seen, &f);
                if (o->remove_bcc && is_bcc(&f))
                        continue;
                r = append_field(ret, &f, o);
                if (r < 0)
                        goto fail;
        }
        r = append_missing(ret, &seen, o);
        if (r < 0)
                goto fail;
        r = buf_append(ret, "\r\n", 2);
        if (r < 0)
                goto fail;
        return 0;

fail:
        ret->size = before;
        return r;
}
