# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who sees and does what with the queue, over varlink and over the bus; and what is left of that without a bus or polkit."""

import contextlib
import json
import os
import pathlib
import signal
import time

import pytest

from conftest import run, wait_until
from queued import QUEUE, UNIT, Queue, ids, main_pid, property_of, queue, restart, seconds, show, submit  # noqa: F401
from varlink import VarlinkError

BUS = ("io.postd.Queue1", "/io/postd/Queue1", "io.postd.Queue1")


def varlinkctl(user, method, parameters=None, more=False):
    """(result, None) or (None, error) of a call with varlinkctl."""
    arguments = ["--json=short", *(["--more"] if more else [])]
    done = run("varlinkctl", *arguments, "call", QUEUE, f"io.postd.Queue.{method}", json.dumps(parameters or {}), user=user, check=False)
    if done.returncode == 0:
        return [json.loads(line) for line in done.stdout.replace("\x1e", "").splitlines() if line], None
    return None, done.stderr


def busctl(user, method, *arguments):
    done = run("busctl", "--json=short", "--timeout=20", "call", *BUS, method, *arguments, user=user, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout)["data"] if done.stdout.strip() else True, None
    return None, done.stderr


def denied(answer):
    """Neither done nor told: the administrator would have to allow it, or to be asked."""
    result, error = answer
    words = ("PermissionDenied", "InteractiveAuthenticationRequired", "Access denied", "Only root")
    return result is None and any(word in error for word in words)


def listed(user):
    """The ids that a user sees: the same by both ways."""
    replies, error = varlinkctl(user, "List", more=True)
    assert not error
    by_varlink = [message["id"] for reply in replies for message in reply["messages"]]
    data, error = busctl(user, "List", "s", "")
    assert not error
    assert [message[0] for message in data[0]] == by_varlink
    return by_varlink


@pytest.fixture
def mail(queue, users):
    return {name: submit(user=name) for name in ("alice", "bob")} | {"root": submit()}


def test_a_user_sees_only_their_own(mail):
    for name in ("alice", "bob"):
        assert listed(name) == [mail[name]]
    assert listed("carol") == []
    assert listed(None) == sorted(mail.values())
    for name in ("alice", "bob", "root"):
        allowed = name == "alice"
        for method in ("Show", "Cat"):
            replies, error = varlinkctl("alice", method, {"id": mail[name]})
            assert bool(replies) if allowed else denied((replies, error)), (name, method)
        data, error = busctl("alice", "Show", "s", mail[name])
        assert bool(data) if allowed else denied((data, error)), error
        replies, error = varlinkctl(None, "Show", {"id": mail[name]})
        assert replies[0]["message"]["id"] == mail[name]
        data, error = busctl(None, "Show", "s", mail[name])
        assert json.loads(data[0])["id"] == mail[name]


def test_filters_show_no_more(mail):
    for filters in ({"sender": "sender@example.org"}, {"recipient": "@elsewhere.example"}, {"held": False}, {"after": "0"}):
        with Queue("alice") as q:
            assert q.ids(**filters) == [mail["alice"]]
            assert [m["id"] for m in q.list(**filters)["messages"]] == [mail["alice"]]


def test_a_user_removes_only_their_own(mail):
    for remove in (lambda i: varlinkctl("alice", "Remove", {"id": i}), lambda i: busctl("alice", "Remove", "s", i)):
        for name in ("bob", "root"):
            assert denied(remove(mail[name]))
    assert len(ids()) == 3
    assert varlinkctl("alice", "Remove", {"id": mail["alice"]})[1] is None
    assert busctl("bob", "Remove", "s", mail["bob"])[1] is None
    wait_until(lambda: ids() == [mail["root"]], 5, "two messages less")
    assert varlinkctl(None, "Remove", {"id": mail["root"]})[1] is None
    wait_until(lambda: ids() == [], 5, "an empty queue")


def test_a_user_does_nothing_else(mail):
    mine = mail["alice"]
    before = show(mine)["recipients"][0]["tries"]
    for name in ("alice", "bob"):
        for verb in ("Hold", "Release", "Requeue", "Flush"):
            assert denied(varlinkctl(name, verb, {"id": mine})), verb
        assert denied(busctl(name, "Hold", "ss", mine, "x"))
        for verb in ("Release", "Requeue", "FlushMessage"):
            assert denied(busctl(name, verb, "s", mine)), verb
        assert denied(varlinkctl(name, "Flush"))
        assert denied(busctl(name, "Flush", "s", ""))
        for verb in ("Pause", "Resume"):
            assert denied(varlinkctl(name, verb, {"what": "all"}))
            assert denied(busctl(name, verb, "ss", "all", ""))
    message = show(mine)
    assert not message["held"] and message["recipients"][0]["tries"] == before
    assert varlinkctl(None, "Status")[0][0]["paused"] == []


