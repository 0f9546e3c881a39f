/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The configuration as an object: defaults, look-ups, the dump. */

#include "basic/ini.h"
#include "basic/strv.h"
#include "basic/text.h"
#include "config/config-key.h"

static ListenerConfig *listener_free(ListenerConfig *listener);
DEFINE_TRIVIAL_CLEANUP_FUNC(ListenerConfig *, listener_free);

/* Frees the fields of one kind of object and the origins of their values. */
static void clear_object(void *object, char **origins, bool is_listener) {
        for (size_t i = 0; i < config_n_keys; i++) {
                const ConfigKey *key = config_keys + i;
                if ((key->section == SECTION_LISTENER) != is_listener)
                        continue;
                if (key->type->clear)
                        key->type->clear(config_field(key, object));
                if (origins)
                        free(origins[i]);
        }
        free(origins);
}

static ListenerConfig *listener_free(ListenerConfig *listener) {
        if (!listener)
                return NULL;
        clear_object(listener, listener->origins, true);
        free(listener->name);
        return mfree(listener);
}

Config *config_free(Config *c) {
        if (!c)
                return NULL;
        clear_object(c, c->origins, false);
        for (size_t i = 0; i < c->n_listeners; i++)
                listener_free(c->listeners[i]);
        free(c->listeners);
        listener_free(c->listener_default);
        return mfree(c);
}

int config_set_standard(const ConfigKey *key, void *object) {
        const char *reason;

        if (key->type->clear)
                key->type->clear(config_field(key, object));
        if (!key->standard)
                return 0;
        int r = key->type->parse(key, key->standard, config_field(key, object), &reason);
        assert(r >= 0 || r == -ENOMEM);
        return r;
}

int config_set_standards(void *object, char ***origins, bool is_listener) {
        int r;

        *origins = new0(char *, config_n_keys);
        if (!*origins)
                return -ENOMEM;
        for (size_t i = 0; i < config_n_keys; i++) {
                if ((config_keys[i].section == SECTION_LISTENER) != is_listener)
                        continue;
                r = config_set_standard(config_keys + i, object);
                if (r < 0)
                        return r;
        }
        return 0;
}

int listener_config_new(const char *name, ListenerConfig **ret) {
        _cleanup_(listener_freep) ListenerConfig *listener = new0(ListenerConfig, 1);
        int r;

        if (!listener)
                return -ENOMEM;
        listener->name = strdup(name);
        if (!listener->name)
                return -ENOMEM;
        r = config_set_standards(listener, &listener->origins, true);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(listener);
        return 0;
}

ListenerConfig *config_find_listener(const Config *c, const char *name) {
        for (size_t i = 0; i < c->n_listeners; i++)
                if (streq(c->listeners[i]->name, name))
                        return c->listeners[i];
        return NULL;
}

const ListenerConfig *config_listener(const Config *c, const char *name) {
        return config_find_listener(c, name) ?: c->listener_default;
}

bool config_domain_is_local(const Config *c, const char *domain) {
        STRV_FOREACH(i, c->local_domains)
                if (ascii_strcaseeq(*i, domain))
                        return true;
        return false;
}

static int dump_section(FILE *f, ConfigSection section, const char *title, const void *object, char *const *origins) {
        int r;

        fprintf(f, "[%s]\n", title);
        for (size_t i = 0; i < config_n_keys; i++) {
                const ConfigKey *key = config_keys + i;
                _cleanup_buf_ Buf b = BUF_INIT;

                if (key->section != section)
                        continue;
                r = key->type->format(key, (const char *) object + key->offset, &b);
                if (r < 0)
                        return r;
                fprintf(f, "# %s\n%s=%s\n", origins[i] ?: "default", key->name, strempty(b.data));
        }
        return 0;
}

int config_dump(const Config *c, FILE *f) {
        int r;

        r = dump_section(f, SECTION_SERVER, config_section_titles[SECTION_SERVER], c, c->origins);
        if (r < 0)
                return r;
        fputc('\n', f);
        r = dump_section(f, SECTION_ACTION_LOCAL, config_section_titles[SECTION_ACTION_LOCAL], c, c->origins);
        if (r >= 0) {
                fputc('\n', f);
                r = dump_section(f, SECTION_SPAWN, config_section_titles[SECTION_SPAWN], c, c->origins);
        }
        for (size_t i = 0; i < c->n_listeners && r >= 0; i++) {
                char title[INI_SECTION_MAX + 1];
                (void) snprintf(title, sizeof(title), "Listener %s", c->listeners[i]->name);
                fputc('\n', f);
                r = dump_section(f, SECTION_LISTENER, title, c->listeners[i], c->listeners[i]->origins);
        }
        if (r < 0)
                return r;
        return fflush(f) == 0 && !ferror(f) ? 0 : -EIO;
}
