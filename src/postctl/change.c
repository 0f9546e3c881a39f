/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <time.h>

#include "basic/log.h"
#include "basic/text.h"
#include "postctl/client.h"
#include "postctl/json.h"
#include "postctl/list.h"
#include "postctl/queue.h"

/* With --all a message in delivery is waited for so long, and one that is gone was not meant. */
#define IN_FLIGHT_TRIES 50U
#define IN_FLIGHT_PAUSE (100 * USEC_PER_MSEC)

/* Adds what only some methods have. */
typedef int (*parameters_t)(Postctl *p, const char *id, sd_json_variant **parameters);

static int call_for_all(Postctl *p, const char *method, sd_json_variant *parameters, const char *what) {
        for (unsigned i = 0; i < IN_FLIGHT_TRIES; i++) {
                const char *error;
                sd_json_variant *reply;

                int r = client_try(p, method, parameters, &error, &reply);
                if (r >= 0 && (!error || streq(error, "io.postd.Queue.NoSuchMessage")))
                        return 0;
                if (r < 0 || !streq(error, "io.postd.Queue.InFlight"))
                        break;
                (void) nanosleep(&(struct timespec) { .tv_nsec = IN_FLIGHT_PAUSE * 1000 }, NULL);
        }
        return client_call(p, method, parameters, what, NULL); /* which says what it is */
}

/* Calls a method for each message: 0, 1 if it failed for some, -errno. */
static int for_each(Postctl *p, char **args, const char *method, const char *verb, parameters_t add) {
        _cleanup_(id_list_done) IdList ids = {};
        bool failed = false;
        int r;

        r = client_open(p);
        if (r != 0)
                return r > 0 ? client_absent() : r;
        r = queue_select(p, args, &ids, &failed);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ids.n; i++) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
                const char *id = ids.items[i].s;
                char what[64];

                r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("id", id));
                if (r < 0)
                        return log_oom();
                r = add ? add(p, id, &parameters) : 0;
                if (r < 0)
                        return r;
                (void) snprintf(what, sizeof(what), "%s message %s", verb, id);
                if (r == 0)
                        r = given(p, OPTION_ALL) ? call_for_all(p, method, parameters, what)
                                                 : client_call(p, method, parameters, what, NULL);
                if (r < 0)
                        return r;
                failed = failed || r > 0;
        }
        return failed;
}

static int add_reason(Postctl *p, const char *id _unused_, sd_json_variant **parameters) {
        if (!p->reason)
                return 0;
        return sd_json_variant_set_field_string(parameters, "reason", p->reason) < 0 ? log_oom() : 0;
}

/* --recipient= with queue ids: the number of that recipient, if it still waits. */
static int add_recipient(Postctl *p, const char *id, sd_json_variant **parameters) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *message = NULL;
        int r;

        if (!p->recipient || given(p, OPTION_ALL))
                return 0;
        r = queue_show(p, id, &message);
        if (r != 0)
                return r;
        sd_json_variant *recipients = sd_json_variant_by_key(message, "recipients");
        for (size_t i = 0; i < json_elements(recipients); i++) {
                sd_json_variant *recipient = sd_json_variant_by_index(recipients, i);

                if (recipient_is_pending(recipient) && streq_ptr(json_string(recipient, "address"), p->recipient)) {
                        r = sd_json_variant_set_field_unsigned(parameters, "recipient", json_number(recipient, "index"));
                        return r < 0 ? log_oom() : 0;
                }
        }
        _cleanup_free_ char *clean = text_sanitize(p->recipient, 200);
        log_error("Nothing waits for \"%s\" in message %s; see postctl show %s.", strempty(clean), id, id);
        return 1;
}

int verb_hold(Postctl *p, char **args) {
        return for_each(p, args, "Hold", "hold", add_reason);
}

int verb_release(Postctl *p, char **args) {
        return for_each(p, args, "Release", "release", NULL);
}

int verb_remove(Postctl *p, char **args) {
        return for_each(p, args, "Remove", "remove", add_recipient);
}

int verb_requeue(Postctl *p, char **args) {
        return for_each(p, args, "Requeue", "requeue", NULL);
}

static int flush_one(Postctl *p, const char *field, const char *value, const char *what, uint64_t *recipients) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        sd_json_variant *reply;
        int r;

        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_CONDITION(!!field, field ?: "", SD_JSON_BUILD_STRING(value)));
        if (r < 0)
                return log_oom();
        r = client_call(p, "Flush", parameters, what, &reply);
        if (r == 0)
                *recipients += json_number(reply, "recipients");
        return r;
}

int verb_flush(Postctl *p, char **args) {
        _cleanup_(id_list_done) IdList ids = {};
        uint64_t recipients = 0;
        bool failed = false;
        int r = 0;

        if (args[0] && p->destination)
                return log_error_errno(EINVAL, "Either queue ids or --destination=, not both.");
        if (!args[0])
                r = flush_one(p, p->destination ? "destination" : NULL, p->destination,
                              p->destination ? "flush the destination" : "flush the queue", &recipients);
        else
                r = queue_resolve(p, args, &ids, &failed);
        for (size_t i = 0; i < ids.n && r >= 0; i++) {
                char what[64];

                (void) snprintf(what, sizeof(what), "flush message %s", ids.items[i].s);
                r = flush_one(p, "id", ids.items[i].s, what, &recipients);
                failed = failed || r > 0;
        }
        if (r < 0)
                return r;
        if (args[0] ? ids.n > 0 && !failed : r == 0)
                printf("%" PRIu64 " recipient%s tried now.\n", recipients, recipients == 1 ? " is" : "s are");
        return failed || r > 0;
}

static int pause_or_resume(Postctl *p, char **args, const char *method) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        _cleanup_free_ char *clean = NULL;
        char what[400];
        int r;

        bool named = args[0] && STR_IN_SET(args[0], "destination", "listener");
        if (!args[0] || (named ? !args[1] || args[2] : args[1] || !STR_IN_SET(args[0], "all", "local", "relay")))
                return log_error_errno(EINVAL, "postctl %s needs one of: all, local, relay, destination NAME, listener NAME.", p->verb);
        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("what", args[0]),
                           SD_JSON_BUILD_PAIR_CONDITION(named, "name", SD_JSON_BUILD_STRING(args[1])));
        clean = text_sanitize(named ? args[1] : "", 200);
        if (r < 0 || !clean)
                return log_oom();
        (void) snprintf(what, sizeof(what), "%s %s%s%s", p->verb, args[0], named ? " " : "", clean);
        return client_call(p, method, parameters, what, NULL);
}

int verb_pause(Postctl *p, char **args) {
        return pause_or_resume(p, args, "Pause");
}

int verb_resume(Postctl *p, char **args) {
        return pause_or_resume(p, args, "Resume");
}
