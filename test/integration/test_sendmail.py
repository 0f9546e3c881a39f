# SPDX-License-Identifier: LGPL-2.1-or-later
"""The sendmail interface: what it answers, and what becomes of a message when the receiver fails in every way it can.

A server that fails on demand stands in for the receiver, in a mount namespace of its own; everything else is real.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import uuid

import pytest

from conftest import run, wait_until

OFFLINE = "/var/spool/postd-offline"


class Receiver:
    """An SMTP server on DIRECTORY/local that does as it is told.

    say maps a verb ("greeting", "EHLO", "MAIL", "RCPT", "DATA", ".") to a reply, a function of the line that gives one,
    "close" or "hang".
    """

    capabilities = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "XPOSTDTOKEN")

    def __init__(self, directory, name="local", **say):
        self.say = say
        self.envelopes = []
        self.messages = []
        self.path = pathlib.Path(directory) / name
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(self.path))
        os.chmod(self.path, 0o666)
        self.server.listen(8)
        self.connections = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.server.close()
        for connection in self.connections:
            connection.close()
        self.path.unlink(missing_ok=True)

    def _serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _answer(self, connection, verb, line, default):
        reply = self.say.get(verb, default)
        if callable(reply):
            reply = reply(line) or default
        if reply == "hang":
            time.sleep(300)
        if reply == "close":
            connection.shutdown(socket.SHUT_RDWR)
            return None
        connection.sendall(reply.encode() + b"\r\n")
        return reply

    def _session(self, connection):
        try:
            self._dialogue(connection, connection.makefile("rb"))
        except OSError:
            pass
        finally:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _dialogue(self, connection, lines):
        if not self._answer(connection, "greeting", "", "220 test ESMTP"):
            return
        mail, rcpts = False, 0
        ehlo = "\r\n".join([*(f"250-{c}" for c in ("test", *self.capabilities[:-1])), f"250 {self.capabilities[-1]}"])
        for raw in lines:
            line = raw.decode().rstrip("\r\n")
            verb = line.split(" ")[0].upper()
            if verb in ("MAIL", "RCPT"):
                if verb == "MAIL":
                    self.envelopes.append([])
                self.envelopes[-1].append(line)
            default = {"EHLO": ehlo, "DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 2.0.0 fine")
            if (verb == "RCPT" and not mail) or (verb == "DATA" and not rcpts):
                connection.sendall(b"503 5.5.1 not now\r\n")
                continue
            reply = self._answer(connection, verb, line, default)
            if reply is None or verb == "QUIT":
                return
            good = reply.startswith("2")
            if verb in ("MAIL", "RSET"):
                mail, rcpts = good and verb == "MAIL", 0
            elif verb == "RCPT":
                rcpts += good
            elif verb == "DATA":
                mail, rcpts = False, 0
            if verb == "DATA" and reply.startswith("354"):
                content = []
                for part in lines:
                    if part == b".\r\n":
                        break
                    content.append(part[1:] if part.startswith(b".") else part)
                else:
                    return
                self.messages.append(b"".join(content))
                if not self._answer(connection, ".", "", "250 2.0.0 queued"):
                    return


@pytest.fixture
def world(tmp_path, users):
    """world(…): a Receiver and an empty offline directory, which run() shows to the program in place of the real ones."""

    class World:
        def __init__(self):
            self.run_dir = tmp_path / "run"
            self.offline = tmp_path / "offline"
            self.run_dir.mkdir(mode=0o755)
            self.offline.mkdir()
            shutil.chown(self.offline, "postd-pickup", "postd-offline")
            self.offline.chmod(0o3733)
            for part in (tmp_path, *tmp_path.parents):
                part.chmod(part.stat().st_mode | 0o711)
            self.receiver = None

        def serve(self, name="local", **say):
            self.receiver = Receiver(self.run_dir, name, **say)
            return self.receiver

        def run(self, *argv, prepare="true", user="bob", **options):
            script = f'mount --bind "$1" /run/postd; mount --bind "$2" {OFFLINE}; {prepare}; shift 2; exec "$@"'
            setpriv = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups")
            return run(
                *("unshare", "--mount", "sh", "-ec", script, "sh", self.run_dir, self.offline, *setpriv, *argv), **options
            )

        def sendmail(self, *arguments, message="Subject: test\n\nHello.\n", **options):
            return self.run("/usr/sbin/sendmail", *arguments, input=message, **options)

        def files(self):
            return [p for p in self.offline.iterdir() if not p.name.startswith(".")]

        def fields(self, index=0):
            """The fields of an offline file as a list of (name, value), and the message."""
            data = self.files()[index].read_bytes()
            first, rest = data.split(b"\n", 1)
            header, size = (int(n) for n in first.split()[2:])
            fields, content = rest[:header], rest[header:]
            assert len(content) == size
            found = []
            while fields:
                name, length, fields = re.fullmatch(rb"(\w+) (\d+):(.*)", fields, re.S).groups()
                found.append((name.decode(), fields[: int(length)].decode()))
                fields = fields[int(length) + 1 :]
            return found, content

    w = World()
    yield w
    if w.receiver:
        w.receiver.close()


def token_of(mail):
    return re.search(r"XPOSTDTOKEN=(\w+)", mail).group(1).lower()


# With a receiver.


def test_envelope(world):
    r = world.serve()
    world.sendmail("-f", "joe@example.com", "-N", "never", "-R", "hdrs", "-V", "a+b", "alice", "Carol <carol@example.com>, dave")
    mail, *rcpts = r.envelopes[0]
    assert mail.startswith("MAIL FROM:<joe@example.com> ")
    assert "RET=HDRS" in mail and "ENVID=a+2Bb" in mail and "SIZE=" in mail and len(token_of(mail)) == 32
    assert rcpts == [f"RCPT TO:<{a}> NOTIFY=NEVER" for a in ("alice", "carol@example.com", "dave")]


def test_sender_is_the_caller(world):
    r = world.serve()
    world.sendmail("alice")
    assert r.envelopes[0][0].startswith("MAIL FROM:<bob> ")
    assert b"From: <bob>\r\n" in r.messages[0]
    assert re.search(rb"^Date: \w{3}, \d\d \w{3} 2\d{3} ", r.messages[0], re.M)


@pytest.mark.parametrize("sender", ["<>", ""])
def test_null_sender(world, sender):
    r = world.serve()
    world.sendmail("-f", sender, "alice")
    assert r.envelopes[0][0].startswith("MAIL FROM:<> ")


def test_full_name(world):
    r = world.serve()
    world.sendmail("-F", 'Joe "Q" Öz', "alice")
    world.sendmail("-F", "Joe", "alice", message="From: me\n\n")
    assert b"From: =?utf-8?B?" in r.messages[0]
    assert r.messages[1].startswith(b"From: me\r\n")


def test_header_recipients(world):
    r = world.serve()
    message = 'To: "A, B" <alice>, bob (me)\nCc: group: carol, alice;\nBcc: dave@example.com\nSubject: x\n\nTo: nobody\n'
    world.sendmail("-t", "eve", "bob", message=message)
    assert [line[9:-1] for line in r.envelopes[0][1:]] == ["eve", "bob", "alice", "carol", "dave@example.com"]
    assert b"Bcc" not in r.messages[0] and b"dave" not in r.messages[0]
    assert b"\r\n\r\nTo: nobody\r\n" in r.messages[0]


@pytest.mark.parametrize(
    "options, given, body",
    [
        ((), "\na\n.\nb\n", b"a\r\n"),
        (("-i",), "\na\n.\nb\n", b"a\r\n.\r\nb\r\n"),
        (("-oi",), "\na\n.\n..\n...\n", b"a\r\n.\r\n..\r\n...\r\n"),
        ((), "\na\n..\n.b\n", b"a\r\n..\r\n.b\r\n"),
        ((), "\r\na\r\n.\r\nb\r\n", b"a\r\n"),
        ((), "\na\n.", b"a\r\n"),
        ((), "\nno line end", b"no line end\r\n"),
        ((), "no header at all\n", b"no header at all\r\n"),
        ((), "", b""),
    ],
)
def test_body(world, options, given, body):
    r = world.serve()
    world.sendmail(*options, "alice", message=given)
    assert r.messages[0].partition(b"\r\n\r\n")[2] == body


def test_eight_bits_and_long_lines(world):
    r = world.serve()
    body = "ä" * 5000 + "\n" + "\x00\x01" + "x" * 70000 + "\n"
    world.sendmail("alice", message=f"Subject: ü\n\n{body}")
    assert "BODY=8BITMIME" in r.envelopes[0][0]
    assert r.messages[0].partition(b"\r\n\r\n")[2] == body.replace("\n", "\r\n").encode()


def test_large_message(world):
    r = world.serve()
    r.capabilities = ("SIZE 20000000", "XPOSTDTOKEN")
    body = ("x" * 75 + "\n") * 100000
    world.sendmail("alice", message=f"\n{body}")
    assert r.messages[0].partition(b"\r\n\r\n")[2] == body.replace("\n", "\r\n").encode()


def test_too_large(world):
    world.serve()
    for n in (999990, 3000000):
        done = world.sendmail("alice", message="\n" + "x" * n, check=False)
        assert done.returncode == 69 and "larger" in done.stderr
    assert world.files() == []


# Answers.


@pytest.mark.parametrize(
    "arguments, message, status, text",
    [
        ((), "", 64, "No recipients"),
        (("-t",), "Subject: x\n\n", 64, "no address"),
        (("-Z", "alice"), "", 64, "unknown option: -Z"),
        (("-bd",), "", 64, "not supported"),
        (("-f", "two words", "alice"), "", 64, "no mail address"),
        (("-V", "x" * 101, "alice"), "", 64, "too long"),
        (("two words",), "", 67, "two words: 553 5.1.3"),
        (("-t",), "To: two words\n\n", 67, "two words: 553 5.1.3"),
    ],
)
def test_usage_errors(world, arguments, message, status, text):
    world.serve()
    done = world.sendmail(*arguments, message=message, check=False)
    assert done.returncode == status and text in done.stderr
    done = world.sendmail("-oeq", *arguments, message=message, check=False)
    if status == 67:
        assert done.returncode == status and done.stderr == ""


def test_unknown_recipient(world):
    world.serve(RCPT="550 5.1.1 No such user here")
    done = world.sendmail("nobody", check=False)
    assert done.returncode == 67 and "nobody: 550 5.1.1 No such user here" in done.stderr
    assert world.files() == []


def test_some_recipients_are_refused(world):
    r = world.serve(RCPT=lambda line: "550 5.1.1 No such user" if "<no" in line else None)
    done = world.sendmail("alice", "nobody", "carol", "nowhere", check=False)
    assert done.returncode == 67 and "nobody: 550" in done.stderr and "nowhere: 550" in done.stderr
    assert "alice" not in done.stderr and len(r.messages) == 1
    assert world.files() == []


@pytest.mark.parametrize("verb", ["MAIL", "DATA", "."])
def test_message_is_refused(world, verb):
    world.serve(**{verb: "554 5.7.1 Not this\x1b[31m one"})
    done = world.sendmail("alice", "carol", check=False)
    assert done.returncode == 69 and "554 5.7.1 Not this" in done.stderr and "\x1b" not in done.stderr
    assert world.files() == []


# The receiver fails: the message waits in the offline directory, once.

FAILURES = {
    "nobody-listens": None,
    "closes-at-once": {"greeting": "close"},
    "full": {"greeting": "421 4.3.2 too many connections"},
    "refuses": {"greeting": "554 5.3.2 no"},
    "speaks-no-smtp": {"greeting": "SSH-2.0-x"},
    "closes-after-ehlo": {"EHLO": "close"},
    "closes-after-mail": {"MAIL": "close"},
    "mail-later": {"MAIL": "452 4.3.1 disk full"},
    "all-rcpt-later": {"RCPT": "451 4.3.0 lookup failed"},
    "closes-after-rcpt": {"RCPT": "close"},
    "data-later": {"DATA": "451 4.3.0 not now"},
    "closes-after-data": {"DATA": "close"},
    "closes-after-dot": {".": "close"},
    "later-after-dot": {".": "451 4.3.0 queue manager is gone"},
    "stops-after-dot": {".": "421 4.3.2 going down"},
}


@pytest.mark.parametrize("failure", FAILURES)
def test_kept_when_the_receiver_fails(world, failure):
    if FAILURES[failure] is not None:
        world.serve(**FAILURES[failure])
    world.sendmail("-f", "joe", "alice", "carol", message="Subject: x\nBcc: y\n\nHello.\n")
    assert len(world.files()) == 1
    fields, content = world.fields()
    assert ("sender", "joe") in fields
    assert [v for n, v in fields if n == "recipient"] == ["alice", "carol"]
    assert content.startswith(b"Subject: x\r\n") and content.endswith(b"\r\n\r\nHello.\n")
    assert b"Bcc" not in content and b"Date: " in content
    if world.receiver and world.receiver.envelopes and failure != "all-rcpt-later":
        assert dict(fields)["token"] == token_of(world.receiver.envelopes[0][0])


def test_file_of_the_caller(world):
    world.sendmail("alice", prepare="umask 0777")
    s = world.files()[0].stat()
    assert s.st_mode & 0o7777 == 0o640
    import grp
    import pwd

    assert pwd.getpwuid(s.st_uid).pw_name == "bob" and grp.getgrgid(s.st_gid).gr_name == "postd-offline"


def test_some_recipients_come_later(world):
    """Those that were taken do not get a second copy, and the others are not lost: another token."""
    r = world.serve(RCPT=lambda line: "451 4.3.0 later" if "carol" in line else "550 5.1.1 no" if "dave" in line else None)
    done = world.sendmail("alice", "carol", "dave", check=False)
    assert done.returncode == 67 and "dave" in done.stderr and "carol" not in done.stderr
    fields, _ = world.fields()
    assert [v for n, v in fields if n == "recipient"] == ["carol"]
    assert dict(fields)["token"] != token_of(r.envelopes[0][0])


def test_lost_answer_with_recipients_that_come_later(world):
    r = world.serve(**{"RCPT": lambda line: "451 4.3.0 later" if "carol" in line else None, ".": "close"})
    world.sendmail("alice", "carol")
    found = {}
    for i in range(2):
        fields, _ = world.fields(i)
        found[dict(fields)["recipient"]] = dict(fields)["token"]
    assert found["alice"] == token_of(r.envelopes[0][0]) != found["carol"]


@pytest.mark.parametrize("failure", [{"greeting": "hang"}, {"EHLO": "hang"}])
def test_silent_receiver(world, failure):
    world.serve(**failure)
    start = time.monotonic()
    world.sendmail("alice")
    assert time.monotonic() - start < 12 and len(world.files()) == 1


def test_full_backlog(world):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(world.run_dir / "local"))
    os.chmod(world.run_dir / "local", 0o666)
    server.listen(0)
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for s in waiting:
        s.setblocking(False)
        s.connect_ex(str(world.run_dir / "local"))
    start = time.monotonic()
    world.sendmail("alice")
    assert time.monotonic() - start < 12 and len(world.files()) == 1


@pytest.mark.parametrize(
    "prepare",
    [f"umount {OFFLINE}; mount -t tmpfs -o ro tmpfs {OFFLINE}", "mount -t tmpfs tmpfs /var/spool"],
    ids=["read-only", "missing"],
)
def test_neither_socket_nor_directory(world, prepare):
    start = time.monotonic()
    done = world.sendmail("alice", prepare=prepare, check=False)
    assert done.returncode == 75 and "not accepted" in done.stderr and OFFLINE in done.stderr
    assert time.monotonic() - start < 10


def test_disk_full(world):
    prepare = f"mount -t tmpfs -o size=16k,mode=3733 tmpfs {OFFLINE}; head -c 12288 /dev/zero >{OFFLINE}/.fill"
    done = world.sendmail("alice", prepare=prepare, message="\n" + "x" * 20000, check=False)
    assert done.returncode == 75 and "No space left" in done.stderr


def test_without_proc(world):
    world.sendmail("alice", prepare="mount -t tmpfs tmpfs /proc")
    assert len(world.files()) == 1


def test_without_linkat(world, systemd_run):
    """Where a file without a name cannot get one."""
    paths = {"BindPaths": f"{world.run_dir}:/run/postd {world.offline}:{OFFLINE}"}
    filter_ = {"SystemCallFilter": "~linkat", "SystemCallErrorNumber": "EPERM"}
    systemd_run({"User": "bob", **paths, **filter_}, "sendmail", "alice", input="\nbody\n")
    fields, content = world.fields()
    assert ("recipient", "alice") in fields and content.endswith(b"\r\n\r\nbody\n")
    assert len(list(world.offline.iterdir())) == 1


def test_killed_while_reading(world):
    """Whoever is killed before the answer has accepted nothing, and leaves nothing that is picked up."""
    done = world.run("sh", "-c", "(printf 'Subject: x\\n\\n'; sleep 3) | timeout -s KILL 1 sendmail alice", check=False)
    assert done.returncode != 0 and world.files() == []


# -bs


def test_bs(world):
    r = world.serve()
    dialogue = "EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<alice>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n"
    for given in (dialogue, dialogue.replace("\r\n", "\n")):
        done = world.run("sendmail", "-bs", "-odb", "-oem", input=given)
        assert done.stdout.startswith("220 ") and "354 " in done.stdout and "221 " in done.stdout
    assert r.messages == [b"Subject: x\r\n\r\n"] * 2


@pytest.mark.parametrize("failure", [None, {"greeting": "close"}, {"greeting": "421 4.3.2 no"}])
def test_bs_unreachable(world, failure):
    if failure:
        world.serve(**failure)
    done = world.run("sendmail", "-bs", input="QUIT\r\n", check=False)
    assert done.returncode == 75 and done.stdout.startswith("421 ")


# -bv, -bp, -bi


def test_bv(world):
    r = world.serve(RCPT=lambda line: "550 5.1.1 No such user" if "nobody" in line else None)
    done = world.sendmail("-bv", "alice", message="")
    assert done.stdout == "alice: would be taken\n"
    done = world.sendmail("-bv", "alice", "nobody", message="", check=False)
    assert done.returncode == 67 and "nobody: 550" in done.stdout and "alice: would be taken" in done.stdout
    assert r.messages == []


def test_applets(users):
    for command in ("mailq", "/usr/bin/newaliases", "/usr/sbin/sendmail", "/usr/lib/sendmail"):
        assert "postd" in run(command, "--version").stdout
        assert "sendmail" in run(command, "--help").stdout
    assert run("newaliases").stdout == ""
    assert os.stat("/usr/sbin/sendmail").st_mode & 0o7777 == 0o755


# With the real receiver.


def test_real_delivery(sendmail, mailbox, journal):
    box = mailbox("alice")
    sendmail("-F", "Bob B.", "alice", message="Subject: real\n\n.hidden\n..\nend\n", user="bob")
    m = box.wait()[0]
    assert m.get_payload().splitlines() == [".hidden", "..", "end"]
    assert m["From"].startswith('"Bob B." <bob@') and m["Return-Path"].startswith("<bob@")
    assert f"uid {os.stat('/home/bob').st_uid}" in m["Received"]


def test_real_unknown_user(sendmail, users):
    done = sendmail("no-such-user", user="bob", check=False)
    assert done.returncode == 67 and "no-such-user" in done.stderr


def test_real_large_message(sendmail, users):
    start = time.monotonic()
    done = sendmail("alice", user="bob", message="\n" + ("x" * 75 + "\n") * 800000, check=False)
    assert done.returncode == 69 and "larger" in done.stderr
    assert time.monotonic() - start < 30


def test_offline_and_back(sendmail, mailbox, journal):
    """While the receiver is down mail is taken all the same, and arrives when it is back."""
    box = mailbox("alice")
    sockets = ("postd-smtpd@local.socket", "postd-smtpd@inject.socket")
    run("systemctl", "stop", *sockets, "postd-smtpd@local.service", "postd-smtpd@inject.service")
    try:
        tag = uuid.uuid4().hex
        sendmail("alice", message=f"Subject: {tag}\n\n", user="bob")
        assert box.messages() == []
    finally:
        run("systemctl", "start", *sockets)
    m = wait_until(lambda: [m for m in box.messages() if m["Subject"] == tag], timeout=90)[0]
    assert "bob@" in m["From"] and f"uid {os.stat('/home/bob').st_uid}" in m["Received"]
    journal.wait(MESSAGE_ID="24592e081f9f423fa7d70a2ed0bf75c3")
    assert len(box.messages()) == 1
