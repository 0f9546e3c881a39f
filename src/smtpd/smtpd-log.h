/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a receiver tells the journal; a peer cannot make it say more than PeerTable allows. */

#include "smtpd/smtpd-session.h"

/* A refusal of the sender (recipient NULL), a recipient, or the message. */
void log_rejected(Session *s, const char *recipient, const SmtpDecision *reply);

/* The peer met a limit; session may be NULL (then nobody was let in). */
void log_limit(Manager *m, Peer *peer, const Session *s, const char *what);

/* The limits that the protocol object has noted. */
void log_smtp_limits(Session *s);
