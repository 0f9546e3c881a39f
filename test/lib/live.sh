# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Machines that run: each has a directory machines/NAME in the cache with its half of the overlay and these files:
#
#   owner        the process for whose sake it runs: this script for one run, the supervisor for one left running
#   supervisor   systemd-nspawn, and before that lib/boot, in the same process and in a mount namespace of its own
#   init         PID 1 of the machine
#   controllers  the cgroup controllers it has
#   console.log  what it wrote on its console
#
# A machine whose owner is gone is removed by the next run.

machine() { echo "$LIVE/machines/$1"; }

need_machine() {
        # shellcheck disable=SC2153 # set by test/machine
        alive "$(machine "$NAME")/init" || fail "no machine $NAME is running (test/machine up boots one)"
}

list_machines() {
        local dir
        for dir in "$LIVE"/machines/*; do
                ! alive "$dir/owner" || echo "${dir##*/}"
        done
}

forget_dead_machines() {
        local dir
        for dir in "$LIVE"/machines/*; do
                [[ -d $dir ]] || continue
                alive "$dir/owner" || kill_machine "${dir##*/}"
        done
}

# stage FILE: an archive of what "meson install" installs, as a package would be.
stage() {
        # shellcheck disable=SC2016 # expanded by the inner shell
        locked "$TREE/.machine/build.lock" in_root bash -c '
                set -e
                mkdir /var/tmp/stage
                meson install -C build --no-rebuild --quiet --destdir /var/tmp/stage >&2
                tar -C /var/tmp/stage -c .
        ' >"$1"
}

# start_machine NAME [KEEPER…]: boots a machine, returns when it is up. The keeper is a command that runs the supervisor.
start_machine() {
        local name=$1 dir lower new
        shift
        dir=$(machine "$name")

        # shellcheck disable=SC2086 # a list
        ensure_layer ${MACHINE_PACKAGES-}
        lower=${LAYER:+$LAYER:}$ROOT

        # Complete with its owner from the first moment, or another run would take it for a dead one.
        new=$TMP/machine
        mkdir -p "$new"/{upper,work,root}
        remember "$new/owner" $$
        [[ -n ${MACHINE_BARE-} ]] || interruptible stage "$new/tree.tar"
        mv -T "$new" "$dir" 2>/dev/null || fail "a machine $name exists already"

        note "booting the machine $name ..."
        "$@" setsid unshare --mount --propagation slave \
                "$LIB/boot" "$name" "$dir" "$lower" "$TREE" >"$dir/console.log" 2>&1 </dev/null &
        SUPERVISOR=$!
        remember "$dir/supervisor" $SUPERVISOR
        wait_for_boot "$dir"
}

wait_for_boot() {
        local dir=$1 begin=$SECONDS init='' state controllers
        until init=$(init_of "$SUPERVISOR"); do
                boot_goes_on "$dir" "$begin"
                sleep 0.05
        done
        remember "$dir/init" "$init"

        # Not at once: PID 1 answers only after its first steps.
        until state=$(nsenter -t "$init" -a /usr/bin/env -i systemctl is-system-running 2>/dev/null) ||
                [[ $state == degraded ]]; do
                boot_goes_on "$dir" "$begin"
                sleep 0.1
        done

        nsenter -t "$init" -a /usr/bin/env -i cat /sys/fs/cgroup/cgroup.controllers >"$dir/controllers"
        adopt_cgroup "$dir" "$init"
        controllers=$(<"$dir/controllers")
        note "the machine is up ($state) after $((SECONDS - begin)) s; cgroup controllers: ${controllers:-none}"

        if [[ $state == degraded ]]; then
                warn "units failed at boot:"
                nsenter -t "$init" -a /usr/bin/env -i systemctl --failed --no-legend --plain >&2
        fi
}

# Either the boot can still succeed, or this is the end.
boot_goes_on() {
        local dir=$1 begin=$2
        kill -0 "$SUPERVISOR" 2>/dev/null || { tail -n 40 "$dir/console.log" >&2; fail "the machine ended while it booted"; }
        ((SECONDS - begin < 120)) || { tail -n 40 "$dir/console.log" >&2; fail "the machine did not boot within 120 s"; }
}

# init_of PID: the process below PID that is PID 1 of a namespace of its own and has become systemd.
init_of() {
        local child children=() nspid
        { read -r -a children <"/proc/$1/task/$1/children"; } 2>/dev/null || :
        for child in "${children[@]}"; do
                nspid=$(sed -n 's/^NSpid:.*\t//p' "/proc/$child/status" 2>/dev/null) || continue
                [[ $nspid == 1 && $(cat "/proc/$child/comm" 2>/dev/null) == systemd ]] || continue
                echo "$child"
                return
        done
        return 1
}

