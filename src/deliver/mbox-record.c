/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>

#include "basic/crc32c.h"
#include "basic/fd.h"
#include "basic/strv.h"
#include "basic/text.h"
#include "deliver/mbox-record.h"

#define HOLE_MIN 512U /* the smallest block */
#define FROM_LINE_MAX 4096U

int mbox_record_format(const MboxRecord *r, Buf *ret) {
        char end[24] = "-";
        int k;

        if (r->end != MBOX_END_UNKNOWN)
                snprintf(end, sizeof(end), "%" PRIu64, r->end);
        k = buf_appendf(ret, "1 %s %s %" PRIu64 " %s", r->done ? "done" : "open", r->boot, r->start, end);
        for (size_t i = 0; k >= 0 && i < r->n_copies; i++)
                k = buf_appendf(ret, " %s %u %08" PRIx32, r->copies[i].id.s, r->copies[i].recipient, r->copies[i].from_crc);
        return k;
}

static int parse_crc(const char *s, uint32_t *ret) {
        uint32_t value = 0;

        if (strlen(s) != 8)
                return -EINVAL;
        for (; *s; s++) {
                int digit = ascii_isdigit(*s) ? *s - '0' : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10 : -1;
                if (digit < 0)
                        return -EINVAL;
                value = value << 4 | (uint32_t) digit;
        }
        *ret = value;
        return 0;
}

int mbox_record_parse(const char *p, size_t n, MboxRecord *ret) {
        _cleanup_strv_free_ char **words = NULL;
        _cleanup_free_ char *text = strndup(p, n);
        uint64_t number;
        int r;

        if (!text)
                return -ENOMEM;
        if (strlen(text) != n)
                return -EBADMSG;
        r = strv_split(text, " ", &words);
        if (r < 0)
                return r;
        size_t n_words = strv_length(words);
        if (n_words < 8 || (n_words - 5) % 3 != 0 || (n_words - 5) / 3 > MBOX_RECORD_COPIES_MAX)
                return -EBADMSG;
        MboxRecord record = { .n_copies = (n_words - 5) / 3 };
        if (!streq(words[0], "1") || !STR_IN_SET(words[1], "open", "done") || strlen(words[2]) != sizeof(record.boot) - 1)
                return -EBADMSG;
        record.done = streq(words[1], "done");
        memcpy(record.boot, words[2], sizeof(record.boot));
        if (parse_u64(words[3], INT64_MAX, &record.start) < 0)
                return -EBADMSG;
        if (streq(words[4], "-"))
                record.end = MBOX_END_UNKNOWN;
        else if (parse_u64(words[4], INT64_MAX, &record.end) < 0 || record.end < record.start)
                return -EBADMSG;
        for (size_t i = 0; i < record.n_copies; i++) {
                char **w = words + 5 + 3 * i;
                MboxRecordCopy *c = record.copies + i;
                if (queue_id_parse(w[0], &c->id) < 0 || parse_u64(w[1], UINT32_MAX, &number) < 0 || parse_crc(w[2], &c->from_crc) < 0)
                        return -EBADMSG;
                c->recipient = (unsigned) number;
        }
        *ret = record;
        return 0;
}

bool mbox_record_contains(const MboxRecord *r, const QueueId *id, unsigned recipient) {
        for (size_t i = 0; i < r->n_copies; i++)
                if (r->copies[i].recipient == recipient && streq(r->copies[i].id.s, id->s))
                        return true;
        return false;
}

/* Every line that begins with "From " begins a message: our own bodies have them quoted. So what we wrote has exactly
 * the From_ lines that the record names, in their order, and anything else is somebody else's. */
typedef struct Scan {
        const MboxRecord *record;
        size_t n_seen;
        bool foreign;
        bool hole;               /* whatever is written before it, and any of our From_ lines may be missing behind */
        size_t n_nul;            /* in a row, up to here */
        bool begun;              /* a byte that is no empty line was seen */
        char line[FROM_LINE_MAX]; /* the beginning of the current line */
        size_t n_line;
} Scan;

static void scan_line(Scan *s, bool whole) {
        bool from = s->n_line >= 5 && memcmp(s->line, "From ", 5) == 0;

        if (s->n_line == 0)
                return;
        if (!s->begun && !from && !s->hole)
                s->foreign = whole || memcmp(s->line, "From ", MIN(s->n_line, (size_t) 5)) != 0;
        s->begun = true;
        if (from && whole) {
                uint32_t crc = crc32c(0, s->line, s->n_line);
                while (s->hole && s->n_seen < s->record->n_copies && crc != s->record->copies[s->n_seen].from_crc)
                        s->n_seen++;
                if (s->n_seen >= s->record->n_copies || crc != s->record->copies[s->n_seen].from_crc)
                        s->foreign = true;
                s->n_seen++;
        }
        s->n_line = 0;
}

/* The size of a file may reach the disk before blocks in its midst do; these are zeros then. No mail has so many. */
static void scan_hole(Scan *s, const char *p, size_t n) {
        if (!memchr(p, 0, n)) {
                s->n_nul = 0;
                return;
        }
        for (size_t i = 0; i < n; i++) {
                s->n_nul = p[i] == 0 ? s->n_nul + 1 : 0;
                s->hole = s->hole || s->n_nul >= HOLE_MIN;
        }
}

static void scan_bytes(Scan *s, const char *p, size_t n) {
        while (n > 0 && !s->foreign) {
                const char *newline = memchr(p, '\n', n);
                size_t length = newline ? (size_t) (newline - p) : n, kept = MIN(length, FROM_LINE_MAX - s->n_line);
                memcpy(s->line + s->n_line, p, kept);
                s->n_line += kept;
                if (!newline)
                        return;
                scan_line(s, true);
                p += length + 1;
                n -= length + 1;
        }
}

int mbox_record_compare(const MboxRecord *r, int fd, uint64_t end) {
        _cleanup_free_ Scan *s = new0(Scan, 1);
        char chunk[16 * 1024];

        if (!s)
                return -ENOMEM;
        s->record = r;
        for (uint64_t offset = r->start; offset < end && !s->foreign;) {
                ssize_t n = pread_full(fd, chunk, MIN(sizeof(chunk), end - offset), offset);
                if (n < 0)
                        return n;
                if (n == 0)
                        break;
                scan_hole(s, chunk, n);
                scan_bytes(s, chunk, n);
                offset += n;
        }
        s->hole = s->hole || s->n_nul > 0;
        scan_line(s, false);
        if (s->foreign)
                return MBOX_TAIL_FOREIGN;
        if (s->hole)
                return MBOX_TAIL_HOLE;
        /* Ours ends with an empty line. Where something else has filled up what was cut off, the end is in its midst. */
        char last[2] = "";
        if (end >= sizeof(last)) {
                ssize_t n = pread_full(fd, last, sizeof(last), end - sizeof(last));
                if (n < 0)
                        return n;
        }
        return s->n_seen == r->n_copies && last[0] == '\n' && last[1] == '\n' ? MBOX_TAIL_ALL : MBOX_TAIL_PART;
}
