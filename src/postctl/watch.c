/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "basic/text.h"
#include "postctl/client.h"
#include "postctl/json.h"
#include "postctl/postctl.h"

static Color event_color(const char *event) {
        return STR_IN_SET(event, "failed", "expired", "lost") ? COLOR_RED
               : STR_IN_SET(event, "deferred", "held")        ? COLOR_YELLOW
               : STR_IN_SET(event, "delivered")               ? COLOR_GREEN
                                                              : COLOR_NONE;
}

/* " <address>" or the like, clean; nothing for what is missing. */
static void print_part(const char *before, const char *value, const char *after) {
        _cleanup_free_ char *clean = value ? text_sanitize(value, 1000) : NULL;

        if (clean)
                printf("%s%s%s", before, clean, after);
}

static void print_event(const Postctl *p, sd_json_variant *v) {
        const char *event = strempty(json_string(v, "event"));
        time_t seconds = json_number(v, "time") / USEC_PER_SEC;
        _cleanup_free_ char *name = text_sanitize(event, 20);
        Color color = event_color(event);
        char time[16] = "";
        struct tm tm;

        if (localtime_r(&seconds, &tm))
                (void) strftime(time, sizeof(time), "%H:%M:%S", &tm);
        printf("%s  %s%-9s%s", time, color_on(&p->terminal, color), strempty(name), color_off(&p->terminal, color));
        print_part("  ", json_string(v, "id"), "");
        print_part("  from ", json_string(v, "sender"), "");
        print_part("  to ", json_string(v, "recipient"), "");
        print_part("  ", json_string(v, "status"), "");
        print_part("  ", json_string(v, "text"), "");
        if (streq(event, "lost"))
                printf("  %" PRIu64 " events, because this reader was too slow", json_number(v, "count"));
        putchar('\n');
}

static int on_event(sd_json_variant *v, void *userdata) {
        const Postctl *p = userdata;
        int r = 0;

        if (given(p, OPTION_JSON))
                r = json_print(stdout, v);
        else
                print_event(p, v);
        if (fflush(stdout) != 0)
                r = negative_errno();
        return r < 0 ? log_error_errno(r, "Failed to print an event: %m") : 0;
}

int verb_monitor(Postctl *p, char **args _unused_) {
        int r = client_observe("Monitor", NULL, "watch the queue", USEC_INFINITY, on_event, p);

        return r == -ECONNRESET ? client_lost("watch the queue") : r;
}

int verb_explain(Postctl *p, char **args) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        sd_json_variant *reply;
        int r;

        if (args[0] && p->to)
                return log_error_errno(EINVAL, "Either --to= or an address, not both.");
        const char *recipient = p->to ?: args[0];
        if (!recipient || (args[0] && args[1]))
                return log_error_errno(EINVAL, "postctl explain needs one recipient: postctl explain [--from=SENDER] --to=RECIPIENT");
        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("sender", strempty(p->from)),
                           SD_JSON_BUILD_PAIR_STRING("recipient", recipient));
        if (r < 0)
                return log_error_errno(r, "Failed to ask about this address; is it UTF-8? %m");
        r = client_call(p, "Explain", parameters, "explain", &reply);
        if (r != 0)
                return r;
        if (given(p, OPTION_JSON))
                return json_print(stdout, reply);
        sd_json_variant *steps = sd_json_variant_by_key(reply, "steps");
        for (size_t i = 0; i < json_elements(steps); i++) {
                sd_json_variant *step = sd_json_variant_by_index(steps, i);
                print_part("", sd_json_variant_is_string(step) ? sd_json_variant_string(step) : NULL, "\n");
        }
        return 0;
}
