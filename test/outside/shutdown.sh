#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Units that send mail when they are stopped lose none at shutdown. Some are stopped while postd still runs, some when PID 1
# accepts on its sockets and closes, some when they are gone; all messages are in the mailbox after the next boot, once.

set -euo pipefail

: "${MACHINE:?is the path of test/machine}"
name=shutdown-$$
run() { "$MACHINE" --name "$name" "$@"; }
units=12

spool=$(mktemp -d)
cleanup() {
        run down >/dev/null 2>&1 || true
        rm -rf "$spool"
}
trap cleanup EXIT

# The spools outlive the machine.
mkdir -p "$spool"/{postd,offline,mail}
export MACHINE_BIND="$spool:/srv/spool"

boot() {
        run up >/dev/null
        run exec bash -ec '
                systemctl stop postd.target "postd-*"
                chown postd:postd /srv/spool/postd && chmod 0700 /srv/spool/postd
                chown postd-pickup:postd-offline /srv/spool/offline && chmod 3733 /srv/spool/offline
                chown root:mail /srv/spool/mail && chmod 2775 /srv/spool/mail
                chmod 0755 /srv/spool
                mount --bind /srv/spool/postd /var/spool/postd
                mount --bind /srv/spool/offline /var/spool/postd-offline
                mount --bind /srv/spool/mail /var/mail
                id alice >/dev/null 2>&1 || useradd -m alice
                systemctl start sockets.target postd.target
        '
}

boot
# shellcheck disable=SC2016 # expanded in the machine
run exec bash -ec '
        for n in $(seq '"$units"'); do
                # Odd ones have no order at all and are stopped along with postd; even ones are the last to go.
                order=""
                ((n % 2)) || order="DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
RequiresMountsFor=/var/spool/postd-offline /srv/spool
Before=postd-smtpd@local.socket postd-smtpd@local.service postd-queued.service"
                cat >/run/systemd/system/last-words-$n.service <<END
[Unit]
Description=Sends mail when it is stopped
$order
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=true
ExecStop=sh -c "printf \"Subject: last words $n\\\\n\\\\n\" | sendmail alice; echo \$? >/srv/spool/status-$n"
END
        done
        systemctl daemon-reload
        for n in $(seq '"$units"'); do systemctl start last-words-$n.service; done
'
run down >/dev/null

boot
expected=$(for n in $(seq "$units"); do
        # A unit that was killed with the machine before it was stopped sent nothing and claims nothing.
        [[ ! -e $spool/status-$n ]] || [[ $(<"$spool/status-$n") != 0 ]] || echo "Subject: last words $n"
done | sort)
[[ $(wc -l <<<"$expected") -gt $((units / 2)) ]] || {
        echo "only these were sent: $expected"
        exit 1
}
found=
for _ in $(seq 60); do
        found=$(grep -h '^Subject: last words' "$spool/mail/alice" 2>/dev/null | sort || true)
        [[ $found != "$expected" ]] || break
        sleep 1
done
if [[ $found != "$expected" ]]; then
        diff <(echo "$expected") <(echo "$found") || true
        run exec journalctl -b -n 50 --no-pager -u 'postd*'
        exit 1
fi
echo "$(wc -l <<<"$expected") of $units units said their last words, and all of them arrived once"
