/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/fd.h"
#include "ipc/names.h"
#include "ipc/smtp-socket.h"
#include "pickup/pickup-session.h"

#define OPEN_TIMEOUT (10 * USEC_PER_SEC)
#define STEP_TIMEOUT (60 * USEC_PER_SEC)
#define TOTAL_TIMEOUT (10 * USEC_PER_MINUTE)

typedef struct Source {
        SmtpClient *client;
        size_t n_recipients;
        int fd;
        uint64_t offset, left;
        bool checked;
} Source;

void pickup_session_close(PickupSession *s) {
        if (s->client)
                smtp_socket_quit(s->fd, s->client);
        s->client = smtp_client_free(s->client);
        s->fd = safe_close(s->fd);
}

/* 1 if the connection was open before, 0 if it is new, -ENOTCONN if nobody is there, -ENOMEM. */
static int session_open(PickupSession *s) {
        int r;

        if (s->client) {
                if (IN_SET(smtp_client_state(s->client), SMTP_CLIENT_READY, SMTP_CLIENT_DONE))
                        return 1;
                pickup_session_close(s);
        }
        r = smtp_client_new(0, "localhost", &s->client);
        if (r < 0)
                return r;
        r = smtp_socket_connect(POSTD_INJECT_SOCKET, OPEN_TIMEOUT, &s->fd);
        if (r >= 0)
                r = smtp_socket_run(s->fd, s->client, OPEN_TIMEOUT, OPEN_TIMEOUT);
        /* Without a way to say whose message it is it would be sent in the name of pickup. */
        if (r < 0 || smtp_client_state(s->client) != SMTP_CLIENT_READY ||
            !(smtp_client_capabilities(s->client) & SMTP_CAP_XPOSTDORIGIN)) {
                pickup_session_close(s);
                return r == -ENOMEM ? r : -ENOTCONN;
        }
        return 0;
}

/* Content is asked for once the envelope was taken; that is the moment to see whether all of it was. */
static ssize_t read_source(void *userdata, void *p, size_t n) {
        Source *s = userdata;

        if (!s->checked) {
                for (size_t i = 0; i < s->n_recipients; i++)
                        if (smtp_reply_transient(smtp_client_recipient_reply(s->client, i)))
                                return -ECANCELED;
                s->checked = true;
        }
        if (s->left == 0)
                return 0;
        ssize_t k = pread_full(s->fd, p, MIN(n, s->left), s->offset);
        if (k == 0)
                return -ENODATA; /* its owner has cut it meanwhile */
        if (k > 0) {
                s->offset += k;
                s->left -= k;
        }
        return k;
}

static int result(const SmtpClient *c, size_t n_recipients) {
        const SmtpReply *whole = smtp_client_reply(c);
        size_t refused = 0;

        if (whole->code == 0)
                return PICKUP_SESSION_E_UNREACHABLE;
        if (smtp_reply_transient(whole))
                return PICKUP_SESSION_E_LATER;
        for (size_t i = 0; i < n_recipients; i++)
                if (smtp_reply_permanent(smtp_client_recipient_reply(c, i)))
                        refused++;
                else if (!smtp_reply_positive(smtp_client_recipient_reply(c, i)))
                        return PICKUP_SESSION_E_LATER;
        if (smtp_reply_permanent(whole) || refused == n_recipients)
                return PICKUP_SESSION_E_REFUSED;
        return refused > 0 ? PICKUP_SESSION_E_PARTLY : 0;
}

static int submit(PickupSession *s, const Envelope *e, uid_t uid, Source *source) {
        SmtpContent content = { read_source, source };
        int r;

        source->client = s->client;
        r = smtp_client_submit(s->client, e, uid, &content);
        if (r < 0)
                return r;
        if (r > 0) {
                s->refusal = r == SMTP_CLIENT_E_SIZE ? "the message is larger than what is taken"
                                                     : "an address or parameter is not valid in SMTP";
                return PICKUP_SESSION_E_REFUSED;
        }
        r = smtp_socket_run(s->fd, s->client, STEP_TIMEOUT, TOTAL_TIMEOUT);
        if (r == -ECANCELED) {
                pickup_session_close(s);
                return PICKUP_SESSION_E_LATER;
        }
        /* After a time-out the client says that the connection is gone. */
        return r < 0 && r != -ETIMEDOUT ? r : result(s->client, e->n_recipients);
}

int pickup_session_send(PickupSession *s, const Envelope *e, uid_t uid, int fd, uint64_t offset, uint64_t size) {
        s->refusal = NULL;
        for (;;) {
                Source source = { .n_recipients = e->n_recipients, .fd = fd, .offset = offset, .left = size };
                int r, reused;

                reused = session_open(s);
                if (reused < 0)
                        return reused == -ENOTCONN ? PICKUP_SESSION_E_UNREACHABLE : reused;
                r = submit(s, e, uid, &source);
                if (r < 0)
                        pickup_session_close(s);
                /* A server may end an old connection at any time; that says nothing about a new one. */
                if (r != PICKUP_SESSION_E_UNREACHABLE || !reused)
                        return r;
        }
}
