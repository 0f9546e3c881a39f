/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Encodes and decodes the parts of a message file. Whatever bytes come in, decoding reads only inside of them and
 * allocates no more than they can justify. */

#include <endian.h>

#include "basic/crc32c.h"
#include "spool/record.h"

#define STRING_NULL UINT32_MAX

static const char magic[8] = { 'p', 'o', 's', 't', 'd', 'm', 's', 'g' };

/* These numbers are on disk. */
static_assert(RECIPIENT_PENDING == 0 && RECIPIENT_EXPANDED == 1 && RECIPIENT_DELIVERED == 2 && RECIPIENT_FAILED == 3 &&
              RECIPIENT_EXPIRED == 4 && RECIPIENT_REMOVED == 5, "recipient states are part of the file format");
static_assert(RECORD_ATTEMPT == 0 && RECORD_EXPAND == 1 && RECORD_HOLD == 2 && RECORD_RELEASE == 3 && RECORD_DSN == 4 &&
              RECORD_DUE == 5, "record types are part of the file format");
static_assert(BODY_7BIT == 0 && BODY_8BITMIME == 1 && BODY_BINARYMIME == 2 && DSN_RETURN_DEFAULT == 0 &&
              DSN_RETURN_FULL == 1 && DSN_RETURN_HEADERS == 2, "parameters are part of the file format");

static void put16(uint8_t *p, uint16_t v) {
        v = htole16(v);
        memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v) {
        v = htole32(v);
        memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v) {
        v = htole64(v);
        memcpy(p, &v, sizeof(v));
}

static uint16_t get16(const uint8_t *p) {
        uint16_t v;
        memcpy(&v, p, sizeof(v));
        return le16toh(v);
}

static uint32_t get32(const uint8_t *p) {
        uint32_t v;
        memcpy(&v, p, sizeof(v));
        return le32toh(v);
}

static uint64_t get64(const uint8_t *p) {
        uint64_t v;
        memcpy(&v, p, sizeof(v));
        return le64toh(v);
}

