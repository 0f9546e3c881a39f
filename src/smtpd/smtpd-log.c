/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/log.h"
#include "smtpd/smtpd-log.h"

typedef struct Number {
        char text[24];
} Number;

static const char *number(Number *n, uint64_t v) {
        (void) snprintf(n->text, sizeof(n->text), "%" PRIu64, v);
        return n->text;
}

static const char *uid_text(Number *n, const Session *s) {
        return s && s->identity.uid != UID_UNKNOWN ? number(n, s->identity.uid) : NULL;
}

void log_rejected(Session *s, const char *recipient, const SmtpDecision *reply) {
        char status[ENHANCED_STATUS_MAX];
        const char *sender = strempty(s->smtp.envelope.sender);
        Number code, uid, count;
        uint64_t suppressed;

        if (!peer_may_log(&s->manager->peers, s->peer, manager_now(s->manager), &suppressed))
                return;
        enhanced_status_format(reply->status, status);
        LogField fields[] = {
                { "POSTD_LISTENER",    s->manager->options.listener                       },
                { "POSTD_PEER",        *s->identity.address ? s->identity.address : NULL  },
                { "POSTD_ORIGIN_UID",  uid_text(&uid, s)                                  },
                { "POSTD_ORIGIN_UNIT", s->identity.unit                                   },
                { "POSTD_SENDER",      sender                                             },
                { "POSTD_RECIPIENT",   recipient                                          },
                { "POSTD_CODE",        number(&code, reply->code)                         },
                { "POSTD_STATUS",      status                                             },
                { "POSTD_REPLY",       reply->text                                        },
                { "POSTD_SUPPRESSED",  suppressed > 0 ? number(&count, suppressed) : NULL },
        };
        log_event(LOG_NOTICE, MESSAGE_REJECTED, fields, "Rejected from %s: sender <%s>%s%s%s: %u %s %s", s->peer->key, sender,
                  recipient ? ", recipient <" : "", strempty(recipient), recipient ? ">" : "", reply->code, status, reply->text);
}

void log_limit(Manager *m, Peer *peer, const Session *s, const char *what) {
        const char *key = peer ? peer->key : NULL;
        Number uid, count;
        uint64_t suppressed;

        if (!peer_may_log(&m->peers, peer, manager_now(m), &suppressed))
                return;
        LogField fields[] = {
                { "POSTD_LISTENER",    m->options.listener                                     },
                { "POSTD_PEER",        s && *s->identity.address ? s->identity.address : key   },
                { "POSTD_ORIGIN_UID",  uid_text(&uid, s)                                       },
                { "POSTD_REASON",      what                                                    },
                { "POSTD_SUPPRESSED",  suppressed > 0 ? number(&count, suppressed) : NULL      },
        };
        log_event(LOG_NOTICE, MESSAGE_LIMIT, fields, "Limit met by %s: %s", key ?: "all clients", what);
}

void log_smtp_limits(Session *s) {
        static const struct {
                SmtpLimits flag;
                const char *what;
        } table[] = {
                { SMTP_LIMIT_ERRORS,     "too many errors in a session"                 },
                { SMTP_LIMIT_COMMANDS,   "too many commands without a message"          },
                { SMTP_LIMIT_RECIPIENTS, "too many recipients of one message"           },
                { SMTP_LIMIT_SIZE,       "message too large"                            },
                { SMTP_LIMIT_BARE,       "a CR or LF that stands alone (not a line end)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (s->smtp.limits & table[i].flag)
                        log_limit(s->manager, s->peer, s, table[i].what);
        s->smtp.limits = 0;
}
