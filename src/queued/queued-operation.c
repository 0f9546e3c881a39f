/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"
#include "ipc/polkit.h"
#include "queued/queued-event.h"
#include "queued/queued-operation.h"
#include "queued/queued-pause.h"
#include "queued/queued-settle.h"
#include "queued/queued-store.h"

typedef struct Run {
        Verb verb;
        uid_t by;
        uint32_t recipient;
        char *reason;
        operation_callback_t callback;
        void *userdata;
} Run;

static void run_end(Manager *manager, Run *run, int r, Message *m) {
        run->callback(manager, run->userdata, r, m);
        free(run->reason);
        free(run);
}

static Message *find(Manager *manager, const char *id) {
        Message *m = id ? map_get(&manager->messages, id) : NULL;
        return m && !m->finishing ? m : NULL;
}

int operation_action(Manager *manager, const Operation *o, uid_t uid, const char **ret) {
        const Message *m = NULL;

        if (o->id) {
                m = find(manager, o->id);
                if (!m)
                        return -ENOENT;
        }
        if (m && m->uid == uid && uid != UID_UNKNOWN && IN_SET(o->verb, VERB_SHOW, VERB_CAT, VERB_REMOVE))
                *ret = NULL;
        else
                *ret = o->verb == VERB_SHOW ? POLKIT_ACTION_VIEW : o->verb == VERB_CAT ? POLKIT_ACTION_CONTENT : POLKIT_ACTION_MANAGE;
        return 0;
}

static bool is_idle(const Recipient *r) {
        return IN_SET(r->phase, PHASE_WAITING, PHASE_READY);
}

/* Out of the scheduler; one that waits for its turn only is to be routed anew. */
static void stop_waiting(Manager *manager, Recipient *r) {
        scheduler_remove(manager->scheduler, &r->job);
        if (r->phase == PHASE_READY)
                recipient_unset_ready(r, PHASE_WAITING);
}

static void now_due(Manager *manager, Recipient *r) {
        stop_waiting(manager, r);
        recipient_wait(manager, r, now_usec(CLOCK_BOOTTIME));
}

static size_t flush_message(Manager *manager, Message *m) {
        size_t n = 0;

        for (Recipient *r = m->recipients; r; r = r->next)
                if (is_idle(r)) {
                        now_due(manager, r);
                        n++;
                }
        manager_kick(manager);
        return n;
}

static void on_hold_written(Manager *manager, Message *m, void *userdata, int r) {
        Run *run = userdata;
        bool held = run->verb == VERB_HOLD;

        if (r >= 0 && m->held != held) {
                m->held = held;
                manager->n_held += held ? 1 : -1;
                if (held) {
                        for (Recipient *i = m->recipients; i; i = i->next)
                                if (is_idle(i))
                                        stop_waiting(manager, i);
                        event_held(manager, m, run->reason, run->by);
                } else {
                        flush_message(manager, m);
                        event_released(manager, m, run->by);
                }
                manager_status_changed(manager);
        }
        run_end(manager, run, r, NULL);
        message_close(manager, m);
}

static void on_requeue_written(Manager *manager, Message *m, void *userdata, int r) {
        Run *run = userdata;

        if (r >= 0) {
                for (Recipient *i = m->recipients; i; i = i->next)
                        if (is_idle(i)) {
                                i->tries = 0;
                                i->uid = UID_UNKNOWN; /* forgets where it went */
                        }
                r = (int) flush_message(manager, m);
        }
        run_end(manager, run, r, NULL);
        message_close(manager, m);
}

static void append_one(Manager *manager, Message *m, Run *run, const Record *record) {
        _cleanup_(record_set_freep) RecordSet *set = NULL;
        int r;

        r = record_set_new(&set);
        if (r >= 0)
                r = record_set_add(set, record);
        if (r < 0) {
                run_end(manager, run, r, NULL);
                message_close(manager, m);
                return;
        }
        message_append(manager, m, TAKE_PTR(set), true, on_hold_written, run);
}

