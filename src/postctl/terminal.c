/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <sys/ioctl.h>
#include <unistd.h>

#include "basic/text.h"
#include "postctl/terminal.h"

bool terminal_wants_colors(bool tty, const char *systemd_colors, const char *no_color, const char *term) {
        if (!isempty(systemd_colors)) {
                int r = parse_boolean(systemd_colors);
                return r >= 0 ? r : !streq(systemd_colors, "0");
        }
        if (!isempty(no_color))
                return false;
        return tty && !isempty(term) && !streq(term, "dumb");
}

unsigned terminal_columns(const char *columns, unsigned real) {
        uint64_t n;

        if (columns && parse_u64(columns, 10000, &n) >= 0 && n > 0)
                return n;
        return real > 0 ? real : 80;
}

Terminal terminal_detect(void) {
        struct winsize size = {};
        Terminal t = { .tty = isatty(STDOUT_FILENO) > 0 };

        t.colors = terminal_wants_colors(t.tty, getenv("SYSTEMD_COLORS"), getenv("NO_COLOR"), getenv("TERM"));
        if (t.tty) {
                (void) ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
                t.width = terminal_columns(getenv("COLUMNS"), size.ws_col);
        }
        return t;
}

static const char *const color_sequences[_COLOR_MAX] = {
        [COLOR_NONE] = "",
        [COLOR_BOLD] = "\x1b[0;1m",
        [COLOR_RED] = "\x1b[0;1;31m",
        [COLOR_GREEN] = "\x1b[0;1;32m",
        [COLOR_YELLOW] = "\x1b[0;1;33m",
        [COLOR_GREY] = "\x1b[0;90m",
};

const char *color_on(const Terminal *t, Color c) {
        return t->colors ? color_sequences[c] : "";
}

const char *color_off(const Terminal *t, Color c) {
        return t->colors && c != COLOR_NONE ? "\x1b[0m" : "";
}

char *format_relative(char buffer[static FORMAT_RELATIVE_MAX], usec_t now, usec_t t) {
        char span[FORMAT_TIMESPAN_MAX];
        usec_t distance = now > t ? now - t : t - now;

        distance -= distance % USEC_PER_SEC;
        format_timespan(span, sizeof(span), distance);
        if (distance == 0)
                strcpy(buffer, "now");
        else if (now > t)
                (void) snprintf(buffer, FORMAT_RELATIVE_MAX, "%s ago", span);
        else
                (void) snprintf(buffer, FORMAT_RELATIVE_MAX, "in %s", span);
        return buffer;
}

char *format_age(char buffer[static FORMAT_AGE_MAX], usec_t span) {
        char both[FORMAT_TIMESPAN_MAX];

        if (span < USEC_PER_SEC)
                return strcpy(buffer, "now");
        format_timespan(both, sizeof(both), span);
        (void) snprintf(buffer, FORMAT_AGE_MAX, "%.*s", (int) strcspn(both, " "), both);
        return buffer;
}

char *format_time(char buffer[static FORMAT_TIME_MAX], usec_t realtime) {
        time_t seconds = realtime / USEC_PER_SEC;
        struct tm tm;

        if (!localtime_r(&seconds, &tm) || strftime(buffer, FORMAT_TIME_MAX, "%a %Y-%m-%d %H:%M:%S %Z", &tm) == 0)
                strcpy(buffer, "?");
        return buffer;
}

char *format_size(char buffer[static FORMAT_SIZE_MAX], uint64_t bytes) {
        static const char suffixes[] = "KMGTPE";
        uint64_t unit = 1024;
        size_t i = 0;

        if (bytes < 1024) {
                (void) snprintf(buffer, FORMAT_SIZE_MAX, "%uB", (unsigned) bytes);
                return buffer;
        }
        while (i + 2 < sizeof(suffixes) && bytes / unit >= 1024) {
                unit *= 1024;
                i++;
        }
        uint64_t whole = bytes / unit, tenth = bytes % unit / (unit / 10);
        if (whole >= 10 || tenth >= 10)
                (void) snprintf(buffer, FORMAT_SIZE_MAX, "%u%c", (unsigned) whole, suffixes[i]);
        else
                (void) snprintf(buffer, FORMAT_SIZE_MAX, "%u.%u%c", (unsigned) whole, (unsigned) tenth, suffixes[i]);
        return buffer;
}

void print_field(const Terminal *t, Color c, const char *name, const char *value) {
        _cleanup_free_ char *clean = text_sanitize(value, 4096);

        printf("%*s: %s%s%s\n", FIELD_WIDTH, name, color_on(t, c), strempty(clean), color_off(t, c));
}
