# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small varlink client that passes descriptors and can be told to send what no decent client would."""

import array
import contextlib
import json
import os
import pwd
import socket
import threading
import time


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
    if user is None:
        yield
        return
    entry = pwd.getpwnam(user)
    with _acting:
        groups = os.getgroups()
        os.setgroups(os.getgrouplist(user, entry.pw_gid))
        os.setegid(entry.pw_gid)
        os.seteuid(entry.pw_uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)


def connect(path, user=None, timeout=60):
    """A connected AF_UNIX socket, made as somebody."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    deadline = time.monotonic() + timeout
    try:
        with acting_as(user):
            while True:
                try:
                    s.connect(path)
                    break
                except BlockingIOError:  # the backlog is full
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.001)
    except OSError:
        s.close()
        raise
    return s


class Varlink:
    """One connection: to a path, as somebody, or over a socket or descriptor that is connected already."""

    def __init__(self, where, user=None, timeout=60):
        if isinstance(where, str):
            self.socket = connect(where, user, timeout)
        else:
            self.socket = where if isinstance(where, socket.socket) else socket.socket(fileno=where)
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
        if data:
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

    def replies(self, method, **parameters):
        """All replies of a call with "more"."""
        self.send(method, parameters, more=True)
        found, more = [], True
        while more:
            reply, more = self.receive()
            found.append(reply)
        return found


def memfd(content):
    fd = os.memfd_create("content")
    done = 0
    while done < len(content):
        done += os.write(fd, content[done:])
    return fd
