# SPDX-License-Identifier: LGPL-2.1-or-later
"""The receiver as a service: who its clients are, what it holds, how it ends, and what it does when others fail."""

import concurrent.futures
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from conftest import Mailbox, run, wait_until
from smtp_client import Client, listeners  # noqa: F401

REJECTED = "088051b2dfb4421d9e4666c637063152"
LIMIT = "2ad7d271d23e4459a769d785a39e6bfe"
RECEIVED = "ad6b4a8024444b07806f96c3f1f07318"


def hello(listener):
    client = Client(listener)
    assert client.reply().startswith("220 ")
    assert client.command("EHLO client.example").startswith("250 ")
    return client


def queue_id(reply):
    match = re.fullmatch(r"250 2\.0\.0 Ok: queued as (\S+)", reply)
    assert match, reply
    return match[1]


class NewMail:
    """What arrives for a user from now on. The mailbox stays, as a delivery session may have it open."""

    def __init__(self, user):
        self.box = Mailbox(user)
        self.before = len(self.box.messages())

    def messages(self):
        return self.box.messages()[self.before :]

    def wait(self, count=1, timeout=10):
        return self.box.wait(self.before + count, timeout)[self.before :]


def main_pid(listener):
    return int(run("systemctl", "show", "--property=MainPID", "--value", f"postd-smtpd@{listener}.service").stdout)


def test_identity(journal, users):
    """The uid and the unit of the client, seen through all sandboxes."""
    box = NewMail("alice")
    script = """if True:
        import socket
        s = socket.socket(socket.AF_UNIX)
        s.connect("/run/postd/local")
        f = s.makefile("rb")
        for line in (b"", b"EHLO x\\r\\n", b"MAIL FROM:<bob>\\r\\n", b"RCPT TO:<alice>\\r\\n", b"DATA\\r\\n", b"To: carol\\r\\n\\r\\nx\\r\\n.\\r\\n"):
            s.sendall(line)
            while f.readline()[3:4] == b"-":
                pass
    """
    run("systemd-run", "--quiet", "--wait", "--collect", "--unit=postd-test-identity", "--uid=bob", "python3", "-c", script)
    entry = journal.wait(MESSAGE_ID=RECEIVED)[0]
    assert entry["POSTD_ORIGIN_UID"] == str(users["bob"].pw_uid)
    assert entry["POSTD_ORIGIN_UNIT"] == "postd-test-identity.service"
    assert entry["POSTD_LISTENER"] == "local"
    message = box.wait()[0]
    assert "postd-test-identity.service" in message["Received"]
    assert message["To"] == "carol@machine.example"
    assert message["From"] == "bob@machine.example"
    assert message["Date"] and message["Message-ID"]


def test_network_header_is_left_alone(listeners):  # noqa: F811
    box = NewMail("alice")
    with hello("smtp") as client:
        queue_id(client.submit("someone@client.example", ["alice@machine.example"], b"To: carol\r\n\r\nx\r\n"))
    message = box.wait()[0]
    assert message["To"] == "carol"
    assert not message["From"] and not message["Message-ID"]


