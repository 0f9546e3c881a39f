# SPDX-License-Identifier: LGPL-2.1-or-later
"""The inner half of a benchmark: runs in the machine of one MTA, as root.

guest.py MTA setup               users, limits lifted, MTA running
guest.py MTA format FORMAT       mbox or maildir, from now on
guest.py MTA WORKLOAD N [WHERE]  one workload; prints a line of JSON with what was measured

CPU time is what the cgroups of the MTA used, with all processes that have ended, from before the first message until
nothing is used any more. Errors end the program with a status: a figure is printed only for work that was all done.
"""

import argparse
import contextlib
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import time

LOAD = "/usr/src/postd/build/test/bench/smtp-load"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
MAIL = pathlib.Path("/var/mail")
USERS = {"one": 1, "fifty": 50, "cold": 2000}  # names are group and number
FIRST_UID = 20000
SYSTEM = {"journald": "system.slice/systemd-journald.service", "pid1": "init.scope", "bus": "system.slice/dbus.service"}


def run(*argv, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def write(path, text):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class MTA:
    cgroups = ()
    address = "127.0.0.1:25"

    def setup(self):
        pass

    def format(self, name):
        raise NotImplementedError

    @contextlib.contextmanager
    def held(self):
        """Mail is accepted and not delivered, and is gone afterwards."""
        raise NotImplementedError

    def rest(self):
        """Returns when what was started for earlier deliveries has ended."""

    def cpu(self):
        """Seconds of CPU time so far, by what used them."""
        places = {"mta": self.cgroups, **{name: (path,) for name, path in SYSTEM.items()}}
        return {name: sum(cgroup_cpu(path) for path in paths) for name, paths in places.items()}

    def processes(self):
        for path in self.cgroups:
            for procs in (CGROUPS / path).rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    yield from map(int, procs.read_text().split())


class Postd(MTA):
    """Its network listener is disabled as shipped: switched on here, by hand."""

    cgroups = ("system.slice/system-postd.slice",)

    def setup(self):
        write("/etc/postd/postd.conf.d/bench.conf", "[Listener smtp]\nMaxConnectionsPerPeer=1000\n")
        run("systemctl", "enable", "--now", "--quiet", "postd-submission@smtp.socket", "postd-smtpd@smtp.socket")

    def format(self, name):
        write("/etc/postd/postd.conf.d/bench-format.conf", f"[Action local]\nDeliver={name}\n")
        run("systemctl", "reload", "postd-queued.service")

    def rest(self):
        for _ in range(60):
            if not list((CGROUPS / self.cgroups[0]).glob("*/postd-deliver-*.service")):
                break
            time.sleep(0.5)

    @contextlib.contextmanager
    def held(self):
        run("postctl", "pause", "local")
        try:
            yield
        finally:
            # Emptied at once, and the pause with it.
            run("systemctl", "stop", "postd-queued.service")
            for path in pathlib.Path("/var/spool/postd").iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            run("systemctl", "start", "postd-queued.service")


class Postfix(MTA):
    """Held means its hold queue: of its ways not to deliver the one that costs it least."""

    cgroups = ("system.slice/postfix.service",)
    settings = (
        "inet_interfaces=loopback-only",
        "default_process_limit=200",
        "smtpd_client_connection_count_limit=0",
        "smtpd_client_event_limit_exceptions=static:all",
        "smtpd_peername_lookup=no",
        "smtpd_timeout=60s",
        "in_flow_delay=0",
        "biff=no",
        "mailbox_size_limit=0",
    )

    def setup(self):
        run("postconf", "-e", *self.settings)
        run("newaliases")
        run("systemctl", "restart", "postfix.service")

    def format(self, name):
        run("postconf", "-e", "home_mailbox=" + ("Maildir/" if name == "maildir" else ""))
        self.reload()

    def reload(self):
        run("postfix", "reload")
        time.sleep(0.5)

    @contextlib.contextmanager
    def held(self):
        run("postconf", "-e", "smtpd_recipient_restrictions=check_client_access static:HOLD")
        self.reload()
        try:
            yield
        finally:
            run("postsuper", "-d", "ALL")
            run("postconf", "-e", "smtpd_recipient_restrictions=")
            self.reload()


class Exim(MTA):
    """As Debian configures it, with the limits lifted; held is its "queue only"."""

    cgroups = ("system.slice/exim4.service",)
    place = pathlib.Path("/etc/exim4")
    format_name, queue_only = "mbox", False

    def setup(self):
        for folder in ("", "db", "input", "msglog"):  # the package's are under the disk
            path = pathlib.Path("/var/spool/exim4", folder)
            path.mkdir(mode=0o750, exist_ok=True)
            shutil.chown(path, "Debian-exim", "Debian-exim")
        self.configure()

    def configure(self):
        write(
            self.place / "update-exim4.conf.conf",
            "dc_eximconfig_configtype='local'\ndc_other_hostnames='localhost'\ndc_local_interfaces='127.0.0.1'\n"
            "dc_use_split_config='false'\nCFILEMODE='644'\ndc_localdelivery='"
            + ("maildir_home" if self.format_name == "maildir" else "mail_spool") + "'\n",
        )
        write(
            self.place / "exim4.conf.localmacros",
            "smtp_accept_max = 0\nsmtp_accept_queue_per_connection = 0\nrfc1413_query_timeout = 0s\n"
            "smtp_accept_max_per_connection = 0\n" + ("queue_only = true\n" if self.queue_only else ""),
        )
        run("update-exim4.conf")
        run("systemctl", "restart", "exim4.service")
        time.sleep(0.5)

    def format(self, name):
        self.format_name = name
        write("/run/bench-format", name)
        self.configure()

    @contextlib.contextmanager
    def held(self):
        with contextlib.suppress(FileNotFoundError):
            self.format_name = pathlib.Path("/run/bench-format").read_text()
        self.queue_only = True
        self.configure()
        try:
            yield
        finally:
            run("systemctl", "stop", "exim4.service")
            for folder in ("input", "msglog"):
                shutil.rmtree(f"/var/spool/exim4/{folder}", ignore_errors=True)
            self.queue_only = False
            self.configure()


class OpenSMTPD(MTA):
    """Does not sync before it answers 250: its acceptance is not durable."""

    cgroups = ("system.slice/opensmtpd.service",)

    def setup(self):
        os.chmod("/var/spool/smtpd", 0o711)
        self.format("mbox")

    def format(self, name):
        action = 'maildir "%{user.directory}/Maildir"' if name == "maildir" else "mbox"
        write(
            "/etc/smtpd.conf",
            "table aliases file:/etc/aliases\nlisten on lo\n"
            "smtp limit max-rcpt 1000000\nsmtp limit max-mails 1000000\n"
            "queue ttl 4d\n"
            f'action "local" {action} alias <aliases>\nmatch for local action "local"\n',
        )
        run("systemctl", "restart", "opensmtpd.service")
        time.sleep(0.5)

    @contextlib.contextmanager
    def held(self):
        run("smtpctl", "pause", "mda")
        try:
            yield
        finally:
            run("systemctl", "stop", "opensmtpd.service")
            shutil.rmtree("/var/spool/smtpd/queue", ignore_errors=True)
            run("systemctl", "start", "opensmtpd.service")


MTAS = {"postd": Postd, "postfix": Postfix, "exim4": Exim, "opensmtpd": OpenSMTPD}


def cgroup_cpu(path):
    try:
        return int((CGROUPS / path / "cpu.stat").read_text().split()[1]) / 1e6
    except FileNotFoundError:
        return 0.0


def make_users():
    """useradd for each would take minutes."""
    names = [f"{group}{i}" for group, n in USERS.items() for i in range(n)]
    with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
        for uid, name in enumerate(names, FIRST_UID):
            passwd.write(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n")
            group.write(f"{name}:x:{uid}:\n")
    for uid, name in enumerate(names, FIRST_UID):
        os.mkdir(f"/home/{name}", 0o700)
        os.chown(f"/home/{name}", uid, uid)


class Mailboxes:
    """Counts what arrives for a group of users, in mbox and maildir alike."""

    def __init__(self, group):
        self.names = [f"{group}{i}" for i in range(USERS[group])]
        self.seen = {}  # mbox: bytes read, messages in them
        for name in self.names:
            if group == "cold":
                (MAIL / name).unlink(missing_ok=True)
                shutil.rmtree(f"/home/{name}/Maildir", ignore_errors=True)
            else:
                self.empty(name)

    @staticmethod
    def empty(name):
        """As a user's mail program does: a delivery may still have the mailbox open."""
        with contextlib.suppress(FileNotFoundError):
            os.truncate(MAIL / name, 0)
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(f"/home/{name}/Maildir/new"):
                os.unlink(entry)

    def mbox(self, name):
        size, count = self.seen.get(name, (0, 0))
        with contextlib.suppress(FileNotFoundError):
            path = MAIL / name
            if path.stat().st_size > size:
                with open(path, "rb") as f:
                    # A separator is preceded by the empty line that ends the message before it. It may have been read in part.
                    f.seek(max(size - 6, 0))
                    new = f.read()
                count += new.count(b"\nFrom ") + (size == 0 and new.startswith(b"From "))
                self.seen[name] = (max(size - 6, 0) + len(new), count)
        return count

    def count(self):
        total = 0
        for name in self.names:
            total += self.mbox(name)
            with contextlib.suppress(FileNotFoundError):
                total += len(os.listdir(f"/home/{name}/Maildir/new"))
        return total

    def wait(self, n, patience=60):
        """The moment when there are n; fails when nothing has arrived for so many seconds."""
        last, moved = -1, time.monotonic()
        while True:
            begin = time.monotonic()
            count = self.count()
            now = time.monotonic()
            if count >= n:
                return now
            if count != last:
                last, moved = count, now
            elif now - moved > patience:
                sys.exit(f"only {count} of {n} messages have been delivered, the last {patience} s ago")
            time.sleep(max(0.02, 10 * (now - begin)))  # counting must not cost what it counts


def load(mta, group, n):
    argv = [LOAD, f"--messages={n}", "--connections=20", f"--to={group}%@localhost", f"--recipients={USERS[group]}", mta.address]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=1800)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}{done.stderr}")
    return {name: float(value) for name, _, value in (pair.partition("=") for pair in done.stdout.split())}


