/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "address/address.h"
#include "basic/text.h"
#include "route/alias-parse.h"

#define INCLUDE_PREFIX ":include:"

typedef struct AliasParser {
        const char *text;
        size_t size;
        unsigned line;   /* physical lines seen */
        bool is_list;
        Buf logical;     /* the line with its continuations and without comments */
        Buf name, targets, scratch;
        size_t n_targets;
} AliasParser;

static void parser_done(AliasParser *p) {
        buf_done(&p->logical);
        buf_done(&p->name);
        buf_done(&p->targets);
        buf_done(&p->scratch);
}

AliasKind alias_kind(const char *target, const char **ret) {
        AliasKind kind = ALIAS_ADDRESS;
        size_t skip = 0;

        switch (target[0]) {
        case '\\':
                kind = ALIAS_DIRECT;
                skip = 1;
                break;
        case '|':
                kind = ALIAS_COMMAND;
                skip = 1;
                break;
        case '/':
                kind = ALIAS_FILE;
                break;
        case ':':
                if (startswith(target, INCLUDE_PREFIX)) {
                        kind = ALIAS_INCLUDE;
                        skip = strlen(INCLUDE_PREFIX);
                }
                break;
        default:
                break;
        }
        if (ret)
                *ret = target + skip;
        return kind;
}

static bool is_space(char c) {
        return c == ' ' || c == '\t';
}

/* Where a comment begins: at a "#" behind white space (or at the start), outside of quotes. *quoted is carried over
 * from line to line. */
static size_t find_comment(const char *s, size_t n, bool *quoted) {
        bool q = *quoted;

        for (size_t i = 0; i < n; i++) {
                if (s[i] == '#' && !q && (i == 0 || is_space(s[i - 1]))) {
                        n = i;
                        break;
                }
                if (s[i] == '\\' && i + 1 < n)
                        i++;
                else if (s[i] == '"')
                        q = !q;
        }
        *quoted = q;
        return n;
}

static size_t line_length(const AliasParser *p) {
        const char *end = memchr(p->text, '\n', p->size);
        return end ? (size_t) (end - p->text) : p->size;
}

/* Collects the next logical line, which begins at *ret_line: > 0, or 0 at the end of the text. *reterr: it is too long. */
static int next_logical(AliasParser *p, unsigned *ret_line, const char **reterr) {
        bool begun = false, quoted = false;
        int r;

        buf_clear(&p->logical);
        while (p->size > 0) {
                size_t n = line_length(p), k;
                const char *s = p->text;

                /* Blank lines and comments neither begin nor end an entry. */
                k = find_comment(s, n, &(bool) { false });
                while (k > 0 && (is_space(s[k - 1]) || s[k - 1] == '\r'))
                        k--;
                if (begun && k > 0 && (p->is_list || !is_space(s[0])))
                        break;
                p->text += MIN(n + 1, p->size);
                p->size -= MIN(n + 1, p->size);
                p->line++;
                if (k == 0)
                        continue;
                if (!begun)
                        *ret_line = p->line;
                begun = true;
                if (s[n - 1] == '\r')
                        n--;
                if (p->logical.size + n + 1 > ALIAS_LINE_MAX) {
                        *reterr = "the line is too long";
                        continue;
                }
                r = buf_append(&p->logical, s, find_comment(s, n, &quoted));
                if (r >= 0)
                        r = buf_append(&p->logical, " ", 1);
                if (r < 0)
                        return r;
        }
        return begun;
}

/* Appends what stands in quotes, from the opening one, and moves *s behind the closing one. > 0: there is none. */
static int unquote(const char **s, Buf *b) {
        const char *p = *s + 1;

        for (; *p != '"'; p++) {
                if (*p == '\\' && p[1])
                        p++;
                if (!*p)
                        return 1;
                int r = buf_append(b, p, 1);
                if (r < 0)
                        return r;
        }
        *s = p + 1;
        return 0;
}

/* What is wrong with a target? */
static const char *check_target(const char *target, bool is_list) {
        const char *rest;

        if (strlen(target) > ALIAS_TARGET_MAX)
                return "a target is too long";
        switch (alias_kind(target, &rest)) {
        case ALIAS_DIRECT:
                return strchr(rest, '@') || !address_valid(rest, ADDRESS_UNQUALIFIED | ADDRESS_UTF8) ?
                        "not a user name behind the backslash" : NULL;
        case ALIAS_COMMAND:
                if (is_list)
                        return "a list may not name commands";
                return rest[strspn(rest, " \t")] ? NULL : "there is no command behind the \"|\"";
        case ALIAS_FILE:
                if (is_list)
                        return "a list may not name files";
                return rest[strlen(rest) - 1] == '/' ? "the file's name ends in \"/\"" : NULL;
        case ALIAS_INCLUDE:
                return rest[0] == '/' && rest[1] ? NULL : "not an absolute path behind \":include:\"";
        case ALIAS_ADDRESS:
                break;
        }
        return address_valid(target, ADDRESS_UNQUALIFIED | ADDRESS_UTF8) ? NULL :
                strpbrk(target, " \t") ? "white space in a target (targets are separated by commas)" :
                "neither a user name nor an address";
}

/* ":Include:" may be written in any case. */
static void lower_prefix(Buf *b) {
        if (ascii_strncasecmp(strempty(b->data), INCLUDE_PREFIX, strlen(INCLUDE_PREFIX)) == 0)
                memcpy(b->data, INCLUDE_PREFIX, strlen(INCLUDE_PREFIX));
}

