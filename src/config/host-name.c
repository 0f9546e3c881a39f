/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The host's name without a resolver: a program that starts may not wait for the DNS. */

#include "address/address.h"
#include "basic/fd.h"
#include "basic/text.h"
#include "config/config.h"

#define HOSTS_MAX (1024U * 1024U)

static bool is_name(const char *s, size_t n, const char *name) {
        return n == strlen(name) && ascii_strncasecmp(s, name, n) == 0;
}

/* Of one line of hosts(5): the name that is the host's own with a domain behind it, if the host is in that line. */
static size_t find_qualified(const char *line, const char *name, const char **ret) {
        size_t found = 0, n;
        bool ours = false;

        line += strspn(line, " \t");
        for (line += strcspn(line, " \t\n#\r"); (n = strspn(line, " \t")) > 0; line += n) {
                line += n;
                n = strcspn(line, " \t\n#\r");
                if (is_name(line, n, name))
                        ours = true;
                else if (n > strlen(name) && line[strlen(name)] == '.' && is_name(line, strlen(name), name) &&
                         domain_valid(line, n, 0)) {
                        ours = true;
                        if (found == 0) {
                                *ret = line;
                                found = n;
                        }
                }
        }
        return ours ? found : 0;
}

char *config_host_name(int root_fd, const char *name) {
        _cleanup_free_ char *hosts = NULL;

        size_t n = strlen(name);
        if (n > 0 && name[n - 1] == '.')
                n--;
        if (!domain_valid(name, n, 0))
                return strdup("localhost");
        _cleanup_free_ char *bare = strndup(name, n);
        if (!bare)
                return NULL;
        if (strchr(bare, '.') || read_file_at(root_fd, "etc/hosts", HOSTS_MAX, &hosts, NULL, NULL) < 0)
                return TAKE_PTR(bare);

        for (const char *line = hosts; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
                const char *qualified;
                size_t k = find_qualified(line, bare, &qualified);
                if (k > 0)
                        return strndup(qualified, k);
        }
        return TAKE_PTR(bare);
}
