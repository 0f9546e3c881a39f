/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "ipc/names.h"
#include "ipc/service.h"
#include "smtpd/smtpd-log.h"

#define IDLE_USEC (60 * USEC_PER_SEC)
#define STOP_USEC (20 * USEC_PER_SEC)
#define ACCEPT_MAX 32U                              /* in one turn */
#define BYTES_MAX (UINT64_C(512) * 1024 * 1024)     /* held of all clients */
#define IDLE_COMMANDS_MAX 100U

struct Listener {
        Manager *manager;
        Listener *next;
        int fd;
        sd_event_source *source;
};

static Listener *listener_free(Listener *l) {
        sd_event_source_disable_unref(l->source);
        safe_close(l->fd);
        return mfree(l);
}

usec_t manager_now(Manager *m) {
        usec_t now;

        return sd_event_now(m->event, CLOCK_BOOTTIME, &now) >= 0 ? now : now_usec(CLOCK_BOOTTIME);
}

static void set_listening(Manager *m, bool b) {
        for (Listener *l = m->listeners; l; l = l->next) {
                int r = sd_event_source_set_enabled(l->source, b ? SD_EVENT_ON : SD_EVENT_OFF);
                if (r < 0)
                        log_error_errno(r, "Cannot %s listening: %m", b ? "go on" : "stop");
        }
}

/* Clients wait in the backlog until a session has ended. */
static void set_full(Manager *m, const char *why) {
        if (m->full)
                return;
        m->full = true;
        set_listening(m, false);
        log_limit(m, NULL, NULL, why);
}

static void stop_if_done(Manager *m) {
        if (m->n_sessions == 0 && submission_pending(m->submission) == 0 && (m->stopping || !m->listeners))
                (void) sd_event_exit(m->event, EXIT_SUCCESS);
}

void manager_session_ended(Manager *m, Session *s) {
        if (s->next)
                s->next->previous = s->previous;
        if (s->previous)
                s->previous->next = s->next;
        else
                m->sessions = s->next;
        m->n_sessions--;
        if (m->full && !m->stopping) {
                m->full = false;
                set_listening(m, true);
        }
        stop_if_done(m);
}

static int start_sweep(Manager *m) {
        usec_t interval = CLAMP(MIN(m->command_timeout, m->data_timeout) / 4, 50 * USEC_PER_MSEC, 15 * USEC_PER_SEC);
        int r;

        if (m->sweeping)
                return 0;
        r = sd_event_source_set_time_relative(m->sweep, interval);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(m->sweep, SD_EVENT_ONESHOT);
        if (r < 0)
                return r;
        m->sweeping = true;
        return 0;
}

/* One timer for all sessions, and none when there is no session. */
static int on_sweep(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;
        usec_t now = manager_now(m);
        int r;

        m->sweeping = false;
        for (Session *s = m->sessions, *next; s; s = next) {
                next = s->next;
                session_check_timeout(s, now);
        }
        peer_table_sweep(&m->peers, now);
        /* Also after descriptors or memory ran out without a session of ours. */
        if (m->full && !m->stopping && m->n_sessions < m->listener_config->connections_max) {
                m->full = false;
                set_listening(m, true);
        }
        if (m->n_sessions == 0 && m->peers.peers.size == 0)
                return 0;
        r = start_sweep(m);
        return r < 0 ? log_error_errno(r, "Cannot set a timer: %m") : 0;
}

/* Serves a connection. Takes the descriptor over. */
static int manager_serve(Manager *m, int fd) {
        static const char refusal[] = "421 4.7.0 Too many connections\r\n";
        _cleanup_(peer_identity_done) PeerIdentity identity = {};
        _cleanup_close_ int socket = fd;
        Session *s;
        Peer *peer = NULL;
        int r;

        r = start_sweep(m);
        if (r < 0)
                return r;
        r = peer_identify(socket, &identity);
        if (r < 0)
                return r;
        r = peer_connect(&m->peers, identity.key, &peer);
        if (r == -EUSERS) {
                (void) send(socket, refusal, strlen(refusal), MSG_NOSIGNAL | MSG_DONTWAIT);
                log_limit(m, peer, NULL, "too many connections");
                return 0;
        }
        if (r < 0)
                return r;
        r = session_new(m, TAKE_FD(socket), peer, &identity, &s);
        if (r < 0)
                return r;
        session_start(s);
        return 0;
}

static int on_connection(sd_event_source *source _unused_, int fd, uint32_t revents _unused_, void *userdata) {
        Listener *l = userdata;
        Manager *m = l->manager;
        int r;

        for (unsigned i = 0; i < ACCEPT_MAX; i++) {
                if (m->n_sessions >= m->listener_config->connections_max) {
                        set_full(m, "too many connections in all");
                        return 0;
                }
                int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (client < 0 && IN_SET(errno, EMFILE, ENFILE, ENOBUFS, ENOMEM)) {
                        set_full(m, "no descriptors or memory for more connections");
                        r = start_sweep(m);
                        return r < 0 ? log_error_errno(r, "Cannot set a timer: %m") : 0;
                }
                if (client < 0)
                        return 0; /* none left, or one that has gone already */
                r = manager_serve(m, client);
                if (r < 0)
                        log_debug_errno(r, "Cannot serve a connection: %m");
        }
        return 0;
}

