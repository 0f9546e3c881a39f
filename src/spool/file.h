/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A whole message file from its bytes: what recovery concludes from them. Pure. */

#include "spool/record.h"

/* Where the commit record stands, and with it the file that may count as a message. */
static inline uint64_t file_commit_offset(const FileHeader *h) {
        return h->content_offset + h->content_size;
}

/* Decodes a message from what is before its content (front, file_header_front() bytes at least) and what is behind it
 * (tail, from the commit record to the end of the file). 0, or
 *   -EUCLEAN          there is no commit record, and nothing but zeros where it should be: never acknowledged
 *   -EBADMSG          damaged
 *   -EPROTONOSUPPORT  written by a later version
 *   -ENOMEM
 * A log that ends in a cut-off record ends before it. With damage in the middle of it the message is held, and
 * log_damaged set: what the records from there on said is not known. */
int message_decode(const FileHeader *h, const uint8_t *front, const uint8_t *tail, size_t n_tail, QueuedMessage *ret);

/* The same from a file that is in memory as a whole; id may be NULL. */
int message_file_decode(const uint8_t *p, size_t n, const QueueId *id, QueuedMessage *ret);

/* Compares the content with the sum in the commit record (the first COMMIT_RECORD_SIZE bytes of the tail). */
int message_content_sum(const FileHeader *h, const uint8_t *tail, size_t n_tail, uint32_t *ret);
