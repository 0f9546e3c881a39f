/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one call of io.postd.Transport.Deliver asks for, and what has become of it: letters (messages with their content)
 * and copies (a letter for one recipient, each with a result of its own). */

#include <systemd/sd-json.h>
#include "envelope/envelope.h"

#define LETTERS_MAX 253U /* descriptors in one varlink message */
#define COPIES_MAX 4096U
#define PREPEND_MAX (256U * 1024U)

typedef struct Letter {
        QueueId id;
        const char *sender;  /* borrowed from the request */
        usec_t arrival;
        unsigned fd_index;
        int fd;              /* owned; -EBADF until it was taken */
        uint64_t size;
} Letter;

typedef struct Copy {
        Letter *letter;
        unsigned recipient;  /* its number in the message */
        const char *address;
        const char *prepend; /* header fields with CRLF, or NULL */
        bool repeated;

        bool settled;        /* the result below is final */
        bool again;          /* nothing was tried; another session is to be asked at once */
        DeliveryResult result;
        EnhancedStatus status;
        char *text;          /* NULL: out of memory */
} Copy;

typedef struct Request {
        sd_json_variant *parameters;
        Letter *letters;
        size_t n_letters;
        Copy *copies;        /* those of one letter stand together */
        size_t n_copies;
} Request;

/* Reads the parameters of a call: 0, -EINVAL if they are not what the interface says, -E2BIG beyond the limits,
 * -ENOMEM. Descriptors are not looked at. */
int request_parse(sd_json_variant *parameters, Request **ret);
Request *request_free(Request *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(Request *, request_free);

/* Settle a copy with a text; the last one as deferred for an errno of ours: full disks and quotas get the status that
 * says so. */
void copy_failed(Copy *c, EnhancedStatus status, const char *format, ...) _printf_(3, 4);
void copy_delivered(Copy *c, const char *where);
void copy_deferred(Copy *c, EnhancedStatus status, const char *format, ...) _printf_(3, 4);
/* Deferred, but not for long: this session cannot do it, the next one can. */
void copy_again(Copy *c, const char *where, const char *why);
void copy_deferred_errno(Copy *c, int error, const char *where);

/* The results of n copies as the reply to the call: 0 or -errno. */
int copies_to_json(const Copy *copies, size_t n, sd_json_variant **ret);
