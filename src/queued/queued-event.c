/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A subscriber that does not read loses events and is told how many; it never holds memory here. */

#include <stdio.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>

#include "basic/log.h"
#include "queued/queued-event.h"
#include "queued/queued-settle.h"

#define SUBSCRIBER_QUEUE_MAX (64 * 1024) /* bytes in the socket that it has not read yet */

#define SUBSCRIBERS_PER_UID_MAX 16U

struct Subscriber {
        Subscriber *next;
        sd_varlink *link;
        bool all;
        uid_t uid;
        uint64_t lost;
};

typedef struct Event {
        const char *name, *id, *sender, *recipient, *status, *text;
        uid_t uid;
} Event;

static bool subscriber_slow(const Subscriber *s) {
        int queued = 0, fd = sd_varlink_get_fd(s->link);

        return fd < 0 || ioctl(fd, SIOCOUTQ, &queued) < 0 || queued > SUBSCRIBER_QUEUE_MAX;
}

static void notify(Manager *manager, const Event *e) {
        usec_t now = now_usec(CLOCK_REALTIME);

        for (Subscriber *s = manager->subscribers, *next; s; s = next) {
                int r = 0;

                next = s->next;
                if (!s->all && s->uid != e->uid)
                        continue;
                if (subscriber_slow(s)) {
                        s->lost++;
                        continue;
                }
                if (s->lost > 0) {
                        r = sd_varlink_notifybo(s->link, SD_JSON_BUILD_PAIR_STRING("event", "lost"),
                                                SD_JSON_BUILD_PAIR_UNSIGNED("time", now),
                                                SD_JSON_BUILD_PAIR_UNSIGNED("count", s->lost));
                        s->lost = 0;
                }
                if (r >= 0)
                        r = sd_varlink_notifybo(s->link, SD_JSON_BUILD_PAIR_STRING("event", e->name),
                                                SD_JSON_BUILD_PAIR_UNSIGNED("time", now),
                                                SD_JSON_BUILD_PAIR_CONDITION(!!e->id, "id", SD_JSON_BUILD_STRING(e->id)),
                                                SD_JSON_BUILD_PAIR_CONDITION(!!e->sender, "sender", SD_JSON_BUILD_STRING(e->sender)),
                                                SD_JSON_BUILD_PAIR_CONDITION(!!e->recipient, "recipient", SD_JSON_BUILD_STRING(e->recipient)),
                                                SD_JSON_BUILD_PAIR_CONDITION(!!e->status, "status", SD_JSON_BUILD_STRING(e->status)),
                                                SD_JSON_BUILD_PAIR_CONDITION(!!e->text, "text", SD_JSON_BUILD_STRING(e->text)));
                if (r < 0)
                        event_unsubscribe(manager, s->link);
        }
}

int event_subscribe(Manager *manager, sd_varlink *link, bool all, uid_t uid) {
        size_t n = 0;

        for (const Subscriber *i = manager->subscribers; i; i = i->next)
                n += i->uid == uid;
        if (n >= SUBSCRIBERS_PER_UID_MAX)
                return -ENOBUFS;
        Subscriber *s = new0(Subscriber, 1);
        if (!s)
                return -ENOMEM;
        *s = (Subscriber) { .next = manager->subscribers, .link = sd_varlink_ref(link), .all = all, .uid = uid };
        manager->subscribers = s;
        return 0;
}

void event_unsubscribe(Manager *manager, sd_varlink *link) {
        for (Subscriber **p = &manager->subscribers; *p;) {
                Subscriber *s = *p;

                if (link && s->link != link) {
                        p = &s->next;
                        continue;
                }
                *p = s->next;
                sd_varlink_unref(s->link);
                free(s);
        }
}

typedef char Number[24];

static const char *number(Number buffer, uint64_t v) {
        (void) snprintf(buffer, sizeof(Number), "%" PRIu64, v);
        return buffer;
}

static const char *uid_number(Number buffer, uid_t uid) {
        return uid == UID_UNKNOWN ? NULL : number(buffer, uid);
}

static const char *sender_text(const Envelope *e) {
        return isempty(e->sender) ? "<>" : e->sender;
}

void event_received(Manager *manager, const Message *m, const Envelope *e) {
        Number size, uid, n;

        manager->counters[COUNTER_RECEIVED]++;
        LogField fields[] = {
                { "POSTD_QUEUE_ID", m->id.s },
                { "POSTD_SENDER", sender_text(e) },
                { "POSTD_RECIPIENT", e->n_recipients == 1 ? e->recipients[0].address : NULL },
                { "POSTD_COUNT", number(n, e->n_recipients) },
                { "POSTD_SIZE", number(size, e->size) },
                { "POSTD_LISTENER", e->origin.listener },
                { "POSTD_PROTOCOL", e->origin.protocol },
                { "POSTD_PEER", e->origin.peer_address },
                { "POSTD_LOGIN", e->origin.login },
                { "POSTD_ORIGIN_UID", uid_number(uid, e->origin.uid) },
                { "POSTD_ORIGIN_UNIT", e->origin.unit },
        };
        log_event(LOG_INFO, MESSAGE_RECEIVED, fields, "%s: received from <%s> for %s%s, %" PRIu64 " bytes%s%s",
                  m->id.s, strempty(e->sender), e->n_recipients == 1 ? e->recipients[0].address : n,
                  e->n_recipients == 1 ? "" : " recipients", e->size,
                  e->origin.unit ? ", from " : "", strempty(e->origin.unit));
        notify(manager, &(Event) { .name = "received", .id = m->id.s, .sender = sender_text(e),
                                   .recipient = e->n_recipients > 0 ? e->recipients[0].address : NULL, .uid = m->uid });
}

