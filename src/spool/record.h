/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The bytes of a message file, as postd-queue(5) describes them. Pure: bytes to structures and back, every length
 * checked before it is used. Only spool/ includes this; others see messages through message.h and store.h.
 *
 * Everything is little-endian. A string is its length (32 bits), its bytes and a NUL; an absent one is the length
 * 0xFFFFFFFF alone. A record is a head of 16 bytes (CRC32C of all that follows in it, length of the payload, sequence
 * number, type, zero) and its payload. The sum starts with that of the queue id, so that a record of another message,
 * left in a reused block, never verifies. */

#include "basic/buf.h"
#include "spool/message.h"

#define FILE_VERSION 1U
#define FILE_HEADER_SIZE 64U
#define RECORD_HEAD_SIZE 16U
#define COMMIT_RECORD_SIZE (RECORD_HEAD_SIZE + 12U)

/* Limits of what is written and read; beyond them writing is refused with -E2BIG. */
#define SPOOL_STRING_MAX (64U * 1024)
#define SPOOL_RECIPIENTS_MAX 100000U            /* of one message, with all that expansions added */
#define SPOOL_PAYLOAD_MAX (16U * 1024 * 1024)   /* of one record, the envelope too */
#define SPOOL_LOG_MAX (64U * 1024 * 1024)
#define SPOOL_BLOCK 4096U                       /* what disks and file systems lose or keep as a whole */
#define SPOOL_CONTENT_MAX (UINT64_C(1) << 40)

/* Sequence numbers: the envelope has 0, the commit record 1, the log goes on from 2. */
enum {
        SEQUENCE_ENVELOPE,
        SEQUENCE_COMMIT,
        SEQUENCE_LOG,
};

/* Numbers on disk. Records of the log are TYPE_LOG + RecordType. Who does not know a type may skip the record only if
 * it has TYPE_OPTIONAL; what changes the meaning of a file otherwise needs a new FILE_VERSION. */
enum {
        TYPE_ENVELOPE = 1,
        TYPE_COMMIT = 2,
        TYPE_LOG = 16,
        TYPE_OPTIONAL = 0x8000,
};

typedef struct FileHeader {
        QueueId id;
        uint64_t content_offset;
        uint64_t content_size;
        uint32_t envelope_size;  /* of the envelope's payload */
} FileHeader;

void file_header_encode(const FileHeader *h, uint8_t p[static FILE_HEADER_SIZE]);

/* -EUCLEAN: shorter than a header, or all zero (never finished); -EPROTONOSUPPORT: of a later version; -EBADMSG. */
int file_header_decode(const uint8_t *p, size_t n, FileHeader *ret);

/* Bytes before the content when it follows at once. */
static inline uint64_t file_header_front(const FileHeader *h) {
        return FILE_HEADER_SIZE + RECORD_HEAD_SIZE + (uint64_t) h->envelope_size;
}

uint32_t record_seed(const QueueId *id);

typedef struct Frame {
        uint16_t type;
        const uint8_t *payload;
        size_t size;
        size_t total;  /* with the head */
} Frame;

/* Looks at the record at p, which must have that sequence number: 0, or -EBADMSG (also if it is cut off). */
int frame_decode(const uint8_t *p, size_t n, uint32_t seed, uint32_t sequence, Frame *ret);

/* Appends whole records to a buffer: 0, -ENOMEM, -E2BIG. */
int envelope_encode(const Envelope *e, uint32_t seed, Buf *b);
int record_encode(const Record *r, uint32_t seed, uint32_t sequence, size_t reply_max, Buf *b);
void commit_encode(uint64_t content_size, uint32_t content_crc, uint32_t seed, uint8_t p[static COMMIT_RECORD_SIZE]);

/* The payloads again: 0, -EBADMSG, -ENOMEM. Strings of a record point into the payload; *ret_children must be freed. */
int envelope_decode(const uint8_t *p, size_t n, Envelope *ret);
int record_decode(const Frame *f, Record *ret, RecordChild **ret_children); /* -EPROTONOSUPPORT: skip or give up */
int commit_decode(const Frame *f, uint64_t *ret_content_size, uint32_t *ret_content_crc);

/* How much of a text goes into max bytes without cutting a UTF-8 character. */
size_t text_length(const char *s, size_t max);

/* Is this what a file that was never written out reads as? */
bool all_zero(const uint8_t *p, size_t n);

/* Records are applied in two steps, so that memory can run out only before anything is on disk. */
typedef struct Change {
        char *text;
        QueuedRecipient *children;
        size_t n_children;
} Change;

/* Checks the records one after the other against the message and allocates what they need: 0, -EBADMSG, -ENOMEM. */
int queued_message_prepare(QueuedMessage *m, const Record *records, size_t n, Change **ret);
/* Cannot fail; takes the contents of the changes. */
void queued_message_commit(QueuedMessage *m, const Record *records, Change *changes, size_t n);
void changes_free(Change *changes, size_t n);

/* Makes the recipients of the envelope those of the message. 0 or -ENOMEM. */
int queued_message_set_recipients(QueuedMessage *m);
