/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdio.h>

#include "basic/log.h"
#include "basic/text.h"
#include "config/config.h"
#include "ipc/names.h"
#include "postctl/client.h"
#include "postctl/json.h"
#include "postctl/offline.h"
#include "spool/store.h"

int offline_wanted(Postctl *p) {
        int r;

        if (given(p, OPTION_SPOOL))
                return 1;
        r = client_open(p);
        if (r > 0) {
                log_notice("postd is not running (systemctl start postd.target starts it); reading the spool instead.");
                p->given |= OPTION_SPOOL;
        }
        return r;
}

static void quiet(int level _unused_, const char *line _unused_, void *userdata _unused_) {
}

static int open_store(Postctl *p, Store **ret) {
        _cleanup_(config_freep) Config *config = NULL;
        int r;

        /* A configuration that does not load is no reason to show nothing. */
        if (!p->spool && config_load(NULL, quiet, NULL, &config) >= 0)
                p->spool = TAKE_PTR(config->spool); /* stays until the program ends */
        if (!p->spool)
                p->spool = POSTD_SPOOL_DIR;
        r = store_open(p->spool, STORE_READ_ONLY, ret);
        if (IN_SET(r, -EACCES, -EPERM))
                return log_error_errno(r, "Only root and the user " POSTD_USER " may read the spool %s; try sudo.", p->spool);
        if (r == -ENOENT)
                return log_error_errno(r, "There is no spool in %s; postd makes it when it first starts.", p->spool);
        if (r < 0)
                return log_error_errno(r, "Failed to open the spool %s: %m", p->spool);
        return 0;
}

/* JSON is UTF-8; replies of other servers and the like need not be. */
static int add_text(sd_json_variant **v, const char *name, const char *s) {
        _cleanup_free_ char *clean = NULL;

        if (!s)
                return 0;
        if (!utf8_valid(s, strlen(s))) {
                clean = text_sanitize(s, SIZE_MAX);
                if (!clean)
                        return -ENOMEM;
        }
        return sd_json_variant_set_field_string(v, name, clean ?: s);
}

typedef struct Text {
        const char *name, *value;
} Text;

static int add_texts(sd_json_variant **v, const Text *texts, size_t n) {
        int r = 0;

        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_text(v, texts[i].name, texts[i].value);
        return r;
}

static int recipient_json(const QueuedRecipient *recipient, uint32_t index, sd_json_variant **ret) {
        char status[ENHANCED_STATUS_MAX];
        bool pending = recipient->state == RECIPIENT_PENDING;
        int r;

        r = sd_json_buildo(ret, SD_JSON_BUILD_PAIR_UNSIGNED("index", index),
                           SD_JSON_BUILD_PAIR_STRING("state", recipient_state_to_string(recipient->state)),
                           SD_JSON_BUILD_PAIR_UNSIGNED("tries", recipient->tries));
        if (r >= 0 && recipient->parent != RECIPIENT_NONE)
                r = sd_json_variant_set_field_unsigned(ret, "parent", recipient->parent);
        if (r >= 0 && recipient->attempted > 0)
                r = sd_json_variant_set_field_unsigned(ret, "attempted", recipient->attempted);
        if (r >= 0 && pending && recipient->due > 0)
                r = sd_json_variant_set_field_unsigned(ret, "due", recipient->due);
        if (r >= 0 && recipient->status.class > 0)
                r = sd_json_variant_set_field_string(ret, "status", enhanced_status_format(recipient->status, status));
        if (r >= 0)
                r = add_texts(ret, (const Text[]) { { "address", strempty(recipient->address) }, { "reply", recipient->reply } }, 2);
        return r;
}

