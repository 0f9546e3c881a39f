/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <unistd.h>

#include "basic/buf.h"
#include "basic/log.h"
#include "basic/text.h"
#include "postctl/client.h"
#include "postctl/json.h"
#include "postctl/offline.h"
#include "postctl/postctl.h"
#include "postctl/table.h"
#include "postctl/units.h"

#define STATUS_NOT_RUNNING 3 /* as of an init script, and systemctl */
#define DESTINATIONS_SHOWN 10U

static const char *const status_units[] = { "postd-queued.service", "postd-smtpd@*.socket", "postd-smtpd-session@*.socket", NULL };

/* "smtp, submission (failed)": the receivers' sockets, without the frame of their names. */
static void print_listeners(const Postctl *p, const UnitStates *units) {
        _cleanup_buf_ Buf b = BUF_INIT;
        bool failed = false;

        for (size_t i = 0; i < units->n; i++) {
                const UnitState *u = &units->items[i];
                const char *at = strchr(u->name, '@'), *end = strrchr(u->name, '.');

                if (!at || !end || end < at)
                        continue;
                (void) buf_appendf(&b, "%s%.*s", b.size > 0 ? ", " : "", (int) (end - at - 1), at + 1);
                if (!streq(u->active, "active")) {
                        (void) buf_appendf(&b, " (%s)", u->active);
                        failed = failed || streq(u->active, "failed");
                }
        }
        if (units->n > 0)
                print_field(&p->terminal, failed ? COLOR_RED : COLOR_NONE, "Listeners", b.size > 0 ? b.data : "none");
}

static int count(sd_json_variant *message _unused_, void *userdata) {
        ++*(uint64_t *) userdata;
        return 0;
}

/* The queue manager is not there: what systemd knows, and how much lies in the spool. */
static int print_absent(Postctl *p, const UnitStates *units) {
        const UnitState *u = unit_states_find(units, status_units[0]);
        uint64_t messages = 0;
        char text[200];

        bool failed = u && streq(u->active, "failed");
        printf("%s%s%s postd is not running\n", color_on(&p->terminal, failed ? COLOR_RED : COLOR_YELLOW), failed ? "×" : "○",
               color_off(&p->terminal, COLOR_RED));
        if (u)
                (void) snprintf(text, sizeof(text), "%s (%s)", u->active, u->sub);
        else
                strcpy(text, "not loaded");
        print_field(&p->terminal, failed ? COLOR_RED : COLOR_NONE, status_units[0], text);
        print_listeners(p, units);
        p->given |= OPTION_SPOOL;
        if (geteuid() == 0 && offline_each(p, count, &messages) >= 0) {
                (void) snprintf(text, sizeof(text), "%" PRIu64 " message%s in the spool", messages, messages == 1 ? "" : "s");
                print_field(&p->terminal, COLOR_NONE, "Queue", text);
        }
        printf("\nTo start it: systemctl start postd.target\nIts log:     journalctl -u %s\n", status_units[0]);
        return STATUS_NOT_RUNNING;
}

static bool in_trouble(sd_json_variant *destination) {
        return json_bool(destination, "paused") || json_number(destination, "failures") > 0;
}

static const Column destination_columns[] = {
        { "DESTINATION", .least = 12 },
        { "WAITING", .right = true },
        { "IN DELIVERY", .right = true },
        { "FAILURES", .right = true },
        { "STATE" },
};

/* All of them, or those in trouble, and of these only the first few. Returns how many were not shown, or -errno. */
static int print_destinations(Postctl *p, sd_json_variant *destinations, bool troubled, bool legend) {
        Table table = TABLE_INIT(stdout, &p->terminal, destination_columns, legend);
        usec_t now = now_usec(CLOCK_REALTIME);
        int r = 0, shown = 0, more = 0;

        for (size_t i = 0; i < json_elements(destinations) && r >= 0; i++) {
                sd_json_variant *d = sd_json_variant_by_index(destinations, i);
                char waiting[24], flying[24], failures[24], state[FORMAT_RELATIVE_MAX + 16] = "ready";
                usec_t not_before = json_number(d, "notBefore");
                Color color = COLOR_NONE;

                if (troubled && !in_trouble(d))
                        continue;
                if (troubled && shown++ >= (int) DESTINATIONS_SHOWN) {
                        more++;
                        continue;
                }
                if (json_bool(d, "paused")) {
                        strcpy(state, "paused");
                        color = COLOR_YELLOW;
                } else if (not_before > now) {
                        char relative[FORMAT_RELATIVE_MAX];
                        (void) snprintf(state, sizeof(state), "next try %s", format_relative(relative, now, not_before));
                        color = COLOR_RED;
                }
                (void) snprintf(waiting, sizeof(waiting), "%" PRIu64, json_number(d, "waiting"));
                (void) snprintf(flying, sizeof(flying), "%" PRIu64, json_number(d, "inFlight"));
                (void) snprintf(failures, sizeof(failures), "%" PRIu64, json_number(d, "failures"));
                r = table_row(&table, (const char *[]) { json_string(d, "name"), waiting, flying, failures, state },
                              (const Color[ELEMENTSOF(destination_columns)]) { [4] = color });
        }
        if (r >= 0 && table.n_rows > 0)
                r = table_flush(&table);
        table_done(&table);
        return r < 0 ? r : more;
}

static void print_paused(const Postctl *p, sd_json_variant *paused) {
        _cleanup_buf_ Buf b = BUF_INIT;

        for (size_t i = 0; i < json_elements(paused); i++) {
                sd_json_variant *what = sd_json_variant_by_index(paused, i);
                if (sd_json_variant_is_string(what))
                        (void) buf_appendf(&b, "%s%s", b.size > 0 ? ", " : "", sd_json_variant_string(what));
        }
        if (b.size > 0)
                print_field(&p->terminal, COLOR_YELLOW, "Paused", b.data);
}

