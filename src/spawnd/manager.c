/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "spawnd/spawnd.h"

static void report(int level, const char *line, void *userdata _unused_) {
        log_full_errno(level, 0, "%s", line);
}

int manager_new(sd_event *event, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = new0(Manager, 1);
        int r;

        if (!m)
                return -ENOMEM;
        m->last = &m->first;
        m->event = sd_event_ref(event);
        r = rules_load(report, &m->rules);
        if (r < 0) {
                log_error("Going by the defaults: sessions for people only.");
                r = rules_new(&m->rules);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        while (m->first)
                session_free(m->first);
        sd_bus_slot_unref(m->disconnected);
        sd_bus_flush_close_unref(m->bus);
        rules_free(m->rules);
        sd_event_unref(m->event);
        return mfree(m);
}

void manager_reload(Manager *m) {
        Rules *rules;

        if (rules_load(report, &rules) < 0) {
                log_error("The configuration was not taken over; going on with the former one.");
                return;
        }
        rules_free(m->rules);
        m->rules = rules;
}

bool manager_busy(const Manager *m) {
        return m->first != NULL;
}

static Session *find_startable(const Manager *m) {
        for (Session *s = m->first; s; s = s->next)
                if (s->state == SESSION_WAITING &&
                    (s->uid == m->rules->root_mail_uid ? m->n_starting_root < 1 : m->n_starting < STARTS_MAX))
                        return s;
        return NULL;
}

void manager_pump(Manager *m) {
        Session *s;

        if (m->pumping)
                return; /* a start has failed at once; the loop below goes on */
        m->pumping = true;
        while ((s = find_startable(m)))
                session_start(s); /* is not waiting any more, whatever comes of it */
        m->pumping = false;
}
