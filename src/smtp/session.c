/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/text.h"
#include "smtp/reply.h"
#include "smtp/session.h"

/* Beyond the limit a message is read to its end, so that the client gets its answer, but not for ever. */
#define TOO_LARGE_READ_MAX (UINT64_C(64) * 1024 * 1024)

static int reply(SmtpSession *s, unsigned code, EnhancedStatus status, const char *text) {
        return smtp_reply_format(&s->output, code, status, text, s->in_transaction && s->envelope.smtputf8);
}

static int reply_close(SmtpSession *s, unsigned code, EnhancedStatus status, const char *text) {
        s->state = SMTP_SESSION_CLOSED;
        return reply(s, code, status, text);
}

/* A refusal that counts: 0, or -ENOMEM. */
static int refuse(SmtpSession *s, unsigned code, EnhancedStatus status, const char *text) {
        int r;

        r = reply(s, code, status, text);
        if (r < 0)
                return r;
        if (code < 500 || ++s->n_errors < s->options->errors_max)
                return 0;
        s->limits |= SMTP_LIMIT_ERRORS;
        return reply_close(s, 421, STATUS(4, 7, 0), "Too many errors");
}

static int refuse_decision(SmtpSession *s, const SmtpDecision *d) {
        return refuse(s, d->code, d->status, d->text);
}

static void transaction_end(SmtpSession *s) {
        envelope_done(&s->envelope);
        s->n_checked = 0;
        s->announced_size = 0;
        s->origin_uid = UID_UNKNOWN;
        s->in_transaction = s->mail_pending = s->too_large = false;
        s->received = 0;
}

int smtp_session_init(SmtpSession *s, const SmtpSessionOptions *options) {
        _cleanup_buf_ Buf text = BUF_INIT;
        int r;

        *s = (SmtpSession) {
                .envelope = ENVELOPE_INIT,
                .options = options,
                .greeting = _SMTP_VERB_INVALID,
                .origin_uid = UID_UNKNOWN,
        };
        r = buf_appendf(&text, "%s %s postd", options->host_name, options->lmtp ? "LMTP" : "ESMTP");
        if (r < 0)
                return r;
        return reply(s, 220, STATUS(0, 0, 0), text.data);
}

void smtp_session_done(SmtpSession *s) {
        envelope_done(&s->envelope);
        free(s->helo);
        buf_done(&s->output);
        *s = (SmtpSession) { .state = SMTP_SESSION_CLOSED };
}

const char *smtp_session_protocol(const SmtpSession *s) {
        if (s->options->lmtp)
                return s->envelope.smtputf8 ? "UTF8LMTP" : "LMTP";
        if (s->greeting == SMTP_VERB_HELO)
                return "SMTP";
        return s->envelope.smtputf8 ? "UTF8SMTP" : "ESMTP";
}

static int reply_extensions(SmtpSession *s) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r;

        r = buf_appendf(&b, "%s\nPIPELINING\nSIZE %" PRIu64 "\n8BITMIME\nENHANCEDSTATUSCODES\nDSN\nSMTPUTF8%s%s\nHELP",
                        s->options->host_name, s->options->size_max,
                        s->options->local ? "\nXPOSTDTOKEN" : "", s->options->origin ? "\nXPOSTDORIGIN" : "");
        if (r < 0)
                return r;
        return reply(s, 250, STATUS(0, 0, 0), b.data);
}

static int on_hello(SmtpSession *s, const SmtpCommand *c) {
        if (s->options->lmtp != (c->verb == SMTP_VERB_LHLO))
                return refuse(s, 500, STATUS(5, 5, 1), s->options->lmtp ? "This is LMTP: LHLO is expected"
                                                                        : "This is not LMTP: EHLO is expected");
        char *helo = strndup(c->argument, c->argument_size);
        if (!helo)
                return -ENOMEM;
        free_and_replace(s->helo, helo);
        transaction_end(s);
        s->greeting = c->verb;
        return c->verb == SMTP_VERB_HELO ? reply(s, 250, STATUS(0, 0, 0), s->options->host_name) : reply_extensions(s);
}

/* The address as a string, with our domain if it has none. NULL in *ret if that makes it too long. */
static int take_address(SmtpSession *s, const Address *a, char **ret) {
        _cleanup_buf_ Buf b = BUF_INIT;
        int r;

        r = buf_append(&b, a->s, a->size);
        if (r < 0)
                return r;
        if (a->size > 0 && !a->domain) {
                r = buf_appendf(&b, "@%s", s->options->mail_name);
                if (r < 0)
                        return r;
        }
        char *address = b.size <= ADDRESS_MAX ? buf_take(&b, NULL) : NULL;
        if (!address && b.size <= ADDRESS_MAX)
                return -ENOMEM;
        *ret = address;
        return 0;
}

