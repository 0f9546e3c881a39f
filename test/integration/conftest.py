# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the integration tests share.

They run as root inside the booted test machine (test/machine test), with the tree read-only at /usr/src/postd. A test
that fails shows what the journal has had since the test began.
"""

import email
import email.policy
import json
import mailbox as mailboxes
import os
import pathlib
import pwd
import subprocess
import time

import pytest

USERS = ("alice", "bob", "carol", "dave")


def run(*argv, user=None, check=True, timeout=60, **options):
    """Runs a command with its output captured as text; as somebody else if a user is named."""
    if user:
        argv = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env", *argv)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, argv))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(predicate, timeout=10, what=None):
    """Waits until the predicate is true and returns its value; fails the test if that takes too long."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            pytest.fail(f"{what or getattr(predicate, '__name__', 'condition')}: not within {timeout} s")
        time.sleep(0.05)


class Journal:
    """The journal since a moment: entries are dicts of their fields."""

    def __init__(self):
        shown = run("journalctl", "--lines=0", "--show-cursor", "--quiet").stdout
        self.cursor = shown.partition("-- cursor: ")[2].strip()

    def _read(self, *arguments):
        run("journalctl", "--sync")
        after = [f"--after-cursor={self.cursor}"] if self.cursor else []
        # Status 1 is no entry at all.
        return run("journalctl", "--quiet", "--no-pager", *after, *arguments, check=False).stdout

    def entries(self, **fields):
        """entries(POSTD_QUEUE_ID=…, MESSAGE_ID=…): those that have all these values."""
        matches = [f"{name}={value}" for name, value in fields.items()]
        return [json.loads(line) for line in self._read("--output=json", "--all", *matches).splitlines()]

    def wait(self, timeout=10, count=1, **fields):
        def enough():
            found = self.entries(**fields)
            return found if len(found) >= count else None

        return wait_until(enough, timeout, f"journal entry with {fields}")

    def text(self):
        return self._read("--output=short-precise")


class Mailbox:
    """The mbox of a user in /var/mail."""

    def __init__(self, user):
        self.user = user
        self.path = pathlib.Path("/var/mail", user)

    def messages(self):
        if not self.path.exists():
            return []
        box = mailboxes.mbox(
            self.path, factory=lambda file: email.message_from_binary_file(file, policy=email.policy.default), create=False
        )
        try:
            return list(box)
        finally:
            box.close()

    def wait(self, count=1, timeout=10):
        """The messages, as soon as there are that many."""

        def enough():
            found = self.messages()
            return found if len(found) >= count else None

        return wait_until(enough, timeout, f"{count} message(s) in {self.path}")

    def clear(self):
        self.path.unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def journal():
    return Journal()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and "journal" in getattr(item, "funcargs", {}):
        report.sections.append(("journal since the test began", item.funcargs["journal"].text()))
    return report


@pytest.fixture(scope="session")
def users():
    """Users with home directories: their entries of the user database, by name."""
    for name in USERS:
        try:
            pwd.getpwnam(name)
        except KeyError:
            run("useradd", "--create-home", "--shell=/bin/bash", name)
    return {name: pwd.getpwnam(name) for name in USERS}


@pytest.fixture
def mailbox(users):
    """mailbox(user): their mailbox, empty when the test begins."""
    for name in (*users, "root"):
        Mailbox(name).clear()
    return Mailbox


@pytest.fixture
def sendmail():
    """sendmail("-f", "a@b", "alice", message=…, user="bob"): the sendmail interface, as any local program uses it."""

    def call(*arguments, message="Subject: test\n\nHello.\n", **options):
        return run("/usr/sbin/sendmail", *arguments, input=message, **options)

    return call


@pytest.fixture
def postctl():
    def call(*arguments, **options):
        return run("/usr/bin/postctl", *arguments, **options)

    return call


@pytest.fixture
def clean_queue(postctl):
    """A queue that is empty before the test, and after it."""
    postctl("remove", "--all")
    yield
    postctl("remove", "--all")


@pytest.fixture
def systemd_run():
    """systemd_run({"DynamicUser": "yes"}, "id", "-u"): a command as a transient service, waited for."""

    def call(properties, *command, **options):
        settings = [f"--property={name}={value}" for name, value in properties.items()]
        return run("systemd-run", "--quiet", "--collect", "--wait", "--pipe", *settings, "--", *command, **options)

    return call


@pytest.fixture(scope="session")
def controllers():
    """The cgroup controllers that the machine has. See also the marker "controller"."""
    return os.environ.get("MACHINE_CONTROLLERS", "").split()


def pytest_configure(config):
    config.addinivalue_line("markers", "controller(name): the test needs this cgroup controller; skipped where it is missing")


@pytest.fixture(autouse=True)
def needed_controllers(request, controllers):
    for mark in request.node.iter_markers("controller"):
        for name in mark.args:
            if name not in controllers:
                pytest.skip(f"the host gives the machine no cgroup controller {name}")
