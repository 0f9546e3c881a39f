/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reads a message file. The order matters: whether there is a commit record is looked at first, because without it
 * nothing else of the file need be whole. */

#include "spool/file.h"

#define HOLE_UNIT 1024U /* the smallest block of a file system */
#define HOLD_REASON_DAMAGED "The log of this message is damaged: recipients may have been served already"

int message_content_sum(const FileHeader *h, const uint8_t *tail, size_t n_tail, uint32_t *ret) {
        uint64_t size;
        Frame f;
        int r;

        r = frame_decode(tail, n_tail, record_seed(&h->id), SEQUENCE_COMMIT, &f);
        if (r < 0)
                return n_tail < COMMIT_RECORD_SIZE || all_zero(tail, n_tail) ? -EUCLEAN : -EBADMSG;
        r = commit_decode(&f, &size, ret);
        if (r < 0)
                return r;
        return size == h->content_size && f.total == COMMIT_RECORD_SIZE ? 0 : -EBADMSG;
}

/* Is the record at pos missing because a block that was never synced did not reach the disk? Such a block reads as
 * zeros from where its last written version ended, or as a whole. What comes after it was not synced either (a sync
 * takes everything), so it is no loss. */
static bool is_hole(const uint8_t *tail, size_t n, uint64_t tail_offset, size_t pos) {
        size_t boundary = pos + (HOLE_UNIT - (tail_offset + pos) % HOLE_UNIT);

        if (boundary >= n)
                return all_zero(tail + pos, n - pos);
        return (boundary - pos >= RECORD_HEAD_SIZE && all_zero(tail + pos, boundary - pos)) ||
                all_zero(tail + boundary, MIN((size_t) HOLE_UNIT, n - boundary));
}

/* Is there a whole record somewhere behind a bad one? The work is bounded; who builds a file that exceeds it has
 * damaged it. */
static bool record_follows(const uint8_t *p, size_t n, uint32_t seed, uint32_t sequence) {
        uint64_t budget = (uint64_t) n * 8 + 1024 * 1024;

        for (size_t pos = 1; pos + RECORD_HEAD_SIZE <= n; pos++) {
                uint32_t s = (uint32_t) p[pos + 8] | (uint32_t) p[pos + 9] << 8 | (uint32_t) p[pos + 10] << 16 |
                        (uint32_t) p[pos + 11] << 24;
                Frame f;

                if (s <= sequence || s - sequence > n / RECORD_HEAD_SIZE || p[pos + 14] != 0 || p[pos + 15] != 0)
                        continue;
                if (frame_decode(p + pos, n - pos, seed, s, &f) >= 0)
                        return true;
                uint64_t size = (uint64_t) p[pos + 4] | (uint64_t) p[pos + 5] << 8 | (uint64_t) p[pos + 6] << 16 |
                        (uint64_t) p[pos + 7] << 24;
                if (size > n - pos)
                        continue; /* no sum was made */
                if (size + RECORD_HEAD_SIZE > budget)
                        return true;
                budget -= size + RECORD_HEAD_SIZE;
        }
        return false;
}

/* Applies one record: 0, -EBADMSG, -EPROTONOSUPPORT, -ENOMEM. */
static int apply_frame(QueuedMessage *m, const Frame *f) {
        _cleanup_free_ RecordChild *children = NULL;
        Record record;
        int r;

        r = record_decode(f, &record, &children);
        if (r == -EPROTONOSUPPORT && f->type & TYPE_OPTIONAL)
                return 0;
        if (r < 0)
                return r;
        return queued_message_apply(m, &record);
}

static int decode_log(QueuedMessage *m, uint32_t seed, uint64_t tail_offset, const uint8_t *tail, size_t n) {
        size_t pos = COMMIT_RECORD_SIZE;
        Frame f;
        int r = 0;

        m->next_sequence = SEQUENCE_LOG;
        while (pos < n && frame_decode(tail + pos, n - pos, seed, m->next_sequence, &f) >= 0) {
                r = apply_frame(m, &f);
                if (r == -EBADMSG)
                        break;
                if (r < 0)
                        return r;
                pos += f.total;
                m->next_sequence++;
        }
        m->log_end = tail_offset + pos;
        if (pos >= n)
                return 0;

        /* A record that verifies but makes no sense is damage too, or a mistake of ours: look before delivering. */
        if (r == -EBADMSG ||
            (!is_hole(tail, n, tail_offset, pos) && record_follows(tail + pos, n - pos, seed, m->next_sequence))) {
                char *reason = strdup(HOLD_REASON_DAMAGED);
                if (!reason)
                        return -ENOMEM;
                free_and_replace(m->hold_reason, reason);
                m->held = m->log_damaged = true;
        }
        return 0;
}

int message_decode(const FileHeader *h, const uint8_t *front, const uint8_t *tail, size_t n_tail, QueuedMessage *ret) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        uint32_t seed = record_seed(&h->id), crc;
        Frame f;
        int r;

        r = message_content_sum(h, tail, n_tail, &crc);
        if (r < 0)
                return r;

        m.id = h->id;
        m.content_offset = h->content_offset;
        r = frame_decode(front + FILE_HEADER_SIZE, file_header_front(h) - FILE_HEADER_SIZE, seed, SEQUENCE_ENVELOPE, &f);
        if (r < 0)
                return r;
        if (f.type != TYPE_ENVELOPE || f.size != h->envelope_size)
                return -EBADMSG;
        r = envelope_decode(f.payload, f.size, &m.envelope);
        if (r < 0)
                return r;
        if (m.envelope.size != h->content_size || m.envelope.n_recipients == 0)
                return -EBADMSG;
        r = queued_message_set_recipients(&m);
        if (r < 0)
                return r;
        r = decode_log(&m, seed, file_commit_offset(h), tail, n_tail);
        if (r < 0)
                return r;
        *ret = m;
        m = QUEUED_MESSAGE_INIT;
        return 0;
}

int message_file_decode(const uint8_t *p, size_t n, const QueueId *id, QueuedMessage *ret) {
        FileHeader h;
        int r;

        r = file_header_decode(p, n, &h);
        if (r == -EUCLEAN && n >= FILE_HEADER_SIZE && !all_zero(p, n))
                return -EBADMSG;
        if (r < 0)
                return r;
        if (id && !streq(id->s, h.id.s))
                return -EBADMSG;
        uint64_t commit = file_commit_offset(&h);
        if (n < commit + COMMIT_RECORD_SIZE)
                return -EUCLEAN;
        if (n - commit > SPOOL_LOG_MAX)
                return -EBADMSG;
        return message_decode(&h, p, p + commit, n - commit, ret);
}
