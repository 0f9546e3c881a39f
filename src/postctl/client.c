/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>
#include <unistd.h>

#include "basic/log.h"
#include "basic/text.h"
#include "basic/usec.h"
#include "ipc/names.h"
#include "postctl/agent.h"
#include "postctl/client.h"
#include "postctl/json.h"

#define ANSWER_TIMEOUT (30 * USEC_PER_SEC)
/* With a question to the user on the way; longer than the queue manager waits for polkit. */
#define USER_TIMEOUT (3 * USEC_PER_MINUTE)

static bool is_absent(int r) {
        return IN_SET(r, -ENOENT, -ECONNREFUSED, -ENOTCONN, -ECONNRESET);
}

int client_absent(void) {
        log_error("postd is not running: nobody answers at %s. To start it: systemctl start postd.target",
                  POSTD_QUEUE_SOCKET);
        return -ENOTCONN;
}

/* As client_open(). */
static int connect_link(sd_varlink **ret) {
        _cleanup_(sd_varlink_close_unrefp) sd_varlink *link = NULL;
        int r;

        r = sd_varlink_connect_address(&link, POSTD_QUEUE_SOCKET);
        if (is_absent(r))
                return 1;
        if (r < 0)
                return log_error_errno(r, "Failed to connect to postd at %s: %m", POSTD_QUEUE_SOCKET);
        r = sd_varlink_set_relative_timeout(link, ANSWER_TIMEOUT);
        if (r >= 0)
                r = sd_varlink_set_allow_fd_passing_input(link, true);
        if (r < 0)
                return log_error_errno(r, "Failed to set up the connection to postd: %m");
        *ret = TAKE_PTR(link);
        return 0;
}

int client_open(Postctl *p) {
        return p->link ? 0 : connect_link(&p->link);
}

void client_close(Postctl *p) {
        p->link = sd_varlink_close_unref(p->link);
        agent_close(p->agent);
        p->agent = 0;
}

/* May polkit ask the user, here? Then what asks is started. */
static bool may_ask(Postctl *p) {
        if (given(p, OPTION_NO_ASK) || geteuid() == 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
                return false;
        if (p->agent == 0)
                p->agent = agent_open();
        (void) sd_varlink_set_relative_timeout(p->link, USER_TIMEOUT);
        return true;
}

/* Errors without parameters that matter. */
static const struct {
        const char *error, *text;
} error_texts[] = {
        { SD_VARLINK_ERROR_PERMISSION_DENIED,
          "only root and whom polkit allows may do that with messages of others; try sudo" },
        { SD_VARLINK_ERROR_INTERACTIVE_AUTHENTICATION_REQUIRED,
          "only root may do that with messages of others, or who gives polkit a password; try sudo, or a terminal" },
        { SD_VARLINK_ERROR_DISCONNECTED,
          "postd ended the connection; see journalctl -u postd-queued.service" },
        { SD_VARLINK_ERROR_TIMEOUT,
          "postd did not answer in time; see systemctl status postd-queued.service" },
        { SD_VARLINK_ERROR_PROTOCOL,
          "the answer makes no sense; is this postctl of the same version as postd?" },
        { SD_VARLINK_ERROR_METHOD_NOT_FOUND, "the postd that runs does not know that; is it an older version?" },
        { SD_VARLINK_ERROR_METHOD_NOT_IMPLEMENTED, "the postd that runs does not know that; is it an older version?" },
        { "io.postd.Queue.InFlight", "a delivery of it is under way; try again in a moment" },
};

char *client_explain(const char *what, const char *error, sd_json_variant *parameters) {
        _cleanup_free_ char *reason = NULL;
        char *text = NULL;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(error_texts); i++)
                if (streq(error, error_texts[i].error))
                        return asprintf(&text, "Failed to %s: %s.", what, error_texts[i].text) < 0 ? NULL : text;

        const char *field = streq(error, "io.postd.Queue.Failed")                ? "reason"
                            : streq(error, "io.postd.Queue.NoSuchMessage")       ? "id"
                            : streq(error, "io.postd.Queue.NoSuchDestination")   ? "name"
                            : streq(error, SD_VARLINK_ERROR_INVALID_PARAMETER)   ? "parameter"
                                                                                 : NULL;
        reason = text_sanitize(strempty(field ? json_string(parameters, field) : error), 500);
        if (!reason)
                return NULL;
        if (streq_ptr(field, "reason"))
                r = asprintf(&text, "Failed to %s: %s", what, reason);
        else if (streq_ptr(field, "id"))
                r = asprintf(&text, "Failed to %s: it is not in the queue (any more). Its history: journalctl POSTD_QUEUE_ID=%s",
                             what, reason);
        else if (streq_ptr(field, "name"))
                r = asprintf(&text, "Failed to %s: nothing is known by the name of \"%s\"; see postctl destinations.", what, reason);
        else if (field)
                r = asprintf(&text, "Failed to %s: postd does not take the value of \"%s\".", what, reason);
        else {
                int e = sd_varlink_error_to_errno(error, parameters);
                r = e == -EBADR ? asprintf(&text, "Failed to %s: %s", what, reason)
                                : asprintf(&text, "Failed to %s: %s", what, strerror(-e));
        }
        return r < 0 ? NULL : text;
}

