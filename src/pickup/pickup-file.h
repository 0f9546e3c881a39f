/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A file of the offline directory, opened with suspicion: anybody may have put anything there. */

#include <sys/stat.h>
#include "envelope/envelope.h"

typedef struct PickupFile {
        int fd;
        uid_t uid;             /* the owner: whose message it is */
        Envelope envelope;     /* size is that of the message in the file */
        uint64_t offset;       /* of the message */
        usec_t modified;       /* CLOCK_REALTIME */
} PickupFile;

#define PICKUP_FILE_INIT ((PickupFile) { .fd = -EBADF, .uid = UID_UNKNOWN, .envelope = ENVELOPE_INIT })
void pickup_file_done(PickupFile *f);

enum {
        _PICKUP_E_SUCCESS,
        PICKUP_E_GONE,      /* it is not there any more */
        PICKUP_E_KIND,      /* a directory, symbolic link, FIFO, socket, device */
        PICKUP_E_LINKS,     /* it has further names */
        PICKUP_E_UNREADABLE,/* its group may not read it */
        PICKUP_E_FORMAT,    /* not what sendmail writes, see message/offline-file.h */
};

const char *pickup_error_to_string(int e);

/* 0, PICKUP_E_*, -errno (-ENOMEM, -EIO, ...). uid in *ret is set wherever it could be found out. */
int pickup_file_open(int dir_fd, const char *name, PickupFile *ret);
