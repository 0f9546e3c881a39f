/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>

#include "basic/fd.h"
#include "net/stream.h"
#include "smtpd/smtpd-peer.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define LOG_SPAN (10 * USEC_PER_SEC)
#define LOG_MAX_PEER 20U
#define LOG_MAX 200U
#define PEERS_KEPT_MAX 10000U /* without a connection */

void peer_table_done(PeerTable *t) {
        Peer *p;

        MAP_FOREACH(p, &t->peers)
                free(p);
        map_done(&t->peers);
}

int peer_connect(PeerTable *t, const char *key, Peer **ret) {
        Peer *p = map_get(&t->peers, key);
        int r;

        if (!p) {
                p = new0(Peer, 1);
                if (!p)
                        return -ENOMEM;
                (void) snprintf(p->key, sizeof(p->key), "%s", key);
                r = map_put(&t->peers, p->key, p);
                if (r < 0) {
                        free(p);
                        return r;
                }
        }
        *ret = p;
        if (p->n_connections >= t->connections_max_peer)
                return -EUSERS;
        p->n_connections++;
        t->n_connections++;
        return 0;
}

static bool bucket_take(LogBucket *b, usec_t now, unsigned max) {
        if (now >= usec_add(b->since, LOG_SPAN)) {
                b->since = now;
                b->used = 0;
        }
        if (b->used >= max)
                return false;
        b->used++;
        return true;
}

static bool peer_forgettable(const PeerTable *t, const Peer *p, usec_t now) {
        return p->n_connections == 0 && (now >= usec_add(p->log.since, LOG_SPAN) || t->peers.size > PEERS_KEPT_MAX);
}

static void peer_forget(PeerTable *t, Peer *p) {
        map_remove(&t->peers, p->key);
        free(p);
}

void peer_disconnect(PeerTable *t, Peer *p) {
        p->n_connections--;
        t->n_connections--;
        /* Most have caused no entry. */
        if (peer_forgettable(t, p, p->log.used == 0 ? USEC_INFINITY : 0))
                peer_forget(t, p);
}

bool peer_charge(PeerTable *t, Peer *p, uint64_t n) {
        if (n > t->bytes_max - t->bytes || n > t->bytes_max_peer - p->bytes)
                return false;
        t->bytes += n;
        p->bytes += n;
        return true;
}

void peer_release(PeerTable *t, Peer *p, uint64_t n) {
        t->bytes -= n;
        p->bytes -= n;
}

bool peer_may_log(PeerTable *t, Peer *p, usec_t now, uint64_t *ret_suppressed) {
        LogBucket *b = p ? &p->log : &t->log;

        if ((p && !bucket_take(&p->log, now, LOG_MAX_PEER)) || !bucket_take(&t->log, now, LOG_MAX)) {
                b->suppressed++;
                return false;
        }
        *ret_suppressed = b->suppressed;
        b->suppressed = 0;
        return true;
}

void peer_table_sweep(PeerTable *t, usec_t now) {
        Peer *p;

        /* The map may not change under an iteration; a few at a time will do. */
        for (unsigned n = 0; n < 100; n++) {
                Peer *old = NULL;
                MAP_FOREACH(p, &t->peers)
                        if (peer_forgettable(t, p, now)) {
                                old = p;
                                break;
                        }
                if (!old)
                        return;
                peer_forget(t, old);
        }
}

void peer_identity_done(PeerIdentity *i) {
        i->unit = mfree(i->unit);
}

/* The unit by the process that connected, held by a pidfd, so that no other can take its place. What cannot be known
 * (an old kernel, a process that has ended, a container) is unknown, and matches no rule. */
static char *peer_unit(int fd) {
        _cleanup_close_ int pidfd = -EBADF;
        socklen_t n = sizeof(pidfd);
        char *unit = NULL;
        int value = -EBADF;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &value, &n) < 0)
                return NULL;
        pidfd = value;
        return sd_pidfd_get_unit(pidfd, &unit) < 0 ? NULL : unit;
}

int peer_identify(int fd, PeerIdentity *ret) {
        PeerIdentity i = { .uid = (uid_t) -1 };
        struct sockaddr_storage a = {};
        socklen_t n = sizeof(a);

        if (getpeername(fd, (struct sockaddr *) &a, &n) < 0)
                return negative_errno();
        if (a.ss_family == AF_UNIX) {
                struct ucred c;
                n = sizeof(c);
                if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) < 0)
                        return negative_errno();
                i.uid = c.uid;
                i.unit = peer_unit(fd);
                (void) snprintf(i.key, sizeof(i.key), "uid %" PRIu32, (uint32_t) c.uid);
        } else {
                socket_address_format(&a, i.address);
                (void) snprintf(i.key, sizeof(i.key), "%s", i.address);
                if (strchr(i.address, ':')) {
                        struct in6_addr net = ((const struct sockaddr_in6 *) &a)->sin6_addr;
                        memset(&net.s6_addr[8], 0, 8);
                        if (inet_ntop(AF_INET6, &net, i.key, sizeof(i.key) - 4))
                                strcat(i.key, "/64");
                }
        }
        *ret = i;
        return 0;
}
