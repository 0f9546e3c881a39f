/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/id128.h"
#include "basic/text.h"
#include "smtp/command.h"
#include "smtp/xtext.h"

typedef enum ArgumentRule {
        ARGUMENT_NONE,
        ARGUMENT_OPTIONAL,
        ARGUMENT_REQUIRED,
        ARGUMENT_HOST,
        ARGUMENT_PATH, /* "FROM:" or "TO:", a path, parameters */
} ArgumentRule;

static const struct {
        const char *name;
        SmtpVerb verb;
        ArgumentRule argument;
} verbs[] = {
        { "MAIL", SMTP_VERB_MAIL, ARGUMENT_PATH     },
        { "RCPT", SMTP_VERB_RCPT, ARGUMENT_PATH     },
        { "DATA", SMTP_VERB_DATA, ARGUMENT_NONE     },
        { "EHLO", SMTP_VERB_EHLO, ARGUMENT_HOST     },
        { "HELO", SMTP_VERB_HELO, ARGUMENT_HOST     },
        { "LHLO", SMTP_VERB_LHLO, ARGUMENT_HOST     },
        { "QUIT", SMTP_VERB_QUIT, ARGUMENT_NONE     },
        { "RSET", SMTP_VERB_RSET, ARGUMENT_NONE     },
        { "NOOP", SMTP_VERB_NOOP, ARGUMENT_OPTIONAL },
        { "VRFY", SMTP_VERB_VRFY, ARGUMENT_REQUIRED },
        { "HELP", SMTP_VERB_HELP, ARGUMENT_OPTIONAL },
        { "EXPN", SMTP_VERB_OTHER, ARGUMENT_OPTIONAL },
        { "ETRN", SMTP_VERB_OTHER, ARGUMENT_OPTIONAL },
        { "TURN", SMTP_VERB_OTHER, ARGUMENT_OPTIONAL },
        { "AUTH", SMTP_VERB_OTHER, ARGUMENT_OPTIONAL },
        { "BDAT", SMTP_VERB_OTHER, ARGUMENT_OPTIONAL },
        { "STARTTLS", SMTP_VERB_OTHER, ARGUMENT_OPTIONAL },
};

static const struct {
        unsigned code;
        EnhancedStatus status;
        const char *text;
} errors[_SMTP_COMMAND_E_MAX] = {
        [SMTP_COMMAND_E_UNKNOWN] =         { 500, { 5, 5, 1 }, "Command not recognized" },
        [SMTP_COMMAND_E_NOT_SERVED] =      { 502, { 5, 5, 1 }, "Command not implemented" },
        [SMTP_COMMAND_E_ARGUMENT] =        { 501, { 5, 5, 4 }, "Syntax error in the argument" },
        [SMTP_COMMAND_E_SENDER] =          { 501, { 5, 1, 7 }, "Bad sender address syntax" },
        [SMTP_COMMAND_E_RECIPIENT] =       { 501, { 5, 1, 3 }, "Bad recipient address syntax" },
        [SMTP_COMMAND_E_UTF8] =            { 553, { 5, 6, 7 }, "A non-ASCII address needs SMTPUTF8" },
        [SMTP_COMMAND_E_PARAMETER] =       { 555, { 5, 5, 4 }, "Parameter not recognized" },
        [SMTP_COMMAND_E_PARAMETER_VALUE] = { 501, { 5, 5, 4 }, "Bad value of a parameter" },
};

const char *smtp_command_error(SmtpCommandError e, unsigned *ret_code, EnhancedStatus *ret_status) {
        *ret_code = errors[e].code;
        *ret_status = errors[e].status;
        return errors[e].text;
}

bool smtp_helo_valid(const char *s, size_t n) {
        if (n == 0 || n > ADDRESS_DOMAIN_MAX)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!ascii_isalnum(s[i]) && !IN_SET(s[i], '.', '-', '_', ':', '[', ']'))
                        return false;
        return true;
}

bool smtp_command_is_rcpt(const char *line, size_t n) {
        return n >= 4 && ascii_strncasecmp(line, "RCPT", 4) == 0;
}

typedef struct Word {
        const char *s;
        size_t n;
} Word;

static bool word_is(Word w, const char *s) {
        return w.n == strlen(s) && ascii_strncasecmp(w.s, s, w.n) == 0;
}

