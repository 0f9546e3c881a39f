# SPDX-License-Identifier: LGPL-2.1-or-later
"""The listeners of the test machine, and a client that sends exactly the bytes it is told to.

The network's listeners (smtp, submission with small limits, lmtp on AF_UNIX) are set up by the fixture listeners; local
and inject are there in every installation.
"""

import pathlib
import socket
import textwrap

import pytest

from conftest import run

TCP = {"smtp": 25, "submission": 587}
UNIX = {name: f"/run/postd/{name}" for name in ("local", "inject", "lmtp")}

CONFIGURATION = """
    [Listener submission]
    CommandTimeout=1s
    DataTimeout=1s
    ErrorsMax=5
    MaxConnectionsPerPeer=3
"""

SOCKET = """
    [Unit]
    Wants=postd-submission@{name}.socket

    [Socket]
    ListenStream={address}
    FileDescriptorName={name}
    TriggerLimitIntervalSec=0
"""


@pytest.fixture(scope="module")
def listeners(users):
    """All listeners; those that are no part of a stock installation go again."""
    configuration = pathlib.Path("/etc/postd/postd.conf.d/50-test-listeners.conf")
    configuration.parent.mkdir(parents=True, exist_ok=True)
    configuration.write_text(textwrap.dedent(CONFIGURATION))
    files = [configuration]
    for name, address in (("submission", "127.0.0.1:587"), ("lmtp", UNIX["lmtp"])):
        unit = pathlib.Path(f"/run/systemd/system/postd-smtpd@{name}.socket")
        unit.write_text(textwrap.dedent(SOCKET.format(name=name, address=address)))
        files.append(unit)
    sockets = [f"postd-smtpd@{name}.socket" for name in ("smtp", "submission", "lmtp")]
    run("systemctl", "daemon-reload")
    run("systemctl", "start", *sockets)
    yield
    run("systemctl", "stop", *sockets, *(name.replace(".socket", ".service") for name in sockets), check=False)
    for file in files:
        file.unlink()
    run("systemctl", "daemon-reload")


class Client:
    def __init__(self, listener, timeout=20):
        if listener in TCP:
            self.socket = socket.create_connection(("127.0.0.1", TCP[listener]), timeout)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(UNIX.get(listener, listener))
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """The next line without CRLF; None at the end of the connection."""
        try:
            line = self.file.readline(65536)
        except ConnectionResetError:
            return None
        if not line:
            return None
        assert line.endswith(b"\r\n"), f"a line that does not end with CRLF: {line}"
        return line[:-2].decode("utf-8")

    def reply(self):
        """The next reply: its last line."""
        while True:
            line = self.line()
            if line is None or line[3:4] != "-":
                return line

    def command(self, line):
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def submit(self, sender, recipients, content, parameters=""):
        """After EHLO; the reply to the end of data, or the first that is negative."""
        assert self.command(f"MAIL FROM:<{sender}>{parameters}").startswith("250")
        for recipient in recipients:
            reply = self.command(f"RCPT TO:<{recipient}>")
            if not reply.startswith("250"):
                return reply
        reply = self.command("DATA")
        if not reply.startswith("354"):
            return reply
        self.send(content + b".\r\n")
        return self.reply()