static int on_mail(SmtpSession *s, const SmtpCommand *c) {
        _cleanup_free_ char *sender = NULL, *envid = NULL;
        int r;

        if (s->greeting == _SMTP_VERB_INVALID)
                return refuse(s, 503, STATUS(5, 5, 1), s->options->lmtp ? "Send LHLO first" : "Send EHLO or HELO first");
        if (s->in_transaction)
                return refuse(s, 503, STATUS(5, 5, 1), "A transaction is under way already");
        if (c->size > s->options->size_max) {
                s->limits |= SMTP_LIMIT_SIZE;
                return refuse(s, 552, STATUS(5, 3, 4), "Message is too large");
        }
        r = take_address(s, &c->address, &sender);
        if (r < 0)
                return r;
        if (!sender)
                return refuse(s, 501, STATUS(5, 1, 7), "Sender address is too long");
        if (c->envid && !(envid = strndup(c->envid, c->envid_size)))
                return -ENOMEM;

        s->envelope.sender = TAKE_PTR(sender);
        s->envelope.envid = TAKE_PTR(envid);
        s->envelope.dsn_return = c->dsn_return;
        s->envelope.body = c->body;
        s->envelope.smtputf8 = c->smtputf8;
        s->envelope.token = c->token;
        s->origin_uid = c->origin;
        s->announced_size = c->size;
        s->in_transaction = s->mail_pending = true;
        return 0;
}

/* 0; -ENOMEM; or > 0 with *ret filled in. The recipient waits for its check. */
static int on_rcpt(SmtpSession *s, const SmtpCommand *c, SmtpDecision *ret) {
        _cleanup_free_ char *address = NULL, *orcpt = NULL;
        int r;

        if (!s->in_transaction) {
                *ret = (SmtpDecision) { 503, { 5, 5, 1 }, "Send MAIL first" };
                return 1;
        }
        if (s->envelope.n_recipients >= s->options->recipients_max) {
                *ret = (SmtpDecision) { 452, { 4, 5, 3 }, "Too many recipients" };
                return 1;
        }
        r = take_address(s, &c->address, &address);
        if (r < 0)
                return r;
        if (!address) {
                *ret = (SmtpDecision) { 501, { 5, 1, 3 }, "Recipient address is too long" };
                return 1;
        }
        if (c->orcpt && !(orcpt = strndup(c->orcpt, c->orcpt_size)))
                return -ENOMEM;
        return envelope_add_recipient(&s->envelope, address, orcpt, c->notify);
}

static int on_data(SmtpSession *s, SmtpEvent *ret) {
        if (!s->in_transaction)
                return refuse(s, 503, STATUS(5, 5, 1), "Send MAIL first");
        if (s->envelope.n_recipients == 0)
                return refuse(s, 503, STATUS(5, 5, 1), "No valid recipient");
        s->waiting = *ret = SMTP_EVENT_DATA;
        return 0;
}

/* All commands but RCPT. */
static int on_command(SmtpSession *s, const SmtpCommand *c, SmtpEvent *ret) {
        switch (c->verb) {
        case SMTP_VERB_HELO:
        case SMTP_VERB_EHLO:
        case SMTP_VERB_LHLO:
                return on_hello(s, c);
        case SMTP_VERB_MAIL:
                return on_mail(s, c);
        case SMTP_VERB_DATA:
                return on_data(s, ret);
        case SMTP_VERB_RSET:
                transaction_end(s);
                return reply(s, 250, STATUS(2, 0, 0), "Ok");
        case SMTP_VERB_NOOP:
                return reply(s, 250, STATUS(2, 0, 0), "Ok");
        case SMTP_VERB_VRFY:
                return reply(s, 252, STATUS(2, 5, 0), "Not verified; send mail to find out");
        case SMTP_VERB_HELP:
                return reply(s, 214, STATUS(2, 0, 0), "Commands: HELO EHLO LHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT\n"
                                                      "See RFC 5321, and postd-smtpd(8)");
        case SMTP_VERB_QUIT:
                return reply_close(s, 221, STATUS(2, 0, 0), "Bye");
        default:
                return refuse(s, 502, STATUS(5, 5, 1), "Command not implemented");
        }
}

/* Is there a whole line? 0 with its size without CRLF, 1 if more is needed, 2 for a CR or LF alone, 3 if it is
 * too long. Depends on nothing but the bytes from the start of the line on. */
static int find_line(const char *p, size_t n, bool skipping, size_t *ret) {
        const char *nl = memchr(p, '\n', n);
        const char *cr = memchr(p, '\r', nl ? (size_t) (nl - p) : n);
        size_t size = nl ? (size_t) (nl - p) + 1 : n;

        /* Within the limit the order of events is: a bad octet, the limit, the end of the line. */
        if (!skipping && size > SMTP_COMMAND_LINE_MAX) {
                if (cr && (size_t) (cr - p) + 1 < SMTP_COMMAND_LINE_MAX)
                        return 2;
                return 3;
        }
        if (nl ? cr != nl - 1 : cr && cr != p + n - 1)
                return 2;
        if (!nl)
                return 1;
        *ret = size - 2;
        return 0;
}

