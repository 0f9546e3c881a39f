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
        print_part("  from <", json_string(v, "sender"), ">");
        print_part("  to <", json_string(v, "recipient"), ">");
        print_part("  ", json_string(v, "status"), "");
        print_part("  ", json_string(v, "text"), "");
        if (streq(event, "lost"))
                printf("  %" PRIu64 " events, because this reader was too slow", json_number(v, "count"));
        putchar('\n');
}

typedef struct Watch {
        Postctl *p;
        int result;
        bool ended;
} Watch;

static int on_event(sd_varlink *link _unused_, sd_json_variant *v, const char *error, sd_varlink_reply_flags_t flags, void *userdata) {
        Watch *w = userdata;

        if (error) {
                _cleanup_free_ char *text = client_explain("watch the queue", error, v);
                log_error("%s", strempty(text));
                w->result = -EIO;
                w->ended = true;
                return 0;
        }
        if (given(w->p, OPTION_JSON))
                w->result = json_print(stdout, v);
        else
                print_event(w->p, v);
        if (fflush(stdout) != 0)
                w->result = negative_errno();
        w->ended = w->result < 0 || !(flags & SD_VARLINK_REPLY_CONTINUES);
        return 0;
}

int verb_monitor(Postctl *p, char **args _unused_) {
        Watch w = { .p = p };
        int r;

        r = client_open(p);
        if (r != 0)
                return r > 0 ? client_absent() : r;
        sd_varlink_set_userdata(p->link, &w);
        r = sd_varlink_set_relative_timeout(p->link, UINT64_MAX);
        if (r >= 0)
                r = sd_varlink_bind_reply(p->link, on_event);
        if (r >= 0)
                r = sd_varlink_observe(p->link, "io.postd.Queue.Monitor", NULL);
        while (r >= 0 && !w.ended) {
                r = sd_varlink_process(p->link);
                if (r == 0)
                        r = sd_varlink_wait(p->link, USEC_INFINITY);
        }
        if (w.ended)
                return w.result;
        if (IN_SET(r, -ENOTCONN, -ECONNRESET, -EPIPE))
                log_error("postd ended the connection; see journalctl -u postd-queued.service");
        else
                log_errno(LOG_ERR, r, "Failed to watch the queue: %m");
        return r;
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
