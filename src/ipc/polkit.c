/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <sys/random.h>

#include "basic/usec.h"
#include "envelope/envelope.h"
#include "ipc/polkit.h"

#define ANSWER_TIMEOUT (10 * USEC_PER_SEC)
#define USER_TIMEOUT (2 * USEC_PER_MINUTE)

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define FLAG_ALLOW_USER_INTERACTION 1U

/* Questions that polkit has at a time: one user's must not use up what the bus allows us (128), or polkit's memory. */
#define ASKED_MAX 64U
#define ASKED_PER_UID_MAX 8U

struct PolkitCheck {
        PolkitCheck *next_asked;
        sd_bus *bus;
        sd_bus_slot *slot;       /* the call that is under way */
        sd_event_source *timer;  /* ours, not that of the call: it works whatever became of the bus */
        char *sender;            /* bus name, or NULL for a varlink peer */
        char *action;
        char cancellation[33];
        bool interactive;
        bool asked;              /* polkit has the question */
        uid_t uid;
        polkit_callback_t callback;
        void *userdata;
};

static PolkitCheck *all_asked;

static PolkitCheck *check_free(PolkitCheck *c) {
        if (!c)
                return NULL;
        for (PolkitCheck **p = &all_asked; *p; p = &(*p)->next_asked)
                if (*p == c) {
                        *p = c->next_asked;
                        break;
                }
        sd_bus_slot_unref(c->slot);
        if (c->timer)
                sd_event_source_disable_unref(c->timer);
        sd_bus_unref(c->bus);
        free(c->sender);
        free(c->action);
        return mfree(c);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(PolkitCheck *, check_free);

/* The question is identified towards polkit by a string of ours; it must be unique per connection only. */
static int cancellation_id(char buffer[static 33]) {
        unsigned char random[16];

        if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
                return -EAGAIN;
        for (size_t i = 0; i < sizeof(random); i++)
                snprintf(buffer + 2 * i, 3, "%02x", random[i]);
        return 0;
}

static void withdraw(PolkitCheck *c) {
        if (c->asked)
                (void) sd_bus_call_method_async(c->bus, NULL, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                                "CancelCheckAuthorization", NULL, NULL, "s", c->cancellation);
}

static void finish(PolkitCheck *c, PolkitResult result) {
        polkit_callback_t callback = c->callback;
        void *userdata = c->userdata;
        uid_t uid = c->uid;

        check_free(c);
        callback(result, uid, userdata);
}

PolkitCheck *polkit_check_cancel(PolkitCheck *c) {
        if (c)
                withdraw(c);
        return check_free(c);
}

static int on_timeout(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        PolkitCheck *c = userdata;

        withdraw(c);
        finish(c, POLKIT_UNAVAILABLE);
        return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        PolkitCheck *c = userdata;
        int authorized, challenge;

        c->asked = false;
        if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_enter_container(m, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(m, "bb", &authorized, &challenge) < 0)
                finish(c, POLKIT_UNAVAILABLE);
        else if (authorized)
                finish(c, POLKIT_ALLOWED);
        else
                finish(c, challenge && !c->interactive ? POLKIT_INTERACTIVE : POLKIT_DENIED);
        return 0;
}

static bool too_many(uid_t uid) {
        size_t n = 0, n_uid = 0;

        for (const PolkitCheck *i = all_asked; i; i = i->next_asked) {
                n++;
                n_uid += i->uid == uid;
        }
        return n >= ASKED_MAX || n_uid >= ASKED_PER_UID_MAX;
}

/* pidfd only for a varlink peer; a pid alone could be somebody else's by now. */
static int ask_polkit(PolkitCheck *c, int pidfd) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (too_many(c->uid))
                return -EBUSY;
        r = sd_bus_message_new_method_call(c->bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        if (r < 0)
                return r;
        if (c->sender)
                r = sd_bus_message_append(m, "(sa{sv})", "system-bus-name", 1, "name", "s", c->sender);
        else
                r = sd_bus_message_append(m, "(sa{sv})", "unix-process", 2, "pidfd", "h", pidfd, "uid", "i", (int) c->uid);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "sa{ss}us", c->action, 0, c->interactive ? FLAG_ALLOW_USER_INTERACTION : 0,
                                  c->cancellation);
        if (r < 0)
                return r;
        c->slot = sd_bus_slot_unref(c->slot);
        r = sd_bus_call_async(c->bus, &c->slot, m, on_answer, c, UINT64_MAX);
        if (r < 0)
                return r;
        c->asked = true;
        c->next_asked = all_asked;
        all_asked = c;
        return 0;
}

