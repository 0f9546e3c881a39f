/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/fd.h"
#include "deliver/loop.h"
#include "deliver/session.h"
#include "ipc/service.h"
#include "ipc/varlink-io.postd.h"

#define LINGER (10 * USEC_PER_SEC)
#define AGE_MAX (30 * USEC_PER_MINUTE) /* well before the unit's RuntimeMaxSec= */
#define BATCH_MAX 64U                  /* copies per reply: what is synced together */

typedef struct Session {
        sd_event *event;
        store_t deliver;
        void *store;
        sd_varlink *link;
        Request *request;          /* under way */
        size_t n_done;             /* of its copies */
        bool more;                 /* the caller takes several replies */
        sd_event_source *next_batch;
        usec_t began;
        bool ending;
} Session;

static void session_done(Session *s) {
        sd_event_source_disable_unref(s->next_batch);
        request_free(s->request);
        sd_varlink_unref(s->link);
}

/* Ends the session once the reply has left: the peer sees its answer, then the end of the connection. */
static void session_end(Session *s) {
        if (s->link)
                (void) sd_varlink_flush(s->link);
        sd_event_exit(s->event, EXIT_SUCCESS);
}

static int reply(Session *s, size_t begin, size_t end, bool last) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *v = NULL;
        int r;

        r = copies_to_json(s->request->copies + begin, end - begin, &v);
        if (r < 0)
                return r;
        return last ? sd_varlink_reply(s->link, v) : sd_varlink_notify(s->link, v);
}

/* One batch, and the event loop before the next, so that replies leave meanwhile. */
static int deliver_batch(Session *s) {
        Request *request = s->request;
        size_t begin = s->n_done, end = s->more ? MIN(begin + BATCH_MAX, request->n_copies) : request->n_copies;
        bool last = end == request->n_copies;
        int r;

        copies_refuse_loops(request->copies + begin, end - begin);
        if (s->ending)
                for (size_t i = begin; i < end; i++) {
                        if (!request->copies[i].settled)
                                copy_again(request->copies + i, "delivery", "has not begun");
                }
        else if (s->deliver(s->store, request->copies + begin, end - begin) > 0)
                s->ending = true;
        s->n_done = end;
        r = reply(s, begin, end, last);
        if (r < 0) /* what was not answered is repeated to another session */
                s->ending = last = true;
        if (!last)
                return sd_event_source_set_enabled(s->next_batch, SD_EVENT_ONESHOT);

        s->request = request_free(request);
        if (s->ending || usec_sub(now_usec(CLOCK_BOOTTIME), s->began) > AGE_MAX)
                session_end(s);
        return 0;
}

static int on_next_batch(sd_event_source *source _unused_, void *userdata) {
        return deliver_batch(userdata);
}

/* A descriptor that is not what the call says is no reason to refuse the other messages. */
static void take_contents(sd_varlink *link, Request *request) {
        for (size_t i = 0; i < request->n_copies; i++) {
                Copy *c = request->copies + i;
                Letter *letter = c->letter;
                int r = 0;

                if (letter->fd < 0) {
                        letter->fd = sd_varlink_take_fd(link, letter->fd_index);
                        r = letter->fd;
                }
                if (r >= 0)
                        r = fd_verify_content(letter->fd, letter->size);
                if (r < 0) {
                        copy_deferred(c, STATUS(4, 3, 0), r == -ENODATA ? "the content is shorter than stated" : "the content cannot be read");
                        letter->fd = safe_close(letter->fd);
                }
        }
}

static int method_deliver(sd_varlink *link, sd_json_variant *parameters, sd_varlink_method_flags_t flags, void *userdata) {
        _cleanup_(request_freep) Request *request = NULL;
        Session *s = userdata;
        int r;

        r = request_parse(parameters, &request);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return sd_varlink_error_invalid_parameter_name(link, "messages");
        take_contents(link, request);
        s->request = TAKE_PTR(request);
        s->n_done = 0;
        s->more = flags & SD_VARLINK_METHOD_MORE;
        return deliver_batch(s);
}

static void on_disconnect(sd_varlink_server *server _unused_, sd_varlink *link _unused_, void *userdata) {
        Session *s = userdata;

        sd_event_exit(s->event, EXIT_SUCCESS);
}

static bool is_busy(void *userdata) {
        Session *s = userdata;

        return s->request != NULL;
}

static int set_up(Session *s, int connection, sd_varlink_server **ret) {
        _cleanup_(sd_varlink_server_unrefp) sd_varlink_server *server = NULL;
        int r;

        r = service_varlink_server_new(s->event, &vl_interface_io_postd_Transport, 0, 1, 1, s, &server);
        if (r >= 0)
                r = sd_varlink_server_bind_method(server, "io.postd.Transport.Deliver", method_deliver);
        if (r >= 0)
                r = sd_varlink_server_bind_disconnect(server, on_disconnect);
        if (r >= 0)
                r = sd_event_add_defer(s->event, &s->next_batch, on_next_batch, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->next_batch, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_varlink_server_add_connection(server, connection, &s->link);
        if (r < 0)
                return r;
        sd_varlink_ref(s->link);
        /* The server asks its connect callback about accepted connections only. */
        r = sd_varlink_set_allow_fd_passing_input(s->link, true);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(server);
        return 0;
}

int session_run(sd_event *event, int connection, store_t deliver, void *store) {
        _cleanup_(sd_varlink_server_unrefp) sd_varlink_server *server = NULL;
        _cleanup_(session_done) Session s = { .event = event, .deliver = deliver, .store = store, .began = now_usec(CLOCK_BOOTTIME) };
        int r;

        r = set_up(&s, connection, &server);
        if (r < 0)
                return r;
        r = service_run(event, LINGER, is_busy, &s);
        return r < 0 ? r : 0;
}
