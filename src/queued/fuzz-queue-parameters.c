/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A whole queue manager but for systemd, the bus and those who deliver: the input is what a caller sends on a connection
 * to io.postd.Queue, or, where it names that, to io.postd.Submission, with a descriptor of 100 bytes. The caller is who
 * runs this, and thus root for the queue only if root runs it. */

#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/test.h"
#include "queued/queued-manager.h"
#include "queued/queued-operation.h"
#include "queued/queued-submission.h"
#include "queued/queued-varlink.h"

#define MESSAGES_MAX 64U
#define ROUNDS_MAX 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Address {
        struct sockaddr_un un;
        socklen_t size;
} Address;

static Manager *manager;
static Address queue, submission;
static int content = -EBADF;

/* A listening socket with a name that the kernel chooses. */
static int listen_anywhere(Address *ret) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        *ret = (Address) { .un.sun_family = AF_UNIX, .size = sizeof(ret->un) };
        ASSERT_OK(fd);
        ASSERT_TRUE(bind(fd, (struct sockaddr *) &ret->un, sizeof(sa_family_t)) == 0);
        ASSERT_TRUE(getsockname(fd, (struct sockaddr *) &ret->un, &ret->size) == 0);
        ASSERT_TRUE(listen(fd, 16) == 0);
        return fd;
}

static void start(void) {
        char directory[] = "/tmp/fuzz-queue-XXXXXX", text[100];
        Config *config = NULL;

        log_set_max_level(LOG_EMERG);
        ASSERT_TRUE(mkdtemp(directory));
        ASSERT_OK(config_load(directory, NULL, NULL, &config));
        free(config->spool);
        config->spool = strdup(directory);
        ASSERT_TRUE(config->spool);
        ASSERT_OK(manager_new(config, &manager));
        ASSERT_OK(store_open(config->spool, 0, &manager->store));
        ASSERT_OK(queue_listen(manager, listen_anywhere(&queue)));
        ASSERT_OK(submission_listen(manager, listen_anywhere(&submission), "fuzz"));

        content = memfd_create("content", MFD_CLOEXEC);
        ASSERT_OK(content);
        memset(text, 'x', sizeof(text));
        ASSERT_EQ(write(content, text, sizeof(text)), (ssize_t) sizeof(text));
}

static ssize_t send_with_content(int fd, const void *p, size_t n) {
        union {
                struct cmsghdr header;
                uint8_t buffer[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { (void *) p, n };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

        control.header = (struct cmsghdr) { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.header), &content, sizeof(int));
        return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Until nothing happens any more. */
static void run_loop(void) {
        for (int i = 0, quiet = 0; i < ROUNDS_MAX && quiet < 2; i++) {
                int r = sd_event_run(manager->event, manager->n_submitting > 0 ? 5 * USEC_PER_MSEC : 0);
                ASSERT_OK(r);
                quiet = r == 0 && manager->n_submitting == 0 ? quiet + 1 : 0;
        }
}

static void on_removed(Manager *m _unused_, void *userdata _unused_, int r _unused_, Message *message _unused_) {
}

/* What was submitted must not pile up over a million inputs. */
static void remove_messages(void) {
        _cleanup_free_ QueueId *ids = NULL;
        size_t n;

        ASSERT_OK(operation_list_ids(manager, UID_UNKNOWN, &ids, &n));
        for (size_t i = 0; i < n; i++) {
                Operation o = { .verb = VERB_REMOVE, .id = ids[i].s, .recipient = RECIPIENT_NONE };
                operation_run(manager, &o, 0, on_removed, NULL);
        }
        for (int i = 0; i < 1000 && manager->messages.size > 0; i++)
                ASSERT_OK(sd_event_run(manager->event, 5 * USEC_PER_MSEC));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *name = "io.postd.Submission";
        char reply[4096];

        if (!manager)
                start();

        const Address *to = memmem(data, size, name, strlen(name)) ? &submission : &queue;
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ASSERT_OK(fd);
        ASSERT_TRUE(connect(fd, (const struct sockaddr *) &to->un, to->size) == 0);
        if (size > 0 && (to == &submission ? send_with_content(fd, data, size) : send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0)
                (void) send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        run_loop();
        while (recv(fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
                run_loop();
        (void) shutdown(fd, SHUT_RDWR);
        run_loop();

        if (manager->messages.size > MESSAGES_MAX)
                remove_messages();
        return 0;
}
