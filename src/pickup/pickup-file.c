/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>

#include "basic/fd.h"
#include "message/offline-file.h"
#include "pickup/pickup-file.h"

void pickup_file_done(PickupFile *f) {
        f->fd = safe_close(f->fd);
        envelope_done(&f->envelope);
}

const char *pickup_error_to_string(int e) {
        static const char *const table[] = {
                [PICKUP_E_GONE] = "it is gone",
                [PICKUP_E_KIND] = "not a plain file",
                [PICKUP_E_LINKS] = "the file has several names (hard links)",
                [PICKUP_E_UNREADABLE] = "the group postd-offline may not read the file",
                [PICKUP_E_FORMAT] = "not the format that sendmail writes",
        };
        return e > 0 && (size_t) e < ELEMENTSOF(table) ? table[e] : "unknown";
}

static int read_envelope(int fd, uint64_t file_size, PickupFile *f) {
        char start[OFFLINE_START_SIZE];
        _cleanup_free_ char *fields = NULL;
        uint64_t header_size, message_size;
        int r;

        ssize_t n = pread_full(fd, start, sizeof(start), 0);
        if (n < 0)
                return n;
        if ((size_t) n != sizeof(start) || offline_parse_start(start, &header_size, &message_size) < 0)
                return PICKUP_E_FORMAT;
        if (message_size > file_size || sizeof(start) + header_size + message_size != file_size)
                return PICKUP_E_FORMAT;

        fields = malloc(header_size + 1);
        if (!fields)
                return -ENOMEM;
        n = pread_full(fd, fields, header_size, sizeof(start));
        if (n < 0)
                return n;
        if ((uint64_t) n != header_size)
                return PICKUP_E_FORMAT;
        r = offline_parse_fields(fields, header_size, &f->envelope);
        if (r < 0)
                return r == -EBADMSG ? PICKUP_E_FORMAT : r;
        f->envelope.size = message_size;
        f->offset = sizeof(start) + header_size;
        return 0;
}

/* What the errno of open() says about the entry; others are trouble of this machine. */
static int open_error(int error) {
        switch (error) {
        case ENOENT:
                return PICKUP_E_GONE;
        case ELOOP:   /* a symbolic link */
        case ENXIO:   /* a socket, or a device without driver */
        case ENODEV:
        case EISDIR:
                return PICKUP_E_KIND;
        case EACCES:
        case EPERM:
                return PICKUP_E_UNREADABLE;
        default:
                return -error;
        }
}

int pickup_file_open(int dir_fd, const char *name, PickupFile *ret) {
        struct stat st;
        int r;

        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? PICKUP_E_GONE : negative_errno();
        ret->uid = st.st_uid;
        if (!S_ISREG(st.st_mode))
                return PICKUP_E_KIND; /* opening a device may do things */

        ret->fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (ret->fd < 0)
                return open_error(errno);
        /* Only now it cannot be replaced by something else any more. */
        if (fstat(ret->fd, &st) < 0)
                return negative_errno();
        ret->uid = st.st_uid;
        if (!S_ISREG(st.st_mode))
                return PICKUP_E_KIND;
        if (st.st_nlink == 0)
                return PICKUP_E_GONE;
        if (st.st_nlink != 1)
                return PICKUP_E_LINKS;
        ret->modified = (usec_t) st.st_mtim.tv_sec * USEC_PER_SEC;
        r = read_envelope(ret->fd, st.st_size, ret);
        if (r == 0)
                ret->envelope.arrival = ret->modified;
        return r;
}
