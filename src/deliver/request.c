/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdarg.h>
#include <stdio.h>

#include "basic/fd.h"
#include "deliver/request.h"

Request *request_free(Request *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n_letters; i++)
                safe_close(r->letters[i].fd);
        for (size_t i = 0; i < r->n_copies; i++)
                free(r->copies[i].text);
        free(r->letters);
        free(r->copies);
        sd_json_variant_unref(r->parameters);
        return mfree(r);
}

static int parse_copy(sd_json_variant *v, Copy *c) {
        struct {
                unsigned index;
                const char *address;
                int repeated;
                const char *prepend;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "index", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint, offsetof(typeof(p), index), SD_JSON_MANDATORY },
                { "address", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), address), SD_JSON_MANDATORY },
                { "repeated", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_intbool, offsetof(typeof(p), repeated), SD_JSON_NULLABLE },
                { "prepend", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), prepend), SD_JSON_NULLABLE },
                {},
        };

        if (sd_json_dispatch(v, fields, 0, &p) < 0)
                return -EINVAL;
        if (p.prepend && strlen(p.prepend) > PREPEND_MAX)
                return -E2BIG;
        c->recipient = p.index;
        c->address = p.address;
        c->repeated = p.repeated > 0;
        c->prepend = p.prepend;
        return 0;
}

static int parse_letter(Request *request, sd_json_variant *v) {
        struct {
                const char *id, *sender;
                uint64_t arrival;
                int smtputf8;
                sd_json_variant *recipients;
                unsigned content;
                uint64_t size;
        } p = {};
        static const sd_json_dispatch_field fields[] = {
                { "id", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), id), SD_JSON_MANDATORY },
                { "sender", SD_JSON_VARIANT_STRING, sd_json_dispatch_const_string, offsetof(typeof(p), sender), SD_JSON_MANDATORY },
                { "arrival", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint64, offsetof(typeof(p), arrival), SD_JSON_MANDATORY },
                { "smtputf8", SD_JSON_VARIANT_BOOLEAN, sd_json_dispatch_intbool, offsetof(typeof(p), smtputf8), SD_JSON_NULLABLE },
                { "recipients", SD_JSON_VARIANT_ARRAY, sd_json_dispatch_variant_noref, offsetof(typeof(p), recipients), SD_JSON_MANDATORY },
                { "content", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint, offsetof(typeof(p), content), SD_JSON_MANDATORY },
                { "size", SD_JSON_VARIANT_UNSIGNED, sd_json_dispatch_uint64, offsetof(typeof(p), size), SD_JSON_MANDATORY },
                {},
        };
        Letter *letter = request->letters + request->n_letters;
        int r;

        if (sd_json_dispatch(v, fields, 0, &p) < 0)
                return -EINVAL;
        *letter = (Letter) { .sender = p.sender, .arrival = p.arrival, .fd_index = p.content, .fd = -EBADF, .size = p.size };
        r = queue_id_parse(p.id, &letter->id);
        if (r < 0)
                return r;
        request->n_letters++;

        size_t n = sd_json_variant_elements(p.recipients);
        if (n > COPIES_MAX - request->n_copies)
                return -E2BIG;
        Copy *copies = reallocarray(request->copies, request->n_copies + n + 1, sizeof(Copy));
        if (!copies)
                return -ENOMEM;
        request->copies = copies;
        for (size_t i = 0; i < n; i++) {
                Copy *c = copies + request->n_copies;
                *c = (Copy) { .letter = letter };
                r = parse_copy(sd_json_variant_by_index(p.recipients, i), c);
                if (r < 0)
                        return r;
                request->n_copies++;
        }
        return 0;
}

int request_parse(sd_json_variant *parameters, Request **ret) {
        _cleanup_(request_freep) Request *request = new0(Request, 1);
        sd_json_variant *messages;
        int r;

        if (!request)
                return -ENOMEM;
        if (!sd_json_variant_is_object(parameters) || sd_json_variant_elements(parameters) != 2)
                return -EINVAL;
        messages = sd_json_variant_by_key(parameters, "messages");
        if (!messages || !sd_json_variant_is_array(messages))
                return -EINVAL;
        size_t n = sd_json_variant_elements(messages);
        if (n > LETTERS_MAX)
                return -E2BIG;
        request->parameters = sd_json_variant_ref(parameters);
        request->letters = new0(Letter, n + 1);
        if (!request->letters)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                r = parse_letter(request, sd_json_variant_by_index(messages, i));
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(request);
        return 0;
}

static void settle(Copy *c, DeliveryResult result, EnhancedStatus status, char *text) {
        free(c->text);
        c->text = text;
        c->result = result;
        c->status = status;
        c->settled = true;
}

void copy_delivered(Copy *c, const char *where) {
        settle(c, RESULT_DELIVERED, STATUS(2, 0, 0), strdup(where));
}

static void settle_format(Copy *c, DeliveryResult result, EnhancedStatus status, const char *format, va_list ap) {
        char *text = NULL;

        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        settle(c, result, status, text);
}

void copy_deferred(Copy *c, EnhancedStatus status, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        settle_format(c, RESULT_DEFERRED, status, format, ap);
        va_end(ap);
}

void copy_failed(Copy *c, EnhancedStatus status, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        settle_format(c, RESULT_FAILED, status, format, ap);
        va_end(ap);
}

void copy_again(Copy *c, const char *where, const char *why) {
        copy_deferred(c, STATUS(4, 3, 0), "%s %s; session restarts", where, why);
        c->again = true;
}

void copy_deferred_errno(Copy *c, int error, const char *where) {
        switch (error < 0 ? -error : error) {
        case ENOSPC:
                copy_deferred(c, STATUS(4, 3, 1), "%s: no space left on the disk", where);
                break;
        case EDQUOT:
        case EFBIG:
                copy_deferred(c, STATUS(4, 2, 2), "%s: over quota", where);
                break;
        case ENOMEM:
                copy_deferred(c, STATUS(4, 3, 0), "%s: out of memory", where);
                break;
        default:
                copy_deferred(c, STATUS(4, 3, 0), "%s: %s", where, strerror(error < 0 ? -error : error));
        }
}

int copies_to_json(const Copy *copies, size_t n, sd_json_variant **ret) {
        _cleanup_(sd_json_variant_unrefp) sd_json_variant *array = NULL;
        int r;

        r = sd_json_variant_new_array(&array, NULL, 0);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                const Copy *c = copies + i;
                char status[ENHANCED_STATUS_MAX];

                r = sd_json_variant_append_arraybo(
                                &array,
                                SD_JSON_BUILD_PAIR_STRING("id", c->letter->id.s),
                                SD_JSON_BUILD_PAIR_UNSIGNED("recipient", c->recipient),
                                SD_JSON_BUILD_PAIR_STRING("result", delivery_result_to_string(c->result)),
                                SD_JSON_BUILD_PAIR_STRING("status", enhanced_status_format(c->status, status)),
                                SD_JSON_BUILD_PAIR_STRING("text", c->text ?: "out of memory"),
                                SD_JSON_BUILD_PAIR_CONDITION(c->again, "again", SD_JSON_BUILD_BOOLEAN(true)));
        }
        return r < 0 ? r : sd_json_buildo(ret, SD_JSON_BUILD_PAIR_VARIANT("results", array));
}
