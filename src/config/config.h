/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* postd.conf(5): what its files say, merged, with every default filled in. Read by each program for itself, with
 * basic/ini.h; a configuration with an error is refused as a whole. */

#include <stdio.h>
#include "basic/usec.h"

typedef enum DeliverMethod {
        DELIVER_MBOX,
        DELIVER_MAILDIR,
        _DELIVER_MAX,
        _DELIVER_INVALID = -EINVAL,
} DeliverMethod;

typedef struct Config {
        /* [Server] */
        char *host_name;           /* HostName=, default the host's name, fully qualified where known */
        char *mail_name;           /* MailName=, qualifies bare addresses; default /etc/mailname, else host_name */
        char **local_domains;      /* LocalDomains=, default host_name, mail_name, localhost and the bare host name */
        char *spool;               /* Spool= */
        usec_t retry_min, retry_max, warn_after, expire_after; /* RetryMin= RetryMax= WarnAfter= ExpireAfter= */
        uint64_t message_size_max; /* MessageSizeMax=, 50M */
        uint64_t header_size_max;  /* HeaderSizeMax=, 512K */
        uint64_t spool_reserve;    /* SpoolReserve=, free bytes below which MAIL gets 452, 64M */
        unsigned recipients_max;   /* RecipientsMax=, 1000 */
        unsigned recipients_max_local; /* LocalRecipientsMax=, 10000 */
        unsigned received_max;     /* ReceivedMax=, 50 */
        unsigned alias_depth_max;  /* AliasDepthMax=, 16 */
        unsigned alias_fanout_max; /* AliasFanoutMax=, 10000 */
        unsigned sessions_max;     /* SessionsMax=, delivery sessions at once, 16 */
        unsigned session_messages; /* SessionMessages=, messages per session, 0: no limit */
        uint64_t dsn_full_max;     /* DSNFullSizeMax=, larger messages are returned with their header only, 64K */
        char *system_users;        /* SystemUsers=, where mail for system users without an alias goes, "root" */

        /* [Action local]; more with the decision engine */
        DeliverMethod deliver;     /* Deliver=mbox|maildir */
        char *maildir;             /* Maildir=, below the home, default "Maildir" */
        char *aliases;             /* Aliases=, default /etc/aliases; NULL: none */

        /* [Spawn] */
        char **allow_users;        /* AllowUsers=, "5000", "5000-5010" or names: who gets sessions besides people */

        /* [Listener NAME] */
        struct ListenerConfig **listeners, *listener_default;
        size_t n_listeners;

        char **origins;            /* private: where each key was set */
} Config;

typedef struct ListenerConfig {
        char *name;                    /* the instance of postd-smtpd@NAME.socket */
        unsigned connections_max;      /* MaxConnections=, 1000 */
        unsigned connections_max_peer; /* MaxConnectionsPerPeer=, of one address or uid, 100 */
        usec_t command_timeout;        /* CommandTimeout=, 5min */
        usec_t data_timeout;           /* DataTimeout=, without a byte of it, 5min */
        unsigned errors_max;           /* ErrorsMax=, then 421, 20 */

        char **origins;                /* private */
} ListenerConfig;

Config *config_free(Config *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(Config *, config_free);

/* Reads, below root (NULL: /), /usr/lib/postd/postd.conf, then /etc/postd/postd.conf, then the *.conf of
 * /usr/lib/postd/postd.conf.d and /etc/postd/postd.conf.d in one order by name; of two with the same name the one in
 * /etc, and none if that is a link to /dev/null. What comes later wins; an empty value takes back what was said
 * before. Each error and warning
 * goes as one line to report(): text like "/etc/postd/postd.conf:12: [Server] RetryMin=: not a time span: x".
 * 0 or, with any error, -EBADMSG; then *ret is not set. */
int config_load(const char *root, void (*report)(int level, const char *line, void *userdata), void *userdata, Config **ret);

/* The section of a listener; the defaults if it has none. Never NULL. */
const ListenerConfig *config_listener(const Config *c, const char *name);

/* Is the domain (without case) one of ours? Address literals of this host are not looked at. */
bool config_domain_is_local(const Config *c, const char *domain);

/* The merged result, each key with a comment that names its origin; could be read again. */
int config_dump(const Config *c, FILE *f);

/* The name of this host, fully qualified where that is known without asking the DNS: name if it has a dot, else what
 * /etc/hosts below root_fd has for it. Always a valid domain ("localhost" if nothing is). NULL without memory. */
char *config_host_name(int root_fd, const char *name);