def settled(mta):
    """The CPU times, when the MTA has come to rest: what it tidies up afterwards counts too."""
    now = mta.cpu()
    for _ in range(20):
        before = now
        time.sleep(0.5)
        now = mta.cpu()
        if now["mta"] - before["mta"] < 0.01:
            break
    return now


def spent(mta, before, n):
    """CPU seconds per 1000 messages."""
    return {f"cpu_{name}": (value - before[name]) * 1000 / n for name, value in settled(mta).items()}


def accept(mta, n, group):
    Mailboxes(group)
    with mta.held():
        before = mta.cpu()
        result = load(mta, group, n)
        result |= spent(mta, before, n)
    return {"accept_rate": result.pop("rate"), **result}


def deliver(mta, n, group):
    mta.rest()
    boxes = Mailboxes(group)
    before = mta.cpu()
    begin = time.monotonic()
    result = load(mta, group, n)
    seconds = boxes.wait(n) - begin
    result |= spent(mta, before, n)
    delivered = boxes.count()
    if delivered != n:
        sys.exit(f"{n} messages were accepted and {delivered} delivered")
    return {"accept_rate": result.pop("rate"), "deliver_rate": n / seconds, **result}


def sendmail(mta, n, at_once):
    """Calls of sendmail with a message of 4 KB, from the first call to the end of the last."""
    boxes = Mailboxes("one")
    path = "/run/bench-message"
    write(path, "Subject: load\nTo: one0@localhost\n\n" + ("x" * 71 + "\n") * 56)
    before = mta.cpu()
    started, times, failed, begin = {}, [], 0, time.monotonic()
    for i in range(n + int(at_once)):
        if i >= int(at_once):
            if not started:
                break
            pid, status = os.wait()
            times.append(time.monotonic() - started.pop(pid))
            failed += status != 0
        if i < n:
            moment = time.monotonic()
            pid = os.posix_spawn("/usr/sbin/sendmail", ["sendmail", "-i", "one0"], {"PATH": "/usr/bin"},
                                 file_actions=[(os.POSIX_SPAWN_OPEN, 0, path, os.O_RDONLY, 0)])
            started[pid] = moment
    seconds = time.monotonic() - begin
    if failed:
        sys.exit(f"{failed} of {n} calls of sendmail failed")
    boxes.wait(n)
    times.sort()
    return {"call_rate": n / seconds, "p50_ms": times[n // 2] * 1e3, "p99_ms": times[n * 99 // 100] * 1e3, **spent(mta, before, n)}


def switches(pid):
    total = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            total += sum(int(line.split()[1]) for line in status.read_text().splitlines() if "ctxt_switches" in line)
    return total


def idle(mta, seconds, _):
    """Memory of all processes, and how often they ran in so many seconds."""
    before = {pid: switches(pid) for pid in mta.processes()}
    cpu = mta.cpu()["mta"]
    time.sleep(seconds)
    pss, names = 0, []
    for pid in mta.processes():
        with contextlib.suppress(OSError):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            pss += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            names.append(pathlib.Path(f"/proc/{pid}/comm").read_text().strip())
    woken = sum(max(switches(pid) - n, 0) for pid, n in before.items())  # those that have ended do not run any more
    return {"processes": len(names), "names": sorted(names), "pss_mb": pss / 1024, "switches": woken, "seconds": seconds,
            "cpu": mta.cpu()["mta"] - cpu}


WORKLOADS = {"accept": accept, "deliver": deliver, "sendmail": sendmail, "idle": idle}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mta", choices=MTAS)
    parser.add_argument("workload", choices=["setup", "format", *WORKLOADS])
    parser.add_argument("what", nargs="?")
    parser.add_argument("where", nargs="?", default="one")
    arguments = parser.parse_args()

    mta = MTAS[arguments.mta]()
    if arguments.workload == "setup":
        try:
            pwd.getpwnam("one0")
        except KeyError:
            make_users()
        mta.setup()
    elif arguments.workload == "format":
        mta.format(arguments.what)
    else:
        result = WORKLOADS[arguments.workload](mta, int(arguments.what), arguments.where)
        print(json.dumps(result))


main()
