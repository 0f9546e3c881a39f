/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The bus is a convenience here: whatever goes wrong with it is logged once and tried again, and mail goes on. */

#include "basic/log.h"
#include "ipc/log-control.h"
#include "ipc/names.h"
#include "ipc/polkit.h"
#include "queued/queued-bus.h"
#include "queued/queued-operation.h"

#define RECONNECT_USEC (5 * USEC_PER_SEC)
#define LIST_MAX 1000U
#define CALLS_MAX 256U

struct Bus {
        Manager *manager;
        sd_bus *bus;
        sd_event_source *reconnect;
        size_t n_calls;
};

sd_bus *bus_get(const Manager *manager) {
        Bus *b = manager->bus;
        return b && b->bus && sd_bus_is_ready(b->bus) > 0 ? b->bus : NULL;
}

/* A call that waits for its right and its result. */
typedef struct BusCall {
        Manager *manager;
        sd_bus_message *message;
        Operation operation;
        bool list;
} BusCall;

static void call_end(BusCall *c) {
        if (c->manager->bus)
                c->manager->bus->n_calls--;
        sd_bus_message_unref(c->message);
        free(c);
}

static int reply_errno(sd_bus_message *message, const Operation *o, int r) {
        if (r == -ENOENT)
                return sd_bus_reply_method_errorf(message, POSTD_BUS_NAME ".NotFound", "Nothing is known as '%s'.",
                                                  strempty(o->id ?: o->text ?: o->what));
        if (r == -EBUSY)
                return sd_bus_reply_method_errorf(message, POSTD_BUS_NAME ".InFlight", "A delivery of '%s' is under way, try again.", strempty(o->id));
        if (r == -EINVAL)
                return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_INVALID_ARGS, "'%s' cannot be paused or resumed.", strempty(o->what));
        return sd_bus_reply_method_errno(message, r, NULL);
}

static int reply_show(sd_bus_message *message, const Message *m) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        r = operation_message_json(m->open, &v);
        if (r < 0)
                return r;
        r = sd_json_variant_format(v, 0, &text);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "s", text);
}

static void on_operation(Manager *manager _unused_, void *userdata, int r, Message *m) {
        BusCall *c = userdata;

        if (r < 0)
                r = reply_errno(c->message, &c->operation, r);
        else if (m)
                r = reply_show(c->message, m);
        else if (c->operation.verb == VERB_FLUSH)
                r = sd_bus_reply_method_return(c->message, "u", (uint32_t) r);
        else
                r = sd_bus_reply_method_return(c->message, NULL);
        if (r < 0)
                log_debug_errno(r, "Cannot answer a caller on the bus: %m");
        call_end(c);
}

