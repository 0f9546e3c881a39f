# SPDX-License-Identifier: LGPL-2.1-or-later
"""postd-spawnd as a queue manager that was taken over sees it: it gets sessions for allowed users and classes, and nothing
else; and what becomes of sessions is always told."""

import json
import os
import pathlib
import pwd
import select
import shutil
import signal
import socket

import pytest

from conftest import run, wait_until
from sessions import SPAWN, Session, Varlink, VarlinkError, deliver, letter

OPEN = "io.postd.Spawn.Open"


def units():
    return run("systemctl", "list-units", "--plain", "--no-legend", "--all", "postd-deliver-*.service").stdout


@pytest.fixture
def dropin():
    """dropin("mailbox", "RuntimeMaxSec=1"): a drop-in for all sessions of a class."""
    made = []

    def make(kind, *lines):
        directory = pathlib.Path(f"/run/systemd/system/postd-deliver-{kind}-.service.d")
        directory.mkdir(parents=True)
        (directory / "test.conf").write_text("\n".join(["[Service]", *lines, ""]))
        made.append(directory)
        run("systemctl", "daemon-reload")

    yield make
    for directory in made:
        shutil.rmtree(directory)
    run("systemctl", "daemon-reload")


def refused(uid, kind):
    with pytest.raises(VarlinkError) as caught:
        Session(uid, kind)
    return caught.value


@pytest.mark.parametrize("uid", [0, 1, 8, 33, 999, 60514, 65534, 65535, 4294967295])
def test_uid_refused(users, uid):
    error = refused(uid, "mailbox")
    assert error.name == "NotAllowed" and error.parameters["reason"]


def test_queue_manager_is_no_user(users):
    assert refused(pwd.getpwnam("postd").pw_uid, "mailbox").name == "NotAllowed"


@pytest.mark.parametrize(
    "kind",
    ["", "root", "Mailbox", "mailbox ", "mailbox\n", "../mailbox", "mailbox.service", "%u", "$USER", "x" * 100000, "command"],
)
def test_class_refused(users, kind):
    assert refused(users["alice"].pw_uid, kind).name == "NotAllowed"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"uid": 1000},
        {"class": "mailbox"},
        {"uid": "alice", "class": "mailbox"},
        {"uid": -1, "class": "mailbox"},
        {"uid": 1e300, "class": "mailbox"},
        {"uid": 4294967296 + 1000, "class": "mailbox"},
        {"uid": [1000], "class": "mailbox"},
        {"uid": 1000, "class": ["mailbox"]},
        {"uid": 1000, "class": "mailbox", "command": "/bin/sh"},
        {"uid": 1000, "class": "mailbox", "User": "root"},
    ],
)
def test_parameters_refused(users, parameters):
    before = units()
    with Varlink(SPAWN) as link:
        link.send(OPEN, parameters, more=True)
        with pytest.raises(VarlinkError):
            link.receive()
    assert units() == before


def test_more_is_required(users):
    with Varlink(SPAWN) as link, pytest.raises(VarlinkError) as caught:
        link.call(OPEN, uid=users["alice"].pw_uid, **{"class": "mailbox"})
    assert caught.value.name == "ExpectedMore"


@pytest.mark.parametrize(
    "data",
    [b"\0", b"\0" * 1000, b'{"method":"io.postd.Spawn.Open","parameters":{"uid":1000,"class":"\\u0000"},"more":true}\0', b"{}\0", b"[]\0", b"nonsense\0", b"\xff\xfe\0", b'{"method":1}\0', b"{" * 100000 + b"\0", b"[" * 1000000, b"x" * (17 << 20)],
    ids=["nul", "nuls", "nul in a string", "object", "array", "text", "bytes", "number", "braces", "deep", "huge"],
)
def test_garbage(users, data):
    """Whatever comes, the next caller is served."""
    pid = run("systemctl", "show", "--value", "-p", "MainPID", "postd-spawnd.service").stdout
    with Varlink(SPAWN) as link:
        try:
            link.send_raw(data)
            link.socket.shutdown(socket.SHUT_WR)
            while link.socket.recv(65536):
                pass
        except OSError:
            pass
    with Session("alice") as session:
        session.end()
    assert pid.strip() in ("0", run("systemctl", "show", "--value", "-p", "MainPID", "postd-spawnd.service").stdout.strip())


def test_others_cannot_connect(users):
    for user in ("alice", "postd-users", "postd-pickup"):
        with pytest.raises(PermissionError):
            Varlink(SPAWN, user=user)


