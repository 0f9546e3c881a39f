/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a delivery session of each class may do: fixed tables of unit properties, used both to start the transient unit
 * and to show it as a unit file (postd-spawnd --dump-unit). Pure. */

#include <stdio.h>
#include "basic/usec.h"

typedef enum SessionClass {
        CLASS_MAILBOX, /* the mbox in /var/mail: group mail, runs only our code */
        CLASS_HOME,    /* the user's home: maildir */
        CLASS_COMMAND, /* a command of the user's or the administrator's */
        _CLASS_MAX,
        _CLASS_INVALID = -EINVAL,
} SessionClass;

const char *session_class_to_string(SessionClass c);
SessionClass session_class_from_string(const char *s);

/* How a value is written, in a file and on the bus. */
typedef enum PropertyType {
        PROPERTY_STRING, /* s */
        PROPERTY_LIST,   /* as: text, separated by spaces */
        PROPERTY_FILTER, /* (bas): text, separated by spaces, "~" before the first means: all but these */
        PROPERTY_BOOL,   /* b: number */
        PROPERTY_NUMBER, /* t: number */
        PROPERTY_INT,    /* i: number */
        PROPERTY_MODE,   /* u: number, octal in a file */
        PROPERTY_USEC,   /* t: number; the file's key ends in Sec, the bus's in USec */
        PROPERTY_NONE,   /* t: an empty set of bits; text is how a file says so */
        PROPERTY_ANY_IP, /* a(iayu): every address */
} PropertyType;

typedef struct Property {
        const char *key; /* in a unit file */
        const char *bus; /* on the bus, NULL: the same */
        PropertyType type;
        const char *text;
        uint64_t number;
} Property;

/* The i-th property of a class, NULL behind the last. */
const Property *session_class_property(SessionClass c, size_t i);

/* The class as a unit file, with what differs from session to session as comments: 0 or -errno. */
int session_class_dump(SessionClass c, FILE *f);

/* Command line: the session program's, with the class; NULL for a class that cannot be started. */
const char *session_class_program(SessionClass c);
