/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>

#include "spawnd/classes.h"

#define DELIVER POSTD_LIBEXEC_DIR "/postd-deliver"

#define STRING(k, v) { (k), NULL, PROPERTY_STRING, (v), 0 }
#define LIST(k, v) { (k), NULL, PROPERTY_LIST, (v), 0 }
#define FILTER(k, v) { (k), NULL, PROPERTY_FILTER, (v), 0 }
#define YES(k) { (k), NULL, PROPERTY_BOOL, NULL, true }
#define NUMBER(k, n) { (k), NULL, PROPERTY_NUMBER, NULL, (n) }
#define INT(k, n) { (k), NULL, PROPERTY_INT, NULL, (n) }
#define USEC(k, b, n) { (k), (b), PROPERTY_USEC, NULL, (n) }

#define NO_IPC " mq_open msgget semget shmget"
#define MB (UINT64_C(1024) * 1024)

/* For every class. Every setting that works by mounts or by a namespace of its own costs 3 to 10 ms of a start, which
 * is paid for each user who gets mail. Left out for that reason, because something cheaper does the same:
 *   PrivateTmp=             ProtectSystem=strict makes /tmp read-only, and Landlock hides it from our own sessions
 *   PrivateIPC=             the system call filter refuses System V IPC and message queues
 *   ProtectKernelTunables=  they are root's, and PrivateUsers= leaves nobody who could become root
 *   ProtectHostname=        that needs a capability */
static const Property common[] = {
        STRING("Type", "exec"),
        STRING("Slice", "system-postd-deliver.slice"),
        STRING("CollectMode", "inactive-or-failed"),
        LIST("After", "postd-queued.service remote-fs.target nss-user-lookup.target"),
        STRING("KillMode", "control-group"),
        STRING("OOMPolicy", "stop"),
        NUMBER("TasksMax", 16),
        NUMBER("LimitNOFILE", 1024),
        NUMBER("LimitCORE", 0),
        INT("LogLevelMax", 5),  /* notice: no lines of PID 1 for each session */
        INT("SyslogLevel", 5),
        { "UMask", NULL, PROPERTY_MODE, NULL, 0077 },
        YES("NoNewPrivileges"),
        { "CapabilityBoundingSet", NULL, PROPERTY_NONE, "", 0 },
        STRING("ProtectSystem", "strict"),
        YES("PrivateDevices"),
        YES("PrivateNetwork"),
        YES("PrivateUsers"),
        STRING("ProtectProc", "invisible"),
        YES("ProtectKernelModules"),
        YES("ProtectKernelLogs"),
        YES("ProtectControlGroups"),
        YES("ProtectClock"),
        YES("RestrictRealtime"),
        YES("RestrictSUIDSGID"),
        YES("LockPersonality"),
        { "RestrictNamespaces", NULL, PROPERTY_NONE, "yes", 0 },
        LIST("SystemCallArchitectures", "native"),
        STRING("KeyringMode", "private"),
        YES("RemoveIPC"),
        { "IPAddressDeny", NULL, PROPERTY_ANY_IP, "any", 0 },
};

static const Property mailbox[] = {
        LIST("SupplementaryGroups", "mail"),
        USEC("RuntimeMaxSec", "RuntimeMaxUSec", 40 * USEC_PER_MINUTE),
        USEC("TimeoutStopSec", "TimeoutStopUSec", 25 * USEC_PER_SEC),
        NUMBER("MemoryMax", 64 * MB),
        LIST("RequiresMountsFor", POSTD_MAIL_DIR),
        LIST("ReadWritePaths", POSTD_MAIL_DIR),
        STRING("ProtectHome", "yes"),
        YES("MemoryDenyWriteExecute"),
        FILTER("RestrictAddressFamilies", "AF_UNIX"),
        FILTER("SystemCallFilter", "@system-service @sandbox"),
        FILTER("SystemCallFilter", "~@privileged @resources" NO_IPC),
        INT("SystemCallErrorNumber", EPERM),
};

static const Property home[] = {
        USEC("RuntimeMaxSec", "RuntimeMaxUSec", 40 * USEC_PER_MINUTE),
        USEC("TimeoutStopSec", "TimeoutStopUSec", 25 * USEC_PER_SEC),
        NUMBER("MemoryMax", 64 * MB),
        YES("MemoryDenyWriteExecute"),
        FILTER("RestrictAddressFamilies", "AF_UNIX"),
        FILTER("SystemCallFilter", "@system-service @sandbox"),
        FILTER("SystemCallFilter", "~@privileged @resources" NO_IPC),
        INT("SystemCallErrorNumber", EPERM),
};

