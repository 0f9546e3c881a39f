# SPDX-License-Identifier: LGPL-2.1-or-later
"""The queue as administrators use it: hold, release, remove, flush, requeue, pause, resume, list, monitor, reload."""

import contextlib
import os
import pathlib
import signal

import pytest

from conftest import run, wait_until
from queued import AWAY, UNIT, Queue, Receiver, crashes, ids, main_pid, property_of, queue, restart, show, submit  # noqa: F401
from varlink import VarlinkError

CONF = pathlib.Path("/etc/postd/postd.conf.d/90-test.conf")


def error_of(call, **parameters):
    with pytest.raises(VarlinkError) as caught:
        call(**parameters)
    return caught.value.name


def tries(message_id):
    return show(message_id)["recipients"][0]["tries"]


def test_hold_and_release(queue):
    message_id = submit()
    wait_until(lambda: tries(message_id) == 1, 5, "the first attempt")
    queue.hold(id=message_id, reason="under suspicion")
    assert show(message_id)["held"] and show(message_id)["holdReason"] == "under suspicion"
    assert queue.status()["held"] == 1
    queue.flush()
    restart()
    with Queue() as again:
        assert again.ids(held=True) == [message_id] and again.ids(held=False) == []
        assert tries(message_id) == 1
        again.release(id=message_id)
        wait_until(lambda: tries(message_id) == 2, 5, "the attempt after the release")
        assert not show(message_id)["held"] and again.status()["held"] == 0


def test_flush(queue):
    one, other = submit(), submit(recipients=[{"address": "a@other.example"}, {"address": "b@other.example"}])
    wait_until(lambda: tries(one) == tries(other) == 1, 5, "the first attempts")
    assert queue.flush(id=one)["recipients"] == 1
    wait_until(lambda: tries(one) == 2, 5, "a second attempt")
    assert tries(other) == 1
    assert queue.flush(destination="relay:other.example")["recipients"] == 2
    wait_until(lambda: tries(other) == 2, 5, "a second attempt")
    assert queue.flush()["recipients"] == 3
    wait_until(lambda: tries(one) == tries(other) == 3, 5, "a third attempt")


def test_requeue(queue):
    message_id = submit()
    wait_until(lambda: tries(message_id) == 1, 5, "the first attempt")
    for n in (2, 3):
        queue.flush()
        wait_until(lambda n=n: tries(message_id) == n, 5, "another attempt")
    queue.requeue(id=message_id)
    wait_until(lambda: tries(message_id) == 1, 5, "the first attempt of the new count")
    restart()
    assert tries(message_id) >= 1


def test_remove(queue):
    message_id = submit(recipients=[{"address": f"r{i}@elsewhere.example"} for i in range(3)])
    wait_until(lambda: tries(message_id) == 1, 5, "the first attempt")
    queue.remove(id=message_id, recipient=1)
    wait_until(lambda: show(message_id)["recipients"][1]["state"] == "removed", 5, "a removed recipient")
    restart()
    assert [r["state"] for r in show(message_id)["recipients"]] == ["pending", "removed", "pending"]
    with Queue() as again:
        assert error_of(again.remove, id=message_id, recipient=7) == "NoSuchMessage"
        again.remove(id=message_id)
    wait_until(lambda: not ids(), 5, "an empty queue")
    restart()
    assert ids() == []


def test_done_is_done(queue, crashes):
    """What was answered stays so, however the queue manager ends in the same moment."""
    for verb in ("hold", "remove") * 4:
        message_id = submit()
        wait_until(lambda: tries(message_id) == 1, 5, "the first attempt")
        pid = main_pid()
        with Queue() as q:
            getattr(q, verb)(id=message_id)
            os.kill(pid, signal.SIGKILL)
        restart()
        with Queue() as q:
            assert q.ids() == q.ids(held=True) == ([message_id] if verb == "hold" else [])
            q.clear()


def test_unknown_message(queue):
    for name in ("0123456789abcdef", "", "../../etc/passwd", "x" * 100000, "é"):
        for verb in ("show", "cat", "hold", "release", "remove", "flush", "requeue"):
            assert error_of(getattr(queue, verb), id=name) == "NoSuchMessage"


def test_pause_everything(queue):
    queue.pause(what="all")
    message_id = submit()
    for what in ("local", "relay", "all"):
        queue.pause(what=what)
    assert sorted(queue.status()["paused"]) == ["all", "local", "relay"]
    restart()
    with Queue() as again:
        assert sorted(again.status()["paused"]) == ["all", "local", "relay"]
        again.resume(what="relay")
        before = tries(message_id)
        again.flush()
        assert tries(message_id) == before
        again.resume(what="all")
        again.flush()
        wait_until(lambda: tries(message_id) > before, 5, "an attempt")
        again.resume(what="local")
        assert again.status()["paused"] == []
        assert error_of(again.resume, what="local") == "NoSuchDestination"
    restart()
    with Queue() as again:
        assert again.status()["paused"] == []


def test_pause_destination(queue):
    queue.pause(what="destination", name="relay:elsewhere.example")
    paused, other = submit(), submit(recipients=[{"address": "a@other.example"}])
    wait_until(lambda: tries(other) == 1, 5, "an attempt for the other")
    before = tries(paused)
    restart()
    with Queue() as again:
        again.flush()
        wait_until(lambda: tries(other) >= 2, 5, "a second attempt for the other")
        assert tries(paused) == before
        again.resume(what="destination", name="relay:elsewhere.example")
        again.flush()
        wait_until(lambda: tries(paused) > before, 5, "an attempt")


