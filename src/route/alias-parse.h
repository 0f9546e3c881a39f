/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text of aliases(5) and of the lists that :include: names. Pure: text in, entries out.
 *
 * A target is handed out as one string whose beginning says what it is; this is also how the children of an expansion
 * are named from then on:
 *   user, user@domain   an address, as in SMTP; without a domain a name on this host
 *   \user               the user himself, without a look at the aliases
 *   |command            a command
 *   /file               a file
 *   :include:/file      a list of targets in a file
 * An address that comes from outside may begin in the same way ("|x" is a fine local part): these meanings exist only
 * where a target stands in an alias file. */

#include "basic/buf.h"

#define ALIAS_TARGET_MAX 1024U
#define ALIAS_LINE_MAX (4U * 1024 * 1024) /* with its continuation lines */

typedef enum AliasKind {
        ALIAS_ADDRESS,
        ALIAS_DIRECT,
        ALIAS_COMMAND,
        ALIAS_FILE,
        ALIAS_INCLUDE,
} AliasKind;

/* What the target is, and in *ret (may be NULL) its text without what says so. */
AliasKind alias_kind(const char *target, const char **ret);

typedef struct AliasEntry {
        const char *name;     /* lower case, without quotes; NULL: in a list, or it could not be made out */
        const char *targets;  /* n_targets strings, each with its NUL, one after another */
        size_t targets_size;
        size_t n_targets;
        unsigned line;        /* where it begins */
        const char *error;    /* what is wrong with it, NULL: nothing; then it has no targets */
} AliasEntry;

/* Called for each entry (each line of a list); what it points to is gone afterwards. < 0 ends the parsing. */
typedef int (*alias_handler_t)(const AliasEntry *entry, void *userdata);

/* is_list: targets only, each line by itself. 0, -ENOMEM or what the handler returned. */
int alias_parse(const char *text, size_t size, bool is_list, alias_handler_t handler, void *userdata);
