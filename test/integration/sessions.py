# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small varlink client that passes descriptors, and what a queue manager does with it: opens delivery sessions through
postd-spawnd and hands them messages."""

import array
import contextlib
import json
import os
import pwd
import secrets
import socket
import threading
import time

SPAWN = "/run/postd/io.postd.Spawn"
USERS = "/run/postd/io.postd.Users"
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__(f"{name} {parameters}")
        self.name = name.rpartition(".")[2]
        self.parameters = parameters


# The effective uid is the whole process's.
_acting = threading.Lock()


@contextlib.contextmanager
def acting_as(user):
    """With the effective uid of a user: this is what the other side of a new connection sees."""
    entry = pwd.getpwnam(user)
    with _acting:
        os.setegid(entry.pw_gid)
        os.seteuid(entry.pw_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)


class Varlink:
    def __init__(self, where, user="postd", timeout=60):
        if isinstance(where, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            try:
                with acting_as(user):
                    self.socket.connect(where)
            except OSError:
                self.socket.close()
                raise
        else:
            self.socket = socket.socket(fileno=where)
            self.socket.settimeout(timeout)
        self.input = b""
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def send_raw(self, data, fds=()):
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            sent = self.socket.sendmsg([data], rights)
            data = data[sent:]
        self.socket.sendall(data)

    def send(self, method, parameters, more=False, fds=()):
        call = {"method": method, "parameters": parameters}
        if more:
            call["more"] = True
        self.send_raw(json.dumps(call).encode() + b"\0", fds)

    def receive(self):
        """One reply: (parameters, are there more?). The end of the connection is ConnectionResetError."""
        while b"\0" not in self.input:
            data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(253 * 4))
            for level, kind, payload in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.fds += array.array("i", payload[: len(payload) // 4 * 4]).tolist()
            if not data:
                raise ConnectionResetError("the peer has hung up")
            self.input += data
        text, _, self.input = self.input.partition(b"\0")
        reply = json.loads(text)
        if "error" in reply:
            raise VarlinkError(reply["error"], reply.get("parameters", {}))
        return reply.get("parameters", {}), reply.get("continues", False)

    def call(self, method, **parameters):
        self.send(method, parameters)
        return self.receive()[0]


def queue_id():
    return "0" + "".join(secrets.choice(ALPHABET) for _ in range(15))


def memfd(content):
    fd = os.memfd_create("content")
    os.write(fd, content)
    return fd


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
