/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Descriptors: closing, whole reads and writes, memfds. Nothing here logs. */

#include <sys/stat.h>
#include "basic/macro.h"

/* Closes if >= 0, keeps errno, returns -EBADF. */
int safe_close(int fd);
void closep(int *fd);
#define _cleanup_close_ _cleanup_(closep)

/* Reads up to n bytes at offset until end of file: number of bytes read, or -errno. */
ssize_t pread_full(int fd, void *p, size_t n, uint64_t offset);

/* Writes everything or fails: 0 or -errno (a short write without errno is -EIO). */
int write_full(int fd, const void *p, size_t n);
int pwrite_full(int fd, const void *p, size_t n, uint64_t offset);

/* Copies exactly n bytes from one file to another, reflinked or in the kernel where possible. The file offsets
 * of both descriptors stay as they are. -EIO if the source is shorter. */
int copy_range(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t n);

/* A close-on-exec memfd that can be sealed, not yet sealed. */
int memfd_new(const char *name);

/* Forbids every change of the content: nobody who gets the descriptor can alter or truncate it. */
int memfd_seal(int fd);

int fd_set_nonblock(int fd, bool nonblock);

/* Is this a plain file (or memfd) with at least size bytes? 0, or -EBADFD if not plain, -ENODATA if shorter. */
int fd_verify_content(int fd, uint64_t size);

/* fsync() of the file; then of its directory with fsync_path(). */
int fsync_path(int dir_fd, const char *path);

/* Writes a whole small file read-only into memory, NUL-terminated; -EFBIG beyond max bytes.
 * Refuses everything that is not a plain file (-EBADFD); never blocks on a FIFO. */
int read_file_at(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size, struct stat *ret_stat);
