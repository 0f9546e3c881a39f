/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/fd.h"
#include "queued/queued-manager.h"
#include "queued/queued-message.h"
#include "queued/queued-settle.h"

usec_t recipient_age(const Recipient *r, usec_t boottime) {
        int64_t age = (int64_t) boottime - r->born;
        return age > 0 ? (usec_t) age : 0;
}

void recipient_set_ready(Recipient *r) {
        assert(r->phase != PHASE_READY);
        r->phase = PHASE_READY;
        r->message->n_ready++;
}

void recipient_unset_ready(Recipient *r, RecipientPhase phase) {
        assert(r->phase == PHASE_READY);
        r->phase = phase;
        r->message->n_ready--;
}

Recipient *message_find_recipient(const Message *m, uint32_t index) {
        for (Recipient *r = m->recipients; r; r = r->next)
                if (r->index == index)
                        return r;
        return NULL;
}

int message_add_recipient(Message *m, const QueuedRecipient *q, uint32_t index, int64_t born, Recipient **ret) {
        Recipient *r = new0(Recipient, 1);
        if (!r)
                return -ENOMEM;

        *r = (Recipient) {
                .job = JOB_INIT,
                .message = m,
                .address = strdup(q->address),
                .born = born,
                .index = index,
                .parent = q->parent,
                .uid = UID_UNKNOWN,
                .tries = MIN(q->tries, (uint32_t) UINT16_MAX),
                .notify = q->notify,
                .dsn = q->dsn,
        };
        if (q->sender)
                r->sender = strdup(q->sender);
        if (!r->address || (q->sender && !r->sender)) {
                free(r->address);
                free(r->sender);
                free(r);
                return -ENOMEM;
        }
        r->next = m->recipients;
        m->recipients = r;
        m->n_recipients++;
        if (ret)
                *ret = r;
        return 0;
}

Recipient *recipient_free(Manager *manager, Recipient *r) {
        if (!r)
                return NULL;

        if (manager) {
                scheduler_remove(manager->scheduler, &r->job);
                manager->n_recipients--;
        }
        for (Recipient **p = &r->message->recipients; *p; p = &(*p)->next)
                if (*p == r) {
                        *p = r->next;
                        r->message->n_recipients--;
                        break;
                }
        outcome_free(r->outcome);
        free(r->address);
        free(r->sender);
        return mfree(r);
}

int message_new(QueuedMessage *q, const RetryClock *now, Message **ret) {
        _cleanup_(message_freep) Message *m = new0(Message, 1);
        int r;

        if (!m)
                return -ENOMEM;
        m->id = q->id;
        m->held = q->held;
        m->null_sender = isempty(q->envelope.sender);
        m->uid = q->envelope.origin.uid;
        m->token = q->envelope.token;
        m->size = q->envelope.size;
        m->content_fd = -EBADF;
        m->last_op = &m->ops;

        /* Backwards, so that the list is in order. */
        for (size_t i = q->n_recipients; i-- > 0;) {
                const QueuedRecipient *recipient = q->recipients + i;

                if (recipient->state != RECIPIENT_PENDING)
                        continue;
                usec_t age = retry_age_at_load(recipient->age, recipient->attempted ?: q->envelope.arrival, now);
                r = message_add_recipient(m, recipient, i, (int64_t) now->boottime - (int64_t) age, NULL);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(m);
        return 0;
}

Message *message_free(Message *m) {
        if (!m)
                return NULL;
        assert(!m->open); /* message_unregister() has seen to it */
        while (m->recipients)
                recipient_free(NULL, m->recipients);
        return mfree(m);
}

int message_register(Manager *manager, Message *m) {
        int r = map_put(&manager->messages, m->id.s, m);
        if (r < 0)
                return r;
        manager->n_recipients += m->n_recipients;
        manager->n_held += m->held;
        return 0;
}

void message_unregister(Manager *manager, Message *m) {
        (void) map_remove(&manager->messages, m->id.s);
        settle_forget(manager, m);
        while (m->recipients)
                recipient_free(manager, m->recipients);
        manager->n_held -= m->held;
        message_forget_open(manager, m);
}
