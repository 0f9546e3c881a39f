/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "message/address-list.h"

typedef enum TokenType {
        TOKEN_END,
        TOKEN_ATOM,
        TOKEN_QUOTED,
        TOKEN_LITERAL,
        TOKEN_SPECIAL, /* one character */
        TOKEN_BROKEN,  /* unterminated, or a character that has no place here */
} TokenType;

typedef struct Token {
        TokenType type;
        size_t start, end;
} Token;

/* What was read of the address that may become the item. */
typedef struct Builder {
        AddressItem *item;
        size_t n;
        TokenType last;      /* of the part before: TOKEN_END at the beginning */
        bool at;             /* "@" was read */
        bool bad;
} Builder;

void address_list_init(AddressListReader *r, const char *value, size_t size) {
        *r = (AddressListReader) { .data = value, .size = size };
}

static bool is_control(char c) {
        return (unsigned char) c < 0x20 || c == 0x7F;
}

static bool is_white(char c) {
        return IN_SET(c, ' ', '\t', '\r', '\n');
}

/* Moves behind comments and white space; false if a comment does not end. */
static bool skip_comments(AddressListReader *r) {
        size_t depth = 0;

        for (; r->next < r->size; r->next++) {
                char c = r->data[r->next];

                if (c == '(')
                        depth++;
                else if (c == ')' && depth > 0)
                        depth--;
                else if (c == '\\' && depth > 0 && r->next + 1 < r->size)
                        r->next++;
                else if (depth == 0 && !is_white(c))
                        break;
        }
        return depth == 0;
}

/* A quoted string or domain literal, from its first character; the token is broken if it does not end. */
static Token delimited_token(AddressListReader *r, char close, TokenType type) {
        Token t = { .type = TOKEN_BROKEN, .start = r->next++ };

        for (bool ok = true; r->next < r->size; r->next++) {
                char c = r->data[r->next];

                if (c == close) {
                        r->next++;
                        t.type = ok ? type : TOKEN_BROKEN;
                        break;
                }
                if (c == '\\' && r->next + 1 < r->size)
                        c = r->data[++r->next];
                if (is_control(c) && !is_white(c))
                        ok = false;
        }
        t.end = r->next;
        return t;
}

static Token next_token(AddressListReader *r) {
        static const char specials[] = "<>:;@,.";
        Token t;

        if (!skip_comments(r))
                return (Token) { TOKEN_BROKEN, r->next, r->next };
        if (r->next >= r->size)
                return (Token) { TOKEN_END, r->next, r->next };

        t = (Token) { .start = r->next };
        char c = r->data[r->next];
        if (c == '"')
                return delimited_token(r, '"', TOKEN_QUOTED);
        if (c == '[')
                return delimited_token(r, ']', TOKEN_LITERAL);
        if (memchr(specials, c, sizeof(specials) - 1))
                t.type = TOKEN_SPECIAL;
        else if (is_control(c) || c == ')' || c == ']')
                t.type = TOKEN_BROKEN;
        else {
                t.type = TOKEN_ATOM;
                while (r->next + 1 < r->size) {
                        c = r->data[r->next + 1];
                        if (is_control(c) || is_white(c) || memchr("<>:;@,.()[]\"", c, 12))
                                break;
                        r->next++;
                }
        }
        t.end = ++r->next;
        return t;
}

static void builder_reset(Builder *b) {
        *b = (Builder) { .item = b->item };
}

/* Copies a token without line ends (folding inside quotes) and, of atoms, backslashes. */
static void builder_copy(Builder *b, const AddressListReader *r, Token t) {
        for (size_t i = t.start; i < t.end; i++) {
                char c = r->data[i];

                if (IN_SET(c, '\r', '\n') || (c == '\\' && t.type == TOKEN_ATOM))
                        continue;
                if (b->n + 1 >= sizeof(b->item->address)) {
                        b->bad = true;
                        return;
                }
                b->item->address[b->n++] = c == '\t' ? ' ' : c;
        }
}

/* Words joined by dots, one "@", words joined by dots or one literal (RFC 5322 3.4.1, with white space of 4.4). */
static void builder_add(Builder *b, const AddressListReader *r, Token t) {
        bool word = t.type != TOKEN_SPECIAL, after_word = IN_SET(b->last, TOKEN_ATOM, TOKEN_QUOTED, TOKEN_LITERAL);

        if (word && after_word)
                b->bad = true;
        if (t.type == TOKEN_LITERAL && !(b->at && b->last == TOKEN_SPECIAL && b->item->address[b->n - 1] == '@'))
                b->bad = true;
        if (t.type == TOKEN_QUOTED && b->at)
                b->bad = true;
        if (t.type == TOKEN_SPECIAL && r->data[t.start] == '@') {
                if (b->at || b->n == 0)
                        b->bad = true;
                b->at = true;
        } else if (!b->at)
                b->item->local_end = t.end;
        builder_copy(b, r, t);
        b->last = t.type;
}

static bool builder_finish(Builder *b) {
        if (b->bad || b->n == 0 || b->item->address[b->n - 1] == '@')
                return false;
        b->item->address[b->n] = 0;
        b->item->has_domain = b->at;
        return true;
}

/* The text of a bad element, so that a person can be told. */
static AddressListResult bad_item(const AddressListReader *r, size_t start, size_t end, AddressItem *ret) {
        size_t n = 0;

        while (start < end && is_white(r->data[start]))
                start++;
        for (; start < end && n + 1 < sizeof(ret->address); start++)
                ret->address[n++] = is_control(r->data[start]) ? ' ' : r->data[start];
        ret->address[n] = 0;
        ret->local_end = 0;
        ret->has_domain = false;
        return ADDRESS_LIST_BAD;
}

AddressListResult address_list_next(AddressListReader *r, AddressItem *ret) {
        enum { BEFORE, INSIDE, BEHIND } angle = BEFORE;
        Builder b = { .item = ret };
        bool words = false;  /* something is there that must be an address or is bad */
        bool broken = false; /* and whatever follows, it is bad */
        size_t start = r->next;

        for (;;) {
                Token t = next_token(r);
                char special = t.type == TOKEN_SPECIAL ? r->data[t.start] : 0;

                if (t.type == TOKEN_END || (angle != INSIDE && IN_SET(special, ',', ';'))) {
                        if (words)
                                return !broken && angle != INSIDE && builder_finish(&b) ? ADDRESS_LIST_ITEM
                                                                                        : bad_item(r, start, t.start, ret);
                        if (t.type == TOKEN_END)
                                return ADDRESS_LIST_END;
                        start = r->next;
                        continue;
                }

                words = true;
                if (t.type == TOKEN_BROKEN || angle == BEHIND)
                        broken = true;
                else if (special == '<') {
                        /* What came before is the display name, however odd. */
                        broken = broken || angle == INSIDE;
                        builder_reset(&b);
                        angle = INSIDE;
                } else if (special == '>') {
                        broken = broken || angle != INSIDE;
                        angle = BEHIND;
                } else if (special == ':' && angle != INSIDE) { /* behind the name of a group */
                        start = r->next;
                        words = broken;
                        builder_reset(&b);
                } else if (IN_SET(special, ':', ',')) { /* a source route "@a,@b:" */
                        broken = broken || b.n == 0 || ret->address[0] != '@';
                        if (special == ':')
                                builder_reset(&b);
                        else
                                b.at = false;
                } else if (special == ';')
                        broken = true;
                else
                        builder_add(&b, r, t);
        }
}
