/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How a check ends, for each thing that the other side may do. The other side is played here, over a socket pair; the
 * real polkit is met in test/integration/test_postctl.py. */

#include <stdio.h>
#include <sys/socket.h>

#include "basic/test.h"
#include "envelope/envelope.h"
#include "ipc/polkit.h"

enum Behaviour { ALLOW, DENY, CHALLENGE, BREAK, JUNK, HANG };

typedef struct Scene {
        enum Behaviour behaviour;
        uid_t caller;
        sd_bus *server;
        bool cancelled;
        unsigned asked, told;
        int result;
        uid_t uid;
} Scene;

static int play(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Scene *s = userdata;

        if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus", "GetConnectionUnixUser"))
                return sd_bus_reply_method_return(m, "u", (uint32_t) s->caller);
        if (sd_bus_message_is_method_call(m, NULL, "CancelCheckAuthorization")) {
                s->cancelled = true;
                return 1;
        }
        if (!sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization"))
                return 0;

        const char *kind, *name, *action, *cancellation;
        uint32_t flags;
        s->asked++;
        ASSERT_OK(sd_bus_message_read(m, "(sa{sv})", &kind, 1, NULL, "s", &name));
        ASSERT_STREQ(kind, "system-bus-name");
        ASSERT_STREQ(name, ":1.7");
        ASSERT_OK(sd_bus_message_read(m, "sa{ss}us", &action, 0, &flags, &cancellation));
        ASSERT_STREQ(action, POLKIT_ACTION_MANAGE);
        ASSERT_EQ(strlen(cancellation), (size_t) 32);
        switch (s->behaviour) {
        case ALLOW:
                return sd_bus_reply_method_return(m, "(bba{ss})", 1, 0, 0);
        case DENY:
                return sd_bus_reply_method_return(m, "(bba{ss})", 0, 0, 0);
        case CHALLENGE:
                return sd_bus_reply_method_return(m, "(bba{ss})", 0, 1, 0);
        case JUNK:
                return sd_bus_reply_method_return(m, "s", "yes");
        case BREAK:
                sd_bus_close(s->server);
                return 1;
        case HANG:
                return 1;
        }
        return 0;
}

static void tell(PolkitResult result, uid_t uid, void *userdata) {
        Scene *s = userdata;

        s->told++;
        s->result = result;
        s->uid = uid;
}

static Scene run(enum Behaviour behaviour, uid_t caller, const char *action, bool interactive) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL, *server = NULL;
        Scene s = { .behaviour = behaviour, .caller = caller };
        PolkitCheck *check = NULL;
        int pair[2];

        ASSERT_OK(sd_event_new(&event));
        ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
        ASSERT_OK(sd_bus_new(&server));
        ASSERT_OK(sd_bus_set_fd(server, pair[0], pair[0]));
        ASSERT_OK(sd_bus_set_server(server, true, (sd_id128_t) { .bytes = { 1 } }));
        ASSERT_OK(sd_bus_add_filter(server, NULL, play, &s));
        ASSERT_OK(sd_bus_start(server));
        ASSERT_OK(sd_bus_attach_event(server, event, 0));
        s.server = server;
        ASSERT_OK(sd_bus_new(&bus));
        ASSERT_OK(sd_bus_set_fd(bus, pair[1], pair[1]));
        ASSERT_OK(sd_bus_start(bus));
        ASSERT_OK(sd_bus_attach_event(bus, event, 0));

        ASSERT_EQ(polkit_check_sender(bus, ":1.7", action, interactive, tell, &s, &check), POLKIT_PENDING);
        ASSERT_TRUE(check);
        while (behaviour == HANG ? s.asked == 0 : s.told == 0)
                ASSERT_TRUE(sd_event_run(event, 5 * USEC_PER_SEC) > 0);
        ASSERT_EQ(s.told, behaviour == HANG ? 0U : 1U);
        if (behaviour == HANG) {
                /* The caller leaves: polkit is told, the caller is not. */
                check = polkit_check_cancel(check);
                while (!s.cancelled)
                        ASSERT_TRUE(sd_event_run(event, 5 * USEC_PER_SEC) > 0);
        }
        while (sd_event_run(event, 0) > 0)
                ;
        ASSERT_EQ(s.told, behaviour == HANG ? 0U : 1U);
        return s;
}

static void test_answers(void) {
        ASSERT_EQ(run(ALLOW, 1000, POLKIT_ACTION_MANAGE, false).result, POLKIT_ALLOWED);
        ASSERT_EQ(run(ALLOW, 1000, POLKIT_ACTION_MANAGE, false).uid, 1000U);
        ASSERT_EQ(run(DENY, 1000, POLKIT_ACTION_MANAGE, true).result, POLKIT_DENIED);
        ASSERT_EQ(run(CHALLENGE, 1000, POLKIT_ACTION_MANAGE, false).result, POLKIT_INTERACTIVE);
        ASSERT_EQ(run(CHALLENGE, 1000, POLKIT_ACTION_MANAGE, true).result, POLKIT_DENIED);
}

static void test_root(void) {
        Scene s = run(DENY, 0, POLKIT_ACTION_MANAGE, false);
        ASSERT_EQ(s.result, POLKIT_ALLOWED);
        ASSERT_EQ(s.asked, 0U);
}

static void test_uid_only(void) {
        Scene s = run(ALLOW, 1000, NULL, false);
        ASSERT_EQ(s.result, POLKIT_DENIED);
        ASSERT_EQ(s.uid, 1000U);
        ASSERT_EQ(s.asked, 0U);
}

static void test_failures(void) {
        PolkitCheck *check = NULL;

        ASSERT_EQ(run(JUNK, 1000, POLKIT_ACTION_MANAGE, false).result, POLKIT_UNAVAILABLE);
        ASSERT_EQ(run(BREAK, 1000, POLKIT_ACTION_MANAGE, false).result, POLKIT_UNAVAILABLE);
        run(HANG, 1000, POLKIT_ACTION_MANAGE, false);
        ASSERT_EQ(polkit_check_sender(NULL, ":1.7", POLKIT_ACTION_MANAGE, false, tell, NULL, &check), POLKIT_UNAVAILABLE);
        ASSERT_TRUE(!check);
}

int main(void) {
        test_answers();
        test_root();
        test_uid_only();
        test_failures();
        return 0;
}
