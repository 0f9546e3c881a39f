/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The client has two cursors over one list of steps: `sent`, the step whose bytes are produced next, and `awaited`, the
 * step whose reply comes next. With PIPELINING the first runs ahead up to DATA; without it they go together. */

#include "basic/text.h"
#include "smtp/client.h"
#include "smtp/command.h"
#include "smtp/data-encoder.h"
#include "smtp/xtext.h"

#define OUTPUT_CHUNK (32U * 1024U)

typedef enum Step {
        STEP_GREETING, /* nothing is sent for it */
        STEP_HELLO,
        STEP_HELO,     /* when EHLO was refused */
        STEP_RSET,     /* after a transaction that did not come to its data */
        STEP_MAIL,
        STEP_RCPT,     /* index says which */
        STEP_DATA,
        STEP_CONTENT,  /* its reply is that to the end of data; LMTP: index says for which recipient */
        STEP_NONE,     /* between messages */
        STEP_QUIT,
} Step;

typedef struct Cursor {
        Step step;
        size_t index;
} Cursor;

struct SmtpClient {
        SmtpClientFlags flags;
        SmtpClientState state;
        char *helo;
        SmtpCapabilities capabilities;
        uint64_t size_limit;

        Cursor sent, awaited;
        bool need_rset;
        Buf input;                 /* the start of a line */
        SmtpReplyParser parser;
        Buf output;
        size_t output_sent;

        /* The message. */
        const Envelope *envelope;
        uid_t origin_uid;
        SmtpContent content;
        SmtpDataEncoder encoder;
        char *chunk;
        SmtpReply *replies;        /* one per recipient; code 0: as `final` */
        size_t n_replies;
        size_t n_accepted;
        bool failed;               /* decided before its data: what was sent is only waited for */
        bool end_sent;
        SmtpReply final;
};

int smtp_client_new(SmtpClientFlags flags, const char *helo, SmtpClient **ret) {
        _cleanup_(smtp_client_freep) SmtpClient *c = NULL;

        if (!smtp_helo_valid(helo, strlen(helo)))
                return -EINVAL;
        c = new0(SmtpClient, 1);
        if (!c)
                return -ENOMEM;
        c->flags = flags;
        c->origin_uid = UID_UNKNOWN;
        c->sent.step = STEP_HELLO;
        c->helo = strdup(helo);
        if (!c->helo)
                return -ENOMEM;
        *ret = TAKE_PTR(c);
        return 0;
}

static void forget_message(SmtpClient *c) {
        for (size_t i = 0; i < c->n_replies; i++)
                smtp_reply_done(&c->replies[i]);
        c->replies = mfree(c->replies);
        c->n_replies = c->n_accepted = 0;
        c->failed = c->end_sent = false;
        c->encoder = (SmtpDataEncoder) {};
        smtp_reply_done(&c->final);
}

SmtpClient *smtp_client_free(SmtpClient *c) {
        if (!c)
                return NULL;
        forget_message(c);
        free(c->helo);
        free(c->chunk);
        buf_done(&c->input);
        buf_done(&c->output);
        smtp_reply_parser_done(&c->parser);
        free(c);
        return NULL;
}

SmtpClientState smtp_client_state(const SmtpClient *c) {
        return c->state;
}

SmtpCapabilities smtp_client_capabilities(const SmtpClient *c) {
        return c->capabilities;
}

uint64_t smtp_client_size_limit(const SmtpClient *c) {
        return c->size_limit;
}

const SmtpReply *smtp_client_reply(const SmtpClient *c) {
        return &c->final;
}

const SmtpReply *smtp_client_recipient_reply(const SmtpClient *c, size_t i) {
        return i < c->n_replies && c->replies[i].code != 0 ? &c->replies[i] : &c->final;
}

bool smtp_client_end_sent(const SmtpClient *c) {
        return c->end_sent;
}

