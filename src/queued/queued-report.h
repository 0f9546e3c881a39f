/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Delivery status notifications: made for the recipients of a message whose outcome is "reporting", sent through the
 * listener "inject" as mail from <>, so that they take the way of all mail. */

#include "queued/queued-manager.h"

int reports_new(Manager *manager, Reports **ret);
Reports *reports_free(Reports *r);

/* In the end settle_reported() is called, with 0 once the report is durable. The message is open. */
void report_make(Manager *manager, Message *m);
