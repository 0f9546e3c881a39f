/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "basic/strv.h"
#include "basic/text.h"
#include "postctl/client.h"
#include "postctl/json.h"
#include "postctl/offline.h"
#include "postctl/queue.h"

#define PIECE 200                            /* messages in one reply */
#define LIST_PATIENCE (30 * USEC_PER_SEC)
#define CANDIDATES_SHOWN 3U

typedef struct Scan {
        message_callback_t found;
        void *userdata;
        char last[QUEUE_ID_LENGTH + 1]; /* where to go on if the connection ends */
} Scan;

static int on_messages(sd_json_variant *reply, void *userdata) {
        sd_json_variant *messages = sd_json_variant_by_key(reply, "messages");
        Scan *s = userdata;
        int r = 0;

        for (size_t i = 0; i < json_elements(messages) && r >= 0; i++) {
                sd_json_variant *message = sd_json_variant_by_index(messages, i);
                const char *id = json_string(message, "id");

                if (!id || strlen(id) != QUEUE_ID_LENGTH || strcmp(id, s->last) <= 0)
                        return log_error_errno(EBADMSG, "postd lists messages in no order; is it of another version?");
                memcpy(s->last, id, sizeof(s->last));
                r = s->found(message, s->userdata);
        }
        return r;
}

static int each_online(Postctl *p, message_callback_t found, void *userdata) {
        Scan s = { found, userdata, "" };
        int r;

        for (;;) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
                char before[sizeof(s.last)];

                memcpy(before, s.last, sizeof(before));
                r = sd_json_buildo(&parameters,
                                   SD_JSON_BUILD_PAIR_CONDITION(!!p->sender, "sender", SD_JSON_BUILD_STRING(p->sender)),
                                   SD_JSON_BUILD_PAIR_CONDITION(!!p->recipient, "recipient", SD_JSON_BUILD_STRING(p->recipient)),
                                   SD_JSON_BUILD_PAIR_CONDITION(given(p, OPTION_HELD), "held", SD_JSON_BUILD_BOOLEAN(p->held)),
                                   SD_JSON_BUILD_PAIR_CONDITION(!!before[0], "after", SD_JSON_BUILD_STRING(before)),
                                   SD_JSON_BUILD_PAIR_INTEGER("limit", PIECE));
                if (r < 0)
                        return log_error_errno(r, "Failed to ask for the list; are the addresses UTF-8? %m");
                r = client_observe("List", parameters, "list the queue", LIST_PATIENCE, on_messages, &s);
                if (r != -ECONNRESET)
                        return r > 0 ? -EACCES : r;

                /* postd does not wait for ever for somebody who reads in a pager. Go on where it was, if it was
                 * anywhere. */
                if (strcmp(before, s.last) == 0)
                        return client_lost("list the queue");
        }
}

int queue_each(Postctl *p, message_callback_t found, void *userdata) {
        int r = offline_wanted(p);

        if (r < 0)
                return r;
        return r > 0 ? offline_each(p, found, userdata) : each_online(p, found, userdata);
}

int queue_show(Postctl *p, const char *id, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        sd_json_variant *reply;
        char what[64];
        int r;

        r = offline_wanted(p);
        if (r < 0)
                return r;
        if (r > 0)
                return offline_show(p, id, ret);
        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("id", id));
        if (r < 0)
                return log_oom();
        (void) snprintf(what, sizeof(what), "show message %s", id);
        r = client_call(p, "Show", parameters, what, &reply);
        if (r != 0)
                return r;
        *ret = sd_json_variant_ref(sd_json_variant_by_key(reply, "message"));
        return 0;
}

int queue_content(Postctl *p, const char *id, int *ret_fd) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *parameters = NULL;
        sd_json_variant *reply;
        char what[64];
        int r;

        r = offline_wanted(p);
        if (r < 0)
                return r;
        if (r > 0)
                return offline_content(p, id, ret_fd);
        r = sd_json_buildo(&parameters, SD_JSON_BUILD_PAIR_STRING("id", id));
        if (r < 0)
                return log_oom();
        (void) snprintf(what, sizeof(what), "read message %s", id);
        r = client_call(p, "Cat", parameters, what, &reply);
        if (r != 0)
                return r;
        r = sd_varlink_take_fd(p->link, json_number(reply, "content"));
        if (r < 0)
                return log_error_errno(r, "Failed to %s: postd sent no descriptor: %m", what);
        *ret_fd = r;
        return 0;
}