static bool lmtp(const SmtpClient *c) {
        return c->flags & SMTP_CLIENT_LMTP;
}

static bool can(const SmtpClient *c, SmtpCapabilities which) {
        return c->capabilities & which;
}

/* The connection is of no use any more; *reply (may be NULL) is why. */
static void close_with(SmtpClient *c, SmtpReply *reply) {
        if (c->state == SMTP_CLIENT_SENDING || c->state == SMTP_CLIENT_OPENING) {
                /* An all-refused message keeps what the recipients were told. */
                if (!c->failed) {
                        smtp_reply_done(&c->final);
                        if (reply)
                                c->final = *reply;
                        else
                                c->final = SMTP_REPLY_NULL;
                        reply = NULL;
                }
        } else if (reply && c->state != SMTP_CLIENT_QUITTING && c->final.code == 0) {
                c->final = *reply;
                reply = NULL;
        }
        if (reply)
                smtp_reply_done(reply);
        c->state = SMTP_CLIENT_CLOSED;
        buf_clear(&c->output);
        c->output_sent = 0;
}

void smtp_client_feed_eof(SmtpClient *c) {
        if (c->state != SMTP_CLIENT_CLOSED)
                close_with(c, NULL);
}

static void message_done(SmtpClient *c) {
        c->state = SMTP_CLIENT_DONE;
        c->sent = c->awaited = (Cursor) { STEP_NONE };
}

/* The message is decided by this reply, and all that remains is to hear what was said to the commands under way. */
static void message_failed(SmtpClient *c, SmtpReply *reply) {
        if (!c->failed) {
                smtp_reply_done(&c->final);
                c->final = *reply;
                *reply = SMTP_REPLY_NULL;
                c->failed = true;
        }
}

static bool cursor_before(Cursor a, Cursor b) {
        return a.step < b.step || (a.step == b.step && a.index < b.index);
}

/* After a failure nothing more is produced: done as soon as all replies are in. */
static void settle(SmtpClient *c) {
        if (c->failed && !cursor_before(c->awaited, c->sent))
                message_done(c);
}

static void parse_extension(SmtpClient *c, const char *line, size_t n) {
        static const struct {
                const char *name;
                SmtpCapabilities flag;
        } table[] = {
                { "PIPELINING", SMTP_CAP_PIPELINING },
                { "SIZE", SMTP_CAP_SIZE },
                { "8BITMIME", SMTP_CAP_8BITMIME },
                { "SMTPUTF8", SMTP_CAP_SMTPUTF8 },
                { "DSN", SMTP_CAP_DSN },
                { "ENHANCEDSTATUSCODES", SMTP_CAP_ENHANCEDSTATUSCODES },
                { "STARTTLS", SMTP_CAP_STARTTLS },
                { "CHUNKING", SMTP_CAP_CHUNKING },
                { "XPOSTDTOKEN", SMTP_CAP_XPOSTDTOKEN },
                { "XPOSTDORIGIN", SMTP_CAP_XPOSTDORIGIN },
        };
        const char *space = memchr(line, ' ', n);
        size_t k = space ? (size_t) (space - line) : n;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strlen(table[i].name) == k && ascii_strncasecmp(line, table[i].name, k) == 0) {
                        c->capabilities |= table[i].flag;
                        if (table[i].flag == SMTP_CAP_SIZE && space) {
                                char digits[21] = "";
                                uint64_t v;
                                memcpy(digits, space + 1, MIN(n - k - 1, sizeof(digits) - 1));
                                if (parse_u64(digits, UINT64_MAX, &v) >= 0)
                                        c->size_limit = v;
                        }
                }
}

