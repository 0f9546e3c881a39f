# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The shared root: a Debian with compilers and all, made once and then only read. Machines are overlays on top of it.
# It lies in the cache as roots/HASH; layers/HASH are sets of further packages, as the upper half of an overlay.

# Namespaces for work on a root: mounts and processes of an interrupted run vanish by themselves.
in_namespaces() { unshare --mount --pid --fork --kill-child --propagation slave "$@"; }

packages_of_root() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$LIB/packages"; }

ensure_root() {
        local key
        key=$({ uname -m; echo "${MACHINE_MIRROR-}"; packages_of_root; cat "$LIB/root-build"; } | sha256sum)
        ROOT_KEY=${key:0:16}
        ROOT=$CACHE/roots/$ROOT_KEY
        [[ -d $ROOT ]] || locked "$CACHE/locks/roots" build_root
        touch --no-create "$CACHE/roots/$ROOT_KEY.used"
}

build_root() {
        local new=$TMP/root packages begin=$SECONDS
        [[ ! -d $ROOT ]] || return 0
        say "making the root of the test machine in $CACHE (once; two to four minutes)"
        forget_old_roots
        mkdir "$new"
        mapfile -t packages < <(packages_of_root)
        step "  unpacking Debian trixie" in_namespaces "$LIB/root-build" bootstrap "$new" "$CACHE/debs"
        step "  installing ${#packages[@]} packages and what they need" \
                in_namespaces "$LIB/root-build" packages "$new" "$CACHE/debs" "${packages[@]}"
        : >"$CACHE/roots/$ROOT_KEY.used"
        mv "$new" "$ROOT"
        say "the root is ready: $(du -sm "$ROOT" | cut -f1) MB, made in $((SECONDS - begin)) s"
}

# Roots of branches that nobody has used for two weeks.
forget_old_roots() {
        local used
        while IFS= read -r used; do
                used=${used%.used}
                note "removing a root that was not used for two weeks: $used"
                rm -rf --one-file-system "$used" "$used.used" "$CACHE/layers/${used##*/}"-*
        done < <(find "$CACHE/roots" -maxdepth 1 -name '*.used' -mtime +14)
}

# ensure_layer PACKAGE…: sets LAYER to a directory with these packages and what they need, or to nothing.
ensure_layer() {
        local key sorted
        LAYER=
        (($#)) || return 0
        mapfile -t sorted < <(printf '%s\n' "$@" | sort -u)
        key=$(printf '%s\n' "${sorted[@]}" | sha256sum)
        LAYER=$CACHE/layers/$ROOT_KEY-${key:0:16}
        [[ -d $LAYER ]] || locked "$CACHE/locks/roots" build_layer "${sorted[@]}"
}

build_layer() {
        local new=$TMP/layer
        [[ ! -d $LAYER ]] || return 0
        mkdir -p "$new"/{upper,work,root}
        # shellcheck disable=SC2016 # expanded by the inner shell
        step "adding packages: $*" in_namespaces bash -c '
                set -e
                new=$1 root=$2 lib=$3 debs=$4
                shift 4
                . "$lib/mounts.sh"
                lay "$new" "$root"
                "$lib/root-build" add "$new/root" "$debs" "$@"
                mountpoint -q "$new/root" || { rmdir "$new/upper"; mv -T "$new/root" "$new/upper"; }
        ' - "$new" "$ROOT" "$LIB" "$CACHE/debs" "$@"
        mv "$new/upper" "$LAYER"
        rm -rf --one-file-system "$new"
}

# in_root CMD…: a command in the shared root, not booted, with this tree writable at /usr/src/postd.
in_root() {
        local scratch status=0
        scratch=$(mktemp -d "$TMP/scratch.XXXXXX")
        chmod 1777 "$scratch"
        unshare --mount --pid --net --ipc --uts --fork --kill-child --propagation slave \
                "$LIB/root-enter" "$ROOT" "$TREE" "$scratch" "$@" || status=$?
        rm -rf --one-file-system "$scratch"
        return $status
}

# build_tree VARIANT: configures once and compiles. Sets BUILD to the build directory, relative to the tree.
build_tree() {
        local variant=$1 options=()
        BUILD=build${variant:+-$variant}
        case $variant in
        '') ;;
        clang) options=(CC=clang) ;;
        sanitize) options=('-Db_sanitize=address,undefined' -Db_lundef=false -Dbuildtype=debug) ;;
        fuzz) options=(CC=clang -Dfuzz=true '-Db_sanitize=address,undefined' -Db_lundef=false) ;;
        *) fail "unknown build variant: $variant (there are clang, sanitize, fuzz)" ;;
        esac
        mkdir -p "$TREE/.machine"
        # The directory is configured anew when the root or the options are others than last time.
        # shellcheck disable=SC2016 # expanded by the inner shell
        locked "$TREE/.machine/$BUILD.lock" in_root nice bash -c '
                set -e
                dir=$1 key=$2
                shift 2
                while [[ ${1-} == CC=* ]]; do export "$1"; shift; done
                if [[ "$(cat "$dir/configured" 2>/dev/null)" != "$key" || ! -e $dir/build.ninja ]]; then
                        rm -rf "$dir"
                        meson setup "$dir" "$@"
                        echo "$key" >"$dir/configured"
                fi
                ninja -C "$dir"
        ' - "$BUILD" "$ROOT_KEY ${options[*]}" "${options[@]}"
}
