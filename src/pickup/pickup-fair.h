/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whose file is next: one of each owner in turn, so that nobody waits for another's hundred thousand. Holds a bounded
 * number of names per owner and of owners; what does not fit is found by the next scan. Pure. */

#include "basic/macro.h"

#define FAIR_NAMES_MAX 256U   /* per owner */
#define FAIR_OWNERS_MAX 1024U

typedef struct FairName FairName;

typedef struct FairOwner {
        uid_t uid;
        unsigned n;
        FairName *first, *last;
} FairOwner;

/* All zero is empty. */
typedef struct Fair {
        FairOwner *owners;          /* those that have names, and some that had */
        unsigned n_owners, allocated;
        unsigned turn;              /* of the owner whose file is next */
        unsigned recent;            /* the owner of the last name added, a guess for the next */
        size_t n;                   /* names in all */
} Fair;

void fair_done(Fair *f);

enum {
        _FAIR_E_SUCCESS,
        FAIR_E_FULL, /* this owner has enough names, or there are too many owners */
};

/* 0, FAIR_E_FULL, -ENOMEM. */
int fair_add(Fair *f, uid_t uid, const char *name);

/* The next name, to be freed by the caller; NULL when there is none. */
char *fair_next(Fair *f, uid_t *ret_uid);
