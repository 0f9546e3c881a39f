# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the dialogues of test/transcripts against the receivers of the booted machine.

    listener: NAME     which one to talk to (see smtp_client.py)
    C: TEXT            a line of the client, sent with CRLF; C N: TEXT sends it N times
    R: TEXT            bytes of the client as they are, with \\r \\n \\0 \\xNN; R N: TEXT
    S: PATTERN         a line of the server; * stands for anything; S N: PATTERN expects it N times
    S*: PATTERN        lines of the server up to and with one that matches
    E:                 the server ends the connection
    W: SECONDS         waits

What the client says between two lines of the server is sent in one piece.
"""

import fnmatch
import pathlib
import re
import time

import pytest

from smtp_client import Client, listeners  # noqa: F401

TRANSCRIPTS = sorted(pathlib.Path(__file__).parent.parent.joinpath("transcripts").glob("*.txt"))
LINE = re.compile(r"(listener|[CRSWE])(\*| \d+)?: ?(.*)")


def unescape(text):
    names = {"r": b"\r", "n": b"\n", "0": b"\0"}
    out = b""
    for plain, escape in re.findall(r"([^\\]+)|\\(x[0-9a-f]{2}|[rn0])", text):
        out += plain.encode() if plain else names.get(escape) or bytes.fromhex(escape[1:])
    return out


def matches(line, pattern):
    return line is not None and fnmatch.fnmatchcase(line, pattern.replace("[", "[[]").replace("?", "[?]"))


class Dialogue:
    def __init__(self, name):
        self.name = name
        self.client = None
        self.pending = b""

    def flush(self):
        data, self.pending = self.pending, b""
        if data:
            try:
                self.client.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # what it said before it went is still to be read

    def step(self, kind, count, text, where):
        if kind == "listener":
            self.client = Client(text)
        elif kind == "C":
            self.pending += (text.encode() + b"\r\n") * int(count or 1)
        elif kind == "R":
            self.pending += unescape(text) * int(count or 1)
        elif kind == "W":
            self.flush()
            time.sleep(float(text))
        elif kind == "E":
            self.flush()
            assert self.client.line() is None, f"{where}: the connection goes on"
        elif count == "*":
            self.flush()
            while not matches(line := self.client.line(), text):
                assert line is not None, f"{where}: the connection ended before {text}"
        else:
            self.flush()
            for _ in range(int(count or 1)):
                line = self.client.line()
                assert matches(line, text), f"{where}: expected {text}\ngot {line}"


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path, listeners):  # noqa: F811
    dialogue = Dialogue(path.stem)
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        match = LINE.fullmatch(line)
        assert match, f"{path.name}:{number}: not understood: {line}"
        kind, count, text = match.groups()
        dialogue.step(kind, count and count.strip(), text, f"{path.name}:{number}")
    dialogue.flush()
    dialogue.client.__exit__()
