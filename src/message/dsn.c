/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reports about the fate of a message. Everything in them that came from outside (addresses, replies, host names, the
 * original) is cut, made harmless, or fenced by a boundary that does not occur in it. */

#include <stdio.h>

#include "basic/fd.h"
#include "basic/id128.h"
#include "basic/text.h"
#include "message/date.h"
#include "message/dsn.h"
#include "message/header.h"
#include "smtp/xtext.h"

#define ORIGINAL_FULL_MAX (UINT64_C(16) * 1024 * 1024)
#define ORIGINAL_HEADER_MAX (UINT64_C(512) * 1024)
#define RETURNED_HEADER_MAX ((size_t) 64 * 1024)
#define ADDRESS_MAX 512U
#define DIAGNOSTIC_MAX 512U
#define HOST_MAX 255U

typedef struct Original {
        char *data;
        size_t size;
        bool full;
        bool eight_bit;
} Original;

static void original_done(Original *o) {
        free(o->data);
}

static const char *const action_table[_DSN_ACTION_MAX] = {
        [DSN_ACTION_FAILED] = "failed",   [DSN_ACTION_DELAYED] = "delayed",   [DSN_ACTION_DELIVERED] = "delivered",
        [DSN_ACTION_RELAYED] = "relayed", [DSN_ACTION_EXPANDED] = "expanded",
};

const char *dsn_action_to_string(DsnAction a) {
        return (int) a >= 0 && a < _DSN_ACTION_MAX ? action_table[a] : NULL;
}

/* One printable line, in ASCII unless the report is the global variant. */
static char *safe_text(const char *s, size_t max, bool utf8) {
        _cleanup_free_ char *flat = strdup(s);

        if (!flat)
                return NULL;
        for (char *p = flat; *p; p++)
                if (IN_SET(*p, '\r', '\n', '\t'))
                        *p = ' ';
                else if (!utf8 && ((unsigned char) *p & 0x80))
                        *p = '?';
        return text_sanitize(strstrip(flat), max);
}

static int append_safe(Buf *b, const char *before, const char *s, size_t max, bool utf8, const char *after) {
        _cleanup_free_ char *t = safe_text(s, max, utf8);
        return t ? buf_appendf(b, "%s%s%s", before, t, after) : -ENOMEM;
}

static bool is_ascii(const char *s) {
        return !s || ascii_valid(s, strlen(s));
}

/* Do the addresses need the global variant? */
static bool addresses_are_global(const DsnReport *r) {
        if (!is_ascii(r->sender))
                return true;
        for (size_t i = 0; i < r->n_recipients; i++)
                if (!is_ascii(r->recipients[i].final_recipient))
                        return true;
        return false;
}

/* Lines must end in CRLF and hold neither NUL nor a lone CR or LF, or they would change inside another message. */
static bool survives(const char *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (p[i] == 0 || (p[i] == '\r' && (i + 1 == n || p[i + 1] != '\n')) || (p[i] == '\n' && (i == 0 || p[i - 1] != '\r')))
                        return false;
        return true;
}

/* The header alone: cut at the end of a line, lone line ends and NUL replaced. */
static void original_cut_to_header(Original *o) {
        size_t n = header_end(o->data, o->size, 0);

        if (n > RETURNED_HEADER_MAX) {
                const char *lf = memrchr(o->data, '\n', RETURNED_HEADER_MAX);
                n = lf ? (size_t) (lf + 1 - o->data) : RETURNED_HEADER_MAX;
        }
        for (size_t i = 0; i < n; i++) {
                char *c = o->data + i;

                if (*c == '\r' && i + 1 < n && c[1] == '\n')
                        i++;
                else if (IN_SET(*c, '\r', '\n', 0))
                        *c = '?';
        }
        o->size = n;
        o->full = false;
}

static int original_read(int fd, uint64_t size, bool full, Original *ret) {
        _cleanup_(original_done) Original o = { .full = full && size <= ORIGINAL_FULL_MAX };

        if (!o.full)
                size = MIN(size, ORIGINAL_HEADER_MAX);
        o.data = malloc(size + 1);
        if (!o.data)
                return -ENOMEM;
        ssize_t n = pread_full(fd, o.data, size, 0);
        if (n < 0)
                return n;
        o.size = n;
        if (!o.full || !survives(o.data, o.size))
                original_cut_to_header(&o);
        o.eight_bit = !ascii_valid(o.data, o.size);
        *ret = o;
        o.data = NULL;
        return 0;
}

static int make_boundary(const Original *o, char ret[static SD_ID128_STRING_MAX]) {
        for (unsigned i = 0; i < 16; i++) {
                sd_id128_t id;
                int r = id128_random(&id);
                if (r < 0)
                        return r;
                (void) snprintf(ret, SD_ID128_STRING_MAX, SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(id));
                if (!memmem(o->data, o->size, ret, SD_ID128_STRING_MAX - 1))
                        return 0;
        }
        return -EAGAIN;
}

