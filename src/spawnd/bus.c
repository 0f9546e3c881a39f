/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is said to PID 1 and heard from it, all of it without waiting. Signals about our units come without Subscribe()
 * because we hold a reference to each (AddRef); the bus drops the reference if we die, and with CollectMode= the unit
 * goes then. */

#include <stdio.h>
#include <sys/socket.h>

#include "basic/log.h"
#include "basic/strv.h"
#include "spawnd/spawnd.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"
#define PROPERTIES "org.freedesktop.DBus.Properties"

static int on_disconnected(sd_bus_message *message _unused_, void *userdata, sd_bus_error *error _unused_) {
        Manager *m = userdata;
        Session *next;

        log_warning("Lost the connection to the system bus.");
        m->disconnected = sd_bus_slot_unref(m->disconnected);
        m->bus = sd_bus_close_unref(m->bus);
        m->pumping = true; /* nothing new starts while the list is walked */
        for (Session *s = m->first; s; s = next) {
                next = s->next;
                session_bus_lost(s);
        }
        m->pumping = false;
        manager_pump(m);
        return 0;
}

int bus_connect(Manager *m) {
        int r;

        if (m->bus)
                return 0;
        r = sd_bus_open_system(&m->bus);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(m->bus, m->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal_async(m->bus, &m->disconnected, NULL, NULL, "org.freedesktop.DBus.Local", "Disconnected",
                                              on_disconnected, NULL, m);
        if (r < 0)
                m->bus = sd_bus_close_unref(m->bus);
        return r;
}

static int read_string(sd_bus_message *message, char *buffer, size_t size) {
        const char *s;
        int r;

        r = sd_bus_message_read(message, "v", "s", &s);
        if (r < 0)
                return r;
        snprintf(buffer, size, "%s", s);
        return 0;
}

static int read_invocation_id(sd_bus_message *message, char buffer[static 33]) {
        const uint8_t *p;
        size_t n;
        int r;

        r = sd_bus_message_enter_container(message, 'v', "ay");
        if (r < 0)
                return r;
        r = sd_bus_message_read_array(message, 'y', (const void **) &p, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; n == 16 && i < n; i++)
                snprintf(buffer + 2 * i, 3, "%02x", p[i]);
        return sd_bus_message_exit_container(message);
}

static int read_property(Session *s, const char *name, sd_bus_message *message) {
        UnitStatus *u = &s->status;
        char state[16];
        uint32_t job;
        int r;

        if (streq(name, "ActiveState")) {
                r = read_string(message, state, sizeof(state));
                if (r < 0)
                        return r;
                u->active = u->active || streq(state, "active");
                u->over = STR_IN_SET(state, "inactive", "failed");
                return 0;
        }
        if (streq(name, "Job")) {
                r = sd_bus_message_read(message, "v", "(uo)", &job, NULL);
                if (r < 0)
                        return r;
                u->has_job = job != 0;
                u->seen_job = u->seen_job || u->has_job;
                return 0;
        }
        if (streq(name, "InvocationID"))
                return read_invocation_id(message, u->invocation_id);
        if (streq(name, "Result"))
                return read_string(message, u->result, sizeof(u->result));
        if (streq(name, "ExecMainCode"))
                return sd_bus_message_read(message, "v", "i", &u->code);
        if (streq(name, "ExecMainStatus"))
                return sd_bus_message_read(message, "v", "i", &u->status);
        return sd_bus_message_skip(message, "v");
}

static int read_properties(Session *s, sd_bus_message *message) {
        const char *interface, *name;
        int r;

        r = sd_bus_message_read(message, "s", &interface);
        if (r < 0)
                return r;
        if (!STR_IN_SET(interface, SYSTEMD ".Unit", SYSTEMD ".Service"))
                return 0;
        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read(message, "s", &name);
                if (r < 0)
                        return r;
                r = read_property(s, name, message);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r;
}

static int on_properties(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        Session *s = userdata;
        int r;

        r = read_properties(s, message);
        if (r < 0) /* not what PID 1 sends; the deadline or the end of the bus settles it */
                return log_warning_errno(r, "Cannot read what systemd says about %s, ignoring: %m", s->unit), 0;
        session_advance(s);
        return 0;
}

static int append_list(sd_bus_message *m, const char *text) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = strv_split(text, " ", &words);
        return r < 0 ? r : sd_bus_message_append_strv(m, words);
}

