/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ipc/varlink-io.postd.h"

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Context,
                SD_VARLINK_FIELD_COMMENT("Protocol keyword for the Received field: ESMTP, UTF8SMTP, LMTP, ..."),
                SD_VARLINK_DEFINE_FIELD(protocol, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Argument of HELO, EHLO or LHLO"),
                SD_VARLINK_DEFINE_FIELD(helo, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("IP address of the client, absent on AF_UNIX"),
                SD_VARLINK_DEFINE_FIELD(peerAddress, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Verified host name of the client"),
                SD_VARLINK_DEFINE_FIELD(peerName, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("User id of the client on AF_UNIX"),
                SD_VARLINK_DEFINE_FIELD(uid, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("systemd unit of the client on AF_UNIX, absent if unknown"),
                SD_VARLINK_DEFINE_FIELD(unit, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("User name that the client authenticated as"),
                SD_VARLINK_DEFINE_FIELD(login, SD_VARLINK_STRING, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Recipient,
                SD_VARLINK_FIELD_COMMENT("Forward-path without angle brackets"),
                SD_VARLINK_DEFINE_FIELD(address, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("ORCPT parameter as it came (RFC 3461)"),
                SD_VARLINK_DEFINE_FIELD(originalRecipient, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("NOTIFY parameter (RFC 3461)"),
                SD_VARLINK_DEFINE_FIELD(notify, SD_VARLINK_STRING, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Reply,
                SD_VARLINK_FIELD_COMMENT("accept, reject or defer"),
                SD_VARLINK_DEFINE_FIELD(result, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("SMTP reply code"),
                SD_VARLINK_DEFINE_FIELD(code, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Enhanced status code (RFC 3463)"),
                SD_VARLINK_DEFINE_FIELD(status, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Text for the client"),
                SD_VARLINK_DEFINE_FIELD(text, SD_VARLINK_STRING, 0));

static SD_VARLINK_DEFINE_METHOD(
                Check,
                SD_VARLINK_DEFINE_INPUT_BY_TYPE(context, Context, 0),
                SD_VARLINK_FIELD_COMMENT("Reverse-path without angle brackets, empty for <>"),
                SD_VARLINK_DEFINE_INPUT(sender, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Forward-paths; may be empty to ask for the sender and room alone"),
                SD_VARLINK_DEFINE_INPUT(recipients, SD_VARLINK_STRING, SD_VARLINK_ARRAY),
                SD_VARLINK_FIELD_COMMENT("Size in bytes that the client announced"),
                SD_VARLINK_DEFINE_INPUT(size, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("One reply per recipient, in the same order"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(replies, Reply, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(
                Submit,
                SD_VARLINK_FIELD_COMMENT("128-bit token of the submission in hexadecimal: the same token is the same message"),
                SD_VARLINK_DEFINE_INPUT(token, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("The token may have been submitted before"),
                SD_VARLINK_DEFINE_INPUT(repeated, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_INPUT_BY_TYPE(context, Context, 0),
                SD_VARLINK_DEFINE_INPUT(sender, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_INPUT_BY_TYPE(recipients, Recipient, SD_VARLINK_ARRAY),
                SD_VARLINK_FIELD_COMMENT("BODY parameter: 7BIT, 8BITMIME or BINARYMIME"),
                SD_VARLINK_DEFINE_INPUT(body, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_INPUT(smtputf8, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("RET parameter (RFC 3461)"),
                SD_VARLINK_DEFINE_INPUT(dsnReturn, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("ENVID parameter as it came (RFC 3461)"),
                SD_VARLINK_DEFINE_INPUT(envid, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Index of the descriptor with the content: a plain file or memfd"),
                SD_VARLINK_DEFINE_INPUT(content, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Bytes of content"),
                SD_VARLINK_DEFINE_INPUT(size, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Queue id; the message is durable"),
                SD_VARLINK_DEFINE_OUTPUT(id, SD_VARLINK_STRING, 0));

static SD_VARLINK_DEFINE_ERROR(
                Refused,
                SD_VARLINK_DEFINE_FIELD(code, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(status, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(text, SD_VARLINK_STRING, 0));

SD_VARLINK_DEFINE_INTERFACE(
                io_postd_Submission,
                "io.postd.Submission",
                SD_VARLINK_INTERFACE_COMMENT("How receivers hand messages to the queue manager. The socket tells which listener calls."),
                SD_VARLINK_SYMBOL_COMMENT("What a receiver knows of its client"),
                &vl_type_Context,
                &vl_type_Recipient,
                SD_VARLINK_SYMBOL_COMMENT("The decision for one recipient"),
                &vl_type_Reply,
                SD_VARLINK_SYMBOL_COMMENT("Asks whether mail from this sender is taken for these recipients"),
                &vl_method_Check,
                SD_VARLINK_SYMBOL_COMMENT("Queues a message. Answered once it is durable."),
                &vl_method_Submit,
                SD_VARLINK_SYMBOL_COMMENT("The whole call is refused: a 4xx or 5xx reply for the client"),
                &vl_error_Refused);
