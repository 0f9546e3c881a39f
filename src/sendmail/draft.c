/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "address/address.h"
#include "basic/id128.h"
#include "basic/strv.h"
#include "basic/text.h"
#include "message/address-list.h"
#include "message/addresses.h"
#include "message/fixup.h"
#include "message/offline-file.h"
#include "sendmail/draft.h"
#include "smtp/xtext.h"

#define CALLER_TIMEOUT_SEC 3
#define RECIPIENT_FLAGS (ADDRESS_UNQUALIFIED | ADDRESS_UTF8)

void draft_done(Draft *d) {
        map_done(&d->seen);
        envelope_done(&d->envelope);
        buf_done(&d->input);
        buf_done(&d->header);
        d->invalid = strv_free(d->invalid);
}

/* A login name as local part: some directories give out names with backslashes or blanks. */
static char *quote_local(const char *s) {
        _cleanup_buf_ Buf b = BUF_INIT;

        if (address_valid(s, RECIPIENT_FLAGS) && !strchr(s, '@'))
                return strdup(s);
        if (buf_append(&b, "\"", 1) < 0)
                return NULL;
        for (; *s; s++)
                if ((IN_SET(*s, '"', '\\') && buf_append(&b, "\\", 1) < 0) || buf_append(&b, s, 1) < 0)
                        return NULL;
        if (buf_append(&b, "\"", 1) < 0)
                return NULL;
        return buf_take(&b, NULL);
}

/* The caller in the user database, looked up once, by a thread: a module of the database may hang, and then the number has
 * to do. The thread is left behind and ends with the process. */
typedef struct Caller {
        char *name, *gecos; /* NULL: not known */
        bool done;
} Caller;

static Caller caller;
static pthread_mutex_t caller_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t caller_changed = PTHREAD_COND_INITIALIZER;

static void *caller_run(void *userdata _unused_) {
        struct passwd *pw = getpwuid(getuid());
        Caller found = { .done = true };

        if (pw) {
                found.name = isempty(pw->pw_name) ? NULL : strdup(pw->pw_name);
                found.gecos = strdup(strempty(pw->pw_gecos));
        }
        pthread_mutex_lock(&caller_mutex);
        caller = found;
        pthread_cond_signal(&caller_changed);
        pthread_mutex_unlock(&caller_mutex);
        return NULL;
}

static const Caller *caller_get(void) {
        static bool asked;
        static Caller answer;
        struct timespec deadline;
        pthread_t thread;

        if (asked)
                return &answer;
        asked = true;
        if (pthread_create(&thread, NULL, caller_run, NULL) != 0) {
                (void) caller_run(NULL);
        } else
                (void) pthread_detach(thread);

        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += CALLER_TIMEOUT_SEC;
        pthread_mutex_lock(&caller_mutex);
        while (!caller.done && pthread_cond_clockwait(&caller_changed, &caller_mutex, CLOCK_MONOTONIC, &deadline) == 0)
                ;
        answer = caller;
        pthread_mutex_unlock(&caller_mutex);
        return &answer;
}

/* The receiver, which sees the uid anyhow, completes the domain. */
static char *caller_address(void) {
        const Caller *c = caller_get();
        _cleanup_free_ char *s = NULL;

        if (c->name) {
                s = quote_local(c->name);
                if (!s || address_valid(s, RECIPIENT_FLAGS))
                        return TAKE_PTR(s);
                s = mfree(s);
        }
        return asprintf(&s, "uid-%" PRIu32, (uint32_t) getuid()) < 0 ? NULL : TAKE_PTR(s);
}

/* The first part of the GECOS field, where "&" stands for the name with a capital. */
static char *caller_full_name(void) {
        const Caller *c = caller_get();
        _cleanup_buf_ Buf b = BUF_INIT;

        if (!c->name || !c->gecos)
                return strdup("");
        for (const char *p = c->gecos; *p && *p != ','; p++) {
                char first = c->name[0] >= 'a' && c->name[0] <= 'z' ? c->name[0] - 32 : c->name[0];

                if (*p != '&' ? buf_append(&b, p, 1) < 0 : buf_append(&b, &first, 1) < 0 || buf_append_str(&b, c->name + 1) < 0)
                        return NULL;
        }
        return buf_take(&b, NULL);
}

