# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Messages, locks and the check of the host, for all verbs of test/machine.

# shellcheck disable=SC2034 # some are for the other parts
if [[ -t 2 && -z ${NO_COLOR-} ]]; then
        BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' DIM=$'\e[2m' PLAIN=$'\e[0m'
else
        BOLD='' RED='' GREEN='' DIM='' PLAIN=''
fi

# shellcheck disable=SC2034
CACHE=${POSTD_MACHINE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/postd-machine}

# What runs is told by its pid. A container that shares the cache counts its own pids, so it keeps its own account.
LIVE=$CACHE
pids=$(stat --dereference --format=%i /proc/self/ns/pid)
[[ $pids == 4026531836 ]] || LIVE=$CACHE/in-$pids # the number of the first namespace, in any kernel

# Whatever the script itself has to say goes to stderr: stdout belongs to the command that runs in the machine.
say() { printf '%s\n' "$BOLD$*$PLAIN" >&2; }
note() { printf '%s\n' "$DIM$*$PLAIN" >&2; }
warn() { printf '%s\n' "${RED}warning:$PLAIN $*" >&2; }

fail() {
        printf '%s\n' "${RED}test/machine:$PLAIN $*" >&2
        exit 1
}

# interruptible CMD…: in a process of its own, so that a signal to this script is heeded at once and not when CMD is done.
interruptible() {
        local status=0
        "$@" <&0 &
        FOREGROUND=$!
        wait $FOREGROUND || status=$?
        FOREGROUND=
        return $status
}

# step WHAT CMD…: runs a long command quietly, says how long it took, and shows its output if it fails.
step() {
        local what=$1 begin=$SECONDS
        shift
        note "$what ..."
        if interruptible "$@" >"$TMP/step" 2>&1 </dev/null; then
                note "$what: done, $((SECONDS - begin)) s"
        else
                tail -n 100 "$TMP/step" >&2
                fail "$what: failed after $((SECONDS - begin)) s (the end of its output is above)"
        fi
}

# kill_below PID: a process and all that it started.
kill_below() {
        local child children=()
        read -r -a children <"/proc/$1/task/$1/children" || :
        kill -KILL "$1" || :
        for child in "${children[@]}"; do
                kill_below "$child"
        done
} 2>/dev/null

# started PID: when that process began. A pid with its start time names a process for good; a pid alone is used again.
started() {
        local stat
        { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
        stat=${stat##*) }
        # shellcheck disable=SC2086 # the fields are wanted apart
        set -- $stat
        [[ $1 != Z ]] || return 1
        echo "${20}"
}

# remember FILE PID, alive FILE: a process noted in a file, and whether it still is there.
remember() {
        echo "$2 $(started "$2")" >"$1"
}

alive() {
        local pid start
        { read -r pid start <"$1"; } 2>/dev/null || return 1
        [[ $(started "$pid") == "$start" ]]
}

# locked FILE CMD…: runs a command while it is the only one to hold the lock.
locked() {
        local file=$1 fd status=0
        shift
        exec {fd}>"$file"
        if ! flock --nonblock "$fd"; then
                note "waiting for another run to finish (lock $file) ..."
                flock "$fd"
        fi
        "$@" || status=$?
        exec {fd}>&-
        return $status
}

need_root() {
        ((EUID == 0)) || fail "needs root (namespaces, mounts, chroot): try sudo $0"
}

prepare_host() {
        local missing=() pair command package
        need_root
        for pair in debootstrap:debootstrap systemd-nspawn:systemd-container setpriv:util-linux unshare:util-linux \
                flock:util-linux tar:tar; do
                command=${pair%:*} package=${pair#*:}
                command -v "$command" >/dev/null || missing+=("$package")
        done

        if ((${#missing[@]})); then
                command -v apt-get >/dev/null ||
                        fail "this host lacks ${missing[*]} (Debian's package names): please install them"
                [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
                step "installing on the host: ${missing[*]}" host_install "${missing[@]}"
        fi
}

host_install() {
        export DEBIAN_FRONTEND=noninteractive
        apt-get update && apt-get install -y --no-install-recommends "$@"
}

in_use() {
        local pid=${1##*/}
        [[ $(started "${pid%-*}") == "${pid#*-}" ]]
}

prepare_cache() {
        local free stale
        mkdir -p "$CACHE"/{roots,layers,debs,locks} "$LIVE"/{tmp,machines}
        [[ $CACHE != *[:,\\]* ]] || fail "$CACHE: overlayfs cannot take a path with a colon, comma or backslash"

        # One directory for all that this process needs for a while, named so that one left behind can be told.
        TMP=$LIVE/tmp/$$-$(started $$)
        mkdir "$TMP"
        for stale in "$LIVE"/tmp/*; do
                in_use "$stale" || rm -rf --one-file-system "$stale"
        done

        free=$(df --output=avail --block-size=1M "$CACHE" | tail -n 1)
        ((free >= 3000)) ||
                warn "only $free MB free in $CACHE; a root with room to work takes about 3000 MB" \
                        "(POSTD_MACHINE_CACHE= names another place)"
}
