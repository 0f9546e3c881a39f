/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Letters, copies and directories for the tests of this folder. */

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/test.h"
#include "deliver/request.h"

static inline void letter_init(Letter *l, const char *content) {
        static unsigned n;
        char id[QUEUE_ID_LENGTH + 1];

        *l = (Letter) { .sender = "sender@example.org", .arrival = UINT64_C(1795293767123456), .size = strlen(content) };
        snprintf(id, sizeof(id), "%016u", ++n);
        ASSERT_OK(queue_id_parse(id, &l->id));
        l->fd = ASSERT_OK(memfd_new("content"));
        ASSERT_OK(write_full(l->fd, content, l->size));
}

static inline Copy copy_of(Letter *l) {
        return (Copy) { .letter = l, .address = "alice@example.net" };
}

static inline int remove_entry(const char *path, const struct stat *st _unused_, int flag _unused_, struct FTW *ftw _unused_) {
        return remove(path);
}

static inline void remove_tree(char *path) {
        ASSERT_EQ(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
        free(path);
}

/* In /var/tmp: a file system that has extended attributes. */
static inline char *make_directory(void) {
        char *path = strdup("/var/tmp/test-deliver-XXXXXX");
        ASSERT_TRUE(path && mkdtemp(path));
        return path;
}

static inline char *read_all(int dir_fd, const char *path) {
        char *p;
        ASSERT_OK(read_file_at(dir_fd, path, 64 * 1024 * 1024, &p, NULL, NULL));
        return p;
}
