/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "ipc/log-control.h"

static const char *log_target(void) {
        return getenv("JOURNAL_STREAM") ? "journal" : "console";
}

static int get_level(sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_,
                     const char *property _unused_, sd_bus_message *reply, void *userdata _unused_,
                     sd_bus_error *error _unused_) {
        return sd_bus_message_append(reply, "s", log_level_to_string(log_get_max_level()));
}

static int set_level(sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_,
                     const char *property _unused_, sd_bus_message *value, void *userdata _unused_, sd_bus_error *error) {
        const char *name;
        int r;

        r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        int level = log_level_from_string(name);
        if (level < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Not a log level: %s", name);
        log_set_max_level(level);
        return 0;
}

static int get_target(sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_,
                      const char *property _unused_, sd_bus_message *reply, void *userdata _unused_,
                      sd_bus_error *error _unused_) {
        return sd_bus_message_append(reply, "s", log_target());
}

static int set_target(sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_,
                      const char *property _unused_, sd_bus_message *value, void *userdata _unused_,
                      sd_bus_error *error) {
        const char *name;
        int r;

        r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        if (!streq(name, log_target()))
                return sd_bus_error_setf(error, SD_BUS_ERROR_NOT_SUPPORTED, "The log target is fixed: %s", log_target());
        return 0;
}

static int get_identifier(sd_bus *bus _unused_, const char *path _unused_, const char *interface _unused_,
                          const char *property _unused_, sd_bus_message *reply, void *userdata,
                          sd_bus_error *error _unused_) {
        return sd_bus_message_append(reply, "s", (const char *) userdata);
}

static const sd_bus_vtable log_control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, 0),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, 0),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

int log_control_add(sd_bus *bus, const char *identifier) {
        return sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1",
                                        log_control_vtable, (void *) identifier);
}
