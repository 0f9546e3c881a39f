/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first octet chooses the flags, the rest is the line. */

#include "basic/text.h"
#include "smtp/command.h"
#include "smtp/xtext.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        SmtpCommand c;

        if (size < 1)
                return 0;
        SmtpCommandFlags flags = data[0] & 31;
        const char *line = (const char *) data + 1;
        size_t n = size - 1;
        if (memchr(line, '\r', n) || memchr(line, '\n', n))
                return 0;

        (void) smtp_command_is_rcpt(line, n);
        if (smtp_command_parse(line, n, flags, &c) != 0)
                return 0;
        assert(c.argument >= line && c.argument + c.argument_size <= line + n);
        if (c.verb == SMTP_VERB_RCPT)
                assert(smtp_command_is_rcpt(line, n) && c.address.size > 0);
        if (c.address.s) {
                assert(!has_control(c.address.s, c.address.size));
                assert(ascii_valid(c.address.s, c.address.size) || c.smtputf8 || (flags & SMTP_COMMAND_UTF8));
        }
        if (c.orcpt)
                assert(orcpt_valid(c.orcpt, c.orcpt_size, true) && !has_control(c.orcpt, c.orcpt_size));
        if (c.envid) {
                assert(xtext_valid(c.envid, c.envid_size));
                _cleanup_free_ char *copy = strndup(c.envid, c.envid_size), *decoded = xtext_decode(copy);
                assert(decoded && !has_control(decoded, strlen(decoded)));
        }
        assert((flags & SMTP_COMMAND_TOKEN) || sd_id128_is_null(c.token));
        assert((flags & SMTP_COMMAND_ORIGIN) || c.origin == UID_UNKNOWN);
        return 0;
}
