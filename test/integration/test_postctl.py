# SPDX-License-Identifier: LGPL-2.1-or-later
"""postctl against the queue manager that runs, against a spool without one, and on a terminal."""

import json
import os
import pathlib
import pty
import re
import socket
import subprocess
import time
import uuid

import pytest

from conftest import run, wait_until

ID = re.compile(r"^[0-9a-z]{16}$")
# Obeyed by some terminals or other, and valid UTF-8. Addresses cannot have it; reasons and replies can.
EVIL = "\x1b[2J\x1b]0;title\x07\u009b31m\u202e\u200b\r\n\t"
CONTENT = b"Subject: \x1b]0;own title\x07\r\nFrom: a@example.org\r\n\r\n\x1b[2J\tbody \xff \x9b\r\n"
# The sequences for colours are postctl's own.
COLOR = re.compile(r"\x1b\[[0-9;]*m")


class Varlink:
    """The few lines of varlink that these tests need."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)

    def call(self, method, parameters, fds=()):
        text = json.dumps({"method": method, "parameters": parameters}).encode() + b"\0"
        socket.send_fds(self.socket, [text], fds)
        reply = b""
        while not reply.endswith(b"\0"):
            piece = self.socket.recv(65536)
            assert piece, "the queue manager ended the connection"
            reply += piece
        reply = json.loads(reply[:-1])
        assert "error" not in reply, reply
        return reply["parameters"]


class Submission(Varlink):
    """Messages straight into the queue, as the receiver of local mail submits them."""

    def __init__(self):
        super().__init__("/run/postd/submission/local")

    def submit(self, sender, *recipients, content=CONTENT, uid=0):
        fd = os.memfd_create("content")
        try:
            os.write(fd, content)
            parameters = {
                "token": uuid.uuid4().hex,
                "context": {"protocol": "local", "uid": uid},
                "sender": sender,
                "recipients": [{"address": address} for address in recipients],
                "smtputf8": True,
                "content": 0,
                "size": len(content),
            }
            return self.call("io.postd.Submission.Submit", parameters, [fd])["id"]
        finally:
            os.close(fd)


@pytest.fixture
def queue(clean_queue, postctl):
    """A queue in which mail stays: submit(sender, recipient…)."""
    run("systemctl", "start", "postd-queued.socket", "postd-submission@local.socket", "postd-queued.service")
    spool = pathlib.Path("/var/spool/postd/queue")
    wait_until(lambda: not any(file.is_file() for file in spool.glob("*/*")), 20, "empty spool")
    postctl("pause", "all")
    yield Submission().submit
    run("systemctl", "start", "postd-queued.socket", "postd-queued.service")
    postctl("remove", "--all")
    postctl("resume", "all")


def on_terminal(*argv, columns=80, environment=None, timeout=20):
    """What a command writes to a terminal, and its status."""
    settings = {"TERM": "xterm", "SYSTEMD_PAGER": "", "COLUMNS": str(columns), **(environment or {})}
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, {**os.environ, **settings})
    output = b""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            piece = os.read(fd, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        output += piece
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    return output.decode(errors="surrogateescape"), os.waitstatus_to_exitcode(status)


def cat(identifier, user="root"):
    """The bytes that postctl cat prints, or None if it fails."""
    command = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "postctl", "cat", identifier)
    done = subprocess.run(command, capture_output=True, timeout=30)
    return done.stdout if done.returncode == 0 else None


def assert_harmless(text):
    left = COLOR.sub("", text)
    for line in left.splitlines():
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\udc80-\udcff]", line), repr(line)


def listed(postctl, *arguments, **options):
    return [json.loads(line) for line in postctl("list", "--json", *arguments, **options).stdout.splitlines()]


def wait_listed(postctl, ids):
    """A message that is removed is gone in a moment."""
    wait_until(lambda: [m["id"] for m in listed(postctl)] == ids, what=f"list of {ids}")


def test_empty(queue, postctl):
    assert postctl("list").stdout == "No messages.\n"
    assert postctl("list", "--no-legend").stdout == ""
    assert postctl("list", "--json").stdout == ""


def test_list(queue, postctl):
    first = queue("alice@example.org", "bob@example.org", "carol@example.org")
    second = queue("", "dave@example.com")
    assert ID.match(first)

    title, row1, row2, empty, total = postctl("list").stdout.splitlines()
    assert title.split()[:6] == ["ID", "AGE", "SIZE", "STATE", "SENDER", "RECIPIENTS"]
    assert row1.split()[0] == first
    # Not on a terminal nothing is cut.
    assert "alice@example.org" in row1 and "bob@example.org,carol@example.org" in row1
    assert row2.split()[0] == second and "<>" in row2
    assert empty == "" and total.startswith("2 messages, ")
    assert [line[:16] for line in postctl("list", "--no-legend").stdout.splitlines()] == [first, second]

    messages = listed(postctl)
    assert [m["id"] for m in messages] == [first, second]
    assert messages[0]["sender"] == "alice@example.org"
    assert [r["address"] for r in messages[0]["recipients"]] == ["bob@example.org", "carol@example.org"]
    assert messages[0]["size"] > len(CONTENT)  # with our trace field
    assert abs(messages[0]["arrival"] / 1e6 - time.time()) < 60


def test_filters(queue, postctl):
    a = queue("Alice@example.org", "bob@example.org")
    b = queue("", "carol@EXAMPLE.com")
    postctl("hold", b)
    for arguments, expected in [
        (("--sender=alice@example.org",), [a]),
        (("--sender=<>",), [b]),
        (("--recipient=bob@example.org",), [a]),
        (("--recipient=@example.com",), [b]),
        (("--recipient=@com",), []),
        (("--held",), [b]),
        (("--held=no",), [a]),
        (("--held", "--sender=alice@example.org"), []),
    ]:
        assert [m["id"] for m in listed(postctl, *arguments)] == expected, arguments


def test_show_and_cat(queue, postctl):
    identifier = queue("alice@example.org", "bob@example.org")
    text = postctl("show", identifier).stdout
    assert f"Message {identifier}" in text
    assert "Sender: alice@example.org" in text
    assert "bob@example.org  pending" in text
    assert json.loads(postctl("show", "--json", identifier).stdout)["id"] == identifier

    raw = cat(identifier)
    assert raw.endswith(CONTENT)  # byte for byte, behind the trace field
    assert raw.startswith(b"Received:")


def test_several_ids(queue, postctl):
    """Each is tried, and one that fails shows in the status."""
    a, b = queue("a@example.org", "bob@example.org"), queue("b@example.org", "bob@example.org")
    gone = "0" * 16
    done = postctl("hold", a, gone, b, check=False)
    assert done.returncode == 1
    assert gone in done.stderr and a not in done.stderr
    assert all(m["held"] for m in listed(postctl))
    done = postctl("show", a, gone, "--json", check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["id"] == a


def test_parts_of_ids(queue, postctl):
    a, b = queue("a@example.org", "bob@example.org"), queue("b@example.org", "bob@example.org")
    assert json.loads(postctl("show", "--json", a[-6:]).stdout)["id"] == a
    assert json.loads(postctl("show", "--json", b[-6:].upper()).stdout)["id"] == b
    done = postctl("show", a[:4], check=False)
    assert done.returncode == 1 and a in done.stderr and b in done.stderr
    done = postctl("show", "zzzzzz", check=False)
    assert done.returncode == 1 and '"zzzzzz"' in done.stderr
    done = postctl("show", "../etc/passwd\x1b", check=False)
    assert done.returncode == 1 and "not a queue id" in done.stderr and "\x1b" not in done.stderr


def test_hold_and_release(queue, postctl):
    identifier = queue("a@example.org", "bob@example.org")
    postctl("hold", "--reason=odd \x1b[31m attachment", identifier)
    message = listed(postctl)[0]
    assert message["held"] and message["holdReason"] == "odd \x1b[31m attachment"
    assert "\x1b" not in postctl("list").stdout + postctl("show", identifier).stdout
    postctl("release", identifier)
    assert not listed(postctl)[0]["held"]


def test_remove(queue, postctl):
    a, b, c = (queue(f"{name}@example.org", "bob@example.org", "carol@example.org") for name in "abc")
    postctl("remove", a)
    wait_listed(postctl, [b, c])
    postctl("remove", "--recipient=bob@example.org", b)
    states = {r["address"]: r["state"] for r in listed(postctl)[0]["recipients"]}
    assert states == {"bob@example.org": "removed", "carol@example.org": "pending"}
    done = postctl("remove", "--recipient=bob@example.org", b, check=False)
    assert done.returncode == 1 and "bob@example.org" in done.stderr
    postctl("remove", "--all", "--sender=c@example.org")
    wait_listed(postctl, [b])
    postctl("remove", "--all")
    wait_listed(postctl, [])


def test_own_messages_only(queue, postctl, users):
    hers = queue("alice@example.org", "bob@example.org", uid=users["alice"].pw_uid)
    roots = queue("root@example.org", "bob@example.org")
    assert [m["id"] for m in listed(postctl)] == [hers, roots]
    assert [m["id"] for m in listed(postctl, user="alice")] == [hers]
    assert listed(postctl, user="bob") == []
    assert hers in postctl("show", hers, user="alice").stdout
    assert cat(hers, "alice").endswith(CONTENT)

    for command in (("show",), ("cat",), ("hold",), ("remove",)):
        done = postctl(*command, roots, user="alice", check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 1 and done.stdout == ""
        assert roots in done.stderr and "root" in done.stderr, done.stderr
    for command in (("hold", hers), ("flush",), ("pause", "local"), ("remove", "--recipient=bob@example.org", roots)):
        assert postctl(*command, user="alice", check=False, stdin=subprocess.DEVNULL).returncode == 1, command
    assert len(listed(postctl)) == 2
    postctl("remove", hers, user="alice")
    wait_listed(postctl, [roots])


@pytest.fixture
def polkit():
    """polkit(action, user): allows it without a question."""
    rules = pathlib.Path("/etc/polkit-1/rules.d/10-postd-test.rules")

    def allow(action, user):
        rules.write_text(
            "polkit.addRule(function(action, subject) {\n"
            f'    if (action.id == "{action}" && subject.user == "{user}") return polkit.Result.YES;\n'
            "});\n"
        )
        run("systemctl", "restart", "polkit.service")

    yield allow
    rules.unlink(missing_ok=True)
    run("systemctl", "restart", "polkit.service")


def test_polkit(queue, postctl, users, polkit):
    roots = queue("root@example.org", "bob@example.org")
    assert postctl("hold", roots, user="bob", check=False).returncode == 1
    polkit("io.postd.queue.manage", "bob")
    postctl("hold", roots, user="bob")
    assert listed(postctl)[0]["held"]
    assert postctl("hold", roots, user="carol", check=False).returncode == 1
    # Who may manage the queue sees it, but reads nobody's mail.
    assert [m["id"] for m in listed(postctl, user="bob")] == [roots]
    assert cat(roots, "bob") is None
    polkit("io.postd.queue.content", "bob")
    assert cat(roots, "bob").endswith(CONTENT)


def test_without_polkit(queue, postctl, users):
    """No polkit, no rights; and nobody waits long for the answer."""
    hers = queue("alice@example.org", "bob@example.org", uid=users["alice"].pw_uid)
    roots = queue("root@example.org", "bob@example.org")
    run("systemctl", "mask", "--runtime", "--now", "polkit.service")
    try:
        begin = time.monotonic()
        assert postctl("hold", roots, user="bob", check=False).returncode == 1
        assert [m["id"] for m in listed(postctl, user="alice")] == [hers]
        assert len(listed(postctl)) == 2
        assert time.monotonic() - begin < 25
        postctl("hold", roots)
    finally:
        run("systemctl", "unmask", "--runtime", "polkit.service")


def test_polkit_hangs(queue, postctl, users):
    """Who waits for polkit waits alone, and not for ever."""
    roots = queue("root@example.org", "bob@example.org")
    run("systemctl", "start", "polkit.service")
    run("systemctl", "kill", "--signal=STOP", "polkit.service")
    begin = time.monotonic()
    command = ("setpriv", "--reuid=bob", "--regid=bob", "--init-groups", "postctl", "hold", roots)
    waiting = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(1)
        assert len(listed(postctl)) == 1 and time.monotonic() - begin < 5
        assert waiting.poll() is None
        assert "root" in waiting.communicate(timeout=20)[1] and waiting.returncode == 1
        assert time.monotonic() - begin > 5
    finally:
        waiting.kill()
        run("systemctl", "kill", "--signal=CONT", "polkit.service")
    assert not listed(postctl)[0]["held"]


def test_terminal(queue, postctl):
    """Nothing that strangers send is obeyed by a terminal, and lines fit it."""
    identifier = queue("größe@example.org", "日本語日本語日本語日本語@example.org")
    postctl("hold", f"--reason={EVIL}", identifier)
    for width in (60, 80, 132):
        text, status = on_terminal("postctl", "list", columns=width)
        assert status == 0 and identifier in text
        assert_harmless(text)
        for line in text.splitlines():
            wide = sum(2 if character >= "\u3000" else 1 for character in COLOR.sub("", line))
            assert wide <= max(width, 75), line  # what is never cut needs so much
    for command in (("show", identifier), ("show", "--json", identifier), ("cat", identifier), ("list", "--json"), ("status",)):
        text, status = on_terminal("postctl", *command)
        assert status == 0 and len(text) > 50
        assert_harmless(text)
    assert "\\x1b]0;own title\\x07" in on_terminal("postctl", "cat", identifier)[0]
    assert "\x1b[" in on_terminal("postctl", "list")[0]
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"SYSTEMD_COLORS": "0"}):
        assert "\x1b" not in on_terminal("postctl", "list", environment=environment)[0]


def test_pager(queue, postctl):
    queue("a@example.org", "bob@example.org")
    text, _ = on_terminal("postctl", "list", environment={"SYSTEMD_PAGER": "sed s/^/paged:/"})
    assert "paged:" in text
    text, _ = on_terminal("postctl", "list", "--no-pager", environment={"SYSTEMD_PAGER": "sed s/^/paged:/"})
    assert "paged:" not in text


def test_status(queue, postctl):
    queue("a@example.org", "bob@example.org")
    postctl("pause", "destination", "example.org")
    text = postctl("status").stdout
    assert "1 message for 1 recipient" in text
    assert "Paused: " in text and "destination example.org" in text
    status = json.loads(postctl("status", "--json").stdout)
    assert status["messages"] == 1 and "all" in status["paused"]
    postctl("resume", "destination", "example.org")
    assert "destination" not in postctl("status").stdout.partition("DESTINATION")[0]
    metrics = dict(line.split() for line in postctl("metrics", "--no-legend").stdout.splitlines())
    assert int(metrics["received"]) >= 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("list", "too", "much"),
        ("list", "--held=perhaps"),
        ("list", "--nonsense"),
        ("flush", "--sender=a@example.org"),
        ("show",),
        ("hold",),
        ("remove", "--sender=a@example.org"),
        ("remove", "--all", "0123456789abcdef"),
        ("pause",),
        ("pause", "destination"),
        ("pause", "local", "example.org"),
        ("resume", "everything"),
        ("explain",),
        ("flush", "--destination=nowhere.example"),
    ],
)
def test_misuse(queue, postctl, arguments):
    """What makes no sense is refused before anything is done, with a reason."""
    identifier = queue("a@example.org", "bob@example.org")
    done = postctl(*arguments, check=False)
    assert done.returncode == 1 and done.stderr.startswith("postctl: ") and done.stdout == ""
    assert [m["id"] for m in listed(postctl)] == [identifier]


def test_monitor(queue, postctl):
    identifier = queue("a@example.org", "bob@example.org")
    monitor = subprocess.Popen(["postctl", "monitor", "--json"], stdout=subprocess.PIPE, text=True)

    def expect(name):
        """The next event of that name; routing has its own before."""
        for line in monitor.stdout:
            event = json.loads(line)
            assert event["id"] == identifier
            if event["event"] == name:
                return event
        pytest.fail(f"the monitor ended without {name}")

    try:
        time.sleep(0.5)
        postctl("hold", "--reason=look", identifier)
        assert expect("held")["text"] == "look"
        postctl("remove", identifier)
        assert expect("removed")["recipient"] == "bob@example.org"
    finally:
        monitor.terminate()
        monitor.wait(10)


@pytest.fixture
def quiet():
    """No journal entry for each of tens of thousands of recipients."""
    run("systemctl", "service-log-level", "postd-queued.service", "warning")
    yield
    run("systemctl", "service-log-level", "postd-queued.service", "info")


def test_many(quiet, queue, postctl):
    """A long list comes in order, in little memory."""
    recipients = [f"recipient-number-{i}@example.org" for i in range(20)]
    ids = [queue(f"sender{i}@example.org", *recipients, content=b"Subject: x\r\n\r\n") for i in range(800)]
    assert [line[:16] for line in postctl("list", "--no-legend").stdout.splitlines()] == sorted(ids)
    measure = (
        "import resource, subprocess; subprocess.run(['postctl', 'list'], stdout=subprocess.DEVNULL, check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    assert int(run("python3", "-S", "-c", measure).stdout) < 12 * 1024
    begin = time.monotonic()
    postctl("remove", "--all")
    assert time.monotonic() - begin < 20
    wait_listed(postctl, [])


def test_daemon_down(queue, postctl, users):
    """The spool is readable without the queue manager, for those who may."""
    identifier = queue("a@example.org", "bob@example.org", "carol@example.org")
    other = queue("b@example.org", "bob@example.com")
    postctl("hold", "--reason=why not", identifier)
    shown = json.loads(postctl("show", "--json", identifier).stdout)
    run("systemctl", "stop", "postd-queued.socket", "postd-queued.service")
    try:
        done = postctl("list", "--json")
        assert "not running" in done.stderr
        assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [identifier, other]
        assert json.loads(postctl("show", "--json", identifier).stdout) == shown
        assert [m["id"] for m in listed(postctl, "--held")] == [identifier]
        assert [m["id"] for m in listed(postctl, "--recipient=@example.com")] == [other]
        assert cat(other).endswith(CONTENT)

        done = postctl("list", user="alice", check=False)
        assert done.returncode == 1 and done.stdout == "" and "root" in done.stderr
        done = postctl("hold", other, check=False)
        assert done.returncode == 1 and "systemctl start" in done.stderr
        done = postctl("status", check=False)
        assert done.returncode == 3 and "not running" in done.stdout and "2 messages in the spool" in done.stdout
    finally:
        run("systemctl", "start", "postd-queued.socket", "postd-queued.service")
    wait_listed(postctl, [identifier, other])


def test_check_config(postctl, tmp_path):
    assert "good" in postctl("check-config").stdout
    directory = tmp_path / "etc/postd"
    directory.mkdir(parents=True)
    file = directory / "postd.conf"
    file.write_text("[Server]\nRetryMin=soon\n\n[Server]\nNonsense=\x1b[31m\n")
    done = postctl("check-config", f"--root={tmp_path}", check=False)
    assert done.returncode == 1
    assert "/etc/postd/postd.conf:2: " in done.stderr and "RetryMin" in done.stderr
    assert "/etc/postd/postd.conf:5: " in done.stderr
    assert "\x1b" not in done.stderr
    assert postctl("cat-config", f"--root={tmp_path}", check=False).returncode == 1
    file.write_text("[Server]\nRetryMin=7min\n")
    assert "RetryMin=7min" in postctl("cat-config", f"--root={tmp_path}").stdout


def complete(line):
    """What bash offers for a line."""
    script = (
        ". /usr/share/bash-completion/completions/postctl; "
        'COMP_WORDBREAKS=$\' \\t\\n"\\\'><=;|&(:\'; COMP_LINE=$1; read -ra COMP_WORDS <<<"${1//=/ = }"; '
        "[[ $1 != *' ' ]] || COMP_WORDS+=(''); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
        '_postctl; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return run("bash", "-c", script, "-", line).stdout.split()


def test_completion(queue, postctl):
    identifier = queue("a@example.org", "bob@example.org")
    assert "status" in complete("postctl s") and "show" in complete("postctl s") and "list" not in complete("postctl s")
    assert complete("postctl show ") == [identifier]
    assert complete(f"postctl cat {identifier[:8]}") == [identifier]
    assert complete("postctl release ") == []
    assert complete("postctl pause l") == ["local", "listener"]
    assert "--reason=" in complete("postctl hold --") and "--json" not in complete("postctl hold --")
    assert complete("postctl list --held=") == ["yes", "no"]


def test_help(postctl):
    text = postctl("--help").stdout
    for verb in ("status", "list", "show", "cat", "hold", "release", "remove", "flush", "requeue", "pause", "resume"):
        assert re.search(rf"^  .*\b{verb}\b", text, re.MULTILINE), verb
    assert all(len(line) <= 100 for line in text.splitlines())
    assert postctl("--version").stdout.startswith("postctl ")


def test_log_level():
    assert run("systemctl", "service-log-level", "postd-queued.service").stdout.strip() == "info"
    run("systemctl", "service-log-level", "postd-queued.service", "debug")
    assert run("systemctl", "service-log-level", "postd-queued.service").stdout.strip() == "debug"
    run("systemctl", "service-log-level", "postd-queued.service", "info")
    assert run("systemctl", "service-log-level", "postd-queued.service", "loud", check=False).returncode != 0
    assert run("systemctl", "service-log-target", "postd-queued.service").stdout.strip() == "journal"


def test_bus_name(users):
    """Only the queue manager is io.postd.Queue1, and the bus starts it."""
    claim = ("busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
             "io.postd.Queue1", "4")  # fmt: skip
    assert run(*claim, user="alice", check=False).returncode != 0
    run("systemctl", "stop", "postd-queued.service")
    run("busctl", "call", "io.postd.Queue1", "/io/postd/Queue1", "org.freedesktop.DBus.Peer", "Ping", user="alice")
    assert run("systemctl", "is-active", "postd-queued.service").stdout.strip() == "active"


def test_catalog(queue, postctl, journal):
    identifier = queue("a@example.org", "bob@example.org")
    postctl("hold", "--reason=look at it", identifier)
    journal.wait(POSTD_QUEUE_ID=identifier, count=2)
    text = run("journalctl", "--no-pager", "--catalog", f"POSTD_QUEUE_ID={identifier}").stdout
    assert f"postctl release {identifier}" in text
    assert re.search(r"░░ +look at it", text)
