/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* io.postd.Spawn: takes a number and the name of a class, and refuses everything else. */

#include "ipc/service.h"
#include "ipc/varlink-io.postd.h"
#include "spawnd/spawnd.h"

#define ROOT_MAIL_SESSIONS 2 /* beyond the limit, so that root's mail is never crowded out */

static int refuse(sd_varlink *link, const char *reason) {
        return sd_varlink_errorbo(link, "io.postd.Spawn.NotAllowed", SD_JSON_BUILD_PAIR_STRING("reason", reason));
}

static int method_open(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata) {
        struct {
                uint32_t uid;
                const char *class;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "uid", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint32, offsetof(typeof(p), uid), SD_JSON_MANDATORY },
                { "class", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), class), SD_JSON_MANDATORY },
                {},
        };
        Manager *m = userdata;
        int r;

        r = sd_varlink_dispatch(link, parameters, fields, &p);
        if (r != 0)
                return r;
        if (!(flags & SD_VARLINK_METHOD_MORE))
                return sd_varlink_error(link, SD_VARLINK_ERROR_EXPECTED_MORE, NULL);

        const char *reason = rules_refuse(m->rules, p.uid);
        if (reason)
                return refuse(link, reason);
        SessionClass class = session_class_from_string(p.class);
        if (class < 0)
                return refuse(link, "there is no such class");
        if (!session_class_program(class))
                return refuse(link, "sessions of this class cannot be started yet");
        if (m->n_sessions >= m->rules->sessions_max + (p.uid == m->rules->root_mail_uid ? ROOT_MAIL_SESSIONS : 0))
                return sd_varlink_error(link, "io.postd.Spawn.Busy", NULL);
        return session_open(m, link, p.uid, class);
}

static void on_disconnect(sd_varlink_server *server _unused_, sd_varlink *link, void *userdata) {
        Manager *m = userdata;

        for (Session *s = m->first; s; s = s->next)
                if (s->link == link) {
                        session_caller_gone(s);
                        return;
                }
}

int spawnd_varlink_server_new(Manager *m, unsigned connections_max, sd_varlink_server **ret) {
        _cleanup_(sd_varlink_server_unrefp) sd_varlink_server *server = NULL;
        int r;

        r = service_varlink_server_new(m->event, &vl_interface_io_postd_Spawn, SERVER_GIVES_FDS, connections_max, connections_max,
                                       m, &server);
        if (r < 0)
                return r;
        r = sd_varlink_server_bind_method(server, "io.postd.Spawn.Open", method_open);
        if (r < 0)
                return r;
        r = sd_varlink_server_bind_disconnect(server, on_disconnect);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(server);
        return 0;
}