void event_outcome(Manager *manager, const Message *m, const Recipient *r) {
        static const struct {
                const char *name, *message_id;
                int level;
                Counter counter;
        } table[_RECIPIENT_STATE_MAX] = {
                [RECIPIENT_PENDING] = { "deferred", MESSAGE_DEFERRED, LOG_NOTICE, COUNTER_DEFERRED },
                [RECIPIENT_DELIVERED] = { "delivered", MESSAGE_DELIVERED, LOG_INFO, COUNTER_DELIVERED },
                [RECIPIENT_FAILED] = { "failed", MESSAGE_FAILED, LOG_WARNING, COUNTER_FAILED },
                [RECIPIENT_EXPIRED] = { "expired", MESSAGE_EXPIRED, LOG_WARNING, COUNTER_EXPIRED },
                [RECIPIENT_REMOVED] = { "removed", MESSAGE_REMOVED, LOG_NOTICE, COUNTER_REMOVED },
        };
        const Outcome *o = r->outcome;
        char status[ENHANCED_STATUS_MAX], delay[FORMAT_TIMESPAN_MAX];
        Number delay_usec, uid;

        if (!o || !table[o->state].name)
                return;
        const Envelope *e = m->open ? &m->open->envelope : NULL;
        const char *sender = r->sender ?: e ? sender_text(e) : NULL;

        manager->counters[table[o->state].counter]++;
        (void) enhanced_status_format(o->status, status);
        LogField fields[] = {
                { "POSTD_QUEUE_ID", m->id.s },
                { "POSTD_SENDER", sender },
                { "POSTD_RECIPIENT", r->address },
                { "POSTD_RESULT", table[o->state].name },
                { "POSTD_STATUS", status },
                { "POSTD_REPLY", o->text },
                { "POSTD_REMOTE_HOST", o->remote_host },
                { "POSTD_DELAY_USEC", number(delay_usec, o->age) },
                { "POSTD_ORIGIN_UID", uid_number(uid, m->uid) },
                { "POSTD_ORIGIN_UNIT", e ? e->origin.unit : NULL },
        };
        log_event(table[o->state].level, table[o->state].message_id, fields, "%s: %s %s to %s after %s: %s %s",
                  m->id.s, table[o->state].name, strempty(sender), r->address, format_timespan(delay, sizeof(delay), o->age), status, o->text);
        notify(manager, &(Event) { table[o->state].name, m->id.s, sender, r->address, status, o->text, m->uid });
}

void event_expanded(Manager *manager, const Message *m, const Recipient *r, size_t n_children) {
        Number n;

        manager->counters[COUNTER_EXPANDED]++;
        LogField fields[] = {
                { "POSTD_QUEUE_ID", m->id.s },
                { "POSTD_RECIPIENT", r->address },
                { "POSTD_COUNT", number(n, n_children) },
        };
        log_event(LOG_INFO, MESSAGE_EXPANDED, fields, "%s: %s stands for %zu address%s", m->id.s, r->address, n_children, n_children == 1 ? "" : "es");
        notify(manager, &(Event) { .name = "expanded", .id = m->id.s, .recipient = r->address, .uid = m->uid });
}

void event_held(Manager *manager, const Message *m, const char *reason, uid_t by) {
        Number uid;
        LogField fields[] = { { "POSTD_QUEUE_ID", m->id.s }, { "POSTD_REASON", reason }, { "POSTD_BY_UID", uid_number(uid, by) } };

        log_event(LOG_NOTICE, MESSAGE_HELD, fields, "%s: held: %s", m->id.s, isempty(reason) ? "no reason given" : reason);
        notify(manager, &(Event) { .name = "held", .id = m->id.s, .text = reason, .uid = m->uid });
}

void event_released(Manager *manager, const Message *m, uid_t by) {
        Number uid;
        LogField fields[] = { { "POSTD_QUEUE_ID", m->id.s }, { "POSTD_BY_UID", uid_number(uid, by) } };

        log_event(LOG_NOTICE, MESSAGE_RELEASED, fields, "%s: released", m->id.s);
        notify(manager, &(Event) { .name = "released", .id = m->id.s, .uid = m->uid });
}

void event_report(Manager *manager, const Message *m, const char *sender, const char *kind) {
        LogField fields[] = { { "POSTD_QUEUE_ID", m->id.s }, { "POSTD_SENDER", sender }, { "POSTD_REASON", kind } };

        manager->counters[COUNTER_REPORTS]++;
        log_event(LOG_INFO, MESSAGE_DSN, fields, "%s: sent a %s report to %s", m->id.s, kind, sender);
}

void event_paused(Manager *manager _unused_, bool paused, const char *what, const char *name, uid_t by) {
        Number uid;
        LogField fields[] = { { "POSTD_REASON", what }, { "POSTD_DESTINATION", name }, { "POSTD_BY_UID", uid_number(uid, by) } };

        log_event(LOG_NOTICE, paused ? MESSAGE_PAUSED : MESSAGE_RESUMED, fields, "%s %s%s%s", paused ? "Paused" : "Resumed",
                  what, name ? " " : "", strempty(name));
}

void event_damaged(Manager *manager, const char *file_name, const char *action, int error) {
        LogField fields[] = { { "POSTD_QUEUE_ID", file_name }, { "POSTD_REASON", action } };

        manager->counters[COUNTER_DAMAGED]++;
        log_event(LOG_ERR, MESSAGE_DAMAGED, fields, "Spool file %s: %s (%s)", strempty(file_name), strempty(action), strerror(error < 0 ? -error : error));
}
