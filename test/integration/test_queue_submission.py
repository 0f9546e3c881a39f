# SPDX-License-Identifier: LGPL-2.1-or-later
"""How receivers hand over messages: once per token, copied, checked in every field."""

import contextlib
import os
import socket
import threading
import time

import pytest

from conftest import wait_until
from queued import AWAY, TEXT, Queue, Receiver, ids, main_pid, queue, restart, rss, show, submit, token  # noqa: F401
from varlink import VarlinkError, memfd

MIB = 1 << 20


def refused(**fields):
    """The error of a submission that must not be taken."""
    before = ids()
    with Receiver() as receiver, pytest.raises(VarlinkError) as caught:
        receiver.submit(**fields)
    assert ids() == before
    return caught.value


def test_stored(queue):
    message_id = submit(sender="", recipients=[{"address": AWAY}, {"address": "ünï@elsewhere.example"}], smtputf8=True)
    message = show(message_id)
    assert message["sender"] == "" and message["listener"] == "local" and message["uid"] == 0
    assert [r["address"] for r in message["recipients"]] == [AWAY, "ünï@elsewhere.example"]
    content = queue.content(message_id)
    assert content.endswith(TEXT) and content.startswith(b"Received: ") and message_id.encode() in content


# Tokens


def test_token_while_queued(queue):
    mine = token()
    first = submit(token=mine)
    assert submit(token=mine, repeated=True) == first
    assert queue.ids() == [first]


def test_token_after_the_end(queue):
    mine = token()
    first = submit(token=mine)
    queue.remove(id=first)
    wait_until(lambda: not queue.ids(), 5, "the end of the message")
    assert submit(token=mine, repeated=True) == first
    assert queue.ids() == []


def test_token_after_a_restart(queue):
    queued, finished = token(), token()
    first, second = submit(token=queued), submit(token=finished)
    queue.remove(id=second)
    wait_until(lambda: queue.ids() == [first], 5, "the end of the message")
    restart()
    assert submit(token=queued, repeated=True) == first
    assert submit(token=finished, repeated=True) == second
    assert ids() == [first]


def test_token_from_many_connections(queue):
    """A retry that overtakes: whoever is not answered with the id is told to come again."""
    mine, found = token(), []

    def one():
        with Receiver() as receiver:
            for _ in range(50):
                with contextlib.suppress(VarlinkError):
                    found.append(receiver.submit(token=mine, repeated=True))
                    return
                time.sleep(0.05)

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1, "one token, several messages"
    assert len(found) == 16, "not answered in 50 tries"
    assert queue.ids() == found[:1]


@pytest.mark.parametrize("bad", ["", "0" * 32, "x" * 32, "0123", "f" * 33, "f" * 100000, "é" * 16])
def test_no_token(queue, bad):
    assert refused(token=bad).name == "InvalidParameter"


# Descriptors


@contextlib.contextmanager
def wrong_descriptor(kind, directory):
    path = directory / "file"
    path.write_bytes(TEXT)
    if kind == "directory":
        fds = [os.open(directory, os.O_RDONLY)]
    elif kind == "fifo":
        os.mkfifo(directory / "fifo")
        fds = [os.open(directory / "fifo", os.O_RDWR)]
    elif kind == "pipe":
        fds = list(os.pipe())
        os.write(fds[1], TEXT)
    elif kind == "socket":
        pair = socket.socketpair()
        pair[1].sendall(TEXT)
        fds = [s.detach() for s in pair]
    elif kind == "device":
        fds = [os.open("/dev/zero", os.O_RDONLY)]
    elif kind == "eventfd":
        fds = [os.eventfd(1)]
    elif kind == "write-only":
        fds = [os.open(path, os.O_WRONLY)]
    elif kind == "path":
        fds = [os.open(path, os.O_PATH)]
    elif kind == "empty":
        fds = [memfd(b"")]
    elif kind == "none":
        fds = []
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize(
    "kind", ["directory", "fifo", "pipe", "socket", "device", "eventfd", "write-only", "path", "empty", "none"]
)
def test_wrong_descriptor(queue, tmp_path, kind):
    with wrong_descriptor(kind, tmp_path) as fds:
        assert refused(fds=fds).name == "InvalidParameter"


@pytest.mark.parametrize("content", [1, 100, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 64) - 1, -1, "0", "x", 0.5, True, None, [0]])
def test_wrong_index(queue, content):
    """None of these is a descriptor that came along, whatever they may be read as; "0" is a number too."""
    with Receiver() as receiver:
        if content == "0":
            assert receiver.submit(content=content)
            return
    assert refused(content=content).name == "InvalidParameter"


