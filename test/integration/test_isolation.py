# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a delivery session that was taken over could do. The calls are made by a debugger inside the running session, so they
go through its system call filter, its name spaces and its Landlock rules."""

import errno
import os
import pathlib
import re
import shutil

import pytest

from conftest import run
from sessions import Session, letter

CLONE_NEWNS = 0x20000
AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK = 2, 10, 16, 17, 40


class Inside:
    """Calls made by the session itself."""

    def __init__(self, session):
        self.pid = int(run("systemctl", "show", "--value", "-p", "MainPID", session.unit).stdout)

    def call(self, *expressions):
        """Each is C with integer results; returns [(value, errno)]."""
        arguments = []
        for expression in expressions:
            arguments += ["-ex", f"print (long)({expression})", "-ex", "print *((int*(*)(void))__errno_location)()"]
        shown = run("gdb", "-q", "-nx", "-batch", "-p", str(self.pid), *arguments).stdout
        values = [int(v) for v in re.findall(r"^\$\d+ = (-?\d+)", shown, re.M)]
        assert len(values) == 2 * len(expressions), shown
        return list(zip(values[::2], values[1::2]))

    def open(self, *paths, flags=os.O_RDONLY):
        """errno of opening each, 0 where it works."""
        calls = [f'((int(*)(const char*,int,...))open)("{path}",{flags},0600)' for path in paths]
        return [error if value < 0 else 0 for value, error in self.call(*calls)]

    def syscall(self, number, *arguments):
        value, error = self.call(f"((long(*)(long,...))syscall)({number},{','.join(map(str, arguments or [0]))})")[0]
        return error if value < 0 else 0

    def status(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.fixture
def others(users):
    """Mail and files of other people, as open as they ever are."""
    pathlib.Path("/var/mail/bob").write_text("From x\n\nsecret\n\n")
    shutil.chown("/var/mail/bob", "bob", "mail")
    os.chmod("/var/mail/bob", 0o660)
    pathlib.Path("/home/bob").chmod(0o755)
    pathlib.Path("/home/bob/notes").write_text("readable for all\n")
    pathlib.Path("/home/alice/private").write_text("alice's own\n")
    shutil.chown("/home/alice/private", "alice", "alice")


@pytest.fixture(params=["mailbox", "home"])
def inside(request, others, mailbox):
    with Session("alice", request.param) as session:
        assert [r["result"] for r in session.deliver(letter())] == ["delivered"]
        inner = Inside(session)
        inner.kind = request.param
        yield inner
        assert [r["result"] for r in session.deliver(letter())] == ["delivered"]


def test_identity(users, inside):
    status = inside.status()
    alice = users["alice"]
    assert status["Uid"].split() == [str(alice.pw_uid)] * 4
    assert status["Gid"].split() == [str(alice.pw_gid)] * 4
    mail = [str(os.stat("/var/mail").st_gid)] if inside.kind == "mailbox" else []
    assert [group for group in status["Groups"].split() if group != str(alice.pw_gid)] == mail
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0


def test_files(inside):
    denied = [
        "/var/mail/bob", "/home/bob/notes", "/home/alice/private", "/etc/passwd", "/etc/shadow", "/var/spool/postd",
        "/proc/1/environ", "/proc/self/environ", "/dev/null", "/tmp", "/", "/run/postd",
    ]
    assert set(inside.open(*denied)) <= {errno.EACCES, errno.ENOENT, errno.EPERM}
    assert set(inside.open("/var/mail/bob", "/home/bob/notes", flags=os.O_WRONLY | os.O_APPEND)) <= {errno.EACCES, errno.EROFS, errno.ENOENT}
    pathlib.Path("/var/mail/made").unlink(missing_ok=True)
    made = ["/tmp/made", "/var/tmp/made", "/home/alice/made", "/dev/shm/made", "/home/alice/.bashrc2"]
    if inside.kind == "home":  # the other class makes dot locks there, which are empty files
        made.append("/var/mail/made")
    assert set(inside.open(*made, flags=os.O_CREAT | os.O_EXCL | os.O_WRONLY)) <= {errno.EACCES, errno.EROFS, errno.ENOENT}


def test_network(inside):
    families = [AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK]
    for value, error in inside.call(*[f"((int(*)(int,int,int))socket)({family},1,0)" for family in families]):
        assert value < 0 and error in (errno.EAFNOSUPPORT, errno.EPERM)
    assert os.readlink(f"/proc/{inside.pid}/ns/net") != os.readlink("/proc/1/ns/net")
    # Neither the bus nor PID 1 nor the spawner, even over AF_UNIX: they refuse the user.
    assert os.stat("/run/postd/io.postd.Spawn").st_mode & 0o077 == 0


def test_system_calls(inside):
    """A few that a break-out would need, by number (x86-64 and arm64)."""
    machine = os.uname().machine
    names = ["mount", "unshare", "bpf", "ptrace", "setuid", "msgget", "perf_event_open", "userfaultfd", "keyctl"]
    numbers = {
        "x86_64": [165, 272, 321, 101, 105, 68, 298, 323, 250],
        "aarch64": [40, 97, 280, 117, 146, 186, 241, 282, 219],
    }
    if machine not in numbers:
        pytest.skip(f"no numbers for {machine}")
    answers = {name: inside.syscall(number, CLONE_NEWNS, 0, 0, 0, 0) for name, number in zip(names, numbers[machine])}
    assert set(answers.values()) == {errno.EPERM}, answers


def test_signals(inside):
    """Not even other processes of the same user."""
    other = run("systemd-run", "--quiet", "--uid=alice", "--unit=test-other", "sleep", "60")
    assert other.returncode == 0
    pid = run("systemctl", "show", "--value", "-p", "MainPID", "test-other.service").stdout.strip()
    try:
        value, error = inside.call(f"((int(*)(int,int))kill)({pid},0)")[0]
        assert value < 0 and error in (errno.EPERM, errno.ESRCH)
    finally:
        run("systemctl", "stop", "test-other.service")


def test_programs(inside):
    value, error = inside.call('((int(*)(const char*,char**,char**))execve)("/bin/sh",0,0)')[0]
    assert value < 0 and error == errno.EACCES
