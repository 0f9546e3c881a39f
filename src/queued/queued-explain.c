/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "address/address.h"
#include "basic/log.h"
#include "basic/strv.h"
#include "ipc/names.h"
#include "queued/queued-explain.h"
#include "route/route.h"

#define LOOKUP_TIMEOUT_USEC (5 * USEC_PER_SEC)
#define STEPS_MAX 1000U
#define EXPLANATIONS_MAX 3U /* at once: look-ups may hang, and a thread is left for others */

typedef struct Explain {
        Work work;
        Manager *manager;
        sd_varlink *link;
        char *recipient;
        char **steps;
        size_t n_steps;
        int r;
} Explain;

static void explain_free(Explain *e) {
        sd_varlink_unref(e->link);
        free(e->recipient);
        strv_free(e->steps);
        free(e);
}

static int lookup(const char *name, uid_t *ret, void *userdata _unused_) {
        _cleanup_(sd_varlink_flush_close_unrefp) sd_varlink *link = NULL;
        sd_json_variant *reply, *uid;
        const char *error;
        int r;

        r = sd_varlink_connect_address(&link, POSTD_USERS_SOCKET);
        if (r < 0)
                return r;
        r = sd_varlink_set_relative_timeout(link, LOOKUP_TIMEOUT_USEC);
        if (r < 0)
                return r;
        r = sd_varlink_callbo(link, "io.postd.Table.Lookup", &reply, &error, SD_JSON_BUILD_PAIR_STRING("table", "users"),
                              SD_JSON_BUILD_PAIR_STRING("key", name));
        if (r < 0)
                return r;
        if (error)
                return streq(error, "io.postd.Table.NotFound") ? 0 : -EAGAIN;
        uid = sd_json_variant_by_key(sd_json_variant_by_key(reply, "user"), "uid");
        if (!sd_json_variant_is_unsigned(uid))
                return -EBADMSG;
        *ret = sd_json_variant_unsigned(uid);
        return 1;
}

static void add_step(const char *line, void *userdata) {
        Explain *e = userdata;

        if (e->r >= 0 && e->n_steps++ < STEPS_MAX)
                e->r = strv_extend(&e->steps, line);
}

static void ignore_report(int level _unused_, const char *line, void *userdata) {
        add_step(line, userdata);
}

static void explain_run(Work *w) {
        Explain *e = container_of(w, Explain, work);
        _cleanup_(router_freep) Router *router = NULL;
        int r;

        r = router_new(e->manager->config, &router);
        if (r >= 0)
                r = router_refresh(router, ignore_report, e);
        if (r >= 0)
                r = route_explain(router, e->recipient, lookup, add_step, e);
        if (r < 0)
                e->r = r;
}

static void explain_done(Work *w) {
        Explain *e = container_of(w, Explain, work);
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *list = NULL;
        int r = e->r;

        if (r >= 0)
                r = e->steps ? sd_json_variant_new_array_strv(&list, e->steps) : sd_json_variant_new_array(&list, NULL, 0);
        if (r < 0)
                r = sd_varlink_errorbo(e->link, "io.postd.Queue.Failed", SD_JSON_BUILD_PAIR_STRING("reason", strerror(-r)));
        else
                r = sd_varlink_replybo(e->link, SD_JSON_BUILD_PAIR_VARIANT("steps", list));
        if (r < 0)
                log_debug_errno(r, "Cannot answer a caller: %m");
        e->manager->n_explanations--;
        explain_free(e);
}

int explain_start(Manager *manager, sd_varlink *link, const char *recipient) {
        if (!address_valid(recipient, ADDRESS_UTF8 | ADDRESS_UNQUALIFIED))
                return sd_varlink_error_invalid_parameter_name(link, "recipient");

        if (manager->n_explanations >= EXPLANATIONS_MAX)
                return sd_varlink_errorbo(link, "io.postd.Queue.Failed", SD_JSON_BUILD_PAIR_STRING("reason", "Others are being explained, try again"));
        Explain *e = new0(Explain, 1);
        if (!e)
                return -ENOMEM;
        e->recipient = strdup(recipient);
        if (!e->recipient) {
                free(e);
                return -ENOMEM;
        }
        e->manager = manager;
        e->link = sd_varlink_ref(link);
        e->work = (Work) { .run = explain_run, .done = explain_done };
        manager->n_explanations++;
        pool_submit(manager->readers, &e->work);
        return 0;
}
