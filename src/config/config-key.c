/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/config-key.h"

const char *const config_section_titles[_SECTION_MAX] = {
        [SECTION_SERVER] = "Server",
        [SECTION_ACTION_LOCAL] = "Action local",
        [SECTION_SPAWN] = "Spawn",
        [SECTION_LISTENER] = "Listener NAME",
};

#define S(name, type, field, ...) { SECTION_SERVER, (name), &config_type_##type, offsetof(Config, field), __VA_ARGS__ }
#define A(name, type, field, ...) { SECTION_ACTION_LOCAL, (name), &config_type_##type, offsetof(Config, field), __VA_ARGS__ }
#define L(name, type, field, ...) { SECTION_LISTENER, (name), &config_type_##type, offsetof(ListenerConfig, field), __VA_ARGS__ }

/* In the order of the manual page. */
const ConfigKey config_keys[] = {
        S("HostName", domain, host_name, NULL),
        S("MailName", domain, mail_name, NULL),
        S("LocalDomains", domains, local_domains, NULL),
        S("SystemUsers", user, system_users, "root"),
        S("Spool", path, spool, POSTD_SPOOL_DIR),
        S("SpoolReserve", size, spool_reserve, "64M"),
        S("RetryMin", sec, retry_min, "5min", USEC_PER_SEC, USEC_PER_WEEK),
        S("RetryMax", sec, retry_max, "4h", USEC_PER_SEC, USEC_PER_WEEK),
        S("WarnAfter", sec, warn_after, "4h", USEC_PER_SEC, USEC_INFINITY),
        S("ExpireAfter", sec, expire_after, "4d", USEC_PER_SEC, USEC_INFINITY),
        S("MessageSizeMax", size, message_size_max, "50M", 64 * 1024, INT64_MAX),
        S("HeaderSizeMax", size, header_size_max, "512K", 1024, 64 * 1024 * 1024),
        S("RecipientsMax", unsigned, recipients_max, "1000", 100, 100000), /* RFC 5321 4.5.3.1.8: at least 100 */
        S("LocalRecipientsMax", unsigned, recipients_max_local, "10000", 100, 100000),
        S("ReceivedMax", unsigned, received_max, "50", 10, 1000),
        S("AliasDepthMax", unsigned, alias_depth_max, "16", 1, 100),
        S("AliasFanoutMax", unsigned, alias_fanout_max, "10000", 1, 100000),
        S("SessionsMax", unsigned, sessions_max, "64", 1, 1000),
        S("SessionMessages", unsigned, session_messages, "0", 0, 1000000),
        S("DSNFullSizeMax", size, dsn_full_max, "64K", 0, 64 * 1024 * 1024),

        A("Deliver", deliver, deliver, "mbox"),
        A("Maildir", path_home, maildir, "Maildir"),
        A("Aliases", path_optional, aliases, "/etc/aliases"),

        { SECTION_SPAWN, "AllowUsers", &config_type_uids, offsetof(Config, allow_users), NULL },

        L("MaxConnections", unsigned, connections_max, "1000", 1, 100000),
        L("MaxConnectionsPerPeer", unsigned, connections_max_peer, "100", 1, 100000),
        L("CommandTimeout", sec, command_timeout, "5min", USEC_PER_SEC, USEC_PER_DAY),
        L("DataTimeout", sec, data_timeout, "5min", USEC_PER_SEC, USEC_PER_DAY),
        L("ErrorsMax", unsigned, errors_max, "20", 1, 100000),
};
const size_t config_n_keys = ELEMENTSOF(config_keys);