static bool has_action(const DsnReport *r, DsnAction a) {
        for (size_t i = 0; i < r->n_recipients; i++)
                if (r->recipients[i].action == a)
                        return true;
        return false;
}

static const char *subject(const DsnReport *r) {
        if (has_action(r, DSN_ACTION_FAILED))
                return "Undelivered mail returned to sender";
        if (has_action(r, DSN_ACTION_DELAYED))
                return "Delayed mail: still being tried";
        return "Mail was delivered";
}

static int append_header(Buf *b, const DsnReport *r, const char *boundary, bool global, bool eight_bit) {
        int q;

        q = buf_appendf(b, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", r->host_name);
        if (q < 0)
                return q;
        q = append_safe(b, "To: <", r->sender, ADDRESS_MAX, global, ">\r\n");
        if (q < 0)
                return q;
        q = buf_appendf(b, "Subject: %s\r\nDate: %s\r\nMessage-ID: <%s>\r\n", subject(r), RFC5322_DATE(r->now), r->message_id);
        if (q < 0)
                return q;
        return buf_appendf(b,
                           "Auto-Submitted: auto-replied\r\n"
                           "MIME-Version: 1.0\r\n"
                           "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                           "\tboundary=\"%s\"\r\n"
                           "%s"
                           "\r\n"
                           "This is a delivery report in MIME format (RFC 3464).\r\n",
                           boundary, eight_bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

static const char *explanation(DsnAction a) {
        static const char *const texts[_DSN_ACTION_MAX] = {
                [DSN_ACTION_FAILED] = "Your message could not be delivered to the following recipients, and it will not\r\n"
                                      "be tried again:\r\n",
                [DSN_ACTION_DELAYED] = "Your message could not be delivered to the following recipients yet. It is still\r\n"
                                       "being tried; you need not send it again:\r\n",
                [DSN_ACTION_DELIVERED] = "Your message was delivered to the following recipients:\r\n",
                [DSN_ACTION_RELAYED] = "Your message was passed to a mail server for the following recipients. That server\r\n"
                                       "may send no further report:\r\n",
                [DSN_ACTION_EXPANDED] = "Your message was passed on to more than one address for the following recipients:\r\n",
        };
        return texts[a];
}

static int append_explained_recipient(Buf *b, const DsnRecipient *p, bool utf8) {
        int r;

        r = append_safe(b, "\r\n  <", p->final_recipient, ADDRESS_MAX, utf8, ">\r\n");
        if (r < 0)
                return r;
        if (isempty(p->diagnostic))
                return 0;
        if (p->remote_host)
                r = append_safe(b, "    ", p->remote_host, HOST_MAX, utf8, " said: ");
        else
                r = buf_append_str(b, "    ");
        return r < 0 ? r : append_safe(b, "", p->diagnostic, DIAGNOSTIC_MAX, utf8, "\r\n");
}

static int append_explanation(Buf *b, const DsnReport *r, const char *boundary, const Original *o, bool global) {
        int q;

        q = buf_appendf(b, "\r\n--%s\r\nContent-Type: text/plain; charset=%s\r\n%s\r\nThis is the mail system at %s.\r\n", boundary,
                        global ? "utf-8" : "us-ascii", global ? "Content-Transfer-Encoding: 8bit\r\n" : "", r->host_name);
        if (q < 0)
                return q;
        for (DsnAction a = 0; a < _DSN_ACTION_MAX; a++) {
                if (!has_action(r, a))
                        continue;
                q = buf_appendf(b, "\r\n%s", explanation(a));
                if (q < 0)
                        return q;
                for (size_t i = 0; i < r->n_recipients; i++) {
                        if (r->recipients[i].action != a)
                                continue;
                        q = append_explained_recipient(b, r->recipients + i, global);
                        if (q < 0)
                                return q;
                }
        }
        return buf_appendf(b, "\r\nAttached are the details for programs and %s. Its queue id was %s.\r\n",
                           o->full ? "your message" : "the header of your message", r->queue_id->s);
}

/* An address with its type (RFC 3464 2.3.1, RFC 6533 3). original: ORCPT=, whose own type comes before a semicolon. */
static int append_address_field(Buf *b, const char *name, const char *address, bool original, bool utf8) {
        _cleanup_free_ char *decoded = NULL;
        const char *type = "rfc822", *semicolon;
        int r;

        if (!is_ascii(address))
                type = "utf-8";
        if (original) {
                semicolon = strchr(address, ';');
                if (semicolon) {
                        if (ascii_strncasecmp(address, "utf-8", MAX(semicolon - address, 5)) == 0)
                                type = "utf-8";
                        address = semicolon + 1;
                }
                decoded = xtext_decode(address);
                if (!decoded)
                        return -ENOMEM;
        }
        r = buf_appendf(b, "%s: %s; ", name, type);
        return r < 0 ? r : append_safe(b, "", decoded ?: address, ADDRESS_MAX, utf8, "\r\n");
}

static int append_status_recipient(Buf *b, const DsnRecipient *p, bool utf8) {
        static const EnhancedStatus defaults[_DSN_ACTION_MAX] = {
                [DSN_ACTION_FAILED] = STATUS(5, 0, 0),  [DSN_ACTION_DELAYED] = STATUS(4, 0, 0),
                [DSN_ACTION_DELIVERED] = STATUS(2, 0, 0), [DSN_ACTION_RELAYED] = STATUS(2, 0, 0),
                [DSN_ACTION_EXPANDED] = STATUS(2, 0, 0),
        };
        char status[ENHANCED_STATUS_MAX];
        int r;

        r = buf_append_str(b, "\r\n");
        if (r < 0)
                return r;
        if (p->original_recipient) {
                r = append_address_field(b, "Original-Recipient", p->original_recipient, true, utf8);
                if (r < 0)
                        return r;
        }
        r = append_address_field(b, "Final-Recipient", p->final_recipient, false, utf8);
        if (r < 0)
                return r;
        r = buf_appendf(b, "Action: %s\r\nStatus: %s\r\n", action_table[p->action],
                        enhanced_status_format(p->status.class ? p->status : defaults[p->action], status));
        if (r < 0)
                return r;
        if (p->remote_host) {
                r = append_safe(b, "Remote-MTA: dns; ", p->remote_host, HOST_MAX, utf8, "\r\n");
                if (r < 0)
                        return r;
        }
        if (!isempty(p->diagnostic)) {
                r = append_safe(b, p->remote_host ? "Diagnostic-Code: smtp; " : "Diagnostic-Code: x-postd; ", p->diagnostic,
                                DIAGNOSTIC_MAX, utf8, "\r\n");
                if (r < 0)
                        return r;
        }
        if (p->last_attempt > 0) {
                r = buf_appendf(b, "Last-Attempt-Date: %s\r\n", RFC5322_DATE(p->last_attempt));
                if (r < 0)
                        return r;
        }
        if (p->will_retry_until > 0 && p->action == DSN_ACTION_DELAYED)
                return buf_appendf(b, "Will-Retry-Until: %s\r\n", RFC5322_DATE(p->will_retry_until));
        return 0;
}

static int append_status(Buf *b, const DsnReport *r, const char *boundary, bool global) {
        int q;

        q = buf_appendf(b, "\r\n--%s\r\nContent-Type: message/%s\r\n%s\r\nReporting-MTA: dns; %s\r\n", boundary,
                        global ? "global-delivery-status" : "delivery-status",
                        global ? "Content-Transfer-Encoding: 8bit\r\n" : "", r->host_name);
        if (q < 0)
                return q;
        if (r->envid) {
                _cleanup_free_ char *envid = xtext_decode(r->envid);
                if (!envid)
                        return -ENOMEM;
                q = append_safe(b, "Original-Envelope-Id: ", envid, ADDRESS_MAX, global, "\r\n");
                if (q < 0)
                        return q;
        }
        q = buf_appendf(b, "X-Postd-Queue-Id: %s\r\nArrival-Date: %s\r\n", r->queue_id->s, RFC5322_DATE(r->arrival));
        if (q < 0)
                return q;
        for (size_t i = 0; i < r->n_recipients; i++) {
                q = append_status_recipient(b, r->recipients + i, global);
                if (q < 0)
                        return q;
        }
        return 0;
}

static int append_original(Buf *b, const char *boundary, const Original *o, bool global) {
        const char *type = o->full ? global ? "message/global" : "message/rfc822"
                                   : global ? "message/global-headers" : "text/rfc822-headers";
        int r;

        r = buf_appendf(b, "\r\n--%s\r\nContent-Type: %s\r\n%s\r\n", boundary, type,
                        o->eight_bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
        if (r < 0)
                return r;
        r = buf_append(b, o->data, o->size);
        return r < 0 ? r : buf_appendf(b, "\r\n--%s--\r\n", boundary);
}

int dsn_format(const DsnReport *r, int content_fd, uint64_t content_size, bool full, Buf *ret) {
        _cleanup_(original_done) Original o = {};
        char boundary[SD_ID128_STRING_MAX];
        _cleanup_buf_ Buf b = BUF_INIT;
        int q;

        q = original_read(content_fd, content_size, full, &o);
        if (q < 0)
                return q;
        q = make_boundary(&o, boundary);
        if (q < 0)
                return q;

        bool global = r->smtputf8 && (addresses_are_global(r) || !ascii_valid(o.data, header_end(o.data, o.size, 0)));
        q = append_header(&b, r, boundary, global, global || o.eight_bit);
        if (q < 0)
                return q;
        q = append_explanation(&b, r, boundary, &o, global);
        if (q < 0)
                return q;
        q = append_status(&b, r, boundary, global);
        if (q < 0)
                return q;
        q = append_original(&b, boundary, &o, global);
        if (q < 0)
                return q;
        q = buf_append(ret, b.data, b.size);
        if (q < 0)
                return q;
        return (global ? DSN_FORMAT_SMTPUTF8 : 0) | (global || o.eight_bit ? DSN_FORMAT_8BIT : 0);
}