@pytest.mark.parametrize("size", [len(TEXT) + 1, 1 << 20, -1, (1 << 63), (1 << 64) - 1, 1 << 80, "many", 1.5, None])
def test_size_that_lies(queue, size):
    error = refused(size=size)
    assert error.name in ("InvalidParameter", "Refused")
    if error.name == "Refused":
        assert error.parameters["code"] == 552


def test_size_below_the_file(queue):
    """What is behind the stated size is not part of the message."""
    message_id = submit(size=30)
    content = queue.content(message_id)
    assert content.endswith(TEXT[:30])


def test_many_descriptors(queue):
    """Descriptors that nobody asked for do not stay open."""

    def opened():
        return len(os.listdir(f"/proc/{main_pid()}/fd"))

    before = opened()
    fds = [memfd(TEXT) for _ in range(200)]
    with Receiver() as receiver:
        for index in (0, 199):
            receiver.submit(fds=fds, content=index, size=len(TEXT))
        with pytest.raises(VarlinkError):
            receiver.submit(fds=fds, content=200, size=len(TEXT))
        with pytest.raises(VarlinkError):
            receiver.call("io.postd.Submission.Nothing")
    for fd in fds:
        os.close(fd)
    wait_until(lambda: opened() <= before + 8, 5, "closed descriptors")


def test_offset_of_the_descriptor(queue):
    """Where the receiver has read to does not matter."""
    fd = memfd(TEXT)
    os.lseek(fd, 10, os.SEEK_SET)
    message_id = submit(fds=[fd], size=len(TEXT))
    os.close(fd)
    assert queue.content(message_id).endswith(TEXT)


def test_changed_afterwards(queue):
    """A copy is queued: what the receiver does to its file after the answer changes nothing."""
    for text in (TEXT, TEXT + b"x" * MIB * 3):
        fd = memfd(text)
        message_id = submit(fds=[fd], size=len(text))
        os.pwrite(fd, b"Forged: yes\r\n", 0)
        os.ftruncate(fd, 5)
        os.close(fd)
        content = queue.content(message_id)
        assert content.endswith(text) and b"Forged" not in content
    restart()
    with Queue() as again:
        assert again.content(message_id).endswith(text)


def test_changed_meanwhile(queue):
    """While it is copied too: refused, or stored as something that is whole."""
    big = TEXT + b"x" * MIB * 8
    stop = threading.Event()
    fd = memfd(big)

    def churn():
        while not stop.is_set():
            os.ftruncate(fd, 100)
            os.ftruncate(fd, len(big))

    thread = threading.Thread(target=churn)
    thread.start()
    taken = []
    try:
        with Receiver() as receiver:
            for _ in range(20):
                with contextlib.suppress(VarlinkError):
                    taken.append(receiver.submit(fds=[fd], size=len(big)))
    finally:
        stop.set()
        thread.join()
        os.close(fd)
    for message_id in taken:
        assert len(queue.content(message_id)) >= len(big)
    assert sorted(queue.ids()) == sorted(taken)
    assert queue.status()["damaged"] == 0


# Fields


def test_many_recipients(queue):
    addresses = [f"r{i}@elsewhere.example" for i in range(10000)]
    message_id = submit(recipients=[{"address": a} for a in addresses])
    assert [r["address"] for r in show(message_id)["recipients"]] == addresses
    error = refused(recipients=[{"address": a} for a in [*addresses, "one@more.example"]])
    assert error.name == "InvalidParameter"
    assert refused(recipients=[]).name == "InvalidParameter"
    restart()
    assert len(show(message_id)["recipients"]) == 10000


def test_doubled_recipients(queue):
    message_id = submit(recipients=[{"address": AWAY}] * 1000)
    assert len(show(message_id)["recipients"]) == 1


