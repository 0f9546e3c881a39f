# SPDX-License-Identifier: LGPL-2.1-or-later
"""The offline directory: what pickup takes over, what it refuses, and that nobody can keep another's mail waiting."""

import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time
import uuid

import pytest

from conftest import run, wait_until
from test_sendmail import OFFLINE, Receiver, world  # noqa: F401 (a fixture)

PICKED_UP = "24592e081f9f423fa7d70a2ed0bf75c3"
REFUSED = "cc4bcdbf655a4e97a99e52f153bc3927"


def offline_file(directory, owner, recipients=("alice",), message="Subject: x\n\nHello.\n", sender="bob", **changes):
    """A file as sendmail writes it; changes of "name", "fields", "size", "mode"."""
    values = [("token", uuid.uuid4().hex), ("sender", sender), ("body", "7BIT"), *(("recipient", r) for r in recipients)]
    fields = changes.get("fields", "".join(f"{n} {len(v)}:{v}\n" for n, v in values))
    content = f"postd-offline 1 {len(fields):010} {changes.get('size', len(message)):020}\n{fields}{message}"
    path = pathlib.Path(directory) / changes.get("name", uuid.uuid4().hex)
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(content)
    shutil.chown(temporary, owner, "postd-offline")
    temporary.chmod(changes.get("mode", 0o640))
    temporary.rename(path)
    return path


@pytest.fixture
def pickup(world):  # noqa: F811
    """A running postd-pickup that sees the world's directories; pickup() starts it, once the receiver is there."""
    started = []

    def start(**say):
        r = Receiver(world.run_dir, "inject", **say)
        r.capabilities = (*Receiver.capabilities, "XPOSTDORIGIN")
        world.receiver = r
        script = f'mount --bind "$1" /run/postd; mount --bind "$2" {OFFLINE}; exec setpriv --reuid=postd-pickup '
        script += "--regid=postd-pickup --groups=$(getent group postd-offline | cut -d: -f3) /usr/lib/postd/postd-pickup"
        argv = ("unshare", "--mount", "sh", "-ec", script, "sh", world.run_dir, world.offline)
        with open(start.log, "wb") as log:
            started.append(subprocess.Popen(argv, stderr=log))
        return r

    start.world = world
    start.log = world.run_dir.parent / "log"
    start.processes = started
    yield start
    for p in started:
        p.terminate()
        p.wait(timeout=10)


def subjects(receiver):
    return [m.partition(b"\r\n")[0].decode().removeprefix("Subject: ") for m in receiver.messages]


def test_envelope(pickup):
    offline_file(pickup.world.offline, "bob", ("alice", "carol@example.com"), "Subject: x\n\n.dot\nlast")
    r = pickup()
    wait_until(lambda: r.messages)
    mail, *rcpts = r.envelopes[0]
    assert mail.startswith("MAIL FROM:<bob> ") and f"XPOSTDORIGIN={pwd.getpwnam('bob').pw_uid}" in mail
    assert "XPOSTDTOKEN=" in mail
    assert rcpts == ["RCPT TO:<alice>", "RCPT TO:<carol@example.com>"]
    assert r.messages == [b"Subject: x\r\n\r\n.dot\r\nlast\r\n"]
    wait_until(lambda: not list(pickup.world.offline.iterdir()))


def test_ends_when_nothing_is_left(pickup):
    pickup()
    assert pickup.processes[0].wait(timeout=20) == 0


def test_new_files_are_seen_at_once(pickup):
    r = pickup()
    for n in range(3):
        time.sleep(0.5)
        offline_file(pickup.world.offline, "bob", message=f"Subject: {n}\n\n")
        wait_until(lambda n=n: len(r.messages) == n + 1, timeout=2)


# What is no message is set aside, once, and with an event.


def entry_directory(d):
    (d / "entry").mkdir()
    (d / "entry" / "file").touch()


def entry_fifo(d):
    os.mkfifo(d / "entry", 0o666)


def entry_symlink(d):
    offline_file(d, "bob", name=".target")
    (d / "entry").symlink_to(".target")


def entry_dangling_symlink(d):
    (d / "entry").symlink_to("nowhere")


def entry_hard_link(d):
    offline_file(d, "bob", name="entry")
    os.link(d / "entry", d / ".other")


