# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that is full: mail is refused for the time being, nothing is lost, and it goes on when there is room again."""

import os
import pathlib
import smtplib
import socket
import time

import pytest
from conftest import run, wait_until

SPOOL = pathlib.Path("/var/spool/postd")
OFFLINE = pathlib.Path("/var/spool/postd-offline")
CONFIG = pathlib.Path("/etc/postd/postd.conf.d/90-disk.conf")
FILLER = ".filler"  # a name that pickup does not look at


class Local(smtplib.SMTP):
    """smtplib over the local socket."""

    def _get_socket(self, host, port, timeout):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(30)
        sock.connect("/run/postd/local")
        return sock


def stop():
    run("systemctl", "stop", "postd-pickup.path", "postd-pickup.timer", "postd-pickup.service")
    run("systemctl", "stop", "postd-smtpd@local.service", "postd-queued.service", check=False)


def start():
    run("systemctl", "start", "postd-queued.service", "postd-pickup.path", "postd-pickup.timer")


def fill(directory, leave=0):
    """Takes all the room but so many bytes."""
    with open(directory / FILLER, "wb") as f:
        try:
            while True:
                os.write(f.fileno(), bytes(65536))
        except OSError:
            pass
        f.truncate(max(0, os.fstat(f.fileno()).st_size - leave))


@pytest.fixture
def small_disks(users):
    """The spool and the offline directory each on a small disk of its own."""
    stop()
    for path, size in ((SPOOL, "6M"), (OFFLINE, "1M")):
        st = path.stat()
        run("mount", "-t", "tmpfs", "-o", f"size={size},mode={st.st_mode & 0o7777:o},uid={st.st_uid},gid={st.st_gid}", "small", path)
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text("[Server]\nSpoolReserve=2M\n")
    start()
    yield
    stop()
    CONFIG.unlink()
    for path in (SPOOL, OFFLINE):
        run("umount", path)
    start()


def test_spool_below_the_reserve(small_disks, mailbox, sendmail, journal):
    sendmail("alice")
    mailbox("alice").wait()
    fill(SPOOL, leave=1 << 20)
    time.sleep(1.1)  # the queue manager looks once a second

    with Local("local") as client:
        client.ehlo()
        assert client.mail("root")[0] == 250
        code, text = client.rcpt("bob")  # what was said of alice may be remembered for a moment
        assert (code, text[:5]) == (452, b"4.3.1")

    # sendmail has another place; nothing is lost.
    sendmail("alice", message="Subject: kept elsewhere\n\nx\n")
    assert len(mailbox("alice").messages()) == 1

    (SPOOL / FILLER).unlink()
    run("systemctl", "restart", "postd-pickup.service")
    messages = mailbox("alice").wait(2, timeout=30)
    assert messages[1]["Subject"] == "kept elsewhere"
    assert not [path for path in OFFLINE.iterdir() if path.name != FILLER]


def test_no_room_anywhere(small_disks, mailbox):
    fill(SPOOL)
    fill(OFFLINE)
    done = run("/usr/sbin/sendmail", "-i", "alice", input="Subject: t\n\n" + "x" * 100000 + "\n", user="bob", check=False, timeout=15)
    assert done.returncode == os.EX_TEMPFAIL
    assert done.stderr.strip()
    for path in (SPOOL, OFFLINE):
        (path / FILLER).unlink()
    wait_until(lambda: run("/usr/sbin/sendmail", "-i", "alice", input="Subject: t\n\nx\n", user="bob", check=False).returncode == 0,
               what="a sendmail that works again")
    mailbox("alice").wait(timeout=30)


def test_disk_fills_while_mail_comes(small_disks, mailbox, postctl):
    """Whatever was accepted is there, and the results of deliveries have room even on a disk without any."""
    postctl("pause", "local")
    accepted = 0
    with Local("local") as client:
        for i in range(2000):
            try:
                client.sendmail("root@localhost", ["alice"], f"Subject: {i}\n\n{'x' * 4000}\n")
                accepted += 1
            except smtplib.SMTPException as e:
                assert b"452" in str(e).encode() or "452" in str(e), e
                break
    assert 100 < accepted < 2000
    fill(SPOOL)
    run("systemctl", "restart", "postd-queued.service")
    postctl("resume", "local")
    messages = mailbox("alice").wait(accepted, timeout=60)
    assert sorted(int(m["Subject"]) for m in messages) == list(range(accepted))
    wait_until(lambda: "No messages" in postctl("list").stdout or not postctl("list", "--no-legend").stdout, what="an empty queue")
