/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* sendmail as most callers use it: takes a message from standard input and sees to it that it is safe before it says so.
 *
 * It is handed to the local receiver by SMTP. Where that cannot be reached, does not answer in time, or cannot take the
 * message for now, it is left in the offline directory, durable, under the same token, so that it never arrives twice. */

#include "sendmail/options.h"

#define GREETING_TIMEOUT (10 * USEC_PER_SEC)

/* Returns a status of sysexits(3); what went wrong stands on standard error. */
int deliver(const SendmailOptions *o);

/* -bv: says of each recipient on standard output what the receiver says. */
int verify(const SendmailOptions *o);
