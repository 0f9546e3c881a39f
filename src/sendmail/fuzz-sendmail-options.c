/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Words separated by NUL; the first is the name of the program. */

#include "basic/test.h"
#include "sendmail/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = malloc(size + 1);
        char *argv[64] = {}, error[SENDMAIL_ERROR_MAX] = "";
        SendmailOptions o = {};
        int argc = 0;

        ASSERT_TRUE(text);
        memcpy(text, data, size);
        text[size] = 0;
        for (size_t i = 0; i < size && (size_t) argc + 1 < ELEMENTSOF(argv); i += strlen(text + i) + 1)
                argv[argc++] = text + i;

        if (sendmail_options_parse(argc, argv, &o, error) < 0) {
                ASSERT_TRUE(error[0]);
                return 0;
        }
        ASSERT_TRUE(o.n_recipients < (size_t) MAX(argc, 1));
        for (size_t i = 0; i < o.n_recipients; i++)
                ASSERT_TRUE(o.recipients[i] == argv[argc - o.n_recipients + i]);
        return 0;
}
