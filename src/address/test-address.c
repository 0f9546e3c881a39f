/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "address/address.h"
#include "basic/test.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

static void test_path(void) {
        static const struct {
                const char *in;
                AddressFlags flags;
                int result;
                const char *mailbox, *domain, *rest;
        } table[] = {
                { "<a@b>", 0, 0, "a@b", "b", "" },
                { "<a@b> SIZE=1", 0, 0, "a@b", "b", " SIZE=1" },
                { "<a.b+c=d@Example.ORG>", 0, 0, "a.b+c=d@Example.ORG", "Example.ORG", "" },
                { "<>", ADDRESS_NULL, 0, "", NULL, "" },
                { "<>", 0, ADDRESS_E_SYNTAX },
                { "<Postmaster>", 0, 0, "Postmaster", NULL, "" },
                { "<root>", 0, ADDRESS_E_SYNTAX },
                { "<root>", ADDRESS_UNQUALIFIED, 0, "root", NULL, "" },
                { "<@a.example,@[192.0.2.1]:x@y>", 0, 0, "x@y", "y", "" },
                { "<@a.example:postmaster>", 0, ADDRESS_E_SYNTAX },
                { "<@a.example,:x@y>", 0, ADDRESS_E_SYNTAX },
                { "<@a.example x@y>", 0, ADDRESS_E_SYNTAX },
                { "<\"a b\"@c>", 0, 0, "\"a b\"@c", "c", "" },
                { "<\"a@b\"@c>", 0, 0, "\"a@b\"@c", "c", "" },
                { "<\"a>b\"@c>", 0, 0, "\"a>b\"@c", "c", "" },
                { "<\"a\\\"b\"@c>", 0, 0, "\"a\\\"b\"@c", "c", "" },
                { "<\"a\\\"@c>", 0, ADDRESS_E_SYNTAX },
                { "<\"\"@c>", 0, ADDRESS_E_SYNTAX },
                { "<\"a\tb\"@c>", 0, ADDRESS_E_SYNTAX },
                { "<\"a\rb\"@c>", 0, ADDRESS_E_SYNTAX },
                { "<\"a\\\nb\"@c>", 0, ADDRESS_E_SYNTAX },
                { "<a\n@c>", 0, ADDRESS_E_SYNTAX },
                { "<a@c\n>", 0, ADDRESS_E_SYNTAX },
                { "<a@c\r\nRCPT TO:<x@y>", 0, ADDRESS_E_SYNTAX },
                { "<a b@c>", 0, ADDRESS_E_SYNTAX },
                { "<a@b@c>", 0, ADDRESS_E_SYNTAX },
                { "<.a@c>", 0, ADDRESS_E_SYNTAX },
                { "<a.@c>", 0, ADDRESS_E_SYNTAX },
                { "<a..b@c>", 0, ADDRESS_E_SYNTAX },
                { "<a@>", 0, ADDRESS_E_SYNTAX },
                { "<@c>", 0, ADDRESS_E_SYNTAX },
                { "<a@c.>", 0, ADDRESS_E_SYNTAX },
                { "<a@.c>", 0, ADDRESS_E_SYNTAX },
                { "<a@c..d>", 0, ADDRESS_E_SYNTAX },
                { "<a@-c>", 0, ADDRESS_E_SYNTAX },
                { "<a@c->", 0, ADDRESS_E_SYNTAX },
                { "<a@c_d.example>", 0, 0, "a@c_d.example", "c_d.example", "" },
                { "<a@b", 0, ADDRESS_E_SYNTAX },
                { "a@b", 0, ADDRESS_E_SYNTAX },
                { "<", ADDRESS_NULL, ADDRESS_E_SYNTAX },
                { "", ADDRESS_NULL, ADDRESS_E_SYNTAX },
                { "<a@[192.0.2.1]>", 0, 0, "a@[192.0.2.1]", "[192.0.2.1]", "" },
                { "<a@[192.0.2.256]>", 0, ADDRESS_E_SYNTAX },
                { "<a@[IPv6:2001:db8::1]>", 0, 0, "a@[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]", "" },
                { "<a@[2001:db8::1]>", 0, ADDRESS_E_SYNTAX },
                { "<a@[tag:x]>", 0, ADDRESS_E_SYNTAX },
                { "<a@[]>", 0, ADDRESS_E_SYNTAX },
                { "<gr\xc3\xbc\xc3\x9f" "e@c>", 0, ADDRESS_E_UTF8 },
                { "<gr\xc3\xbc\xc3\x9f" "e@c>", ADDRESS_UTF8, 0, "gr\xc3\xbc\xc3\x9f" "e@c", "c", "" },
                { "<a@b\xc3\xbc.example>", ADDRESS_UTF8, 0, "a@b\xc3\xbc.example", "b\xc3\xbc.example", "" },
                { "<a\xff@c>", ADDRESS_UTF8, ADDRESS_E_SYNTAX },
                { "<a\xc0\xaf@c>", ADDRESS_UTF8, ADDRESS_E_SYNTAX },
                { "<a\xc2\x85@c>", ADDRESS_UTF8, ADDRESS_E_SYNTAX },
                { "<a\xe2\x80\xa8@c>", ADDRESS_UTF8, ADDRESS_E_SYNTAX },
                { "<" X60 "1234@c>", 0, 0, X60 "1234@c", "c", "" },
                { "<" X60 "12345@c>", 0, ADDRESS_E_LENGTH },
                { "<a@" X60 "123.c>", 0, 0, "a@" X60 "123.c", X60 "123.c", "" },
                { "<a@" X60 "1234.c>", 0, ADDRESS_E_SYNTAX },
                { "<a@" X60 "." X60 "." X60 "." X60 ".56789.12>", 0, 0,
                  "a@" X60 "." X60 "." X60 "." X60 ".56789.12", X60 "." X60 "." X60 "." X60 ".56789.12", "" },
                { "<ab@" X60 "." X60 "." X60 "." X60 ".56789.12>", 0, ADDRESS_E_LENGTH },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *rest = NULL;
                Address a = {};
                int r = address_parse_path(table[i].in, strlen(table[i].in), table[i].flags, &rest, &a);
                if (r != table[i].result)
                        _TEST_FAIL("%s: %d, expected %d", table[i].in, r, table[i].result);
                if (r != 0)
                        continue;
                _cleanup_free_ char *mailbox = strndup(a.s, a.size);
                ASSERT_STREQ(mailbox, table[i].mailbox);
                ASSERT_STREQ(rest, table[i].rest);
                _cleanup_free_ char *domain = a.domain ? strndup(a.domain, a.domain_size) : NULL;
                ASSERT_STREQ(domain, table[i].domain);
                /* What is accepted in brackets is accepted without. */
                ASSERT_EQ(address_valid(mailbox, table[i].flags), true);
                ASSERT_STREQ(address_domain(mailbox), table[i].domain);
        }

        Address a;
        ASSERT_EQ(address_parse_path("<a\0b@c>", 7, 0, NULL, &a), ADDRESS_E_SYNTAX);
        ASSERT_EQ(address_parse_path("<\"a\0b\"@c>", 9, 0, NULL, &a), ADDRESS_E_SYNTAX);
        ASSERT_EQ(address_parse_path("<a@b>x", 6, 0, NULL, &a), ADDRESS_E_SYNTAX);
}

