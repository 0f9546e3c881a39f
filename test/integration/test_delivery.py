# SPDX-License-Identifier: LGPL-2.1-or-later
"""Delivery into mailboxes and maildirs, through real sessions of real users."""

import contextlib
import fcntl
import mailbox as mailboxes
import os
import pathlib
import random
import shutil
import subprocess
import threading
import time

import pytest

from conftest import run, wait_until
from sessions import Session, VarlinkError, deliver, letter, memfd, queue_id

MAIL = pathlib.Path("/var/mail")


def statuses(results):
    return [(r["result"], r["status"]) for r in results]


def well_formed(path):
    """The subjects of an mbox, after a look at its form: every message begins behind an empty line and ends with one."""
    data = pathlib.Path(path).read_bytes()
    assert data == b"" or (data.startswith(b"From ") and data.endswith(b"\n\n"))
    box = mailboxes.mbox(path, create=False)
    try:
        messages = [message["Subject"] for message in box]
    finally:
        box.close()
    assert data.count(b"\n\nFrom ") + data.startswith(b"From ") == len(messages)
    return messages


def mail(subject, size=0):
    line = b"0123456789" * 7 + b"\r\n"
    return letter(f"Subject: {subject}\r\n\r\n".encode() + line * (size // len(line)) + b"end\r\n")


def repeated(item):
    return {**item, "recipients": [{**recipient, "repeated": True} for recipient in item["recipients"]]}


@contextlib.contextmanager
def small(where, options):
    """A file system of 2 MB, as full as it gets soon."""
    run("mount", "-t", "tmpfs", "-o", f"size=2M,{options}", "tmpfs", where)
    try:
        yield
    finally:
        run("umount", "--lazy", where)


@pytest.fixture
def maildir(users):
    path = pathlib.Path("/home/alice/Maildir")
    shutil.rmtree(path, ignore_errors=True)
    return path


def test_mailbox(users, mailbox):
    item = letter(b"Subject: x\r\n\r\nFrom me\r\n", recipients=[{"index": 3, "address": "alice@x", "prepend": "Return-Path: <s@e>\r\nDelivered-To: alice\r\n"}])
    (result,) = deliver("alice", item)
    assert result == {"id": item["id"], "recipient": 3, "result": "delivered", "status": "2.0.0", "text": "/var/mail/alice"}
    path = MAIL / "alice"
    lines = path.read_text().splitlines()
    assert lines[0].startswith("From sender@example.org ") and lines[1:] == ["Return-Path: <s@e>", "Delivered-To: alice", "Subject: x", "", ">From me", ""]
    info = path.stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == (users["alice"].pw_uid, MAIL.stat().st_gid, 0o660)
    assert list(MAIL.glob("*.lock")) == []


def test_new_mail_is_seen(users, mailbox):
    """A shell's "you have new mail" goes by mtime later than atime, also after the mailbox was read."""
    for _ in range(3):
        deliver("alice", letter())
        info = (MAIL / "alice").stat()
        assert info.st_mtime_ns > info.st_atime_ns
        run("cat", "/var/mail/alice", user="alice")
        assert (MAIL / "alice").stat().st_atime_ns >= info.st_mtime_ns
        time.sleep(0.02)


def test_root_mail(users, mailbox):
    deliver("postd-root", letter())
    assert (MAIL / "root").owner() == "postd-root" and well_formed(MAIL / "root") == ["test"]
    # A mailbox that root has from another MTA.
    shutil.chown(MAIL / "root", "root", "mail")
    assert statuses(deliver("postd-root", letter())) == [("delivered", "2.0.0")]
    assert well_formed(MAIL / "root") == ["test"] * 2
    (MAIL / "root").unlink()


def test_many_messages(users, mailbox):
    items = [mail(f"number {i}") for i in range(200)]
    with Session("alice") as session:
        assert statuses(session.deliver(*items)) == [("delivered", "2.0.0")] * 200
        assert statuses(session.deliver(*items[:3])) == [("delivered", "2.0.0")] * 3
        session.end()
    assert well_formed(MAIL / "alice") == [f"number {i}" for i in [*range(200), 0, 1, 2]]


def test_sender_text(users, mailbox):
    senders = ["", '"a b"@example.org', "a\r\nFrom x@y Thu", "ü@example.org", "a" * 5000, "\x01\x7f"]
    assert statuses(deliver("alice", *[letter(sender=sender) for sender in senders])) == [("delivered", "2.0.0")] * len(senders)
    assert well_formed(MAIL / "alice") == ["test"] * len(senders)


def test_descriptors(users, mailbox, tmp_path):
    """Contents that are not what the call says are deferred one by one."""
    pipe, end = os.pipe()
    os.close(end)
    directory = os.open("/", os.O_RDONLY)
    null = os.open("/dev/null", os.O_RDONLY)
    shorter, write_only = letter(size=10000), letter()
    write_only["bytes"] = os.open(tmp_path / "x", os.O_CREAT | os.O_WRONLY)
    os.write(write_only["bytes"], b"x" * 100)
    odd = [letter(bytes=fd) for fd in (pipe, directory, null)]
    with Session("alice") as session:
        results = session.deliver(letter(), shorter, *odd, write_only, letter())
        assert [r["result"] for r in results] == ["delivered", *["deferred"] * 5, "delivered"]
        assert {r["status"] for r in results if r["result"] == "deferred"} == {"4.3.0"}
        # An index without a descriptor, two messages with one.
        session.link.send("io.postd.Transport.Deliver", {"messages": [{**{k: v for k, v in letter().items() if k != "bytes"}, "content": 7}]}, more=True)
        assert statuses(session.results()) == [("deferred", "4.3.0")]
        same = [{**{k: v for k, v in letter().items() if k != "bytes"}, "content": 0} for _ in range(2)]
        fd = memfd(letter()["bytes"])
        session.link.send("io.postd.Transport.Deliver", {"messages": same}, more=True, fds=[fd])
        os.close(fd)
        assert [r["result"] for r in session.results()] == ["delivered", "deferred"]
    assert well_formed(MAIL / "alice") == ["test"] * 3


@pytest.mark.parametrize(
    "change",
    [{"id": "../../etc/passwd"}, {"id": ""}, {"arrival": -1}, {"arrival": "x"}, {"recipients": {}}, {"recipients": [{"index": -1, "address": ""}]},
     {"extra": 1}, {"sender": None}, {"size": -1}],
)
def test_bad_calls(users, mailbox, change):
    with Session("alice") as session:
        with pytest.raises(VarlinkError):
            session.deliver({**letter(), **change})
        assert statuses(session.deliver(letter())) == [("delivered", "2.0.0")]
        assert statuses(session.deliver()) == []
        session.end()
    assert well_formed(MAIL / "alice") == ["test"]


def test_repeated(users, mailbox):
    items = [mail(f"number {i}") for i in range(3)]
    deliver("alice", *items)
    assert statuses(deliver("alice", *map(repeated, items))) == [("delivered", "2.0.0")] * 3
    new = mail("new")
    assert statuses(deliver("alice", repeated(items[1]), new, repeated(mail("not there")))) == [("delivered", "2.0.0")] * 3
    assert well_formed(MAIL / "alice") == ["number 0", "number 1", "number 2", "new", "not there"]


def holder(script):
    process = subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("kind", ["fcntl", "dotlockfile"])
def test_locked(users, mailbox, kind):
    deliver("alice", letter())
    lock = MAIL / "alice.lock"

    def hold():
        if kind == "dotlockfile":
            run("dotlockfile", "-l", "-r", "0", str(lock))
            return lambda: run("dotlockfile", "-u", str(lock))
        process = holder("import fcntl,time\nf=open('/var/mail/alice','r+')\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint('held',flush=True)\ntime.sleep(60)")
        return process.kill

    # Given back in time: delivered. Held on: deferred, and nothing is left behind.
    release = hold()
    timer = threading.Timer(1.5, release)
    timer.start()
    began = time.monotonic()
    assert statuses(deliver("alice", letter())) == [("delivered", "2.0.0")]
    assert time.monotonic() - began > 1
    timer.join()
    release = hold()
    (result,) = deliver("alice", letter())
    assert (result["result"], result["status"]) == ("deferred", "4.2.0") and "locked" in result["text"]
    release()
    assert statuses(deliver("alice", letter())) == [("delivered", "2.0.0")]
    assert well_formed(MAIL / "alice") == ["test"] * 3 and not lock.exists()


def test_old_lock(users, mailbox):
    lock = MAIL / "alice.lock"
    lock.touch()
    os.utime(lock, (0, time.time() - 400))
    assert statuses(deliver("alice", letter())) == [("delivered", "2.0.0")]
    assert not lock.exists()


@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "hard link", "directory", "other owner", "socket"])
def test_odd_mailbox(users, mailbox, kind):
    path = MAIL / "alice"
    target = pathlib.Path("/home/alice/target")
    target.unlink(missing_ok=True)
    if kind == "symlink":
        target.touch()
        path.symlink_to(target)
    elif kind == "dangling":
        path.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "hard link":
        path.touch()
        os.link(path, MAIL / "second")
    elif kind == "directory":
        path.mkdir()
    elif kind == "other owner":
        path.touch()
        shutil.chown(path, "bob", "mail")
        path.chmod(0o660)
    elif kind == "socket":
        run("python3", "-c", f"import socket; socket.socket(socket.AF_UNIX).bind('{path}')")
    if kind not in ("other owner", "symlink", "dangling"):
        shutil.chown(path, "alice", "mail")
    try:
        (result,) = deliver("alice", letter())
        assert (result["result"], result["status"]) == ("deferred", "4.2.0") and "/var/mail/alice" in result["text"]
        assert not target.exists() or target.read_bytes() == b""
    finally:
        path.rmdir() if kind == "directory" else path.unlink()
        (MAIL / "second").unlink(missing_ok=True)
    assert statuses(deliver("alice", letter())) == [("delivered", "2.0.0")]


