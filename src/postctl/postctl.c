/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* postctl: control and inspection of the queue for people. Asks the queue manager over io.postd.Queue; list, show and
 * cat read the spool where it is not there. Everything shown passes text_sanitize(): it may come from strangers. */

#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>

#include "basic/log.h"
#include "basic/text.h"
#include "postctl/agent.h"
#include "postctl/client.h"
#include "postctl/postctl.h"

#define ARGUMENTS_ANY UINT_MAX

typedef struct Verb {
        const char *name;
        unsigned least, most; /* arguments */
        OptionFlags options;
        int (*run)(Postctl *p, char **args);
} Verb;

static const Verb verbs[] = {
        { "status",       0, 0, OPTION_JSON, verb_status },
        { "list",         0, 0, OPTIONS_FILTER | OPTIONS_TABLE | OPTION_SPOOL, verb_list },
        { "show",         1, ARGUMENTS_ANY, OPTION_JSON | OPTION_SPOOL | OPTION_NO_PAGER, verb_show },
        { "cat",          1, ARGUMENTS_ANY, OPTION_SPOOL | OPTION_NO_PAGER, verb_cat },
        { "hold",         0, ARGUMENTS_ANY, OPTION_ALL | OPTIONS_FILTER | OPTION_REASON | OPTION_NO_ASK, verb_hold },
        { "release",      0, ARGUMENTS_ANY, OPTION_ALL | OPTIONS_FILTER | OPTION_NO_ASK, verb_release },
        { "remove",       0, ARGUMENTS_ANY, OPTION_ALL | OPTIONS_FILTER | OPTION_NO_ASK, verb_remove },
        { "requeue",      0, ARGUMENTS_ANY, OPTION_ALL | OPTIONS_FILTER | OPTION_NO_ASK, verb_requeue },
        { "flush",        0, ARGUMENTS_ANY, OPTION_DESTINATION | OPTION_NO_ASK, verb_flush },
        { "pause",        1, 2, OPTION_NO_ASK, verb_pause },
        { "resume",       1, 2, OPTION_NO_ASK, verb_resume },
        { "monitor",      0, 0, OPTION_JSON, verb_monitor },
        { "explain",      0, 1, OPTION_FROM | OPTION_TO | OPTION_JSON, verb_explain },
        { "destinations", 0, 0, OPTIONS_TABLE, verb_destinations },
        { "metrics",      0, 0, OPTIONS_TABLE, verb_metrics },
        { "check-config", 0, 0, OPTION_ROOT, verb_check_config },
        { "cat-config",   0, 0, OPTION_ROOT | OPTION_NO_PAGER, verb_cat_config },
};

static const struct option options[] = {
        { "all",             no_argument,       NULL, OPTION_ALL },
        { "sender",          required_argument, NULL, OPTION_SENDER },
        { "recipient",       required_argument, NULL, OPTION_RECIPIENT },
        { "held",            optional_argument, NULL, OPTION_HELD },
        { "destination",     required_argument, NULL, OPTION_DESTINATION },
        { "reason",          required_argument, NULL, OPTION_REASON },
        { "from",            required_argument, NULL, OPTION_FROM },
        { "to",              required_argument, NULL, OPTION_TO },
        { "root",            required_argument, NULL, OPTION_ROOT },
        { "spool",           required_argument, NULL, OPTION_SPOOL },
        { "json",            no_argument,       NULL, OPTION_JSON },
        { "no-legend",       no_argument,       NULL, OPTION_NO_LEGEND },
        { "full",            no_argument,       NULL, OPTION_FULL },
        { "no-ask-password", no_argument,       NULL, OPTION_NO_ASK },
        { "no-pager",        no_argument,       NULL, OPTION_NO_PAGER },
        { "help",            no_argument,       NULL, 'h' },
        { "version",         no_argument,       NULL, 'v' },
        {},
};

static void help(void) {
        printf("postctl [OPTION…] VERB [ARGUMENT…]\n\n"
               "Inspect and control postd's mail queue.\n\n"
               "Look:\n"
               "  status                  The queue manager, what is paused, destinations in trouble (default)\n"
               "  list                    List the messages in the queue\n"
               "  show ID…                Show envelopes and what was tried\n"
               "  cat ID…                 Print messages as they are delivered\n"
               "  monitor                 Tell events as they happen\n"
               "  explain [--from=] --to= Say what would be done with a message\n"
               "  destinations            List destinations and how they are doing\n"
               "  metrics                 Show counters\n\n"
               "Messages (queue ids, or --all):\n"
               "  hold ID…                Stop deliveries until released\n"
               "  release ID…             Go on with messages that are held\n"
               "  remove ID…              Remove messages without a report to their senders\n"
               "  requeue ID…             Forget the attempts and decide anew where messages go\n"
               "  flush [ID…]             Try again now: some messages, a destination, or everything\n\n"
               "Service:\n"
               "  pause|resume all|local|relay|destination NAME|listener NAME\n"
               "  check-config            Check the configuration files\n"
               "  cat-config              Print the configuration in use after merging\n\n"
               "Options:\n"
               "  -h --help               Show this help\n"
               "     --version            Show the version\n"
               "     --sender=ADDRESS     Only messages from ADDRESS (<> for reports)\n"
               "     --recipient=ADDRESS  Only messages to ADDRESS, or to @DOMAIN; remove ID: only this recipient\n"
               "     --held[=BOOL]        Only messages that are held, or that are not\n"
               "  -a --all                All messages that these select\n"
               "  -d --destination=NAME   flush: all mail for this destination\n"
               "  -r --reason=TEXT        hold: why\n"
               "     --from=ADDRESS       explain: the sender\n"
               "     --to=ADDRESS         explain: the recipient\n"
               "     --root=DIR           Configuration: files below DIR\n"
               "     --spool=DIR          list, show, cat: read the spool DIR, not what is running\n"
               "  -j --json               JSON, one object a line\n"
               "  -l --full               Do not shorten values to fit the terminal\n"
               "     --no-legend          No titles and no totals\n"
               "     --no-pager           Do not pipe the output into a pager\n"
               "     --no-ask-password    Do not let polkit ask for a password\n\n"
               "An id may be shortened to its beginning or end. See postctl(1).\n");
}

