/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/test.h"
#include "basic/text.h"
#include "message/date.h"
#include "message/header.h"
#include "message/patch.h"
#include "message/received.h"

static void test_header(void) {
        static const struct {
                const char *data;
                HeaderFlags flags;
                size_t n_fields;
                const char *body;
        } table[] = {
                { "",                                    0,              0, ""            },
                { "\r\n",                                0,              0, ""            },
                { "\r\nbody",                            0,              0, "body"        },
                { "A: b\r\n\r\nbody",                    0,              1, "body"        },
                { "A: b\n\nbody",                        0,              1, ""            }, /* LF ends nothing here */
                { "A: b\n\nbody",                        HEADER_BARE_LF, 1, "body"        },
                { "A: b\r\n\nbody",                      HEADER_BARE_LF, 1, "body"        },
                { "A: b\n\r\nbody",                      HEADER_BARE_LF, 1, "body"        },
                { "A: b\r\n c\r\n\td\r\nE:\r\n\r\nx",    0,              2, "x"           },
                { "A: b\r\nno field\r\n\r\n",            0,              1, "no field\r\n\r\n" },
                { "A b: c\r\n",                          0,              0, "A b: c\r\n"  },
                { "A : c\r\n",                           0,              1, ""            },
                { ": c\r\n",                             0,              0, ": c\r\n"     },
                { " folded: first\r\n",                  0,              0, " folded: first\r\n" },
                { "From a@b Sat Nov 21\r\nA: b\r\n\r\n", 0,              1, ""            },
                { "A: b\r\nFrom a@b Sat\r\n",            0,              1, "From a@b Sat\r\n" },
                { "A: b\r\n \r\nC: d\r\n\r\n",           0,              2, ""            }, /* a line of space continues */
                { "A: b",                                0,              1, ""            },
                { "A\x80: b\n\n",                        HEADER_BARE_LF, 0, "A\x80: b\n\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                size_t size = strlen(table[i].data), n = 0;
                HeaderReader h;
                HeaderField f;

                header_reader_init(&h, table[i].data, size, table[i].flags);
                while (header_next(&h, &f)) {
                        ASSERT_TRUE(f.name_size > 0);
                        n++;
                }
                if (n != table[i].n_fields || !streq(h.next, table[i].body))
                        _TEST_FAIL("\"%s\": %zu fields, body \"%s\"", table[i].data, n, h.next);
                ASSERT_EQ(header_end(table[i].data, size, table[i].flags), (size_t) (h.next - table[i].data));
        }
}

static void test_header_field(void) {
        static const char data[] = "Subject : one\r\n two\r\nRECEIVED: x\r\nReceived: y\r\nDelivered-To:  Joe@Example.COM \r\n\r\n";
        HeaderReader h;
        HeaderField f;

        header_reader_init(&h, data, strlen(data), 0);
        ASSERT_TRUE(header_next(&h, &f));
        ASSERT_TRUE(header_field_is(&f, "subject"));
        ASSERT_TRUE(!header_field_is(&f, "subject "));
        ASSERT_EQ(f.size, strlen("Subject : one\r\n two\r\n"));
        ASSERT_EQ(f.value_size, strlen(" one\r\n two"));
        ASSERT_TRUE(memcmp(f.value, " one\r\n two", f.value_size) == 0);

        ASSERT_EQ(header_count_received(data, strlen(data), 0), (size_t) 2);
        ASSERT_TRUE(header_has_delivered_to(data, strlen(data), 0, "joe@example.com"));
        ASSERT_TRUE(!header_has_delivered_to(data, strlen(data), 0, "joe@example.co"));
        ASSERT_TRUE(!header_has_delivered_to(data, strlen(data), 0, ""));
}

static void test_date(void) {
        setenv("TZ", "UTC", 1);
        tzset();
        ASSERT_STREQ(RFC5322_DATE(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        ASSERT_STREQ(RFC5322_DATE(UINT64_C(1795292205) * USEC_PER_SEC), "Sat, 21 Nov 2026 20:16:45 +0000");
        ASSERT_STREQ(RFC5322_DATE(USEC_INFINITY), "Fri, 01 Jan 9999 00:00:00 +0000");
        setenv("TZ", "EST5EDT,M3.2.0,M11.1.0", 1);
        tzset();
        ASSERT_STREQ(RFC5322_DATE(UINT64_C(1795292205) * USEC_PER_SEC), "Sat, 21 Nov 2026 15:16:45 -0500");
        setenv("TZ", "NPT-5:45", 1);
        tzset();
        ASSERT_STREQ(RFC5322_DATE(0), "Thu, 01 Jan 1970 05:45:00 +0545");
        setenv("TZ", "UTC", 1);
        tzset();
}

static void check_received(const Envelope *e, const char *for_address, const char *expected) {
        static const QueueId id = { "0123456789abcdef" };
        _cleanup_free_ char *s = NULL;

        ASSERT_OK(received_format(e, &id, "mail.example.com", for_address, &s));
        ASSERT_STREQ(s, expected);
}

static void test_received(void) {
        Envelope e = ENVELOPE_INIT;

        e.origin.protocol = (char *) "local";
        e.origin.uid = 1000;
        e.origin.unit = (char *) "cron.service";
        check_received(&e, "joe@example.com",
                       "Received: from localhost (uid 1000, unit cron.service)\r\n"
                       "\tby mail.example.com (postd) with local id 0123456789abcdef\r\n"
                       "\tfor <joe@example.com>;\r\n"
                       "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
        e.origin.unit = (char *) "a) (b\r\nX: y\\x2d@.service";
        e.origin.uid = UID_UNKNOWN;
        check_received(&e, "\"a> by evil\"@b",
                       "Received: from localhost (uid unknown, unit a???b??X:?y?x2d@.service)\r\n"
                       "\tby mail.example.com (postd) with local id 0123456789abcdef;\r\n"
                       "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");

        e = ENVELOPE_INIT;
        e.origin.protocol = (char *) "ESMTPS";
        e.origin.helo = (char *) "evil.example (trusted [127.0.0.1])\r\n";
        e.origin.peer_address = (char *) "2001:db8::1";
        check_received(&e, NULL,
                       "Received: from evil.example??trusted?[127.0.0.1]??? (unknown [IPv6:2001:db8::1])\r\n"
                       "\tby mail.example.com (postd) with ESMTPS id 0123456789abcdef;\r\n"
                       "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
        e.origin.helo = (char *) "b\xc3\xbc" "cher.example\xc2\x85";
        e.origin.peer_address = (char *) "192.0.2.1";
        e.origin.peer_name = (char *) "mx.example.net";
        e.smtputf8 = true;
        check_received(&e, "j\xc3\xb6@example.com",
                       "Received: from b\xc3\xbc" "cher.example? (mx.example.net [192.0.2.1])\r\n"
                       "\tby mail.example.com (postd) with ESMTPS id 0123456789abcdef\r\n"
                       "\tfor <j\xc3\xb6@example.com>;\r\n"
                       "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
        e.smtputf8 = false;
        check_received(&e, "j\xc3\xb6@example.com",
                       "Received: from b??cher.example?? (mx.example.net [192.0.2.1])\r\n"
                       "\tby mail.example.com (postd) with ESMTPS id 0123456789abcdef;\r\n"
                       "\tThu, 01 Jan 1970 00:00:00 +0000\r\n");
}

static void test_prepend(void) {
        char *s;

        ASSERT_OK(delivery_prepend("", "joe@example.com", &s));
        ASSERT_STREQ(s, "Return-Path: <>\r\nDelivered-To: joe@example.com\r\n");
        free(s);
        ASSERT_OK(delivery_prepend("a@b", NULL, &s));
        ASSERT_STREQ(s, "Return-Path: <a@b>\r\n");
        free(s);
        ASSERT_OK(delivery_prepend("a\r\nX: y@b", "c\nd", &s));
        ASSERT_STREQ(s, "Return-Path: <a??X: y@b>\r\nDelivered-To: c?d\r\n");
        free(s);
}

int main(void) {
        test_header();
        test_header_field();
        test_date();
        test_received();
        test_prepend();
        return 0;
}
