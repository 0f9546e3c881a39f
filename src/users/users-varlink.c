/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ipc/service.h"
#include "ipc/varlink-io.postd.h"
#include "users/users-varlink.h"

static int reply_failure(sd_varlink *link, int r) {
        const char *reason = r == -ETIMEDOUT || r == -EBUSY ? "the user database does not answer" : strerror(-r);

        return sd_varlink_errorbo(link, "io.postd.Table.TemporaryFailure", SD_JSON_BUILD_PAIR_STRING("reason", reason));
}

static int reply_user(sd_varlink *link, const User *u) {
        if (!u)
                return sd_varlink_error(link, "io.postd.Table.NotFound", NULL);
        return sd_varlink_replybo(
                        link,
                        SD_JSON_BUILD_PAIR("values", SD_JSON_BUILD_ARRAY(SD_JSON_BUILD_STRING(u->name))),
                        SD_JSON_BUILD_PAIR("user",
                                           SD_JSON_BUILD_OBJECT(SD_JSON_BUILD_PAIR_STRING("name", u->name),
                                                                SD_JSON_BUILD_PAIR_UNSIGNED("uid", u->uid),
                                                                SD_JSON_BUILD_PAIR_UNSIGNED("gid", u->gid),
                                                                SD_JSON_BUILD_PAIR_CONDITION(!!u->home, "home", SD_JSON_BUILD_STRING(u->home)),
                                                                SD_JSON_BUILD_PAIR_CONDITION(!!u->real_name, "realName", SD_JSON_BUILD_STRING(u->real_name)))));
}

/* A caller that has gone meanwhile is no error: replying to it fails and is forgotten. */
static void on_done(int r, const User *user, void *userdata) {
        _cleanup_(sd_varlink_unrefp) sd_varlink *link = userdata;

        (void) (r < 0 ? reply_failure(link, r) : reply_user(link, user));
}

static int method_lookup(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags _unused_,
                         void *userdata) {
        struct {
                const char *table;
                const char *key;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "table", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), table), SD_JSON_MANDATORY },
                { "key", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), key), SD_JSON_MANDATORY },
                {},
        };
        Asker *asker;
        int r;

        r = sd_varlink_dispatch(link, parameters, fields, &p);
        if (r != 0)
                return r;
        LookupTable table = lookup_table_from_string(p.table);
        if (table < 0)
                return sd_varlink_error(link, "io.postd.Table.NoSuchTable", NULL);

        r = lookups_ask(userdata, table, p.key, on_done, link, &asker);
        if (r < 0)
                return reply_failure(link, r);
        if (r > 0)
                return reply_user(link, NULL);
        sd_varlink_ref(link); /* dropped in on_done() */
        return 0;
}

int users_varlink_server_new(sd_event *event, Lookups *lookups, unsigned connections_max, sd_varlink_server **ret) {
        _cleanup_(sd_varlink_server_unrefp) sd_varlink_server *server = NULL;
        int r;

        r = service_varlink_server_new(event, &vl_interface_io_postd_Table, 0, connections_max, connections_max / 2, lookups,
                                       &server);
        if (r < 0)
                return r;
        r = sd_varlink_server_bind_method(server, "io.postd.Table.Lookup", method_lookup);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(server);
        return 0;
}
