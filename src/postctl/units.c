/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "postctl/units.h"

#define UNITS_MAX 1000U

void unit_states_done(UnitStates *u) {
        for (size_t i = 0; i < u->n; i++) {
                free(u->items[i].name);
                free(u->items[i].active);
                free(u->items[i].sub);
        }
        free(u->items);
        *u = (UnitStates) {};
}

static int compare_states(const void *a, const void *b) {
        return strcmp(((const UnitState *) a)->name, ((const UnitState *) b)->name);
}

static int add_unit(UnitStates *u, const char *name, const char *active, const char *sub) {
        UnitState *p = reallocarray(u->items, u->n + 1, sizeof(UnitState));
        if (!p)
                return -ENOMEM;
        u->items = p;
        u->items[u->n] = (UnitState) { strdup(name), strdup(active), strdup(sub) };
        const UnitState *last = &u->items[u->n++];
        return last->name && last->active && last->sub ? 0 : -ENOMEM;
}

int unit_states_get(const char *const *patterns, UnitStates *ret) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(unit_states_done) UnitStates u = {};
        const char *name, *active, *sub;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_method_call_timeout(bus, 5 * USEC_PER_SEC);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                           "org.freedesktop.systemd1.Manager", "ListUnitsByPatterns");
        if (r < 0)
                return r;
        r = sd_bus_message_append_strv(m, NULL);
        if (r < 0)
                return r;
        r = sd_bus_message_append_strv(m, (char **) patterns);
        if (r < 0)
                return r;
        r = sd_bus_call(bus, m, 0, NULL, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
        while (r >= 0 && u.n < UNITS_MAX) {
                r = sd_bus_message_read(reply, "(ssssssouso)", &name, NULL, NULL, &active, &sub, NULL, NULL, NULL, NULL, NULL);
                if (r <= 0)
                        break;
                r = add_unit(&u, name, active, sub);
        }
        if (r < 0)
                return r;
        if (u.n > 1)
                qsort(u.items, u.n, sizeof(UnitState), compare_states);
        *ret = u;
        u = (UnitStates) {};
        return 0;
}

const UnitState *unit_states_find(const UnitStates *u, const char *name) {
        for (size_t i = 0; i < u->n; i++)
                if (streq(u->items[i].name, name))
                        return &u->items[i];
        return NULL;
}