int offline_message_json(const QueuedMessage *m, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *recipients = NULL, *message = NULL;
        const Origin *origin = &m->envelope.origin;
        const Text texts[] = {
                { "sender", strempty(m->envelope.sender) }, { "holdReason", m->hold_reason },
                { "listener", origin->listener },           { "protocol", origin->protocol },
                { "unit", origin->unit },                   { "peerAddress", origin->peer_address },
                { "login", origin->login },
        };
        int r;

        r = sd_json_variant_new_array(&recipients, NULL, 0);
        for (size_t i = 0; i < m->n_recipients && r >= 0; i++) {
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *recipient = NULL;
                r = recipient_json(&m->recipients[i], i, &recipient);
                if (r >= 0)
                        r = sd_json_variant_append_array(&recipients, recipient);
        }
        if (r >= 0)
                r = sd_json_buildo(&message, SD_JSON_BUILD_PAIR_STRING("id", m->id.s),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("arrival", m->envelope.arrival),
                                   SD_JSON_BUILD_PAIR_UNSIGNED("size", m->envelope.size),
                                   SD_JSON_BUILD_PAIR_BOOLEAN("held", m->held),
                                   SD_JSON_BUILD_PAIR_VARIANT("recipients", recipients));
        if (r >= 0)
                r = add_texts(&message, texts, ELEMENTSOF(texts));
        if (r >= 0 && origin->uid != UID_UNKNOWN)
                r = sd_json_variant_set_field_unsigned(&message, "uid", origin->uid);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(message);
        return 0;
}

/* 0, or > 0 after a message. */
static int read_message(Store *store, const char *id, QueuedMessage *ret) {
        QueueId parsed;
        int r;

        r = queue_id_parse(id, &parsed);
        if (r >= 0)
                r = store_read(store, &parsed, ret);
        if (r == -ENOENT)
                log_error("There is no message %s in the spool (any more). Its history: journalctl POSTD_QUEUE_ID=%s", id, id);
        else if (r == -EBADMSG)
                log_error("The file of message %s is damaged; postd sets it aside when it starts.", id);
        else if (r == -EUCLEAN)
                log_error("The file of message %s was never completed, and the message never accepted.", id);
        else if (r < 0)
                log_errno(LOG_ERR, r, "Failed to read message %s: %m", id);
        return r < 0;
}

static bool selected(const Postctl *p, const QueuedMessage *m) {
        if (given(p, OPTION_HELD) && m->held != p->held)
                return false;
        if (p->sender && !address_matches(strempty(m->envelope.sender), p->sender))
                return false;
        for (size_t i = 0; p->recipient && i < m->n_recipients; i++)
                if (address_matches(strempty(m->recipients[i].address), p->recipient))
                        return true;
        return !p->recipient;
}

static int collect(const QueueId *id, void *userdata) {
        return id_list_add(userdata, id->s);
}

int offline_each(Postctl *p, message_callback_t found, void *userdata) {
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_(id_list_done) IdList ids = {};
        bool failed = false;
        int r;

        r = open_store(p, &store);
        if (r < 0)
                return r;
        r = store_scan(store, &(StoreScan) { .found = collect, .userdata = &ids });
        if (r < 0)
                return log_error_errno(r, "Failed to read the spool %s: %m", p->spool);
        id_list_sort(&ids);
        for (size_t i = 0; i < ids.n; i++) {
                _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
                _cleanup_(sd_json_variant_unrefp) sd_json_variant *message = NULL;

                if (read_message(store, ids.items[i].s, &m) != 0) {
                        failed = true;
                        continue;
                }
                if (!selected(p, &m))
                        continue;
                r = offline_message_json(&m, &message);
                if (r < 0)
                        return log_error_errno(r, "Failed to show message %s: %m", ids.items[i].s);
                r = found(message, userdata);
                if (r < 0)
                        return r;
        }
        return failed ? -EBADMSG : 0;
}

int offline_show(Postctl *p, const char *id, sd_json_variant **ret) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        _cleanup_(store_closep) Store *store = NULL;
        int r;

        r = open_store(p, &store);
        if (r < 0)
                return r;
        if (read_message(store, id, &m) != 0)
                return 1;
        r = offline_message_json(&m, ret);
        return r < 0 ? log_error_errno(r, "Failed to show message %s: %m", id) : 0;
}

int offline_content(Postctl *p, const char *id, int *ret_fd) {
        _cleanup_(queued_message_done) QueuedMessage m = QUEUED_MESSAGE_INIT;
        _cleanup_(store_closep) Store *store = NULL;
        int r;

        r = open_store(p, &store);
        if (r < 0)
                return r;
        if (read_message(store, id, &m) != 0)
                return 1;
        r = store_open_content(store, &m, ret_fd);
        if (r < 0) {
                log_errno(LOG_ERR, r, "Failed to read the content of message %s: %m", id);
                return 1;
        }
        return 0;
}
