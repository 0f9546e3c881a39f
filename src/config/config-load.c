/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading postd.conf(5) and its drop-ins. Every error in all files is reported before the whole is refused. */

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#include "address/address.h"
#include "basic/fd.h"
#include "basic/ini.h"
#include "basic/strv.h"
#include "basic/text.h"
#include "config/config-key.h"

#define FILE_MAX (1024U * 1024U)
#define DROP_INS_MAX 1000U
#define LISTENERS_MAX 256U
#define LISTENER_NAME_MAX 32U

typedef struct Loader {
        int root_fd;
        void (*report)(int level, const char *line, void *userdata);
        void *userdata;
        Config *config;
        bool failed;

        /* of the file being read */
        const char *file;
        ConfigSection section;
        ListenerConfig *listener;
} Loader;

/* Every error goes through here. */
static void say(Loader *l, int level, unsigned line, const char *format, ...) _printf_(4, 5);
static void say(Loader *l, int level, unsigned line, const char *format, ...) {
        char text[512], message[1024];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (l->file && line > 0)
                (void) snprintf(message, sizeof(message), "%s:%u: %s", l->file, line, text);
        else
                (void) snprintf(message, sizeof(message), "%s%s%s", strempty(l->file), l->file ? ": " : "", text);
        if (level <= LOG_ERR)
                l->failed = true;
        if (l->report)
                l->report(level, message, l->userdata);
}

/* Letters, digits, "-" and "_": it is part of unit names, users and paths. */
static bool listener_name_valid(const char *s) {
        size_t n = 0;
        while (ascii_isalnum(s[n]) || (n > 0 && (s[n] == '-' || s[n] == '_')))
                n++;
        return n > 0 && n <= LISTENER_NAME_MAX && !s[n];
}

static int enter_listener(Loader *l, const char *name, unsigned line) {
        Config *c = l->config;
        int r;

        if (!listener_name_valid(name)) {
                _cleanup_free_ char *shown = text_sanitize(name, INI_SECTION_MAX);
                say(l, LOG_ERR, line, "[Listener %s]: not the name of a listener (letters, digits, \"-\" and \"_\", at most %u)",
                    strempty(shown), LISTENER_NAME_MAX);
                return 1;
        }
        l->listener = config_find_listener(c, name);
        if (!l->listener) {
                if (c->n_listeners >= LISTENERS_MAX) {
                        say(l, LOG_ERR, line, "more than %u listeners", LISTENERS_MAX);
                        return 1;
                }
                ListenerConfig **p = reallocarray(c->listeners, c->n_listeners + 1, sizeof(ListenerConfig *));
                if (!p)
                        return -ENOMEM;
                c->listeners = p;
                r = listener_config_new(name, p + c->n_listeners);
                if (r < 0)
                        return r;
                l->listener = p[c->n_listeners++];
        }
        l->section = SECTION_LISTENER;
        return 0;
}

static int enter_section(Loader *l, const char *section, unsigned line) {
        const char *name;

        l->section = _SECTION_INVALID;
        l->listener = NULL;
        if ((name = startswith(section, "Listener ")))
                return enter_listener(l, name, line);
        for (ConfigSection i = 0; i < _SECTION_MAX; i++)
                if (i != SECTION_LISTENER && streq(section, config_section_titles[i])) {
                        l->section = i;
                        return 0;
                }
        _cleanup_free_ char *shown = text_sanitize(section, INI_SECTION_MAX);
        say(l, LOG_ERR, line, "unknown section [%s]", strempty(shown));
        return 1;
}

static const ConfigKey *find_key(ConfigSection section, const char *name) {
        for (size_t i = 0; i < config_n_keys; i++)
                if (config_keys[i].section == section && streq(config_keys[i].name, name))
                        return config_keys + i;
        return NULL;
}

