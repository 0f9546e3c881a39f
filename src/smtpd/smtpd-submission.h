/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way to the queue manager: io.postd.Submission over a few connections, each with one call under way (a property
 * of varlink). Calls wait for a free connection in the order they came.
 *
 * A queue manager that goes away under a call, or cannot be reached, is waited for: the call is repeated for up to 30 s
 * (Submit with the same token and repeated=true, so that no second copy is made). After that, and for every other failure,
 * the answer is a 451. */

#include <systemd/sd-event.h>
#include <systemd/sd-json.h>
#include "smtp/session.h"

typedef struct Submission Submission;
typedef struct SubmissionCall SubmissionCall;

int submission_new(sd_event *event, const char *path, Submission **ret);
/* Calls under way are dropped without their callbacks; there should be none. */
Submission *submission_free(Submission *s);
DEFINE_TRIVIAL_CLEANUP_FUNC(Submission *, submission_free);

/* Called once, from the event loop and never before the call was returned, unless it is forgotten. refused: the whole call was (or could not be made);
 * else Check has a decision for each recipient, and Submit the queue id. All of it is borrowed. */
typedef struct SubmissionAnswer {
        const SmtpDecision *refused;
        const SmtpDecision *decisions;
        size_t n_decisions;
        const char *queue_id;
} SubmissionAnswer;
typedef void (*submission_answer_t)(const SubmissionAnswer *answer, void *userdata);

/* What the queue manager is told about the client: the Context of the interface. */
int submission_context(const SmtpSession *session, const char *address, uid_t uid, const char *unit, sd_json_variant **ret);

/* Asks about the sender and the recipients from n_checked on. */
int submission_check(Submission *s, sd_json_variant *context, const SmtpSession *session, submission_answer_t answer,
                     void *userdata, SubmissionCall **ret);

/* Submits the message; the descriptor is taken over also on failure. The envelope's token must be set. `retried`: the
 * client may have submitted this token before. */
int submission_submit(Submission *s, sd_json_variant *context, const SmtpSession *session, bool retried, int fd, uint64_t size,
                      submission_answer_t answer, void *userdata, SubmissionCall **ret);

/* The answer is not wanted any more. A Submit goes on. */
void submission_call_forget(SubmissionCall *c);

/* Calls that are not answered yet, also the forgotten. */
size_t submission_pending(const Submission *s);