static void on_hello(SmtpClient *c, SmtpReply *reply) {
        if (!smtp_reply_positive(reply)) {
                if (c->awaited.step == STEP_HELLO && smtp_reply_permanent(reply) && !lmtp(c)) {
                        c->awaited = c->sent = (Cursor) { STEP_HELO };
                        return;
                }
                close_with(c, reply);
                *reply = SMTP_REPLY_NULL;
                return;
        }
        if (c->awaited.step == STEP_HELLO) {
                /* The first line is the server's name. */
                const char *p = strchr(reply->text, '\n');
                while (p) {
                        p++;
                        parse_extension(c, p, strcspn(p, "\n"));
                        p = strchr(p, '\n');
                }
        }
        c->state = SMTP_CLIENT_READY;
        c->sent = c->awaited = (Cursor) { STEP_NONE };
}

static void on_rcpt(SmtpClient *c, SmtpReply *reply) {
        size_t i = c->awaited.index++;

        if (smtp_reply_positive(reply))
                c->n_accepted++;
        else if (!c->failed) {
                c->replies[i] = *reply;
                *reply = SMTP_REPLY_NULL;
        }
        if (c->awaited.index == c->envelope->n_recipients)
                c->awaited = (Cursor) { STEP_DATA };
}

/* All recipients were refused: the first one's reply stands for the message. */
static int all_refused(SmtpClient *c) {
        SmtpReply first = SMTP_REPLY_NULL;
        int r;

        r = smtp_reply_copy(&c->replies[0], &first);
        if (r < 0)
                return r;
        message_failed(c, &first);
        smtp_reply_done(&first);
        return 0;
}

static int on_data(SmtpClient *c, SmtpReply *reply) {
        int r;

        if (!c->failed && c->n_accepted == 0) {
                r = all_refused(c);
                if (r < 0)
                        return r;
        }
        if (reply->code == 354) {
                /* After a failure the data is empty, as RFC 2920 3.1 asks; LMTP would not tell us when it is over. */
                if (c->failed && lmtp(c)) {
                        close_with(c, NULL);
                        return 0;
                }
                c->need_rset = false;
                c->sent = c->awaited = (Cursor) { STEP_CONTENT };
                return 0;
        }
        c->need_rset = true;
        if (smtp_reply_positive(reply)) {
                close_with(c, NULL);
                return 0;
        }
        message_failed(c, reply);
        message_done(c);
        return 0;
}

/* The next recipient that a reply after the data is about. */
static void next_lmtp_recipient(SmtpClient *c) {
        while (c->awaited.index < c->n_replies && c->replies[c->awaited.index].code != 0)
                c->awaited.index++;
}

static int on_content(SmtpClient *c, SmtpReply *reply) {
        int r;

        if (!c->end_sent) {
                /* The server has had enough; whatever it says, it has not got the message. */
                if (smtp_reply_positive(reply))
                        close_with(c, NULL);
                else {
                        close_with(c, reply);
                        *reply = SMTP_REPLY_NULL;
                }
                return 0;
        }
        if (lmtp(c) && !c->failed) {
                next_lmtp_recipient(c);
                if (c->final.code == 0) {
                        r = smtp_reply_copy(reply, &c->final);
                        if (r < 0)
                                return r;
                }
                c->replies[c->awaited.index++] = *reply;
                *reply = SMTP_REPLY_NULL;
                next_lmtp_recipient(c);
                if (c->awaited.index < c->n_replies)
                        return 0;
        } else if (!c->failed) {
                c->final = *reply;
                *reply = SMTP_REPLY_NULL;
        }
        message_done(c);
        return 0;
}

/* Was the command sent whose reply this would be? */
static bool awaited(const SmtpClient *c) {
        switch (c->awaited.step) {
        case STEP_GREETING:
                return true;
        case STEP_NONE:
                return false;
        case STEP_CONTENT:
                return c->sent.step == STEP_CONTENT;
        default:
                return cursor_before(c->awaited, c->sent);
        }
}

