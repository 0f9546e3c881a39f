/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files in which sendmail leaves messages while no receiver can be reached; postd-pickup(8) documents them.
 *
 *     postd-offline 1 HEADER MESSAGE\n     version; bytes of the fields and of the message, 10 digits and 20 digits
 *     NAME LENGTH:VALUE\n                  fields, as many as HEADER bytes; values are counted, hence may be anything
 *     the message                          MESSAGE bytes, line ends of either kind
 *
 * Fields: token (32 hexadecimal digits), sender, recipient (once or more), body, envid, notify, return; each but
 * recipient at most once; token, sender and recipient must be there. Pure; everything is checked, as anybody may have
 * written the file. The owner of the file, not the file, tells whose message it is. */

#include "basic/buf.h"
#include "envelope/envelope.h"

#define OFFLINE_START_SIZE 48U                                   /* bytes of the first line */
#define OFFLINE_HEADER_MAX (UINT64_C(8) * 1024 * 1024)
#define OFFLINE_RECIPIENTS_MAX 10000U
#define OFFLINE_VALUE_MAX 1024U

/* The first line and the fields for a message of that many bytes. Of the envelope are written: token, sender,
 * recipients with the notify of the first, envid, dsn_return, body; smtputf8 follows from the addresses.
 * 0, -E2BIG (too many recipients, a value too long), -ENOMEM. */
int offline_format(const Envelope *e, uint64_t message_size, Buf *ret);

/* The first line: 0 or -EBADMSG. */
int offline_parse_start(const char data[static OFFLINE_START_SIZE], uint64_t *ret_header_size, uint64_t *ret_message_size);

/* The fields, behind the first line: 0, -EBADMSG, -ENOMEM. *ret is initialised; size and origin are not set. */
int offline_parse_fields(const char *data, size_t size, Envelope *ret);