static int on_uid(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        PolkitCheck *c = userdata;
        uint32_t uid;

        if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &uid) < 0) {
                finish(c, POLKIT_UNAVAILABLE);
                return 0;
        }
        c->uid = uid;
        if (uid == 0)
                finish(c, POLKIT_ALLOWED);
        else if (!c->action)
                finish(c, POLKIT_DENIED);
        else if (ask_polkit(c, -EBADF) < 0)
                finish(c, POLKIT_UNAVAILABLE);
        return 0;
}

static int check_new(sd_bus *bus, const char *action, bool interactive, polkit_callback_t callback, void *userdata,
                     PolkitCheck **ret) {
        _cleanup_(check_freep) PolkitCheck *c = new0(PolkitCheck, 1);
        int r;

        if (!c)
                return -ENOMEM;
        *c = (PolkitCheck) {
                .bus = sd_bus_ref(bus),
                .interactive = interactive,
                .uid = UID_UNKNOWN,
                .callback = callback,
                .userdata = userdata,
        };
        r = cancellation_id(c->cancellation);
        if (r < 0)
                return r;
        if (action && !(c->action = strdup(action)))
                return -ENOMEM;
        r = sd_event_add_time_relative(sd_bus_get_event(bus), &c->timer, CLOCK_BOOTTIME,
                                       interactive ? USER_TIMEOUT : ANSWER_TIMEOUT, 0, on_timeout, c);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

/* Is this a failure of the bus, rather than of ours? */
static int bus_failure(int r) {
        return r == -ENOMEM ? r : POLKIT_UNAVAILABLE;
}

static bool bus_usable(sd_bus *bus) {
        return bus && sd_bus_is_open(bus) > 0 && sd_bus_get_event(bus);
}

int polkit_check_varlink(sd_bus *bus, sd_varlink *link, const char *action, bool interactive,
                         polkit_callback_t callback, void *userdata, PolkitCheck **ret) {
        _cleanup_(check_freep) PolkitCheck *c = NULL;
        uid_t uid;
        int r;

        r = sd_varlink_get_peer_uid(link, &uid);
        if (r < 0)
                return r;
        if (uid == 0)
                return POLKIT_ALLOWED;

        int pidfd = sd_varlink_get_peer_pidfd(link);
        if (pidfd < 0 || !bus_usable(bus))
                return POLKIT_UNAVAILABLE;
        r = check_new(bus, action, interactive, callback, userdata, &c);
        if (r < 0)
                return r;
        c->uid = uid;
        r = ask_polkit(c, pidfd);
        if (r < 0)
                return bus_failure(r);
        *ret = TAKE_PTR(c);
        return POLKIT_PENDING;
}

int polkit_check_sender(sd_bus *bus, const char *sender, const char *action, bool interactive,
                        polkit_callback_t callback, void *userdata, PolkitCheck **ret) {
        _cleanup_(check_freep) PolkitCheck *c = NULL;
        int r;

        if (!bus_usable(bus))
                return POLKIT_UNAVAILABLE;
        r = check_new(bus, action, interactive, callback, userdata, &c);
        if (r < 0)
                return r;
        c->sender = strdup(sender);
        if (!c->sender)
                return -ENOMEM;
        r = sd_bus_call_method_async(bus, &c->slot, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                     "org.freedesktop.DBus", "GetConnectionUnixUser", on_uid, c, "s", sender);
        if (r < 0)
                return bus_failure(r);
        *ret = TAKE_PTR(c);
        return POLKIT_PENDING;
}
