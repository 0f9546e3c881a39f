/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/text.h"
#include "envelope/envelope.h"

void origin_done(Origin *o) {
        free(o->listener);
        free(o->protocol);
        free(o->helo);
        free(o->peer_address);
        free(o->peer_name);
        free(o->unit);
        free(o->login);
        *o = ORIGIN_INIT;
}

void envelope_done(Envelope *e) {
        origin_done(&e->origin);
        free(e->sender);
        free(e->envid);
        for (size_t i = 0; i < e->n_recipients; i++) {
                free(e->recipients[i].address);
                free(e->recipients[i].original_recipient);
        }
        free(e->recipients);
        *e = ENVELOPE_INIT;
}

int envelope_add_recipient(Envelope *e, const char *address, const char *original_recipient, NotifyFlags notify) {
        _cleanup_free_ char *a = NULL, *o = NULL;

        /* Grows at powers of two. */
        if ((e->n_recipients & (e->n_recipients + 1)) == 0 || !e->recipients) {
                EnvelopeRecipient *p = reallocarray(e->recipients, (e->n_recipients + 1) * 2, sizeof(*p));
                if (!p)
                        return -ENOMEM;
                e->recipients = p;
        }
        a = strdup(address);
        if (!a)
                return -ENOMEM;
        if (original_recipient && !(o = strdup(original_recipient)))
                return -ENOMEM;
        e->recipients[e->n_recipients++] = (EnvelopeRecipient) { TAKE_PTR(a), TAKE_PTR(o), notify };
        return 0;
}

static int table_find(const char *const *table, size_t n, const char *s) {
        for (size_t i = 0; i < n; i++)
                if (ascii_strcaseeq(table[i], s))
                        return i;
        return -EINVAL;
}

#define DEFINE_STRING_TABLE(type, name, table)                                                  \
        const char *name##_to_string(type v) {                                                  \
                return (int) v >= 0 && (size_t) v < ELEMENTSOF(table) ? (table)[v] : NULL;      \
        }                                                                                       \
        type name##_from_string(const char *s) {                                                \
                return (type) table_find((table), ELEMENTSOF(table), s);                        \
        }                                                                                       \
        struct __dummy_##name

static const char *const body_table[] = { "7BIT", "8BITMIME", "BINARYMIME" };
static const char *const dsn_return_table[] = { "", "FULL", "HDRS" };
static const char *const result_table[] = { "delivered", "deferred", "failed", "expanded" };

DEFINE_STRING_TABLE(BodyType, body_type, body_table);
DEFINE_STRING_TABLE(DsnReturn, dsn_return, dsn_return_table);
DEFINE_STRING_TABLE(DeliveryResult, delivery_result, result_table);

const char *notify_to_string(NotifyFlags n) {
        static const char *const words[] = { "",      "SUCCESS",       "FAILURE",       "SUCCESS,FAILURE",
                                             "DELAY", "SUCCESS,DELAY", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY" };
        return n & NOTIFY_NEVER ? "NEVER" : words[n >> 1 & 7];
}

int notify_from_string(const char *s, NotifyFlags *ret) {
        static const struct {
                const char *name;
                NotifyFlags flag;
        } words[] = { { "SUCCESS", NOTIFY_SUCCESS }, { "FAILURE", NOTIFY_FAILURE }, { "DELAY", NOTIFY_DELAY } };
        NotifyFlags flags = 0;

        if (isempty(s)) {
                *ret = 0;
                return 0;
        }
        if (ascii_strcaseeq(s, "NEVER")) {
                *ret = NOTIFY_NEVER;
                return 0;
        }
        for (;;) {
                size_t n = strcspn(s, ",");
                NotifyFlags flag = 0;

                for (size_t i = 0; i < ELEMENTSOF(words); i++)
                        if (strlen(words[i].name) == n && ascii_strncasecmp(words[i].name, s, n) == 0)
                                flag = words[i].flag;
                if (!flag)
                        return -EINVAL;
                flags |= flag;
                if (!s[n])
                        break;
                s += n + 1;
        }
        *ret = flags;
        return 0;
}

char *enhanced_status_format(EnhancedStatus s, char buffer[static ENHANCED_STATUS_MAX]) {
        if (s.class == 0)
                buffer[0] = 0;
        else
                (void) snprintf(buffer, ENHANCED_STATUS_MAX, "%u.%u.%u", s.class % 10U, s.subject % 1000U, s.detail % 1000U);
        return buffer;
}

int enhanced_status_parse(const char *s, EnhancedStatus *ret) {
        unsigned v[3];

        for (size_t i = 0; i < 3; i++) {
                size_t n = strspn(s, "0123456789");
                if (n < 1 || n > (i == 0 ? 1 : 3))
                        return -EINVAL;
                v[i] = 0;
                for (size_t k = 0; k < n; k++)
                        v[i] = v[i] * 10 + (s[k] - '0');
                s += n;
                if (*s != (i < 2 ? '.' : 0))
                        return -EINVAL;
                if (i < 2)
                        s++;
        }
        if (!IN_SET(v[0], 2U, 4U, 5U))
                return -EINVAL;
        *ret = (EnhancedStatus) { v[0], v[1], v[2] };
        return 0;
}
