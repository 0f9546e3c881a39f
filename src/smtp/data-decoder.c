/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "smtp/data-decoder.h"

/* Goes on in the middle of a line: to behind its CRLF, or to the end. 0 or SMTP_DATA_E_BARE (then *p is where). */
static int pass_line(SmtpDataDecoder *d, const char **p, const char *end) {
        const char *nl = memchr(*p, '\n', end - *p);
        const char *cr = memchr(*p, '\r', (nl ?: end) - *p);

        if (nl) {
                if (!cr || cr != nl - 1) {
                        *p = cr ?: nl;
                        return SMTP_DATA_E_BARE;
                }
                *p = nl + 1;
                d->state = SMTP_DATA_LINE_START;
                return 0;
        }
        if (!cr) {
                *p = end;
                d->state = SMTP_DATA_LINE;
                return 0;
        }
        *p = cr;
        if (cr != end - 1)
                return SMTP_DATA_E_BARE;
        d->state = SMTP_DATA_CR;
        return 0;
}

int smtp_data_decode(SmtpDataDecoder *d, const char *s, size_t n, size_t *ret_used, const char **ret_span, size_t *ret_span_size) {
        const char *p = s, *start = s, *end = s + n;
        int r = 0;

        *ret_span = NULL;
        *ret_span_size = 0;

        /* What a line began with may have come before. */
        if (d->state == SMTP_DATA_CR) {
                *ret_used = 1;
                if (*p != '\n')
                        return SMTP_DATA_E_BARE;
                d->state = SMTP_DATA_LINE_START;
                *ret_span = "\r\n";
                *ret_span_size = 2;
                return 0;
        }
        if (d->state == SMTP_DATA_LINE_START && *p == '.') {
                d->state = SMTP_DATA_DOT;
                start = ++p;
        }
        if (p < end && d->state == SMTP_DATA_DOT) {
                d->state = *p == '\r' ? SMTP_DATA_DOT_CR : SMTP_DATA_LINE;
                if (*p == '\r')
                        start = ++p;
        }
        if (p < end && d->state == SMTP_DATA_DOT_CR) {
                *ret_used = p + 1 - s;
                return *p == '\n' ? SMTP_DATA_E_END : SMTP_DATA_E_BARE;
        }

        /* As many lines as there are without a dot at their start. */
        while (p < end && r == 0) {
                if (d->state == SMTP_DATA_LINE_START && *p == '.')
                        break;
                r = pass_line(d, &p, end);
                if (d->state == SMTP_DATA_CR) {
                        *ret_span_size = p - start;
                        *ret_span = start;
                        *ret_used = n;
                        return 0;
                }
        }
        *ret_span = start;
        *ret_span_size = p - start;
        *ret_used = r == 0 ? p - s : p + 1 - s;
        return r;
}