/* What becomes of the line that starts the input. */
static int process_line(SmtpSession *s, const char *line, size_t n, bool *ret_consumed, SmtpEvent *ret) {
        SmtpCommandFlags flags = (s->greeting != SMTP_VERB_HELO ? SMTP_COMMAND_ESMTP : 0) |
                (s->envelope.smtputf8 ? SMTP_COMMAND_UTF8 : 0) |
                (s->options->local ? SMTP_COMMAND_UNQUALIFIED | SMTP_COMMAND_TOKEN : 0) |
                (s->options->origin ? SMTP_COMMAND_ORIGIN : 0);
        SmtpDecision refusal;
        SmtpCommandError e;
        SmtpCommand c;
        int r;

        /* Recipients are checked together, so replies wait until something else comes; that keeps their order. */
        bool pending = s->mail_pending || s->n_checked < s->envelope.n_recipients;

        *ret_consumed = false;
        if (pending && !smtp_command_is_rcpt(line, n))
                goto check;

        e = smtp_command_parse(line, n, flags, &c);
        if (e == 0 && c.verb == SMTP_VERB_RCPT) {
                r = on_rcpt(s, &c, &refusal);
                if (r < 0)
                        return r;
                if (r == 0) {
                        *ret_consumed = true;
                        return 0;
                }
        } else if (e != 0)
                refusal.text = smtp_command_error(e, &refusal.code, &refusal.status);
        if (e != 0 || c.verb == SMTP_VERB_RCPT) {
                if (pending)
                        goto check;
                *ret_consumed = true;
                if (refusal.code == 452)
                        s->limits |= SMTP_LIMIT_RECIPIENTS;
                return refuse_decision(s, &refusal);
        }

        *ret_consumed = true;
        if (++s->n_idle_commands > s->options->idle_commands_max) {
                s->limits |= SMTP_LIMIT_COMMANDS;
                return reply_close(s, 421, STATUS(4, 7, 0), "Too many commands without a message");
        }
        return on_command(s, &c, ret);

check:
        s->waiting = *ret = SMTP_EVENT_CHECK;
        return 0;
}

static int process_command(SmtpSession *s, const char *p, size_t n, size_t *ret_used, SmtpEvent *ret) {
        bool pending = s->mail_pending || s->n_checked < s->envelope.n_recipients, consumed;
        size_t size;
        int r;

        r = find_line(p, n, s->skipping, &size);
        if (r == 0 && !s->skipping) {
                r = process_line(s, p, size, &consumed, ret);
                *ret_used = r >= 0 && consumed ? size + 2 : 0;
                return r;
        }
        if (pending) {
                s->waiting = *ret = SMTP_EVENT_CHECK;
                return 0;
        }
        switch (r) {
        case 0:
                s->skipping = false;
                *ret_used = size + 2;
                return refuse(s, 500, STATUS(5, 5, 2), "Line is too long");
        case 1:
                /* Of a line that is skipped only a CR at the end is of interest. */
                *ret_used = s->skipping && n > 0 ? (p[n - 1] == '\r' ? n - 1 : n) : 0;
                *ret = SMTP_EVENT_MORE;
                return 0;
        case 2:
                s->limits |= SMTP_LIMIT_BARE;
                *ret_used = n;
                return reply_close(s, 500, STATUS(5, 5, 2), "A line ends with CRLF, and neither stands alone");
        default:
                s->skipping = true;
                *ret_used = SMTP_COMMAND_LINE_MAX - 1;
                return 0;
        }
}

