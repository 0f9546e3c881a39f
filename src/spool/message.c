/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the records of a log do to a message. Pure. A record that does not fit changes nothing. */

#include "spool/record.h"

static const char *const state_table[] = { "pending", "expanded", "delivered", "failed", "expired", "removed" };
static_assert(ELEMENTSOF(state_table) == _RECIPIENT_STATE_MAX, "a name for each state");

const char *recipient_state_to_string(RecipientState s) {
        return (int) s >= 0 && (size_t) s < ELEMENTSOF(state_table) ? state_table[s] : NULL;
}

static void recipient_done(QueuedRecipient *r) {
        free(r->address);
        free(r->original_recipient);
        free(r->sender);
        free(r->reply);
}

void queued_message_done(QueuedMessage *m) {
        for (size_t i = 0; i < m->n_recipients; i++)
                recipient_done(m->recipients + i);
        free(m->recipients);
        free(m->hold_reason);
        envelope_done(&m->envelope);
        *m = QUEUED_MESSAGE_INIT;
}

bool queued_message_finished(const QueuedMessage *m) {
        for (size_t i = 0; i < m->n_recipients; i++)
                if (m->recipients[i].state == RECIPIENT_PENDING)
                        return false;
        return true;
}

static size_t capacity(size_t n) {
        size_t c = 1;
        while (c < n)
                c *= 2;
        return c;
}

/* The array always has room for capacity(n_recipients). */
static int reserve(QueuedMessage *m, size_t n) {
        if (m->recipients && capacity(n) <= capacity(m->n_recipients))
                return 0;
        QueuedRecipient *p = reallocarray(m->recipients, capacity(n), sizeof(*p));
        if (!p)
                return -ENOMEM;
        m->recipients = p;
        return 0;
}

static int copy_string(const char *s, char **ret) {
        *ret = s ? strdup(s) : NULL;
        return s && !*ret ? -ENOMEM : 0;
}

