#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""catalog.py MESSAGE-IDS.H CATALOG

Holds the event ids in the header and the entries of the journal's catalogue together: each id has one entry, each entry
an id, and an entry substitutes only fields that postd's events have.
"""

import re
import sys

FIELDS = {
    "POSTD_QUEUE_ID", "POSTD_SENDER", "POSTD_RECIPIENT", "POSTD_STATUS", "POSTD_REPLY", "POSTD_DELAY_USEC",
    "POSTD_ORIGIN_UID", "POSTD_ORIGIN_UNIT", "POSTD_LISTENER", "POSTD_SIZE", "POSTD_REASON", "POSTD_PEER",
    "POSTD_DESTINATION", "POSTD_COUNT", "POSTD_UNIT", "POSTD_BY_UID",
}  # fmt: skip


def check(header, catalog):
    """Yields one line for each thing that is wrong."""
    names = {}
    for name, number in re.findall(r'^#define (MESSAGE_\w+) "(.*)"$', header, re.MULTILINE):
        if not re.fullmatch(r"[0-9a-f]{32}", number):
            yield f"{name}: not 32 hexadecimal digits: {number}"
        if number in names:
            yield f"{name} has the id of {names[number]}"
        names[number] = name
    if not names:
        yield "no id found in the header"

    seen = set()
    for entry in re.split(r"^-- ", catalog, flags=re.MULTILINE)[1:]:
        number, _, rest = entry.partition("\n")
        name = names.get(number, number)
        if number not in names:
            yield f"{number}: an entry without an id in the header"
        if number in seen:
            yield f"{name}: two entries"
        seen.add(number)

        head, _, text = rest.partition("\n\n")
        keys = [line.partition(": ")[0] for line in head.splitlines()]
        if keys != ["Subject", "Defined-By", "Documentation"]:
            yield f"{name}: the entry should begin with Subject, Defined-By and Documentation, not {', '.join(keys)}"
        if not text.strip():
            yield f"{name}: the entry has no text"
        for field in re.findall(r"@([^@\s]+)@", rest):
            if field not in FIELDS:
                yield f"{name}: there is no field {field}"
        if any(len(line) > 90 for line in text.splitlines()):
            yield f"{name}: a line is too long for a terminal"
    for number, name in names.items():
        if number not in seen:
            yield f"{name}: no entry in the catalogue"


def main():
    texts = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    problems = list(check(*texts))
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
