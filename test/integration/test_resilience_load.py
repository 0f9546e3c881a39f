# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mail under load while the rest of the system is reloaded, executed anew, stopped or hung: nothing is lost, and what has
nothing to do with the trouble goes on.

RESILIENCE_SECONDS=60 makes each trouble last longer (4 otherwise)."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from conftest import run, wait_until
from load import Load, account, clear_mailboxes, drain, read_mbox
from queued import Queue, failed_units, main_pid, property_of

SECONDS = float(os.environ.get("RESILIENCE_SECONDS", "4"))
pytestmark = pytest.mark.timeout(120 + 4 * SECONDS)


@pytest.fixture
def load(users, record_property):
    """Mail to all users by sendmail and SMTP; afterwards all of it has to be there."""
    with Queue() as queue:
        queue.clear()
    drain()
    clear_mailboxes()
    with Load(kinds=("sendmail", "smtp"), pause=0.02, size=2000) as senders:
        yield senders
    drain()
    assert failed_units() == []
    result = account(senders)
    print(f"\n{result}, not accepted: {dict(senders.refused)}, slowest {senders.slowest:.2f} s")
    record_property("account", str(result))
    assert result.accepted > 5 and result.repeated == 0


def accepted_during(load, function):
    """How many messages were accepted while the function ran."""
    before = len(load.accepted)
    function()
    return len(load.accepted) - before


def repeat(*command):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        run(*command)


def test_daemon_reload(load):
    pid = main_pid()
    assert accepted_during(load, lambda: repeat("systemctl", "daemon-reload")) > 5
    assert main_pid() == pid and not load.refused


def test_daemon_reexec(load):
    pid = main_pid()
    assert accepted_during(load, lambda: repeat("systemctl", "daemon-reexec")) > 5
    assert main_pid() == pid and not load.refused


def test_reload_of_the_configuration(load):
    assert accepted_during(load, lambda: repeat("systemctl", "reload", "postd-queued.service")) > 5
    assert not load.refused


def test_restart_of_the_queue_manager(load):
    """An orderly restart is not noticed by anybody but for the time it takes."""

    def restarts():
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            run("systemctl", "restart", "postd-queued.service")
            time.sleep(0.5)

    assert accepted_during(load, restarts) > 5
    load.stop()
    assert [k for k in load.refused if not k.startswith("smtp 451")] == [], load.refused


def test_stop_and_start_of_the_target(load):
    def stops():
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            run("systemctl", "stop", "postd.target")
            time.sleep(0.3)
            run("systemctl", "start", "postd.target")
            time.sleep(0.3)

    stops()
    assert accepted_during(load, lambda: time.sleep(2)) > 5


def test_everything_stopped(load):
    """With all of postd's units stopped sendmail still takes mail: it waits in the offline directory."""
    listed = run("systemctl", "list-units", "--plain", "--no-legend", "postd*.socket", "postd*.path", "postd*.timer").stdout
    triggers = [line.split()[0] for line in listed.splitlines()]
    listed = run("systemctl", "list-units", "--plain", "--no-legend", "postd*.service").stdout
    services = [line.split()[0] for line in listed.splitlines()]
    try:
        run("systemctl", "stop", *triggers)
        run("systemctl", "stop", *services, check=False)  # some of the sessions have ended by now
        assert accepted_during(load, lambda: time.sleep(2)) > 3
    finally:
        run("systemctl", "start", *triggers, "postd-queued.service")
    assert accepted_during(load, lambda: time.sleep(2)) > 5


def test_no_bus(load):
    """Sessions of delivery need PID 1, which needs the bus only for others: acceptance does not."""
    try:
        run("systemctl", "stop", "dbus.socket", "dbus.service")
        assert accepted_during(load, lambda: time.sleep(SECONDS)) > 5
    finally:
        run("systemctl", "start", "dbus.socket", "dbus.service")
    assert not load.refused