int manager_take_socket(int fd, const char *name, void *userdata) {
        Manager *m = userdata;
        _cleanup_close_ int socket = fd;
        socklen_t n = sizeof(int);
        int listening = 0, r;

        if (!streq(name, m->options.listener) && !streq(name, "connection")) {
                log_warning("Socket named %s is not for listener %s, ignoring.", name, m->options.listener);
                return 0;
        }
        if (getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) < 0)
                return log_error_errno(errno, "Descriptor %s is no socket: %m", name);
        if (!listening) {
                r = manager_serve(m, TAKE_FD(socket));
                return r < 0 ? log_error_errno(r, "Cannot serve the connection: %m") : 0;
        }
        r = fd_set_nonblock(socket, true);
        if (r < 0)
                return log_error_errno(r, "Cannot use socket %s: %m", name);
        Listener *l = new0(Listener, 1);
        if (!l)
                return log_oom();
        l->manager = m;
        l->fd = TAKE_FD(socket);
        l->next = m->listeners;
        m->listeners = l;
        r = sd_event_add_io(m->event, &l->source, l->fd, EPOLLIN, on_connection, l);
        return r < 0 ? log_error_errno(r, "Cannot listen: %m") : 0;
}

static int on_stop_timeout(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        log_warning("%u sessions have not come to an end in time.", m->n_sessions);
        for (Session *s = m->sessions, *next; s; s = next) {
                next = s->next;
                session_stop(s, true);
        }
        return sd_event_exit(m->event, EXIT_SUCCESS);
}

static int on_stop(sd_event_source *source _unused_, const struct signalfd_siginfo *si _unused_, void *userdata) {
        Manager *m = userdata;
        int r;

        if (m->stopping)
                return sd_event_exit(m->event, EXIT_SUCCESS);
        m->stopping = true;
        set_listening(m, false);
        for (Session *s = m->sessions, *next; s; s = next) {
                next = s->next;
                session_stop(s, false);
        }
        r = sd_event_add_time_relative(m->event, &m->stop_timer, CLOCK_BOOTTIME, STOP_USEC, 0, on_stop_timeout, m);
        if (r < 0)
                return sd_event_exit(m->event, EXIT_SUCCESS);
        stop_if_done(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        while (m->sessions)
                session_free(m->sessions);
        while (m->listeners) {
                Listener *l = m->listeners;
                m->listeners = l->next;
                listener_free(l);
        }
        submission_free(m->submission);
        peer_table_done(&m->peers);
        check_cache_done(&m->cache);
        sd_event_source_disable_unref(m->sweep);
        sd_event_source_disable_unref(m->sigterm);
        sd_event_source_disable_unref(m->sigint);
        sd_event_source_disable_unref(m->stop_timer);
        sd_event_unref(m->event);
        config_free(m->config);
        return mfree(m);
}

static int manager_init_event(Manager *m) {
        int r;

        r = service_event_new(&m->event);
        if (r < 0)
                return r;
        /* Sessions come to an end first. */
        r = sd_event_set_signal_exit(m->event, false);
        if (r < 0)
                return r;
        r = sd_event_add_signal(m->event, &m->sigterm, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, on_stop, m);
        if (r < 0)
                return r;
        r = sd_event_add_signal(m->event, &m->sigint, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_stop, m);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(m->event, &m->sweep, CLOCK_BOOTTIME, 0, 0, on_sweep, m);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(m->sweep, SD_EVENT_OFF);
}

int manager_new(const ManagerOptions *options, Config *config, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = new0(Manager, 1);
        _cleanup_free_ char *path = NULL;
        int r;

        if (!m) {
                config_free(config);
                return -ENOMEM;
        }
        m->config = config;
        m->options = *options;
        m->listener_config = config_listener(config, options->listener);
        m->command_timeout = options->command_timeout ?: m->listener_config->command_timeout;
        m->data_timeout = options->data_timeout ?: m->listener_config->data_timeout;
        m->smtp = (SmtpSessionOptions) {
                .host_name = config->host_name,
                .mail_name = config->mail_name,
                .size_max = config->message_size_max,
                .recipients_max = options->local ? config->recipients_max_local : config->recipients_max,
                .errors_max = m->listener_config->errors_max,
                .idle_commands_max = IDLE_COMMANDS_MAX,
                .lmtp = options->lmtp,
                .local = options->local,
                .origin = options->origin,
        };
        /* One peer alone never takes all, but always has room for a message of the largest size. */
        m->peers.connections_max_peer = m->listener_config->connections_max_peer;
        m->peers.bytes_max = MAX(BYTES_MAX, 4 * usec_add(config->message_size_max, config->header_size_max));
        m->peers.bytes_max_peer = m->peers.bytes_max / 4;

        r = manager_init_event(m);
        if (r < 0)
                return r;
        if (asprintf(&path, "%s/%s", POSTD_SUBMISSION_DIR, options->listener) < 0)
                return -ENOMEM;
        r = submission_new(m->event, path, &m->submission);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(m);
        return 0;
}

static bool manager_busy(void *userdata) {
        Manager *m = userdata;

        return m->n_sessions > 0 || submission_pending(m->submission) > 0;
}

int manager_run(Manager *m) {
        return service_run(m->event, IDLE_USEC, manager_busy, m);
}
