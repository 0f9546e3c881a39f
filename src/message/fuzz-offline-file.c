/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A whole file. What is read from it is written and read the same again. */

#include "basic/test.h"
#include "message/offline-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT, again = ENVELOPE_INIT;
        _cleanup_buf_ Buf b = BUF_INIT;
        uint64_t header_size, message_size, h, m;
        const char *p = (const char *) data;

        if (size < OFFLINE_START_SIZE || offline_parse_start(p, &header_size, &message_size) < 0)
                return 0;
        ASSERT_TRUE(header_size <= OFFLINE_HEADER_MAX);
        /* The fuzzer shall not need to get the size right. */
        if (offline_parse_fields(p + OFFLINE_START_SIZE, size - OFFLINE_START_SIZE, &e) < 0)
                return 0;
        ASSERT_TRUE(e.n_recipients > 0 && e.sender && !sd_id128_is_null(e.token));

        ASSERT_OK(offline_format(&e, message_size, &b));
        ASSERT_OK(offline_parse_start(b.data, &h, &m));
        ASSERT_EQ(m, message_size);
        ASSERT_EQ(h, (uint64_t) (b.size - OFFLINE_START_SIZE));
        ASSERT_OK(offline_parse_fields(b.data + OFFLINE_START_SIZE, h, &again));
        ASSERT_STREQ(e.sender, again.sender);
        ASSERT_STREQ(e.envid, again.envid);
        ASSERT_TRUE(sd_id128_equal(e.token, again.token) && e.body == again.body && e.smtputf8 == again.smtputf8);
        ASSERT_EQ(e.n_recipients, again.n_recipients);
        for (size_t i = 0; i < e.n_recipients; i++) {
                ASSERT_STREQ(e.recipients[i].address, again.recipients[i].address);
                ASSERT_EQ(e.recipients[i].notify, again.recipients[i].notify);
        }
        return 0;
}
