/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* xtext, the encoding of ENVID and ORCPT (RFC 3461 4), and the form of ORCPT. Pure. */

#include "basic/macro.h"

#define SMTP_ENVID_MAX 100U /* octets, RFC 3461 4.4 */
#define SMTP_ORCPT_MAX 500U /* octets, RFC 3461 4.2 */

bool xtext_valid(const char *s, size_t n);

/* Does this stand as an ORCPT parameter: "rfc822;" or another type, and xtext? With utf8 also the forms of
 * RFC 6533 3, where octets above 0x7F stand for themselves. */
bool orcpt_valid(const char *s, size_t n, bool utf8);

/* Decoded, NULL without memory. What is no xtext, and what would decode to a control character, stays as it is. */
char *xtext_decode(const char *s);
char *xtext_encode(const char *s);
