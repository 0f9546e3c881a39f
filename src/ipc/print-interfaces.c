/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* At build time: writes the descriptions of the interfaces, which are installed for people and code generators. */

#include <stdio.h>

#include "basic/macro.h"
#include "ipc/varlink-io.postd.h"

int main(int argc, char *argv[]) {
        static const sd_varlink_interface *const interfaces[] = {
                &vl_interface_io_postd_Queue,     &vl_interface_io_postd_Spawn, &vl_interface_io_postd_Submission,
                &vl_interface_io_postd_Table,     &vl_interface_io_postd_Transport,
        };

        if (argc != 2)
                return EXIT_FAILURE;
        for (size_t i = 0; i < ELEMENTSOF(interfaces); i++)
                if (streq(interfaces[i]->name, argv[1]))
                        return sd_varlink_idl_dump(stdout, interfaces[i], 0, 100) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        fprintf(stderr, "%s: no such interface: %s\n", argv[0], argv[1]);
        return EXIT_FAILURE;
}
