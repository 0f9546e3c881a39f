/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One expansion at a time for each message, so that no address is added twice. If it cannot be written nothing has
 * happened, and the recipient is tried again soon. */

#include "basic/log.h"
#include "queued/queued-event.h"
#include "queued/queued-expand.h"
#include "queued/queued-route.h"
#include "queued/queued-settle.h"
#include "queued/queued-store.h"

#define AGAIN_USEC (30 * USEC_PER_SEC)

typedef struct Expansion {
        uint32_t index;          /* of the parent */
        RecordChild *children;
        size_t n_children;
} Expansion;

static Expansion *expansion_free(Expansion *e) {
        if (!e)
                return NULL;
        for (size_t i = 0; i < e->n_children; i++)
                free((char *) e->children[i].address);
        if (e->n_children > 0)
                free((char *) e->children[0].sender);
        free(e->children);
        return mfree(e);
}
DEFINE_TRIVIAL_CLEANUP_FUNC(Expansion *, expansion_free);

bool expand_in_progress(Recipient *r) {
        r->expansion_waits = r->message->expanding;
        return r->expansion_waits;
}

static void expansion_ended(Manager *manager, Message *m) {
        m->expanding = false;
        /* The list may change with each of them, and one that expands makes the others wait again. */
        for (bool again = true; again && !m->expanding;) {
                again = false;
                for (Recipient *r = m->recipients; r; r = r->next)
                        if (r->expansion_waits) {
                                r->expansion_waits = false;
                                route_attempt(manager, r);
                                again = true;
                                break;
                        }
        }
}

static void on_expanded(Manager *manager, Message *m, void *userdata, int k) {
        _cleanup_(expansion_freep) Expansion *e = userdata;
        Recipient *parent = message_find_recipient(m, e->index);

        assert(parent);
        if (k < 0) {
                log_error_errno(k, "Cannot write the expansion of %s in message %s, trying again: %m", parent->address, m->id.s);
                settle_untried(manager, parent, AGAIN_USEC);
                expansion_ended(manager, m);
                return;
        }
        event_expanded(manager, m, parent, e->n_children);

        /* Held open over what follows: attempts may end at once. */
        m->n_users++;
        int64_t born = parent->born;
        uint32_t n = m->open->n_recipients, first = n - (uint32_t) e->n_children;
        for (uint32_t i = first; i < n; i++) {
                Recipient *child;
                int r = message_add_recipient(m, m->open->recipients + i, i, born, &child);
                if (r < 0) {
                        log_error_errno(r, "Recipient %s of message %s waits for the next start: %m", m->open->recipients[i].address, m->id.s);
                        continue;
                }
                manager->n_recipients++;
                child->expansion_waits = true; /* begun below, one after another */
                child->phase = PHASE_ROUTING;
                m->n_users++;
        }
        recipient_free(manager, parent);
        message_close(manager, m); /* the parent's */
        expansion_ended(manager, m);
        if (!m->recipients && !m->finishing)
                message_finish(manager, m);
        message_close(manager, m);
}

/* Is recipient i what r came from, or r itself? */
static bool is_ancestor(const QueuedMessage *q, uint32_t i, uint32_t r) {
        for (; r < q->n_recipients; r = q->recipients[r].parent)
                if (r == i)
                        return true;
        return false;
}

/* Leaves out what the message has already: whoever is on two lists, or named beside the list, gets one copy. Not what
 * leads back to where it came from: the decision engine has an answer to loops. */
static int choose_children(Manager *manager, const Recipient *parent, const RouteResult *result, Expansion *e) {
        /* Without an owner of its own a list keeps that of the list it is on. */
        const char *owner = result->sender ?: parent->sender;
        const Message *m = parent->message;
        const QueuedMessage *q = m->open;
        _cleanup_(map_done) Map seen = MAP_INIT;
        _cleanup_free_ char **names = new0(char *, q->n_recipients + 1);
        size_t n_names = 0, n = 0;
        int r = 0;

        while (result->children[n])
                n++;
        e->children = new0(RecordChild, n + 1);
        if (!names || !e->children)
                return -ENOMEM;
        for (size_t i = 0; i < q->n_recipients && r >= 0; i++) {
                if (is_ancestor(q, i, parent->index))
                        continue;
                names[n_names] = route_normalize(manager->router, q->recipients[i].address, q->recipients[i].parent != RECIPIENT_NONE);
                r = names[n_names] ? map_put(&seen, names[n_names], names[n_names]) : -ENOMEM;
                n_names++;
                if (r == -EEXIST)
                        r = 0;
        }
        for (size_t i = 0; i < n && r >= 0; i++) {
                _cleanup_free_ char *name = route_normalize(manager->router, result->children[i], true);
                if (!name)
                        r = -ENOMEM;
                else if (!map_get(&seen, name)) {
                        char *address = strdup(result->children[i]);
                        if (address)
                                e->children[e->n_children++].address = address;
                        else
                                r = -ENOMEM;
                }
        }
        for (size_t i = 0; i < n_names; i++)
                free(names[i]);
        if (r >= 0 && owner && e->n_children > 0) {
                char *sender = strdup(owner);
                if (!sender)
                        return -ENOMEM;
                for (size_t i = 0; i < e->n_children; i++)
                        e->children[i].sender = sender;
        }
        return r;
}

void expand(Manager *manager, Recipient *r, const RouteResult *result) {
        _cleanup_(expansion_freep) Expansion *e = new0(Expansion, 1);
        _cleanup_(record_set_freep) RecordSet *set = NULL;
        Message *m = r->message;
        int k;

        if (expand_in_progress(r))
                return;
        k = e ? choose_children(manager, r, result, e) : -ENOMEM;
        if (k >= 0 && m->open->n_recipients + e->n_children > m->open->envelope.n_recipients + manager->config->alias_fanout_max) {
                settle(manager, r, RESULT_DEFERRED, STATUS(4, 3, 5), "expands to more recipients than AliasFanoutMax= permits", NULL);
                return;
        }
        if (k >= 0)
                k = record_set_new(&set);
        if (k >= 0) {
                e->index = r->index;
                k = record_set_add(set, &(Record) { .type = RECORD_EXPAND, .index = r->index, .children = e->children, .n_children = e->n_children });
        }
        if (k < 0) {
                log_error_errno(k, "Cannot expand %s of message %s, trying again: %m", r->address, m->id.s);
                settle_untried(manager, r, AGAIN_USEC);
                return;
        }
        m->expanding = true;
        message_append(manager, m, TAKE_PTR(set), true, on_expanded, TAKE_PTR(e));
}
