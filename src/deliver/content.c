/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/fd.h"
#include "basic/usec.h"
#include "deliver/content.h"

typedef struct Converter {
        Sink *sink;
        ConvertFlags flags;
        bool inside; /* of a line whose beginning has been written */
} Converter;

static bool wants_quote(const char *p, size_t n) {
        size_t i = 0;

        while (i < n && p[i] == '>')
                i++;
        return n - i >= 5 && memcmp(p + i, "From ", 5) == 0;
}

/* Appends all whole lines, and with all also the rest; returns how many bytes were used, or -errno. */
static ssize_t convert_lines(Converter *c, const char *p, size_t n, bool all) {
        const char *begin = p, *end = p + n;
        Buf *out = &c->sink->buf;
        int r;

        /* At most one ">" for each six bytes of input, and one line end more. */
        r = buf_reserve(out, n + n / 6 + 2);
        if (r < 0)
                return r;
        char *to = out->data + out->size;
        while (p < end) {
                const char *newline = memchr(p, '\n', end - p);
                if (!newline && !all)
                        break;
                const char *stop = newline ?: end;
                size_t length = stop - p;
                if (newline && length > 0 && p[length - 1] == '\r')
                        length--;
                if (!c->inside && (c->flags & CONVERT_QUOTE_FROM) && (*p == 'F' || *p == '>') && wants_quote(p, length))
                        *to++ = '>';
                memcpy(to, p, length);
                to += length;
                c->inside = !newline;
                if (newline)
                        *to++ = '\n';
                p = newline ? newline + 1 : end;
        }
        out->size = to - out->data;
        *to = 0;
        return p - begin;
}

static int finish_line(Converter *c) {
        if (!c->inside)
                return 0;
        c->inside = false;
        return buf_append(&c->sink->buf, "\n", 1);
}

int convert_text(Sink *sink, const char *p, size_t n, ConvertFlags flags) {
        Converter c = { .sink = sink, .flags = flags };

        ssize_t k = convert_lines(&c, p, n, true);
        return k < 0 ? (int) k : finish_line(&c);
}

int convert_content(Sink *sink, int fd, uint64_t size, ConvertFlags flags, int *ret_error) {
        Converter c = { .sink = sink, .flags = flags };
        _cleanup_free_ char *chunk = NULL;
        size_t have = 0, room = size < CONTENT_CHUNK ? size + 1 : CONTENT_CHUNK;
        uint64_t offset = 0;
        int r;

        chunk = malloc(room);
        if (!chunk)
                return -ENOMEM;
        while (offset < size) {
                ssize_t n = pread_full(fd, chunk + have, MIN(room - have, size - offset), offset);
                if (n <= 0) {
                        *ret_error = n < 0 ? (int) n : -ENODATA;
                        return 1;
                }
                offset += n;
                have += n;
                ssize_t used = convert_lines(&c, chunk, have, false);
                if (used == 0 && have == room) /* a line longer than the chunk: its last byte may be the CR of its end */
                        used = convert_lines(&c, chunk, have - 1, true);
                if (used < 0)
                        return used;
                memmove(chunk, chunk + used, have - used);
                have -= used;
                if (sink->flush) {
                        r = sink->flush(sink);
                        if (r < 0)
                                return r;
                }
        }
        ssize_t used = convert_lines(&c, chunk, have, true);
        return used < 0 ? (int) used : finish_line(&c);
}

int format_from_line(Buf *b, const char *sender, uint64_t arrival_usec) {
        static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t t = MIN(arrival_usec / USEC_PER_SEC, UINT64_C(253402300799)); /* the end of the year 9999 */
        size_t begin = b->size;
        struct tm tm;
        int r;

        if (!gmtime_r(&t, &tm))
                return -EINVAL;
        r = buf_appendf(b, "From %s %.3s %.3s %2d %02d:%02d:%02d %d\n", isempty(sender) ? "MAILER-DAEMON" : sender,
                        days + 3 * tm.tm_wday, months + 3 * tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                        tm.tm_year + 1900);
        if (r < 0)
                return r;
        for (size_t i = begin + 5; sender[i - begin - 5]; i++)
                if ((unsigned char) b->data[i] <= ' ' || (unsigned char) b->data[i] >= 0x7F)
                        b->data[i] = '-';
        return 0;
}
