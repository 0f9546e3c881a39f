/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where postd's programs meet: sockets, interfaces, bus names, users. The units use the same names. */

#define POSTD_RUN_DIR "/run/postd"
#define POSTD_LOCAL_SOCKET POSTD_RUN_DIR "/local"            /* SMTP, world-connectable: sendmail */
#define POSTD_INJECT_SOCKET POSTD_RUN_DIR "/inject"          /* SMTP, private: pickup, DSNs */
#define POSTD_QUEUE_SOCKET POSTD_RUN_DIR "/io.postd.Queue"
#define POSTD_SUBMISSION_DIR POSTD_RUN_DIR "/submission"     /* one socket per listener, named like it */
#define POSTD_SPAWN_SOCKET POSTD_RUN_DIR "/io.postd.Spawn"
#define POSTD_USERS_SOCKET POSTD_RUN_DIR "/io.postd.Users"   /* interface io.postd.Table */

/* The build says where these are: POSTD_SPOOL_DIR (0700 postd; see spool/store.h), POSTD_OFFLINE_DIR (3733
 * postd-pickup:postd-offline; see postd-pickup(8)), POSTD_MAIL_DIR (the mailboxes), POSTD_LIBEXEC_DIR (the programs). */

#define POSTD_BUS_NAME "io.postd.Queue1"
#define POSTD_BUS_PATH "/io/postd/Queue1"

#define POSTD_USER "postd"                /* the queue manager */
#define POSTD_ROOT_USER "postd-root"      /* delivers root's mail to /var/mail/root */

/* Names of descriptors passed by systemd. A receiver gets its listening socket under the listener's name, a session
 * unit its end of the connection as "varlink". The queue manager gets "queue" and "submission-LISTENER". */
#define POSTD_FD_QUEUE "queue"
#define POSTD_FD_SUBMISSION_PREFIX "submission-"
