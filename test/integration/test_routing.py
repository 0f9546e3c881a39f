# SPDX-License-Identifier: LGPL-2.1-or-later
"""From acceptance to the mailbox or the report: aliases, expansions, retries, reports. The main path, with everything real."""

import json
import pathlib
import shutil
import time

import pytest
from conftest import run, wait_until

CONFIG = pathlib.Path("/etc/postd/postd.conf.d/90-test.conf")
ALIASES = pathlib.Path("/etc/aliases")


@pytest.fixture
def config():
    """config("RetryMin=1s"): settings of [Server] for the time of the test."""

    def write(*lines, section="Server"):
        CONFIG.parent.mkdir(parents=True, exist_ok=True)
        CONFIG.write_text(f"[{section}]\n" + "\n".join(lines) + "\n")
        run("systemctl", "reload", "postd-queued.service")

    yield write
    CONFIG.unlink(missing_ok=True)
    run("systemctl", "reload", "postd-queued.service")


@pytest.fixture
def aliases():
    """aliases(text): the alias file for the time of the test. It is seen without a reload, within a quarter of a second."""
    old = ALIASES.read_text() if ALIASES.exists() else None

    def write(text):
        ALIASES.write_text(text)
        time.sleep(0.3)

    yield write
    if old is None:
        ALIASES.unlink(missing_ok=True)
    else:
        ALIASES.write_text(old)


def queue(postctl):
    return [json.loads(line) for line in postctl("list", "--json").stdout.splitlines()]


def report(message):
    """The groups of fields of a report's message/delivery-status."""
    assert message.get_content_type() == "multipart/report"
    status = [part for part in message.walk() if part.get_content_type() == "message/delivery-status"]
    return status[0].get_payload()


def test_list_and_member_get_one_copy(sendmail, mailbox, aliases, clean_queue):
    aliases("team: alice, bob, inner\ninner: bob, carol\nowner-team: root\n")
    sendmail("team", "alice")
    for user in ("alice", "bob", "carol"):
        mailbox(user).wait()
    time.sleep(0.5)
    for user in ("alice", "bob", "carol"):
        assert len(mailbox(user).messages()) == 1, user
    assert mailbox("carol").messages()[0]["Return-Path"].startswith("<owner-team@")


def test_include(sendmail, mailbox, aliases, clean_queue):
    members = pathlib.Path("/etc/postd/members")
    members.write_text("# the list\nalice\nbob\n")
    aliases(f"list: :include:{members}\n")
    sendmail("list")
    mailbox("alice").wait()
    mailbox("bob").wait()
    members.unlink()


def test_root_and_system_users(sendmail, mailbox, aliases, clean_queue):
    aliases("")
    sendmail("root", "www-data", "postmaster")
    messages = mailbox("root").wait()
    time.sleep(0.5)
    assert len(mailbox("root").messages()) == 1
    assert messages[0]["Delivered-To"].split("@")[0] == "root"
    owner = pathlib.Path("/var/mail/root").owner()
    assert owner == "postd-root"


def test_root_with_an_alias(sendmail, mailbox, aliases, clean_queue):
    aliases("root: root, alice\n")
    sendmail("root")
    mailbox("alice").wait()
    mailbox("root").wait()


def test_loop_is_reported(sendmail, mailbox, aliases, postctl, clean_queue):
    aliases("one: two\ntwo: three\nthree: one\n")
    sendmail("one", user="alice")
    dsn = mailbox("alice").wait()[0]
    groups = report(dsn)
    assert groups[1]["Status"] == "5.4.6"
    assert dsn["Return-Path"] == "<>"
    assert dsn["Auto-Submitted"] == "auto-replied"
    wait_until(lambda: not queue(postctl), what="an empty queue")


def test_message_that_goes_round(sendmail, mailbox, aliases, clean_queue):
    aliases("")
    sendmail("alice", message="Delivered-To: alice@machine.example\nSubject: again\n\nHello.\n", user="bob")
    assert report(mailbox("bob").wait()[0])[1]["Status"] == "5.4.6"
    assert mailbox("alice").messages() == []


def test_unknown_member_is_reported_to_the_owner(sendmail, mailbox, aliases, clean_queue):
    aliases("team: alice, nobody-of-that-name\nowner-team: bob\n")
    sendmail("team", user="carol")
    mailbox("alice").wait()
    groups = report(mailbox("bob").wait()[0])
    assert groups[1]["Status"] == "5.1.1"
    assert mailbox("carol").messages() == []


def test_reports_go_to_each_owner(sendmail, mailbox, aliases, clean_queue):
    aliases("one: nobody-one, nobody-too\nowner-one: bob\ntwo: nobody-two\nowner-two: carol\n")
    sendmail("one", "two", user="alice")
    failed = {}
    for user in ("bob", "carol"):
        mailbox(user).wait()
    time.sleep(1)
    for user in ("alice", "bob", "carol"):
        failed[user] = sorted(g["Final-Recipient"].split()[-1].split("@")[0] for m in mailbox(user).messages() for g in report(m)[1:])
    assert failed == {"alice": [], "bob": ["nobody-one", "nobody-too"], "carol": ["nobody-two"]}


