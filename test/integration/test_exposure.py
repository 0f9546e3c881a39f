# SPDX-License-Identifier: LGPL-2.1-or-later
"""The units as installed: within the design's budget of exposure, valid, without a privileged file, and enabled as the
presets say."""

import fnmatch
import os
import pathlib
import re
import stat

import pytest

from conftest import run
from sessions import Session

UNITS = pathlib.Path("/usr/lib/systemd/system")

# The first pattern that fits: exposure as systemd-analyze security shows it.
BUDGET = [
    ("postd-smtpd@local.service", 0.6),
    ("postd-smtpd*", 0.4),
    ("postd-pickup*", 0.6),
    ("postd-users.service", 0.6),
    ("postd-queued.service", 0.8),
    ("postd-spawnd.service", 0.8),
    ("postd-authd.service", 0.8),
    ("postd-relay*", 1.2),
    ("postd-deliver-command-*", 1.5),
    ("postd-deliver-*", 0.9),
]

ENABLED = {
    "postd.target", "postd-queued.service", "postd-queued.socket", "postd-spawnd.socket", "postd-users.socket", "postd-pickup.path",
    "postd-pickup.timer",
}


def installed(pattern):
    return sorted(path.name for path in UNITS.glob(pattern))


def budget(unit):
    return next(most for pattern, most in BUDGET if fnmatch.fnmatch(unit, pattern))


def exposure(unit):
    shown = run("systemd-analyze", "security", "--no-pager", unit).stdout
    return float(re.search(r"Overall exposure level for .*: ([\d.]+)", shown)[1])


def services():
    for name in installed("postd*.service"):
        yield name.replace("@.", "@local.") if name == "postd-smtpd@.service" else name.replace("@.", "@x.")
        if name == "postd-smtpd@.service":
            yield "postd-smtpd@smtp.service"


@pytest.mark.parametrize("unit", list(services()))
def test_exposure(unit):
    assert exposure(unit) <= budget(unit)


@pytest.mark.parametrize("kind", ["mailbox", "home"])
def test_exposure_of_sessions(users, kind):
    with Session("alice", kind) as session:
        assert exposure(session.unit) <= budget(session.unit)


def test_verify():
    names = [name.replace("@.", "@local.") for name in installed("postd*") + installed("system-postd*")
             if (UNITS / name).is_file() and not name.endswith(".conf")]
    done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *names, check=False)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "postd" in line]
    assert done.returncode == 0 and ours == []


def test_no_privileged_file():
    """No set-uid, no set-gid, no capability; and nothing that anybody but root may change."""
    checked = 0
    for root in ("/usr/lib/postd", "/usr/sbin", "/usr/bin", "/usr/lib"):
        for path in pathlib.Path(root).iterdir() if root != "/usr/lib/postd" else pathlib.Path(root).rglob("*"):
            if root != "/usr/lib/postd" and path.name not in ("sendmail", "mailq", "newaliases", "postctl"):
                continue
            info = path.lstat()
            if not stat.S_ISREG(info.st_mode):
                continue
            checked += 1
            assert info.st_mode & (stat.S_ISUID | stat.S_ISGID | 0o022) == 0 and info.st_uid == 0, path
            assert "security.capability" not in os.listxattr(path), path
    assert checked >= 3


def test_no_unit_owns_run_postd():
    """It would take PID 1's sockets with it."""
    for name in installed("postd*.service"):
        text = (UNITS / name).read_text()
        assert not re.search(r"^RuntimeDirectory=(postd|.* postd)( |$)", text, re.M), name


def test_nothing_stays_failed():
    for name in installed("postd*.service"):
        text = (UNITS / name).read_text()
        if "Type=oneshot" in text:
            continue
        assert "StartLimitIntervalSec=0" in text, name
    for name in installed("postd*.socket"):
        assert "TriggerLimitIntervalSec=0" in (UNITS / name).read_text(), name


def test_presets():
    """What a distribution that applies presets enables: local mail, and no listener on the network."""
    for name in installed("postd*"):
        if "@" in name or not (UNITS / name).is_file() or "[Install]" not in (UNITS / name).read_text():
            continue
        state = run("systemctl", "is-enabled", name, check=False).stdout.strip()
        assert state == ("enabled" if name in ENABLED else "disabled"), name
    if (UNITS / "postd-smtpd@.socket").exists():
        for listener, wanted in (("local", "enabled"), ("inject", "enabled"), ("smtp", "disabled"), ("submission", "disabled")):
            assert run("systemctl", "is-enabled", f"postd-smtpd@{listener}.socket", check=False).stdout.strip() == wanted


def test_no_port_is_open():
    assert run("ss", "--no-header", "--listening", "--tcp", "--udp", "--numeric").stdout.strip() == ""
