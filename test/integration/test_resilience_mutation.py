# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls that are nearly right, against the running services: each is answered or ends its connection, nothing crashes,
and decent calls are served afterwards. MUTATION_CALLS (2000 for each interface) and MUTATION_SEED change that."""

import json
import os
import random

import pytest

from conftest import run, wait_until
from queued import QUEUE, Queue, failed_units, property_of, queue, submission_path, submit  # noqa: F401
from varlink import Varlink, VarlinkError, memfd

CALLS = int(os.environ.get("MUTATION_CALLS", "2000"))
SEED = int(os.environ.get("MUTATION_SEED", "0")) or random.SystemRandom().randrange(1 << 30)

CONTEXT = {"protocol": "ESMTP", "helo": "x", "uid": 0, "unit": "cron.service", "peerAddress": "::1", "peerName": "y", "login": "z"}
RECIPIENT = {"address": "a@elsewhere.example", "originalRecipient": "rfc822;a@b", "notify": "NEVER"}
FINAL = {"index": 0, "address": "a", "prepend": "X: y\r\n"}
MESSAGE = {"id": "0123456789abcdef", "sender": "a@b.example", "arrival": 1, "recipients": [FINAL], "content": 0, "size": 10}
INTERFACES = {
    "io.postd.Submission": (
        submission_path(),
        None,
        {
            "Check": {"context": CONTEXT, "sender": "a@b.example", "recipients": ["a@elsewhere.example", "root"], "size": 5},
            "Submit": {"token": "%032x", "repeated": False, "context": CONTEXT, "sender": "a@b.example", "recipients": [RECIPIENT, RECIPIENT],
                       "body": "7BIT", "smtputf8": True, "dsnReturn": "FULL", "envid": "e", "content": 0, "size": 10},
        },
    ),
    "io.postd.Queue": (
        QUEUE,
        None,
        {
            "List": {"sender": "a@b", "recipient": "@c", "held": True, "after": "0", "limit": 5},
            "Show": {"id": "ID"}, "Cat": {"id": "ID"}, "Hold": {"id": "ID", "reason": "r", "allowInteractiveAuthentication": False},
            "Release": {"id": "ID"}, "Remove": {"id": "ID", "recipient": 0}, "Flush": {"id": "ID", "destination": "relay:a"}, "Requeue": {"id": "ID"},
            "Pause": {"what": "destination", "name": "relay:a"}, "Resume": {"what": "destination", "name": "relay:a"},
            "Status": {}, "Metrics": {}, "Explain": {"sender": "a@b", "recipient": "root"}, "Monitor": {},
        },
    ),
    "io.postd.Table": ("/run/postd/io.postd.Users", "postd", {"Lookup": {"table": "users", "key": "root"}}),
    "io.postd.Spawn": ("/run/postd/io.postd.Spawn", "postd", {"Open": {"uid": 65533, "class": "mailbox"}}),
    "io.postd.Transport": ("/run/postd/io.postd.Spawn", "postd", {"Deliver": {"messages": [MESSAGE]}}),
}  # fmt: skip
UNITS = ("postd-queued.service", "postd-users.service", "postd-spawnd.service")

VALUES = [
    None, True, False, 0, -1, 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 1, 1 << 70, 0.5, -0.0, 1e308, "", "0", "x", "-1", " ",
    "all", "local", "é", "\u202e", "\n", "\x1b[2J", "\x7f", "../..", "/", "%s%n", "a" * 300, "a" * 70000, "@", "a@", "@b", "\"\"@b", "<a@b>",
    [], {}, [[]], [{}], {"": ""}, [None], {"id": None}, [0] * 1000, "NEVER,NEVER", "SUCCESS", "root", "postd", "mailbox", "home", "command",
]  # fmt: skip


def mutate(chance, value, depth=0):
    """The value with, here or deeper, one thing changed."""
    kind = chance.randrange(6)
    if depth > 0 and kind == 0:
        return chance.choice(VALUES)
    if isinstance(value, dict) and value:
        value = dict(value)
        key = chance.choice(sorted(value))
        if kind == 1:
            del value[key]
        elif kind == 2:
            value[chance.choice(("", "x", "token", "id", key + "x", key.upper()))] = chance.choice(VALUES)
        else:
            value[key] = mutate(chance, value[key], depth + 1)
        return value
    if isinstance(value, list) and value:
        i = chance.randrange(len(value))
        if kind == 1:
            return value * chance.choice((0, 2, 100))
        return [*value[:i], mutate(chance, value[i], depth + 1), *value[i + 1 :]]
    if isinstance(value, str) and value and kind < 4:
        i = chance.randrange(len(value))
        return value[:i] + chance.choice(("", "\0", "\r\n", "é", " ", "\x01", value)) + value[i + chance.randrange(2) :]
    return chance.choice(VALUES)


def mutate_text(chance, text):
    """Bytes of the call itself."""
    i, j = sorted((chance.randrange(len(text)), chance.randrange(len(text))))
    return chance.choice((text[:i], text[:i] + text[j:], text[:i] + bytes([chance.randrange(256)]) + text[i + 1 :], text[:j] + text[i:]))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("interface", INTERFACES)
def test_mutations(queue, interface):
    path, user, methods = INTERFACES[interface]
    chance, outcomes = random.Random(f"{SEED} {interface}"), {"answered": 0, "refused": 0, "ended": 0}
    restarts = [property_of(unit, "NRestarts") for unit in UNITS]
    known, fd, link = submit(), memfd(b"Subject: x"), None
    try:
        for number in range(CALLS if interface != "io.postd.Spawn" else CALLS // 10):
            if not link:
                link = Varlink(path, user, timeout=20)
            method = chance.choice(sorted(methods))
            token = f"{chance.getrandbits(128):032x}"
            parameters = json.loads(json.dumps(methods[method]).replace('"ID"', json.dumps(known)).replace("%032x", token))
            for _ in range(chance.randrange(1, 4)):
                parameters = mutate(chance, parameters)
            more = method in ("Open", "Deliver") or chance.random() < 0.02
            # What never ends would be waited for in vain.
            more = more and method != "Monitor"
            text = json.dumps({"method": f"{interface}.{method}", "parameters": parameters, **({"more": True} if more else {})}).encode()
            if chance.random() < 0.1:
                text = mutate_text(chance, text)
            try:
                link.send_raw(text.replace(b"\0", b" ") + b"\0", [fd] if method in ("Submit", "Deliver") else [])
                going = True
                while going:
                    _, going = link.receive()
                outcomes["answered"] += 1
            except VarlinkError:
                outcomes["refused"] += 1
            except (ConnectionResetError, BrokenPipeError, json.JSONDecodeError):
                outcomes["ended"] += 1
                link.close()
                link = None
            except TimeoutError:
                pytest.fail(f"seed {SEED}, call {number}: no answer to {text[:500]}")
    finally:
        os.close(fd)
        if link:
            link.close()
    print(f"\nseed {SEED} {interface}: {outcomes}")
    assert [property_of(unit, "NRestarts") for unit in UNITS] == restarts, f"seed {SEED}: something crashed"
    assert failed_units() == []
    assert outcomes["refused"] > CALLS // 20
    with Queue() as q:
        q.clear()
    done = run("/usr/sbin/sendmail", "-i", "root", input="Subject: after\n\n", check=False)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not Queue().ids(), 20, "the mail delivered")
