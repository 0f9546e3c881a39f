/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The content of one message while it is being received: in memory at first, in an unlinked file beyond
 * CONTENT_MEMORY_MAX, and at the end a descriptor for the queue manager. The header is looked at once it is complete:
 * counted, and for local submissions completed. */

#include "basic/buf.h"
#include "message/fixup.h"

#define CONTENT_MEMORY_MAX (256U * 1024U)

typedef struct ContentOptions {
        const char *directory;      /* for large content, absolute; a file system that is not memory */
        uint64_t header_size_max;
        unsigned received_max;
        const MessageFixup *fixup;  /* NULL: the header stays as it came */
} ContentOptions;

enum {
        _CONTENT_E_SUCCESS,
        CONTENT_E_HEADER_SIZE, /* the header is too large */
        CONTENT_E_LOOP,        /* too many Received fields */
};

typedef struct Content {
        ContentOptions options;
        Buf memory;                 /* what is not yet in the file */
        size_t scanned;             /* octets of memory in which the end of the header was looked for */
        bool header_done;           /* the header was looked at, and what is in the file begins with it */
        int fd;                     /* the file, or -EBADF */
        uint64_t size;              /* octets in the file */
        int result;                 /* of the first thing that went wrong; nothing is kept after that */
} Content;

#define CONTENT_NULL ((Content) { .fd = -EBADF })

/* Forgets everything that was there. */
void content_reset(Content *c, const ContentOptions *options);
void content_done(Content *c);

/* Never fails at once; content_finish() tells. */
void content_append(Content *c, const void *p, size_t n);

/* Ends it: a descriptor and the size, or CONTENT_E_*, or -errno (-ENOMEM, -ENOSPC, ...). */
int content_finish(Content *c, int *ret_fd, uint64_t *ret_size);
