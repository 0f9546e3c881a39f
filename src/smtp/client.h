/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An SMTP or LMTP client (RFC 5321, 2033, 2920, 1870, 6152, 6531, 3461) as a pure object: reply bytes in, bytes to send
 * out; no descriptor, no clock. A caller's loop:
 *
 *     while (smtp_client_state(c) != what it waits for) {
 *             smtp_client_output(c, &p, &n);       write what there is, smtp_client_sent(c, written)
 *             poll for input, and for output if something is left over, at most smtp_client_timeout(c)
 *             smtp_client_feed(c, p, n);           or smtp_client_feed_eof(c)
 *     }
 *
 * Read while you write: with PIPELINING the server answers while commands are still going out. Replies are the server's
 * and hostile; addresses and parameters are checked before anything is sent, so that no envelope can smuggle a command. */

#include "basic/usec.h"
#include "smtp/reply.h"

typedef struct SmtpClient SmtpClient;

typedef enum SmtpClientFlags {
        SMTP_CLIENT_LMTP = 1 << 0, /* LHLO, and a reply for each recipient after the data */
} SmtpClientFlags;

typedef enum SmtpCapabilities {
        SMTP_CAP_PIPELINING = 1 << 0,
        SMTP_CAP_SIZE = 1 << 1,
        SMTP_CAP_8BITMIME = 1 << 2,
        SMTP_CAP_SMTPUTF8 = 1 << 3,
        SMTP_CAP_DSN = 1 << 4,
        SMTP_CAP_ENHANCEDSTATUSCODES = 1 << 5,
        SMTP_CAP_STARTTLS = 1 << 6,
        SMTP_CAP_CHUNKING = 1 << 7,
        SMTP_CAP_XPOSTDTOKEN = 1 << 8,  /* postd's own receivers on AF_UNIX: the token of a submission */
        SMTP_CAP_XPOSTDORIGIN = 1 << 9, /* the listener "inject" only: the uid that a message is from */
} SmtpCapabilities;

typedef enum SmtpClientState {
        SMTP_CLIENT_OPENING,  /* greeting and EHLO */
        SMTP_CLIENT_READY,    /* submit() or quit() */
        SMTP_CLIENT_SENDING,  /* a message is under way */
        SMTP_CLIENT_DONE,     /* it has its results; submit() or quit() */
        SMTP_CLIENT_QUITTING, /* the connection may be closed as soon as QUIT is written */
        SMTP_CLIENT_CLOSED,   /* QUIT was answered; or the server refused us, spoke no SMTP, said 421, or is gone:
                               * smtp_client_reply() tells. A message that was under way has its results. */
        _SMTP_CLIENT_STATE_MAX,
        _SMTP_CLIENT_STATE_INVALID = -EINVAL,
} SmtpClientState;

/* helo: our host name or address literal, checked (-EINVAL). */
int smtp_client_new(SmtpClientFlags flags, const char *helo, SmtpClient **ret);
SmtpClient *smtp_client_free(SmtpClient *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(SmtpClient *, smtp_client_free);

SmtpClientState smtp_client_state(const SmtpClient *c);

/* Once READY: what EHLO said, and the announced limit of SIZE, 0 for none. */
SmtpCapabilities smtp_client_capabilities(const SmtpClient *c);
uint64_t smtp_client_size_limit(const SmtpClient *c);

/* Bytes from the server: 0, or -ENOMEM. A server that violates the protocol brings the state CLOSED. */
int smtp_client_feed(SmtpClient *c, const void *p, size_t n);
void smtp_client_feed_eof(SmtpClient *c);

/* What is to be written now; *ret_n is 0 if there is nothing. The bytes stay until smtp_client_sent(), which need not
 * take all. Pulls content while DATA goes on: -errno of the content source, after which the connection must be closed
 * (the message was not submitted, for its end was not sent), or -ENOMEM. */
int smtp_client_output(SmtpClient *c, const void **ret_p, size_t *ret_n);
void smtp_client_sent(SmtpClient *c, size_t n);

/* Where content comes from: returns up to n octets at p, 0 at the end, or -errno. Any line ends (see data-encoder.h),
 * no dot-stuffing. */
typedef struct SmtpContent {
        ssize_t (*read)(void *userdata, void *p, size_t n);
        void *userdata;
} SmtpContent;

enum {
        _SMTP_CLIENT_E_SUCCESS,
        SMTP_CLIENT_E_ADDRESS, /* an address or parameter of the envelope is not valid */
        SMTP_CLIENT_E_UTF8,    /* the envelope needs SMTPUTF8, which the server has not */
        SMTP_CLIENT_E_SIZE,    /* larger than the server takes */
};

/* Sends a message; in READY or DONE. Of the envelope are used: sender, recipients with ORCPT and NOTIFY, envid,
 * dsn_return, body, smtputf8, size (0: not known yet; announced only), token (if not null); each parameter only where
 * the server announced its extension. origin_uid is UID_UNKNOWN, or the XPOSTDORIGIN. The envelope and whatever the
 * content needs must stay until the state is DONE or CLOSED. 0, SMTP_CLIENT_E_* (nothing was sent), -ENOMEM. */
int smtp_client_submit(SmtpClient *c, const Envelope *envelope, uid_t origin_uid, const SmtpContent *content);

/* In DONE or CLOSED, of the last message: what became of it as a whole. After the data the reply to the final dot (LMTP:
 * of the first recipient that was not refused before); else the reply that ended the transaction earlier: to MAIL, to
 * DATA, a 421; if all recipients were refused, the first one's. In CLOSED without a message the reply that refused us.
 * Code 0: the connection broke, or no SMTP was spoken. Never NULL. */
const SmtpReply *smtp_client_reply(const SmtpClient *c);

/* The same for one recipient, by its position in the envelope: the reply to its RCPT if that was negative, else the one
 * that decided the message (LMTP: its own after the data). Never NULL. */
const SmtpReply *smtp_client_recipient_reply(const SmtpClient *c, size_t i);

/* The end of the data was handed out by smtp_client_output(): if the reply to it is lost (state CLOSED, code 0, or a 421),
 * the message may have been taken all the same. */
bool smtp_client_end_sent(const SmtpClient *c);

/* Ends the session: in READY or DONE. */
int smtp_client_quit(SmtpClient *c);

/* How long the present step may take, from the last progress on (RFC 5321 4.5.3.2). */
usec_t smtp_client_timeout(const SmtpClient *c);
