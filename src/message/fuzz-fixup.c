/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A header. What comes out has CRLF line ends, ends with an empty line where a reader sees it, and does not change when
 * it is fixed up again. */

#include "basic/test.h"
#include "message/fixup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const MessageFixup o = {
                .mail_name = "example.com",
                .host_name = "host.example.com",
                .sender = "joe",
                .full_name = "Joe",
                .flags = HEADER_BARE_LF,
                .add_date = true,
                .add_from = true,
                .add_message_id = true,
                .qualify = true,
                .remove_bcc = true,
        };
        _cleanup_buf_ Buf once = BUF_INIT, twice = BUF_INIT;

        ASSERT_OK(message_fixup((const char *) data, size, &o, &once));
        for (size_t i = 0; i < once.size; i++)
                if (once.data[i] == '\n')
                        ASSERT_TRUE(i > 0 && once.data[i - 1] == '\r');
        ASSERT_EQ(header_end(once.data, once.size, 0), once.size);
        ASSERT_EQ(header_count(once.data, once.size, 0, "Bcc"), (size_t) 0);

        ASSERT_OK(message_fixup(once.data, once.size, &o, &twice));
        ASSERT_EQ(once.size, twice.size);
        ASSERT_TRUE(memcmp(once.data, twice.data, once.size) == 0);
        return 0;
}
