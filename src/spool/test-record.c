/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The encoding: what goes in comes out, and nothing else comes in. */

#include "basic/crc32c.h"
#include "spool/test-spool.h"

static void test_header(void) {
        FileHeader h = { .id = make_id(), .content_offset = 500, .content_size = 12345, .envelope_size = 100 }, other;
        uint8_t p[FILE_HEADER_SIZE];

        file_header_encode(&h, p);
        ASSERT_OK(file_header_decode(p, sizeof(p), &other));
        ASSERT_STREQ(h.id.s, other.id.s);
        ASSERT_EQ(other.content_offset, h.content_offset);
        ASSERT_EQ(other.content_size, h.content_size);
        ASSERT_EQ(other.envelope_size, h.envelope_size);

        ASSERT_ERROR(file_header_decode(p, sizeof(p) - 1, &other), EUCLEAN);
        for (size_t i = 0; i < sizeof(p); i++) {
                p[i] ^= 4;
                ASSERT_ERROR(file_header_decode(p, sizeof(p), &other), EBADMSG);
                p[i] ^= 4;
        }
        /* Sizes that would run over. */
        static const FileHeader wrong[] = {
                { .content_offset = 179, .envelope_size = 100 },
                { .content_offset = UINT64_MAX, .envelope_size = 100 },
                { .content_offset = 180, .envelope_size = UINT32_MAX },
                { .content_offset = 180, .envelope_size = 100, .content_size = UINT64_MAX - 100 },
        };
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                FileHeader w = wrong[i];
                w.id = h.id;
                file_header_encode(&w, p);
                ASSERT_ERROR(file_header_decode(p, sizeof(p), &other), EBADMSG);
        }
        /* A later version is left alone, with whatever it has in its header. */
        file_header_encode(&h, p);
        p[8]++;
        uint32_t crc = crc32c(0, p, 60);
        memcpy(p + 60, &crc, 4);
        ASSERT_ERROR(file_header_decode(p, sizeof(p), &other), EPROTONOSUPPORT);
}

static void test_envelope(void) {
        _cleanup_(envelope_done) Envelope e, other = ENVELOPE_INIT;
        _cleanup_(buf_done) Buf b = BUF_INIT;
        Frame f;

        /* Text that looks like structure stays text. */
        make_envelope(&e, 3);
        free(e.origin.helo);
        e.origin.helo = strdup("a\r\nRCPT TO:<x>\nrecipient=\x01\x02\xFF");
        ASSERT_OK(envelope_encode(&e, 7, &b));
        ASSERT_ERROR(frame_decode((uint8_t *) b.data, b.size, 8, 0, &f), EBADMSG); /* of another message */
        ASSERT_ERROR(frame_decode((uint8_t *) b.data, b.size, 7, 1, &f), EBADMSG);
        ASSERT_OK(frame_decode((uint8_t *) b.data, b.size, 7, 0, &f));
        ASSERT_EQ(f.total, b.size);
        ASSERT_OK(envelope_decode(f.payload, f.size, &other));
        ASSERT_STREQ(other.origin.helo, e.origin.helo);
        ASSERT_STREQ(other.origin.peer_name, NULL);
        ASSERT_EQ(other.n_recipients, (size_t) 3);
        ASSERT_STREQ(other.recipients[1].original_recipient, e.recipients[1].original_recipient);
        ASSERT_EQ(other.recipients[1].notify, NOTIFY_SUCCESS);

        /* Cut anywhere, or longer than it says. */
        Envelope none = ENVELOPE_INIT;
        for (size_t n = 0; n < f.size; n++)
                ASSERT_ERROR(envelope_decode(f.payload, n, &none), EBADMSG);
        ASSERT_OK(buf_append(&b, "", 1));
        ASSERT_ERROR(envelope_decode((uint8_t *) b.data + RECORD_HEAD_SIZE, f.size + 1, &none), EBADMSG);
}

static void roundtrip(const Record *r) {
        _cleanup_free_ RecordChild *children = NULL;
        _cleanup_(buf_done) Buf b = BUF_INIT;
        Record other;
        Frame f;

        ASSERT_OK(record_encode(r, 1, 2, REPLY_TEXT_MAX, &b));
        ASSERT_OK(frame_decode((uint8_t *) b.data, b.size, 1, 2, &f));
        ASSERT_OK(record_decode(&f, &other, &children));
        ASSERT_EQ(other.type, r->type);
        ASSERT_EQ(other.index, r->index);
        ASSERT_EQ(other.state, r->state);
        ASSERT_EQ(other.tries, r->tries);
        ASSERT_EQ(other.attempted, r->attempted);
        ASSERT_EQ(other.due, r->due);
        ASSERT_EQ(other.age, r->age);
        ASSERT_EQ(other.status.class, r->status.class);
        ASSERT_EQ(other.status.subject, r->status.subject);
        ASSERT_EQ(other.status.detail, r->status.detail);
        ASSERT_EQ(other.dsn, r->dsn);
        ASSERT_STREQ(other.reply, r->reply);
        ASSERT_EQ(other.n_children, r->n_children);
        for (size_t i = 0; i < r->n_children; i++) {
                ASSERT_STREQ(other.children[i].address, r->children[i].address);
                ASSERT_STREQ(other.children[i].sender, r->children[i].sender);
        }
        for (size_t n = 0; n < f.size; n++) {
                Frame cut = { f.type, f.payload, n, 0 };
                RecordChild *c = NULL;
                ASSERT_ERROR(record_decode(&cut, &other, &c), EBADMSG);
                ASSERT_TRUE(!c);
        }
}

