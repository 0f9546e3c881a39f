# SPDX-License-Identifier: LGPL-2.1-or-later
"""One user does their worst with the sockets that everybody may connect to; root's calls and mail take less than two
seconds all the same, and the memory that it costs has an end."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import run
from queued import Queue, loaded, main_pid, queue, rss, seconds, submit  # noqa: F401

MIB = 1 << 20
WORST = 2.0

# Runs as the user; says "ready" and goes on until its input ends. Arguments: what to do, a path, a number, an id.
CLIENT = r"""
import json, os, resource, select, socket, sys, time

what, path, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

def call(method, more=False, **parameters):
    return json.dumps({"method": "io.postd.Queue." + method, "parameters": parameters, "more": more}).encode() + b"\0"

data = {
    "idle": b"",
    "half": b'{"method":"io.postd.Queue.Show","parameters":{"id":"' + b"a" * (15 << 20),
    "list": call("List", True),
    "monitor": call("Monitor", True),
    "show": call("Show", id=sys.argv[4] if len(sys.argv) > 4 else ""),
    "hold": call("Hold", id=sys.argv[4] if len(sys.argv) > 4 else ""),
    "smtp-half": b"EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<root>\r\nDATA\r\nSubject: half\r\n" + b"x" * 70 + b"\r\n",
    "smtp-deaf": b"NOOP\r\n" * 20000,
    "again": call("Hold", id=sys.argv[4] if len(sys.argv) > 4 else ""),
}[what]

links, refused = [], 0

def one():
    global refused
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(False)
    try:
        s.connect(path)
    except OSError:
        refused += 1
        s.close()
        return
    links.append([s, data])

def pump(timeout):
    global refused
    pending = {l[0].fileno(): l for l in links if l[1]}
    poll = select.poll()
    for fd in pending:
        poll.register(fd, select.POLLOUT)
    for fd, _ in poll.poll(timeout * 1000):
        l = pending[fd]
        try:
            l[1] = l[1][l[0].send(l[1][:1 << 20]):]
        except BlockingIOError:
            pass
        except OSError:
            refused += 1
            l[1] = b""

