# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIGKILL to the programs of postd, at any moment, under load: nothing that was accepted is lost, damaged or queued twice,
and nobody has to help.

CRASH_KILLS=500 makes the full run of the first test (40 otherwise). By hand, from the tree:

    test/machine run env CRASH_KILLS=500 /usr/src/postd/test/crash
"""

import collections
import os
import random
import signal
import time

import pytest

from conftest import run, wait_until
from load import Load, account, clear_mailboxes, drain, kill, offline_files, programs, read_mbox
from queued import Queue, failed_units, main_pid, property_of

KILLS = int(os.environ.get("CRASH_KILLS", "40"))
SEED = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
SERVICES = ("postd-queued.service", "postd-smtpd@local.service", "postd-spawnd.service", "postd-users.service", "postd-pickup.service")


@pytest.fixture
def settled(users):
    """Empty mailboxes and queue before, restart counters that begin anew after."""
    with Queue() as queue:
        queue.clear()
    drain()
    clear_mailboxes()
    yield
    run("systemctl", "restart", *SERVICES[:-1])
    wait_until(lambda: not failed_units(), 10, "no failed unit")


def next_sendmail():
    """Somebody sends mail as if nothing had been."""
    begun = time.monotonic()
    done = run("/usr/sbin/sendmail", "-i", "alice", input="Subject: next\nX-Serial: next-1\nX-Sum: " + EMPTY + "\n\n", check=False)
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    return took


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.timeout(60 + KILLS * 3)
def test_kill_at_random(settled):
    chance, killed = random.Random(SEED), collections.Counter()
    with Load(seed=SEED) as load:
        deadline = time.monotonic() + 30 + KILLS * 2
        while killed.total() < KILLS and time.monotonic() < deadline:
            # So many crashes make PID 1 wait 10 s before each restart, in which there would be nothing to kill.
            run("systemctl", "reset-failed", *SERVICES, check=False)
            time.sleep(chance.expovariate(5))
            by_program = collections.defaultdict(list)
            for pid, program in programs():
                by_program[program].append(pid)
            if not by_program or chance.random() < 0.1:
                killed["sendmail"] += load.kill_a_caller()
            else:
                program = chance.choice(sorted(by_program))
                killed[program] += kill(chance.choice(by_program[program]))
    assert killed.total() >= KILLS
    drain()
    assert failed_units() == []
    next_sendmail()
    drain()
    result = account(load)
    print(f"\nseed {SEED}: {killed.total()} kills {dict(killed)}\n{result}\nnot accepted: {dict(load.refused)}, slowest {load.slowest:.1f} s")
    assert result.accepted > KILLS // 2
    assert result.repeated <= killed.total() * 4, "more second copies than deliveries can have been in flight"


@pytest.mark.timeout(120)
def test_hundred_kills_in_ten_seconds(settled):
    """All services at once, each as soon as it runs."""
    killed, end = collections.Counter(), time.monotonic() + 10
    with Load(kinds=("sendmail", "smtp"), size=500) as load:
        while time.monotonic() < end:
            for pid, program in programs():
                if killed[program] < 100:
                    killed[program] += kill(pid)
            time.sleep(0.02)
    took = next_sendmail()
    print(f"\nkilled in 10 s: {dict(killed)}; the next sendmail took {took:.1f} s")
    drain()
    assert failed_units() == []
    assert "next-1" in [serial for serial, _ in read_mbox("/var/mail/alice")]
    print(account(load))


@pytest.mark.parametrize("unit", SERVICES[:4])
@pytest.mark.skipif(KILLS < 100, reason="CRASH_KILLS is below 100")
def test_hundred_kills(settled, unit):
    """100 of one service: as fast as it comes back, while others want something of it."""
    killed = 0
    with Load(kinds=("sendmail", "smtp"), size=500) as load:
        end = time.monotonic() + 10
        while killed < 100 and time.monotonic() < end:
            pid = main_pid(unit)
            killed += bool(pid) and kill(pid)
            time.sleep(0.05)
    took = next_sendmail()
    print(f"\n{unit}: {killed} kills in 10 s; the next sendmail took {took:.1f} s")
    drain()
    assert failed_units() == []
    account(load)