/* Copies a short word for the functions that want a string. */
static bool word_copy(Word w, char *buffer, size_t room) {
        if (w.n >= room || memchr(w.s, 0, w.n))
                return false;
        memcpy(buffer, w.s, w.n);
        buffer[w.n] = 0;
        return true;
}

static bool word_number(Word w, size_t digits_max, uint64_t max, uint64_t *ret) {
        char s[21];

        return w.n >= 1 && w.n <= digits_max && word_copy(w, s, sizeof(s)) && parse_u64(s, max, ret) >= 0;
}

/* One function for each parameter: is the value a good one? */

static bool set_size(SmtpCommand *c, Word v) {
        return word_number(v, 20, UINT64_MAX - 1, &c->size);
}

static bool set_body(SmtpCommand *c, Word v) {
        char s[16];

        c->body = word_copy(v, s, sizeof(s)) ? body_type_from_string(s) : _BODY_INVALID;
        return IN_SET(c->body, BODY_7BIT, BODY_8BITMIME);
}

static bool set_smtputf8(SmtpCommand *c, Word v) {
        c->smtputf8 = true;
        return !v.s;
}

static bool set_return(SmtpCommand *c, Word v) {
        char s[8];

        c->dsn_return = word_copy(v, s, sizeof(s)) && *s ? dsn_return_from_string(s) : _DSN_RETURN_INVALID;
        return c->dsn_return > DSN_RETURN_DEFAULT;
}

static bool set_envid(SmtpCommand *c, Word v) {
        c->envid = v.s;
        c->envid_size = v.n;
        return v.n >= 1 && v.n <= SMTP_ENVID_MAX && xtext_valid(v.s, v.n);
}

static bool set_token(SmtpCommand *c, Word v) {
        char s[33];

        return v.n == 32 && word_copy(v, s, sizeof(s)) && id128_parse(s, &c->token) >= 0;
}

static bool set_origin(SmtpCommand *c, Word v) {
        uint64_t uid;

        if (!word_number(v, 10, UINT32_MAX - 1, &uid))
                return false;
        c->origin = uid;
        return true;
}

static bool set_notify(SmtpCommand *c, Word v) {
        char s[40];

        return v.n > 0 && word_copy(v, s, sizeof(s)) && notify_from_string(s, &c->notify) >= 0;
}

static bool set_orcpt(SmtpCommand *c, Word v) {
        c->orcpt = v.s;
        c->orcpt_size = v.n;
        return v.n > 0; /* more is known once all parameters are read */
}

static const struct Parameter {
        const char *name;
        SmtpVerb verb;
        SmtpCommandFlags needs;
        bool has_value;
        bool (*set)(SmtpCommand *c, Word value);
} parameters[] = {
        { "SIZE",         SMTP_VERB_MAIL, SMTP_COMMAND_ESMTP,  true,  set_size     },
        { "BODY",         SMTP_VERB_MAIL, SMTP_COMMAND_ESMTP,  true,  set_body     },
        { "SMTPUTF8",     SMTP_VERB_MAIL, SMTP_COMMAND_ESMTP,  false, set_smtputf8 },
        { "RET",          SMTP_VERB_MAIL, SMTP_COMMAND_ESMTP,  true,  set_return   },
        { "ENVID",        SMTP_VERB_MAIL, SMTP_COMMAND_ESMTP,  true,  set_envid    },
        { "XPOSTDTOKEN",  SMTP_VERB_MAIL, SMTP_COMMAND_TOKEN,  true,  set_token    },
        { "XPOSTDORIGIN", SMTP_VERB_MAIL, SMTP_COMMAND_ORIGIN, true,  set_origin   },
        { "NOTIFY",       SMTP_VERB_RCPT, SMTP_COMMAND_ESMTP,  true,  set_notify   },
        { "ORCPT",        SMTP_VERB_RCPT, SMTP_COMMAND_ESMTP,  true,  set_orcpt    },
};

