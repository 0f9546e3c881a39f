# SPDX-License-Identifier: LGPL-2.1-or-later
"""What somebody who has taken over one part finds in it, and what one user's clients do to the others' mail."""

import json
import os
import pathlib
import sys
import time

import pytest

from conftest import Mailbox, run, wait_until
from load import LOCAL
from queued import Queue, Receiver, failed_units, ids, queue, show, submit  # noqa: F401
from test_resilience_clients import client, most_files  # noqa: F401
from varlink import VarlinkError

WORST = 2.0


def receiver_is(name, script):
    """Runs Python as a receiver's user, with the socket that it may use; its output."""
    user = f"postd-smtpd-{name}"
    command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", sys.executable, "-B", "-c", script]
    return run(*command, check=False, timeout=60)


TAKEN_OVER = """
import os, socket, sys
found = []
def tried(path):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
        found.append(path)
    except OSError:
        pass
for name in os.listdir("/run/postd/submission"):
    tried("/run/postd/submission/" + name)
for path in ("/run/postd/inject", "/run/postd/io.postd.Spawn", "/run/postd/io.postd.Users"):
    tried(path)
def readable(top):
    for directory, _, files in os.walk(top):
        for name in files:
            try:
                open(os.path.join(directory, name), "rb").close()
                found.append(os.path.join(directory, name))
            except OSError:
                pass
for top in ("/var/spool/postd", "/var/spool/postd-offline", "/var/mail"):
    readable(top)
print("\\n".join(found))
"""


@pytest.mark.parametrize("name", ["local", "inject", "smtp", "submission", "lmtp"])
def test_receiver_reaches_its_own_only(queue, users, name):
    """Neither other listeners' sockets, nor spawnd, nor the spool, nor a mailbox."""
    submit()
    pathlib.Path("/var/mail/alice").touch(0o660)
    os.chown("/var/mail/alice", users["alice"].pw_uid, 8)
    os.chmod("/var/mail/alice", 0o660)
    done = receiver_is(name, TAKEN_OVER)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"/run/postd/submission/{name}"]


def test_receiver_has_the_trust_of_its_socket(queue):
    """Whatever it says: its mail is of its listener, and it may ask for nothing else there."""
    with Receiver("smtp") as receiver:
        message_id = receiver.submit(context={"protocol": "ESMTP", "login": "root", "uid": 0, "unit": "cron.service"})
        for method in ("io.postd.Queue.List", "io.postd.Queue.Remove", "io.postd.Spawn.Open", "io.postd.Transport.Deliver"):
            with pytest.raises(VarlinkError) as caught:
                receiver.call(method, id=message_id)
            assert caught.value.name in ("MethodNotFound", "InterfaceNotFound")
    assert show(message_id)["listener"] == "smtp"


# One user's clients against the mail of root


def mail_of_root():
    """From sendmail to root's mailbox: seconds."""
    Mailbox("root").clear()
    begun = time.monotonic()
    run("/usr/sbin/sendmail", "-i", "root", input="Subject: of root\n\nHello.\n")
    Mailbox("root").wait(timeout=30)
    return time.monotonic() - begun


@pytest.fixture
def warm(queue):
    """A session for root that lingers; what is measured is not the start of units."""
    mail_of_root()
    yield
    assert failed_units() == []


@pytest.mark.parametrize("what,number", [("idle", 10000), ("smtp-half", 2000), ("smtp-deaf", 1000)])
def test_smtp_clients(warm, users, most_files, what, number):
    with client(what, LOCAL, number):
        worst = max(mail_of_root() for _ in range(3))
    print(f"\n{what}: root's mail took {worst:.2f} s at worst")
    assert worst < WORST


@pytest.mark.parametrize("what,number", [("idle", 10000), ("half", 100), ("list", 1000), ("monitor", 1000)])
def test_queue_clients(warm, users, most_files, what, number):
    with client(what, "/run/postd/io.postd.Queue", number):
        worst = max(mail_of_root() for _ in range(3))
    print(f"\n{what}: root's mail took {worst:.2f} s at worst")
    assert worst < WORST


