/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* sendmail -bs: an SMTP dialogue on standard input and output, passed on to the local receiver. Lines of the caller may
 * end in LF, if its first one does. When the receiver cannot be reached the caller is told 421. */

/* Returns a status of sysexits(3). */
int proxy(void);
