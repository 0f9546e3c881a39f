/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What postctl was asked for, and its verbs. A verb says what goes wrong itself: it returns the exit status, or a
 * negative errno after its message. */

#include <systemd/sd-varlink.h>
#include "postctl/terminal.h"

typedef enum OptionFlags {
        OPTION_ALL = 1 << 0,
        OPTION_SENDER = 1 << 1,
        OPTION_RECIPIENT = 1 << 2,
        OPTION_HELD = 1 << 3,
        OPTION_DESTINATION = 1 << 4,
        OPTION_REASON = 1 << 5,
        OPTION_FROM = 1 << 6,
        OPTION_TO = 1 << 7,
        OPTION_ROOT = 1 << 8,
        OPTION_SPOOL = 1 << 9,
        OPTION_JSON = 1 << 10,
        OPTION_NO_LEGEND = 1 << 11,
        OPTION_FULL = 1 << 12,
        OPTION_NO_ASK = 1 << 13,
        OPTION_NO_PAGER = 1 << 14,

        OPTIONS_FILTER = OPTION_SENDER | OPTION_RECIPIENT | OPTION_HELD,
        OPTIONS_TABLE = OPTION_JSON | OPTION_NO_LEGEND | OPTION_FULL | OPTION_NO_PAGER,
} OptionFlags;

typedef struct Postctl {
        const char *verb;
        OptionFlags given;
        const char *sender, *recipient, *destination, *reason, *from, *to, *root, *spool;
        bool held;            /* of --held= */
        Terminal terminal;
        sd_varlink *link;     /* to the queue manager, once somebody needed it */
        pid_t agent;          /* that asks for passwords, 0: none */
        pid_t pager;          /* behind standard output, 0: none */
} Postctl;

static inline bool given(const Postctl *p, OptionFlags option) {
        return p->given & option;
}

/* list.c */
int verb_list(Postctl *p, char **args);
/* show.c */
int verb_show(Postctl *p, char **args);
int verb_cat(Postctl *p, char **args);
/* change.c */
int verb_hold(Postctl *p, char **args);
int verb_release(Postctl *p, char **args);
int verb_remove(Postctl *p, char **args);
int verb_requeue(Postctl *p, char **args);
int verb_flush(Postctl *p, char **args);
int verb_pause(Postctl *p, char **args);
int verb_resume(Postctl *p, char **args);
/* status.c */
int verb_status(Postctl *p, char **args);
int verb_destinations(Postctl *p, char **args);
int verb_metrics(Postctl *p, char **args);
/* watch.c */
int verb_monitor(Postctl *p, char **args);
int verb_explain(Postctl *p, char **args);
/* configuration.c */
int verb_check_config(Postctl *p, char **args);
int verb_cat_config(Postctl *p, char **args);