int queued_message_set_recipients(QueuedMessage *m) {
        int r = reserve(m, m->envelope.n_recipients);
        if (r < 0)
                return r;
        for (size_t i = 0; i < m->envelope.n_recipients; i++) {
                const EnvelopeRecipient *e = m->envelope.recipients + i;
                QueuedRecipient *q = m->recipients + m->n_recipients;

                *q = (QueuedRecipient) { .parent = RECIPIENT_NONE, .notify = e->notify };
                m->n_recipients++;
                if (copy_string(e->address, &q->address) < 0 ||
                    copy_string(e->original_recipient, &q->original_recipient) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Checks one record against the states of the recipients as the records before it will have left them. */
static int check(uint8_t *states, size_t *n_states, const Record *r) {
        if (IN_SET(r->type, RECORD_HOLD, RECORD_RELEASE))
                return 0;
        if (r->index >= *n_states)
                return -EBADMSG;
        if (r->type == RECORD_DSN)
                return r->dsn == 0 || r->dsn & ~_DSN_KIND_ALL ? -EBADMSG : 0;
        if (states[r->index] != RECIPIENT_PENDING)
                return -EBADMSG;

        switch (r->type) {
        case RECORD_ATTEMPT:
                if (!IN_SET(r->state, RECIPIENT_PENDING, RECIPIENT_DELIVERED, RECIPIENT_FAILED, RECIPIENT_EXPIRED, RECIPIENT_REMOVED))
                        return -EBADMSG;
                states[r->index] = r->state;
                return 0;
        case RECORD_EXPAND:
                states[r->index] = RECIPIENT_EXPANDED;
                memset(states + *n_states, RECIPIENT_PENDING, r->n_children);
                *n_states += r->n_children;
                return 0;
        case RECORD_DUE:
                return 0;
        default:
                return -EBADMSG;
        }
}

static int check_all(QueuedMessage *m, const Record *records, size_t n) {
        size_t n_states = m->n_recipients, n_all = n_states;
        int r;

        for (size_t i = 0; i < n; i++) {
                if (records[i].n_children > SPOOL_RECIPIENTS_MAX)
                        return -EBADMSG;
                n_all += records[i].type == RECORD_EXPAND ? records[i].n_children : 0;
                if (n_all > SPOOL_RECIPIENTS_MAX)
                        return -EBADMSG;
        }
        r = reserve(m, n_all);
        if (r < 0)
                return r;

        uint8_t few[64];
        _cleanup_free_ uint8_t *many = n_all > sizeof(few) ? malloc(n_all) : NULL;
        uint8_t *states = n_all > sizeof(few) ? many : few;
        if (!states)
                return -ENOMEM;
        for (size_t i = 0; i < n_states; i++)
                states[i] = m->recipients[i].state;
        for (size_t i = 0; i < n; i++) {
                r = check(states, &n_states, records + i);
                if (r < 0)
                        return r;
        }
        return 0;
}

size_t text_length(const char *s, size_t max) {
        size_t n = strnlen(s, max + 1);
        if (n <= max)
                return n;
        for (n = max; n > 0 && max - n < 3 && ((uint8_t) s[n] & 0xC0) == 0x80;)
                n--;
        return n;
}

static int prepare_change(const Record *r, Change *c) {
        const char *text = NULL;

        if (IN_SET(r->type, RECORD_ATTEMPT, RECORD_HOLD))
                text = r->reply;
        if (text && !(c->text = strndup(text, text_length(text, REPLY_TEXT_MAX))))
                return -ENOMEM;
        if (r->type != RECORD_EXPAND)
                return 0;

        c->children = new0(QueuedRecipient, MAX(r->n_children, (size_t) 1));
        if (!c->children)
                return -ENOMEM;
        for (size_t i = 0; i < r->n_children; i++, c->n_children++) {
                c->children[i].parent = r->index;
                if (!r->children[i].address)
                        return -EBADMSG;
                if (copy_string(r->children[i].address, &c->children[i].address) < 0)
                        return -ENOMEM;
                if (copy_string(r->children[i].sender, &c->children[i].sender) < 0) {
                        c->n_children++;
                        return -ENOMEM;
                }
        }
        return 0;
}

void changes_free(Change *changes, size_t n) {
        for (size_t i = 0; changes && i < n; i++) {
                free(changes[i].text);
                for (size_t k = 0; k < changes[i].n_children; k++)
                        recipient_done(changes[i].children + k);
                free(changes[i].children);
        }
        free(changes);
}

int queued_message_prepare(QueuedMessage *m, const Record *records, size_t n, Change **ret) {
        int r;

        r = check_all(m, records, n);
        if (r < 0)
                return r;
        Change *changes = new0(Change, MAX(n, (size_t) 1));
        if (!changes)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = prepare_change(records + i, changes + i);
                if (r < 0) {
                        changes_free(changes, n);
                        return r;
                }
        }
        *ret = changes;
        return 0;
}

static void commit(QueuedMessage *m, const Record *r, Change *c) {
        QueuedRecipient *q = IN_SET(r->type, RECORD_HOLD, RECORD_RELEASE) ? NULL : m->recipients + r->index;

        switch (r->type) {
        case RECORD_ATTEMPT:
                q->state = r->state;
                q->tries = r->tries;
                q->attempted = r->attempted;
                q->due = r->due;
                q->age = r->age;
                q->status = r->status;
                free_and_replace(q->reply, c->text);
                break;
        case RECORD_EXPAND:
                q->state = RECIPIENT_EXPANDED;
                for (size_t i = 0; i < c->n_children; i++) {
                        c->children[i].notify = q->notify;
                        m->recipients[m->n_recipients++] = c->children[i];
                }
                c->n_children = 0; /* their strings have moved */
                break;
        case RECORD_HOLD:
                m->held = true;
                free_and_replace(m->hold_reason, c->text);
                break;
        case RECORD_RELEASE:
                m->held = false;
                m->hold_reason = mfree(m->hold_reason);
                break;
        case RECORD_DSN:
                q->dsn |= r->dsn;
                break;
        case RECORD_DUE:
                q->due = r->due;
                break;
        default:
                break;
        }
}

void queued_message_commit(QueuedMessage *m, const Record *records, Change *changes, size_t n) {
        for (size_t i = 0; i < n; i++)
                commit(m, records + i, changes + i);
}

int queued_message_apply(QueuedMessage *m, const Record *record) {
        Change *changes;
        int r;

        r = queued_message_prepare(m, record, 1, &changes);
        if (r < 0)
                return r;
        queued_message_commit(m, record, changes, 1);
        changes_free(changes, 1);
        return 0;
}
