/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/buf.h"
#include "basic/strv.h"
#include "basic/test.h"
#include "message/address-list.h"
#include "message/addresses.h"
#include "message/fixup.h"

/* Addresses separated by "|", those that lack a domain with "*", bad ones as "!text". */
static char *describe(const char *value) {
        AddressListReader r;
        AddressListResult result;
        AddressItem item;
        Buf b = BUF_INIT;

        address_list_init(&r, value, strlen(value));
        while ((result = address_list_next(&r, &item)) != ADDRESS_LIST_END)
                ASSERT_OK(buf_appendf(&b, "%s%s%s%s", b.size > 0 ? "|" : "", result == ADDRESS_LIST_BAD ? "!" : "",
                                      item.address, result == ADDRESS_LIST_ITEM && !item.has_domain ? "*" : ""));
        return buf_take(&b, NULL);
}

static void test_address_list(void) {
        static const struct {
                const char *value, *expected;
        } table[] = {
                { "",                                                        ""                                },
                { " , ,, ",                                                  ""                                },
                { "root",                                                    "root*"                           },
                { " root (Cron Daemon)",                                     "root*"                           },
                { "(who) joe(is)@(that)example.com",                         "joe@example.com"                 },
                { "Joe <joe@example.com>, Mary <mary>",                      "joe@example.com|mary*"           },
                { "\"Joe Q. Public\" <john.q.public@example.com>",           "john.q.public@example.com"       },
                { "\"Giant; \\\"Big\\\" Box\" <a@b>, Who? <one@y.test>",     "a@b|one@y.test"                  },
                { "Joe Q. Public <john@example.com>",                        "john@example.com"                },
                { "A Group:Ed Jones <joe@where.test>,John <jdoe@one.test>;", "joe@where.test|jdoe@one.test"    },
                { "undisclosed-recipients:;",                                ""                                },
                { "undisclosed:;, joe",                                      "joe*"                            },
                { "(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", ""                        },
                { "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "pete@silly.test"          },
                { "\"joe smith\"@example.com, <\"a,b\"@c>, \"x\"",           "\"joe smith\"@example.com|\"a,b\"@c|\"x\"*" },
                { "Mary Smith <@node.test:mary@example.net>, , jdoe@test   . example", "mary@example.net|jdoe@test.example" },
                { "<@a,@b:c@d>",                                             "c@d"                             },
                { "<@a,@b:c;@d>",                                            "!<@a,@b:c;@d>"                   },
                { "joe@[192.0.2.1], <joe@[IPv6:::1]>",                       "joe@[192.0.2.1]|joe@[IPv6:::1]"  },
                { "jos\xc3\xa9@b\xc3\xbc" "cher.example",                    "jos\xc3\xa9@b\xc3\xbc" "cher.example" },
                { "=?utf-8?Q?Jos=C3=A9?= <j@x>",                             "j@x"                             },
                { "a,\r\n b,\n\tc",                                          "a*|b*|c*"                        },
                { "\\root",                                                  "root*"                           },
                { "a%b, c!d, e+f, g.h",                                      "a%b*|c!d*|e+f*|g.h*"             },
                { "joe smith",                                               "!joe smith"                      },
                { "joe smith@example.com, b",                                "!joe smith@example.com|b*"       },
                { "<>",                                                      "!<>"                             },
                { "a@b@c, @d, e@",                                           "!a@b@c|!@d|!e@"                  },
                { "a <b, c@d",                                               "!a <b, c@d"                      },
                { "a <b, c@d>",                                              "!a <b, c@d>"                     },
                { "a> b",                                                    "!a> b"                           },
                { "<a@b> c, d",                                              "!<a@b> c|d*"                     },
                { "<<a@b>>",                                                 "!<<a@b>>"                        },
                { "<x:c@d>",                                                 "!<x:c@d>"                        },
                { "root (unfinished, b",                                     "!root (unfinished, b"            },
                { "\"unfinished, b",                                         "!\"unfinished, b"                },
                { "a@[unfinished, b",                                        "!a@[unfinished, b"               },
                { "a@\"b\"",                                                 "!a@\"b\""                        },
                { "[1.2.3.4]",                                               "![1.2.3.4]"                      },
                { "a\x01" "b, c",                                            "!a b|c*"                         },
                { "a)b",                                                     "!a)b"                            },
                { "g: \"x",                                                  "!\"x"                            },
                { ";;:",                                                     ""                                },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *s = describe(table[i].value);
                if (!streq(s, table[i].expected))
                        _TEST_FAIL("\"%s\": \"%s\", expected \"%s\"", table[i].value, s, table[i].expected);
        }

        /* The longest address, and one more. */
        char longest[ADDRESS_LIST_ADDRESS_MAX + 1] = {};
        memset(longest, 'a', ADDRESS_LIST_ADDRESS_MAX - 1);
        _cleanup_free_ char *s = describe(longest);
        ASSERT_EQ(strlen(s), (size_t) ADDRESS_LIST_ADDRESS_MAX);
        longest[ADDRESS_LIST_ADDRESS_MAX - 1] = 'a';
        _cleanup_free_ char *t = describe(longest);
        ASSERT_EQ(t[0], (char) '!');
}

static char *join(char **l) {
        Buf b = BUF_INIT;
        STRV_FOREACH(i, l)
                ASSERT_OK(buf_appendf(&b, "%s%s", b.size > 0 ? "|" : "", *i));
        return buf_take(&b, NULL);
}

static void test_extract(void) {
        static const struct {
                const char *header, *good, *bad;
        } table[] = {
                { "Subject: x\n\nTo: body@x\n",                            "",                ""    },
                { "To: a, b\nCC: b, c\nbcc: d\nFrom: e\n",                 "a|b|c|d",         ""    },
                { "To: a b, c\nBcc:\n",                                    "c",               "a b" },
                { "To: a\nResent-To: b\nResent-Bcc: c\nCc: d\n",           "b|c",             ""    },
                { "Resent-To: new\nResent-Date: x\nReceived: y\nResent-To: old\nTo: a\n", "new", ""   },
                { "Apparently-To: a\n",                                    "",                ""    },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_strv_free_ char **good = NULL, **bad = NULL;

                ASSERT_OK(addresses_extract(table[i].header, strlen(table[i].header), HEADER_BARE_LF, 100, &good, &bad));
                _cleanup_free_ char *g = join(good), *b = join(bad);
                ASSERT_STREQ(g, table[i].good);
                ASSERT_STREQ(b, table[i].bad);
        }

        char **good = NULL, **bad = NULL;
        ASSERT_ERROR(addresses_extract("To: a,b,c\n", 10, HEADER_BARE_LF, 2, &good, &bad), E2BIG);
        ASSERT_ERROR(addresses_extract("To: a b,b c,c d\n", 16, HEADER_BARE_LF, 2, &good, &bad), E2BIG);
}

static void check_fixup(const char *header, const MessageFixup *o, const char *expected) {
        _cleanup_buf_ Buf b = BUF_INIT;

        ASSERT_OK(message_fixup(header, strlen(header), o, &b));
        if (!streq(b.data, expected))
                _TEST_FAIL("\"%s\" gives\n\"%s\", expected\n\"%s\"", header, b.data, expected);
}

static void test_fixup(void) {
        MessageFixup o = {
                .mail_name = "example.com",
                .host_name = "host.example.com",
                .sender = "joe",
                .flags = HEADER_BARE_LF,
                .qualify = true,
        };

        check_fixup("", &o, "\r\n");
        check_fixup("A: b\nC: d", &o, "A: b\r\nC: d\r\n\r\n");
        check_fixup("A: b\n c\n\n", &o, "A: b\r\n c\r\n\r\n");
        check_fixup("A: b\r\n\r\n", &o, "A: b\r\n\r\n");
        check_fixup("From x@y Sat\nA: b\nno header\n", &o, "A: b\r\n\r\n");
        check_fixup("From: root (Cron Daemon)\nTo: root\n", &o, "From: root@example.com (Cron Daemon)\r\nTo: root@example.com\r\n\r\n");
        check_fixup("To: Joe <joe>, b@c,\n d (x\n y)\nResent-Cc: e\nX-To: f\n", &o,
                    "To: Joe <joe@example.com>, b@c,\r\n d@example.com (x\r\n y)\r\nResent-Cc: e@example.com\r\nX-To: f\r\n\r\n");
        check_fixup("Cc: two words, g:a;, <@x:b>, \"q r\" <c>\n", &o,
                    "Cc: two words, g:a@example.com;, <@x:b@example.com>, \"q r\" <c@example.com>\r\n\r\n");
        check_fixup("To: undisclosed-recipients:;\n", &o, "To: undisclosed-recipients:;\r\n\r\n");

        o.remove_bcc = true;
        check_fixup("bcc: a\nTo: b@c\nResent-BCC: d,\n e\n", &o, "To: b@c\r\n\r\n");

        o.add_from = o.add_date = true;
        check_fixup("", &o, "From: <joe@example.com>\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n\r\n");
        check_fixup("from: a@b\nDATE: x\n\n", &o, "from: a@b\r\nDATE: x\r\n\r\n");
        check_fixup("Resent-To: a@b\nFrom: c@d\n\n", &o,
                    "Resent-To: a@b\r\nFrom: c@d\r\nResent-From: <joe@example.com>\r\n"
                    "Resent-Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n\r\n");

        o.add_date = false;
        static const struct {
                const char *name, *expected;
        } names[] = {
                { "CronDaemon",               "CronDaemon "                            },
                { "Joe Public",               "Joe Public "                            },
                { "Joe \"Q.\" Public",        "\"Joe \\\"Q.\\\" Public\" "             },
                { "a\r\nX: y",                "\"a  X: y\" "                           },
                { "J\xc3\xb6rg",              "=?utf-8?B?SsO2cmc=?= "                  },
                { "J\xf6rg",                  "\"J?rg\" "                              },
                { " ",                        ""                                       },
                { "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
                  "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
                  "=?utf-8?B?w6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6Q=?=\r\n =?utf-8?B?w6Q=?= " },
        };
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_free_ char *expected = NULL;

                o.full_name = names[i].name;
                ASSERT_TRUE(asprintf(&expected, "From: %s<joe@example.com>\r\n\r\n", names[i].expected) > 0);
                check_fixup("", &o, expected);
        }

        o.full_name = NULL;
        o.sender = "";
        check_fixup("", &o, "From: <MAILER-DAEMON@example.com>\r\n\r\n");
        o.sender = "a>\r\nX: y@z";
        check_fixup("", &o, "From: <a???X: y@z>\r\n\r\n");

        o.add_from = false;
        o.add_message_id = true;
        _cleanup_buf_ Buf b = BUF_INIT;
        ASSERT_OK(message_fixup("", 0, &o, &b));
        ASSERT_EQ(b.size, strlen("Message-ID: <@host.example.com>\r\n\r\n") + 32);
        check_fixup("message-id: <x>\n", &o, "message-id: <x>\r\n\r\n");
}

int main(void) {
        setenv("TZ", "UTC", 1);
        test_address_list();
        test_extract();
        test_fixup();
        return 0;
}
