/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-json.h>
#include "basic/macro.h"

bool recipient_is_pending(sd_json_variant *recipient);
