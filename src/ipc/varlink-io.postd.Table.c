/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ipc/varlink-io.postd.h"

static SD_VARLINK_DEFINE_STRUCT_TYPE(
                User,
                SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_FIELD(uid, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(gid, SD_VARLINK_INT, 0),
                SD_VARLINK_DEFINE_FIELD(home, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                SD_VARLINK_FIELD_COMMENT("Full name (first part of GECOS)"),
                SD_VARLINK_DEFINE_FIELD(realName, SD_VARLINK_STRING, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_METHOD(
                Lookup,
                SD_VARLINK_FIELD_COMMENT("Table; postd-users serves users (by name) and uids (by number)"),
                SD_VARLINK_DEFINE_INPUT(table, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_INPUT(key, SD_VARLINK_STRING, 0),
                SD_VARLINK_DEFINE_OUTPUT(values, SD_VARLINK_STRING, SD_VARLINK_ARRAY),
                SD_VARLINK_FIELD_COMMENT("With the tables of users"),
                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(user, User, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_ERROR(NotFound);
static SD_VARLINK_DEFINE_ERROR(NoSuchTable);
static SD_VARLINK_DEFINE_ERROR(TemporaryFailure, SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, 0));

SD_VARLINK_DEFINE_INTERFACE(
                io_postd_Table,
                "io.postd.Table",
                SD_VARLINK_INTERFACE_COMMENT("Look-ups of the decision engine"),
                &vl_type_User,
                SD_VARLINK_SYMBOL_COMMENT("Looks a key up"),
                &vl_method_Lookup,
                SD_VARLINK_SYMBOL_COMMENT("The key does not exist; a definite answer"),
                &vl_error_NotFound,
                &vl_error_NoSuchTable,
                SD_VARLINK_SYMBOL_COMMENT("Nothing can be said now; mail is deferred"),
                &vl_error_TemporaryFailure);
