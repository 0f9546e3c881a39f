/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The message on standard input. */

#include "basic/buf.h"

/* Looks for a line with a dot alone (LF or CRLF) in data[0..size), of which everything before *from was searched; moves
 * *from on. True with the size of what stands before that line. A dot at the very end without a line end counts once eof. */
bool input_find_dot(const char *data, size_t size, bool eof, size_t *from, size_t *ret_size);

/* Reads to the end of the file or, with dot_ends, to a line with a dot alone. limit() is asked once, when the message
 * turns out to be large, for the most bytes that it may have. 0, -EFBIG beyond the limit, -ENOMEM, -errno of read(). */
int input_read(int fd, bool dot_ends, uint64_t (*limit)(void *userdata), void *userdata, Buf *ret);