/* 0, or -EINVAL after a message. */
static int set_option(Postctl *p, int option) {
        int r;

        p->given |= option;
        switch (option) {
        case OPTION_SENDER:
                p->sender = streq(optarg, "<>") ? "" : optarg;
                break;
        case OPTION_RECIPIENT:
                p->recipient = optarg;
                break;
        case OPTION_HELD:
                r = optarg ? parse_boolean(optarg) : 1;
                if (r < 0)
                        return log_error_errno(r, "--held= is yes or no, not \"%s\".", optarg);
                p->held = r;
                break;
        case OPTION_DESTINATION:
                p->destination = optarg;
                break;
        case OPTION_REASON:
                p->reason = optarg;
                break;
        case OPTION_FROM:
                p->from = streq(optarg, "<>") ? "" : optarg;
                break;
        case OPTION_TO:
                p->to = optarg;
                break;
        case OPTION_ROOT:
                p->root = optarg;
                break;
        case OPTION_SPOOL:
                p->spool = optarg;
                break;
        default:
                break;
        }
        return 0;
}

/* > 0: the program is to go on. */
static int parse_options(Postctl *p, int argc, char **argv) {
        static const struct {
                char letter;
                OptionFlags option;
        } letters[] = {
                { 'a', OPTION_ALL }, { 'd', OPTION_DESTINATION }, { 'r', OPTION_REASON }, { 'j', OPTION_JSON }, { 'l', OPTION_FULL },
        };
        int c, r;

        while ((c = getopt_long(argc, argv, "had:r:jl", options, NULL)) >= 0) {
                for (size_t i = 0; i < ELEMENTSOF(letters); i++)
                        if (c == letters[i].letter)
                                c = letters[i].option;
                switch (c) {
                case 'h':
                        help();
                        return 0;
                case 'v':
                        printf("postctl %s\n", POSTD_VERSION);
                        return 0;
                case '?':
                        return -EINVAL; /* getopt_long() has said why */
                default:
                        r = set_option(p, c);
                        if (r < 0)
                                return r;
                }
        }
        return 1;
}

static const char *option_name(OptionFlags flags) {
        for (size_t i = 0; options[i].name; i++)
                if (options[i].val & (int) flags)
                        return options[i].name;
        return "?";
}

static const Verb *find_verb(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, name))
                        return &verbs[i];
        log_error("Unknown verb \"%s\"; postctl --help lists them.", name);
        return NULL;
}

/* Does that make sense together? An option without effect could be a mistake that costs mail. */
static int check_usage(const Postctl *p, const Verb *verb, unsigned n) {
        OptionFlags odd = p->given & ~verb->options;

        if (odd)
                return log_error_errno(EINVAL, "--%s has no meaning for postctl %s.", option_name(odd), verb->name);
        if (n < verb->least)
                return log_error_errno(EINVAL, "postctl %s needs an argument; see postctl --help.", verb->name);
        if (n > verb->most)
                return log_error_errno(EINVAL, "Too many arguments for postctl %s.", verb->name);
        return 0;
}

static bool wants_pager(const Postctl *p, const Verb *verb) {
        return p->terminal.tty && (verb->options & OPTION_NO_PAGER) && !given(p, OPTION_NO_PAGER);
}

int main(int argc, char **argv) {
        Postctl p = {};
        int r;

        log_setup("postctl");
        argv[0] = (char *) "postctl"; /* for getopt_long()'s messages */
        (void) setlocale(LC_ALL, "");
        (void) setlocale(LC_CTYPE, "C.UTF-8");
        r = parse_options(&p, argc, argv);
        if (r <= 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        p.verb = optind < argc ? argv[optind++] : "status";
        const Verb *verb = find_verb(p.verb);
        if (!verb || check_usage(&p, verb, argc - optind) < 0)
                return EXIT_FAILURE;

        p.terminal = terminal_detect();
        if (given(&p, OPTION_FULL))
                p.terminal.width = 0;
        if (wants_pager(&p, verb))
                p.pager = pager_open();
        r = verb->run(&p, argv + optind);
        client_close(&p);
        pager_close(p.pager);
        return r < 0 ? EXIT_FAILURE : r;
}
