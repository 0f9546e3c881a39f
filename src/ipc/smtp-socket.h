/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Talks SMTP to one of postd's own sockets, for programs that do one thing at a time: sendmail and pickup. Blocks, but
 * never longer than it is told. */

#include "smtp/client.h"

/* Connects to an AF_UNIX socket. A full backlog is tried again until the time is over. -errno: -ENOENT, -EACCES,
 * -ECONNREFUSED, -EAFNOSUPPORT, -ETIMEDOUT, ... */
int smtp_socket_connect(const char *path, usec_t timeout, int *ret_fd);

/* Moves bytes between descriptor and client until the client is READY, DONE or CLOSED (right after smtp_client_submit()
 * that is when the message has its results). step: the longest time without a byte either way; total: the longest time
 * at all. 0, also when the connection broke (the state says so). -ETIMEDOUT: the client was told that the connection is
 * gone and is CLOSED. Another -errno is of the content source, or -ENOMEM: close the connection. */
int smtp_socket_run(int fd, SmtpClient *c, usec_t step, usec_t total);

/* Says QUIT without waiting for an answer. */
void smtp_socket_quit(int fd, SmtpClient *c);
