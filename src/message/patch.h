/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What final delivery puts before a message (RFC 5321 4.4). */

#include "basic/macro.h"

/* Return-Path and Delivered-To lines with CRLF. sender without angle brackets, "" for <>; delivered_to NULL: no such line.
 * Control characters in either become "?", so that no further line can be forged. 0 or -ENOMEM. */
int delivery_prepend(const char *sender, const char *delivered_to, char **ret);
