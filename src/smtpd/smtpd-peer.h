/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who is at the other end, and what is charged to them: a peer is a uid on AF_UNIX, and an address elsewhere (of IPv6 a
 * /64 network, of which one client may have all addresses). Every connection and every octet held for one is counted
 * for it and for all together. */

#include "basic/map.h"
#include "basic/usec.h"

#define PEER_KEY_MAX 64U

/* How many log entries a peer, or all together, may cause in a span of time. */
typedef struct LogBucket {
        usec_t since;
        unsigned used;
        uint64_t suppressed;       /* since the last entry that was let through */
} LogBucket;

typedef struct Peer {
        char key[PEER_KEY_MAX];    /* "uid 1000", "192.0.2.1", "2001:db8::/64" */
        unsigned n_connections;
        uint64_t bytes;
        LogBucket log;
} Peer;

typedef struct PeerTable {
        Map peers;
        unsigned n_connections;
        uint64_t bytes;
        LogBucket log;

        unsigned connections_max_peer;
        uint64_t bytes_max, bytes_max_peer;
} PeerTable;

void peer_table_done(PeerTable *t);

/* Counts a connection: 0 and the peer, -ENOMEM, or -EUSERS if it has too many already (then *ret is set too, for
 * the log). */
int peer_connect(PeerTable *t, const char *key, Peer **ret);
void peer_disconnect(PeerTable *t, Peer *p);

/* Charges octets: false if that is beyond a limit. */
bool peer_charge(PeerTable *t, Peer *p, uint64_t n);
void peer_release(PeerTable *t, Peer *p, uint64_t n);

/* May something be logged about the peer now? *ret_suppressed is how much was not, since the last time. */
bool peer_may_log(PeerTable *t, Peer *p, usec_t now, uint64_t *ret_suppressed);

/* Forgets peers without connections whose log entries are old. */
void peer_table_sweep(PeerTable *t, usec_t now);

/* Everything known of the other end of a socket. */
typedef struct PeerIdentity {
        char key[PEER_KEY_MAX];
        char address[PEER_KEY_MAX]; /* IP address, "" on AF_UNIX */
        uid_t uid;                  /* on AF_UNIX, else (uid_t) -1 */
        char *unit;                 /* systemd's system unit, NULL if unknown */
} PeerIdentity;

int peer_identify(int fd, PeerIdentity *ret);
void peer_identity_done(PeerIdentity *i);
