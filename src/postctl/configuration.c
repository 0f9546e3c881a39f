/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "basic/text.h"
#include "config/config.h"
#include "postctl/postctl.h"

typedef struct Report {
        unsigned errors, warnings;
} Report;

static void report(int level, const char *line, void *userdata) {
        _cleanup_free_ char *clean = text_sanitize(line, 4096);
        Report *r = userdata;

        if (level <= LOG_ERR)
                r->errors++;
        else
                r->warnings++;
        fprintf(stderr, "%s%s\n", level <= LOG_ERR ? "" : "warning: ", strempty(clean));
}

/* 0 with the configuration; > 0 if it has errors, which are told. */
static int load(const Postctl *p, Report *reported, Config **ret) {
        int r = config_load(p->root, report, reported, ret);

        if (r == -EBADMSG || (r >= 0 && reported->errors > 0)) {
                log_error("The configuration has %u error%s: postd keeps the one it has, and does not start with this one.",
                          reported->errors, reported->errors == 1 ? "" : "s");
                return 1;
        }
        return r < 0 ? log_error_errno(r, "Failed to read the configuration: %m") : 0;
}

int verb_check_config(Postctl *p, char **args _unused_) {
        _cleanup_(config_freep) Config *config = NULL;
        Report reported = {};
        int r;

        r = load(p, &reported, &config);
        if (r == 0)
                printf("The configuration is good%s.\n", reported.warnings > 0 ? ", but see the warnings" : "");
        return r;
}

int verb_cat_config(Postctl *p, char **args _unused_) {
        _cleanup_(config_freep) Config *config = NULL;
        Report reported = {};
        int r;

        r = load(p, &reported, &config);
        if (r == 0)
                r = config_dump(config, stdout);
        return r < 0 ? log_error_errno(r, "Failed to print the configuration: %m") : r;
}
