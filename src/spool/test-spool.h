/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the spool share: a spool in a directory of its own, and messages to put there. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/test.h"
#include "spool/store-internal.h"

static inline void remove_tree(int dir_fd, const char *name) {
        int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

        for (struct dirent *de; d && (de = readdir(d));) {
                if (STR_IN_SET(de->d_name, ".", ".."))
                        continue;
                if (unlinkat(fd, de->d_name, 0) < 0)
                        remove_tree(fd, de->d_name);
        }
        if (d)
                closedir(d);
        (void) unlinkat(dir_fd, name, AT_REMOVEDIR);
}

/* A new empty directory on a disk, as a path. */
static inline char *make_directory(void) {
        char *path = NULL;
        ASSERT_TRUE(asprintf(&path, "%s/postd-test-XXXXXX", getenv("TMPDIR") ?: "/var/tmp") > 0);
        ASSERT_TRUE(mkdtemp(path));
        return path;
}

static inline void destroy_directory(char **path) {
        if (*path)
                remove_tree(AT_FDCWD, *path);
        free(*path);
}
#define _cleanup_directory_ _cleanup_(destroy_directory)

static inline int make_content(const void *p, size_t n) {
        int fd = ASSERT_OK(memfd_new("test"));
        ASSERT_OK(write_full(fd, p, n));
        return fd;
}

static inline void make_envelope(Envelope *e, size_t n_recipients) {
        char address[64];

        *e = ENVELOPE_INIT;
        e->token = (sd_id128_t) { .bytes = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
        e->arrival = 1234567890 * USEC_PER_SEC;
        e->origin.listener = strdup("smtp");
        e->origin.protocol = strdup("ESMTP");
        e->origin.helo = strdup("client.example.org");
        e->origin.peer_address = strdup("192.0.2.1");
        e->origin.uid = 1000;
        e->sender = strdup("sender@example.org");
        e->envid = strdup("QQ314159");
        e->dsn_return = DSN_RETURN_HEADERS;
        e->body = BODY_8BITMIME;
        e->smtputf8 = true;
        for (size_t i = 0; i < n_recipients; i++) {
                (void) snprintf(address, sizeof(address), "user%zu@example.net", i);
                ASSERT_OK(envelope_add_recipient(e, address, i % 2 ? "rfc822;other@example.net" : NULL, i % 2 ? NOTIFY_SUCCESS : 0));
        }
}

static inline QueueId make_id(void) {
        QueueId id;
        ASSERT_OK(queue_id_new(now_usec(CLOCK_REALTIME), &id));
        return id;
}

/* Creates a message: 0 or the error. ret may be NULL. */
static inline int create_message(Store *s, const QueueId *id, const char *content, size_t n, size_t n_recipients, QueuedMessage *ret) {
        _cleanup_(envelope_done) Envelope e;
        _cleanup_close_ int fd = make_content(content, n);
        static const char prefix[] = "Received: by test\r\n";

        make_envelope(&e, n_recipients);
        return store_create(s, id, &e, prefix, strlen(prefix), fd, n, ret);
}

/* What a scan saw, as one string: "found ID\n" or "ACTION NAME\n" per event, sorted by nothing. */
typedef struct ScanLog {
        Store *store;
        Buf text;
        size_t n_found, n_damaged, n_finished;
} ScanLog;

static inline int on_found(const QueueId *id, void *userdata) {
        ScanLog *l = userdata;
        l->n_found++;
        ASSERT_OK(buf_appendf(&l->text, "found %s\n", id->s));
        return 0;
}

static inline void on_damaged(const char *name, int error, const char *action, void *userdata) {
        ScanLog *l = userdata;
        l->n_damaged++;
        ASSERT_TRUE(error < 0);
        ASSERT_OK(buf_appendf(&l->text, "%s %s\n", action, name));
}

static inline void on_finished(const QueueId *id, sd_id128_t token, usec_t when, void *userdata) {
        ScanLog *l = userdata;
        l->n_finished++;
        (void) token;
        ASSERT_TRUE(when > 0);
        ASSERT_OK(buf_appendf(&l->text, "finished %s\n", id->s));
}

static inline void scan_log_done(ScanLog *l) {
        buf_done(&l->text);
        *l = (ScanLog) {};
}

static inline int scan(Store *s, ScanLog *l) {
        scan_log_done(l);
        l->store = s;
        return store_scan(s, &(StoreScan) { on_found, on_damaged, on_finished, l });
}

static inline bool saw(const ScanLog *l, const char *what, const char *name) {
        char line[128];
        (void) snprintf(line, sizeof(line), "%s %s\n", what, name);
        return l->text.data && strstr(l->text.data, line);
}
