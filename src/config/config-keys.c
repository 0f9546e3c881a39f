/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* For tests, not installed. Without an argument prints the table of keys, one per line: section, key, default ("-" if
 * that is found out at run time), with tabs between. With the path of a root directory loads the configuration there
 * and prints it; errors go to stderr. */

#include <stdio.h>

#include "config/config-key.h"

static void report(int level _unused_, const char *line, void *userdata _unused_) {
        fprintf(stderr, "%s\n", line);
}

int main(int argc, char *argv[]) {
        if (argc > 1) {
                _cleanup_(config_freep) Config *c = NULL;
                int r = config_load(argv[1], report, NULL, &c);
                if (r >= 0)
                        r = config_dump(c, stdout);
                return r < 0;
        }
        for (size_t i = 0; i < config_n_keys; i++)
                printf("%s\t%s\t%s\n", config_section_titles[config_keys[i].section], config_keys[i].name,
                       config_keys[i].standard ?: "-");
        return 0;
}
