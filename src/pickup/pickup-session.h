/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Feeds messages into the listener "inject", several over one connection. */

#include "pickup/pickup-file.h"
#include "smtp/client.h"

typedef struct PickupSession {
        int fd;
        SmtpClient *client;
        const char *refusal;   /* why, when the envelope was refused here and nobody was asked; else NULL */
} PickupSession;

#define PICKUP_SESSION_INIT ((PickupSession) { .fd = -EBADF })
void pickup_session_close(PickupSession *s);

enum {
        _PICKUP_SESSION_E_SUCCESS,
        PICKUP_SESSION_E_UNREACHABLE, /* nobody there, or gone before the answer: nothing can be sent now */
        PICKUP_SESSION_E_LATER,       /* 4xx for the message or one of its recipients: nothing was sent */
        PICKUP_SESSION_E_REFUSED,     /* 5xx for the message, or all recipients */
        PICKUP_SESSION_E_PARTLY,      /* sent, but some recipients were refused with 5xx */
};

/* Sends size bytes of fd from offset under that envelope, as mail of uid. The replies stay in s->client until the next
 * call. With a 4xx for any recipient nothing is sent: the others would get a second copy later. 0,
 * PICKUP_SESSION_E_*, -errno. */
int pickup_session_send(PickupSession *s, const Envelope *e, uid_t uid, int fd, uint64_t offset, uint64_t size);