typedef struct Wanted {
        const char *part;
        char candidates[CANDIDATES_SHOWN][QUEUE_ID_LENGTH + 1];
        size_t n;
} Wanted;

typedef struct Search {
        Wanted *wanted;
        size_t n;
} Search;

static int compare_with_wanted(sd_json_variant *message, void *userdata) {
        const char *id = json_string(message, "id");
        Search *s = userdata;

        for (size_t i = 0; i < s->n; i++)
                if (queue_id_matches(id, s->wanted[i].part)) {
                        if (s->wanted[i].n < CANDIDATES_SHOWN)
                                (void) snprintf(s->wanted[i].candidates[s->wanted[i].n], QUEUE_ID_LENGTH + 1, "%s", id);
                        s->wanted[i].n++;
                }
        return 0;
}

/* What became of the search for one argument. */
static int take_match(const char *arg, const Wanted *w, IdList *ids, bool *failed) {
        if (w->n == 1)
                return id_list_add(ids, w->candidates[0]) < 0 ? log_oom() : 0;
        *failed = true;
        if (w->n == 0)
                log_error("No message in the queue has an id that begins or ends with \"%s\".", arg);
        else
                log_error("%zu messages in the queue have ids that begin or end with \"%s\": %s, %s%s%s.", w->n, arg,
                          w->candidates[0], w->candidates[1], w->n > 2 ? ", " : "",
                          w->n > CANDIDATES_SHOWN ? "..." : w->n > 2 ? w->candidates[2] : "");
        return 0;
}

int queue_resolve(Postctl *p, char **args, IdList *ids, bool *failed) {
        _cleanup_free_ Wanted *wanted = new0(Wanted, strv_length(args) + 1);
        Search search = { .wanted = wanted };
        int r = 0;

        if (!wanted)
                return log_oom();
        STRV_FOREACH(arg, args) {
                ascii_strlower(*arg);
                if (!queue_id_part_valid(*arg)) {
                        _cleanup_free_ char *shown = text_sanitize(*arg, 100);
                        log_error("\"%s\" is not a queue id: those have %u letters and digits, as postctl list shows them; "
                                  "the first or last %u and more will do.",
                                  strempty(shown), QUEUE_ID_LENGTH, ID_PART_MIN);
                        *failed = true;
                } else if (strlen(*arg) < QUEUE_ID_LENGTH)
                        wanted[search.n++].part = *arg;
        }
        if (search.n > 0) {
                r = queue_each(p, compare_with_wanted, &search);
                if (r < 0)
                        return r;
        }

        /* In the order of the arguments. */
        Wanted *next = wanted;
        STRV_FOREACH(arg, args) {
                if (next->part == *arg)
                        r = take_match(*arg, next++, ids, failed);
                else if (queue_id_part_valid(*arg))
                        r = id_list_add(ids, *arg) < 0 ? log_oom() : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int collect(sd_json_variant *message, void *userdata) {
        return id_list_add(userdata, strempty(json_string(message, "id"))) < 0 ? log_oom() : 0;
}

int queue_select(Postctl *p, char **args, IdList *ids, bool *failed) {
        if (given(p, OPTION_ALL)) {
                if (args[0])
                        return log_error_errno(EINVAL, "Either queue ids or --all, not both.");
                return queue_each(p, collect, ids);
        }
        if (!args[0])
                return log_error_errno(EINVAL, "Which messages? postctl %s needs queue ids, or --all.", p->verb);
        if (p->given & (OPTION_SENDER | OPTION_HELD))
                return log_error_errno(EINVAL, "--sender= and --held select from the whole queue: give --all with them, and "
                                               "no queue ids.");
        return queue_resolve(p, args, ids, failed);
}
