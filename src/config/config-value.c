/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The kinds of values in postd.conf(5). */

#include "address/address.h"
#include "basic/strv.h"
#include "basic/text.h"
#include "config/config-key.h"

static int set_string(char **field, const char *value) {
        char *s = strdup(value);
        if (!s)
                return -ENOMEM;
        free_and_replace(*field, s);
        return 0;
}

static void clear_string(void *field) {
        char **s = field;
        *s = mfree(*s);
}

static int format_string(const ConfigKey *key _unused_, const void *field, Buf *b) {
        return buf_append_str(b, strempty(*(char *const *) field));
}

static int parse_domain(const ConfigKey *key _unused_, const char *value, void *field, const char **reterr) {
        if (!domain_valid(value, strlen(value), ADDRESS_UTF8)) {
                *reterr = "not a domain name";
                return -EINVAL;
        }
        return set_string(field, value);
}

static int parse_domains(const ConfigKey *key, const char *value, void *field, const char **reterr) {
        _cleanup_strv_free_ char **domains = NULL;
        char ***l = field;
        int r;

        r = strv_split(value, " \t,", &domains);
        if (r < 0)
                return r;
        STRV_FOREACH(i, domains) {
                _cleanup_free_ char *s = NULL;
                r = parse_domain(key, *i, &s, reterr);
                if (r < 0)
                        return r;
        }
        STRV_FOREACH(i, domains) {
                r = strv_extend(l, *i);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Numbers and ranges; anything else can only be a name. */
static bool is_uids(const char *s) {
        size_t n = strspn(s, "0123456789");

        if (n == 0)
                return address_valid(s, ADDRESS_UNQUALIFIED) && !strpbrk(s, "@\":/");
        return !s[n] || (s[n] == '-' && s[n + 1] && !s[n + 1 + strspn(s + n + 1, "0123456789")]);
}

static int parse_uids(const ConfigKey *key _unused_, const char *value, void *field, const char **reterr) {
        _cleanup_strv_free_ char **words = NULL;
        char ***l = field;
        int r;

        r = strv_split(value, " \t,", &words);
        if (r < 0)
                return r;
        STRV_FOREACH(i, words)
                if (!is_uids(*i)) {
                        *reterr = "neither a uid, a range of them, nor a user name";
                        return -EINVAL;
                }
        STRV_FOREACH(i, words) {
                r = strv_extend(l, *i);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void clear_strings(void *field) {
        char ***l = field;
        *l = strv_free(*l);
}

static int format_strings(const ConfigKey *key _unused_, const void *field, Buf *b) {
        char **l = *(char **const *) field;
        int r = 0;

        STRV_FOREACH(i, l) {
                r = buf_appendf(b, "%s%s", i == l ? "" : " ", *i);
                if (r < 0)
                        break;
        }
        return r;
}

static int parse_user(const ConfigKey *key _unused_, const char *value, void *field, const char **reterr) {
        if (!address_valid(value, ADDRESS_UTF8 | ADDRESS_UNQUALIFIED)) {
                *reterr = "neither a user name nor an address";
                return -EINVAL;
        }
        return set_string(field, value);
}

/* No ".." and no empty component: such a path is more often a mistake than meant. */
static bool path_clean(const char *p) {
        for (p += *p == '/'; *p;) {
                size_t n = strcspn(p, "/");
                if (n == 0 || (n <= 2 && strspn(p, ".") >= n))
                        return false;
                p += n;
                if (*p == '/' && !*++p)
                        return false;
        }
        return true;
}

static int parse_path(const ConfigKey *key _unused_, const char *value, void *field, const char **reterr) {
        if (value[0] != '/' || !value[1] || !path_clean(value) || strlen(value) >= 4096) {
                *reterr = "not an absolute path (without \".\", \"..\", \"//\" and \"/\" at the end)";
                return -EINVAL;
        }
        return set_string(field, value);
}

static int parse_path_optional(const ConfigKey *key, const char *value, void *field, const char **reterr) {
        if (!*value) {
                clear_string(field);
                return 0;
        }
        return parse_path(key, value, field, reterr);
}

static int parse_path_home(const ConfigKey *key _unused_, const char *value, void *field, const char **reterr) {
        if (value[0] == '/' || !path_clean(value) || strlen(value) >= 4096) {
                *reterr = "not a path below the home directory";
                return -EINVAL;
        }
        return set_string(field, value);
}

static int check_range(const ConfigKey *key, uint64_t v, const char **reterr) {
        if (key->max > 0 && (v < key->min || v > key->max)) {
                *reterr = v < key->min ? "too small" : "too large";
                return -ERANGE;
        }
        return 0;
}

static int parse_with(int (*parse)(const char *s, uint64_t *ret), const char *what, const ConfigKey *key, const char *value,
                      uint64_t *field, const char **reterr) {
        uint64_t v;
        int r;

        r = parse(value, &v);
        if (r < 0) {
                *reterr = r == -ERANGE ? "too large" : what;
                return r;
        }
        r = check_range(key, v, reterr);
        if (r < 0)
                return r;
        *field = v;
        return 0;
}

static int parse_time(const ConfigKey *key, const char *value, void *field, const char **reterr) {
        return parse_with(parse_sec, "not a time span (such as \"30s\", \"5min\", \"4h\", \"2d\")", key, value, field, reterr);
}

static int parse_bytes(const ConfigKey *key, const char *value, void *field, const char **reterr) {
        return parse_with(parse_size, "not a size (such as \"64K\", \"50M\", \"1G\")", key, value, field, reterr);
}

static int parse_number(const char *s, uint64_t *ret) {
        return parse_u64(s, UINT32_MAX, ret);
}

static int parse_unsigned(const ConfigKey *key, const char *value, void *field, const char **reterr) {
        uint64_t v;
        int r;

        r = parse_with(parse_number, "not a number", key, value, &v, reterr);
        if (r < 0)
                return r;
        *(unsigned *) field = (unsigned) v;
        return 0;
}

typedef struct Unit {
        const char *name;
        uint64_t factor;
} Unit;

/* Exact, in the largest unit that divides the value. */
static int format_in_units(uint64_t v, const Unit *units, size_t n, Buf *b) {
        if (v == UINT64_MAX)
                return buf_append_str(b, "infinity");
        for (size_t i = 0; i < n; i++)
                if (v > 0 && v % units[i].factor == 0)
                        return buf_appendf(b, "%" PRIu64 "%s", v / units[i].factor, units[i].name);
        return buf_append_str(b, "0");
}

static int format_time(const ConfigKey *key _unused_, const void *field, Buf *b) {
        static const Unit units[] = {
                { "d", USEC_PER_DAY }, { "h", USEC_PER_HOUR }, { "min", USEC_PER_MINUTE },
                { "s", USEC_PER_SEC }, { "ms", USEC_PER_MSEC }, { "us", 1 },
        };
        return format_in_units(*(const uint64_t *) field, units, ELEMENTSOF(units), b);
}

static int format_bytes(const ConfigKey *key _unused_, const void *field, Buf *b) {
        static const Unit units[] = { { "G", 1024 * 1024 * 1024 }, { "M", 1024 * 1024 }, { "K", 1024 }, { "", 1 } };
        return format_in_units(*(const uint64_t *) field, units, ELEMENTSOF(units), b);
}

static int format_unsigned(const ConfigKey *key _unused_, const void *field, Buf *b) {
        return buf_appendf(b, "%u", *(const unsigned *) field);
}

static const char *const deliver_methods[_DELIVER_MAX] = {
        [DELIVER_MBOX] = "mbox",
        [DELIVER_MAILDIR] = "maildir",
};

static int parse_deliver(const ConfigKey *key _unused_, const char *value, void *field, const char **reterr) {
        for (DeliverMethod i = 0; i < _DELIVER_MAX; i++)
                if (streq(deliver_methods[i], value)) {
                        *(DeliverMethod *) field = i;
                        return 0;
                }
        *reterr = "neither \"mbox\" nor \"maildir\"";
        return -EINVAL;
}

static int format_deliver(const ConfigKey *key _unused_, const void *field, Buf *b) {
        return buf_append_str(b, deliver_methods[*(const DeliverMethod *) field]);
}

const ConfigType config_type_domain = { parse_domain, format_string, clear_string, false };
const ConfigType config_type_domains = { parse_domains, format_strings, clear_strings, false };
const ConfigType config_type_uids = { parse_uids, format_strings, clear_strings, false };
const ConfigType config_type_user = { parse_user, format_string, clear_string, false };
const ConfigType config_type_path = { parse_path, format_string, clear_string, false };
const ConfigType config_type_path_optional = { parse_path_optional, format_string, clear_string, true };
const ConfigType config_type_path_home = { parse_path_home, format_string, clear_string, false };
const ConfigType config_type_sec = { parse_time, format_time, NULL, false };
const ConfigType config_type_size = { parse_bytes, format_bytes, NULL, false };
const ConfigType config_type_unsigned = { parse_unsigned, format_unsigned, NULL, false };
const ConfigType config_type_deliver = { parse_deliver, format_deliver, NULL, false };