static int append_filter(sd_bus_message *m, const char *text) {
        bool allow = text[0] != '~';
        int r;

        r = sd_bus_message_open_container(m, 'v', "(bas)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "bas");
        if (r >= 0)
                r = sd_bus_message_append(m, "b", allow);
        if (r >= 0)
                r = append_list(m, text + !allow);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_strings(sd_bus_message *m, const char *text) {
        int r;

        r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = append_list(m, text);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_any_ip(sd_bus_message *m) {
        static const uint8_t zero[16] = {};
        int r;

        r = sd_bus_message_open_container(m, 'v', "a(iayu)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(iayu)");
        for (int i = 0; r >= 0 && i < 2; i++) {
                r = sd_bus_message_open_container(m, 'r', "iayu");
                if (r >= 0)
                        r = sd_bus_message_append(m, "i", i == 0 ? AF_INET : AF_INET6);
                if (r >= 0)
                        r = sd_bus_message_append_array(m, 'y', zero, i == 0 ? 4 : 16);
                if (r >= 0)
                        r = sd_bus_message_append(m, "u", 0);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_value(sd_bus_message *m, const Property *p) {
        switch (p->type) {
        case PROPERTY_STRING:
                return sd_bus_message_append(m, "v", "s", p->text);
        case PROPERTY_LIST:
                return append_strings(m, p->text);
        case PROPERTY_FILTER:
                return append_filter(m, p->text);
        case PROPERTY_BOOL:
                return sd_bus_message_append(m, "v", "b", (int) p->number);
        case PROPERTY_INT:
                return sd_bus_message_append(m, "v", "i", (int) p->number);
        case PROPERTY_MODE:
                return sd_bus_message_append(m, "v", "u", (uint32_t) p->number);
        case PROPERTY_NUMBER:
        case PROPERTY_USEC:
        case PROPERTY_NONE:
                return sd_bus_message_append(m, "v", "t", p->number);
        case PROPERTY_ANY_IP:
                return append_any_ip(m);
        }
        return -EINVAL;
}

static int append_property(sd_bus_message *m, const Property *p) {
        int r;

        r = sd_bus_message_open_container(m, 'r', "sv");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", p->bus ?: p->key);
        if (r >= 0)
                r = append_value(m, p);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* What differs from session to session. No text among it comes from our caller: the numbers are our own, the home
 * comes from the user database, the name of the maildir from the root-owned configuration. */
static int append_session(sd_bus_message *m, const Session *s, int fd) {
        const char *program = session_class_program(s->class), *class = session_class_to_string(s->class);
        const char *maildir = s->class == CLASS_HOME ? s->manager->rules->maildir : NULL;
        _cleanup_free_ char *user = NULL, *description = NULL, *option = NULL, *writable = NULL;
        int r;

        if (asprintf(&user, "%u", s->uid) < 0 || asprintf(&description, "Mail Delivery to Uid %u, %s", s->uid, class) < 0 ||
            (maildir && asprintf(&option, "--maildir=%s", maildir) < 0) ||
            (s->home && asprintf(&writable, "-%s", s->home) < 0))
                return -ENOMEM;

        r = sd_bus_message_append(m, "(sv)(sv)(sv)", "Description", "s", description, "User", "s", user, "AddRef", "b", true);
        /* The same list twice: varargs end where the count says. */
        if (r >= 0)
                r = option ? sd_bus_message_append(m, "(sv)", "ExecStartEx", "a(sasas)", 1, program, 3, program, class, option, 1,
                                                   "no-env-expand")
                           : sd_bus_message_append(m, "(sv)", "ExecStartEx", "a(sasas)", 1, program, 2, program, class, 1,
                                                   "no-env-expand");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)", "ExtraFileDescriptors", "a(hs)", 1, fd, "varlink");
        if (r >= 0 && s->class != CLASS_MAILBOX)
                r = sd_bus_message_append(m, "(sv)(sv)", "RequiresMountsFor", "as", 1, s->home, "ReadWritePaths", "as", 1, writable);
        return r;
}

static int on_start_reply(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        Session *s = userdata;

        s->call = sd_bus_slot_unref(s->call);
        if (sd_bus_message_is_method_error(message, NULL)) {
                bus_unref_unit(s); /* the unit may exist, with our reference, and only its job not */
                session_fail(s, strempty(sd_bus_message_get_error(message)->message), 0);
                return 0;
        }
        s->status.seen_job = true;
        session_advance(s);
        return 0;
}

int bus_start_unit(Session *s, int fd) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = s->manager->bus;
        const Property *p;
        int r;

        r = sd_bus_match_signal_async(bus, &s->match, SYSTEMD, s->path, PROPERTIES, "PropertiesChanged", on_properties, NULL, s);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, "StartTransientUnit");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "ss", s->unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_session(m, s, fd);
        for (size_t i = 0; r >= 0 && (p = session_class_property(s->class, i)); i++)
                r = append_property(m, p);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, &s->call, m, on_start_reply, s, 0);
}

static int on_usage(sd_bus_message *message, uint64_t *ret) {
        return sd_bus_message_is_method_error(message, NULL) ? -EIO : sd_bus_message_read(message, "v", "t", ret);
}

static int on_memory(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        Session *s = userdata;

        (void) on_usage(message, &s->status.memory_peak);
        s->n_gets--;
        return 0;
}

static int on_cpu(sd_bus_message *message, void *userdata, sd_bus_error *error _unused_) {
        Session *s = userdata;

        (void) on_usage(message, &s->status.cpu_usage);
        s->n_gets--;
        session_advance(s);
        return 0;
}

int bus_ask_usage(Session *s) {
        sd_bus *bus = s->manager->bus;
        int r;

        /* Replies come in the order of the calls, so the second one ends it. */
        r = sd_bus_call_method_async(bus, &s->memory_call, SYSTEMD, s->path, PROPERTIES, "Get", on_memory, s, "ss", SYSTEMD ".Service",
                                     "MemoryPeak");
        if (r < 0)
                return r;
        s->n_gets++;
        r = sd_bus_call_method_async(bus, &s->call, SYSTEMD, s->path, PROPERTIES, "Get", on_cpu, s, "ss", SYSTEMD ".Service",
                                     "CPUUsageNSec");
        if (r < 0) {
                s->n_gets--;
                return r;
        }
        s->n_gets++;
        return 0;
}

/* Nobody waits for the answer. */
static void tell_manager(Session *s, const char *method, const char *signature, const char *argument) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        sd_bus *bus = s->manager->bus;

        if (!bus || sd_bus_message_new_method_call(bus, &m, SYSTEMD, MANAGER_PATH, MANAGER, method) < 0 ||
            sd_bus_message_append(m, signature, s->unit, argument) < 0)
                return;
        (void) sd_bus_message_set_expect_reply(m, false);
        (void) sd_bus_send(bus, m, NULL);
}

void bus_unref_unit(Session *s) {
        tell_manager(s, "UnrefUnit", "s", NULL);
}

void bus_stop_unit(Session *s) {
        tell_manager(s, "StopUnit", "ss", "replace");
}
