/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/ini.h"
#include "basic/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is handed out stands in the text, on the line that it is said to be on, and is clean. */
typedef struct Seen {
        const char *text;
        size_t size;
        unsigned last;
} Seen;

static int on_pair(const char *section, const char *key, const char *value, unsigned line, void *userdata) {
        Seen *seen = userdata;
        const char *s = seen->text, *end = s + seen->size;

        assert(line > seen->last);
        seen->last = line;
        while (--line > 0)
                s = (const char *) memchr(s, '\n', (size_t) (end - s)) + 1;
        const char *stop = memchr(s, '\n', (size_t) (end - s)) ?: end;
        const char *what = value ?: section;
        assert(memmem(s, (size_t) (stop - s), what, strlen(what)));
        assert(!key || memmem(s, (size_t) (stop - s), key, strlen(key)));
        assert(utf8_valid(what, strlen(what)) && strlen(what) <= INI_LINE_MAX);
        return 0;
}

static void on_error(unsigned line, const char *message, void *userdata) {
        Seen *seen = userdata;

        assert(line > seen->last && message[0]);
        seen->last = line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Seen seen = { (const char *) data, size, 0 };

        (void) ini_read((const char *) data, size, on_pair, on_error, &seen);
        return 0;
}
