/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/fd.h"
#include "deliver/restrict.h"

#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

/* All rights that exist in the first version of Landlock; EXECUTE is the lowest bit, MAKE_SYM the highest. */
#define RIGHTS_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static uint64_t rights_of(RestrictRight right) {
        switch (right) {
        case RESTRICT_FILE:
                return FILE_RIGHTS;
        case RESTRICT_LOCKS:
                return LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;
        case RESTRICT_TREE:
                return FILE_RIGHTS | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |
                       LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REFER;
        }
        return 0;
}

int restrict_session(const RestrictRule *rules, size_t n) {
        struct landlock_ruleset_attr attr = { .handled_access_fs = RIGHTS_1 };
        _cleanup_close_ int fd = -EBADF;

        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        if (abi < 0)
                return IN_SET(errno, ENOSYS, EOPNOTSUPP, EPERM) ? 1 : negative_errno();
        if (abi >= 2)
                attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
        if (abi >= 3)
                attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
        if (abi >= 4)
                attr.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP;
        if (abi >= 5)
                attr.handled_access_fs |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
        if (abi >= 6)
                attr.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;

        size_t size = abi >= 6 ? sizeof(attr) : abi >= 4 ? offsetof(struct landlock_ruleset_attr, scoped)
                                                        : offsetof(struct landlock_ruleset_attr, handled_access_net);
        fd = (int) syscall(SYS_landlock_create_ruleset, &attr, size, 0);
        if (fd < 0)
                return negative_errno();
        for (size_t i = 0; i < n; i++) {
                struct landlock_path_beneath_attr path = {
                        .parent_fd = rules[i].fd, .allowed_access = rights_of(rules[i].right) & attr.handled_access_fs,
                };
                if (rules[i].fd >= 0 && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &path, 0) < 0)
                        return negative_errno();
        }
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
                return negative_errno();
        return 0;
}