/* A target that begins with a quote: the whole in quotes, or an address whose local part is. */
static int take_quoted(AliasParser *p, const char **s, const char **reterr) {
        const char *begin = *s;
        int r;

        r = unquote(s, &p->scratch);
        if (r < 0)
                return r;
        if (r > 0) {
                *reterr = "a quote is not closed";
                return 0;
        }
        lower_prefix(&p->scratch);
        const char *content = strempty(p->scratch.data);
        if (**s != '@' && alias_kind(content, NULL) != ALIAS_ADDRESS)
                return 0;
        *s += strcspn(*s, ", \t");
        buf_clear(&p->scratch);
        return buf_append(&p->scratch, begin, (size_t) (*s - begin));
}

/* A target without quotes, up to the next comma: also |"command" and Name <address>. */
static int take_plain(AliasParser *p, const char **s, const char **reterr) {
        const char *begin = *s;
        int r;

        if (begin[0] == '|' && begin[1] == '"') {
                (*s)++;
                r = buf_append(&p->scratch, "|", 1);
                if (r >= 0)
                        r = unquote(s, &p->scratch);
                if (r > 0)
                        *reterr = "a quote is not closed";
                return MIN(r, 0);
        }
        size_t n = strcspn(begin, ",");
        *s += n;
        while (n > 0 && is_space(begin[n - 1]))
                n--;
        const char *angle = n > 1 && begin[n - 1] == '>' ? memrchr(begin, '<', n) : NULL;
        if (angle) {
                n = (size_t) (begin + n - 1 - (angle + 1));
                begin = angle + 1;
        }
        return buf_append(&p->scratch, begin, n);
}

static int take_targets(AliasParser *p, const char *s, const char **reterr) {
        int r;

        for (;;) {
                s += strspn(s, ", \t");
                if (!*s)
                        return 0;
                buf_clear(&p->scratch);
                r = *s == '"' ? take_quoted(p, &s, reterr) : take_plain(p, &s, reterr);
                if (r < 0)
                        return r;
                s += strspn(s, " \t");
                if (!*reterr && *s && *s != ',')
                        *reterr = "there is no comma between two targets";
                lower_prefix(&p->scratch);
                if (!*reterr)
                        *reterr = check_target(strempty(p->scratch.data), p->is_list);
                if (*reterr)
                        return 0;
                r = buf_append(&p->targets, p->scratch.data, p->scratch.size + 1);
                if (r < 0)
                        return r;
                p->n_targets++;
        }
}

/* The name and the colon behind it; returns what follows in *ret. */
static int take_name(AliasParser *p, const char **ret, const char **reterr) {
        const char *s = p->logical.data;
        int r = 0;

        if (is_space(*s)) {
                *reterr = "a continuation line without a line before it";
                return 0;
        }
        if (*s == '"')
                r = unquote(&s, &p->name);
        else {
                size_t n = strcspn(s, ": \t\"");
                r = buf_append(&p->name, s, n);
                s += n;
        }
        if (r < 0)
                return r;
        s += strspn(s, " \t");
        const char *name = strempty(p->name.data);
        if (r > 0)
                *reterr = "a quote is not closed";
        else if (*s != ':')
                *reterr = "there is no \":\" behind the name";
        else if (!*name)
                *reterr = "there is no name before the \":\"";
        else if (strchr(name, '@'))
                *reterr = "the name may not have a domain";
        else if (strlen(name) > ADDRESS_LOCAL_MAX)
                *reterr = "the name is too long";
        if (*reterr) {
                buf_clear(&p->name);
                return 0;
        }
        ascii_strlower(p->name.data);
        *ret = s + 1;
        return 0;
}

static const char *check_bytes(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (s[i] != '\t' && has_control(s + i, 1))
                        return "the line has a control character";
        return utf8_valid(s, n) ? NULL : "the line is not valid UTF-8";
}

static int parse_entry(AliasParser *p, AliasEntry *e) {
        const char *s = p->logical.data;
        int r;

        buf_clear(&p->name);
        buf_clear(&p->targets);
        p->n_targets = 0;

        e->error = check_bytes(s, p->logical.size);
        if (e->error)
                return 0;
        if (!p->is_list) {
                r = take_name(p, &s, &e->error);
                if (r < 0 || e->error)
                        return r;
                e->name = p->name.data;
        }
        r = take_targets(p, s, &e->error);
        if (r < 0 || e->error)
                return r;
        if (p->n_targets == 0 && !p->is_list) {
                e->error = "there is nothing behind the \":\"";
                return 0;
        }
        e->targets = p->targets.data;
        e->targets_size = p->targets.size;
        e->n_targets = p->n_targets;
        return 0;
}

int alias_parse(const char *text, size_t size, bool is_list, alias_handler_t handler, void *userdata) {
        _cleanup_(parser_done) AliasParser p = { .text = text, .size = size, .is_list = is_list };
        int r;

        if (p.size >= 3 && memcmp(p.text, "\xef\xbb\xbf", 3) == 0) {
                p.text += 3;
                p.size -= 3;
        }
        for (;;) {
                AliasEntry e = {};

                r = next_logical(&p, &e.line, &e.error);
                if (r <= 0)
                        return r;
                if (!e.error) {
                        r = parse_entry(&p, &e);
                        if (r < 0)
                                return r;
                }
                r = handler(&e, userdata);
                if (r < 0)
                        return r;
        }
}
