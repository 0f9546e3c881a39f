/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/test.h"
#include "smtp/command.h"
#include "smtp/xtext.h"

#define ALL (SMTP_COMMAND_ESMTP | SMTP_COMMAND_TOKEN | SMTP_COMMAND_ORIGIN)

static void test_errors(void) {
        static const struct {
                const char *line;
                SmtpCommandFlags flags;
                SmtpCommandError result;
        } table[] = {
                { "", ALL, SMTP_COMMAND_E_UNKNOWN },
                { " QUIT", ALL, SMTP_COMMAND_E_UNKNOWN },
                { "QUITX", ALL, SMTP_COMMAND_E_UNKNOWN },
                { "QUIT now", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "quit  ", ALL, 0 },
                { "STARTTLS", ALL, SMTP_COMMAND_E_NOT_SERVED },
                { "EXPN list", ALL, SMTP_COMMAND_E_NOT_SERVED },
                { "EHLO", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "EHLO a b", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "EHLO a\tb", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "EHLO [IPv6:2001:db8::1]", ALL, 0 },
                { "HELO under_score.example", ALL, 0 },
                { "VRFY", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "DATA x", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "NOOP whatever", ALL, 0 },
                { "MAIL", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "MAIL FROM", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "MAIL TO:<a@b>", ALL, SMTP_COMMAND_E_ARGUMENT },
                { "MAIL FROM:", ALL, SMTP_COMMAND_E_SENDER },
                { "MAIL FROM:a@b", ALL, SMTP_COMMAND_E_SENDER },
                { "MAIL FROM:<>", ALL, 0 },
                { "mail from: <a@b>", ALL, 0 },
                { "MAIL FROM:<a>", ALL, SMTP_COMMAND_E_SENDER },
                { "MAIL FROM:<a>", ALL | SMTP_COMMAND_UNQUALIFIED, 0 },
                { "MAIL FROM:<a@b>SIZE=1", ALL, SMTP_COMMAND_E_PARAMETER },
                { "MAIL FROM:<a@b> SIZE=1", 0, SMTP_COMMAND_E_PARAMETER },
                { "MAIL FROM:<a@b> SIZE", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> SIZE=", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> SIZE=-1", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> SIZE=1 SIZE=1", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> SIZE=99999999999999999999", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> BODY=BINARYMIME", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> SMTPUTF8=1", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<\xc3\xbc@b>", ALL, SMTP_COMMAND_E_UTF8 },
                { "MAIL FROM:<\xc3\xbc@b> SMTPUTF8", ALL, 0 },
                { "MAIL FROM:<\xc3@b> SMTPUTF8", ALL, SMTP_COMMAND_E_SENDER },
                { "MAIL FROM:<a@b> RET=ALL", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> RET=", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> ENVID=a+2", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> ENVID=", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> NOTIFY=NEVER", ALL, SMTP_COMMAND_E_PARAMETER },
                { "MAIL FROM:<a@b> AUTH=<>", ALL, SMTP_COMMAND_E_PARAMETER },
                { "MAIL FROM:<a@b> XPOSTDTOKEN=0123456789abcdef0123456789abcde", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> XPOSTDTOKEN=00000000000000000000000000000000", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> XPOSTDTOKEN=0123456789abcdef0123456789abcdef", SMTP_COMMAND_ESMTP, SMTP_COMMAND_E_PARAMETER },
                { "MAIL FROM:<a@b> XPOSTDORIGIN=1000", SMTP_COMMAND_ESMTP | SMTP_COMMAND_TOKEN, SMTP_COMMAND_E_PARAMETER },
                { "MAIL FROM:<a@b> XPOSTDORIGIN=4294967295", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "MAIL FROM:<a@b> XPOSTDORIGIN=x", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "RCPT TO:<>", ALL, SMTP_COMMAND_E_RECIPIENT },
                { "RCPT TO:<a@b> SIZE=1", ALL, SMTP_COMMAND_E_PARAMETER },
                { "RCPT TO:<a@b> NOTIFY=SUCCESS,FAILURE", ALL, 0 },
                { "RCPT TO:<a@b> NOTIFY=NEVER,FAILURE", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "RCPT TO:<a@b> NOTIFY=", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "RCPT TO:<a@b> ORCPT=rfc822;a+40b@c", ALL, 0 },
                { "RCPT TO:<a@b> ORCPT=a@c", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "RCPT TO:<a@b> ORCPT=rfc822;a=c", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "RCPT TO:<a@b> ORCPT=rfc822;a+4", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "RCPT TO:<a@b> ORCPT=utf-8;\xc3\xbc@b", ALL, SMTP_COMMAND_E_PARAMETER_VALUE },
                { "RCPT TO:<a@b> ORCPT=utf-8;\xc3\xbc@b", ALL | SMTP_COMMAND_UTF8, 0 },
                { "RCPT TO:<\xc3\xbc@b>", ALL, SMTP_COMMAND_E_UTF8 },
                { "RCPT TO:<\xc3\xbc@b>", ALL | SMTP_COMMAND_UTF8, 0 },
                { "RCPT TO:<Postmaster>", ALL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                SmtpCommand c;
                SmtpCommandError e = smtp_command_parse(table[i].line, strlen(table[i].line), table[i].flags, &c);
                if (e != table[i].result)
                        _TEST_FAIL("%s: %d, expected %d", table[i].line, e, table[i].result);
        }
        /* Every refusal has its reply. */
        for (SmtpCommandError e = 1; e < _SMTP_COMMAND_E_MAX; e++) {
                EnhancedStatus status;
                unsigned code;
                ASSERT_TRUE(smtp_command_error(e, &code, &status));
                ASSERT_EQ(code / 100, 5U);
                ASSERT_EQ(status.class, 5);
        }
}

static void test_values(void) {
        static const char mail[] = "MAIL FROM:<@x.example:a@b> size=12 BODY=8bitmime RET=hdrs ENVID=x+2By SMTPUTF8 "
                                   "XPOSTDTOKEN=0123456789abcdef0123456789ABCDEF XPOSTDORIGIN=1000";
        static const char rcpt[] = "rcpt to:<\"a b\"@c> NOTIFY=DELAY,SUCCESS ORCPT=rfc822;a";
        SmtpCommand c;

        ASSERT_EQ(smtp_command_parse(mail, strlen(mail), ALL, &c), 0U);
        ASSERT_EQ(c.verb, SMTP_VERB_MAIL);
        ASSERT_EQ(c.address.size, 3U);
        ASSERT_EQ(memcmp(c.address.s, "a@b", 3), 0);
        ASSERT_EQ(c.size, 12U);
        ASSERT_EQ(c.body, BODY_8BITMIME);
        ASSERT_EQ(c.dsn_return, DSN_RETURN_HEADERS);
        ASSERT_EQ(c.envid_size, 5U);
        ASSERT_TRUE(c.smtputf8);
        ASSERT_EQ(c.token.bytes[15], 0xef);
        ASSERT_EQ(c.origin, 1000U);

        ASSERT_EQ(smtp_command_parse(rcpt, strlen(rcpt), ALL, &c), 0U);
        ASSERT_EQ(c.notify, (NotifyFlags) (NOTIFY_DELAY | NOTIFY_SUCCESS));
        ASSERT_EQ(c.orcpt_size, 8U);
        ASSERT_EQ(c.origin, UID_UNKNOWN);
}

static void test_xtext(void) {
        _cleanup_free_ char *encoded = xtext_encode("a+b= c\xc3\xbc"), *decoded = xtext_decode(encoded);

        ASSERT_STREQ(encoded, "a+2Bb+3D+20c+C3+BC");
        ASSERT_TRUE(xtext_valid(encoded, strlen(encoded)));
        ASSERT_STREQ(decoded, "a+b= c\xc3\xbc");
        ASSERT_TRUE(!xtext_valid("+2b", 3));
        ASSERT_TRUE(!xtext_valid("a b", 3));
        /* No control character comes out of it. */
        _cleanup_free_ char *kept = xtext_decode("a+0D+0Ab+00+7F");
        ASSERT_STREQ(kept, "a+0D+0Ab+00+7F");
}

int main(void) {
        test_errors();
        test_values();
        test_xtext();
        return EXIT_SUCCESS;
}
