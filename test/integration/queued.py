# SPDX-License-Identifier: LGPL-2.1-or-later
"""The queue manager as its clients see it: what a receiver submits, what people ask of the queue."""

import contextlib
import os
import pwd
import secrets
import time

import pytest

from conftest import run, wait_until
from varlink import Varlink, VarlinkError, memfd

QUEUE = "/run/postd/io.postd.Queue"
SPOOL = "/var/spool/postd"
UNIT = "postd-queued.service"
TEXT = b"From: sender@example.org\r\nSubject: test\r\n\r\nHello.\r\n"

# Mail for another host waits in the queue: there is no transport that could take it.
AWAY = "someone@elsewhere.example"

NONE = object()


def submission_path(listener="local"):
    return f"/run/postd/submission/{listener}"


def token():
    return secrets.token_hex(16)


class Receiver(Varlink):
    """What a receiver does, over a listener's own socket."""

    def __init__(self, listener="local", timeout=60):
        super().__init__(submission_path(listener), timeout=timeout)

    def submit_raw(self, fds=NONE, text=TEXT, user=None, **fields):
        """Fields replace those of a decent call; None leaves one out."""
        parameters = {
            "token": token(),
            "context": {"protocol": "ESMTP", "uid": pwd.getpwnam(user).pw_uid if user else 0},
            "sender": "sender@example.org",
            "recipients": [{"address": AWAY}],
            "content": 0,
            "size": len(text),
            **fields,
        }
        parameters = {key: value for key, value in parameters.items() if value is not None}
        own = [memfd(text)] if fds is NONE else []
        try:
            self.send("io.postd.Submission.Submit", parameters, fds=own or fds)
        finally:
            for fd in own:
                os.close(fd)
        return self.receive()[0]

    def submit(self, *arguments, **fields):
        return self.submit_raw(*arguments, **fields)["id"]

    def check(self, *recipients, **fields):
        parameters = {"context": {"protocol": "ESMTP", "uid": 0}, "sender": "sender@example.org", "recipients": recipients}
        return self.call("io.postd.Submission.Check", **{**parameters, **fields})["replies"]


def submit(*arguments, listener="local", **fields):
    with Receiver(listener) as receiver:
        return receiver.submit(*arguments, **fields)


class Queue(Varlink):
    """The queue for a user; root if none is named."""

    def __init__(self, user=None, timeout=60):
        super().__init__(QUEUE, user, timeout)

    def __getattr__(self, name):
        """queue.hold(id=…) is io.postd.Queue.Hold."""
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda **parameters: self.call(f"io.postd.Queue.{name.capitalize()}", **parameters)

    def messages(self, **filters):
        found = []
        for reply in self.replies("io.postd.Queue.List", **filters):
            found += reply["messages"]
        return found

    def ids(self, **filters):
        return [message["id"] for message in self.messages(**filters)]

    def content(self, message_id):
        reply = self.cat(id=message_id)
        fd = self.fds.pop(reply["content"])
        try:
            return os.pread(fd, reply["size"] + 1, 0)
        finally:
            os.close(fd)

    def clear(self):
        for paused in self.status()["paused"]:
            what, _, name = paused.partition(" ")
            self.resume(what=what, **({"name": name} if name else {}))

        def empty():
            for message_id in self.ids():
                with contextlib.suppress(VarlinkError):
                    self.remove(id=message_id)
            return not self.ids() and self.status()["messages"] == 0

        wait_until(empty, 30, "an empty queue")


def show(message_id, user=None):
    with Queue(user) as queue:
        return queue.show(id=message_id)["message"]


def ids(user=None):
    with Queue(user) as queue:
        return queue.ids()


def property_of(unit, name):
    return run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()


def main_pid(unit=UNIT):
    return int(property_of(unit, "MainPID") or 0)


def restart(unit=UNIT):
    run("systemctl", "restart", unit)
    wait_until(loaded, 20, "the spool read")


def loaded():
    with contextlib.suppress(OSError, VarlinkError), Queue(timeout=5) as queue:
        return not queue.status()["loading"]
    return False


def rss(pid):
    """Resident memory of a process in bytes, without what it shares with files."""
    with open(f"/proc/{pid}/status") as status:
        values = dict(line.split(":", 1) for line in status)
    return int(values["RssAnon"].split()[0]) * 1024


def seconds(function):
    begun = time.monotonic()
    function()
    return time.monotonic() - begun


def failed_units():
    listed = run("systemctl", "list-units", "--failed", "--no-legend", "--plain", "postd*").stdout
    return [line.split()[0] for line in listed.splitlines()]


@pytest.fixture
def crashes():
    """For tests that kill it themselves."""


@pytest.fixture
def queue(request):
    """An empty queue, for root, before and after; meanwhile the queue manager does not crash and nothing fails."""
    with Queue() as q:
        q.clear()
    before = property_of(UNIT, "NRestarts")
    with Queue() as q:
        yield q
    assert failed_units() == []
    if "crashes" not in request.fixturenames:
        assert property_of(UNIT, "NRestarts") in (before, "0"), "the queue manager has crashed"
    with Queue() as q:
        q.clear()