static void test_whole(void) {
        ASSERT_EQ(address_valid("a@b", 0), true);
        ASSERT_EQ(address_valid("a@b ", 0), false);
        ASSERT_EQ(address_valid("", 0), false);
        ASSERT_EQ(address_valid("", ADDRESS_NULL), true);
        ASSERT_EQ(address_valid(NULL, ADDRESS_NULL), false);
        ASSERT_EQ(address_valid("uid-7", ADDRESS_UNQUALIFIED), true);
        ASSERT_EQ(address_domain("\"a@b\"") == NULL, true);
        ASSERT_STREQ(address_domain("\"a@b\"@c"), "c");

        ASSERT_EQ(domain_valid("a.b-c", 5, 0), true);
        ASSERT_EQ(domain_valid("a.b.", 4, 0), false);
        ASSERT_EQ(domain_valid("", 0, 0), false);
        ASSERT_EQ(domain_valid("\xc3\xbc", 2, 0), false);
        ASSERT_EQ(domain_valid("\xc3\xbc", 2, ADDRESS_UTF8), true);
        ASSERT_EQ(domain_literal_valid("[::1]", 5), false);
        ASSERT_EQ(domain_literal_valid("[ipv6:::1]", 10), true);
}

static void test_equal(void) {
        ASSERT_EQ(address_equal("a@B.example", "a@b.EXAMPLE"), true);
        ASSERT_EQ(address_equal("A@b", "a@b"), false);
        ASSERT_EQ(address_equal("\"a\"@b", "a@b"), true);
        ASSERT_EQ(address_equal("\"a\\b\"@b", "ab@b"), true);
        ASSERT_EQ(address_equal("\"a b\"@b", "\"a\\ b\"@b"), true);
        ASSERT_EQ(address_equal("a", "a@b"), false);
        ASSERT_EQ(address_equal("a", "a"), true);

        char buffer[4];
        ASSERT_EQ(address_unquote_local("\"a\\\"b\"", 6, buffer, sizeof(buffer)), 3);
        ASSERT_STREQ(buffer, "a\"b");
        ASSERT_EQ(address_unquote_local("abcd", 4, buffer, sizeof(buffer)), -ENOBUFS);
}

int main(void) {
        test_path();
        test_whole();
        test_equal();
        return EXIT_SUCCESS;
}