static void requeue(Manager *manager, Message *m, Run *run) {
        _cleanup_(record_set_freep) RecordSet *set = NULL;
        usec_t now = now_usec(CLOCK_BOOTTIME);
        int r;

        r = record_set_new(&set);
        for (const Recipient *i = m->recipients; i && r >= 0; i = i->next)
                if (is_idle(i))
                        r = record_set_add(set, &(Record) { .type = RECORD_ATTEMPT, .index = i->index, .state = RECIPIENT_PENDING,
                                                            .age = recipient_age(i, now), .attempted = now_usec(CLOCK_REALTIME) });
        if (r < 0 || set->n == 0) {
                run_end(manager, run, r, NULL);
                message_close(manager, m);
                return;
        }
        message_append(manager, m, TAKE_PTR(set), true, on_requeue_written, run);
}

static void on_open_nothing(Manager *manager _unused_, Message *m _unused_, void *userdata _unused_, int r _unused_) {
}

static bool to_be_removed(const Recipient *r, const Run *run) {
        return run->recipient == RECIPIENT_NONE || r->index == run->recipient;
}

static void remove_recipients(Manager *manager, Message *m, Run *run) {
        bool found = false;

        for (const Recipient *r = m->recipients; r; r = r->next) {
                if (!to_be_removed(r, run))
                        continue;
                if (!is_idle(r)) {
                        run_end(manager, run, -EBUSY, NULL);
                        message_close(manager, m);
                        return;
                }
                found = true;
        }
        m->gathering = true; /* one record for all of them */
        for (Recipient *r = m->recipients, *next; r; r = next) {
                next = r->next;
                if (!to_be_removed(r, run))
                        continue;
                stop_waiting(manager, r);
                message_open(manager, m, false, on_open_nothing, NULL); /* each outcome holds it open */
                settle_removed(manager, r);
        }
        m->gathering = false;
        settle_resume(manager, m);
        run_end(manager, run, found ? 0 : -ENOENT, NULL);
        message_close(manager, m);
}

static void on_open(Manager *manager, Message *m, void *userdata, int r) {
        Run *run = userdata;

        if (r >= 0 && m->finishing) {
                message_close(manager, m);
                r = -ENOENT;
        }
        if (r < 0) {
                run_end(manager, run, r, NULL);
                return;
        }
        switch (run->verb) {
        case VERB_HOLD:
                append_one(manager, m, run, &(Record) { .type = RECORD_HOLD, .reply = strempty(run->reason) });
                break;
        case VERB_RELEASE:
                append_one(manager, m, run, &(Record) { .type = RECORD_RELEASE });
                break;
        case VERB_REQUEUE:
                requeue(manager, m, run);
                break;
        case VERB_REMOVE:
                remove_recipients(manager, m, run);
                break;
        default: /* SHOW, CAT */
                run_end(manager, run, 0, m);
                message_close(manager, m);
        }
}

static void run_flush(Manager *manager, const Operation *o, operation_callback_t callback, void *userdata) {
        usec_t now = now_usec(CLOCK_BOOTTIME);
        Message *m;
        int r;

        if (o->id) {
                m = find(manager, o->id);
                r = m ? (int) flush_message(manager, m) : -ENOENT;
        } else
                r = o->text ? scheduler_flush(manager->scheduler, o->text, now) : scheduler_flush_all(manager->scheduler, now);
        manager_kick(manager);
        callback(manager, userdata, r, NULL);
}

void operation_run(Manager *manager, const Operation *o, uid_t by, operation_callback_t callback, void *userdata) {
        if (IN_SET(o->verb, VERB_PAUSE, VERB_RESUME)) {
                callback(manager, userdata, pause_set(manager, o->what, o->text, o->verb == VERB_PAUSE, by), NULL);
                return;
        }
        if (o->verb == VERB_FLUSH) {
                run_flush(manager, o, callback, userdata);
                return;
        }
        Message *m = find(manager, o->id);
        if (!m) {
                callback(manager, userdata, -ENOENT, NULL);
                return;
        }
        if (IN_SET(o->verb, VERB_HOLD, VERB_RELEASE) && m->held == (o->verb == VERB_HOLD)) {
                callback(manager, userdata, 0, NULL);
                return;
        }
        Run *run = new0(Run, 1);
        if (!run) {
                callback(manager, userdata, -ENOMEM, NULL);
                return;
        }
        *run = (Run) { .verb = o->verb, .by = by, .recipient = o->recipient, .callback = callback, .userdata = userdata };
        if (o->text && !(run->reason = strdup(o->text))) {
                run_end(manager, run, -ENOMEM, NULL);
                return;
        }
        message_open(manager, m, o->verb == VERB_CAT, on_open, run);
}