def entry_socket(d):
    socket.socket(socket.AF_UNIX).bind(str(d / "entry"))


def entry_device(d):
    os.mknod(d / "entry", 0o020666, os.makedev(1, 5))


def entry_empty(d):
    (d / "entry").touch(0o644)


def entry_junk(d):
    (d / "entry").write_bytes(os.urandom(100000))
    (d / "entry").chmod(0o644)


def entry_sparse(d):
    with open(d / "entry", "wb") as f:
        f.truncate(1 << 40)
    (d / "entry").chmod(0o644)


def entry_size_too_large(d):
    offline_file(d, "bob", name="entry", size=1 << 62)


def entry_cut(d):
    offline_file(d, "bob", name="entry", size=30)


def entry_unreadable(d):
    offline_file(d, "bob", name="entry", mode=0o600)


def entry_no_recipient(d):
    offline_file(d, "bob", (), name="entry")


def entry_long_name(d):
    (d / ("entry" * 51)).write_text("junk")


@pytest.mark.parametrize("make", [f for n, f in sorted(globals().items()) if n.startswith("entry_")], ids=lambda f: f.__name__[6:])
def test_refused(pickup, make):
    d = pickup.world.offline
    make(d)
    r = pickup()
    wait_until(lambda: not pickup.world.files(), timeout=5)
    offline_file(d, "bob")
    wait_until(lambda: r.messages)
    assert len(r.messages) == 1, "it was sent"
    assert [p for p in d.iterdir() if p.name.startswith(".refused-")]
    assert "was refused" in pickup.log.read_text()


def test_message_is_refused(pickup):
    """The sender hears of it, and the file is kept aside."""
    offline_file(pickup.world.offline, "bob", ("alice", "carol"))
    r = pickup(MAIL=lambda line: "552 5.3.4 too large" if "<bob>" in line else None)
    wait_until(lambda: r.messages)
    assert r.envelopes[1][0].startswith("MAIL FROM:<> ") and r.envelopes[1][1].startswith("RCPT TO:<bob>")
    report = r.messages[0].decode()
    assert "Final-Recipient: rfc822; alice\r\n" in report and "Final-Recipient: rfc822; carol\r\n" in report
    assert "Status: 5.3.4\r\n" in report and "Subject: x\r\n" in report and "Hello" not in report
    wait_until(lambda: not pickup.world.files())
    assert len([p for p in pickup.world.offline.iterdir() if p.name.startswith(".refused-")]) == 1


def test_some_recipients_are_refused(pickup):
    offline_file(pickup.world.offline, "bob", ("alice", "nobody"))
    r = pickup(RCPT=lambda line: "550 5.1.1 No such user" if "nobody" in line else None)
    wait_until(lambda: len(r.messages) == 2)
    report = r.messages[1].decode()
    assert "Final-Recipient: rfc822; nobody\r\n" in report and "alice" not in report.replace("To: alice", "")
    wait_until(lambda: not list(pickup.world.offline.iterdir()))


def test_no_report_about_a_report(pickup):
    offline_file(pickup.world.offline, "bob", sender="")
    r = pickup(RCPT="550 5.1.1 no")
    wait_until(lambda: not pickup.world.files())
    assert r.messages == []


# Trouble that passes: everything stays and is tried again, under the same token.

TROUBLE = {
    "greeting": "421 4.3.2 no",
    "MAIL": "452 4.3.1 disk full",
    "RCPT": "451 4.3.0 later",
    "DATA": "451 4.3.0 later",
    ".": "451 4.3.0 later",
}


@pytest.mark.parametrize("verb", TROUBLE)
@pytest.mark.parametrize("how", ["later", "close"])
def test_trouble_passes(pickup, verb, how):
    offline_file(pickup.world.offline, "bob")
    r = pickup(**{verb: TROUBLE[verb] if how == "later" else "close"})
    time.sleep(2)
    assert len(pickup.world.files()) == 1
    before = len(r.messages)
    r.say = {}
    wait_until(lambda: len(r.messages) > before, timeout=30)
    wait_until(lambda: not list(pickup.world.offline.iterdir()))
    tokens = {line.split("XPOSTDTOKEN=")[1].split()[0] for e in r.envelopes for line in e if "XPOSTDTOKEN" in line}
    assert len(tokens) == 1