def test_root_does_all(mail):
    mine = mail["alice"]
    assert busctl(None, "Hold", "ss", mine, "why not")[1] is None
    assert show(mine)["holdReason"] == "why not"
    assert busctl(None, "Release", "s", mine)[1] is None
    assert busctl(None, "Flush", "s", "")[0][0] >= 1
    assert busctl(None, "FlushMessage", "s", mine)[0] == [1]
    assert busctl(None, "Requeue", "s", mine)[1] is None
    assert busctl(None, "Pause", "ss", "destination", "relay:x.example")[1] is None
    assert varlinkctl(None, "Status")[0][0]["paused"] == ["destination relay:x.example"]
    assert busctl(None, "Resume", "ss", "destination", "relay:x.example")[1] is None
    assert "Nothing is known" in busctl(None, "Show", "s", "nothing")[1]


def test_anybody_sees_counters_only(mail):
    status = varlinkctl("carol", "Status")[0][0]
    assert status["messages"] == 3 and status["destinations"] == []
    assert varlinkctl(None, "Status")[0][0]["destinations"]
    metrics = varlinkctl("carol", "Metrics")[0][0]["metrics"]
    assert {m["name"] for m in metrics} >= {"received", "delivered"}
    shown = run("busctl", "get-property", *BUS, "Messages", user="carol").stdout.split()
    assert shown == ["t", "3"]


def test_monitor_shows_only_their_own(queue, users):
    with Queue("alice") as monitor:
        monitor.send("io.postd.Queue.Monitor", {}, more=True)
        time.sleep(0.5)  # polkit is asked first
        submit(user="bob")
        submit()
        mine = submit(user="alice")
        events = []
        monitor.socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while True:
                events.append(monitor.receive()[0])
    assert events and {e["id"] for e in events} == {mine}


