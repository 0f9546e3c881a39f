/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/buf.h"
#include "basic/text.h"
#include "message/date.h"
#include "message/received.h"

#define WORD_MAX 255U

/* Appends a value from outside as one word: letters, digits and what host names, address literals, unit names and
 * protocol keywords are made of (UTF-8 for internationalised mail); anything else becomes "?". */
static int append_word(Buf *b, const char *s, bool utf8) {
        char word[WORD_MAX];
        size_t n = 0;

        for (size_t left = strlen(s); left > 0 && n + 4 <= sizeof(word);) {
                int k = utf8 ? utf8_sequence(s, left) : 1;

                if (k > 1 && (unsigned char) *s != 0xC2) { /* C2 leads control characters, no letters */
                        memcpy(word + n, s, k);
                        n += k;
                } else {
                        k = MAX(k, 1);
                        word[n++] = ascii_isalnum(*s) || (*s && strchr(".-_:[]@+/=", *s)) ? *s : '?';
                }
                s += k;
                left -= k;
        }
        if (n == 0)
                word[n++] = '?';
        return buf_append(b, word, n);
}

/* "from helo (name [address])" */
static int append_network(Buf *b, const Envelope *e) {
        const Origin *o = &e->origin;
        int r;

        r = buf_append_str(b, "Received: from ");
        if (r < 0)
                return r;
        r = append_word(b, o->helo ?: "unknown", e->smtputf8);
        if (r < 0)
                return r;
        r = buf_append_str(b, " (");
        if (r < 0)
                return r;
        r = append_word(b, o->peer_name ?: "unknown", e->smtputf8);
        if (r < 0)
                return r;
        r = buf_append_str(b, strchr(o->peer_address, ':') ? " [IPv6:" : " [");
        if (r < 0)
                return r;
        r = append_word(b, o->peer_address, false);
        if (r < 0)
                return r;
        return buf_append_str(b, "])");
}

/* "from localhost (uid 1000, unit cron.service)" */
static int append_local(Buf *b, const Envelope *e) {
        const Origin *o = &e->origin;
        int r;

        r = o->uid == UID_UNKNOWN ? buf_append_str(b, "Received: from localhost (uid unknown")
                                  : buf_appendf(b, "Received: from localhost (uid %" PRIu32, (uint32_t) o->uid);
        if (r < 0)
                return r;
        if (o->unit) {
                r = buf_append_str(b, ", unit ");
                if (r < 0)
                        return r;
                r = append_word(b, o->unit, false);
                if (r < 0)
                        return r;
        }
        return buf_append_str(b, ")");
}

/* May the address stand between angle brackets in the trace field? Anything unusual is better left out: only one
 * recipient knows what it would have said. */
static bool address_is_plain(const char *s, bool utf8) {
        size_t n = strlen(s);

        if (n == 0 || n > 320)
                return false;
        for (const char *p = s; *p; p++) {
                unsigned char c = *p;
                if (c >= 0x80 ? !utf8 : !ascii_isalnum(c) && !strchr(".@!#$%&'*+-/=?^_`{|}~[]:", c))
                        return false;
        }
        return !utf8 || utf8_valid(s, n);
}

int received_format(const Envelope *e, const QueueId *id, const char *host_name, const char *for_address, char **ret) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r;

        r = buf_reserve(&b, 512);
        if (r < 0)
                return r;
        r = e->origin.peer_address ? append_network(&b, e) : append_local(&b, e);
        if (r < 0)
                return r;
        r = buf_append_str(&b, "\r\n\tby ");
        if (r < 0)
                return r;
        r = append_word(&b, host_name, e->smtputf8);
        if (r < 0)
                return r;
        r = buf_append_str(&b, " (postd) with ");
        if (r < 0)
                return r;
        r = append_word(&b, e->origin.protocol ?: "SMTP", false);
        if (r < 0)
                return r;
        r = buf_appendf(&b, " id %s", id->s);
        if (r < 0)
                return r;
        if (for_address && address_is_plain(for_address, e->smtputf8)) {
                r = buf_appendf(&b, "\r\n\tfor <%s>", for_address);
                if (r < 0)
                        return r;
        }
        r = buf_appendf(&b, ";\r\n\t%s\r\n", RFC5322_DATE(e->arrival));
        if (r < 0)
                return r;

        char *p = buf_take(&b, NULL);
        if (!p)
                return -ENOMEM;
        *ret = p;
        return 0;
}