# boot_transient: a machine that ends with this script.
boot_transient() {
        [[ -n ${MACHINE_BARE-} ]] || compile ''
        TRANSIENT=run-$$-$RANDOM
        start_machine "$TRANSIENT" setpriv --pdeathsig KILL
}

# Commands are to be inside the machine's part of the cgroup tree, as all processes of a real one are: there sd_pid_get_unit()
# has an answer for them. For that they need a group that systemd in the machine takes for a unit of someone else's.
adopt_cgroup() {
        local dir=$1 init=$2 mountpoint path
        mountpoint=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)
        path=$(sed -n 's/^0:://p' "/proc/$init/cgroup")
        mkdir -p "$mountpoint${path%/init.scope}/machine-exec.scope"
        echo "$mountpoint${path%/init.scope}/machine-exec.scope" >"$dir/cgroup"
}

# exec_in NAME CMD…: becomes a command in the machine, as root, in an environment that owes nothing to the host's.
exec_in() {
        local dir init _
        dir=$(machine "$1")
        shift
        read -r init _ <"$dir/init"
        echo "$BASHPID" >"$(<"$dir/cgroup")/cgroup.procs"
        exec nsenter -t "$init" -a /usr/bin/env -i --default-signal -C /root \
                PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root \
                SHELL=/bin/bash LANG=C.UTF-8 TERM="${TERM-dumb}" PYTHONDONTWRITEBYTECODE=1 \
                MACHINE_CONTROLLERS="$(<"$dir/controllers")" "$@"
}

# reinstall NAME: what a package's upgrade does.
reinstall() {
        local dir init _
        dir=$(machine "$1")
        read -r init _ <"$dir/init"
        interruptible stage "$dir/tree.tar"
        nsenter -t "$init" -a tar -C / -x --no-overwrite-dir --keep-directory-symlink <"$dir/tree.tar"
        # shellcheck disable=SC2046 # a list
        interruptible exec_in "$1" bash -s live $(tar -tf "$dir/tree.tar") <"$LIB/settle"
        note "installed into $1"
}

# stop_machine NAME: powers it off if it can, and removes it.
stop_machine() {
        local dir init='' _
        dir=$(machine "$1")
        if alive "$dir/init" && alive "$dir/supervisor"; then
                read -r init _ <"$dir/init"
                kill -s RTMIN+4 "$init" 2>/dev/null || : # systemd's signal for poweroff
                gone_within 40 "$dir/supervisor" || warn "$1 did not power off within 40 s (its console: $dir/console.log)"
        fi
        kill_machine "$1"
}

# kill_machine NAME: the machine is gone at once, and what it had on the host too.
kill_machine() {
        local dir pid _
        dir=$(machine "$1")
        [[ -d $dir ]] || return 0
        if alive "$dir/init"; then
                read -r pid _ <"$dir/init"
                kill -KILL "$pid" 2>/dev/null || :
                gone_within 5 "$dir/supervisor" || :
        fi
        if alive "$dir/supervisor"; then
                read -r pid _ <"$dir/supervisor"
                kill -KILL -- "-$pid" 2>/dev/null || : # its session: whatever it was about
                gone_within 5 "$dir/supervisor" || warn "process $pid of the machine $1 does not end"
        fi
        remove_cgroups "$1"
        # Its mounts ended with the supervisor's namespace.
        rm -rf --one-file-system "$dir"
}

gone_within() {
        local deadline=$((SECONDS + $1))
        while alive "$2"; do
                ((SECONDS < deadline)) || return 1
                sleep 0.05
        done
}

# Whatever is left in the machine's cgroups ends with them: killed while it starts, nspawn leaves its child behind.
remove_cgroups() {
        local cgroup try pids
        [[ ! -d /run/systemd/system ]] || systemctl kill --signal=KILL "postd-machine-$1.scope" 2>/dev/null || :
        for cgroup in /sys/fs/cgroup/postd-machine/"$1" /sys/fs/cgroup/{unified,systemd}/postd-machine/"$1"; do
                for ((try = 0; try < 50; try++)); do
                        [[ -d $cgroup ]] || break
                        mapfile -t pids < <(find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null)
                        ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null || :
                        find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null || :
                        [[ ! -d $cgroup ]] || sleep 0.1
                done
                rmdir --ignore-fail-on-non-empty "${cgroup%/*}" 2>/dev/null || :
        done
}
