/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/fd.h"
#include "postctl/agent.h"

static void wait_for(pid_t pid) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
}

pid_t agent_open(void) {
        _cleanup_close_ int reading = -EBADF;
        int ends[2];
        char number[12];

        if (access("/usr/bin/pkttyagent", X_OK) < 0 || pipe2(ends, O_CLOEXEC) < 0)
                return 0;
        reading = ends[0];
        pid_t pid = fork();
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
                int fd = fcntl(ends[1], F_DUPFD, 3); /* without close-on-exec: closed when the agent is ready */
                (void) snprintf(number, sizeof(number), "%d", fd);
                execl("/usr/bin/pkttyagent", "pkttyagent", "--notify-fd", number, "--fallback", NULL);
                _exit(127);
        }
        close(ends[1]);
        if (pid < 0)
                return 0;
        struct pollfd ready = { .fd = reading, .events = POLLIN };
        (void) poll(&ready, 1, 5000);
        return pid;
}

void agent_close(pid_t agent) {
        if (agent <= 0)
                return;
        (void) kill(agent, SIGTERM);
        (void) kill(agent, SIGCONT);
        wait_for(agent);
}

pid_t pager_open(void) {
        int ends[2];

        const char *pager = getenv("SYSTEMD_PAGER") ?: getenv("PAGER");
        if (pager && (!*pager || streq(pager, "cat")))
                return 0;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return 0;
        (void) fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
                (void) signal(SIGINT, SIG_IGN); /* ^C is for postctl; the pager lives on and shows what there is */
                if (dup2(ends[0], STDIN_FILENO) < 0)
                        _exit(127);
                (void) setenv("LESS", "FRSXMK", false);
                /* Mail of strangers is on display, perhaps to root: no way out to a shell. */
                (void) setenv("LESSSECURE", "1", true);
                if (pager)
                        execl("/bin/sh", "sh", "-c", pager, NULL);
                execlp("less", "less", NULL);
                execlp("more", "more", NULL);
                execlp("cat", "cat", NULL);
                _exit(127);
        }
        close(ends[0]);
        if (pid > 0 && dup2(ends[1], STDOUT_FILENO) < 0) {
                (void) kill(pid, SIGTERM);
                wait_for(pid);
                pid = 0;
        }
        close(ends[1]);
        return pid > 0 ? pid : 0;
}

void pager_close(pid_t pager) {
        if (pager <= 0)
                return;
        (void) fflush(stdout);
        (void) close(STDOUT_FILENO);
        wait_for(pager);
}
