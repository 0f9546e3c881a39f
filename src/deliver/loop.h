/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mail that goes round: what was delivered to an address before is not delivered to it again. */

#include "deliver/request.h"

/* Settles those copies as failed (5.4.6) whose header has a Delivered-To with their address. Looks at the first 64 KiB;
 * what cannot be read is left to the delivery. */
void copies_refuse_loops(Copy *copies, size_t n);
