# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail that is accounted for: senders that remember what was accepted, and a count of what has come of it.

Every message has a serial number and the checksum of its body, so that each mailbox can be read as what it is: a list of
whole messages, or damaged."""

import collections
import contextlib
import hashlib
import os
import pathlib
import random
import re
import secrets
import signal
import socket
import subprocess
import threading
import time

from conftest import USERS, run
from queued import Queue
from varlink import VarlinkError

LOCAL = "/run/postd/local"
OFFLINE = pathlib.Path("/var/spool/postd-offline")
PROGRAMS = "/usr/lib/postd/"
BACKLOG = 400


class Load:
    """Senders in threads, until stop(). accepted: recipients by serial, for what got a 250 or exit 0."""

    def __init__(self, users=USERS, kinds=("sendmail", "sendmail", "smtp"), pause=0.0, seed=None, size=20000):
        self.run_id = secrets.token_hex(4)
        self.users = tuple(users)
        self.random = random.Random(seed)
        self.pause, self.size = pause, size
        self.accepted, self.refused = {}, collections.Counter()
        self.numbers = iter(range(1 << 40))
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.slowest = 0.0
        self.callers = {}
        self.enough = False  # is queued, so that the end is not spent on deliveries
        self.threads = [threading.Thread(target=self._work, args=(getattr(self, f"_{kind}"),)) for kind in kinds]
        self.threads.append(threading.Thread(target=self._watch))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "a caller of sendmail hangs"

    def message(self):
        with self.lock:
            serial = f"{self.run_id}-{next(self.numbers)}"
            lines = []
            for _ in range(self.random.choice((1, 5, 40))):
                start = self.random.choice(("From here on ", ">From there ", ".", "..", "", "plain ", "ünï ", "From: x"))
                lines.append(start + "x" * self.random.randrange(min(200, self.size)))
            if self.random.random() < 0.1:
                lines += ["y" * 70] * (self.size // 70)
            count = self.random.choice((1, 1, 1, 2, len(self.users)))
            recipients = self.random.sample(self.users, min(count, len(self.users)))
        body = "\n".join(lines) + "\n"
        digest = hashlib.sha256(body.encode()).hexdigest()
        return serial, recipients, f"Subject: load\nX-Serial: {serial}\nX-Sum: {digest}\n\n{body}"

    def _watch(self):
        while not self.stopping.wait(0.3):
            with contextlib.suppress(OSError, VarlinkError), Queue(timeout=5) as queue:
                self.enough = queue.status()["messages"] > BACKLOG

    def _work(self, send):
        while not self.stopping.is_set():
            if self.enough:
                time.sleep(0.05)
                continue
            serial, recipients, text = self.message()
            begun = time.monotonic()
            try:
                answer = send(recipients, text)
            except (OSError, EOFError) as error:
                answer = type(error).__name__
            with self.lock:
                if answer is None:
                    self.accepted[serial] = tuple(recipients)
                    self.slowest = max(self.slowest, time.monotonic() - begun)
                else:
                    self.refused[answer] += 1
            time.sleep(self.pause if answer is None else 0.05)

    def _sendmail(self, recipients, text):
        process = subprocess.Popen(
            ["/usr/sbin/sendmail", "-i", "-f", "root", "--", *recipients],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        with self.lock:
            self.callers[process.pid] = process
        try:
            _, errors = process.communicate(text.encode(), timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return "hangs"
        finally:
            with self.lock:
                del self.callers[process.pid]
        return None if process.returncode == 0 else f"sendmail {process.returncode} {errors.decode().strip()[:80]}"

    def _smtp(self, recipients, text):
        """One connection for one message. Nothing is tried again, so what is not answered may or may not arrive."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(LOCAL)
            lines = s.makefile("rb")

            def reply():
                while True:
                    line = lines.readline()
                    if not line.endswith(b"\n"):
                        raise EOFError
                    if line[3:4] != b"-":
                        return line.decode().strip()

            commands = ["EHLO load.example", "MAIL FROM:<root>", *(f"RCPT TO:<{r}>" for r in recipients), "DATA"]
            answer = reply()
            for command in commands:
                if answer[0] not in "23":
                    return f"smtp {answer[:60]}"
                s.sendall(command.encode() + b"\r\n")
                answer = reply()
            if answer[:3] != "354":
                return f"smtp {answer[:60]}"
            data = re.sub(rb"(?m)^\.", b"..", text.encode()).replace(b"\n", b"\r\n")
            s.sendall(data + b".\r\n")
            answer = reply()
            return None if answer[:3] == "250" else f"smtp {answer[:60]}"

    def kill_a_caller(self):
        """SIGKILL to a sendmail that runs just now: the caller sees no exit 0."""
        with self.lock:
            for process in self.callers.values():
                if process.poll() is None:
                    process.kill()
                    return True
        return False