static int reply_message(SmtpSession *s, const SmtpDecision *d) {
        int r;

        for (size_t i = 0; i < (s->options->lmtp ? s->envelope.n_recipients : 1); i++) {
                r = reply(s, d->code, d->status, d->text);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int data_end(SmtpSession *s, SmtpEvent *ret) {
        static const SmtpDecision too_large = { 552, { 5, 3, 4 }, "Message is too large" };
        int r;

        s->state = SMTP_SESSION_COMMAND;
        s->n_idle_commands = 0;
        if (!s->too_large) {
                s->waiting = *ret = SMTP_EVENT_MESSAGE;
                return 0;
        }
        s->limits |= SMTP_LIMIT_SIZE;
        r = reply_message(s, &too_large);
        transaction_end(s);
        *ret = SMTP_EVENT_DISCARD;
        return r;
}

static int process_data(SmtpSession *s, const char *p, size_t n, size_t *ret_used, SmtpEvent *ret) {
        int r, q;

        if (n == 0) {
                *ret = SMTP_EVENT_MORE;
                return 0;
        }
        r = smtp_data_decode(&s->decoder, p, n, ret_used, &s->content, &s->content_size);
        s->received += s->content_size;
        if (s->received > s->options->size_max)
                s->too_large = true;
        if (r == SMTP_DATA_E_BARE) {
                s->limits |= SMTP_LIMIT_BARE;
                return reply_close(s, 550, STATUS(5, 6, 0), "The message has a CR or LF that stands alone");
        }
        if (s->too_large && s->received - s->options->size_max > TOO_LARGE_READ_MAX) {
                s->limits |= SMTP_LIMIT_SIZE;
                return reply_close(s, 552, STATUS(5, 3, 4), "Message is too large");
        }
        if (r == SMTP_DATA_E_END) {
                q = data_end(s, ret);
                if (q < 0)
                        return q;
        } else if (s->content_size > 0 && !s->too_large)
                *ret = SMTP_EVENT_CONTENT;
        return 0;
}

int smtp_session_process(SmtpSession *s, const char *p, size_t n, size_t *ret_used, SmtpEvent *ret) {
        size_t done = 0;
        int r;

        assert(s->waiting == SMTP_EVENT_MORE);
        for (;;) {
                /* Never asked for by a function below, so it means: nothing for the caller yet. */
                SmtpEvent event = _SMTP_EVENT_NONE;
                size_t used = 0;

                if (s->state == SMTP_SESSION_CLOSED) {
                        *ret = SMTP_EVENT_CLOSE;
                        *ret_used = n;
                        return 0;
                }
                if (s->state == SMTP_SESSION_DATA)
                        r = process_data(s, p + done, n - done, &used, &event);
                else
                        r = process_command(s, p + done, n - done, &used, &event);
                if (r < 0)
                        return r;
                done += used;
                if (event != _SMTP_EVENT_NONE && s->state != SMTP_SESSION_CLOSED) {
                        *ret = event;
                        *ret_used = done;
                        return 0;
                }
        }
}

int smtp_session_check_done(SmtpSession *s, const SmtpDecision *decisions, const SmtpDecision *refused) {
        Envelope *e = &s->envelope;
        size_t kept = s->n_checked, n = e->n_recipients;
        bool mail_refused = refused && s->mail_pending;
        int r = 0;

        assert(s->waiting == SMTP_EVENT_CHECK);
        s->waiting = SMTP_EVENT_MORE;

        if (s->mail_pending) {
                r = refused ? refuse_decision(s, refused) : reply(s, 250, STATUS(2, 1, 0), "Sender ok");
                s->mail_pending = false;
        }
        for (size_t i = s->n_checked; i < n; i++) {
                static const SmtpDecision no_mail = { 503, { 5, 5, 1 }, "Send MAIL first" };
                const SmtpDecision *d = mail_refused ? &no_mail : refused ?: &decisions[i - s->n_checked];

                if (r >= 0 && s->state != SMTP_SESSION_CLOSED) {
                        /* Local users have long lists with many that are gone. */
                        if (d->code < 300)
                                r = reply(s, 250, STATUS(2, 1, 5), d->text);
                        else if (s->options->local && !mail_refused)
                                r = reply(s, d->code, d->status, d->text);
                        else
                                r = refuse_decision(s, d);
                }
                if (d->code < 300) {
                        e->recipients[kept++] = e->recipients[i];
                        continue;
                }
                free(e->recipients[i].address);
                free(e->recipients[i].original_recipient);
        }
        s->n_checked = e->n_recipients = kept;
        if (mail_refused)
                transaction_end(s);
        return r;
}

int smtp_session_data_done(SmtpSession *s, const SmtpDecision *refused) {
        assert(s->waiting == SMTP_EVENT_DATA);
        s->waiting = SMTP_EVENT_MORE;
        if (refused)
                return refuse_decision(s, refused);
        s->state = SMTP_SESSION_DATA;
        s->decoder = (SmtpDataDecoder) {};
        s->received = 0;
        return reply(s, 354, STATUS(0, 0, 0), "End data with <CR><LF>.<CR><LF>");
}

int smtp_session_message_done(SmtpSession *s, const SmtpDecision *decision) {
        int r;

        assert(s->waiting == SMTP_EVENT_MESSAGE);
        s->waiting = SMTP_EVENT_MORE;
        r = reply_message(s, decision);
        transaction_end(s);
        return r;
}

int smtp_session_abort(SmtpSession *s, unsigned code, EnhancedStatus status, const char *text) {
        if (s->state == SMTP_SESSION_CLOSED)
                return 0;
        s->waiting = SMTP_EVENT_MORE;
        return reply_close(s, code, status, text);
}