static int on_reply(SmtpClient *c, SmtpReply *reply) {
        int r = 0;

        /* "Closing": at any time, and the last word. LMTP after the data is no exception. */
        if (reply->code == 421 || !awaited(c)) {
                if (reply->code == 421) {
                        close_with(c, reply);
                        *reply = SMTP_REPLY_NULL;
                } else
                        close_with(c, NULL);
                return 0;
        }
        switch (c->awaited.step) {
        case STEP_GREETING:
                if (!smtp_reply_positive(reply)) {
                        close_with(c, reply);
                        *reply = SMTP_REPLY_NULL;
                } else
                        c->awaited = (Cursor) { STEP_HELLO };
                break;
        case STEP_HELLO:
        case STEP_HELO:
                on_hello(c, reply);
                break;
        case STEP_RSET:
                c->awaited = (Cursor) { STEP_MAIL };
                if (!smtp_reply_positive(reply))
                        message_failed(c, reply);
                settle(c);
                break;
        case STEP_MAIL:
                c->awaited = (Cursor) { STEP_RCPT };
                if (!smtp_reply_positive(reply))
                        message_failed(c, reply);
                settle(c);
                break;
        case STEP_RCPT:
                on_rcpt(c, reply);
                c->need_rset = true;
                if (!c->failed && c->awaited.step == STEP_DATA && c->n_accepted == 0)
                        r = all_refused(c);
                settle(c);
                break;
        case STEP_DATA:
                r = on_data(c, reply);
                break;
        case STEP_CONTENT:
                r = on_content(c, reply);
                break;
        case STEP_QUIT:
                c->state = SMTP_CLIENT_CLOSED;
                break;
        case STEP_NONE:
                break;
        }
        return r;
}

static int on_line(SmtpClient *c, const char *line, size_t n) {
        SmtpReply reply = SMTP_REPLY_NULL;
        int r;

        if (n > 0 && line[n - 1] == '\r')
                n--;
        r = smtp_reply_parse_line(&c->parser, line, n, &reply);
        if (r < 0 || r == SMTP_REPLY_E_MORE)
                return MIN(r, 0);
        if (r > 0)
                close_with(c, NULL);
        else
                r = on_reply(c, &reply);
        smtp_reply_done(&reply);
        return MIN(r, 0);
}

int smtp_client_feed(SmtpClient *c, const void *data, size_t n) {
        const char *p = data, *end = p + n;
        int r;

        while (p < end && c->state != SMTP_CLIENT_CLOSED) {
                const char *nl = memchr(p, '\n', end - p);
                size_t k = (nl ?: end) - p;

                if (c->input.size + k > SMTP_REPLY_LINE_MAX) {
                        close_with(c, NULL);
                        return 0;
                }
                if (!nl || c->input.size > 0) {
                        r = buf_append(&c->input, p, k);
                        if (r < 0)
                                return r;
                }
                if (nl && c->input.size > 0) {
                        r = on_line(c, c->input.data, c->input.size);
                        buf_clear(&c->input);
                } else
                        r = nl ? on_line(c, p, k) : 0;
                if (r < 0)
                        return r;
                p += k + (nl ? 1 : 0);
        }
        return 0;
}

static int check_parameters(const SmtpClient *c, const Envelope *e) {
        AddressFlags flags = (e->smtputf8 ? ADDRESS_UTF8 : 0) | (can(c, SMTP_CAP_XPOSTDTOKEN) ? ADDRESS_UNQUALIFIED : 0);

        if (!address_valid(e->sender, flags | ADDRESS_NULL) || e->n_recipients == 0)
                return SMTP_CLIENT_E_ADDRESS;
        if (e->envid && (strlen(e->envid) > SMTP_ENVID_MAX || isempty(e->envid) || !xtext_valid(e->envid, strlen(e->envid))))
                return SMTP_CLIENT_E_ADDRESS;
        for (size_t i = 0; i < e->n_recipients; i++) {
                const EnvelopeRecipient *t = &e->recipients[i];
                if (!address_valid(t->address, flags))
                        return SMTP_CLIENT_E_ADDRESS;
                if (t->original_recipient &&
                    !orcpt_valid(t->original_recipient, strlen(t->original_recipient), e->smtputf8))
                        return SMTP_CLIENT_E_ADDRESS;
        }
        if (e->smtputf8 && !can(c, SMTP_CAP_SMTPUTF8))
                return SMTP_CLIENT_E_UTF8;
        if (c->size_limit > 0 && e->size > c->size_limit)
                return SMTP_CLIENT_E_SIZE;
        return 0;
}

