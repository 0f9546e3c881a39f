# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everybody who calls sendmail(1), as they call it, in every sandbox that units put them into.

The commands are those of Debian's packages and of programs in the field.
"""

import os
import pathlib
import subprocess
import textwrap
import uuid

import pytest

from conftest import run, wait_until

# The caller, its command line ("{rcpt}" is the recipient, "{user}" the caller's address), and whether the recipient
# stands in the header.
CALLERS = {
    "cron": "/usr/sbin/sendmail -FCronDaemon -i -B8BITMIME -oem {rcpt}",
    "cronie": "/usr/sbin/sendmail -FCronDaemon -i -odi -oem -oi -t -f {user}",
    "cronie-1.7.0": "/usr/sbin/sendmail -FCronDaemon -i -odi -oem -oi -t -f <>",
    "bcron": "/usr/sbin/sendmail -FCronDaemon -i -odi -oem -t",
    "anacron": "/usr/sbin/sendmail -FAnacron -odi {rcpt}",
    "systemd-cron": "/usr/sbin/sendmail -i -B8BITMIME {rcpt}",
    "at": "/usr/sbin/sendmail -i {rcpt}",
    "mdadm": "/usr/sbin/sendmail -t",
    "unattended-upgrades": "/usr/sbin/sendmail -oi -t",
    "cron-apt": "/usr/sbin/sendmail -t -oi",
    "rkhunter": "/usr/sbin/sendmail {rcpt}",
    "fail2ban": "/usr/sbin/sendmail -f {user} {rcpt}",
    "php": "/usr/sbin/sendmail -t -i",
    "php-with-sender": "/usr/sbin/sendmail -t -i -f{user}",
    "git-send-email": "/usr/lib/sendmail -f {user} -i {rcpt}",
    "post-receive-email": "/usr/sbin/sendmail -t -f {user}",
    "mutt": "/usr/sbin/sendmail -oem -oi -f {user} -B8BITMIME -N failure,delay -R hdrs -- {rcpt}",
    "mutt-never": "/usr/sbin/sendmail -oem -oi -N never -- {rcpt}",
    "bsd-mailx": "/usr/sbin/sendmail -i -m -v -f {user} {rcpt}",
    "s-nail": "/usr/sbin/sendmail -i -m -v -f {user} -F Joe -- {rcpt}",
    "mailutils": "/usr/sbin/sendmail -oi -f {user} -t",
    "inn": "/usr/sbin/sendmail -odq {rcpt}",
    "lsb": "/usr/sbin/sendmail -bm -odb -odf -odi -odq -oep -oi -om {rcpt}",
    "separate-arguments": "/usr/sbin/sendmail -o i -B 7BIT -F Joe -f {user} -O DeliveryMode=b -X /dev/null {rcpt}",
}

# What units do to callers, singly.
SANDBOXES = {
    "none": {},
    "dynamic-user": {"DynamicUser": "yes"},
    "no-new-privileges": {"User": "bob", "NoNewPrivileges": "yes"},
    "protect-system": {"User": "bob", "ProtectSystem": "strict"},
    "private-network": {"User": "bob", "PrivateNetwork": "yes"},
    "address-families": {"User": "bob", "RestrictAddressFamilies": "AF_UNIX"},
    "protect-home": {"User": "bob", "ProtectHome": "yes"},
    "private-users": {"User": "bob", "PrivateUsers": "yes"},
    "private-tmp": {"User": "bob", "PrivateTmp": "yes"},
    "private-devices": {"User": "bob", "PrivateDevices": "yes"},
    "private-pids": {"User": "bob", "PrivatePIDs": "yes"},
    "protect-proc": {"User": "bob", "ProtectProc": "invisible", "ProcSubset": "pid"},
    "no-proc": {"User": "bob", "InaccessiblePaths": "/proc"},
    "no-tmp": {"User": "bob", "InaccessiblePaths": "/tmp /var/tmp /dev/shm"},
    "no-name-service": {"User": "bob", "InaccessiblePaths": "/etc/passwd /etc/nsswitch.conf /run/systemd/userdb"},
    "system-calls": {"User": "bob", "SystemCallFilter": "@system-service"},
    "write-execute": {"User": "bob", "MemoryDenyWriteExecute": "yes"},
    "capabilities": {"User": "bob", "CapabilityBoundingSet": ""},
    "umask": {"User": "bob", "UMask": "0777"},
    "few-files": {"User": "bob", "LimitNOFILE": "5"},
}
COMBINED = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "PrivateNetwork": "yes",
    "RestrictAddressFamilies": "AF_UNIX",
    "ProtectHome": "yes",
    "PrivateUsers": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "CapabilityBoundingSet": "",
    "MemoryDenyWriteExecute": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "SystemCallFilter": "@system-service",
    "UMask": "0077",
}


def command(caller, rcpt="alice", user="bob"):
    return [word.format(rcpt=rcpt, user=user) for word in CALLERS[caller].split()]


def message(subject):
    return f"To: alice\nSubject: {subject}\n\nHello.\n"


def arrived(box, subject):
    return wait_until(
        lambda: [m for m in box.messages() if m["Subject"] == subject], timeout=30, what=f"message {subject}"
    )


@pytest.mark.parametrize("caller", CALLERS)
def test_invocation(caller, mailbox):
    subject = f"{caller} {uuid.uuid4()}"
    box = mailbox("alice")
    run(*command(caller), user="bob", input=message(subject))
    found = arrived(box, subject)
    assert len(found) == 1
    assert found[0]["Date"] and found[0]["Message-ID"]
    assert "alice@" in found[0]["To"]
    if caller != "cronie-1.7.0":
        assert "bob@" in found[0]["From"]


@pytest.mark.parametrize("sandbox", [*SANDBOXES, "combined"])
def test_sandbox(sandbox, mailbox, systemd_run):
    """Each directive singly and all combined, for a caller that names the recipient and one that does not."""
    properties = SANDBOXES.get(sandbox, COMBINED)
    box = mailbox("alice")
    for caller in ("cron", "php"):
        subject = f"{sandbox} {uuid.uuid4()}"
        systemd_run(properties, *command(caller), input=message(subject))
        assert len(arrived(box, subject)) == 1


def test_all_invocations_combined(mailbox, systemd_run, tmp_path):
    """Every invocation in the strictest sandbox."""
    box = mailbox("alice")
    tag = str(uuid.uuid4())
    for caller in CALLERS:
        systemd_run(COMBINED, *command(caller), input=message(f"{caller} {tag}"))
    wait_until(lambda: len([m for m in box.messages() if tag in m["Subject"]]) >= len(CALLERS), timeout=60)
    subjects = sorted(m["Subject"] for m in box.messages() if tag in m["Subject"])
    assert subjects == sorted(f"{caller} {tag}" for caller in CALLERS)


def test_unnamed_uid_has_a_name(mailbox):
    box = mailbox("alice")
    subject = str(uuid.uuid4())
    unnamed = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups")
    run(*unnamed, "sendmail", "alice", input=f"Subject: {subject}\n\n")
    assert "uid-54321@" in arrived(box, subject)[0]["From"]


@pytest.mark.parametrize(
    "properties",
    [
        {"RestrictAddressFamilies": "AF_INET", "InaccessiblePaths": "/var/spool/postd-offline"},
        {"InaccessiblePaths": "/run/postd /var/spool/postd-offline"},
        {"DynamicUser": "yes", "InaccessiblePaths": "/run/postd"},
    ],
    ids=["no-unix-sockets", "no-run", "read-only-and-no-run"],
)
def test_honest_failures(properties, systemd_run, users):
    """Neither socket nor directory: status 75 and a reason, at once."""
    done = systemd_run(properties, "sendmail", "alice", input="Subject: x\n\n", check=False, timeout=20)
    assert done.returncode == 75
    assert "not accepted" in done.stderr


# Real callers.


def subject_in_mailbox(box, predicate, timeout=90):
    return wait_until(lambda: [m for m in box.messages() if predicate(m)], timeout=timeout, what="the caller's message")


def test_cron(mailbox, users):
    box = mailbox("bob")
    tag = uuid.uuid4().hex
    run("systemctl", "start", "cron.service")
    try:
        run("crontab", "-u", "bob", "-", input=f"* * * * * echo {tag}\n")
        found = subject_in_mailbox(box, lambda m: tag in m.as_string())
        assert "Cron" in found[0]["Subject"] and "bob@" in found[0]["To"] and found[0]["X-Cron-Env"]
    finally:
        run("crontab", "-u", "bob", "-r", check=False)


def test_at(mailbox, users):
    box = mailbox("bob")
    tag = uuid.uuid4().hex
    run("systemctl", "start", "atd.service")
    run("at", "-M", "now", input="true\n", user="bob", check=False)
    run("at", "-m", "now", input=f"echo {tag}\n", user="bob", cwd="/")
    found = subject_in_mailbox(box, lambda m: tag in m.as_string())
    assert "Output from your job" in found[0]["Subject"]


@pytest.mark.parametrize("program", ["bsd-mailx", "s-nail"])
def test_mail_user_agents(program, mailbox, users):
    box = mailbox("alice")
    tag = uuid.uuid4().hex
    run(program, "-s", tag, "alice", user="bob", input="Hello.\n", cwd="/", env={**os.environ, "MAILRC": "/dev/null"})
    found = arrived(box, tag)
    assert "bob@" in found[0]["From"]


def test_mutt(mailbox, users):
    box = mailbox("alice")
    tag = uuid.uuid4().hex
    run("mutt", "-n", "-F", "/dev/null", "-s", tag, "alice", user="bob", input="Hello.\n", cwd="/home/bob")
    assert len(arrived(box, tag)) == 1


def test_git_send_email(mailbox, users, tmp_path):
    if subprocess.run(["perl", "-MMail::Address", "-e1"], capture_output=True, check=False).returncode != 0:
        pytest.skip("git send-email is not in the machine (MACHINE_PACKAGES='git-email libmailtools-perl')")
    box = mailbox("alice")
    tag = uuid.uuid4().hex
    patch = pathlib.Path("/tmp") / f"{tag}.patch"
    patch.write_text(
        textwrap.dedent(f"""\
        From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
        From: Bob <bob@example.com>
        Date: Sat, 21 Nov 2026 12:00:00 +0000
        Subject: [PATCH] {tag}

        ---
        """)
    )
    patch.chmod(0o644)
    try:
        run(
            *("env", "EMAIL=bob@example.com", "GIT_COMMITTER_NAME=Bob", "GIT_AUTHOR_NAME=Bob", "git", "send-email", "--quiet"),
            *("--confirm=never", "--suppress-cc=all", "--from=bob@example.com", "--to=alice", str(patch)),
            user="bob",
            cwd="/home/bob",
        )
        found = wait_until(lambda: [m for m in box.messages() if tag in m["Subject"]], timeout=30)
        assert "bob@example.com" in found[0]["From"]
    finally:
        patch.unlink()


def test_sudo_like_popen(mailbox, users):
    """A caller that closes everything but standard input, with no environment at all."""
    box = mailbox("alice")
    tag = uuid.uuid4().hex
    run("env", "-i", "/bin/sh", "-c", "exec /usr/sbin/sendmail -t >&- 2>&-", user="bob", input=message(tag))
    assert len(arrived(box, tag)) == 1