def test_signals_carry_counters_only(queue, users):
    """What everybody may listen to on the bus tells of no message."""
    import subprocess

    listener = subprocess.Popen(
        ["setpriv", "--reuid=carol", "--regid=carol", "--init-groups", "busctl", "--json=short", "monitor", "io.postd.Queue1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        time.sleep(0.5)
        message_id = submit(user="alice", sender="secret-sender@example.org")
        time.sleep(4)
    finally:
        listener.terminate()
        heard = listener.communicate(timeout=10)[0]
    assert message_id not in heard and "secret-sender" not in heard and "elsewhere" not in heard


def test_numbers_are_no_identity(mail):
    """Who calls is seen by the socket: no parameter changes it."""
    for extra in ({"uid": 0}, {"allowInteractiveAuthentication": True}, {"user": "root"}):
        result, error = varlinkctl("alice", "Remove", {"id": mail["bob"], **extra})
        assert result is None
    assert len(ids()) == 3


# Without


RULE = pathlib.Path("/etc/polkit-1/rules.d/49-test.rules")


@contextlib.contextmanager
def rule(text):
    RULE.parent.mkdir(parents=True, exist_ok=True)
    RULE.write_text(text)
    RULE.chmod(0o644)
    run("systemctl", "reset-failed", "polkit.service", check=False)
    run("systemctl", "restart", "polkit.service")
    try:
        yield
    finally:
        RULE.unlink()
        run("systemctl", "reset-failed", "polkit.service", check=False)
    run("systemctl", "restart", "polkit.service")


def test_polkit_allows(mail):
    """Whom the administrator allows to see or manage the queue does so; reading other people's mail is a thing of its own."""
    template = 'polkit.addRule(function(a, s) { if (a.id == "io.postd.queue.%s" && s.user == "carol") return polkit.Result.YES; });'
    with rule(template % "view"):
        assert listed("carol") == sorted(mail.values())
        assert listed("alice") == [mail["alice"]]
        assert varlinkctl("carol", "Show", {"id": mail["alice"]})[0]
        assert denied(varlinkctl("carol", "Cat", {"id": mail["alice"]}))
        assert denied(varlinkctl("carol", "Remove", {"id": mail["alice"]}))
        assert denied(busctl("carol", "Remove", "s", mail["alice"]))
    with rule(template % "content"):
        assert varlinkctl("carol", "Cat", {"id": mail["alice"]})[0]
    with rule(template % "manage"):
        assert varlinkctl("carol", "Remove", {"id": mail["alice"]})[1] is None
        assert busctl("carol", "Remove", "s", mail["bob"])[1] is None
        assert varlinkctl("carol", "Flush")[0]
    wait_until(lambda: ids() == [mail["root"]], 5, "two messages less")


def everything_of_root(mail):
    with Queue(timeout=5) as q:
        assert q.ids() == sorted(mail.values())
        q.hold(id=mail["alice"])
        q.release(id=mail["alice"])
    assert submit()


@contextlib.contextmanager
def masked(*units):
    run("systemctl", "mask", "--runtime", *units)
    run("systemctl", "stop", *units)
    try:
        yield
    finally:
        run("systemctl", "unmask", "--runtime", *units)


def test_no_polkit(mail):
    """Nobody gains by its absence, and neither root nor people with their own mail lose."""
    with masked("polkit.service"):
        everything_of_root(mail)
        with Queue("bob", timeout=15) as q:
            assert q.ids() == [mail["bob"]]
            with pytest.raises(VarlinkError) as caught:
                q.hold(id=mail["bob"])
            assert caught.value.name == "PermissionDenied"
            with pytest.raises(VarlinkError):
                q.remove(id=mail["alice"])
            q.remove(id=mail["bob"])
        assert busctl("alice", "List", "s", "")[0][0][0][0] == mail["alice"]
        assert busctl("alice", "Remove", "s", mail["alice"])[1] is None
    wait_until(lambda: mail["alice"] not in ids(), 5, "a removed message")


def test_polkit_hangs(mail):
    run("systemctl", "start", "polkit.service")
    pid = main_pid("polkit.service")
    os.kill(pid, signal.SIGSTOP)
    try:
        with Queue("bob", timeout=20) as slow:
            slow.send("io.postd.Queue.Hold", {"id": mail["bob"]})
            assert seconds(lambda: everything_of_root(mail)) < 2
            with pytest.raises(VarlinkError) as caught:
                slow.receive()
            assert caught.value.name == "PermissionDenied"
    finally:
        os.kill(pid, signal.SIGCONT)


def test_no_bus(mail):
    """Without a bus mail goes on, and the queue manager comes back to it by itself."""
    pid = main_pid()
    run("systemctl", "stop", "dbus.socket", "dbus.service")
    try:
        everything_of_root(mail)
        with Queue("bob", timeout=15) as q:
            assert q.ids() == [mail["bob"]]
            with pytest.raises(VarlinkError) as caught:
                q.remove(id=mail["alice"])
            assert caught.value.name == "PermissionDenied"
            q.remove(id=mail["bob"])
        # A start without a bus is a start.
        os.kill(pid, signal.SIGTERM)
        run("systemctl", "restart", UNIT)
        assert submit()
    finally:
        run("systemctl", "start", "dbus.socket", "dbus.service")
    pid = main_pid()
    wait_until(lambda: busctl(None, "List", "s", "")[0], 15, "the name on the bus")
    assert main_pid() == pid


def test_bus_restarts(mail):
    pid = main_pid()
    for _ in range(3):
        run("systemctl", "restart", "dbus.service")
        assert submit()
    wait_until(lambda: busctl(None, "List", "s", "")[0], 15, "the name on the bus")
    assert main_pid() == pid
    assert listed("alice") == [mail["alice"]]


def test_activation_by_the_bus(queue):
    """However it is started, it has its sockets and its name."""
    sockets = run("systemctl", "list-units", "--type=socket", "--plain", "--no-legend", "postd-submission@*", "postd-queued.socket").stdout
    names = [line.split()[0] for line in sockets.splitlines()]
    try:
        run("systemctl", "stop", *names, UNIT)
        assert property_of(UNIT, "ActiveState") == "inactive"
        assert busctl(None, "List", "s", "")[0] == [[]]
        assert submit()
    finally:
        run("systemctl", "start", *names)
    run("systemctl", "stop", UNIT)
    assert ids()
    assert busctl(None, "List", "s", "")[0]