def test_no_polkit(load):
    run("systemctl", "mask", "--runtime", "--now", "polkit.service")
    try:
        assert accepted_during(load, lambda: time.sleep(1)) > 5
    finally:
        run("systemctl", "unmask", "--runtime", "polkit.service")
    assert not load.refused


@contextlib.contextmanager
def stopped(unit):
    pid = main_pid(unit)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_journal_hangs(load):
    """Mail is accepted and delivered all the same."""

    def delivered():
        return len(read_mbox("/var/mail/alice"))

    time.sleep(0.5)
    with stopped("systemd-journald.service"):
        time.sleep(0.5)
        before = delivered()
        # What others of the system do with the journal is not our business: PID 1 and sendmail go on too.
        assert accepted_during(load, lambda: time.sleep(SECONDS)) > 5
        wait_until(lambda: delivered() > before, 10, "deliveries")
    assert load.slowest < 5


@pytest.mark.parametrize("program", ["postd-spawnd.service", "postd-users.service"])
def test_a_program_hangs(load, program):
    """Acceptance goes on without deliveries; known users are known for a while."""
    time.sleep(1)
    pid = main_pid(program)
    assert pid, f"{program} does not run under load"
    with stopped(program):
        assert accepted_during(load, lambda: time.sleep(SECONDS)) > 5


NSS = r"""
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

enum nss_status _nss_hang_getpwnam_r(const char *name, struct passwd *p, char *buffer, size_t size, int *error) {
        (void) p, (void) buffer, (void) size;
        if (strcmp(name, "hanging") == 0)
                sleep(60);
        *error = ENOENT;
        return NSS_STATUS_NOTFOUND;
}
"""


@pytest.fixture
def hanging_nss(tmp_path):
    """A module of which the look-up of one name takes a minute."""
    source, nsswitch = tmp_path / "hang.c", pathlib.Path("/etc/nsswitch.conf")
    source.write_text(NSS)
    before = nsswitch.read_text()
    library = pathlib.Path(run("gcc", "-print-multiarch").stdout.strip())
    module = pathlib.Path("/usr/lib", library, "libnss_hang.so.2")
    run("gcc", "-shared", "-fPIC", "-Wall", "-o", tmp_path / "hang.so", source)
    shutil.copy(tmp_path / "hang.so", module)
    lines = [f"{line} hang" if line.startswith("passwd:") else line for line in before.splitlines()]
    nsswitch.write_text("\n".join(lines) + "\n")
    run("systemctl", "restart", "postd-users.service")
    try:
        yield
    finally:
        nsswitch.write_text(before)
        module.unlink()
        run("systemctl", "kill", "--signal=KILL", "postd-users.service", check=False)
        run("systemctl", "restart", "postd-users.service")


def test_nss_hangs(hanging_nss, load):
    """The look-up of one name hangs: mail for others gets through in the usual time, that one is told to wait."""
    hung = [
        subprocess.Popen(["/usr/sbin/sendmail", "-i", "hanging"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(8)
    ]
    try:
        for process in hung:
            process.stdin.write(b"Subject: hanging\n\n")
            process.stdin.close()
        assert accepted_during(load, lambda: time.sleep(SECONDS)) > 5
        assert load.slowest < 2
        with Queue() as queue:
            assert queue.status()["messages"] < 50
        statuses = [process.wait(40) for process in hung]
        # Taken in the offline directory or refused for now; never "no such user".
        assert set(statuses) <= {0, 75}, statuses
    finally:
        for process in hung:
            process.kill()
            process.wait()
    for path in pathlib.Path("/var/spool/postd-offline").iterdir():
        if b"<hanging>" in path.read_bytes() or b"hanging" in path.read_bytes()[:2000]:
            path.unlink()
    with Queue() as queue:
        for message in queue.messages(recipient="hanging@machine.example"):
            queue.remove(id=message["id"])
