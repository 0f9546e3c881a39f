/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The recipients that a message names itself, for sendmail -t. */

#include "message/header.h"

/* The addresses of To, Cc and Bcc, or, when there is any Resent-To, Resent-Cc or Resent-Bcc field, of the first block of
 * Resent-* fields only (RFC 5322 3.6.6: the topmost is the newest). Without doubles, in order; some may lack a domain.
 * What is no address goes to *ret_bad as text. 0, -E2BIG beyond max addresses, -ENOMEM. */
int addresses_extract(const char *header, size_t size, HeaderFlags flags, size_t max, char ***ret, char ***ret_bad);