static int set_key(Loader *l, const ConfigKey *key, const char *section, const char *value, unsigned line) {
        void *object = l->listener ? (void *) l->listener : l->config;
        char **origin = (l->listener ? l->listener->origins : l->config->origins) + (key - config_keys);
        const char *reason = NULL;
        int r;

        if (!*value && !key->type->empty_is_value) {
                *origin = mfree(*origin);
                return config_set_standard(key, object);
        }
        r = key->type->parse(key, value, config_field(key, object), &reason);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                _cleanup_free_ char *shown = text_sanitize(value, 100);
                say(l, LOG_ERR, line, "[%s] %s=: %s: %s", section, key->name, reason, strempty(shown));
                return 1;
        }
        _cleanup_free_ char *where = NULL;
        if (asprintf(&where, "%s:%u", l->file, line) < 0)
                return -ENOMEM;
        free_and_replace(*origin, where);
        return 0;
}

static int on_pair(const char *section, const char *name, const char *value, unsigned line, void *userdata) {
        Loader *l = userdata;

        if (!name)
                return enter_section(l, section, line);
        if (!*section) {
                say(l, LOG_ERR, line, "%.64s= stands before the first section", name);
                return 1;
        }
        if (l->section < 0) /* reported with its header */
                return 1;
        const ConfigKey *key = find_key(l->section, name);
        if (!key) {
                say(l, LOG_ERR, line, "[%s] %.64s=: unknown key", section, name);
                return 1;
        }
        return set_key(l, key, section, value, line);
}

static void on_error(unsigned line, const char *message, void *userdata) {
        say(userdata, LOG_ERR, line, "%s", message);
}

/* 0 also when the file is not there, or was wrong and reported; -ENOMEM. */
static int read_one(Loader *l, const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        l->file = path;
        l->section = _SECTION_INVALID;
        l->listener = NULL;
        r = read_file_at(l->root_fd, path + 1, FILE_MAX, &text, &size, NULL);
        if (r == -ENOENT || r == -ENOMEM)
                return r == -ENOMEM ? r : 0;
        if (r < 0) {
                say(l, LOG_ERR, 0, "cannot be read: %s",
                    r == -EBADFD ? "not a plain file" : r == -EFBIG ? "larger than 1 MB" : strerror(-r));
                return 0;
        }
        r = ini_read(text, size, on_pair, on_error, l);
        return r == -EBADMSG ? 0 : r;
}

static DIR *closedir_wrapper(DIR *d) {
        if (d)
                closedir(d);
        return NULL;
}
DEFINE_TRIVIAL_CLEANUP_FUNC(DIR *, closedir_wrapper);

static const char *const drop_in_directories[] = { "/usr/lib/postd/postd.conf.d", "/etc/postd/postd.conf.d" };