@pytest.mark.parametrize("size", [1000, 256 * 1024 - 10, 256 * 1024 + 10, 5_000_000])
def test_size(users, size):
    """In memory, around the border, and in a file: what went in comes out."""
    box = NewMail("alice")
    lines = b"".join(b"line %d of a long message\r\n" % i for i in range(size // 25))[:size].rpartition(b"\r\n")[0] + b"\r\n"
    with hello("local") as client:
        queue_id(client.submit("root", ["alice"], b"Subject: size\r\n\r\n" + lines))
    body = box.wait()[0].get_payload()
    assert hashlib.sha256(body.rstrip("\n").encode()).digest() == hashlib.sha256(lines.rstrip().replace(b"\r\n", b"\n")).digest()


def test_too_large():
    with hello("local") as client:
        content = b"Subject: large\r\n\r\n" + b"0123456789" * 99 + b"\r\n"
        reply = client.submit("root", ["root"], content + (b"x" * 998 + b"\r\n") * 52500)
        assert reply.startswith("552 5.3.4")
        assert client.command("NOOP").startswith("250")


def test_token():
    """A token that pickup submits again is the same message."""
    token = os.urandom(16).hex()
    ids = set()
    for listener in ("local", "inject", "inject"):
        with hello(listener) as client:
            ids.add(queue_id(client.submit("root", ["root"], b"Subject: once\r\n\r\nx\r\n", f" XPOSTDTOKEN={token}")))
    assert len(ids) == 1


def test_rejections_are_logged(journal, listeners):  # noqa: F811
    with hello("smtp") as client:
        client.command("MAIL FROM:<someone@client.example>")
        assert client.command("RCPT TO:<nobody-of-that-name@machine.example>").startswith("550 5.1.1")
    entry = journal.wait(MESSAGE_ID=REJECTED)[0]
    assert entry["POSTD_LISTENER"] == "smtp"
    assert entry["POSTD_PEER"] == "127.0.0.1"
    assert entry["POSTD_SENDER"] == "someone@client.example"
    assert entry["POSTD_RECIPIENT"] == "nobody-of-that-name@machine.example"
    assert entry["POSTD_CODE"] == "550"
    assert entry["POSTD_STATUS"] == "5.1.1"


def test_no_flood_of_entries(journal):
    with hello("local") as client:
        client.command("MAIL FROM:<root>")
        client.send(b"RCPT TO:<nobody-of-that-name>\r\n" * 2000)
        for _ in range(2000):
            assert client.reply().startswith("550")
    assert 1 <= len(journal.entries(MESSAGE_ID=REJECTED)) <= 100


def test_connections_of_one_peer(journal, listeners):  # noqa: F811
    """MaxConnectionsPerPeer=3."""
    clients = [Client("submission") for _ in range(4)]
    try:
        greetings = [client.reply() for client in clients]
        assert [greeting[:3] for greeting in greetings] == ["220", "220", "220", "421"]
        assert clients[3].line() is None
        assert "connections" in journal.wait(MESSAGE_ID=LIMIT)[0]["MESSAGE"]
    finally:
        for client in clients:
            client.__exit__()
    with Client("submission") as client:
        assert client.reply().startswith("220")


def test_one_slow_client_holds_up_nobody():
    with hello("local") as slow:
        slow.send(b"MAIL FROM:<root>\r\nRCPT TO:<root>\r\nDATA\r\nSubject: slow\r\n")
        with hello("local") as client:
            queue_id(client.submit("root", ["root"], b"Subject: fast\r\n\r\nx\r\n"))


def test_client_that_does_not_read():
    """Replies are not collected without end for one that only writes."""
    client = Client("local", timeout=2)
    client.send(b"EHLO client.example\r\nMAIL FROM:<root>\r\n")
    with pytest.raises(TimeoutError):
        for _ in range(1000):
            client.send(b"RCPT TO:<nobody-of-that-name>\r\n" * 5000)
    status = pathlib.Path(f"/proc/{main_pid('local')}/status").read_text()
    assert int(re.search(r"VmRSS:\s+(\d+)", status)[1]) < 30_000
    client.__exit__()


def test_many_at_once(users):
    box = NewMail("alice")

    def one(number):
        with hello("local") as client:
            return [queue_id(client.submit("root", ["alice"], b"Subject: %d\r\n\r\nx\r\n" % number)) for _ in range(3)]

    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        ids = [i for several in pool.map(one, range(80)) for i in several]
    assert len(set(ids)) == 240
    assert len(box.wait(240, timeout=60)) == 240


def test_queue_manager_is_killed(users):
    """A restart of the queue manager is ridden out: one reply, one message."""
    box = NewMail("alice")
    with hello("local") as client:
        client.command("MAIL FROM:<root>")
        assert client.command("RCPT TO:<alice>").startswith("250")
        assert client.command("DATA").startswith("354")
        run("systemctl", "kill", "--signal=KILL", "postd-queued.service")
        client.send(b"Subject: survived\r\n\r\nx\r\n.\r\n")
        queue_id(client.reply())
    box.wait(1, timeout=20)
    time.sleep(1)
    assert len(box.messages()) == 1


def test_queue_manager_hangs():
    """It does not answer a call that it has got, and is killed then."""
    with hello("local") as client:
        client.command("MAIL FROM:<root>")
        assert client.command("RCPT TO:<root>").startswith("250")
        assert client.command("DATA").startswith("354")
        run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "postd-queued.service")
        try:
            client.send(b"Subject: patience\r\n\r\nx\r\n.\r\n")
            time.sleep(0.5)
        finally:
            run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "postd-queued.service")
        queue_id(client.reply())


