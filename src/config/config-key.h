/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of all keys of postd.conf(5): it drives parser, dump and the test of the manual page. Private to config/. */

#include "basic/buf.h"
#include "config/config.h"

typedef struct ConfigKey ConfigKey;

/* How a kind of value is read, shown and freed. parse: 0; -EINVAL, -ERANGE with the reason in *reterr; -ENOMEM. The
 * field keeps its old value on failure. */
typedef struct ConfigType {
        int (*parse)(const ConfigKey *key, const char *value, void *field, const char **reterr);
        int (*format)(const ConfigKey *key, const void *field, Buf *b);
        void (*clear)(void *field); /* NULL: nothing to free */
        bool empty_is_value;        /* else an empty value means the default again */
} ConfigType;

extern const ConfigType config_type_domain, config_type_domains, config_type_user, config_type_path,
        config_type_path_optional, config_type_path_home, config_type_sec, config_type_size, config_type_unsigned,
        config_type_deliver, config_type_uids;

typedef enum ConfigSection {
        SECTION_SERVER,
        SECTION_ACTION_LOCAL,
        SECTION_SPAWN,
        SECTION_LISTENER,
        _SECTION_MAX,
        _SECTION_INVALID = -EINVAL,
} ConfigSection;

/* "Server", "Action local", "Spawn", "Listener NAME" */
extern const char *const config_section_titles[_SECTION_MAX];

struct ConfigKey {
        ConfigSection section;
        const char *name;
        const ConfigType *type;
        size_t offset;        /* in Config; for SECTION_LISTENER in ListenerConfig */
        const char *standard; /* the default as text, NULL: found out at run time */
        uint64_t min, max;    /* of numbers, where max is not 0 */
};

extern const ConfigKey config_keys[];
extern const size_t config_n_keys;

static inline void *config_field(const ConfigKey *key, void *object) {
        return (char *) object + key->offset;
}

/* The default of a key, or of all keys of an object, whose list of origins is made too: 0 or -ENOMEM. */
int config_set_standard(const ConfigKey *key, void *object);
int config_set_standards(void *object, char ***origins, bool is_listener);

int listener_config_new(const char *name, ListenerConfig **ret);
ListenerConfig *config_find_listener(const Config *c, const char *name); /* NULL: it has no section */