def test_mail_of_a_busy_user(warm, users):
    """A thousand messages of one user to themselves wait behind nobody but themselves."""
    with Receiver() as receiver:
        for _ in range(1000):
            receiver.submit(user="alice", recipients=[{"address": "alice"}])
    worst = max(mail_of_root() for _ in range(3))
    print(f"\nroot's mail took {worst:.2f} s at worst")
    assert worst < WORST
    wait_until(lambda: not ids(), 60, "an empty queue")
    Mailbox("alice").clear()


# What a session of delivery could see, if it were the recipient's


LOOK_AROUND = r"""
import json, os, sys
found = {"fds": {}, "environment": dict(os.environ), "readable": [], "processes": []}
for fd in os.listdir("/proc/self/fd"):
    try:
        found["fds"][fd] = os.readlink("/proc/self/fd/" + fd)
    except OSError:
        pass
for top in ("/var/spool/postd", "/var/spool/postd-offline", "/var/mail", "/run/postd", "/home", "/root"):
    for directory, _, files in os.walk(top):
        for name in files:
            path = os.path.join(directory, name)
            try:
                open(path, "rb").close()
                found["readable"].append(path)
            except OSError:
                pass
for pid in os.listdir("/proc"):
    if pid.isdigit():
        try:
            if open("/proc/" + pid + "/environ", "rb").read() and pid != str(os.getpid()):
                found["processes"].append(pid)
        except OSError:
            pass
json.dump(found, sys.stdout)
"""


def session_of(user):
    """A live session of delivery: its unit and the process."""
    uid = run("id", "-u", user).stdout.strip()
    listed = run("systemctl", "list-units", "--plain", "--no-legend", f"postd-deliver-*-{uid}-*.service").stdout.split()
    assert listed, "no session"
    unit = listed[0]
    return unit, int(run("systemctl", "show", "--property=MainPID", "--value", unit).stdout)


def test_session_sees_one_mailbox(queue, users):
    """A session holds no descriptor of the spool or another's mailbox; and what runs in its namespace as its user opens
    neither."""
    for name in ("bob", "carol", "root"):
        path = pathlib.Path("/var/mail", name)
        path.write_text("")
        path.chmod(0o660)
        os.chown(path, users[name].pw_uid if name in users else 0, 8)
    secret = "hidden-recipient@elsewhere.example"
    submit(sender="sender@example.org", recipients=[{"address": "alice"}, {"address": secret}])
    Mailbox("alice").wait()
    unit, pid = session_of("alice")
    fds = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    spool = [target for target in fds.values() if "/var/spool" in target]
    others = [target for target in fds.values() if target.startswith("/var/mail/") and not target.startswith("/var/mail/alice")]
    assert spool == others == [], fds
    # The same namespaces, user and groups, by hand: what the file system shows there.
    uid, gid = users["alice"].pw_uid, users["alice"].pw_gid
    done = run("nsenter", f"--target={pid}", "--mount", "setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "python3", "-c", LOOK_AROUND)
    found = json.loads(done.stdout)
    assert [p for p in found["readable"] if not p.startswith(("/home/alice/", "/var/mail/alice"))] == []
    content = Mailbox("alice").path.read_bytes()
    assert secret.encode() not in content
    Mailbox("alice").clear()


def test_bcc_is_nowhere(queue, users):
    """Nobody who gets a message can tell from it, or from the session that brings it, who else got it."""
    for name in ("alice", "bob"):
        Mailbox(name).clear()
    run("/usr/sbin/sendmail", "-i", "-t", input="To: alice\nBcc: bob\nSubject: hidden\n\nHello.\n")
    one, other = Mailbox("alice").wait()[0], Mailbox("bob").wait()[0]
    for message, another in ((one, "bob"), (other, None)):
        assert message["Bcc"] is None
        if another:
            assert another not in message.as_string()
    for name in ("alice", "bob"):
        Mailbox(name).clear()