static void test_records(void) {
        roundtrip(&(Record) { RECORD_ATTEMPT, .index = 3, .state = RECIPIENT_FAILED, .tries = 9, .attempted = 1, .due = UINT64_MAX,
                              .age = 3, .status = STATUS(5, 1, 999), .reply = "550 no" });
        roundtrip(&(Record) { RECORD_ATTEMPT });
        roundtrip(&(Record) { RECORD_EXPAND, .index = 1, .n_children = 2,
                              .children = (RecordChild[]) { { "a", NULL }, { "", "" } } });
        roundtrip(&(Record) { RECORD_EXPAND });
        roundtrip(&(Record) { RECORD_HOLD, .reply = "" });
        roundtrip(&(Record) { RECORD_RELEASE });
        roundtrip(&(Record) { RECORD_DSN, .index = 1, .dsn = DSN_FAILED });
        roundtrip(&(Record) { RECORD_DUE, .index = 1, .due = 5 });

        /* A count that promises more than there is. */
        uint8_t p[] = { 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 1, 0, 0, 0, 'a', 0, 0xFF, 0xFF, 0xFF, 0xFF };
        RecordChild *c = NULL;
        Record r;
        ASSERT_ERROR(record_decode(&(Frame) { TYPE_LOG + RECORD_EXPAND, p, sizeof(p), 0 }, &r, &c), EBADMSG);
        /* NUL inside of a string. */
        uint8_t q[] = { 2, 0, 0, 0, 'a', 0, 0 };
        ASSERT_ERROR(record_decode(&(Frame) { TYPE_LOG + RECORD_HOLD, q, sizeof(q), 0 }, &r, &c), EBADMSG);
        ASSERT_ERROR(record_decode(&(Frame) { TYPE_LOG + _RECORD_TYPE_MAX, q, sizeof(q), 0 }, &r, &c), EPROTONOSUPPORT);
        ASSERT_ERROR(record_decode(&(Frame) { TYPE_COMMIT, q, sizeof(q), 0 }, &r, &c), EPROTONOSUPPORT);
}

static void test_apply(void) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;

        make_envelope(&m.envelope, 2);
        ASSERT_OK(queued_message_set_recipients(&m));
        const Record expand = { RECORD_EXPAND, .index = 0, .n_children = 1, .children = (RecordChild[]) { { "c@example.org", NULL } } };
        ASSERT_OK(queued_message_apply(&m, &expand));
        ASSERT_ERROR(queued_message_apply(&m, &expand), EBADMSG); /* is not pending any more */
        ASSERT_EQ(m.recipients[2].parent, 0U);
        ASSERT_ERROR(queued_message_apply(&m, &(Record) { RECORD_ATTEMPT, .index = 0 }), EBADMSG);
        ASSERT_ERROR(queued_message_apply(&m, &(Record) { RECORD_ATTEMPT, .index = 1, .state = RECIPIENT_EXPANDED }), EBADMSG);
        ASSERT_ERROR(queued_message_apply(&m, &(Record) { RECORD_ATTEMPT, .index = 3 }), EBADMSG);
        ASSERT_ERROR(queued_message_apply(&m, &(Record) { RECORD_DSN, .index = 1 }), EBADMSG);
        ASSERT_ERROR(queued_message_apply(&m, &(Record) { RECORD_DSN, .index = 1, .dsn = 8 }), EBADMSG);
        ASSERT_ERROR(queued_message_apply(&m, &(Record) { _RECORD_TYPE_MAX }), EBADMSG);
        ASSERT_OK(queued_message_apply(&m, &(Record) { RECORD_ATTEMPT, .index = 1, .state = RECIPIENT_REMOVED }));
        ASSERT_ERROR(queued_message_apply(&m, &(Record) { RECORD_DUE, .index = 1 }), EBADMSG);
        ASSERT_TRUE(!queued_message_finished(&m));
        /* An expansion into nothing leaves nobody. */
        ASSERT_OK(queued_message_apply(&m, &(Record) { RECORD_EXPAND, .index = 2 }));
        ASSERT_TRUE(queued_message_finished(&m));
        ASSERT_STREQ(recipient_state_to_string(m.recipients[1].state), "removed");
        ASSERT_STREQ(recipient_state_to_string(_RECIPIENT_STATE_MAX), NULL);
}

static void test_text_length(void) {
        ASSERT_EQ(text_length("abc", 4), (size_t) 3);
        ASSERT_EQ(text_length("abc", 3), (size_t) 3);
        ASSERT_EQ(text_length("abc", 2), (size_t) 2);
        ASSERT_EQ(text_length("a\xE2\x82\xAC", 3), (size_t) 1);
        ASSERT_EQ(text_length("a\xE2\x82\xAC", 4), (size_t) 4);
        ASSERT_EQ(text_length("\x80\x80\x80\x80\x80\x80", 5), (size_t) 2);
        ASSERT_EQ(text_length("\x80\x80", 1), (size_t) 0);
}

static void test_finished_slot(void) {
        StoreFinished e = { .id = make_id() }, other;
        uint8_t p[FINISHED_SLOT] = {};
        usec_t when;

        ASSERT_ERROR(finished_slot_decode(p, &other, &when), ENODATA);
        e.token.bytes[3] = 9;
        finished_slot_encode(&e, 77, p);
        ASSERT_OK(finished_slot_decode(p, &other, &when));
        ASSERT_STREQ(other.id.s, e.id.s);
        ASSERT_TRUE(sd_id128_equal(other.token, e.token));
        ASSERT_EQ(when, (usec_t) 77);
        for (size_t i = 0; i < sizeof(p); i++) {
                p[i] ^= 1;
                ASSERT_ERROR(finished_slot_decode(p, &other, &when), EBADMSG);
                p[i] ^= 1;
        }
}

int main(void) {
        test_header();
        test_envelope();
        test_records();
        test_apply();
        test_text_length();
        test_finished_slot();
        return 0;
}