static int reply_list(Manager *manager, sd_bus_message *message, uid_t uid) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ QueueId *ids = NULL;
        const char *after;
        size_t n, count = 0;
        int r;

        r = sd_bus_message_rewind(message, true);
        if (r >= 0)
                r = sd_bus_message_read(message, "s", &after);
        if (r >= 0)
                r = operation_list_ids(manager, uid, &ids, &n);
        if (r >= 0)
                r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(stubu)");
        for (size_t i = 0; r >= 0 && i < n && count < LIST_MAX; i++) {
                const Message *m = map_get(&manager->messages, ids[i].s);

                if (!m || strcmp(m->id.s, after) <= 0)
                        continue;
                r = sd_bus_message_append(reply, "(stubu)", m->id.s, m->size, (uint32_t) m->uid, (int) m->held, (uint32_t) m->n_recipients);
                count++;
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static void on_polkit(PolkitResult result, uid_t uid, void *userdata) {
        BusCall *c = userdata;
        const char *action = NULL;
        int r = 0;

        if (c->list) {
                r = uid == UID_UNKNOWN ? -EACCES : reply_list(c->manager, c->message, result == POLKIT_ALLOWED ? UID_UNKNOWN : uid);
                if (r < 0)
                        (void) sd_bus_reply_method_errno(c->message, r, NULL);
                call_end(c);
                return;
        }
        if (result != POLKIT_ALLOWED && uid != UID_UNKNOWN) {
                r = operation_action(c->manager, &c->operation, uid, &action);
                if (r >= 0 && !action) /* the caller's own message */
                        result = POLKIT_ALLOWED;
        }
        if (result != POLKIT_ALLOWED) {
                if (r < 0)
                        (void) reply_errno(c->message, &c->operation, r);
                else
                        (void) sd_bus_reply_method_errorf(c->message, result == POLKIT_INTERACTIVE ? SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED :
                                                                                             SD_BUS_ERROR_ACCESS_DENIED,
                                                          "Only root, those whom polkit allows %s, and for some things a message's own sender may do that.",
                                                          POLKIT_ACTION_MANAGE);
                call_end(c);
                return;
        }
        operation_run(c->manager, &c->operation, uid, on_operation, c);
}

static int start_call(Manager *manager, sd_bus_message *message, const Operation *o, bool list) {
        PolkitCheck *check = NULL;
        int r;

        if (manager->bus->n_calls >= CALLS_MAX)
                return -EBUSY;
        BusCall *c = new0(BusCall, 1);
        if (!c)
                return -ENOMEM;
        *c = (BusCall) { .manager = manager, .message = sd_bus_message_ref(message), .operation = *o, .list = list };
        manager->bus->n_calls++;
        /* Strings stay in the message. polkit finds the sender's uid out on the way. */
        r = polkit_check_sender(sd_bus_message_get_bus(message), sd_bus_message_get_sender(message),
                                list || IN_SET(o->verb, VERB_SHOW) ? POLKIT_ACTION_VIEW : POLKIT_ACTION_MANAGE,
                                sd_bus_message_get_allow_interactive_authorization(message) > 0, on_polkit, c, &check);
        if (r < 0) {
                call_end(c);
                return r;
        }
        if (r != POLKIT_PENDING)
                on_polkit(r, UID_UNKNOWN, c);
        return 1;
}

static int start_id(sd_bus_message *message, Manager *manager, Verb verb, bool reason) {
        Operation o = { .verb = verb, .recipient = RECIPIENT_NONE };
        int r;

        r = reason ? sd_bus_message_read(message, "ss", &o.id, &o.text) : sd_bus_message_read(message, "s", &o.id);
        if (r < 0)
                return r;
        if (o.text && strlen(o.text) > 255)
                return -EINVAL;
        return start_call(manager, message, &o, false);
}

static int start_what(sd_bus_message *message, Manager *manager, Verb verb) {
        Operation o = { .verb = verb };
        int r;

        r = sd_bus_message_read(message, "ss", &o.what, &o.text);
        if (r < 0)
                return r;
        if (isempty(o.text))
                o.text = NULL;
        return start_call(manager, message, &o, false);
}

#define DEFINE_METHOD(name, call)                                                                             \
        static int method_##name(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {     \
                return call;                                                                                  \
        }                                                                                                     \
        struct __dummy_##name

DEFINE_METHOD(hold, start_id(message, userdata, VERB_HOLD, true));
DEFINE_METHOD(release, start_id(message, userdata, VERB_RELEASE, false));
DEFINE_METHOD(remove, start_id(message, userdata, VERB_REMOVE, false));
DEFINE_METHOD(requeue, start_id(message, userdata, VERB_REQUEUE, false));
DEFINE_METHOD(show, start_id(message, userdata, VERB_SHOW, false));
DEFINE_METHOD(flush_message, start_id(message, userdata, VERB_FLUSH, false));
DEFINE_METHOD(pause, start_what(message, userdata, VERB_PAUSE));
DEFINE_METHOD(resume, start_what(message, userdata, VERB_RESUME));
DEFINE_METHOD(list, start_call(userdata, message, &(Operation) {}, true));

static int method_flush(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        Operation o = { .verb = VERB_FLUSH };
        int r;

        r = sd_bus_message_read(message, "s", &o.text);
        if (r < 0)
                return r;
        if (isempty(o.text))
                o.text = NULL;
        return start_call(userdata, message, &o, false);
}

static int get_number(sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error _unused_) {
        const Manager *m = userdata;
        uint64_t v = 0;

        if (streq(property, "Messages"))
                v = m->messages.size;
        else if (streq(property, "Recipients"))
                v = m->n_recipients;
        else if (streq(property, "Held"))
                v = m->n_held;
        else if (streq(property, "InFlight"))
                v = m->n_in_flight;
        else if (streq(property, "Received"))
                v = m->counters[COUNTER_RECEIVED];
        else if (streq(property, "Delivered"))
                v = m->counters[COUNTER_DELIVERED];
        else if (streq(property, "Deferred"))
                v = m->counters[COUNTER_DEFERRED];
        else if (streq(property, "Failed"))
                v = m->counters[COUNTER_FAILED] + m->counters[COUNTER_EXPIRED];
        return sd_bus_message_append(reply, "t", v);
}

