# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine itself, before anything of postd is asked for."""

import pytest

from conftest import run, wait_until


def test_running():
    wait_until(lambda: run("systemctl", "is-system-running", check=False).stdout.strip() == "running", 30, "running state")
    assert run("systemctl", "--failed", "--no-legend", "--plain").stdout == ""


def test_name():
    assert run("hostname").stdout.strip() == "machine"
    assert run("hostname", "--fqdn").stdout.strip() == "machine.example"


def test_sandbox(systemd_run):
    """The container is no excuse: units get the sandbox that they ask for."""
    properties = {
        "DynamicUser": "yes",
        "PrivateNetwork": "yes",
        "PrivateDevices": "yes",
        "ProtectSystem": "strict",
        "SystemCallFilter": "@system-service",
    }
    script = "id -u; ls /sys/class/net; test -w /usr || echo read-only; unshare --mount true 2>/dev/null || echo filtered"
    uid, *rest = systemd_run(properties, "sh", "-c", script).stdout.split()
    assert int(uid) >= 61184
    assert rest == ["lo", "read-only", "filtered"]


@pytest.mark.controller("memory")
def test_memory_limit(systemd_run):
    done = systemd_run({"MemoryMax": "20M"}, "python3", "-c", "bytearray(200 << 20)", check=False)
    assert done.returncode != 0