BAD_TEXT = {
    "newline": "a\r\nRCPT TO:<b>",
    "nul": "a\0b",
    "escape": "a\x1b[2Jb",
    "delete": "a\x7fb",
    "surrogate": "a\ud800b",
    "huge": "a" * 15 * MIB,
    "number": 7,
    "list": ["a"],
    "object": {"a": "b"},
    "true": True,
}
FIELDS = {
    "sender": lambda v: {"sender": f"{v}@example.org" if isinstance(v, str) else v},
    "recipient": lambda v: {"recipients": [{"address": f"{v}@example.org" if isinstance(v, str) else v}]},
    "originalRecipient": lambda v: {"recipients": [{"address": AWAY, "originalRecipient": v}]},
    "notify": lambda v: {"recipients": [{"address": AWAY, "notify": v}]},
    "envid": lambda v: {"envid": v},
    "body": lambda v: {"body": v},
    "dsnReturn": lambda v: {"dsnReturn": v},
    "protocol": lambda v: {"context": {"protocol": v}},
    **{
        name: lambda v, name=name: {"context": {"protocol": "ESMTP", name: v}}
        for name in ("helo", "peerAddress", "peerName", "unit", "login")
    },
}


@pytest.mark.parametrize("field", FIELDS)
def test_bad_text(queue, field):
    """No control byte, no half of a character, nothing endless, no other type gets in, in any field."""
    for kind, value in BAD_TEXT.items():
        with Receiver() as receiver:
            try:
                receiver.submit(**FIELDS[field](value))
            except VarlinkError as error:
                assert error.name == "InvalidParameter", f"{kind}: {error}"
            except (ConnectionResetError, BrokenPipeError):
                assert kind in ("huge", "nul", "surrogate")
            else:
                pytest.fail(f"{kind} was taken")
    assert queue.ids() == []


@pytest.mark.parametrize("field", FIELDS)
def test_invalid_utf8(queue, field):
    """Bytes that are no UTF-8 end the connection, or the call."""
    import json

    parameters = {"token": token(), "context": {"protocol": "ESMTP"}, "sender": "a@example.org", "recipients": [{"address": AWAY}]}
    parameters |= {"content": 0, "size": len(TEXT), **FIELDS[field]("MARK")}
    for junk in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"):
        fd = memfd(TEXT)
        call = json.dumps({"method": "io.postd.Submission.Submit", "parameters": parameters}).encode().replace(b"MARK", junk)
        with Receiver() as receiver:
            receiver.send_raw(call + b"\0", [fd])
            with pytest.raises((VarlinkError, ConnectionResetError)):
                receiver.receive()
        os.close(fd)
    assert queue.ids() == []


def test_deep_and_doubled(queue):
    """JSON that is made to hurt."""
    for text in (b"[" * 100000, b'{"method":' * 5000, b"\0" * 1000, b"{}\0", b'{"method":"a.b","method":"c.d"}\0', b"\x16\x03\x01\0"):
        with Receiver(timeout=10) as receiver, contextlib.suppress(OSError):
            receiver.send_raw(text)
            receiver.send_raw(b"\0")
            with contextlib.suppress(VarlinkError, ConnectionResetError):
                receiver.receive()
    assert submit()


def test_half_sent(queue):
    """Calls that never end cost no more than sd-varlink's 16 MiB each, all of it given back when they hang up."""
    held, before = [], rss(main_pid())
    half = b'{"method":"io.postd.Submission.Submit","parameters":{"sender":"' + b"a" * (15 * MIB)
    for _ in range(8):
        receiver = Receiver(timeout=10)
        receiver.send_raw(half)
        held.append(receiver)
    assert submit()
    for receiver in held:
        receiver.close()
    assert submit()
    wait_until(lambda: rss(main_pid()) < before + 40 * MIB, 40, "memory given back")
    # More than the limit is no call any more.
    with Receiver(timeout=10) as receiver, pytest.raises((ConnectionResetError, BrokenPipeError)):
        receiver.send_raw(half + b"a" * 2 * MIB)
        receiver.receive()


# Who may


def test_listeners_apart(queue, users):
    """A receiver reaches its own socket only, and nobody else reaches any: the socket tells who calls."""
    names = os.listdir("/run/postd/submission")
    assert {"local", "inject", "smtp"} <= set(names)
    from varlink import connect

    for user in ("alice", *(f"postd-smtpd-{name}" for name in names)):
        for name in names:
            path = f"/run/postd/submission/{name}"
            if user == f"postd-smtpd-{name}":
                connect(path, user).close()
            else:
                with pytest.raises(PermissionError):
                    connect(path, user)


def test_listener_cannot_be_claimed(queue):
    """Whatever a receiver adds, its message is of its own listener."""
    assert show(submit(listener="smtp"))["listener"] == "smtp"
    assert refused(listener_=1).name == "InvalidParameter"
    assert refused(context={"protocol": "ESMTP", "listener": "inject"}).name == "InvalidParameter"
    assert show(submit(context={"protocol": "ESMTP", "login": "inject"}))["listener"] == "local"
