/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to the queue manager, and its errors in words. */

#include "postctl/postctl.h"

/* Connects unless that was done: 0; > 0 if the queue manager is not there (nothing said); -errno after a message. */
int client_open(Postctl *p);
void client_close(Postctl *p);

/* Calls a method of io.postd.Queue. what says what is being tried on what, "hold message X", for the message if it fails.
 * Where polkit wants a password and there is a terminal, the user is asked.
 * 0 with the reply (borrowed until the next call); > 0 refused: the message is out, others may succeed; -errno: it makes
 * no sense to go on. */
int client_call(Postctl *p, const char *method, sd_json_variant *parameters, const char *what, sd_json_variant **ret);

/* Like client_call(), but says nothing: *ret_error is the name of the error, or NULL. -ENOTCONN: nobody is there. */
int client_try(Postctl *p, const char *method, sd_json_variant *parameters, const char **ret_error, sd_json_variant **ret);

/* "Failed to hold message X: …", with what to do. Never NULL but for want of memory. */
char *client_explain(const char *what, const char *error, sd_json_variant *parameters);

/* Calls a method with "more" and tells each reply; a callback that fails has said so itself. Waits for each reply for the
 * time given. Results as of client_call(); -ECONNRESET if the connection ended in the middle (nothing said). */
typedef int (*client_reply_t)(sd_json_variant *reply, void *userdata);
int client_observe(const char *method, sd_json_variant *parameters, const char *what, usec_t patience, client_reply_t reply,
                   void *userdata);

/* The message that the connection ended; returns an error. */
int client_lost(const char *what);

/* The message that the queue manager is not there, and how to start it. */
int client_absent(void);