def test_expansion_is_frozen(sendmail, mailbox, aliases, postctl, clean_queue):
    """A list edited between attempts changes nothing for what was accepted before."""
    aliases("team: alice, far@example.org\n")
    sendmail("team")
    mailbox("alice").wait()
    wait_until(lambda: queue(postctl)[0]["recipients"][-1].get("reply") == "no transport", what="the first attempt")
    aliases("team: bob\n")
    postctl("flush")
    wait_until(lambda: queue(postctl)[0]["recipients"][-1]["tries"] >= 2, what="a second attempt")
    recipients = [r["address"] for r in queue(postctl)[0]["recipients"]]
    assert [a.split("@")[0] for a in recipients] == ["team", "alice", "far"]
    assert mailbox("bob").messages() == [] and len(mailbox("alice").messages()) == 1


def test_success_report_on_request(sendmail, mailbox, aliases, clean_queue):
    aliases("")
    sendmail("-N", "success", "-V", "env-1", "bob", user="alice")
    groups = report(mailbox("alice").wait()[0])
    assert groups[0]["Original-Envelope-Id"] == "env-1"
    assert groups[1]["Action"] == "delivered"
    assert "Diagnostic-Code" not in groups[1]  # where bob's mailbox is


def test_never_report(sendmail, mailbox, aliases, postctl, clean_queue):
    aliases("one: two\ntwo: one\n")
    sendmail("-N", "never", "one", user="alice")
    wait_until(lambda: not queue(postctl), what="an empty queue")
    assert mailbox("alice").messages() == []


def test_delay_and_expiry(sendmail, mailbox, config, postctl, journal, clean_queue):
    """Mail for other hosts is deferred; one warning, and after the expiry the message comes back."""
    config("RetryMin=1s", "RetryMax=1s", "WarnAfter=2s", "ExpireAfter=6s")
    sendmail("far@example.org", message="Subject: to far away\n\nHello.\n", user="alice")
    messages = mailbox("alice").wait(2, timeout=20)
    warning, failure = report(messages[0]), report(messages[1])
    assert (warning[1]["Action"], warning[1]["Status"]) == ("delayed", "4.4.4")
    assert "Will-Retry-Until" in warning[1]
    assert (failure[1]["Action"], failure[1]["Status"]) == ("failed", "5.4.7")
    assert "to far away" in messages[1].as_string()
    wait_until(lambda: not queue(postctl), what="an empty queue")
    time.sleep(2)
    assert len(mailbox("alice").messages()) == 2
    assert journal.entries(POSTD_RESULT="expired")


def test_broken_alias_waits_for_repair(sendmail, mailbox, aliases, clean_queue):
    """It cannot be told what the alias means: the message waits in the offline directory, and nothing is bounced."""
    aliases('team: "alice\n')
    sendmail("team", user="bob")
    assert any(not path.name.startswith(".") for path in pathlib.Path("/var/spool/postd-offline").iterdir())
    aliases("team: alice\n")
    run("systemctl", "restart", "postd-pickup.service")
    mailbox("alice").wait(timeout=30)
    assert mailbox("bob").messages() == []


def test_hold_over_a_restart(sendmail, mailbox, postctl, clean_queue):
    postctl("pause", "local")
    sendmail("alice")
    ident = queue(postctl)[0]["id"]
    postctl("hold", "--reason=suspicious", ident)
    postctl("resume", "local")
    run("systemctl", "restart", "postd-queued.service")
    held = wait_until(lambda: queue(postctl), what="the queue after a restart")[0]
    assert held["held"] and held["holdReason"] == "suspicious"
    time.sleep(1)
    assert mailbox("alice").messages() == []
    postctl("release", ident)
    mailbox("alice").wait()


def test_maildir(sendmail, mailbox, users, config, clean_queue):
    config("Deliver=maildir", "Maildir=Mail/new mail", section="Action local")
    home = pathlib.Path(users["alice"].pw_dir)
    shutil.rmtree(home / "Mail", ignore_errors=True)
    for i in range(20):
        sendmail("alice", message=f"Subject: {i}\n\nx\n")
    new = home / "Mail" / "new mail" / "new"
    wait_until(lambda: new.exists() and len(list(new.iterdir())) == 20, timeout=20, what="20 messages in the maildir")
    message = next(new.iterdir())
    assert message.owner() == "alice" and message.stat().st_mode & 0o077 == 0
    assert b"\r" not in message.read_bytes() and message.read_bytes().startswith(b"Return-Path: <root@")
    assert mailbox("alice").messages() == []


def test_damaged_content_is_put_aside(sendmail, mailbox, postctl, journal, clean_queue):
    """A bit that has flipped on the disk: nothing of the message is delivered, it is kept and told; others go on."""
    postctl("pause", "local")
    sendmail("alice", message="Subject: damaged\n\n" + "abcdefgh\n" * 1000)
    sendmail("bob")
    ident = next(m["id"] for m in queue(postctl) if m["recipients"][0]["address"].startswith("alice"))
    path = next(pathlib.Path("/var/spool/postd/queue").glob(f"*/{ident}"))
    run("systemctl", "stop", "postd-queued.service")
    data = bytearray(path.read_bytes())
    data[data.index(b"abcdefgh", len(data) // 2)] ^= 1
    path.write_bytes(data)
    run("systemctl", "start", "postd-queued.service")
    postctl("resume", "local")
    mailbox("bob").wait()
    wait_until(lambda: not queue(postctl), what="an empty queue")
    assert mailbox("alice").messages() == []
    kept = pathlib.Path("/var/spool/postd/damaged", ident)
    assert kept.exists()
    kept.unlink()
    assert journal.wait(MESSAGE_ID="e5fcc6b0f566485bb35ad8f9359fb644", POSTD_QUEUE_ID=ident)
