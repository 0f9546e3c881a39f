/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The report to the sender of a message from the offline directory that was refused, for all recipients or some: sendmail
 * said long ago that it was accepted. */

#include "basic/buf.h"
#include "config/config.h"
#include "pickup/pickup-session.h"

typedef struct PickupReport {
        Envelope envelope;
        int fd;                /* the content, envelope.size bytes */
} PickupReport;

#define PICKUP_REPORT_INIT ((PickupReport) { .envelope = ENVELOPE_INIT, .fd = -EBADF })
void pickup_report_done(PickupReport *r);

/* Made from the replies that s still has of f. Its token is derived from that of the message, so that a report which is
 * made twice arrives once. 0, 1 if there is nobody to report to, -errno. */
int pickup_report_compose(const Config *config, const PickupSession *s, const PickupFile *f, PickupReport *ret);
