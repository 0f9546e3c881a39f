/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The library reads lines from a function of ours, which looks at each before it hands it over: a wrong one is reported
 * and replaced by an empty line, so line numbers stay right. Built with other options, or patched as Debian's, the
 * library may cut lines (at 200 bytes), strip what looks like a comment, or not pass line numbers; so the lines are
 * counted here, and what the library says of a line must be what stands there. */

#define INI_HANDLER_LINENO 1
#include <ini.h>

#include "basic/ini.h"
#include "basic/text.h"

/* Run-time settings where the library has them (Debian), else NULL. */
extern bool ini_allow_multiline __attribute__((weak));
extern bool ini_allow_inline_comments __attribute__((weak));
extern bool ini_use_stack __attribute__((weak));
extern int ini_max_line __attribute__((weak));
extern int ini_initial_alloc __attribute__((weak));

typedef struct IniReader {
        const char *text;
        size_t size;
        unsigned line;
        bool bad;
        int error;
        ini_handler_t handler;
        ini_report_t report;
        void *userdata;
        const char *value; /* of the line that the library has now; NULL: it is no assignment */
        size_t value_size;
        char section[INI_SECTION_MAX + 1];
} IniReader;

static bool is_space(char c) {
        return c == ' ' || c == '\t';
}

/* What is wrong with a line that is not empty and no comment? NULL if nothing; fills in section or value. */
static const char *check_line(IniReader *reader, const char *s, size_t n, bool *ret_header) {
        *ret_header = false;
        if (is_space(s[0]))
                return "a line may not begin with white space (there are no continuation lines)";
        if (s[0] == '[') {
                if (s[n - 1] != ']' || memchr(s, ']', n - 1) || n == 2)
                        return "not a section header: expected [SECTION] or [SECTION NAME]";
                if (n - 2 > INI_SECTION_MAX)
                        return "the section header is too long";
                if (memchr(s, ';', n))
                        return "a section header may not contain ';'";
                memcpy(reader->section, s + 1, n - 2);
                reader->section[n - 2] = 0;
                *ret_header = true;
                return NULL;
        }
        const char *equals = memchr(s, '=', n);
        if (!equals)
                return "not an assignment: expected KEY=VALUE";
        const char *p = s;
        while (ascii_isalnum(*p))
                p++;
        if (p == s)
                return "there is no key before the '='";
        while (is_space(*p))
                p++;
        if (p < equals)
                return "a key has letters and digits only";
        for (p++; p < s + n && is_space(*p); p++)
                ;
        reader->value = p;
        reader->value_size = (size_t) (s + n - p);
        return NULL;
}

/* The next line of the text without its end and white space before that; is it fit for the library? */
static const char *next_line(IniReader *reader, size_t room, const char **ret, size_t *ret_size, bool *ret_header) {
        const char *s = reader->text, *end = memchr(s, '\n', reader->size);
        size_t n = end ? (size_t) (end - s) : reader->size;

        reader->text += n + !!end;
        reader->size -= n + !!end;
        reader->line++;
        reader->value = NULL;
        *ret_header = false;
        *ret_size = 0;

        if (reader->line == 1 && n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
                s += 3;
                n -= 3;
        }
        if (n > 0 && s[n - 1] == '\r')
                n--;
        while (n > 0 && is_space(s[n - 1]))
                n--;
        size_t blank = 0;
        while (blank < n && is_space(s[blank]))
                blank++;
        if (blank == n || s[blank] == '#' || s[blank] == ';')
                return NULL;
        if (n > INI_LINE_MAX || n + 2 > room)
                return "the line is too long";
        for (size_t i = 0; i < n; i++)
                if ((uint8_t) s[i] < 0x20 ? s[i] != '\t' : s[i] == 0x7F)
                        return "the line has a control character";
        if (!utf8_valid(s, n))
                return "the line is not valid UTF-8";
        *ret = s;
        *ret_size = n;
        return check_line(reader, s, n, ret_header);
}

/* As fgets(), for the library. */
static char *read_line(char *buffer, int size, void *stream) {
        IniReader *reader = stream;
        const char *s = NULL;
        size_t n;
        bool header;

        if (reader->size == 0 || reader->error < 0 || size < 2)
                return NULL;
        const char *wrong = next_line(reader, (size_t) size, &s, &n, &header);
        if (wrong) {
                reader->bad = true;
                reader->report(reader->line, wrong, reader->userdata);
                n = 0;
                header = false;
                reader->value = NULL;
        }
        if (n > 0)
                memcpy(buffer, s, n);
        memcpy(buffer + n, "\n", 2);
        if (header) {
                int r = reader->handler(reader->section, NULL, NULL, reader->line, reader->userdata);
                if (r < 0)
                        reader->error = r;
                else if (r > 0)
                        reader->bad = true;
        }
        return buffer;
}

/* From the library: 0 would mean an error; ours are kept in the reader. */
static int handle(void *userdata, const char *section, const char *key, const char *value, int line _unused_) {
        IniReader *reader = userdata;

        if (!reader->value || strlen(value) != reader->value_size || memcmp(value, reader->value, reader->value_size) != 0 ||
            !streq(section, reader->section)) {
                reader->bad = true;
                reader->report(reader->line, "the INI library of this system takes part of the value for a comment",
                               reader->userdata);
                return 1;
        }
        int r = reader->handler(section, key, value, reader->line, reader->userdata);
        if (r < 0)
                reader->error = r;
        else if (r > 0)
                reader->bad = true;
        return 1;
}

int ini_read(const char *text, size_t size, ini_handler_t handler, ini_report_t report, void *userdata) {
        IniReader reader = { .text = text, .size = size, .handler = handler, .report = report, .userdata = userdata };

        if (&ini_allow_multiline)
                ini_allow_multiline = false;
        if (&ini_allow_inline_comments)
                ini_allow_inline_comments = false;
        if (&ini_use_stack)
                ini_use_stack = false;
        if (&ini_max_line)
                ini_max_line = INI_LINE_MAX + 3;
        if (&ini_initial_alloc)
                ini_initial_alloc = INI_LINE_MAX + 3;

        int r = ini_parse_stream(read_line, &reader, handle, &reader);
        if (reader.error < 0)
                return reader.error;
        if (r == -2)
                return -ENOMEM;
        if (r != 0 && !reader.bad) {
                report(r > 0 ? (unsigned) r : 0, "the INI library of this system does not understand the line", userdata);
                reader.bad = true;
        }
        return reader.bad ? -EBADMSG : 0;
}
