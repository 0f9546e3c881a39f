/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/text.h"
#include "sendmail/options.h"

/* Options with an argument, attached or as the next word; options whose argument can only be attached. Nothing depends on
 * A (which of two configurations), B (7 or 8 bits: the message itself tells), C (configuration), D and X (logs),
 * d (debugging), h (hops), L (log tag), M (of a queue), O (long options), p (protocol), Q (quarantine). */
#define WITH_ARGUMENT "ABCDFLMNORVXbefhopr"
#define WITH_ATTACHED "Qdq"
#define FLAGS "GITUcimnstvx"

typedef struct Parser {
        SendmailOptions *o;
        char *error;
        bool mode_given;
} Parser;

static int fail(Parser *p, const char *format, const char *what) {
        char shown[64];
        size_t n = 0;

        for (; what[n] && n + 1 < sizeof(shown); n++)
                shown[n] = (unsigned char) what[n] < 0x20 || (unsigned char) what[n] >= 0x7F ? '?' : what[n];
        shown[n] = 0;
        (void) snprintf(p->error, SENDMAIL_ERROR_MAX, format, shown);
        return -EINVAL;
}

static int set_mode(Parser *p, const char *argument) {
        static const struct {
                char letter;
                SendmailMode mode;
        } modes[] = {
                { 'm', MODE_DELIVER }, { 's', MODE_SMTP }, { 'v', MODE_VERIFY }, { 'p', MODE_LIST }, { 'i', MODE_ALIASES },
        };

        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (argument[0] == modes[i].letter && !argument[1]) {
                        p->o->mode = modes[i].mode;
                        p->mode_given = true;
                        return 0;
                }
        if (argument[0] && strchr("adDhHPt", argument[0]))
                return fail(p, "-b%s is not supported: postd runs as units of systemd, see postd(7)", argument);
        return fail(p, "unknown mode: -b%s", argument);
}

/* -oem and -em: what to do with errors. They are always shown and told by the status; only "q" keeps quiet. */
static void set_error_mode(Parser *p, const char *argument) {
        p->o->quiet = argument[0] == 'q';
}

static void set_sendmail_option(Parser *p, const char *argument) {
        if (streq(argument, "i"))
                p->o->dots_are_text = true;
        else if (argument[0] == 'e')
                set_error_mode(p, argument + 1);
}

static int set_with_argument(Parser *p, char letter, const char *argument) {
        SendmailOptions *o = p->o;

        switch (letter) {
        case 'b':
                return set_mode(p, argument);
        case 'e':
                set_error_mode(p, argument);
                return 0;
        case 'F':
                o->full_name = argument;
                return 0;
        case 'f':
        case 'r':
                o->sender = argument;
                return 0;
        case 'N':
                if (notify_from_string(argument, &o->notify) < 0)
                        return fail(p, "-N takes \"never\" or a list of success, failure, delay, not: %s", argument);
                return 0;
        case 'o':
                set_sendmail_option(p, argument);
                return 0;
        case 'R':
                o->dsn_return = dsn_return_from_string(argument);
                if ((int) o->dsn_return < 0 || !*argument)
                        return fail(p, "-R takes \"full\" or \"hdrs\", not: %s", argument);
                return 0;
        case 'V':
                o->envid = argument;
                return 0;
        default:
                return 0;
        }
}

/* -q flushes the queue, -qIid one message. With a time sendmail would do so again and again: that is what queue managers
 * do anyhow, so it is the same as without. */
static void set_flush(Parser *p, const char *argument) {
        if (!p->mode_given)
                p->o->mode = MODE_FLUSH;
        if (argument[0] == 'I' && argument[1])
                p->o->flush_id = argument + 1;
}

static void set_flag(Parser *p, char letter) {
        switch (letter) {
        case 'I':
                p->o->mode = MODE_ALIASES;
                p->mode_given = true;
                break;
        case 'i':
                p->o->dots_are_text = true;
                break;
        case 't':
                p->o->recipients_from_header = true;
                break;
        case 'v':
                p->o->verbose = true;
                break;
        }
}

/* One word of options ("-t", "-ti", "-fjoe"); next is the word behind it, or NULL. 1 if that was its argument. */
static int parse_word(Parser *p, const char *word, const char *next) {
        for (const char *c = word + 1; *c; c++) {
                if (strchr(WITH_ARGUMENT, *c)) {
                        const char *argument = c[1] ? c + 1 : next;
                        if (!argument)
                                return fail(p, "option without its argument: -%s", c);
                        int r = set_with_argument(p, *c, argument);
                        return r < 0 ? r : !c[1];
                }
                if (strchr(WITH_ATTACHED, *c)) {
                        if (*c == 'q')
                                set_flush(p, c + 1);
                        return 0;
                }
                if (!strchr(FLAGS, *c))
                        return fail(p, "unknown option: -%s", c);
                set_flag(p, *c);
        }
        return 0;
}

static int parse_long(Parser *p, const char *word) {
        if (streq(word, "--help"))
                p->o->mode = MODE_HELP;
        else if (streq(word, "--version"))
                p->o->mode = MODE_VERSION;
        else
                return fail(p, "unknown option: %s", word);
        return 0;
}

static SendmailMode applet(const char *name) {
        const char *slash = strrchr(name, '/');
        const char *base = slash ? slash + 1 : name;
        size_t n = strcspn(base, ".");

        if (n == strlen("mailq") && strncmp(base, "mailq", n) == 0)
                return MODE_LIST;
        if (n == strlen("newaliases") && strncmp(base, "newaliases", n) == 0)
                return MODE_ALIASES;
        return MODE_DELIVER;
}

int sendmail_options_parse(int argc, char *const argv[], SendmailOptions *ret, char error[static SENDMAIL_ERROR_MAX]) {
        SendmailOptions o = { .mode = applet(argc > 0 ? argv[0] : "") };
        Parser p = { .o = &o, .error = error, .mode_given = o.mode != MODE_DELIVER };
        int i, r;

        /* The first word that is no option is a recipient, and so is everything behind it: a recipient that somebody
         * else chose cannot become an option. */
        for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
                if (streq(argv[i], "--")) {
                        i++;
                        break;
                }
                if (argv[i][1] == '-') {
                        r = parse_long(&p, argv[i]);
                        if (r < 0)
                                return r;
                        break;
                }
                r = parse_word(&p, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
                if (r < 0)
                        return r;
                i += r;
        }
        if (i < argc) {
                o.recipients = argv + i;
                o.n_recipients = argc - i;
        }
        *ret = o;
        return 0;
}
