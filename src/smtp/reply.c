/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Replies in both directions. What a server says is hostile; what we say may quote hostile text. */

#include "basic/text.h"
#include "smtp/reply.h"

#define LINE_OUT_MAX 500U

void smtp_reply_done(SmtpReply *r) {
        free(r->text);
        *r = SMTP_REPLY_NULL;
}

int smtp_reply_copy(const SmtpReply *from, SmtpReply *to) {
        SmtpReply copy = *from;

        if (from->text) {
                copy.text = strdup(from->text);
                if (!copy.text)
                        return -ENOMEM;
        }
        smtp_reply_done(to);
        *to = copy;
        return 0;
}

void smtp_reply_parser_done(SmtpReplyParser *p) {
        buf_done(&p->text);
        *p = (SmtpReplyParser) {};
}

/* Appends text with everything replaced that is not plain: controls, and what is no UTF-8 (or not wanted). */
static int append_plain(Buf *b, const char *s, size_t n, bool utf8) {
        int r;

        while (n > 0) {
                size_t k = 0;

                while (k < n && (unsigned char) s[k] >= 0x20 && (unsigned char) s[k] < 0x7F)
                        k++;
                if (k == 0) {
                        int u = utf8_sequence(s, n);
                        if (u >= 2 && utf8)
                                k = u;
                }
                r = k > 0 ? buf_append(b, s, k) : buf_append(b, "?", 1);
                if (r < 0)
                        return r;
                k = MAX(k, (size_t) 1);
                s += k;
                n -= k;
        }
        return 0;
}

/* The enhanced status code at the start of the text, if it fits the code; returns its length with the space. */
static size_t take_status(const char *s, size_t n, unsigned code, EnhancedStatus *ret) {
        char word[ENHANCED_STATUS_MAX];
        const char *space = memchr(s, ' ', n);
        size_t k = space ? (size_t) (space - s) : n;

        if (k == 0 || k >= sizeof(word))
                return 0;
        memcpy(word, s, k);
        word[k] = 0;
        EnhancedStatus status;
        if (strlen(word) != k || enhanced_status_parse(word, &status) < 0 || status.class != code / 100)
                return 0;
        *ret = status;
        return k + (space ? 1 : 0);
}

int smtp_reply_parse_line(SmtpReplyParser *p, const char *line, size_t n, SmtpReply *ret) {
        unsigned code;
        bool last;
        int r;

        if (n < 3 || n > SMTP_REPLY_LINE_MAX || !ascii_isdigit(line[0]) || !ascii_isdigit(line[1]) ||
            !ascii_isdigit(line[2]))
                return SMTP_REPLY_E_SYNTAX;
        code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
        if (code < 200 || code > 599 || (p->code != 0 && code != p->code))
                return SMTP_REPLY_E_SYNTAX;
        if (n > 3 && line[3] != ' ' && line[3] != '-')
                return SMTP_REPLY_E_SYNTAX;
        if (++p->n_lines > SMTP_REPLY_LINES_MAX)
                return SMTP_REPLY_E_SYNTAX;
        last = n == 3 || line[3] == ' ';
        p->code = code;

        line += MIN(n, (size_t) 4);
        n -= MIN(n, (size_t) 4);
        EnhancedStatus status = {};
        size_t k = take_status(line, n, code, &status);
        if (p->n_lines == 1)
                p->status = status;
        else {
                r = buf_append(&p->text, "\n", 1);
                if (r < 0)
                        return r;
        }
        size_t room = SMTP_REPLY_TEXT_MAX > p->text.size ? SMTP_REPLY_TEXT_MAX - p->text.size : 0;
        r = append_plain(&p->text, line + k, MIN(n - k, room), true);
        if (r < 0)
                return r;
        if (!last)
                return SMTP_REPLY_E_MORE;

        if (p->status.class == 0 && code / 100 != 3)
                p->status.class = code / 100;
        SmtpReply reply = { .code = code, .status = p->status, .text = buf_take(&p->text, NULL) };
        if (!reply.text)
                return -ENOMEM;
        smtp_reply_parser_done(p);
        *ret = reply;
        return 0;
}

int smtp_reply_format(Buf *b, unsigned code, EnhancedStatus status, const char *text, bool utf8) {
        char s[ENHANCED_STATUS_MAX];
        size_t before = b->size;
        int r;

        enhanced_status_format(status, s);
        for (;;) {
                size_t n = strcspn(text, "\n"), k = MIN(n, (size_t) LINE_OUT_MAX);
                bool more = text[n] != 0;

                /* Never in the middle of a character. */
                while (k < n && k > 0 && ((unsigned char) text[k] & 0xC0) == 0x80)
                        k--;
                r = buf_appendf(b, "%u%c%s%s", code, more ? '-' : ' ', s, *s ? " " : "");
                if (r >= 0)
                        r = append_plain(b, text, k, utf8);
                if (r >= 0)
                        r = buf_append(b, "\r\n", 2);
                if (r < 0) {
                        b->size = before;
                        return r;
                }
                if (!more)
                        return 0;
                text += n + 1;
        }
}