bool all_zero(const uint8_t *p, size_t n) {
        return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* The fixed header. */

void file_header_encode(const FileHeader *h, uint8_t p[static FILE_HEADER_SIZE]) {
        memset(p, 0, FILE_HEADER_SIZE);
        memcpy(p, magic, sizeof(magic));
        put16(p + 8, FILE_VERSION);
        put16(p + 10, FILE_HEADER_SIZE);
        memcpy(p + 16, h->id.s, QUEUE_ID_LENGTH);
        put64(p + 32, h->content_offset);
        put64(p + 40, h->content_size);
        put32(p + 48, h->envelope_size);
        put32(p + 60, crc32c(0, p, 60));
}

int file_header_decode(const uint8_t *p, size_t n, FileHeader *ret) {
        char id[QUEUE_ID_LENGTH + 1] = {};
        FileHeader h;

        if (n < FILE_HEADER_SIZE || all_zero(p, FILE_HEADER_SIZE))
                return -EUCLEAN;
        if (memcmp(p, magic, sizeof(magic)) != 0 || get32(p + 60) != crc32c(0, p, 60))
                return -EBADMSG;
        if (get16(p + 8) != FILE_VERSION)
                return -EPROTONOSUPPORT;
        memcpy(id, p + 16, QUEUE_ID_LENGTH);
        if (get16(p + 10) != FILE_HEADER_SIZE || !all_zero(p + 12, 4) || !all_zero(p + 52, 8) ||
            queue_id_parse(id, &h.id) < 0)
                return -EBADMSG;

        h.content_offset = get64(p + 32);
        h.content_size = get64(p + 40);
        h.envelope_size = get32(p + 48);
        if (h.envelope_size > SPOOL_PAYLOAD_MAX || h.content_size > SPOOL_CONTENT_MAX ||
            h.content_offset < file_header_front(&h) || h.content_offset - file_header_front(&h) > 64 * 1024)
                return -EBADMSG;
        *ret = h;
        return 0;
}

/* Records. */

uint32_t record_seed(const QueueId *id) {
        return crc32c(0, id->s, QUEUE_ID_LENGTH);
}

int frame_decode(const uint8_t *p, size_t n, uint32_t seed, uint32_t sequence, Frame *ret) {
        if (n < RECORD_HEAD_SIZE || get32(p + 8) != sequence)
                return -EBADMSG;
        uint32_t size = get32(p + 4);
        if (size > SPOOL_PAYLOAD_MAX || size > n - RECORD_HEAD_SIZE || get16(p + 14) != 0)
                return -EBADMSG;
        if (get32(p) != crc32c(seed, p + 4, RECORD_HEAD_SIZE - 4 + size))
                return -EBADMSG;
        *ret = (Frame) { get16(p + 12), p + RECORD_HEAD_SIZE, size, RECORD_HEAD_SIZE + size };
        return 0;
}

static void frame_finish(uint8_t *p, size_t total, uint32_t seed, uint32_t sequence, uint16_t type) {
        put32(p + 4, total - RECORD_HEAD_SIZE);
        put32(p + 8, sequence);
        put16(p + 12, type);
        put16(p + 14, 0);
        put32(p, crc32c(seed, p + 4, total - 4));
}

static int put_head(Buf *b) {
        static const uint8_t head[RECORD_HEAD_SIZE];
        return buf_append(b, head, sizeof(head));
}

/* Finishes the record that begins at start, or takes it away again. */
static int end_record(Buf *b, size_t start, int r, uint32_t seed, uint32_t sequence, uint16_t type) {
        if (r >= 0 && b->size - start - RECORD_HEAD_SIZE > SPOOL_PAYLOAD_MAX)
                r = -E2BIG;
        if (r < 0) {
                b->size = start;
                return r;
        }
        frame_finish((uint8_t *) b->data + start, b->size - start, seed, sequence, type);
        return 0;
}

static int put_u8(Buf *b, uint8_t v) {
        return buf_append(b, &v, sizeof(v));
}

static int put_u32(Buf *b, uint32_t v) {
        uint8_t p[4];
        put32(p, v);
        return buf_append(b, p, sizeof(p));
}

static int put_u64(Buf *b, uint64_t v) {
        uint8_t p[8];
        put64(p, v);
        return buf_append(b, p, sizeof(p));
}

static int put_bytes(Buf *b, const char *s, size_t n) {
        int r;

        r = put_u32(b, n);
        if (r < 0)
                return r;
        r = buf_append(b, s, n);
        if (r < 0)
                return r;
        return put_u8(b, 0);
}

static int put_string(Buf *b, const char *s) {
        if (!s)
                return put_u32(b, STRING_NULL);
        size_t n = strlen(s);
        if (n > SPOOL_STRING_MAX)
                return -E2BIG;
        return put_bytes(b, s, n);
}

/* Text of at most max bytes. */
static int put_text(Buf *b, const char *s, size_t max) {
        return s ? put_bytes(b, s, text_length(s, max)) : put_u32(b, STRING_NULL);
}

/* A place in a payload; after the first thing that does not fit all else fails too. */
typedef struct Cursor {
        const uint8_t *p;
        size_t left;
        bool failed;
} Cursor;

static const uint8_t *take(Cursor *c, size_t n) {
        if (c->failed || c->left < n) {
                c->failed = true;
                return NULL;
        }
        const uint8_t *p = c->p;
        c->p += n;
        c->left -= n;
        return p;
}

static uint8_t take_u8(Cursor *c) {
        const uint8_t *p = take(c, 1);
        return p ? *p : 0;
}

static uint16_t take_u16(Cursor *c) {
        const uint8_t *p = take(c, 2);
        return p ? get16(p) : 0;
}

static uint32_t take_u32(Cursor *c) {
        const uint8_t *p = take(c, 4);
        return p ? get32(p) : 0;
}

static uint64_t take_u64(Cursor *c) {
        const uint8_t *p = take(c, 8);
        return p ? get64(p) : 0;
}

/* A value below max. */
static uint8_t take_enum(Cursor *c, uint8_t max) {
        uint8_t v = take_u8(c);
        if (v >= max)
                c->failed = true;
        return c->failed ? 0 : v;
}

/* Points into the payload; NULL is an absent string, or a failure. */
static const char *take_string(Cursor *c) {
        uint32_t n = take_u32(c);
        if (c->failed || n == STRING_NULL)
                return NULL;
        const uint8_t *p = n <= SPOOL_STRING_MAX ? take(c, (size_t) n + 1) : NULL;
        if (!p || memchr(p, 0, (size_t) n + 1) != p + n) {
                c->failed = true;
                return NULL;
        }
        return (const char *) p;
}

static const char *take_required(Cursor *c) {
        const char *s = take_string(c);
        if (!s)
                c->failed = true;
        return s;
}

static int take_copy(Cursor *c, char **ret) {
        const char *s = take_string(c);
        if (c->failed)
                return -EBADMSG;
        if (s && !(*ret = strdup(s)))
                return -ENOMEM;
        return 0;
}

static int end_payload(const Cursor *c) {
        return c->failed || c->left > 0 ? -EBADMSG : 0;
}

/* The envelope. */

static const size_t envelope_strings[] = {
        offsetof(Envelope, origin.listener),     offsetof(Envelope, origin.protocol),  offsetof(Envelope, origin.helo),
        offsetof(Envelope, origin.peer_address), offsetof(Envelope, origin.peer_name), offsetof(Envelope, origin.unit),
        offsetof(Envelope, origin.login),        offsetof(Envelope, sender),           offsetof(Envelope, envid),
};

static int put_envelope(const Envelope *e, Buf *b) {
        int r;

        if (e->n_recipients > SPOOL_RECIPIENTS_MAX || e->size > SPOOL_CONTENT_MAX)
                return -E2BIG;
        if (!e->sender)
                return -EINVAL;

        if ((r = buf_append(b, e->token.bytes, sizeof(e->token.bytes))) < 0 || (r = put_u64(b, e->arrival)) < 0 ||
            (r = put_u32(b, e->origin.uid)) < 0 || (r = put_u8(b, e->dsn_return)) < 0 || (r = put_u8(b, e->body)) < 0 ||
            (r = put_u8(b, e->smtputf8)) < 0 || (r = put_u64(b, e->size)) < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(envelope_strings); i++) {
                r = put_string(b, *(char *const *) ((const char *) e + envelope_strings[i]));
                if (r < 0)
                        return r;
        }
        r = put_u32(b, e->n_recipients);
        if (r < 0)
                return r;
        for (size_t i = 0; i < e->n_recipients; i++) {
                const EnvelopeRecipient *p = e->recipients + i;
                if (!p->address)
                        return -EINVAL;
                if ((r = put_string(b, p->address)) < 0 || (r = put_string(b, p->original_recipient)) < 0 ||
                    (r = put_u8(b, p->notify)) < 0)
                        return r;
        }
        return 0;
}

int envelope_encode(const Envelope *e, uint32_t seed, Buf *b) {
        size_t start = b->size;

        int r = put_head(b);
        if (r >= 0)
                r = put_envelope(e, b);
        return end_record(b, start, r, seed, SEQUENCE_ENVELOPE, TYPE_ENVELOPE);
}

int envelope_decode(const uint8_t *p, size_t n, Envelope *ret) {
        _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT;
        Cursor c = { p, n, false };
        const uint8_t *token;
        int r;

        token = take(&c, sizeof(e.token.bytes));
        if (token)
                memcpy(e.token.bytes, token, sizeof(e.token.bytes));
        e.arrival = take_u64(&c);
        e.origin.uid = take_u32(&c);
        e.dsn_return = take_enum(&c, _DSN_RETURN_MAX);
        e.body = take_enum(&c, _BODY_MAX);
        e.smtputf8 = take_enum(&c, 2);
        e.size = take_u64(&c);
        for (size_t i = 0; i < ELEMENTSOF(envelope_strings); i++) {
                r = take_copy(&c, (char **) ((char *) &e + envelope_strings[i]));
                if (r < 0)
                        return r;
        }

        uint32_t n_recipients = take_u32(&c);
        if (c.failed || !e.sender || n_recipients > SPOOL_RECIPIENTS_MAX || e.size > SPOOL_CONTENT_MAX)
                return -EBADMSG;
        for (uint32_t i = 0; i < n_recipients; i++) {
                const char *address = take_required(&c);
                const char *original_recipient = take_string(&c);
                NotifyFlags notify = take_u8(&c);
                if (c.failed || notify & ~_NOTIFY_ALL)
                        return -EBADMSG;
                r = envelope_add_recipient(&e, address, original_recipient, notify);
                if (r < 0)
                        return r;
        }
        r = end_payload(&c);
        if (r < 0)
                return r;
        *ret = e;
        e = ENVELOPE_INIT;
        return 0;
}

/* The commit record. */

void commit_encode(uint64_t content_size, uint32_t content_crc, uint32_t seed, uint8_t p[static COMMIT_RECORD_SIZE]) {
        put64(p + RECORD_HEAD_SIZE, content_size);
        put32(p + RECORD_HEAD_SIZE + 8, content_crc);
        frame_finish(p, COMMIT_RECORD_SIZE, seed, SEQUENCE_COMMIT, TYPE_COMMIT);
}

int commit_decode(const Frame *f, uint64_t *ret_content_size, uint32_t *ret_content_crc) {
        Cursor c = { f->payload, f->size, false };
        int r;

        uint64_t size = take_u64(&c);
        uint32_t crc = take_u32(&c);
        r = end_payload(&c);
        if (r < 0)
                return r;
        if (f->type != TYPE_COMMIT)
                return -EBADMSG;
        *ret_content_size = size;
        *ret_content_crc = crc;
        return 0;
}

/* The log. */

static int put_children(const Record *r, Buf *b) {
        int k;

        if (r->n_children > SPOOL_RECIPIENTS_MAX)
                return -E2BIG;
        k = put_u32(b, r->n_children);
        for (size_t i = 0; i < r->n_children && k >= 0; i++) {
                k = put_string(b, r->children[i].address);
                if (k >= 0)
                        k = put_string(b, r->children[i].sender);
        }
        return k;
}

static int put_attempt(const Record *r, size_t reply_max, Buf *b) {
        uint8_t p[4 + 1 + 4 + 3 * 8 + 1 + 2 + 2];
        int k;

        put32(p, r->index);
        p[4] = r->state;
        put32(p + 5, r->tries);
        put64(p + 9, r->attempted);
        put64(p + 17, r->due);
        put64(p + 25, r->age);
        p[33] = r->status.class;
        put16(p + 34, r->status.subject);
        put16(p + 36, r->status.detail);
        k = buf_append(b, p, sizeof(p));
        if (k < 0)
                return k;
        return put_text(b, r->reply, reply_max);
}

static int put_record(const Record *r, size_t reply_max, Buf *b) {
        int k;

        switch (r->type) {
        case RECORD_ATTEMPT:
                return put_attempt(r, reply_max, b);
        case RECORD_EXPAND:
                k = put_u32(b, r->index);
                return k < 0 ? k : put_children(r, b);
        case RECORD_HOLD:
                return put_text(b, r->reply, reply_max);
        case RECORD_RELEASE:
                return 0;
        case RECORD_DSN:
                k = put_u32(b, r->index);
                return k < 0 ? k : put_u8(b, r->dsn);
        case RECORD_DUE:
                k = put_u32(b, r->index);
                return k < 0 ? k : put_u64(b, r->due);
        default:
                return -EINVAL;
        }
}

int record_encode(const Record *r, uint32_t seed, uint32_t sequence, size_t reply_max, Buf *b) {
        size_t start = b->size;

        int k = put_head(b);
        if (k >= 0)
                k = put_record(r, reply_max, b);
        return end_record(b, start, k, seed, sequence, TYPE_LOG + r->type);
}

static int take_children(Cursor *c, Record *r, RecordChild **ret) {
        uint32_t n = take_u32(c);

        /* Each takes at least 9 bytes: no count can ask for more memory than the file has bytes to show for it. */
        if (c->failed || n > SPOOL_RECIPIENTS_MAX || n > c->left / 9)
                return -EBADMSG;
        _cleanup_free_ RecordChild *children = new0(RecordChild, MAX(n, 1U));
        if (!children)
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++) {
                children[i].address = take_required(c);
                children[i].sender = take_string(c);
        }
        r->n_children = n;
        r->children = *ret = TAKE_PTR(children);
        return 0;
}

