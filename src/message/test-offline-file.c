/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/test.h"
#include "message/offline-file.h"

#define TOKEN "token 32:0123456789abcdef0123456789abcdef\n"

static void test_format(void) {
        _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT;
        _cleanup_buf_ Buf b = BUF_INIT;

        ASSERT_OK(sd_id128_from_string("0123456789abcdef0123456789abcdef", &e.token));
        e.sender = strdup("joe");
        e.body = BODY_8BITMIME;
        e.envid = strdup("id");
        e.dsn_return = DSN_RETURN_HEADERS;
        ASSERT_OK(envelope_add_recipient(&e, "root\nrecipient 1:x", NULL, NOTIFY_NEVER));
        ASSERT_OK(envelope_add_recipient(&e, "a@b", NULL, NOTIFY_NEVER));
        ASSERT_OK(offline_format(&e, 1234, &b));
        ASSERT_STREQ(b.data, "postd-offline 1 0000000159 00000000000000001234\n" TOKEN "sender 3:joe\nbody 8:8BITMIME\nenvid 2:id\n"
                             "return 4:HDRS\nnotify 5:NEVER\nrecipient 18:root\nrecipient 1:x\nrecipient 3:a@b\n");

        /* A value that looks like a field stays a value. */
        _cleanup_(envelope_done) Envelope again = ENVELOPE_INIT;
        ASSERT_OK(offline_parse_fields(b.data + OFFLINE_START_SIZE, b.size - OFFLINE_START_SIZE, &again));
        ASSERT_EQ(again.n_recipients, (size_t) 2);
        ASSERT_STREQ(again.recipients[0].address, "root\nrecipient 1:x");
        ASSERT_TRUE(again.recipients[1].notify == NOTIFY_NEVER);
        ASSERT_TRUE(!again.smtputf8);
}

static void test_start(void) {
        static const struct {
                const char *data;
                int result;
        } table[] = {
                { "postd-offline 1 0000000163 00000000000000001234\n", 0        },
                { "postd-offline 2 0000000163 00000000000000001234\n", -EBADMSG },
                { "postd-offline 1 0000000163 00000000000000001234 ",  -EBADMSG },
                { "postd-offline 1 000000163  00000000000000001234\n", -EBADMSG },
                { "postd-offline 1 0000000163 0000000000000000-234\n", -EBADMSG },
                { "postd-offline 1 9999999999 00000000000000001234\n", -EBADMSG },
                { "postd-offline 1 0000000163 99999999999999999999\n", -EBADMSG },
                { "postd-offline 1 0000000163\n00000000000000001234\n", -EBADMSG },
        };
        uint64_t h = 0, m = 0;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                ASSERT_EQ(offline_parse_start(table[i].data, &h, &m), table[i].result);
        ASSERT_EQ(h, UINT64_C(163));
        ASSERT_EQ(m, UINT64_C(1234));
}

static void test_fields(void) {
        static const struct {
                const char *data;
                int result;
        } table[] = {
                { TOKEN "sender 0:\nrecipient 1:a\n",                     0        },
                { "recipient 1:a\nsender 1:b\n" TOKEN,                    0        },
                { TOKEN "sender 0:\n",                                    -EBADMSG },
                { TOKEN "recipient 1:a\n",                                -EBADMSG },
                { "sender 0:\nrecipient 1:a\n",                           -EBADMSG },
                { TOKEN TOKEN "sender 0:\nrecipient 1:a\n",               -EBADMSG },
                { TOKEN "sender 0:\nsender 0:\nrecipient 1:a\n",          -EBADMSG },
                { TOKEN "sender 0:\nrecipient 0:\n",                      -EBADMSG },
                { TOKEN "sender 0:\nrecipient 1:a\nunknown 1:a\n",        -EBADMSG },
                { TOKEN "sender 0:\nrecipient 1:a\nbody 4:8BIT\n",        -EBADMSG },
                { TOKEN "sender 0:\nrecipient 1:a\nnotify 3:YES\n",       -EBADMSG },
                { TOKEN "sender 0:\nrecipient 1:a",                       -EBADMSG },
                { TOKEN "sender 0:\nrecipient 2:a\n",                     -EBADMSG },
                { TOKEN "sender 0:\nrecipient 9999:a\n",                  -EBADMSG },
                { TOKEN "sender 0:\nrecipient 99999999999999999999:a\n",  -EBADMSG },
                { TOKEN "sender 0:\nrecipient -1:a\n",                    -EBADMSG },
                { TOKEN "sender 0:\nrecipient :\n",                       -EBADMSG },
                { TOKEN "sender 0:\nrecipient1:a\n",                      -EBADMSG },
                { "token 36:01234567-89ab-cdef-0123-456789abcdef\nsender 0:\nrecipient 1:a\n", -EBADMSG },
                { "token 32:00000000000000000000000000000000\nsender 0:\nrecipient 1:a\n",     -EBADMSG },
                { "",                                                     -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT;
                int r = offline_parse_fields(table[i].data, strlen(table[i].data), &e);
                if (r != table[i].result)
                        _TEST_FAIL("\"%s\": %d", table[i].data, r);
        }

        _cleanup_(envelope_done) Envelope e = ENVELOPE_INIT;
        ASSERT_OK(offline_parse_fields(TOKEN "sender 0:\nrecipient 2:\xc3\xb6\n", strlen(TOKEN) + 25, &e));
        ASSERT_TRUE(e.smtputf8);
}

int main(void) {
        test_format();
        test_start();
        test_fields();
        return 0;
}