def test_mailbox_removed(users, mailbox):
    """A mail program that removes the empty mailbox while the session lingers."""
    with Session("alice") as session:
        session.deliver(letter())
        (MAIL / "alice").unlink()
        (result,) = session.deliver(letter())
        assert (result["result"], result["status"]) == ("deferred", "4.3.0") and "removed" in result["text"]
        assert session.wait_end(20)["result"] == "success"
    assert statuses(deliver("alice", letter())) == [("delivered", "2.0.0")]
    assert well_formed(MAIL / "alice") == ["test"]


def test_disk_full(users, mailbox):
    gid = MAIL.stat().st_gid
    with small("/var/mail", f"mode=2775,gid={gid}"):
        assert statuses(deliver("alice", mail("fits"))) == [("delivered", "2.0.0")]
        before = (MAIL / "alice").read_bytes()
        assert statuses(deliver("alice", mail("too large", 3 << 20))) == [("deferred", "4.3.1")]
        assert (MAIL / "alice").read_bytes() == before
        assert statuses(deliver("alice", mail("fits too"))) == [("delivered", "2.0.0")]
        assert well_formed(MAIL / "alice") == ["fits", "fits too"]


def test_no_inode_for_mailbox(users, mailbox):
    gid = MAIL.stat().st_gid
    with small("/var/mail", f"mode=2775,gid={gid},nr_inodes=1"):
        assert statuses(deliver("alice", letter())) == [("deferred", "4.3.1")]


