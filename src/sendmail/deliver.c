/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/id128.h"
#include "basic/text.h"
#include "ipc/names.h"
#include "ipc/smtp-socket.h"
#include "sendmail/deliver.h"
#include "sendmail/draft.h"
#include "sendmail/input.h"
#include "sendmail/offline.h"

/* The receiver itself waits half a minute for a queue manager that restarts. */
#define STEP_TIMEOUT (60 * USEC_PER_SEC)
#define TOTAL_TIMEOUT (10 * USEC_PER_MINUTE)

/* The default limit of receivers, for while none can be asked. */
#define OFFLINE_MESSAGE_MAX (UINT64_C(50) * 1024 * 1024)

typedef struct Delivery {
        const SendmailOptions *o;
        Draft draft;
        Envelope kept;       /* what is left for the offline directory, under the token of the draft */
        Envelope later;      /* the same, of recipients that were told to come later: another message, another token */
        bool refused;        /* some recipient, or the message, was refused */
        bool unknown_user;   /* and all refusals were about addresses */
        int unreachable;     /* -errno of the attempt to connect, 0: connected */
} Delivery;

static void delivery_done(Delivery *d) {
        draft_done(&d->draft);
        envelope_done(&d->kept);
        envelope_done(&d->later);
}

static _printf_(2, 3) void say(const SendmailOptions *o, const char *format, ...) {
        va_list ap;

        if (o->quiet)
                return;
        va_start(ap, format);
        (void) fputs("sendmail: ", stderr);
        (void) vfprintf(stderr, format, ap);
        (void) fputc('\n', stderr);
        va_end(ap);
}

static int out_of_memory(const SendmailOptions *o) {
        say(o, "Out of memory; the message was not accepted, try again later.");
        return EX_TEMPFAIL;
}

/* A recipient, or the message as a whole (address NULL), will not be taken. */
static void refuse(Delivery *d, const char *address, const SmtpReply *reply) {
        _cleanup_free_ char *shown = text_sanitize(strempty(address), 320), *text = strdup(reply->text ?: "refused");
        bool about_address = reply->status.subject == 1 || IN_SET(reply->code, 550U, 551U, 553U);
        char status[ENHANCED_STATUS_MAX];

        if (text)
                for (char *p = text; *p; p++)
                        if (*p == '\n')
                                *p = ' ';
        d->unknown_user = about_address && address && (d->unknown_user || !d->refused);
        d->refused = true;
        say(d->o, "%s%s%u %s %s", strempty(shown), address ? ": " : "The message was refused: ", reply->code,
            enhanced_status_format(reply->status, status), strempty(text));
}

/* Connects and waits until a message can be sent. 0, or -errno if there is nobody to talk to. */
static int open_session(usec_t timeout, int *ret_fd, SmtpClient **ret) {
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;
        usec_t start = now_usec(CLOCK_MONOTONIC);
        _cleanup_close_ int fd = -EBADF;
        int r;

        r = smtp_client_new(0, "localhost", &c);
        if (r < 0)
                return r;
        r = smtp_socket_connect(POSTD_LOCAL_SOCKET, timeout, &fd);
        if (r < 0)
                return r;
        usec_t left = usec_sub(timeout, usec_sub(now_usec(CLOCK_MONOTONIC), start));
        r = smtp_socket_run(fd, c, left, left);
        if (r < 0)
                return r;
        /* A 4xx or 5xx greeting is no refusal of this message, and PID 1 accepts and closes while it shuts down. */
        if (smtp_client_state(c) != SMTP_CLIENT_READY)
                return -ECONNREFUSED;
        *ret_fd = TAKE_FD(fd);
        *ret = TAKE_PTR(c);
        return 0;
}

/* For a large message: the most that the receiver takes, before all of it is read. */
static uint64_t ask_limit(void *userdata _unused_) {
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;
        _cleanup_close_ int fd = -EBADF;
        uint64_t limit = OFFLINE_MESSAGE_MAX;

        if (open_session(GREETING_TIMEOUT, &fd, &c) >= 0) {
                limit = smtp_client_size_limit(c) ?: INT64_MAX;
                smtp_socket_quit(fd, c);
        }
        return limit;
}

typedef struct Source {
        const Draft *draft;
        size_t offset; /* of header and body together */
} Source;

static ssize_t read_source(void *userdata, void *p, size_t n) {
        Source *s = userdata;
        const Draft *d = s->draft;
        size_t header = d->header.size, done = 0;

        if (s->offset < header) {
                done = MIN(n, header - s->offset);
                memcpy(p, d->header.data + s->offset, done);
        }
        size_t body = s->offset + done - header;
        size_t rest = MIN(n - done, draft_body_size(d) - body);
        memcpy((char *) p + done, draft_body(d) + body, rest);
        s->offset += done + rest;
        return done + rest;
}

