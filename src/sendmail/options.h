/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of sendmail(1), mailq(1) and newaliases(1): what callers of forty years pass. Pure. */

#include "envelope/envelope.h"

typedef enum SendmailMode {
        MODE_DELIVER,   /* -bm: take a message from standard input */
        MODE_SMTP,      /* -bs: SMTP on standard input and output */
        MODE_VERIFY,    /* -bv: ask whether the recipients would be taken */
        MODE_LIST,      /* -bp, mailq */
        MODE_ALIASES,   /* -bi, -I, newaliases */
        MODE_FLUSH,     /* -q */
        MODE_HELP,
        MODE_VERSION,
} SendmailMode;

typedef struct SendmailOptions {
        SendmailMode mode;
        const char *sender;         /* -f, -r: as given, NULL: the caller */
        const char *full_name;      /* -F */
        const char *envid;          /* -V: as given */
        const char *flush_id;       /* -qI */
        NotifyFlags notify;         /* -N */
        DsnReturn dsn_return;       /* -R */
        bool recipients_from_header;/* -t */
        bool dots_are_text;         /* -i, -oi: a line with a dot alone does not end the message */
        bool quiet;                 /* -oeq: errors show in the exit status only */
        bool verbose;               /* -v */
        char *const *recipients;    /* the arguments that are left, as given */
        size_t n_recipients;
} SendmailOptions;

#define SENDMAIL_ERROR_MAX 256U

/* argv as in main(); argv[0] up to its first dot selects the applet. 0, or -EINVAL with a text for people in error. */
int sendmail_options_parse(int argc, char *const argv[], SendmailOptions *ret, char error[static SENDMAIL_ERROR_MAX]);