int smtp_client_submit(SmtpClient *c, const Envelope *envelope, uid_t origin_uid, const SmtpContent *content) {
        int r;

        assert(IN_SET(c->state, SMTP_CLIENT_READY, SMTP_CLIENT_DONE));
        r = check_parameters(c, envelope);
        if (r != 0)
                return r;
        forget_message(c);
        c->replies = new0(SmtpReply, envelope->n_recipients);
        if (!c->replies)
                return -ENOMEM;
        c->n_replies = envelope->n_recipients;
        c->envelope = envelope;
        c->origin_uid = origin_uid;
        c->content = *content;
        c->sent = c->awaited = (Cursor) { c->need_rset ? STEP_RSET : STEP_MAIL };
        c->need_rset = false;
        c->state = SMTP_CLIENT_SENDING;
        return 0;
}

int smtp_client_quit(SmtpClient *c) {
        assert(IN_SET(c->state, SMTP_CLIENT_READY, SMTP_CLIENT_DONE));
        c->sent = c->awaited = (Cursor) { STEP_QUIT };
        c->state = SMTP_CLIENT_QUITTING;
        return 0;
}

static int write_mail(SmtpClient *c) {
        const Envelope *e = c->envelope;
        Buf *b = &c->output;
        int r;

        r = buf_appendf(b, "MAIL FROM:<%s>", e->sender);
        if (r >= 0 && can(c, SMTP_CAP_SIZE) && e->size > 0)
                r = buf_appendf(b, " SIZE=%" PRIu64, e->size);
        if (r >= 0 && can(c, SMTP_CAP_8BITMIME) && e->body != BODY_7BIT)
                r = buf_append_str(b, " BODY=8BITMIME");
        if (r >= 0 && e->smtputf8)
                r = buf_append_str(b, " SMTPUTF8");
        if (r >= 0 && can(c, SMTP_CAP_DSN) && e->dsn_return != DSN_RETURN_DEFAULT)
                r = buf_appendf(b, " RET=%s", dsn_return_to_string(e->dsn_return));
        if (r >= 0 && can(c, SMTP_CAP_DSN) && e->envid)
                r = buf_appendf(b, " ENVID=%s", e->envid);
        if (r >= 0 && can(c, SMTP_CAP_XPOSTDTOKEN) && !sd_id128_is_null(e->token))
                r = buf_appendf(b, " XPOSTDTOKEN=" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(e->token));
        if (r >= 0 && can(c, SMTP_CAP_XPOSTDORIGIN) && c->origin_uid != UID_UNKNOWN)
                r = buf_appendf(b, " XPOSTDORIGIN=%" PRIu32, (uint32_t) c->origin_uid);
        return r >= 0 ? buf_append(b, "\r\n", 2) : r;
}

static int write_rcpt(SmtpClient *c, const EnvelopeRecipient *t) {
        Buf *b = &c->output;
        int r;

        r = buf_appendf(b, "RCPT TO:<%s>", t->address);
        if (r >= 0 && can(c, SMTP_CAP_DSN) && t->notify != 0)
                r = buf_appendf(b, " NOTIFY=%s", notify_to_string(t->notify));
        if (r >= 0 && can(c, SMTP_CAP_DSN) && t->original_recipient)
                r = buf_appendf(b, " ORCPT=%s", t->original_recipient);
        return r >= 0 ? buf_append(b, "\r\n", 2) : r;
}

