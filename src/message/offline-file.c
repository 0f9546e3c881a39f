/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/id128.h"
#include "basic/text.h"
#include "message/offline-file.h"

#define MAGIC "postd-offline 1 "
#define MAGIC_SIZE (sizeof(MAGIC) - 1)
#define HEADER_DIGITS 10U
#define MESSAGE_DIGITS 20U
static_assert(MAGIC_SIZE + HEADER_DIGITS + 1 + MESSAGE_DIGITS + 1 == OFFLINE_START_SIZE, "the first line");

static int append_field(Buf *b, const char *name, const char *value) {
        size_t n = strlen(value);

        if (n > OFFLINE_VALUE_MAX)
                return -E2BIG;
        return buf_appendf(b, "%s %zu:%s\n", name, n, value);
}

static int append_fields(Buf *b, const Envelope *e) {
        char token[SD_ID128_STRING_MAX];

        (void) snprintf(token, sizeof(token), SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(e->token));
        int r = append_field(b, "token", token);
        if (r < 0)
                return r;
        r = append_field(b, "sender", e->sender);
        if (r < 0)
                return r;
        r = append_field(b, "body", body_type_to_string(e->body));
        if (r < 0)
                return r;
        if (e->envid) {
                r = append_field(b, "envid", e->envid);
                if (r < 0)
                        return r;
        }
        if (e->dsn_return != DSN_RETURN_DEFAULT) {
                r = append_field(b, "return", dsn_return_to_string(e->dsn_return));
                if (r < 0)
                        return r;
        }
        if (e->n_recipients > 0 && e->recipients[0].notify != 0) {
                r = append_field(b, "notify", notify_to_string(e->recipients[0].notify));
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < e->n_recipients; i++) {
                r = append_field(b, "recipient", e->recipients[i].address);
                if (r < 0)
                        return r;
        }
        return 0;
}

int offline_format(const Envelope *e, uint64_t message_size, Buf *ret) {
        _cleanup_buf_ Buf fields = BUF_INIT;
        int r;

        if (e->n_recipients > OFFLINE_RECIPIENTS_MAX)
                return -E2BIG;
        r = append_fields(&fields, e);
        if (r < 0)
                return r;
        if (fields.size > OFFLINE_HEADER_MAX)
                return -E2BIG;
        r = buf_appendf(ret, MAGIC "%010zu %020" PRIu64 "\n", fields.size, message_size);
        return r < 0 ? r : buf_append(ret, fields.data, fields.size);
}

static int parse_digits(const char *p, size_t n, uint64_t *ret) {
        char digits[MESSAGE_DIGITS + 1];

        memcpy(digits, p, n);
        digits[n] = 0;
        return parse_u64(digits, INT64_MAX, ret) < 0 ? -EBADMSG : 0;
}

int offline_parse_start(const char data[static OFFLINE_START_SIZE], uint64_t *ret_header_size, uint64_t *ret_message_size) {
        const char *header = data + MAGIC_SIZE, *message = header + HEADER_DIGITS + 1;
        uint64_t h, m;

        if (memcmp(data, MAGIC, MAGIC_SIZE) != 0 || message[-1] != ' ' || message[MESSAGE_DIGITS] != '\n')
                return -EBADMSG;
        if (parse_digits(header, HEADER_DIGITS, &h) < 0 || parse_digits(message, MESSAGE_DIGITS, &m) < 0)
                return -EBADMSG;
        if (h > OFFLINE_HEADER_MAX)
                return -EBADMSG;
        *ret_header_size = h;
        *ret_message_size = m;
        return 0;
}

typedef struct Field {
        char name[16];
        char value[OFFLINE_VALUE_MAX + 1];
} Field;

/* Reads one field at *p and moves behind it. */
static int parse_field(const char **p, const char *end, Field *ret) {
        const char *s = *p, *space, *colon;
        size_t n = 0;

        space = memchr(s, ' ', MIN((size_t) (end - s), sizeof(ret->name)));
        if (!space || space == s)
                return -EBADMSG;
        memcpy(ret->name, s, space - s);
        ret->name[space - s] = 0;
        s = space + 1;

        colon = memchr(s, ':', MIN(end - s, 5));
        if (!colon || colon == s)
                return -EBADMSG;
        for (; s < colon; s++) {
                if (!ascii_isdigit(*s))
                        return -EBADMSG;
                n = n * 10 + (*s - '0');
        }
        s = colon + 1;
        if (n > OFFLINE_VALUE_MAX || (size_t) (end - s) <= n || s[n] != '\n' || memchr(s, 0, n))
                return -EBADMSG;
        memcpy(ret->value, s, n);
        ret->value[n] = 0;
        *p = s + n + 1;
        return 0;
}

static int set_string(char **s, const char *value) {
        if (*s)
                return -EBADMSG;
        *s = strdup(value);
        return *s ? 0 : -ENOMEM;
}

static int set_token(Envelope *e, const char *value) {
        return !sd_id128_is_null(e->token) || id128_parse(value, &e->token) < 0 ? -EBADMSG : 0;
}

static int apply_field(Envelope *e, NotifyFlags *notify, const Field *f) {
        int r;

        if (streq(f->name, "token"))
                return set_token(e, f->value);
        if (streq(f->name, "sender"))
                return set_string(&e->sender, f->value);
        if (streq(f->name, "envid"))
                return set_string(&e->envid, f->value);
        if (streq(f->name, "body")) {
                e->body = body_type_from_string(f->value);
                return (int) e->body < 0 ? -EBADMSG : 0;
        }
        if (streq(f->name, "return")) {
                e->dsn_return = dsn_return_from_string(f->value);
                return (int) e->dsn_return < 0 ? -EBADMSG : 0;
        }
        if (streq(f->name, "notify")) {
                r = notify_from_string(f->value, notify);
                return r < 0 ? -EBADMSG : 0;
        }
        if (!streq(f->name, "recipient") || !*f->value || e->n_recipients >= OFFLINE_RECIPIENTS_MAX)
                return -EBADMSG;
        return envelope_add_recipient(e, f->value, NULL, 0);
}

int offline_parse_fields(const char *data, size_t size, Envelope *ret) {
        _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT;
        const char *p = data, *end = data + size;
        NotifyFlags notify = 0;
        Field field;
        int r;

        while (p < end) {
                r = parse_field(&p, end, &field);
                if (r < 0)
                        return r;
                r = apply_field(&e, &notify, &field);
                if (r < 0)
                        return r;
        }
        if (sd_id128_is_null(e.token) || !e.sender || e.n_recipients == 0)
                return -EBADMSG;

        e.smtputf8 = !ascii_valid(e.sender, strlen(e.sender));
        for (size_t i = 0; i < e.n_recipients; i++) {
                e.recipients[i].notify = notify;
                e.smtputf8 = e.smtputf8 || !ascii_valid(e.recipients[i].address, strlen(e.recipients[i].address));
        }
        *ret = e;
        e = ENVELOPE_INIT;
        return 0;
}
