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
        char *aliases;             /* Aliases=, default /etc/aliases; empty: none */
} Config;

Config *config_free(Config *c);
DEFINE_TRIVIAL_CLEANUP_FUNC(Config *, config_free);

/* Reads /usr/lib/postd/postd.conf, /etc/postd/postd.conf and their *.conf.d below root (NULL: /). Each error and warning
 * goes as one line to report(): text like "/etc/postd/postd.conf:12: [Server] RetryMin=: not a time span: x".
 * 0 or, with any error, -EBADMSG; then *ret is not set. */
int config_load(const char *root, void (*report)(int level, const char *line, void *userdata), void *userdata, Config **ret);

/* Is the domain (without case) one of ours? Address literals of this host are not looked at. */
bool config_domain_is_local(const Config *c, const char *domain);

/* The merged result, each key with a comment that names its origin. */
int config_dump(const Config *c, FILE *f);
