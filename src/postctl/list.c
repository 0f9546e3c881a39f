/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/buf.h"
#include "basic/log.h"
#include "postctl/client.h"
#include "postctl/json.h"
#include "postctl/list.h"
#include "postctl/queue.h"
#include "postctl/table.h"

static const Column list_columns[] = {
        { "ID" },
        { "AGE", .right = true },
        { "SIZE", .right = true },
        { "STATE" },
        { "SENDER", .least = 12 },
        { "RECIPIENTS", .least = 12 },
        { "NEXT", .right = true },
        { "REASON", .least = 8 },
};
#define COLUMNS_NARROW 6U /* without the last ones, where there is no room for them */
#define NARROW 100U

bool recipient_is_pending(sd_json_variant *recipient) {
        return streq_ptr(json_string(recipient, "state"), "pending");
}

/* What the recipients that still wait have in common. */
typedef struct Summary {
        size_t waiting;
        bool tried;
        usec_t due;           /* the first to fall due */
        const char *first;    /* address */
        const char *reason;   /* of the last attempt, with its status */
        const char *status;
} Summary;

static Summary summarize(sd_json_variant *message) {
        sd_json_variant *recipients = sd_json_variant_by_key(message, "recipients");
        Summary s = { .due = USEC_INFINITY };

        for (size_t i = 0; i < json_elements(recipients); i++) {
                sd_json_variant *recipient = sd_json_variant_by_index(recipients, i);

                if (!recipient_is_pending(recipient))
                        continue;
                s.due = MIN(s.due, json_number(recipient, "due"));
                s.tried |= json_number(recipient, "tries") > 0;
                if (s.waiting++ == 0)
                        s.first = json_string(recipient, "address");
                if (!s.reason) {
                        s.reason = json_string(recipient, "reply");
                        s.status = json_string(recipient, "status");
                }
        }
        return s;
}

/* On a terminal one address and how many more; else all of them, separated by commas. */
static int format_recipients(sd_json_variant *message, const Summary *s, bool in_full, Buf *b) {
        sd_json_variant *recipients = sd_json_variant_by_key(message, "recipients");
        int r = 0;

        if (!in_full) {
                r = buf_append_str(b, strempty(s->first));
                if (r >= 0 && s->waiting > 1)
                        r = buf_appendf(b, " +%zu", s->waiting - 1);
                return r;
        }
        for (size_t i = 0; i < json_elements(recipients) && r >= 0; i++) {
                sd_json_variant *recipient = sd_json_variant_by_index(recipients, i);
                if (!recipient_is_pending(recipient))
                        continue;
                r = buf_appendf(b, "%s%s", b->size > 0 ? "," : "", strempty(json_string(recipient, "address")));
        }
        return r;
}

typedef struct Listing {
        Postctl *p;
        Table table;
        usec_t now;
        uint64_t messages, bytes;
} Listing;

static int list_row(Listing *l, sd_json_variant *message) {
        char age[FORMAT_AGE_MAX], next[FORMAT_AGE_MAX] = "", size[FORMAT_SIZE_MAX];
        _cleanup_buf_ Buf recipients = BUF_INIT, reason = BUF_INIT;
        Summary s = summarize(message);
        bool held = json_bool(message, "held");
        const char *sender = json_string(message, "sender"), *hold_reason = json_string(message, "holdReason");
        int r;

        if (!held && s.waiting > 0)
                format_age(next, usec_sub(s.due, l->now));
        r = format_recipients(message, &s, l->p->terminal.width == 0, &recipients);
        if (r >= 0 && held)
                r = buf_append_str(&reason, strempty(hold_reason));
        else if (r >= 0 && s.tried)
                r = buf_appendf(&reason, "%s%s%s", strempty(s.status), s.status && s.reason ? " " : "", strempty(s.reason));
        if (r < 0)
                return r;

        const char *cells[] = {
                json_string(message, "id"),
                format_age(age, usec_sub(l->now, json_number(message, "arrival"))),
                format_size(size, json_number(message, "size")),
                held ? "held" : s.waiting == 0 ? "done" : s.tried ? "deferred" : "new",
                isempty(sender) ? "<>" : sender,
                recipients.data,
                next,
                reason.data,
        };
        const Color colors[ELEMENTSOF(cells)] = {
                [1] = COLOR_GREY,
                [3] = held ? COLOR_YELLOW : COLOR_NONE,
                [7] = COLOR_GREY,
        };
        return table_row(&l->table, cells, colors);
}

static int list_message(sd_json_variant *message, void *userdata) {
        Listing *l = userdata;
        int r;

        l->messages++;
        l->bytes += json_number(message, "size");
        r = given(l->p, OPTION_JSON) ? json_print(stdout, message) : list_row(l, message);
        if (r >= 0 && ferror(stdout))
                r = -EIO;
        return r < 0 ? log_error_errno(r, "Failed to print the list: %m") : 0;
}

/* A list that is short because the queue manager has just been started should say so. */
static void warn_loading(Postctl *p) {
        sd_json_variant *status;
        const char *error;

        if (client_try(p, "Status", NULL, &error, &status) >= 0 && !error && json_bool(status, "loading"))
                log_warning("postd has just been started and still reads the spool: the list is not complete.");
}

int verb_list(Postctl *p, char **args _unused_) {
        bool json = given(p, OPTION_JSON), legend = !given(p, OPTION_NO_LEGEND) && !json;
        Listing l = { .p = p, .now = now_usec(CLOCK_REALTIME) };
        char size[FORMAT_SIZE_MAX];
        int r;

        l.table = TABLE_INIT(stdout, &p->terminal, list_columns, legend);
        if (p->terminal.width > 0 && p->terminal.width < NARROW)
                l.table.n_columns = COLUMNS_NARROW;
        if (!given(p, OPTION_SPOOL) && client_open(p) == 0)
                warn_loading(p);
        r = queue_each(p, list_message, &l);
        /* What was found is shown, also when something else was not readable. */
        if (!json && l.messages > 0 && table_flush(&l.table) < 0)
                r = log_oom();
        table_done(&l.table);
        if (r >= 0 && legend) {
                if (l.messages == 0)
                        printf("No messages.\n");
                else
                        printf("\n%" PRIu64 " message%s, %s.\n", l.messages, l.messages == 1 ? "" : "s",
                               format_size(size, l.bytes));
        }
        return r;
}
