/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ipc/varlink-io.postd.h"

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Recipient,
                SD_VARLINK_FIELD_COMMENT("Number in the message"),
                SD_VARLINK_DEFINE_FIELD(index, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(address, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Number of the recipient whose expansion made this one"),
                SD_VARLINK_DEFINE_FIELD(parent, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("pending, expanded, delivered, failed, expired or removed"),
                SD_VARLINK_DEFINE_FIELD(state, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Attempts made"),
                SD_VARLINK_DEFINE_FIELD(tries, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Last attempt, microseconds since 1970"),
                SD_VARLINK_DEFINE_FIELD(attempted, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Next attempt, microseconds since 1970"),
                SD_VARLINK_DEFINE_FIELD(due, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Enhanced status code of the last attempt"),
                SD_VARLINK_DEFINE_FIELD(status, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("What the last attempt said"),
                SD_VARLINK_DEFINE_FIELD(reply, SD_VARLINK_STRING, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Message,
                SD_VARLINK_DEFINE_FIELD(id, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Reverse-path, empty for <>"),
                SD_VARLINK_DEFINE_FIELD(sender, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Microseconds since 1970"),
                SD_VARLINK_DEFINE_FIELD(arrival, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Bytes of content"),
                SD_VARLINK_DEFINE_FIELD(size, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(held, SD_VARLINK_BOOL, 0),
                SD_VARLINK_DEFINE_FIELD(holdReason, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(listener, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(protocol, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(uid, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(unit, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(peerAddress, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(login, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(recipients, Recipient, SD_VARLINK_ARRAY));

#define ID SD_VARLINK_FIELD_COMMENT("Queue id"), SD_VARLINK_DEFINE_INPUT(id, SD_VARLINK_STRING, 0)
#define INTERACTIVE                                                                                     \
        SD_VARLINK_FIELD_COMMENT("Whether polkit may ask the user"),                                    \
        SD_VARLINK_DEFINE_INPUT(allowInteractiveAuthentication, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE)

static SD_VARLINK_DEFINE_METHOD_FULL(
                List,
                SD_VARLINK_SUPPORTS_MORE,
                SD_VARLINK_FIELD_COMMENT("Only messages from this sender"),
                SD_VARLINK_DEFINE_INPUT(sender, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Only messages with this recipient, or with a recipient in this domain if it starts with @"),
                SD_VARLINK_DEFINE_INPUT(recipient, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Only held (true) or not held (false) messages"),
                SD_VARLINK_DEFINE_INPUT(held, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Without more: go on behind this queue id"),
                SD_VARLINK_DEFINE_INPUT(after, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("At most so many messages in one reply, 1 to 1000; default 100"),
                SD_VARLINK_DEFINE_INPUT(limit, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("In order of queue ids, which is that of arrival"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(messages, Message, SD_VARLINK_ARRAY),
                SD_VARLINK_FIELD_COMMENT("Without more: there are messages left"),
                SD_VARLINK_DEFINE_OUTPUT(incomplete, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_METHOD(Show, ID, SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(message, Message, 0));
static SD_VARLINK_DEFINE_METHOD(
                Cat, ID,
                SD_VARLINK_FIELD_COMMENT("Index of a descriptor with the content, read-only"),
                SD_VARLINK_DEFINE_OUTPUT(content, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT(size, SD_VARLINK_INT, 0));
static SD_VARLINK_DEFINE_METHOD(Hold, ID, SD_VARLINK_DEFINE_INPUT(reason, SD_VARLINK_STRING, SD_VARLINK_NULLABLE), INTERACTIVE);
static SD_VARLINK_DEFINE_METHOD(Release, ID, INTERACTIVE);
static SD_VARLINK_DEFINE_METHOD(
                Remove, ID,
                SD_VARLINK_FIELD_COMMENT("Only this recipient; default: the whole message"),
                SD_VARLINK_DEFINE_INPUT(recipient, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                INTERACTIVE);
static SD_VARLINK_DEFINE_METHOD(
                Flush,
                SD_VARLINK_FIELD_COMMENT("One message"),
                SD_VARLINK_DEFINE_INPUT(id, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("All mail for this destination; default: the whole queue"),
                SD_VARLINK_DEFINE_INPUT(destination, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                INTERACTIVE,
                SD_VARLINK_FIELD_COMMENT("Recipients that are tried now"),
                SD_VARLINK_DEFINE_OUTPUT(recipients, SD_VARLINK_INT, 0));
static SD_VARLINK_DEFINE_METHOD(Requeue, ID, INTERACTIVE);

#define WHAT                                                                                            \
        SD_VARLINK_FIELD_COMMENT("all, local, relay, destination or listener"),                         \
        SD_VARLINK_DEFINE_INPUT(what, SD_VARLINK_STRING, 0),                                            \
        SD_VARLINK_FIELD_COMMENT("Name of the destination or listener"),                                \
        SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, SD_VARLINK_NULLABLE), INTERACTIVE
static SD_VARLINK_DEFINE_METHOD(Pause, WHAT);
static SD_VARLINK_DEFINE_METHOD(Resume, WHAT);

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Destination,
                SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(waiting, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(inFlight, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(failures, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("End of its back-off, microseconds since 1970"),
                SD_VARLINK_DEFINE_FIELD(notBefore, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD(paused, SD_VARLINK_BOOL, 0));

static SD_VARLINK_DEFINE_METHOD(
                Status,
                SD_VARLINK_DEFINE_OUTPUT(version, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_OUTPUT(hostName, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("The spool is still being read"),
                SD_VARLINK_DEFINE_OUTPUT(loading, SD_VARLINK_BOOL, 0),
                SD_VARLINK_DEFINE_OUTPUT(messages, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT(recipients, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT(held, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT(inFlight, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT(damaged, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT(freeBytes, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("What is paused: all, local, relay, destination NAME, listener NAME"),
                SD_VARLINK_DEFINE_OUTPUT(paused, SD_VARLINK_STRING, SD_VARLINK_ARRAY),
                SD_VARLINK_FIELD_COMMENT("Why the configuration last loaded was not taken"),
                SD_VARLINK_DEFINE_OUTPUT(configurationError, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(destinations, Destination, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Metric,
                SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(value, SD_VARLINK_INT, 0));
static SD_VARLINK_DEFINE_METHOD(
                Metrics,
                SD_VARLINK_FIELD_COMMENT("Counters since the queue manager was started"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(metrics, Metric, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(
                Explain,
                SD_VARLINK_DEFINE_INPUT(sender, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_INPUT(recipient, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("What would happen, one step after another"),
                SD_VARLINK_DEFINE_OUTPUT(steps, SD_VARLINK_STRING, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD_FULL(
                Monitor,
                SD_VARLINK_REQUIRES_MORE,
                SD_VARLINK_FIELD_COMMENT("received, delivered, deferred, failed, expired, expanded, held, released, removed, lost"),
                SD_VARLINK_DEFINE_OUTPUT(event, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Microseconds since 1970"),
                SD_VARLINK_DEFINE_OUTPUT(time, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_OUTPUT(id, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_OUTPUT(sender, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_OUTPUT(recipient, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_OUTPUT(status, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_OUTPUT(text, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("lost: events dropped because the subscriber read too slowly"),
                SD_VARLINK_DEFINE_OUTPUT(count, SD_VARLINK_INT, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_ERROR(NoSuchMessage, SD_VARLINK_DEFINE_FIELD(id, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(NoSuchDestination, SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(InFlight, SD_VARLINK_DEFINE_FIELD(id, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(Failed, SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, 0));

SD_VARLINK_DEFINE_INTERFACE(
                io_postd_Queue,
                "io.postd.Queue",
                SD_VARLINK_INTERFACE_COMMENT("The queue: everybody sees and removes their own messages; root, and whom polkit allows, all of them."),
                &vl_type_Recipient,
                &vl_type_Message,
                &vl_type_Destination,
                &vl_type_Metric,
                SD_VARLINK_SYMBOL_COMMENT("Lists messages; with more the whole list in several replies"),
                &vl_method_List,
                &vl_method_Show,
                SD_VARLINK_SYMBOL_COMMENT("The content of a message, header and body, as a descriptor"),
                &vl_method_Cat,
                SD_VARLINK_SYMBOL_COMMENT("Stops deliveries of a message until it is released"),
                &vl_method_Hold,
                &vl_method_Release,
                SD_VARLINK_SYMBOL_COMMENT("Removes a message without a report to its sender"),
                &vl_method_Remove,
                SD_VARLINK_SYMBOL_COMMENT("Tries again at once"),
                &vl_method_Flush,
                SD_VARLINK_SYMBOL_COMMENT("Forgets the tries of a message and starts anew, with a new decision where it goes"),
                &vl_method_Requeue,
                &vl_method_Pause,
                &vl_method_Resume,
                &vl_method_Status,
                &vl_method_Metrics,
                SD_VARLINK_SYMBOL_COMMENT("Says what would be done with a message, without one"),
                &vl_method_Explain,
                SD_VARLINK_SYMBOL_COMMENT("Tells events as they happen"),
                &vl_method_Monitor,
                &vl_error_NoSuchMessage,
                &vl_error_NoSuchDestination,
                SD_VARLINK_SYMBOL_COMMENT("A delivery is under way; try again"),
                &vl_error_InFlight,
                &vl_error_Failed);