static int write_content(SmtpClient *c) {
        ssize_t n = 0;
        int r;

        if (!c->failed) {
                if (!c->chunk && !(c->chunk = malloc(OUTPUT_CHUNK)))
                        return -ENOMEM;
                n = c->content.read(c->content.userdata, c->chunk, OUTPUT_CHUNK);
                if (n < 0)
                        return n;
        }
        if (n > 0)
                return smtp_data_encode(&c->encoder, &c->output, c->chunk, n);
        r = smtp_data_encode_end(&c->encoder, &c->output);
        if (r >= 0)
                c->end_sent = true;
        return r;
}

/* Produces the bytes of the next step: 1, 0 if there is nothing to be said now, or -errno. */
static int produce(SmtpClient *c) {
        Cursor *s = &c->sent;
        int r = 0;

        /* Only the steps up to DATA may run ahead, and only if the server knows how. */
        if (cursor_before(c->awaited, *s) && !(can(c, SMTP_CAP_PIPELINING) && s->step <= STEP_DATA))
                return 0;
        if (c->state == SMTP_CLIENT_SENDING && c->failed && s->step < STEP_CONTENT)
                return 0;
        switch (s->step) {
        case STEP_HELLO:
                if (c->awaited.step != STEP_HELLO)
                        return 0;
                r = buf_appendf(&c->output, "%s %s\r\n", lmtp(c) ? "LHLO" : "EHLO", c->helo);
                s->index = 1;
                break;
        case STEP_HELO:
                r = buf_appendf(&c->output, "HELO %s\r\n", c->helo);
                s->index = 1;
                break;
        case STEP_RSET:
                r = buf_append_str(&c->output, "RSET\r\n");
                *s = (Cursor) { STEP_MAIL };
                break;
        case STEP_MAIL:
                r = write_mail(c);
                *s = (Cursor) { STEP_RCPT };
                break;
        case STEP_RCPT:
                r = write_rcpt(c, &c->envelope->recipients[s->index++]);
                if (s->index == c->envelope->n_recipients)
                        *s = (Cursor) { STEP_DATA };
                break;
        case STEP_DATA:
                if (s->index > 0)
                        return 0;
                r = buf_append_str(&c->output, "DATA\r\n");
                s->index = 1;
                break;
        case STEP_CONTENT:
                if (c->end_sent)
                        return 0;
                r = write_content(c);
                break;
        case STEP_QUIT:
                r = buf_append_str(&c->output, "QUIT\r\n");
                s->index = 1;
                break;
        case STEP_GREETING:
        case STEP_NONE:
                return 0;
        }
        return r < 0 ? r : 1;
}

int smtp_client_output(SmtpClient *c, const void **ret_p, size_t *ret_n) {
        int r = 1;

        if (c->output_sent == c->output.size) {
                buf_clear(&c->output);
                c->output_sent = 0;
        }
        while (r > 0 && c->state != SMTP_CLIENT_CLOSED && c->output.size - c->output_sent < OUTPUT_CHUNK / 2) {
                r = produce(c);
                if (r < 0)
                        return r;
        }
        *ret_n = c->output.size - c->output_sent;
        *ret_p = *ret_n > 0 ? c->output.data + c->output_sent : NULL;
        return 0;
}

void smtp_client_sent(SmtpClient *c, size_t n) {
        assert(n <= c->output.size - c->output_sent);
        c->output_sent += n;
}

usec_t smtp_client_timeout(const SmtpClient *c) {
        switch (c->awaited.step) {
        case STEP_DATA:
                return 2 * USEC_PER_MINUTE;
        case STEP_CONTENT:
                return c->end_sent ? 10 * USEC_PER_MINUTE : 3 * USEC_PER_MINUTE;
        default:
                return 5 * USEC_PER_MINUTE;
        }
}