@pytest.fixture
def configuration():
    """configuration("[Spawn]\nAllowUsers=x"): a file of root's, in force until the test ends."""
    path = pathlib.Path("/etc/postd/postd.conf.d/test-spawnd.conf")
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(text, owner="root", mode=0o644):
        path.write_text(text)
        path.chmod(mode)
        shutil.chown(path, owner)
        run("systemctl", "reload-or-restart", "postd-spawnd.service")

    yield write
    path.unlink()
    run("systemctl", "reload-or-restart", "postd-spawnd.service")


def test_allowed_users(users, configuration):
    run("useradd", "--system", "--no-create-home", "postd-test-virtual", check=False)
    uid = pwd.getpwnam("postd-test-virtual").pw_uid
    assert refused(uid, "mailbox").name == "NotAllowed"
    configuration("[Spawn]\nAllowUsers=postd-test-virtual 70000-70010\n")
    assert [r["result"] for r in deliver("postd-test-virtual", letter())] == ["delivered"]
    assert refused(70010, "mailbox").name == "NoSuchUser"
    assert refused(0, "mailbox").name == refused(33, "mailbox").name == "NotAllowed"
    # An error changes nothing, and root is never among them.
    for text in ("[Spawn]\nAllowUsers=nobody-of-that-name\n", "[Spawn]\nAllowUsers=0\n", "[Spawn]\nAllowUsers=root\n", "nonsense\n"):
        configuration(text)
        assert [r["result"] for r in deliver("postd-test-virtual", letter())] == ["delivered"]
        assert refused(0, "mailbox").name == "NotAllowed"
    pathlib.Path("/var/mail/postd-test-virtual").unlink()


@pytest.mark.parametrize("owner,mode", [("postd", 0o644), ("root", 0o664), ("root", 0o646)])
def test_configuration_of_others(users, configuration, owner, mode):
    """Whoever could write it could become somebody."""
    configuration("[Spawn]\nAllowUsers=33\n", owner, mode)
    assert refused(33, "mailbox").name == "NotAllowed"


def test_maildir_name(users, configuration):
    configuration("[Action local]\nMaildir=Mail/in $HOME %h\n")
    (result,) = deliver("alice", letter(), kind="home")
    assert result["text"].startswith("/home/alice/Mail/in $HOME %h/new/")


def test_no_such_user(users):
    assert refused(59999, "mailbox").name == "NoSuchUser"
    assert refused(59999, "home").name == "NoSuchUser"


@pytest.mark.parametrize("kind", ["mailbox", "home"])
def test_session(users, mailbox, kind):
    with Session("alice", kind) as session:
        assert session.unit.startswith(f"postd-deliver-{kind}-{users['alice'].pw_uid}-")
        shown = run("systemctl", "show", "-p", "User,Slice,InvocationID,Type,CollectMode,SupplementaryGroups", session.unit).stdout
        shown = dict(line.split("=", 1) for line in shown.splitlines())
        assert shown["User"] == str(users["alice"].pw_uid)
        assert shown["Slice"] == "system-postd-deliver.slice"
        assert shown["InvocationID"] == session.started["invocationId"]
        assert shown["SupplementaryGroups"] == ("mail" if kind == "mailbox" else "")
        assert [r["result"] for r in session.deliver(letter())] == ["delivered"]
        ended = session.end()
    assert (ended["result"], ended["code"], ended["status"]) == ("success", "exited", 0)
    assert ended["cpuUsageNSec"] > 0
    wait_until(lambda: session.unit not in units(), what="the unit's removal")


def test_killed(users):
    with Session("alice") as session:
        run("systemctl", "kill", "--signal=KILL", session.unit)
        ended = session.wait_end()
        assert (ended["result"], ended["code"], ended["status"]) == ("signal", "killed", signal.SIGKILL)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            session.deliver(letter())


def test_time_limit(users, dropin):
    dropin("mailbox", "RuntimeMaxSec=1")
    with Session("alice") as session:
        assert session.wait_end(20)["result"] == "timeout"


def test_setup_failure(users, dropin, journal):
    dropin("mailbox", "WorkingDirectory=/nowhere")
    error = refused(users["alice"].pw_uid, "mailbox")
    assert (error.name, error.parameters["reason"], error.parameters["status"]) == ("SetupFailed", "exit-code", 200)
    journal.wait(MESSAGE_ID="f48b72c3c98945beba160fdf69d6ea39")