/* The words behind the path. */
static SmtpCommandError parse_parameters(SmtpCommand *c, const char *p, const char *end, SmtpCommandFlags flags) {
        unsigned seen = 0;

        while (p < end) {
                if (*p != ' ')
                        return SMTP_COMMAND_E_PARAMETER;
                while (p < end && *p == ' ')
                        p++;
                if (p == end)
                        break;
                const char *space = memchr(p, ' ', end - p) ?: end;
                const char *equals = memchr(p, '=', space - p);
                Word name = { p, (equals ?: space) - p }, value = {};
                if (equals)
                        value = (Word) { equals + 1, space - equals - 1 };
                p = space;

                size_t i = 0;
                while (i < ELEMENTSOF(parameters) &&
                       !(parameters[i].verb == c->verb && (flags & parameters[i].needs) && word_is(name, parameters[i].name)))
                        i++;
                if (i == ELEMENTSOF(parameters))
                        return SMTP_COMMAND_E_PARAMETER;
                if (seen & 1U << i || parameters[i].has_value != !!equals || !parameters[i].set(c, value))
                        return SMTP_COMMAND_E_PARAMETER_VALUE;
                seen |= 1U << i;
        }
        if (c->orcpt && !orcpt_valid(c->orcpt, c->orcpt_size, flags & SMTP_COMMAND_UTF8))
                return SMTP_COMMAND_E_PARAMETER_VALUE;
        return 0;
}

static const char *skip_spaces(const char *p, const char *end) {
        while (p < end && *p == ' ')
                p++;
        return p;
}

static SmtpCommandError parse_path(SmtpCommand *c, SmtpCommandFlags flags) {
        const char *p = c->argument, *end = p + c->argument_size, *rest;
        const char *keyword = c->verb == SMTP_VERB_MAIL ? "FROM:" : "TO:";
        AddressFlags address_flags = ADDRESS_UTF8;
        SmtpCommandError e;
        int r;

        size_t k = strlen(keyword);
        if ((size_t) (end - p) < k || ascii_strncasecmp(p, keyword, k) != 0)
                return SMTP_COMMAND_E_ARGUMENT;
        /* A space before the path is not in the grammar, but widespread and harmless. */
        p = skip_spaces(p + k, end);

        if (c->verb == SMTP_VERB_MAIL)
                address_flags |= ADDRESS_NULL;
        if (flags & SMTP_COMMAND_UNQUALIFIED)
                address_flags |= ADDRESS_UNQUALIFIED;
        r = address_parse_path(p, end - p, address_flags, &rest, &c->address);
        if (r != 0)
                return c->verb == SMTP_VERB_MAIL ? SMTP_COMMAND_E_SENDER : SMTP_COMMAND_E_RECIPIENT;
        e = parse_parameters(c, rest, end, flags);
        if (e != 0)
                return e;
        /* SMTPUTF8 stands behind the address. */
        if (!c->smtputf8 && !(flags & SMTP_COMMAND_UTF8) && !ascii_valid(c->address.s, c->address.size))
                return SMTP_COMMAND_E_UTF8;
        return 0;
}

SmtpCommandError smtp_command_parse(const char *line, size_t n, SmtpCommandFlags flags, SmtpCommand *ret) {
        SmtpCommand c = { .verb = _SMTP_VERB_INVALID, .origin = UID_UNKNOWN };
        SmtpCommandError e = 0;
        size_t i = 0;

        while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
                n--;
        const char *space = memchr(line, ' ', n);
        Word verb = { line, space ? (size_t) (space - line) : n };
        while (i < ELEMENTSOF(verbs) && !word_is(verb, verbs[i].name))
                i++;
        if (i == ELEMENTSOF(verbs))
                return SMTP_COMMAND_E_UNKNOWN;
        c.verb = verbs[i].verb;
        c.argument = skip_spaces(line + verb.n, line + n);
        c.argument_size = line + n - c.argument;

        switch (verbs[i].argument) {
        case ARGUMENT_NONE:
                if (c.argument_size > 0)
                        e = SMTP_COMMAND_E_ARGUMENT;
                break;
        case ARGUMENT_OPTIONAL:
                break;
        case ARGUMENT_REQUIRED:
                if (c.argument_size == 0)
                        e = SMTP_COMMAND_E_ARGUMENT;
                break;
        case ARGUMENT_HOST:
                if (!smtp_helo_valid(c.argument, c.argument_size))
                        e = SMTP_COMMAND_E_ARGUMENT;
                break;
        case ARGUMENT_PATH:
                e = parse_path(&c, flags);
                break;
        }
        if (e == 0 && c.verb == SMTP_VERB_OTHER)
                e = SMTP_COMMAND_E_NOT_SERVED;
        if (e != 0)
                return e;
        *ret = c;
        return 0;
}