def test_home_full(users, maildir):
    alice = users["alice"]
    with small("/home/alice", f"mode=0700,uid={alice.pw_uid},gid={alice.pw_gid}"):
        assert statuses(deliver("alice", mail("fits"), mail("too large", 3 << 20), kind="home")) == [("delivered", "2.0.0"), ("deferred", "4.3.1")]
        assert len(list(maildir.glob("new/*"))) == 1 and list(maildir.glob("tmp/*")) == []


def test_killed_while_writing(users, mailbox):
    """A session that dies at any moment leaves nothing that the next one does not put right."""
    size = 20 << 20
    expected = []
    for attempt in range(8):
        item = mail(f"large {attempt}", size)
        expected.append(f"large {attempt}")
        with Session("alice") as session:
            path = MAIL / "alice"
            wait_until(path.exists)
            before = path.stat().st_size
            session.send(item)
            # Some die before they have written anything, most in the middle, some when all is done.
            goal = before + random.choice([0, 1, size // 3, size // 2, size])
            deadline = time.monotonic() + 5
            while path.stat().st_size < goal and time.monotonic() < deadline:
                pass
            run("systemctl", "kill", "--signal=KILL", session.unit)
            assert session.wait_end()["result"] == "signal"
        assert statuses(deliver("alice", repeated(item), mail("after"))) == [("delivered", "2.0.0")] * 2
        expected.append("after")
        assert well_formed(MAIL / "alice") == expected


def test_maildir(users, maildir):
    item = letter(b"Subject: x\r\n\r\nFrom me\r\n", recipients=[{"index": 1, "address": "a@b", "prepend": "Return-Path: <s@e>\r\n"}])
    (result,) = deliver("alice", item, kind="home")
    assert result["result"] == "delivered"
    path = pathlib.Path(result["text"])
    assert path.parent == maildir / "new" and item["id"] in path.name
    assert path.read_text() == "Return-Path: <s@e>\nSubject: x\n\nFrom me\n"
    for directory in (maildir, *maildir.iterdir()):
        info = directory.stat()
        assert (info.st_uid, info.st_mode & 0o7777) == (users["alice"].pw_uid, 0o700)
    assert sorted(d.name for d in maildir.iterdir()) == ["cur", "new", "tmp"]


def test_maildir_repeated(users, maildir):
    items = [mail(f"number {i}") for i in range(3)]
    deliver("alice", *items, kind="home")
    (first, second, _) = sorted((maildir / "new").iterdir())
    second.rename(maildir / "cur" / (second.name + ":2,RS"))
    assert statuses(deliver("alice", *map(repeated, items), kind="home")) == [("delivered", "2.0.0")] * 3
    assert len(list((maildir / "new").iterdir())) == 2 and len(list((maildir / "cur").iterdir())) == 1


def test_maildir_killed(users, maildir):
    items = [mail(f"number {i}", 4 << 20) for i in range(5)]
    for _ in range(4):
        with Session("alice", "home") as session:
            session.send(*items)
            time.sleep(random.uniform(0, 0.2))
            run("systemctl", "kill", "--signal=KILL", session.unit)
            session.wait_end()
    assert statuses(deliver("alice", *map(repeated, items), kind="home")) == [("delivered", "2.0.0")] * 5
    box = mailboxes.Maildir(maildir, create=False)
    assert sorted(message["Subject"] for message in box) == [f"number {i}" for i in range(5)]
    whole = {items[i]["bytes"].replace(b"\r\n", b"\n") for i in range(5)}
    assert {box.get_bytes(key) for key in box.keys()} == whole and list(maildir.glob("tmp/*")) == []


@pytest.mark.parametrize("kind", ["link", "file", "link inside"])
def test_odd_maildir(users, maildir, kind):
    other = pathlib.Path("/home/alice/other")
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    shutil.chown(other, "alice", "alice")
    if kind == "link":
        maildir.symlink_to(other)
    elif kind == "file":
        maildir.touch()
    else:
        maildir.mkdir()
        shutil.chown(maildir, "alice", "alice")
        (maildir / "new").symlink_to(other)
    (result,) = deliver("alice", letter(), kind="home")
    assert (result["result"], result["status"]) == ("deferred", "4.2.0")
    assert list(other.iterdir()) == []
    maildir.unlink() if kind != "link inside" else shutil.rmtree(maildir)


def test_no_home(users):
    """A home that is not there yet, or not the user's, keeps mail waiting."""
    home = pathlib.Path("/home/dave")
    home.rename("/home/dave-away")
    try:
        (result,) = deliver("dave", letter(), kind="home")
        assert (result["result"], result["status"]) == ("deferred", "4.2.1") and "/home/dave" in result["text"]
        home.mkdir()
        (result,) = deliver("dave", letter(), kind="home")
        assert (result["result"], result["status"]) == ("deferred", "4.2.1")
        home.rmdir()
    finally:
        pathlib.Path("/home/dave-away").rename(home)
    assert statuses(deliver("dave", letter(), kind="home")) == [("delivered", "2.0.0")]


def test_linger(users, mailbox):
    """A session waits a while for more, then goes by itself."""
    with Session("alice") as session:
        session.deliver(letter())
        time.sleep(5)
        session.deliver(letter())
        began = time.monotonic()
        assert session.wait_end(30)["result"] == "success"
        assert 5 < time.monotonic() - began < 20


def test_junk_on_connection(users, mailbox):
    for data in (b"\0", b"nonsense\0", b"{" * 50000 + b"\0", b"\xff" * 100 + b"\0"):
        with Session("alice") as session:
            with contextlib.suppress(OSError):
                session.link.send_raw(data)
            session.end()
    assert statuses(deliver("alice", letter(id=queue_id()))) == [("delivered", "2.0.0")]
    wait_until(lambda: not (MAIL / "alice.lock").exists())