def test_pause_listener(queue):
    queue.pause(what="listener", name="smtp")
    for _ in range(2):
        with Receiver("smtp") as receiver:
            with pytest.raises(VarlinkError) as caught:
                receiver.submit()
            assert caught.value.name == "Refused" and caught.value.parameters["code"] == 451
            with pytest.raises(VarlinkError):
                receiver.check(AWAY)
        assert submit(listener="local")
        restart()
    with Queue() as again:
        again.resume(what="listener", name="smtp")
    assert submit(listener="smtp")


@pytest.mark.parametrize(
    "what,name",
    [("everything", None), ("", None), ("destination", None), ("destination", ""), ("destination", "a b"), ("destination", "a\nb"),
     ("destination", "x" * 300), ("listener", "a\x1bb"), ("all", "x"), ("local\nall", None)],
)  # fmt: skip
def test_pause_what(queue, what, name):
    assert error_of(queue.pause, what=what, **({"name": name} if name is not None else {})) == "InvalidParameter"
    assert queue.status()["paused"] == []


def test_pause_many(queue):
    """The list of what is paused has an end, and what was refused is not half there."""
    taken = 0
    for i in range(300):
        try:
            queue.pause(what="destination", name=f"relay:d{i}.example")
            taken += 1
        except VarlinkError as error:
            assert error.name == "Failed"
    assert 200 <= taken < 300
    restart()
    with Queue() as again:
        assert len(again.status()["paused"]) == taken


def test_list_pages(queue):
    sent = []
    with Receiver() as receiver:
        for i in range(230):
            sent.append(receiver.submit(sender=f"s{i % 3}@example.org", recipients=[{"address": f"x@d{i % 5}.example"}]))
    assert queue.ids() == sorted(sent)
    found, after = [], None
    while True:
        reply = queue.list(limit=50, **({"after": after} if after else {}))
        found += [m["id"] for m in reply["messages"]]
        if not reply.get("incomplete"):
            break
        assert len(reply["messages"]) == 50
        after = found[-1]
    assert found == sorted(sent)
    assert len(queue.ids(sender="S1@example.org")) == len(sent[1::3])
    assert len(queue.ids(recipient="@d2.example")) == len(queue.ids(recipient="X@D2.example")) == 46
    assert queue.ids(recipient="@example") == []
    for bad in ({"after": "x" * 40}, {"sender": "x" * 400}, {"limit": -1}, {"limit": "x"}, {"held": 1}, {"new": 1}):
        assert error_of(queue.list, **bad) == "InvalidParameter"


def test_monitor(queue):
    with Queue() as monitor:
        monitor.send("io.postd.Queue.Monitor", {}, more=True)
        queue.status()  # the other connection has been served
        message_id = submit()
        queue.hold(id=message_id, reason="look")
        queue.release(id=message_id)
        wait_until(lambda: tries(message_id) == 2, 5, "an attempt")
        queue.remove(id=message_id)
        events = []
        while not events or events[-1]["event"] != "removed":
            events.append(monitor.receive()[0])
    assert {e["id"] for e in events} == {message_id}
    names = [e["event"] for e in events]
    assert names[0] == "received" and {"deferred", "held", "released", "removed"} <= set(names)


@contextlib.contextmanager
def configuration(text):
    CONF.parent.mkdir(parents=True, exist_ok=True)
    CONF.write_text(text)
    try:
        yield
    finally:
        CONF.unlink()
        run("systemctl", "reload", UNIT)


def test_reload(queue, journal):
    """A broken configuration is not taken, and everybody can see that and why; the one before stays in force."""
    pid = main_pid()
    with configuration("[Server]\nMessageSizeMax=1M\n"):
        run("systemctl", "reload", UNIT)
        with pytest.raises(VarlinkError) as caught:
            submit(text=b"x" * 2000000)
        assert caught.value.parameters["code"] == 552
        CONF.write_text("[Server]\nMessageSizeMax=3M\nNonsense=yes\n")
        run("systemctl", "reload", UNIT)
        assert "not used" in property_of(UNIT, "StatusText")
        assert "not used" in run("systemctl", "status", UNIT).stdout
        error = queue.status()["configurationError"]
        assert "Nonsense" in error and "90-test.conf:3" in error
        assert any("Nonsense" in entry["MESSAGE"] for entry in journal.entries(_SYSTEMD_UNIT=UNIT))
        with pytest.raises(VarlinkError):
            submit(text=b"x" * 2000000)
        assert submit(text=b"x" * 900000)
        CONF.write_text("[Server]\nMessageSizeMax=3M\n")
        run("systemctl", "reload", UNIT)
        assert submit(text=b"x" * 2000000)
        assert "configurationError" not in queue.status()
        assert "not used" not in property_of(UNIT, "StatusText")
    assert submit(text=b"x" * 4000000)
    assert main_pid() == pid and property_of(UNIT, "ActiveState") == "active"


def test_many_reloads(queue):
    """Reloads in a row while mail comes in: nothing is refused."""
    with Receiver() as receiver:
        sent = []
        for _ in range(20):
            run("systemctl", "reload", UNIT)
            sent.append(receiver.submit())
    assert queue.ids() == sent


def test_log_level(queue, journal):
    def level():
        return run("systemctl", "service-log-level", UNIT).stdout.strip()

    assert level() == "info"
    try:
        run("systemctl", "service-log-level", UNIT, "debug")
        assert level() == "debug"
        run("systemctl", "service-log-level", UNIT, "err")
        quiet = submit()
        wait_until(lambda: tries(quiet) == 1, 5, "an attempt")
        assert journal.entries(POSTD_QUEUE_ID=quiet) == []
    finally:
        run("systemctl", "service-log-level", UNIT, "info")
    loud = submit()
    journal.wait(POSTD_QUEUE_ID=loud)
    assert run("systemctl", "service-log-target", UNIT).stdout.strip() == "journal"