/* Users' programs compile code at run time, lower their priority and change groups among their own. */
static const Property command[] = {
        USEC("RuntimeMaxSec", "RuntimeMaxUSec", 5 * USEC_PER_MINUTE),
        USEC("TimeoutStopSec", "TimeoutStopUSec", 5 * USEC_PER_SEC),
        NUMBER("MemoryMax", 512 * MB),
        YES("PrivateTmp"),
        YES("PrivateIPC"),
        YES("ProtectKernelTunables"),
        FILTER("RestrictAddressFamilies", "AF_UNIX"),
        FILTER("SystemCallFilter", "@system-service"),
        FILTER("SystemCallFilter", "~@privileged"),
        INT("SystemCallErrorNumber", EPERM),
};

static const struct {
        const char *name;
        const Property *properties;
        size_t n_properties;
        const char *program;
} classes[_CLASS_MAX] = {
        [CLASS_MAILBOX] = { "mailbox", mailbox, ELEMENTSOF(mailbox), DELIVER },
        [CLASS_HOME] = { "home", home, ELEMENTSOF(home), DELIVER },
        [CLASS_COMMAND] = { "command", command, ELEMENTSOF(command), NULL },
};

const char *session_class_to_string(SessionClass c) {
        return c >= 0 && c < _CLASS_MAX ? classes[c].name : NULL;
}

SessionClass session_class_from_string(const char *s) {
        for (SessionClass c = 0; c < _CLASS_MAX; c++)
                if (streq_ptr(classes[c].name, s))
                        return c;
        return _CLASS_INVALID;
}

const char *session_class_program(SessionClass c) {
        return classes[c].program;
}

const Property *session_class_property(SessionClass c, size_t i) {
        if (i < ELEMENTSOF(common))
                return common + i;
        i -= ELEMENTSOF(common);
        return i < classes[c].n_properties ? classes[c].properties + i : NULL;
}

static bool in_unit_section(const Property *p) {
        return STR_IN_SET(p->key, "After", "RequiresMountsFor", "CollectMode", "JoinsNamespaceOf");
}

static void dump_property(const Property *p, FILE *f) {
        char span[FORMAT_TIMESPAN_MAX];

        fprintf(f, "%s=", p->key);
        switch (p->type) {
        case PROPERTY_BOOL:
                fputs(p->number ? "yes" : "no", f);
                break;
        case PROPERTY_NUMBER:
                fprintf(f, "%" PRIu64, p->number);
                break;
        case PROPERTY_INT:
                fprintf(f, "%i", (int) p->number);
                break;
        case PROPERTY_MODE:
                fprintf(f, "%04o", (unsigned) p->number);
                break;
        case PROPERTY_USEC:
                fputs(format_timespan(span, sizeof(span), p->number), f);
                break;
        default:
                fputs(p->text, f);
        }
        fputc('\n', f);
}

int session_class_dump(SessionClass c, FILE *f) {
        const char *name = classes[c].name;
        const Property *p;

        fprintf(f, "# postd-deliver-%s-UID-ID.service: a delivery session of class %s.\n", name, name);
        fprintf(f, "# Drop-ins: postd-deliver-.service.d/ for all sessions, postd-deliver-%s-.service.d/ for this class.\n\n[Unit]\n",
                name);
        fprintf(f, "Description=Mail Delivery to UID, %s\n", name);
        if (c != CLASS_MAILBOX)
                fputs("# RequiresMountsFor= the user's home\n", f);
        for (size_t i = 0; (p = session_class_property(c, i)); i++)
                if (in_unit_section(p))
                        dump_property(p, f);
        fprintf(f, "\n[Service]\n# User= the uid of the recipient\nUser=nobody\n");
        fprintf(f, "# The session gets its end of a connection as descriptor \"varlink\".\nExecStart=%s %s\n",
                session_class_program(c) ?: DELIVER, name);
        if (c != CLASS_MAILBOX)
                fputs("# ReadWritePaths= the user's home\n", f);
        for (size_t i = 0; (p = session_class_property(c, i)); i++)
                if (!in_unit_section(p))
                        dump_property(p, f);
        return ferror(f) ? -EIO : 0;
}