static int recipient_json(const QueuedRecipient *r, size_t i, sd_json_variant **list) {
        char status[ENHANCED_STATUS_MAX];

        return sd_json_variant_append_arraybo(
                        list,
                        SD_JSON_BUILD_PAIR_UNSIGNED("index", i),
                        SD_JSON_BUILD_PAIR_STRING("address", r->address),
                        SD_JSON_BUILD_PAIR_CONDITION(r->parent != RECIPIENT_NONE, "parent", SD_JSON_BUILD_UNSIGNED(r->parent)),
                        SD_JSON_BUILD_PAIR_STRING("state", recipient_state_to_string(r->state)),
                        SD_JSON_BUILD_PAIR_UNSIGNED("tries", r->tries),
                        SD_JSON_BUILD_PAIR_CONDITION(r->attempted > 0, "attempted", SD_JSON_BUILD_UNSIGNED(r->attempted)),
                        SD_JSON_BUILD_PAIR_CONDITION(r->due > 0 && r->state == RECIPIENT_PENDING, "due", SD_JSON_BUILD_UNSIGNED(r->due)),
                        SD_JSON_BUILD_PAIR_CONDITION(r->status.class > 0, "status",
                                                     SD_JSON_BUILD_STRING(enhanced_status_format(r->status, status))),
                        SD_JSON_BUILD_PAIR_CONDITION(!!r->reply, "reply", SD_JSON_BUILD_STRING(r->reply)));
}

int operation_message_json(const QueuedMessage *q, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *list = NULL;
        const Envelope *e = &q->envelope;
        const Origin *o = &e->origin;
        int r;

        for (size_t i = 0; i < q->n_recipients; i++) {
                r = recipient_json(q->recipients + i, i, &list);
                if (r < 0)
                        return r;
        }
        return sd_json_buildo(ret,
                              SD_JSON_BUILD_PAIR_STRING("id", q->id.s),
                              SD_JSON_BUILD_PAIR_STRING("sender", strempty(e->sender)),
                              SD_JSON_BUILD_PAIR_UNSIGNED("arrival", e->arrival),
                              SD_JSON_BUILD_PAIR_UNSIGNED("size", e->size),
                              SD_JSON_BUILD_PAIR_BOOLEAN("held", q->held),
                              SD_JSON_BUILD_PAIR_CONDITION(!isempty(q->hold_reason), "holdReason", SD_JSON_BUILD_STRING(q->hold_reason)),
                              SD_JSON_BUILD_PAIR_CONDITION(!!o->listener, "listener", SD_JSON_BUILD_STRING(o->listener)),
                              SD_JSON_BUILD_PAIR_CONDITION(!!o->protocol, "protocol", SD_JSON_BUILD_STRING(o->protocol)),
                              SD_JSON_BUILD_PAIR_CONDITION(o->uid != UID_UNKNOWN, "uid", SD_JSON_BUILD_UNSIGNED(o->uid)),
                              SD_JSON_BUILD_PAIR_CONDITION(!!o->unit, "unit", SD_JSON_BUILD_STRING(o->unit)),
                              SD_JSON_BUILD_PAIR_CONDITION(!!o->peer_address, "peerAddress", SD_JSON_BUILD_STRING(o->peer_address)),
                              SD_JSON_BUILD_PAIR_CONDITION(!!o->login, "login", SD_JSON_BUILD_STRING(o->login)),
                              SD_JSON_BUILD_PAIR_VARIANT("recipients", list));
}

static int compare_ids(const void *a, const void *b) {
        return strcmp(((const QueueId *) a)->s, ((const QueueId *) b)->s);
}

int operation_list_ids(Manager *manager, uid_t uid, QueueId **ret, size_t *ret_n) {
        size_t n = 0;
        Message *m;

        QueueId *ids = new0(QueueId, MAX(manager->messages.size, (size_t) 1));
        if (!ids)
                return -ENOMEM;
        MAP_FOREACH(m, &manager->messages)
                if (!m->finishing && (uid == UID_UNKNOWN || m->uid == uid))
                        ids[n++] = m->id;
        qsort(ids, n, sizeof(QueueId), compare_ids);
        *ret = ids;
        *ret_n = n;
        return 0;
}
