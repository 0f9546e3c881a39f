/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The interfaces between postd's programs, one file each: varlink-io.postd.NAME.c. Shown by varlinkctl introspect. */

#include <systemd/sd-varlink-idl.h>

extern const sd_varlink_interface vl_interface_io_postd_Submission;
extern const sd_varlink_interface vl_interface_io_postd_Queue;
extern const sd_varlink_interface vl_interface_io_postd_Transport;
extern const sd_varlink_interface vl_interface_io_postd_Spawn;
extern const sd_varlink_interface vl_interface_io_postd_Table;
