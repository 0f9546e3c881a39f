/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The bytes of one connection, between a non-blocking socket and a protocol object. Plain for now; TLS slips in here,
 * and neither the protocol nor the daemon above will notice. */

#include <sys/socket.h>
#include "basic/buf.h"

typedef struct Stream {
        int fd;
} Stream;

#define STREAM_NULL ((Stream) { .fd = -EBADF })

/* Takes the socket over and makes it non-blocking; TCP gets TCP_NODELAY. On failure the socket stays the caller's. */
int stream_init(Stream *s, int fd);
void stream_done(Stream *s);

/* Up to n octets: their number, 0 at the end, -EAGAIN, or another -errno (the connection is lost). */
ssize_t stream_read(Stream *s, void *p, size_t n);

/* Writes from the front of the buffer and takes away what was written: 0 if nothing is left, -EAGAIN, or -errno. */
int stream_write(Stream *s, Buf *b);

/* "192.0.2.1" or "2001:db8::1" of an IP socket address, an IPv4 address in IPv6's clothes as what it is; "" for other
 * families. Returns the buffer. */
#define SOCKET_ADDRESS_MAX 64U
char *socket_address_format(const struct sockaddr_storage *a, char buffer[static SOCKET_ADDRESS_MAX]);