@pytest.fixture
def no_queue_manager():
    sockets = "postd-submission@local.socket"
    run("systemctl", "stop", sockets, "postd-queued.service")
    yield
    run("systemctl", "start", sockets, "postd-queued.service")


def test_queue_manager_is_away(no_queue_manager):
    """After half a minute the client is told to come back, and nothing is refused for good."""
    client = Client("local", timeout=60)
    assert client.reply().startswith("220")
    client.command("EHLO client.example")
    begin = time.monotonic()
    client.send(b"MAIL FROM:<somebody>\r\nRCPT TO:<alice>\r\n")
    assert client.reply().startswith("451 4.3.0")
    assert client.reply().startswith("503")
    assert 25 < time.monotonic() - begin < 45
    client.__exit__()


def test_stop():
    """Idle sessions hear 421, a transaction comes to its end, and who comes meanwhile is served by the next process."""
    with hello("local") as idle, hello("local") as busy:
        busy.command("MAIL FROM:<root>")
        busy.command("RCPT TO:<root>")
        pid = main_pid("local")
        os.kill(pid, signal.SIGTERM)
        assert idle.reply().startswith("421 4.3.2")
        assert idle.line() is None
        assert busy.command("DATA").startswith("354")
        busy.send(b"Subject: last\r\n\r\nx\r\n.\r\n")
        queue_id(busy.reply())
        assert busy.reply().startswith("421 4.3.2")
        assert busy.line() is None
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), what="end of the process")
    with hello("local") as client:
        assert client.command("NOOP").startswith("250")
    assert main_pid("local") != pid


def test_killed_a_hundred_times(users):
    """A hundred times in ten seconds: nothing stays failed, and mail goes on without anybody's help."""
    killed = 0
    for _ in range(100):
        with Client("local"):
            pid = main_pid("local")
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
            time.sleep(0.1)
    assert killed > 0
    client = Client("local", timeout=30)
    assert client.reply().startswith("220")
    client.command("EHLO client.example")
    queue_id(client.submit("root", ["root"], b"Subject: still here\r\n\r\nx\r\n"))
    client.__exit__()
    assert run("systemctl", "list-units", "--failed", "--no-legend", "--plain", "postd-smtpd*").stdout == ""


def test_a_process_for_one_connection(tmp_path):
    """The same program serves a connection that was accepted by somebody else, and ends with it."""
    path = str(tmp_path / "socket")
    server = subprocess.Popen(
        ["systemd-socket-activate", "--accept", f"--listen={path}", "--fdname=connection", "/usr/lib/postd/postd-smtpd", "--local", "local"],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: os.path.exists(path), what="socket")
        with hello(path) as client:
            queue_id(client.submit("root", ["root"], b"Subject: alone\r\n\r\nx\r\n"))
            assert client.command("QUIT").startswith("221")
            assert client.line() is None
    finally:
        server.terminate()
        server.wait(10)


def test_exposure():
    for listener, limit in (("local", 0.6), ("inject", 0.6), ("smtp", 0.4), ("lmtp", 0.4)):
        shown = run("systemd-analyze", "security", "--no-pager", f"postd-smtpd@{listener}.service").stdout
        assert float(re.search(r"Overall exposure level.*: ([0-9.]+)", shown)[1]) <= limit


def test_usage():
    program = "/usr/lib/postd/postd-smtpd"
    assert "LISTENER" in run(program, "--help").stdout
    assert re.fullmatch(r"postd-smtpd [0-9.]+\n", run(program, "--version").stdout)
    for arguments in ((), ("a", "b"), ("../x",), ("--no-such-option", "local"), ("--data-timeout=x", "local"), ("local",)):
        done = run(program, *arguments, check=False)
        assert done.returncode != 0 and done.stderr
