/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The trace field that postd adds to every message (RFC 5321 4.4). */

#include "envelope/envelope.h"

/* One Received field, folded, with CRLF at its end. Every value that came from outside is reduced to harmless characters:
 * none can end the field, close a comment or pretend to be another clause. for_address: the recipient if there is exactly
 * one and it may be shown, else NULL. 0 or -ENOMEM. */
int received_format(const Envelope *e, const QueueId *id, const char *host_name, const char *for_address, char **ret);
