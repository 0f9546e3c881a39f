/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One command line of SMTP, ESMTP or LMTP (RFC 5321 4.1, RFC 2033) and the parameters of MAIL and RCPT (RFC 1870, 3461,
 * 6152, 6531). Pure; a command points into the line that was parsed. */

#include "address/address.h"
#include "envelope/envelope.h"

/* RFC 5321 4.5.3.1.4 and the extensions add up to less. With the CRLF. */
#define SMTP_COMMAND_LINE_MAX 2048U

typedef enum SmtpVerb {
        SMTP_VERB_HELO,
        SMTP_VERB_EHLO,
        SMTP_VERB_LHLO,
        SMTP_VERB_MAIL,
        SMTP_VERB_RCPT,
        SMTP_VERB_DATA,
        SMTP_VERB_RSET,
        SMTP_VERB_NOOP,
        SMTP_VERB_VRFY,
        SMTP_VERB_HELP,
        SMTP_VERB_QUIT,
        SMTP_VERB_OTHER, /* known, but not served: EXPN, TURN, ... */
        _SMTP_VERB_MAX,
        _SMTP_VERB_INVALID = -EINVAL,
} SmtpVerb;

/* What the session has made available. */
typedef enum SmtpCommandFlags {
        SMTP_COMMAND_ESMTP = 1 << 0,       /* parameters of the extensions that we announce */
        SMTP_COMMAND_UTF8 = 1 << 1,        /* the transaction has SMTPUTF8: for RCPT */
        SMTP_COMMAND_UNQUALIFIED = 1 << 2, /* addresses without a domain: local submission */
        SMTP_COMMAND_TOKEN = 1 << 3,       /* XPOSTDTOKEN= */
        SMTP_COMMAND_ORIGIN = 1 << 4,      /* XPOSTDORIGIN= */
} SmtpCommandFlags;

typedef struct SmtpCommand {
        SmtpVerb verb;
        const char *argument;        /* what follows the verb, without white space around it */
        size_t argument_size;
        Address address;             /* MAIL, RCPT */
        uint64_t size;               /* SIZE=, 0 if absent */
        BodyType body;
        bool smtputf8;
        DsnReturn dsn_return;
        const char *envid;
        size_t envid_size;
        const char *orcpt;
        size_t orcpt_size;
        NotifyFlags notify;
        sd_id128_t token;            /* null if absent */
        uid_t origin;                /* UID_UNKNOWN if absent */
} SmtpCommand;

/* Why a command is refused; smtp_command_error() has the reply. */
typedef enum SmtpCommandError {
        _SMTP_COMMAND_E_SUCCESS,
        SMTP_COMMAND_E_UNKNOWN,
        SMTP_COMMAND_E_NOT_SERVED,
        SMTP_COMMAND_E_ARGUMENT,         /* one that is missing or not expected */
        SMTP_COMMAND_E_SENDER,
        SMTP_COMMAND_E_RECIPIENT,
        SMTP_COMMAND_E_UTF8,             /* not ASCII, without SMTPUTF8 */
        SMTP_COMMAND_E_PARAMETER,        /* unknown */
        SMTP_COMMAND_E_PARAMETER_VALUE,  /* bad value, or twice */
        _SMTP_COMMAND_E_MAX,
} SmtpCommandError;

/* The line without its CRLF; it holds no CR or LF. 0 or SMTP_COMMAND_E_*; never fails for a reason of ours. */
SmtpCommandError smtp_command_parse(const char *line, size_t n, SmtpCommandFlags flags, SmtpCommand *ret);

/* Is this line a RCPT, whatever its argument? For a look ahead. */
bool smtp_command_is_rcpt(const char *line, size_t n);

/* Code, enhanced status and text of the refusal. */
const char *smtp_command_error(SmtpCommandError e, unsigned *ret_code, EnhancedStatus *ret_status);

/* A host name or address literal as the argument of HELO: what the Received field can hold. */
bool smtp_helo_valid(const char *s, size_t n);