def test_start_refused_by_systemd(users, dropin):
    """The start job fails before anything was executed: a mount that the home needs is not there."""
    dropin("home", "[Unit]", "Requires=nowhere.mount", "After=nowhere.mount")
    assert refused(users["alice"].pw_uid, "home").name == "SetupFailed"
    wait_until(lambda: "postd-deliver-home" not in units(), what="the unit's removal")


@pytest.mark.controller("memory")
def test_memory_limit(users, dropin):
    dropin("mailbox", "MemoryMax=300K")
    try:
        with Session("alice") as session:
            assert session.wait_end()["result"] == "oom-kill"
    except VarlinkError as error:
        assert (error.name, error.parameters["reason"]) == ("SetupFailed", "oom-kill")


def test_caller_gone(users):
    """A queue manager that dies leaves nothing behind."""
    session = Session("alice")
    session.close()
    wait_until(lambda: session.unit not in units(), 20, "the session's end")
    for _ in range(5):
        with Varlink(SPAWN) as link:
            link.send(OPEN, {"uid": users["alice"].pw_uid, "class": "mailbox"}, more=True)
    wait_until(lambda: "postd-deliver-" not in units(), 30, "the sessions' end")


def test_spawnd_killed(users, mailbox):
    """Sessions outlive the spawner; the next one is started by its successor."""
    with Session("alice") as session:
        run("systemctl", "kill", "--signal=KILL", "postd-spawnd.service")
        with pytest.raises((ConnectionResetError, VarlinkError)):
            session.wait_end()
        assert [r["result"] for r in session.deliver(letter())] == ["delivered"]
        assert [r["result"] for r in deliver("bob", letter())] == ["delivered"]


def test_bus_restarted(users, mailbox):
    """Without its bus spawnd answers, and finds the new one."""
    with Session("alice") as session:
        run("systemctl", "restart", "dbus.service")
        assert session.wait_end()["result"] == "unknown"
        assert [r["result"] for r in session.deliver(letter())] == ["delivered"]

    def again():
        try:
            return [r["result"] for r in deliver("bob", letter())] == ["delivered"]
        except VarlinkError as error:
            assert error.name == "SetupFailed"
            return False

    wait_until(again, 20)


def test_root_does_not_wait(users, mailbox):
    """More than may start at a time, all of them answered in the order they came; root's mail has a place of its own."""
    links = []
    for _ in range(12):
        link = Varlink(SPAWN)
        link.send(OPEN, {"uid": users["bob"].pw_uid, "class": "mailbox"}, more=True)
        links.append(link)
    with Session("postd-root") as session:
        waiting = select.select([links[-1].socket], [], [], 0)[0] == []
        session.end()
    for link in links:
        reply, more = link.receive()
        assert reply["state"] == "started" and more
        link.close()
    assert waiting


def test_limit(users, configuration):
    configuration("[Server]\nSessionsMax=16\n")  # and as many again, and 32
    links = []
    try:
        for _ in range(70):
            link = Varlink(SPAWN)
            link.send(OPEN, {"uid": users["carol"].pw_uid, "class": "mailbox"}, more=True)
            links.append(link)
        answers = []
        for link in links:
            try:
                answers.append(link.receive()[0]["state"])
            except VarlinkError as error:
                answers.append(error.name)
        assert answers == ["started"] * 64 + ["Busy"] * 6
        with Session("postd-root") as session:
            session.end()
    finally:
        for link in links:
            link.close()
    wait_until(lambda: "postd-deliver-" not in units(), 60, "the sessions' end")


def test_dump_unit(tmp_path):
    for kind, most in (("mailbox", "0.9"), ("home", "0.9"), ("command", "1.5")):
        path = tmp_path / f"postd-deliver-{kind}-1000-x.service"
        path.write_text(run("/usr/lib/postd/postd-spawnd", f"--dump-unit={kind}").stdout.replace("User=nobody", "User=1000"))
        run("systemd-analyze", "verify", str(path))
        run("systemd-analyze", "security", "--offline=yes", f"--threshold={int(float(most) * 10)}", str(path))
    assert run("/usr/lib/postd/postd-spawnd", "--dump-unit=other", check=False).returncode == 1


def test_idle_exit(users):
    """Nothing is left running for sessions that have ended: spawnd itself goes after a minute (not waited for)."""
    with Session("alice") as session:
        session.end()
    state = json.loads(run("busctl", "--json=short", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                           "org.freedesktop.systemd1.Manager", "ListUnitsByPatterns", "asas", "0", "1", "postd-deliver-*").stdout)
    assert state["data"] == [[]]
    assert os.path.exists(SPAWN)