def test_a_recipient_that_comes_later_keeps_the_message(pickup):
    """Or the others would get a second copy."""
    offline_file(pickup.world.offline, "bob", ("alice", "carol"))
    r = pickup(RCPT=lambda line: "451 4.3.0 later" if "carol" in line else None)
    time.sleep(2)
    assert r.messages == [] and len(pickup.world.files()) == 1
    r.say = {}
    wait_until(lambda: len(r.messages) == 1, timeout=30)


def test_nothing_without_the_origin(pickup):
    """A receiver that cannot be told whose message it is gets none."""
    offline_file(pickup.world.offline, "bob")
    r = pickup()
    r.capabilities = Receiver.capabilities
    time.sleep(2)
    # It may have been faster than this line, but then it told the origin.
    assert all("XPOSTDORIGIN=" in e[0] for e in r.envelopes)


def test_killed_in_between(pickup):
    """Killed before the answer: the same token again."""
    offline_file(pickup.world.offline, "bob")
    r = pickup(**{".": "hang"})
    wait_until(lambda: r.messages)
    pickup.processes[0].kill()
    pickup.processes[0].wait()
    r.close()
    again = pickup()
    wait_until(lambda: again.messages)
    assert r.envelopes[0][0] == again.envelopes[0][0]


# Nobody waits for another.


def test_fair(pickup):
    """Thousands of one user, some of them large; the other's only message is among the first."""
    d = pickup.world.offline
    for n in range(2000):
        offline_file(d, "bob", message=f"Subject: {n}\n\n" + ("x" * 70 + "\n") * (10000 if n % 100 == 0 else 1))
    r = pickup()
    wait_until(lambda: len(r.messages) > 10)
    offline_file(d, "carol", message="Subject: other\n\n")
    offline_file(d, "carol", message="Subject: other\n\n")
    wait_until(lambda: subjects(r).count("other") == 2, timeout=60)
    assert len(r.messages) < 2000
    # And everything comes, once.
    wait_until(lambda: not pickup.world.files(), timeout=120)
    assert sorted(int(s) for s in subjects(r) if s != "other") == list(range(2000))


def test_hundred_thousand_files(pickup):
    d = pickup.world.offline
    fields = "token 32:%032x\nsender 3:bob\nrecipient 5:alice\n"
    uid, gid = pwd.getpwnam("bob").pw_uid, d.stat().st_gid
    message = "Subject: many\n\n"
    for n in range(1, 100001):
        text = fields % n
        with open(d / f"{n}", "w", opener=lambda p, f: os.open(p, f, 0o640)) as f:
            f.write(f"postd-offline 1 {len(text):010} {len(message):020}\n{text}{message}")
            os.fchown(f.fileno(), uid, gid)
    start = time.monotonic()
    r = pickup()
    wait_until(lambda: len(r.messages) > 10, timeout=60)
    offline_file(d, "carol", message="Subject: other\n\n")
    wait_until(lambda: "other" in subjects(r), timeout=60)
    assert time.monotonic() - start < 60
    assert len(r.messages) < 100000


# The units.


def test_units_wake_and_rest(users):
    """An entry that nobody can remove does not start the service again and again."""
    d = pathlib.Path(OFFLINE)
    for p in d.iterdir():
        shutil.rmtree(p) if p.is_dir() else p.unlink()
    run("systemctl", "stop", "postd-pickup.service")
    bad = d / "not-a-message"
    bad.mkdir()
    (bad / "file").touch()
    shutil.chown(bad, "bob")
    try:
        wait_until(lambda: not bad.exists(), timeout=20)
        wait_until(
            lambda: run("systemctl", "is-active", "postd-pickup.service", check=False).stdout.strip() == "inactive", timeout=60
        )
        time.sleep(2)
        assert run("systemctl", "is-active", "postd-pickup.service", check=False).stdout.strip() == "inactive"
        assert run("systemctl", "is-active", "postd-pickup.path").stdout.strip() == "active"
    finally:
        for p in d.glob(".refused-not-a-message*"):
            shutil.rmtree(p)


def test_exposure():
    out = run("systemd-analyze", "security", "--no-pager", "postd-pickup.service").stdout
    assert float(out.split("Overall exposure level for postd-pickup.service: ")[1].split()[0]) <= 0.6
