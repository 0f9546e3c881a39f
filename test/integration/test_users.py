# SPDX-License-Identifier: LGPL-2.1-or-later
"""postd-users: who a user is, and what it does about a user database that hangs."""

import pathlib
import shutil
import subprocess
import threading
import time

import pytest

from conftest import run, wait_until
from sessions import USERS, Varlink, VarlinkError

LOOKUP = "io.postd.Table.Lookup"


def lookup(table, key, link=None):
    with link or Varlink(USERS) as connection:
        return connection.call(LOOKUP, table=table, key=key)


def failure(table, key):
    with pytest.raises(VarlinkError) as caught:
        lookup(table, key)
    return caught.value.name


def test_by_name_and_uid(users):
    alice = users["alice"]
    by_name = lookup("users", "alice")
    assert by_name["values"] == ["alice"]
    assert by_name["user"] == {"name": "alice", "uid": alice.pw_uid, "gid": alice.pw_gid, "home": "/home/alice"}
    assert lookup("users", "ALICE") == by_name == lookup("uids", str(alice.pw_uid))
    assert lookup("users", "root")["user"]["uid"] == 0


def test_dynamic_user():
    """Users that only nss-systemd knows."""
    run("systemd-run", "--quiet", "--unit=test-dynamic", "--property=DynamicUser=yes", "--property=User=dynamic-one", "sleep", "60")
    try:
        wait_until(lambda: run("getent", "passwd", "dynamic-one", check=False).stdout)
        assert lookup("users", "dynamic-one")["user"]["uid"] >= 61184
    finally:
        run("systemctl", "stop", "test-dynamic.service")


@pytest.mark.parametrize("key", ["", "nobody-of-that-name", "a:b", "../root", "/", "a\nb", "\u2028", "x" * 100000, ".", "alice "])
def test_no_such_name(users, key):
    assert failure("users", key) == "NotFound"


@pytest.mark.parametrize("key", ["", "-1", "0x10", "4294967295", "99999999999999999999", "1e3", "59999", "+0", " 0"])
def test_no_such_uid(users, key):
    assert failure("uids", key) == "NotFound"


def test_other_calls(users):
    assert failure("aliases", "root") == "NoSuchTable"
    for parameters in ({}, {"table": "users"}, {"table": 1, "key": "x"}, {"table": "users", "key": "root", "more": 1}):
        with Varlink(USERS) as link, pytest.raises(VarlinkError):
            link.call(LOOKUP, **parameters)


def test_many_calls(users):
    with Varlink(USERS) as link:
        for _ in range(500):
            assert link.call(LOOKUP, table="users", key="bob")["user"]["home"] == "/home/bob"


@pytest.fixture
def hanging_module(users):
    """A module of the name service switch that never answers about names that begin with "hang"."""
    library = pathlib.Path("/usr/lib/x86_64-linux-gnu/libnss_hang.so.2")
    if not library.parent.exists():
        library = pathlib.Path("/usr/lib/aarch64-linux-gnu/libnss_hang.so.2")
    source = pathlib.Path("/run/hang.c")
    source.write_text(
        """
        #include <nss.h>
        #include <pwd.h>
        #include <string.h>
        #include <unistd.h>
        enum nss_status _nss_hang_getpwnam_r(const char *name, struct passwd *pw, char *b, size_t n, int *e) {
                while (strncmp(name, "hang", 4) == 0)
                        sleep(1000);
                return NSS_STATUS_NOTFOUND;
        }
        """
    )
    run("gcc", "-shared", "-fPIC", "-o", str(library), str(source))
    switch = pathlib.Path("/run/nsswitch.conf")
    switch.write_text("passwd: files hang\n")
    directory = pathlib.Path("/run/systemd/system/postd-users.service.d")
    directory.mkdir(parents=True)
    (directory / "test.conf").write_text(f"[Service]\nBindReadOnlyPaths={switch}:/etc/nsswitch.conf\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "stop", "postd-users.service")
    yield
    shutil.rmtree(directory)
    library.unlink()
    run("systemctl", "daemon-reload")
    run("systemctl", "stop", "postd-users.service")


def main_pid():
    return run("systemctl", "show", "--value", "-p", "MainPID", "postd-users.service").stdout.strip()


def test_hanging_database(hanging_module):
    answers = {}

    def ask(key):
        began = time.monotonic()
        try:
            answers[key] = lookup("users", key)
        except (VarlinkError, ConnectionResetError) as error:
            answers[key] = getattr(error, "name", "reset")
        answers[key] = (answers[key], time.monotonic() - began)

    def ask_all(keys):
        threads = [threading.Thread(target=ask, args=(key,)) for key in keys]
        for thread in threads:
            thread.start()
        return threads

    # Others are served meanwhile; who hangs is told after ten seconds.
    first = ask_all(f"hang{i}" for i in range(10))
    time.sleep(0.5)
    pid = main_pid()
    for _ in range(20):
        began = time.monotonic()
        assert lookup("users", "alice")["user"]["name"] == "alice"
        assert time.monotonic() - began < 2
    for thread in first:
        thread.join()
    assert {key: name for key, (name, _) in answers.items()} == {f"hang{i}": "TemporaryFailure" for i in range(10)}
    assert all(9 < seconds < 13 for _, seconds in answers.values())
    # One name takes two threads at most, however often it is asked for.
    for thread in ask_all(["hang0"]):
        thread.join()
    answers.clear()
    ask("hang0")
    assert answers["hang0"][0] == "TemporaryFailure" and answers["hang0"][1] < 1
    assert lookup("users", "alice")["user"]["name"] == "alice" and main_pid() == pid

    # All sixteen: nothing can be answered any more, so it starts afresh.
    for thread in ask_all(f"hang{i}" for i in range(20, 30)):
        thread.join()
    subprocess.run(["sleep", "1"], check=True)
    assert lookup("users", "alice")["user"]["name"] == "alice"
    assert main_pid() != pid
