/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "message/patch.h"

static void without_controls(char *s) {
        for (; *s; s++)
                if ((unsigned char) *s < 0x20 || *s == 0x7F)
                        *s = '?';
}

int delivery_prepend(const char *sender, const char *delivered_to, char **ret) {
        _cleanup_free_ char *from = strdup(sender), *to = strdup(strempty(delivered_to));
        char *p;

        if (!from || !to)
                return -ENOMEM;
        without_controls(from);
        without_controls(to);
        if (asprintf(&p, "Return-Path: <%s>\r\n%s%s%s", from, delivered_to ? "Delivered-To: " : "", to,
                     delivered_to ? "\r\n" : "") < 0)
                return -ENOMEM;
        *ret = p;
        return 0;
}
