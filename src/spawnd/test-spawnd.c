/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/test.h"
#include "spawnd/classes.h"
#include "spawnd/rules.h"

static int find(const char *name, uid_t *ret) {
        if (streq(name, "vmail"))
                *ret = 111;
        else if (streq(name, "root"))
                *ret = 0;
        else
                return -ENOENT;
        return 0;
}

static void test_rules(void) {
        _cleanup_(rules_freep) Rules *r = NULL;

        ASSERT_OK(rules_new(&r));
        ASSERT_TRUE(rules_refuse(r, 0));
        ASSERT_TRUE(rules_refuse(r, (uid_t) -1));
        ASSERT_TRUE(rules_refuse(r, 999));
        ASSERT_TRUE(!rules_refuse(r, 1000));
        ASSERT_TRUE(!rules_refuse(r, 60000));
        ASSERT_TRUE(rules_refuse(r, 65534));
        ASSERT_TRUE(rules_refuse(r, 111));

        ASSERT_OK(rules_allow(r, "vmail  70000-70001", find));
        ASSERT_TRUE(!rules_refuse(r, 111));
        ASSERT_TRUE(!rules_refuse(r, 70001));
        ASSERT_TRUE(rules_refuse(r, 70002));

        ASSERT_ERROR(rules_allow(r, "80000 nobody", find), ENOENT);
        ASSERT_TRUE(rules_refuse(r, 80000));
        ASSERT_ERROR(rules_allow(r, "root", find), ERANGE);
        ASSERT_ERROR(rules_allow(r, "0-5", find), ERANGE);
        ASSERT_ERROR(rules_allow(r, "6-5", find), ERANGE);
        ASSERT_ERROR(rules_allow(r, "4294967295", find), ERANGE);
        ASSERT_ERROR(rules_allow(r, "12x", find), EINVAL);
        ASSERT_TRUE(rules_refuse(r, 0));

        r->root_mail_uid = 992;
        ASSERT_TRUE(!rules_refuse(r, 992));
}

static void test_classes(void) {
        ASSERT_EQ(session_class_from_string("mailbox"), CLASS_MAILBOX);
        ASSERT_TRUE(session_class_from_string("") < 0);
        ASSERT_TRUE(session_class_from_string("mailbox ") < 0);
        ASSERT_TRUE(session_class_from_string(NULL) < 0);
        ASSERT_TRUE(!session_class_program(CLASS_COMMAND));

        for (SessionClass c = 0; c < _CLASS_MAX; c++) {
                _cleanup_free_ char *text = NULL;
                size_t size, n = 0;
                const Property *p;

                ASSERT_EQ(session_class_from_string(session_class_to_string(c)), c);
                FILE *f = open_memstream(&text, &size);
                ASSERT_TRUE(f);
                ASSERT_OK(session_class_dump(c, f));
                ASSERT_EQ(fclose(f), 0);
                ASSERT_TRUE(strstr(text, "\nNoNewPrivileges=yes\n"));
                ASSERT_TRUE(strstr(text, "\nCapabilityBoundingSet=\n"));
                /* Only the mailbox class has a group beyond the user's own. */
                ASSERT_EQ(!!strstr(text, "SupplementaryGroups="), c == CLASS_MAILBOX);
                for (size_t i = 0; (p = session_class_property(c, i)); i++, n++) {
                        bool number = IN_SET(p->type, PROPERTY_BOOL, PROPERTY_NUMBER, PROPERTY_INT, PROPERTY_MODE, PROPERTY_USEC);
                        ASSERT_EQ(!p->text, number);
                        ASSERT_EQ(p->type == PROPERTY_USEC, !!p->bus);
                }
                ASSERT_TRUE(n > 30);
        }
}

int main(void) {
        test_rules();
        test_classes();
        return 0;
}