deadline = time.monotonic() + 10
if what == "again":
    # Asks and hangs up, as fast as it can.
    print("ready", flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
        s = socket.socket(socket.AF_UNIX)
        s.setblocking(False)
        try:
            s.connect(path)
            s.send(data)
        except OSError:
            time.sleep(0.001)
        s.close()
    sys.exit()
for i in range(number):
    one()
    if time.monotonic() > deadline:
        break
    if i % 50 == 49:
        pump(0)
while any(l[1] for l in links) and time.monotonic() < deadline:
    pump(0.1)
print("ready", flush=True)
end = time.monotonic() + 120
while time.monotonic() < end and not select.select([sys.stdin], [], [], 0.05)[0]:
    if what == "show":
        for l in links:
            try:
                while l[0].recv(1 << 20):
                    pass
            except BlockingIOError:
                pass
            except OSError:
                continue
            if not l[1]:
                l[1] = data
        pump(0)
"""


# Runs as the user: sends calls to the bus and reads no reply.
BUS_CLIENT = r"""
import os, socket, struct, sys, time

def text(s):
    return struct.pack("<I", len(s)) + s.encode() + b"\0"

def pad(b, n):
    return b + b"\0" * (-len(b) % n)

def field(code, kind, s):
    value = text(s) if kind != "g" else bytes([len(s)]) + s.encode() + b"\0"
    return bytes([code, 1]) + kind.encode() + b"\0" + value

def call(serial, destination, path, interface, member, signature="", *arguments):
    body = b""
    for a in arguments:
        body = pad(body, 4) + text(a)
    fields = b""
    for f in [(1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination)] + ([(8, "g", signature)] if signature else []):
        fields = pad(fields, 8) + field(*f)
    return pad(b"l\1\0\1" + struct.pack("<III", len(body), serial, len(fields)) + fields, 8) + body

s = socket.socket(socket.AF_UNIX)
s.connect("/run/dbus/system_bus_socket")
s.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
assert s.recv(1000).startswith(b"OK")
s.sendall(b"BEGIN\r\n" + call(1, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"))
for i in range(100):
    s.sendall(call(2 + i, "io.postd.Queue1", "/io/postd/Queue1", "io.postd.Queue1", "Hold", "ss", sys.argv[1], "x"))
time.sleep(1)
print("ready", flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def client(what, path, number, *arguments, user="alice"):
    process = subprocess.Popen(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", sys.executable, "-c", CLIENT, what, path, str(number), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()


@pytest.fixture
def most_files():
    """What root may open, for those who are started by a test."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def slowest_call(message_id, times=5):
    """What root may ask for, and a submission: the time of the slowest."""
    worst = 0
    for _ in range(times):
        begun = time.monotonic()
        with Queue(timeout=30) as q:
            took = [time.monotonic() - begun]
            took.append(seconds(lambda: q.status()))
            took.append(seconds(lambda: q.list(limit=50)))
            took.append(seconds(lambda: q.show(id=message_id)))
            took.append(seconds(lambda: q.hold(id=message_id)))
            took.append(seconds(lambda: q.release(id=message_id)))
        took.append(seconds(submit))
        worst = max(worst, *took)
        time.sleep(0.1)
    return worst


QUEUE = "/run/postd/io.postd.Queue"


@pytest.mark.parametrize("what,number", [("idle", 10000), ("half", 200), ("list", 1000), ("monitor", 1000)])
def test_connections(queue, users, most_files, record_property, what, number):
    mine = submit()
    for _ in range(10):
        submit(user="alice", recipients=[{"address": f"{i:060}@{'e' * 60}.elsewhere.example"} for i in range(1000)])
    with client(what, QUEUE, number):
        worst = slowest_call(mine)
        memory = rss(main_pid())
        if what == "monitor":
            for _ in range(300):
                submit(user="alice")
            worst = max(worst, slowest_call(mine, 2))
    record_property("worst", worst)
    print(f"{what}: root's slowest call took {worst:.2f} s, resident {memory / MIB:.0f} MiB")
    assert worst < WORST
    assert memory < 700 * MIB  # 32 connections with 16 MiB each, and what the queue needs
    assert loaded()


def test_busy_connections(queue, users, most_files):
    """Every connection asks for the longest message again and again."""
    mine = submit()
    longest = submit(user="alice", recipients=[{"address": f"r{i}@elsewhere.example"} for i in range(10000)])
    with client("show", QUEUE, 1000, longest):
        worst = slowest_call(mine)
    print(f"show: {worst:.2f} s at worst")
    assert worst < WORST


def test_questions_left_behind(queue, users):
    """Callers who hang up before polkit has answered leave nothing behind."""
    mine, theirs = submit(), submit(user="bob")
    run("systemctl", "start", "polkit.service")
    polkit = main_pid("polkit.service")
    os.kill(polkit, signal.SIGSTOP)
    try:
        before = rss(main_pid())
        with client("again", QUEUE, 0, theirs):
            time.sleep(6)
            worst = slowest_call(mine)
            memory = rss(main_pid())
    finally:
        os.kill(polkit, signal.SIGCONT)
    print(f"questions left behind: {worst:.2f} s at worst, {(memory - before) / MIB:.1f} MiB more")
    assert worst < WORST
    assert memory < before + 20 * MIB


def test_calls_on_the_bus(queue, users):
    """A user with many calls that wait for polkit does not use up what root's calls on the bus need."""
    mine, theirs = submit(), submit(user="bob")
    run("systemctl", "start", "polkit.service")
    polkit = main_pid("polkit.service")
    os.kill(polkit, signal.SIGSTOP)
    flood = []
    try:
        for _ in range(4):
            command = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", sys.executable, "-c", BUS_CLIENT, theirs]
            flood.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        for process in flood:
            process.stdout.readline()
        begun = time.monotonic()
        done = run("busctl", "--timeout=5", "call", "io.postd.Queue1", "/io/postd/Queue1", "io.postd.Queue1", "Hold", "ss", mine, "x", check=False)
        took = time.monotonic() - begun
    finally:
        os.kill(polkit, signal.SIGCONT)
        for process in flood:
            process.kill()
            process.wait()
    assert done.returncode == 0, done.stderr
    assert took < WORST