static int get_version(sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_, const char *property _unused_,
                       sd_bus_message *reply, void *userdata _unused_, sd_bus_error *error _unused_) {
        return sd_bus_message_append(reply, "s", POSTD_VERSION);
}

static const char *const counter_properties[] = { "Messages", "Recipients", "Held", "InFlight", "Received", "Delivered", "Deferred", "Failed", NULL };

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Messages", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Recipients", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Held", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("InFlight", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Received", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Delivered", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Deferred", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Failed", "t", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("List", SD_BUS_ARGS("s", after), SD_BUS_RESULT("a(stubu)", messages), method_list, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Show", SD_BUS_ARGS("s", id), SD_BUS_RESULT("s", json), method_show, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Hold", SD_BUS_ARGS("s", id, "s", reason), SD_BUS_NO_RESULT, method_hold, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, method_release, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, method_remove, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Requeue", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, method_requeue, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Flush", SD_BUS_ARGS("s", destination), SD_BUS_RESULT("u", recipients), method_flush, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("FlushMessage", SD_BUS_ARGS("s", id), SD_BUS_RESULT("u", recipients), method_flush_message, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_ARGS("s", what, "s", name), SD_BUS_NO_RESULT, method_pause, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_ARGS("s", what, "s", name), SD_BUS_NO_RESULT, method_resume, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

void bus_counters_changed(Manager *manager) {
        sd_bus *bus = bus_get(manager);
        int r;

        if (!bus)
                return;
        r = sd_bus_emit_properties_changed_strv(bus, POSTD_BUS_PATH, POSTD_BUS_NAME, (char **) counter_properties);
        if (r < 0)
                log_debug_errno(r, "Cannot tell counters on the bus: %m");
}

static int bus_connect(Bus *b);

static int on_reconnect(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Bus *b = userdata;

        b->reconnect = sd_event_source_disable_unref(b->reconnect);
        (void) bus_connect(b);
        return 0;
}

static void reconnect_later(Bus *b) {
        b->bus = sd_bus_close_unref(b->bus);
        if (!b->reconnect)
                (void) sd_event_add_time_relative(b->manager->event, &b->reconnect, CLOCK_BOOTTIME, RECONNECT_USEC, USEC_PER_SEC, on_reconnect, b);
}

static int on_disconnected(sd_bus_message *message _unused_, void *userdata, sd_bus_error *error _unused_) {
        log_warning("The system bus is gone. Mail goes on; the bus is used again when it is back.");
        reconnect_later(userdata);
        return 0;
}

static int on_name(sd_bus_message *message, void *userdata _unused_, sd_bus_error *error _unused_) {
        const sd_bus_error *e = sd_bus_message_get_error(message);

        if (e)
                log_warning("Cannot take the name %s on the bus, going on without: %s", POSTD_BUS_NAME, strempty(e->message));
        return 0;
}

static int bus_connect(Bus *b) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, getenv("DBUS_SYSTEM_BUS_ADDRESS") ?: "unix:path=/run/dbus/system_bus_socket");
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_set_watch_bind(bus, true); /* where there is none yet, wait for it */
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, b->manager->event, SD_EVENT_PRIORITY_IDLE + 10);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, b);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, POSTD_BUS_PATH, POSTD_BUS_NAME, vtable, b->manager);
        if (r >= 0)
                r = log_control_add(bus, "postd-queued");
        if (r >= 0)
                r = sd_bus_request_name_async(bus, NULL, POSTD_BUS_NAME, 0, on_name, b);
        if (r < 0) {
                log_warning_errno(r, "Cannot use the system bus, going on without: %m");
                reconnect_later(b);
                return r;
        }
        b->bus = TAKE_PTR(bus);
        return 0;
}

int bus_start(Manager *manager) {
        Bus *b = new0(Bus, 1);
        if (!b)
                return -ENOMEM;
        b->manager = manager;
        manager->bus = b;
        (void) bus_connect(b);
        return 0;
}

Bus *bus_free(Bus *b) {
        if (!b)
                return NULL;
        sd_event_source_disable_unref(b->reconnect);
        sd_bus_close_unref(b->bus);
        return mfree(b);
}
