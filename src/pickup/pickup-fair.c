/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pickup/pickup-fair.h"

struct FairName {
        FairName *next;
        char name[];
};

void fair_done(Fair *f) {
        for (unsigned i = 0; i < f->n_owners; i++)
                for (FairName *n = f->owners[i].first, *next; n; n = next) {
                        next = n->next;
                        free(n);
                }
        free(f->owners);
        *f = (Fair) {};
}

/* Owners are few, and one's files often follow each other. */
static FairOwner *find_owner(Fair *f, uid_t uid) {
        if (f->recent < f->n_owners && f->owners[f->recent].uid == uid)
                return f->owners + f->recent;
        for (unsigned i = 0; i < f->n_owners; i++)
                if (f->owners[i].uid == uid) {
                        f->recent = i;
                        return f->owners + i;
                }
        return NULL;
}

static int new_owner(Fair *f, uid_t uid, FairOwner **ret) {
        if (f->n_owners >= FAIR_OWNERS_MAX)
                return FAIR_E_FULL;
        if (f->n_owners >= f->allocated) {
                unsigned room = MAX(f->allocated * 2, 16U);
                FairOwner *p = reallocarray(f->owners, room, sizeof(*p));
                if (!p)
                        return -ENOMEM;
                f->owners = p;
                f->allocated = room;
        }
        f->recent = f->n_owners;
        *ret = f->owners + f->n_owners++;
        **ret = (FairOwner) { .uid = uid };
        return 0;
}

int fair_add(Fair *f, uid_t uid, const char *name) {
        FairOwner *o = find_owner(f, uid);
        size_t size = strlen(name) + 1;
        int r;

        if (o && o->n >= FAIR_NAMES_MAX)
                return FAIR_E_FULL;
        FairName *n = malloc(sizeof(*n) + size);
        if (!n)
                return -ENOMEM;
        n->next = NULL;
        memcpy(n->name, name, size);
        if (!o) {
                r = new_owner(f, uid, &o);
                if (r != 0) {
                        free(n);
                        return r;
                }
        }
        if (o->last)
                o->last->next = n;
        else
                o->first = n;
        o->last = n;
        o->n++;
        f->n++;
        return 0;
}

char *fair_next(Fair *f, uid_t *ret_uid) {
        if (f->n == 0)
                return NULL;
        while (f->owners[f->turn % f->n_owners].n == 0)
                f->turn++;

        FairOwner *o = f->owners + f->turn++ % f->n_owners;
        FairName *n = o->first;
        o->first = n->next;
        if (!o->first)
                o->last = NULL;
        o->n--;
        f->n--;

        /* The name moves to the front of its own memory. */
        *ret_uid = o->uid;
        char *name = (char *) n;
        memmove(name, n->name, strlen(n->name) + 1);
        return name;
}