int client_try(Postctl *p, const char *method, sd_json_variant *parameters, const char **ret_error, sd_json_variant **ret) {
        char name[64];
        int r;

        *ret_error = NULL;
        *ret = NULL;
        r = client_open(p);
        if (r != 0)
                return r > 0 ? -ENOTCONN : r;
        (void) snprintf(name, sizeof(name), "io.postd.Queue.%s", method);
        r = sd_varlink_call(p->link, name, parameters, ret, ret_error);
        if (r >= 0)
                return 0;
        /* The library reports the end of the connection here and not as an error of the method. */
        if (r == -ETIME || r == -ETIMEDOUT)
                *ret_error = SD_VARLINK_ERROR_TIMEOUT;
        else if (is_absent(r) || r == -EPIPE)
                *ret_error = SD_VARLINK_ERROR_DISCONNECTED;
        else if (IN_SET(r, -EPROTO, -EBADMSG))
                *ret_error = SD_VARLINK_ERROR_PROTOCOL;
        else
                return r;
        return 0;
}

int client_call(Postctl *p, const char *method, sd_json_variant *parameters, const char *what, sd_json_variant **ret) {
        _cleanup_free_ char *text = NULL;
        sd_json_variant *reply;
        const char *error;
        int r;

        r = client_try(p, method, parameters, &error, &reply);
        if (r >= 0 && streq_ptr(error, SD_VARLINK_ERROR_INTERACTIVE_AUTHENTICATION_REQUIRED) && may_ask(p)) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *more = sd_json_variant_ref(parameters);
                r = sd_json_variant_set_field_boolean(&more, "allowInteractiveAuthentication", true);
                if (r >= 0)
                        r = client_try(p, method, more, &error, &reply);
        }
        if (r == -ENOTCONN)
                return client_absent();
        if (r < 0)
                return log_error_errno(r, "Failed to %s: %m", what);
        if (!error) {
                if (ret)
                        *ret = reply;
                return 0;
        }
        text = client_explain(what, error, reply);
        if (!text)
                return log_oom();
        log_error("%s", text);
        return STR_IN_SET(error, SD_VARLINK_ERROR_DISCONNECTED, SD_VARLINK_ERROR_TIMEOUT, SD_VARLINK_ERROR_PROTOCOL,
                          SD_VARLINK_ERROR_METHOD_NOT_FOUND)
                       ? -EIO
                       : 1;
}

int client_lost(const char *what) {
        _cleanup_free_ char *text = client_explain(what, SD_VARLINK_ERROR_DISCONNECTED, NULL);

        log_error("%s", strempty(text));
        return -ECONNRESET;
}

typedef struct Observation {
        const char *what;
        client_reply_t reply;
        void *userdata;
        int result;
        bool ended;
} Observation;

static int on_reply(sd_varlink *link _unused_, sd_json_variant *v, const char *error, sd_varlink_reply_flags_t flags, void *userdata) {
        Observation *o = userdata;

        if (!error) {
                o->result = o->reply(v, o->userdata);
                o->ended = o->result < 0 || !(flags & SD_VARLINK_REPLY_CONTINUES);
                return 0;
        }
        o->ended = true;
        if (streq(error, SD_VARLINK_ERROR_DISCONNECTED)) {
                o->result = -ECONNRESET;
                return 0;
        }
        _cleanup_free_ char *text = client_explain(o->what, error, v);
        log_error("%s", strempty(text));
        o->result = 1;
        return 0;
}

int client_observe(const char *method, sd_json_variant *parameters, const char *what, usec_t patience, client_reply_t reply,
                   void *userdata) {
        /* A connection of its own: on one that has made a call before, libsystemd 257 takes that reply for the first one. */
        _cleanup_(sd_varlink_close_unrefp) sd_varlink *link = NULL;
        Observation o = { .what = what, .reply = reply, .userdata = userdata };
        char name[64];
        int r;

        r = connect_link(&link);
        if (r != 0)
                return r > 0 ? client_absent() : r;
        (void) snprintf(name, sizeof(name), "io.postd.Queue.%s", method);
        sd_varlink_set_userdata(link, &o);
        /* The library's time-out counts from the call, not from the last reply. */
        (void) sd_varlink_set_relative_timeout(link, UINT64_MAX);
        r = sd_varlink_bind_reply(link, on_reply);
        if (r >= 0)
                r = sd_varlink_observe(link, name, parameters);
        while (r >= 0 && !o.ended) {
                r = sd_varlink_process(link);
                if (r != 0)
                        continue;
                r = sd_varlink_wait(link, patience);
                if (r == 0)
                        r = -ETIMEDOUT;
        }
        if (o.ended)
                return o.result;
        if (is_absent(r) || r == -EPIPE)
                return -ECONNRESET;
        return log_error_errno(r, "Failed to %s: %m", what);
}