/* -f: "joe", "joe@example.com", "<joe@example.com>", "Joe <joe@example.com>"; "" and "<>" are the null sender. */
static int parse_sender(const char *s, char **ret) {
        AddressListReader reader;
        AddressItem item;

        if (!s[strspn(s, " ")] || streq(s, "<>"))
                item.address[0] = 0;
        else {
                address_list_init(&reader, s, strlen(s));
                if (address_list_next(&reader, &item) != ADDRESS_LIST_ITEM || !address_valid(item.address, RECIPIENT_FLAGS))
                        return -EINVAL;
        }
        *ret = strdup(item.address);
        return *ret ? 0 : -ENOMEM;
}

int draft_open(Draft *d, const SendmailOptions *o) {
        Envelope *e = &d->envelope;
        int r;

        r = id128_random(&e->token);
        if (r < 0)
                return r;
        if (o->sender) {
                r = parse_sender(o->sender, &e->sender);
                if (r < 0)
                        return r;
        } else {
                e->sender = caller_address();
                if (!e->sender)
                        return -ENOMEM;
        }
        if (o->envid) {
                e->envid = xtext_encode(o->envid);
                if (!e->envid)
                        return -ENOMEM;
                if (strlen(e->envid) > SMTP_ENVID_MAX)
                        return -E2BIG;
        }
        e->dsn_return = o->dsn_return;
        e->smtputf8 = !ascii_valid(e->sender, strlen(e->sender));
        return 0;
}

static int add_recipient(Draft *d, const char *address, NotifyFlags notify) {
        Envelope *e = &d->envelope;
        int r;

        if (map_get(&d->seen, address))
                return 0;
        if (!address_valid(address, RECIPIENT_FLAGS))
                return strv_extend(&d->invalid, address);
        /* The receiver takes no more at once, and what is more than it takes would go by the offline directory. */
        if (e->n_recipients >= OFFLINE_RECIPIENTS_MAX)
                return -E2BIG;
        e->smtputf8 = e->smtputf8 || !ascii_valid(address, strlen(address));
        r = envelope_add_recipient(e, address, NULL, notify);
        if (r < 0)
                return r;
        char *added = e->recipients[e->n_recipients - 1].address;
        return map_put(&d->seen, added, added);
}

int draft_add_recipients(Draft *d, const SendmailOptions *o) {
        int r;

        for (size_t i = 0; i < o->n_recipients; i++) {
                AddressListResult result;
                AddressListReader reader;
                AddressItem item;

                d->named = true;
                address_list_init(&reader, o->recipients[i], strlen(o->recipients[i]));
                while ((result = address_list_next(&reader, &item)) != ADDRESS_LIST_END) {
                        r = result == ADDRESS_LIST_BAD ? strv_extend(&d->invalid, item.address)
                                                       : add_recipient(d, item.address, o->notify);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int add_header_recipients(Draft *d, const SendmailOptions *o) {
        _cleanup_strv_free_ char **good = NULL, **bad = NULL;
        int r;

        r = addresses_extract(d->input.data, d->input.size, HEADER_BARE_LF, OFFLINE_RECIPIENTS_MAX, &good, &bad);
        if (r < 0)
                return r;
        STRV_FOREACH(i, good) {
                r = add_recipient(d, *i, o->notify);
                if (r < 0)
                        return r;
        }
        STRV_FOREACH(i, bad) {
                r = strv_extend(&d->invalid, *i);
                if (r < 0)
                        return r;
        }
        d->named = d->named || good || bad;
        return 0;
}

int draft_take_message(Draft *d, const SendmailOptions *o) {
        _cleanup_free_ char *full_name = NULL;
        MessageFixup fixup = {
                .sender = d->envelope.sender,
                .full_name = o->full_name,
                .now = now_usec(CLOCK_REALTIME),
                .flags = HEADER_BARE_LF,
                .add_date = true,
                .add_from = true,
                .remove_bcc = true,
        };
        int r;

        if (o->recipients_from_header) {
                r = add_header_recipients(d, o);
                if (r < 0)
                        return r;
        }
        if (!o->full_name && !o->sender && header_count(d->input.data, d->input.size, HEADER_BARE_LF, "From") == 0) {
                full_name = caller_full_name();
                if (!full_name)
                        return -ENOMEM;
                fixup.full_name = full_name;
        }
        r = message_fixup(d->input.data, d->input.size, &fixup, &d->header);
        if (r < 0)
                return r;
        d->body_offset = header_end(d->input.data, d->input.size, HEADER_BARE_LF);
        d->envelope.body = ascii_valid(d->input.data, d->input.size) ? BODY_7BIT : BODY_8BITMIME;
        d->envelope.size = d->header.size + draft_body_size(d);
        return 0;
}
