/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Leaves a message in the offline directory, for pickup (postd-pickup(8), message/offline-file.h). */

#include "basic/buf.h"
#include "envelope/envelope.h"

/* The message is header followed by body. On success it is durable. Needs nothing but the directory: not /proc, not
 * /tmp, no name service. 0 or -errno. */
int offline_store(const char *directory, const Envelope *e, const Buf *header, const char *body, size_t body_size);
