/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* CRC-32C (Castagnoli, RFC 3720 appendix B.4). Start with 0; feeding the result back in continues a sum. */

#include "basic/macro.h"

uint32_t crc32c(uint32_t crc, const void *p, size_t n);
