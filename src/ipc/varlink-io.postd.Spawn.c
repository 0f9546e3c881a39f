/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ipc/varlink-io.postd.h"

static SD_VARLINK_DEFINE_METHOD_FULL(
                Open,
                SD_VARLINK_REQUIRES_MORE,
                SD_VARLINK_FIELD_COMMENT("User that the session runs as"),
                SD_VARLINK_DEFINE_INPUT(uid, SD_VARLINK_INT, 0),
                SD_VARLINK_FIELD_COMMENT("Class of the session: mailbox, home or command"),
                SD_VARLINK_DEFINE_INPUT(class, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("started (first reply) or ended (last reply)"),
                SD_VARLINK_DEFINE_OUTPUT(state, SD_VARLINK_STRING, 0),
                SD_VARLINK_FIELD_COMMENT("Name of the transient unit"),
                SD_VARLINK_DEFINE_OUTPUT(unit, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_OUTPUT(invocationId, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("started: index of the descriptor of a socket that speaks io.postd.Transport"),
                SD_VARLINK_DEFINE_OUTPUT(connection, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("ended: result of the unit as systemd tells it: success, exit-code, signal, oom-kill, timeout, ..."),
                SD_VARLINK_DEFINE_OUTPUT(result, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("ended: exited, killed or dumped"),
                SD_VARLINK_DEFINE_OUTPUT(code, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("ended: exit status or signal number"),
                SD_VARLINK_DEFINE_OUTPUT(status, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("ended: peak memory in bytes"),
                SD_VARLINK_DEFINE_OUTPUT(memoryPeak, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("ended: CPU time in nanoseconds"),
                SD_VARLINK_DEFINE_OUTPUT(cpuUsageNSec, SD_VARLINK_INT, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_ERROR(NotAllowed, SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(NoSuchUser);
static SD_VARLINK_DEFINE_ERROR(Busy);
static SD_VARLINK_DEFINE_ERROR(
                SetupFailed,
                SD_VARLINK_DEFINE_FIELD(unit, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(status, SD_VARLINK_INT, SD_VARLINK_NULLABLE));

SD_VARLINK_DEFINE_INTERFACE(
                io_postd_Spawn,
                "io.postd.Spawn",
                SD_VARLINK_INTERFACE_COMMENT("Starts delivery sessions as transient units. Takes no text but the name of a class."),
                SD_VARLINK_SYMBOL_COMMENT("Starts a session; the last reply comes when its unit has ended. Closing the connection leaves the session to end by itself."),
                &vl_method_Open,
                SD_VARLINK_SYMBOL_COMMENT("The root-owned configuration allows no session for this user or class"),
                &vl_error_NotAllowed,
                &vl_error_NoSuchUser,
                SD_VARLINK_SYMBOL_COMMENT("As many sessions as may run are running"),
                &vl_error_Busy,
                SD_VARLINK_SYMBOL_COMMENT("systemd could not set the unit up; never the message's fault"),
                &vl_error_SetupFailed);