/* The names of a directory's *.conf, each once. */
static int list_drop_ins(Loader *l, const char *directory, char ***names) {
        size_t n;
        int r;

        l->file = directory;
        int fd = openat(l->root_fd, directory + 1, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
        if (fd < 0) {
                if (errno != ENOENT)
                        say(l, LOG_ERR, 0, "cannot be read: %m");
                return 0;
        }
        _cleanup_(closedir_wrapperp) DIR *d = fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return -ENOMEM;
        }
        for (struct dirent *de; (de = readdir(d));) {
                n = strlen(de->d_name);
                if (de->d_name[0] == '.' || n <= 5 || !streq(de->d_name + n - 5, ".conf") || strv_contains(*names, de->d_name))
                        continue;
                if (strv_length(*names) >= DROP_INS_MAX) {
                        say(l, LOG_ERR, 0, "more than %u files", DROP_INS_MAX);
                        return 0;
                }
                r = strv_extend(names, de->d_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

static int read_drop_ins(Loader *l) {
        _cleanup_strv_free_ char **names = NULL;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(drop_in_directories); i++) {
                r = list_drop_ins(l, drop_in_directories[i], &names);
                if (r < 0)
                        return r;
        }
        if (names)
                qsort(names, strv_length(names), sizeof(char *), compare_names);
        STRV_FOREACH(name, names)
                for (size_t i = ELEMENTSOF(drop_in_directories); i-- > 0;) {
                        _cleanup_free_ char *path = NULL;
                        struct stat st;

                        if (asprintf(&path, "%s/%s", drop_in_directories[i], *name) < 0)
                                return -ENOMEM;
                        if (fstatat(l->root_fd, path + 1, &st, 0) < 0) {
                                if (errno == ENOENT && fstatat(l->root_fd, path + 1, &st, AT_SYMLINK_NOFOLLOW) < 0)
                                        continue;
                                l->file = path;
                                say(l, LOG_ERR, 0, "cannot be read: %m");
                                break;
                        }
                        if (!(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))) /* else masked by a link to /dev/null */
                                r = read_one(l, path);
                        if (r < 0)
                                return r;
                        break;
                }
        return 0;
}

/* The first line of /etc/mailname, if it is a domain. */
static int read_mail_name(Loader *l, char **ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = read_file_at(l->root_fd, "etc/mailname", 4096, &text, NULL, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        text[strcspn(text, "\r\n")] = 0;
        const char *name = strstrip(text);
        if (!domain_valid(name, strlen(name), ADDRESS_UTF8)) {
                l->file = "/etc/mailname";
                say(l, LOG_WARNING, 1, "not a domain name, ignoring");
                return 0;
        }
        *ret = strdup(name);
        return *ret ? 0 : -ENOMEM;
}

static int add_domain(char ***domains, const char *domain, size_t n) {
        STRV_FOREACH(i, *domains)
                if (strlen(*i) == n && ascii_strncasecmp(*i, domain, n) == 0)
                        return 0;
        char *copy = strndup(domain, n);
        return copy ? strv_consume(domains, copy) : -ENOMEM;
}

/* The defaults that depend on the host and on other keys. */
static int finish(Loader *l) {
        Config *c = l->config;
        int r = 0;

        l->file = NULL;
        if (!c->host_name) {
                char name[256] = "";
                (void) gethostname(name, sizeof(name) - 1);
                c->host_name = config_host_name(l->root_fd, name);
                if (!c->host_name)
                        return -ENOMEM;
        }
        if (!c->mail_name) {
                r = read_mail_name(l, &c->mail_name);
                if (r >= 0 && !c->mail_name && !(c->mail_name = strdup(c->host_name)))
                        r = -ENOMEM;
                if (r < 0)
                        return r;
        }
        if (!c->local_domains) {
                const char *names[] = { c->host_name, c->mail_name, "localhost", c->host_name };
                for (size_t i = 0; i < ELEMENTSOF(names) && r >= 0; i++)
                        r = add_domain(&c->local_domains, names[i], i < 3 ? strlen(names[i]) : strcspn(names[i], "."));
                if (r < 0)
                        return r;
        }
        l->file = NULL;
        if (c->retry_max < c->retry_min)
                say(l, LOG_ERR, 0, "[Server] RetryMax= is smaller than RetryMin=");
        if (c->expire_after < c->retry_min)
                say(l, LOG_ERR, 0, "[Server] ExpireAfter= is smaller than RetryMin=");
        if (c->header_size_max > c->message_size_max)
                say(l, LOG_ERR, 0, "[Server] HeaderSizeMax= is larger than MessageSizeMax=");
        return 0;
}

static int load(Loader *l) {
        int r;

        r = config_set_standards(l->config, &l->config->origins, false);
        if (r >= 0)
                r = listener_config_new("", &l->config->listener_default);
        if (r >= 0)
                r = read_one(l, "/usr/lib/postd/postd.conf");
        if (r >= 0)
                r = read_one(l, "/etc/postd/postd.conf");
        if (r >= 0)
                r = read_drop_ins(l);
        if (r >= 0)
                r = finish(l);
        return r;
}

int config_load(const char *root, void (*report)(int level, const char *line, void *userdata), void *userdata, Config **ret) {
        _cleanup_(config_freep) Config *c = new0(Config, 1);
        _cleanup_close_ int root_fd = -EBADF;
        int r;

        if (!c)
                return -ENOMEM;
        root_fd = open(root ?: "/", O_PATH | O_CLOEXEC | O_DIRECTORY);
        if (root_fd < 0)
                return negative_errno();
        Loader l = { .root_fd = root_fd, .report = report, .userdata = userdata, .config = c };
        r = load(&l);
        if (r < 0)
                return r;
        if (l.failed)
                return -EBADMSG;
        *ret = TAKE_PTR(c);
        return 0;
}