int record_decode(const Frame *f, Record *ret, RecordChild **ret_children) {
        _cleanup_free_ RecordChild *children = NULL;
        Cursor c = { f->payload, f->size, false };
        int r;

        if (f->type < TYPE_LOG || f->type >= TYPE_LOG + _RECORD_TYPE_MAX)
                return -EPROTONOSUPPORT;

        Record v = { .type = f->type - TYPE_LOG };
        if (!IN_SET(v.type, RECORD_HOLD, RECORD_RELEASE))
                v.index = take_u32(&c);
        switch (v.type) {
        case RECORD_ATTEMPT:
                v.state = take_enum(&c, _RECIPIENT_STATE_MAX);
                v.tries = take_u32(&c);
                v.attempted = take_u64(&c);
                v.due = take_u64(&c);
                v.age = take_u64(&c);
                v.status.class = take_u8(&c);
                v.status.subject = take_u16(&c);
                v.status.detail = take_u16(&c);
                v.reply = take_string(&c);
                break;
        case RECORD_EXPAND:
                r = take_children(&c, &v, &children);
                if (r < 0)
                        return r;
                break;
        case RECORD_HOLD:
                v.reply = take_string(&c);
                break;
        case RECORD_DSN:
                v.dsn = take_u8(&c);
                break;
        case RECORD_DUE:
                v.due = take_u64(&c);
                break;
        default:
                break;
        }
        r = end_payload(&c);
        if (r < 0)
                return r;
        *ret = v;
        *ret_children = TAKE_PTR(children);
        return 0;
}