static int print_status(Postctl *p, sd_json_variant *status, const UnitStates *units) {
        const char *error = json_string(status, "configurationError");
        sd_json_variant *destinations = sd_json_variant_by_key(status, "destinations");
        uint64_t held = json_number(status, "held"), damaged = json_number(status, "damaged");
        _cleanup_free_ char *host = text_sanitize(strempty(json_string(status, "hostName")), 255);
        _cleanup_free_ char *version = text_sanitize(strempty(json_string(status, "version")), 50);
        char text[256], size[FORMAT_SIZE_MAX];
        bool trouble = error || damaged > 0;

        printf("%s%s%s postd %s on %s\n", color_on(&p->terminal, trouble ? COLOR_RED : COLOR_GREEN), "●",
               color_off(&p->terminal, COLOR_GREEN), strempty(version), strempty(host));
        (void) snprintf(text, sizeof(text), "%" PRIu64 " message%s for %" PRIu64 " recipient%s, %" PRIu64 " in delivery%s",
                        json_number(status, "messages"), json_number(status, "messages") == 1 ? "" : "s",
                        json_number(status, "recipients"), json_number(status, "recipients") == 1 ? "" : "s",
                        json_number(status, "inFlight"), json_bool(status, "loading") ? "; the spool is still being read" : "");
        print_field(&p->terminal, COLOR_NONE, "Queue", text);
        if (held > 0) {
                (void) snprintf(text, sizeof(text), "%" PRIu64 " (postctl list --held)", held);
                print_field(&p->terminal, COLOR_YELLOW, "Held", text);
        }
        print_paused(p, sd_json_variant_by_key(status, "paused"));
        (void) snprintf(text, sizeof(text), "%s free", format_size(size, json_number(status, "freeBytes")));
        print_field(&p->terminal, COLOR_NONE, "Spool", text);
        if (damaged > 0) {
                (void) snprintf(text, sizeof(text), "%" PRIu64 " file%s set aside; see postd-queue(5)", damaged, damaged == 1 ? "" : "s");
                print_field(&p->terminal, COLOR_RED, "Damaged", text);
        }
        if (error) {
                print_field(&p->terminal, COLOR_RED, "Configuration", error);
                printf("%*s  The last good one is in use; see postctl check-config\n", FIELD_WIDTH, "");
        }
        print_listeners(p, units);

        size_t troubled = 0;
        for (size_t i = 0; i < json_elements(destinations); i++)
                troubled += in_trouble(sd_json_variant_by_index(destinations, i));
        if (troubled == 0)
                return 0;
        putchar('\n');
        int more = print_destinations(p, destinations, true, true);
        if (more > 0)
                printf("and %d more; see postctl destinations\n", more);
        return more < 0 ? log_oom() : 0;
}

int verb_status(Postctl *p, char **args _unused_) {
        _cleanup_(unit_states_done) UnitStates units = {};
        sd_json_variant *reply;
        int r;

        /* Without systemd or a bus the rest is still worth showing. */
        if (!given(p, OPTION_JSON))
                (void) unit_states_get(status_units, &units);
        r = client_open(p);
        if (r > 0 && !given(p, OPTION_JSON))
                return print_absent(p, &units);
        if (r != 0)
                return r > 0 ? client_absent() : r;
        r = client_call(p, "Status", NULL, "get the status", &reply);
        if (r != 0)
                return r;
        if (given(p, OPTION_JSON))
                return json_print(stdout, reply);
        return print_status(p, reply, &units);
}

int verb_destinations(Postctl *p, char **args _unused_) {
        sd_json_variant *reply;
        int r;

        r = client_call(p, "Status", NULL, "list the destinations", &reply);
        if (r != 0)
                return r;
        sd_json_variant *destinations = sd_json_variant_by_key(reply, "destinations");
        if (given(p, OPTION_JSON)) {
                for (size_t i = 0; i < json_elements(destinations) && r >= 0; i++)
                        r = json_print(stdout, sd_json_variant_by_index(destinations, i));
                return r;
        }
        bool legend = !given(p, OPTION_NO_LEGEND);
        r = print_destinations(p, destinations, false, legend);
        if (r >= 0 && legend && json_elements(destinations) == 0)
                printf("No destinations.\n");
        return r < 0 ? log_oom() : 0;
}

int verb_metrics(Postctl *p, char **args _unused_) {
        static const Column columns[] = { { "METRIC" }, { "VALUE", .right = true } };
        Table table = TABLE_INIT(stdout, &p->terminal, columns, !given(p, OPTION_NO_LEGEND));
        sd_json_variant *reply;
        int r;

        r = client_call(p, "Metrics", NULL, "get the metrics", &reply);
        if (r != 0)
                return r;
        sd_json_variant *metrics = sd_json_variant_by_key(reply, "metrics");
        for (size_t i = 0; i < json_elements(metrics) && r >= 0; i++) {
                sd_json_variant *metric = sd_json_variant_by_index(metrics, i);
                char value[24];

                if (given(p, OPTION_JSON)) {
                        r = json_print(stdout, metric);
                        continue;
                }
                (void) snprintf(value, sizeof(value), "%" PRIu64, json_number(metric, "value"));
                r = table_row(&table, (const char *[]) { json_string(metric, "name"), value }, NULL);
        }
        if (r >= 0 && !given(p, OPTION_JSON))
                r = table_flush(&table);
        table_done(&table);
        return r < 0 ? log_oom() : 0;
}
