/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ipc/varlink-io.postd.h"

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Recipient,
                SD_VARLINK_FIELD_COMMENT("Number of the recipient in its message, to be named in the result"),
                SD_VARLINK_DEFINE_FIELD(index, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Final address"),
                SD_VARLINK_DEFINE_FIELD(address, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("An earlier attempt may have succeeded without being heard of"),
                SD_VARLINK_DEFINE_FIELD(repeated, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Header fields to put before the content, lines ended by CRLF"),
                SD_VARLINK_DEFINE_FIELD(prepend, SD_VARLINK_STRING, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Message,
                SD_VARLINK_FIELD_COMMENT("Queue id"),
                SD_VARLINK_DEFINE_FIELD(id, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Reverse-path, empty for <>"),
                SD_VARLINK_DEFINE_FIELD(sender, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("When it was accepted, microseconds since 1970"),
                SD_VARLINK_DEFINE_FIELD(arrival, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(smtputf8, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                SD_VARLINK_DEFINE_FIELD_BY_TYPE(recipients, Recipient, SD_VARLINK_ARRAY),
                SD_VARLINK_FIELD_COMMENT("Index of the descriptor with the content, read-only"),
                SD_VARLINK_DEFINE_FIELD(content, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Bytes of content"),
                SD_VARLINK_DEFINE_FIELD(size, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                Result,
                SD_VARLINK_DEFINE_FIELD(id, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Number of the recipient"),
                SD_VARLINK_DEFINE_FIELD(recipient, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("delivered, deferred, failed or expanded"),
                SD_VARLINK_DEFINE_FIELD(result, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Enhanced status code (RFC 3463)"),
                SD_VARLINK_DEFINE_FIELD(status, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Where it was stored, or the reason, or the remote's reply"),
                SD_VARLINK_DEFINE_FIELD(text, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("With deferred: nothing was tried, and a new session may do better at once"),
                SD_VARLINK_DEFINE_FIELD(again, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Host that replied"),
                SD_VARLINK_DEFINE_FIELD(remoteHost, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("With expanded: the addresses that replace the recipient"),
                SD_VARLINK_DEFINE_FIELD(addresses, SD_VARLINK_STRING, SD_VARLINK_ARRAY | SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_METHOD_FULL(
                Deliver,
                SD_VARLINK_SUPPORTS_MORE,
                SD_VARLINK_DEFINE_INPUT_BY_TYPE(messages, Message, SD_VARLINK_ARRAY),
                SD_VARLINK_FIELD_COMMENT("What has become of recipients; every recipient is answered once over all replies"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(results, Result, SD_VARLINK_ARRAY));

SD_VARLINK_DEFINE_INTERFACE(
                io_postd_Transport,
                "io.postd.Transport",
                SD_VARLINK_INTERFACE_COMMENT("How the queue manager hands messages to whoever delivers them"),
                &vl_type_Recipient,
                &vl_type_Message,
                &vl_type_Result,
                SD_VARLINK_SYMBOL_COMMENT("Delivers messages. A recipient is answered as delivered once its copy is durable."),
                &vl_method_Deliver);
