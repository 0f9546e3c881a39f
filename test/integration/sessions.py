# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a queue manager does: opens delivery sessions through postd-spawnd and hands them messages."""

import os
import pwd
import secrets
import time

import varlink
from varlink import VarlinkError, memfd  # noqa: F401

SPAWN = "/run/postd/io.postd.Spawn"
USERS = "/run/postd/io.postd.Users"
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class Varlink(varlink.Varlink):
    """A connection of the queue manager's, unless another user is named."""

    def __init__(self, where, user="postd", timeout=60):
        super().__init__(where, user, timeout)


def queue_id():
    return "0" + "".join(secrets.choice(ALPHABET) for _ in range(15))


DEFAULT = b"From: sender@example.org\r\nSubject: test\r\n\r\nHello.\r\n"


def letter(content=DEFAULT, sender="sender@example.org", recipients=None, repeated=False, **fields):
    """A message for Deliver with its content; "fd" is kept apart by Session.deliver()."""
    if recipients is None:
        recipients = [{"index": 0, "address": "user@machine.example", "repeated": repeated}]
    message = {
        "id": queue_id(),
        "sender": sender,
        "arrival": time.time_ns() // 1000,
        "recipients": recipients,
        "content": 0,
        "size": len(content),
        "bytes": content,
    }
    return {**message, **fields}


class Session:
    """A delivery session opened through spawnd. After end() spawnd's last reply is in .ended."""

    def __init__(self, user, kind="mailbox", open_timeout=60):
        uid = pwd.getpwnam(user).pw_uid if isinstance(user, str) else user
        self.spawn = Varlink(SPAWN, timeout=open_timeout)
        self.link = None
        self.ended = None
        try:
            self.spawn.send("io.postd.Spawn.Open", {"uid": uid, "class": kind}, more=True)
            self.started, more = self.spawn.receive()
        except Exception:
            self.spawn.close()
            raise
        assert more and self.started["state"] == "started"
        self.unit = self.started["unit"]
        self.link = Varlink(self.spawn.fds.pop(self.started["connection"]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *letters):
        messages, fds = [], []
        for item in letters:
            message = dict(item)
            content = message.pop("bytes")
            fds.append(content if isinstance(content, int) else memfd(content))
            message["content"] = len(fds) - 1
            messages.append(message)
        self.link.send("io.postd.Transport.Deliver", {"messages": messages}, more=True, fds=fds)
        for fd in fds:
            os.close(fd)

    def results(self):
        results, more = [], True
        while more:
            reply, more = self.link.receive()
            results += reply["results"]
        return results

    def deliver(self, *letters):
        self.send(*letters)
        return self.results()

    def wait_end(self, timeout=60):
        self.spawn.socket.settimeout(timeout)
        self.ended, more = self.spawn.receive()
        assert self.ended["state"] == "ended" and not more
        return self.ended

    def end(self):
        """Hangs up and waits for the end of the unit."""
        self.link.close()
        return self.wait_end()

    def close(self):
        if self.link:
            self.link.close()
        self.spawn.close()


def deliver(user, *letters, kind="mailbox"):
    """One session from beginning to end: the results."""
    with Session(user, kind) as session:
        results = session.deliver(*letters)
        session.end()
        return results