def programs():
    """Processes of postd that run now: (pid, program)."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                path = os.readlink(f"/proc/{entry}/exe")
                if path.startswith(PROGRAMS):
                    found.append((int(entry), path.removeprefix(PROGRAMS).removesuffix(" (deleted)")))
    return found


def kill(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def offline_files():
    return [entry.name for entry in os.scandir(OFFLINE)]


def drain(timeout=90):
    """Waits until the queue and the offline directory are empty; root flushes, rather than to wait for retries."""
    deadline, pickup, flush = time.monotonic() + timeout, 0, 0
    while True:
        left, offline = "no answer", offline_files()
        with contextlib.suppress(OSError, VarlinkError), Queue(timeout=10) as queue:
            status = queue.status()
            left = status["messages"] if not status["loading"] else "loading"
            if not left and not offline:
                return
            if time.monotonic() > flush:
                queue.flush()
                flush = time.monotonic() + 2
        if offline and time.monotonic() > pickup:
            run("systemctl", "start", "--no-block", "postd-pickup.service", check=False)
            pickup = time.monotonic() + 5
        if time.monotonic() > deadline:
            raise AssertionError(f"still there after {timeout} s: {left} queued, offline {offline[:5]}")
        time.sleep(0.3)


QUOTED = re.compile(rb"(?m)^>(>*From )")
START = re.compile(rb"From \S+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n")


def read_mbox(path):
    """The messages of an mbox: (serial, queue id) each; anything that is not a whole message is an AssertionError."""
    try:
        data = pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        return []
    assert not data or data.endswith(b"\n\n"), f"{path} ends in the middle: {data[-100:]}"
    found, parts = [], re.split(rb"(?m)^(?=From )", data)
    assert parts[0] == b"", f"{path} begins with {parts[0][:100]}"
    for part in parts[1:]:
        assert START.match(part), f"{path}: {part[:100]}"
        assert part.endswith(b"\n\n"), f"{path}: no empty line before the next message: {part[-100:]}"
        header, separator, body = part.partition(b"\n\n")
        assert separator, f"{path}: no end of the header: {part[:200]}"
        serial = re.search(rb"(?m)^X-Serial: (\S+)$", header)
        if not serial:
            continue  # a report, or another's message
        digest = re.search(rb"(?m)^X-Sum: (\w+)$", header)[1].decode()
        body = QUOTED.sub(rb"\1", body[:-1])
        assert hashlib.sha256(body).hexdigest() == digest, f"{path}: {serial[1]} is damaged:\n{part[:300]}"
        queue_id = re.search(rb"\bid ([0-9a-z]{16})\b", header)
        found.append((serial[1].decode(), queue_id[1].decode()))
    return found


Account = collections.namedtuple("Account", "accepted delivered repeated unasked")


def account(load, directory="/var/mail"):
    """Everything accepted is there, whole; nothing is there from two submissions. Gives the numbers."""
    mailboxes = {user: read_mbox(f"{directory}/{user}") for user in load.users}
    missing, repeated, delivered = [], 0, 0
    origins = collections.defaultdict(set)
    for user, messages in mailboxes.items():
        counts = collections.Counter(serial for serial, _ in messages)
        for serial, queue_id in messages:
            origins[serial, user].add(queue_id)  # recipients that were not taken at first may come by another way
        delivered += len(counts)
        repeated += sum(count - 1 for count in counts.values())
        missing += [(serial, user) for serial, users in load.accepted.items() if user in users and serial not in counts]
    assert not missing, f"{len(missing)} of {len(load.accepted)} accepted messages are lost: {missing[:5]}"
    twice = {copy: ids for copy, ids in origins.items() if len(ids) > 1}
    assert not twice, f"queued twice: {dict(list(twice.items())[:5])}"
    mine = {serial for serial, _ in origins if serial.startswith(load.run_id)}
    return Account(len(load.accepted), delivered, repeated, len(mine - set(load.accepted)))


def clear_mailboxes(users=USERS):
    for user in users:
        for name in (user, f"{user}.lock"):
            pathlib.Path("/var/mail", name).unlink(missing_ok=True)
