# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash

# lay DIR LOWER: makes DIR/root a writable directory tree out of LOWER ("layer:root", or "root" alone), whose changes go
# to DIR/upper.
lay() {
        local dir=$1 lower=$2 top=${2%%:*}
        mount -t overlay postd -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$dir/root" && return
        # Where the cache lies on a file system that cannot carry an overlay's upper half (another overlay, as in many
        # containers) a copy must do; a layer made there is a complete root itself.
        echo "overlayfs does not mount on $dir: copying instead"
        [[ -d $top/usr/src/postd ]] || top=${lower##*:}
        cp -a --reflink=auto "$top/." "$dir/root"
}

# keep_mounts PATH…: a new mount namespace has a copy of every mount of the host, and would hold on to each of them after
# the host let go of it (a loop device, say, whose power is to be cut). All but the system's own and those that lead to
# the paths, or are below them, go from this namespace.
keep_mounts() {
        local target path
        while IFS= read -r target; do
                for path in /proc /sys /dev /run "$@"; do
                        [[ $target != / && $path/ != "$target"/* && $target/ != "$path"/* ]] || continue 2
                done
                umount --lazy "$target"
        done < <(findmnt --noheadings --list --output TARGET | tac)
}