static int keep(const Draft *d, Envelope *e, size_t i) {
        const EnvelopeRecipient *p = d->envelope.recipients + i;
        return envelope_add_recipient(e, p->address, p->original_recipient, p->notify);
}

/* What became of each recipient, after an attempt. */
static int sort_results(Delivery *d, const SmtpClient *c) {
        const SmtpReply *whole = smtp_client_reply(c);
        int r;

        for (size_t i = 0; i < d->draft.envelope.n_recipients; i++) {
                const SmtpReply *reply = smtp_client_recipient_reply(c, i);

                if (smtp_reply_positive(reply))
                        continue;
                if (smtp_reply_permanent(reply)) {
                        if (reply != whole)
                                refuse(d, d->draft.envelope.recipients[i].address, reply);
                        continue;
                }
                /* The receiver may have taken the message for the others even if its answer was lost. */
                r = keep(&d->draft, reply == whole ? &d->kept : &d->later, i);
                if (r < 0)
                        return r;
        }
        if (smtp_reply_permanent(whole))
                refuse(d, d->draft.envelope.n_recipients == 1 ? d->draft.envelope.recipients[0].address : NULL, whole);
        return 0;
}

static int keep_all(Delivery *d) {
        int r;

        for (size_t i = 0; i < d->draft.envelope.n_recipients; i++) {
                r = keep(&d->draft, &d->kept, i);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* One attempt over SMTP. What is left to be stored is in kept and later. 0, an exit status if it ends here, or -errno. */
static int submit(Delivery *d) {
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;
        _cleanup_close_ int fd = -EBADF;
        Source source = { .draft = &d->draft };
        SmtpContent content = { read_source, &source };
        int r;

        d->unreachable = open_session(GREETING_TIMEOUT, &fd, &c);
        if (d->unreachable < 0)
                return keep_all(d);

        r = smtp_client_submit(c, &d->draft.envelope, UID_UNKNOWN, &content);
        switch (r) {
        case 0:
                break;
        case SMTP_CLIENT_E_SIZE:
                say(d->o, "The message is larger than the %" PRIu64 " bytes that are taken.", smtp_client_size_limit(c));
                return EX_UNAVAILABLE;
        case SMTP_CLIENT_E_ADDRESS:
        case SMTP_CLIENT_E_UTF8:
                say(d->o, "An address or parameter is not valid in SMTP.");
                return EX_USAGE;
        default:
                return r;
        }
        r = smtp_socket_run(fd, c, STEP_TIMEOUT, TOTAL_TIMEOUT);
        if (r < 0 && r != -ETIMEDOUT)
                return r;
        r = sort_results(d, c);
        if (r >= 0)
                smtp_socket_quit(fd, c);
        return r;
}

static int store_one(Delivery *d, Envelope *e, sd_id128_t token) {
        const Envelope *from = &d->draft.envelope;
        int r;

        if (e->n_recipients == 0)
                return 0;
        e->token = token;
        e->dsn_return = from->dsn_return;
        e->body = from->body;
        e->sender = strdup(from->sender);
        if (!e->sender)
                return -ENOMEM;
        if (from->envid && !(e->envid = strdup(from->envid)))
                return -ENOMEM;
        r = offline_store(POSTD_OFFLINE_DIR, e, &d->draft.header, draft_body(&d->draft), draft_body_size(&d->draft));
        if (r >= 0 && d->o->verbose)
                say(d->o, "Stored in %s, to be sent later.", POSTD_OFFLINE_DIR);
        return r;
}

static int store(Delivery *d) {
        sd_id128_t other;
        int r;

        r = id128_random(&other);
        if (r < 0)
                return r;
        r = store_one(d, &d->kept, d->draft.envelope.token);
        return r < 0 ? r : store_one(d, &d->later, other);
}

static int report_not_stored(const Delivery *d, int error) {
        if (d->unreachable < 0)
                say(d->o, "Cannot reach postd at %s (%s), and cannot store the message in %s (%s). "
                          "It was not accepted; try again later, and see \"systemctl status postd-smtpd@local.socket\".",
                    POSTD_LOCAL_SOCKET, strerror(-d->unreachable), POSTD_OFFLINE_DIR, strerror(-error));
        else
                say(d->o, "postd cannot take the message now, and it cannot be stored in %s (%s). "
                          "It was not accepted%s; try again later, and see \"systemctl status postd-queued.service\".",
                    POSTD_OFFLINE_DIR, strerror(-error), d->later.n_recipients > 0 ? " for all recipients" : "");
        return EX_TEMPFAIL;
}

/* Reads the message and finds out who gets it: 0 or an exit status. */
static int prepare(Delivery *d) {
        const SendmailOptions *o = d->o;
        int r;

        r = draft_open(&d->draft, o);
        if (r == -EINVAL) {
                say(o, "The sender given with -f is no mail address.");
                return EX_USAGE;
        }
        if (r >= 0)
                r = draft_add_recipients(&d->draft, o);
        if (r >= 0 && !d->draft.named && !o->recipients_from_header) {
                say(o, "No recipients; name them, or use -t if they stand in the header of the message.");
                return EX_USAGE;
        }
        if (r >= 0)
                r = input_read(STDIN_FILENO, !o->dots_are_text, ask_limit, NULL, &d->draft.input);
        if (r >= 0)
                r = draft_take_message(&d->draft, o);
        switch (r) {
        case -ENOMEM:
                return out_of_memory(o);
        case -EFBIG:
                say(o, "The message is larger than what is taken.");
                return EX_UNAVAILABLE;
        case -E2BIG:
                say(o, "Too many recipients, or a parameter that is too long.");
                return EX_USAGE;
        default:
                if (r < 0) {
                        say(o, "Failed to read the message from standard input: %s", strerror(-r));
                        return EX_IOERR;
                }
        }
        if (!d->draft.named) {
                say(o, "No recipients: there is no address in the To, Cc and Bcc fields of the message.");
                return EX_USAGE;
        }
        return 0;
}

static void refuse_invalid(Delivery *d) {
        static const SmtpReply reply = { .code = 553, .status = STATUS(5, 1, 3), .text = (char *) "No mail address" };

        for (char **i = d->draft.invalid; i && *i; i++)
                refuse(d, *i, &reply);
}

int deliver(const SendmailOptions *o) {
        _cleanup_(delivery_done) Delivery d = { .o = o, .draft = DRAFT_INIT, .kept = ENVELOPE_INIT, .later = ENVELOPE_INIT };
        int r;

        r = prepare(&d);
        if (r != 0)
                return r;
        refuse_invalid(&d);
        if (d.draft.envelope.n_recipients > 0) {
                r = submit(&d);
                if (r > 0)
                        return r;
                if (r < 0)
                        return out_of_memory(o);
                r = store(&d);
                if (r < 0)
                        return report_not_stored(&d, r);
        }
        return !d.refused ? EX_OK : d.unknown_user ? EX_NOUSER : EX_UNAVAILABLE;
}

/* The receiver said "go on": it never gets the message. */
static ssize_t read_nothing(void *userdata _unused_, void *p _unused_, size_t n _unused_) {
        return -ECANCELED;
}

static int verify_session(const Draft *draft, SmtpClient *c, int fd) {
        SmtpContent content = { read_nothing, NULL };
        int r, status = EX_OK;

        r = smtp_client_submit(c, &draft->envelope, UID_UNKNOWN, &content);
        if (r != 0)
                return EX_USAGE;
        r = smtp_socket_run(fd, c, STEP_TIMEOUT, TOTAL_TIMEOUT);
        if (r < 0 && r != -ECANCELED)
                return EX_TEMPFAIL;
        bool asked = r == -ECANCELED; /* so the envelope was taken */
        if (asked)
                smtp_client_feed_eof(c);

        for (size_t i = 0; i < draft->envelope.n_recipients; i++) {
                const SmtpReply *reply = smtp_client_recipient_reply(c, i);
                _cleanup_free_ char *text = text_sanitize(reply->text ?: "no answer", 512);

                if (asked && reply->code == 0) {
                        (void) printf("%s: would be taken\n", draft->envelope.recipients[i].address);
                        continue;
                }
                (void) printf("%s: %u %s\n", draft->envelope.recipients[i].address, reply->code, strempty(text));
                if (smtp_reply_permanent(reply))
                        status = EX_NOUSER;
                else if (status == EX_OK)
                        status = EX_TEMPFAIL;
        }
        return status;
}

int verify(const SendmailOptions *o) {
        _cleanup_(draft_done) Draft draft = DRAFT_INIT;
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r, status = EX_OK;

        r = draft_open(&draft, o);
        if (r >= 0)
                r = draft_add_recipients(&draft, o);
        if (r == -ENOMEM)
                return out_of_memory(o);
        if (r < 0 || !draft.named) {
                say(o, r < 0 ? "The sender given with -f is no mail address, or there are too many recipients."
                             : "No recipients to verify.");
                return EX_USAGE;
        }
        for (char **i = draft.invalid; i && *i; i++) {
                _cleanup_free_ char *shown = text_sanitize(*i, 320);
                (void) printf("%s: 553 No mail address\n", strempty(shown));
        }
        if (draft.envelope.n_recipients > 0) {
                r = open_session(GREETING_TIMEOUT, &fd, &c);
                if (r < 0) {
                        say(o, "Cannot reach postd at %s: %s", POSTD_LOCAL_SOCKET, strerror(-r));
                        return EX_TEMPFAIL;
                }
                status = verify_session(&draft, c, fd);
        }
        return draft.invalid ? EX_NOUSER : status;
}
