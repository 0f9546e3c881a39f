/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes as a message file, and as slots of the log of finished messages. The checksums would keep a fuzzer out of
 * everything behind them, so the file is also decoded with its checksums repaired, and parts of it are decoded alone and
 * put together again. */

#include "basic/crc32c.h"
#include "spool/file.h"
#include "spool/finished.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_record(const uint8_t *data, size_t size) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        _cleanup_(buf_done) Buf b = BUF_INIT;

        m.envelope.sender = strdup("");
        if (!m.envelope.sender || envelope_add_recipient(&m.envelope, "a", NULL, 0) < 0 || queued_message_set_recipients(&m) < 0)
                return;
        /* A type, a length, a payload, and again. */
        while (size >= 3) {
                _cleanup_free_ RecordChild *children = NULL;
                size_t n = MIN((size_t) (data[1] | data[2] << 8), size - 3);
                Frame f = { data[0], data + 3, n, n + RECORD_HEAD_SIZE };
                Record r;

                data += 3 + n;
                size -= 3 + n;
                if (record_decode(&f, &r, &children) < 0)
                        continue;
                if (queued_message_apply(&m, &r) >= 0 && record_encode(&r, 0, 0, REPLY_TEXT_MAX, &b) < 0)
                        abort(); /* what was read can be written */
        }
        (void) queued_message_finished(&m);
}

static void decode_envelope(const uint8_t *data, size_t size) {
        _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT;
        _cleanup_(buf_done) Buf b = BUF_INIT;

        if (envelope_decode(data, size, &e) < 0)
                return;
        if (envelope_encode(&e, 0, &b) < 0 || b.size != size + RECORD_HEAD_SIZE || memcmp(b.data + RECORD_HEAD_SIZE, data, size) != 0)
                abort();
}

static void put32(uint8_t *p, uint32_t v) {
        for (int i = 0; i < 4; i++)
                p[i] = v >> 8 * i;
}

/* Makes a record verify, unless its last head byte asks to leave it as it is. Returns its size, 0: does not fit. */
static size_t repair_record(uint8_t *p, size_t n, uint32_t seed, uint32_t sequence) {
        if (n < RECORD_HEAD_SIZE)
                return 0;
        uint32_t size = (uint32_t) p[4] | (uint32_t) p[5] << 8 | (uint32_t) p[6] << 16 | (uint32_t) p[7] << 24;
        if (size > n - RECORD_HEAD_SIZE)
                return 0;
        if (p[15] == 0) {
                put32(p + 8, sequence);
                put32(p, crc32c(seed, p + 4, RECORD_HEAD_SIZE - 4 + size));
        }
        return RECORD_HEAD_SIZE + size;
}

static void repair(uint8_t *p, size_t n) {
        FileHeader h;
        size_t k;

        if (n < FILE_HEADER_SIZE)
                return;
        put32(p + 60, crc32c(0, p, 60));
        if (file_header_decode(p, n, &h) < 0)
                return;
        uint32_t seed = record_seed(&h.id), sequence = SEQUENCE_COMMIT;
        (void) repair_record(p + FILE_HEADER_SIZE, n - FILE_HEADER_SIZE, seed, SEQUENCE_ENVELOPE);
        for (uint64_t at = file_commit_offset(&h); at < n && (k = repair_record(p + at, n - at, seed, sequence)) > 0; at += k)
                sequence++;
}

static void decode_file(const uint8_t *data, size_t size) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT, repaired = QUEUED_MESSAGE_INIT;
        _cleanup_free_ uint8_t *copy = malloc(MAX(size, (size_t) 1));

        (void) message_file_decode(data, size, NULL, &m);
        if (!copy)
                return;
        memcpy(copy, data, size);
        repair(copy, size);
        if (message_file_decode(copy, size, NULL, &repaired) >= 0 && repaired.log_end > size)
                abort();
}

static void decode_slots(const uint8_t *data, size_t size) {
        StoreFinished e;
        usec_t when;

        for (; size >= FINISHED_SLOT; data += FINISHED_SLOT, size -= FINISHED_SLOT)
                (void) finished_slot_decode(data, &e, &when);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        decode_file(data, size);
        decode_slots(data, size);
        if (size > 0) {
                decode_record(data + 1, data[0] & 1 ? size - 1 : 0);
                decode_envelope(data + 1, data[0] & 1 ? 0 : size - 1);
        }
        return 0;
}
