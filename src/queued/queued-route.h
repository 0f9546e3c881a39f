/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where recipients go: the decision engine with its look-ups, at RCPT and again at each attempt. */

#include "queued/queued-manager.h"

#define DESTINATION_MAX 300U

/* The scheduler's name for where a recipient waits, as far as that is known without a look-up. */
const char *recipient_destination(const Manager *manager, const Recipient *r, char buffer[static DESTINATION_MAX]);

/* Begins an attempt for a recipient that is out of the scheduler. */
void route_recipient_begin(Manager *manager, Recipient *r);

/* Routes it: PHASE_ROUTING, and the message is open. */
void route_attempt(Manager *manager, Recipient *r);

typedef enum CheckResult {
        CHECK_ACCEPT,
        CHECK_REJECT,
        CHECK_DEFER,
} CheckResult;

typedef struct CheckReply {
        CheckResult result;
        unsigned code;
        EnhancedStatus status;
        char text[160];
} CheckReply;

/* At RCPT: the callback comes at once or later. address is valid and stays until then. */
typedef void (*check_callback_t)(Manager *manager, void *userdata, const CheckReply *reply);
void route_check(Manager *manager, const Origin *origin, const char *sender, const char *address,
                 check_callback_t callback, void *userdata);
