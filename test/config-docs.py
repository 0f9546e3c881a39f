#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""config-docs.py CONFIG-KEYS POSTD.CONF.5.SCD POSTD.CONF

Holds the manual page and the packaged file to the parser's table of keys: all have the same keys in the same order with the
same defaults, and each key in the manual page has an example that the parser takes.
"""

import pathlib
import re
import subprocess
import sys
import tempfile


def read_table(program):
    table = []
    for line in subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines():
        section, key, default = line.split("\t")
        table.append((section, key, None if default == "-" else default))
    return table


def read_page(text):
    """(section, key, default or None when it is described in words, example or None) of each key."""
    for part in re.split(r"^# ", text, flags=re.MULTILINE)[1:]:
        title = re.match(r"\[(.*)\] SECTION\n", part)
        if not title:
            continue
        for block in re.split(r"^(?=\*\w+=\*$)", part, flags=re.MULTILINE)[1:]:
            key = re.match(r"\*(\w+)=\*$", block, re.MULTILINE)[1]
            default = re.search(r"^\tDefault: (?:\*(\S+)\*$|\S)", block, re.MULTILINE)
            example = re.search(rf"^\tExample: _({key}=\S.*)_$", block, re.MULTILINE)
            yield title[1], key, default[1] if default else "(none)", example and example[1]


def read_file(text):
    section = None
    for line in text.splitlines():
        if header := re.fullmatch(r"#?\[(.*)\]", line):
            section = header[1]
        elif assignment := re.fullmatch(r"#(\w+)=(.*)", line):
            yield section, assignment[1], assignment[2] or None


def compare(table, other, name):
    if [row[1] for row in table] != [row[1] for row in other]:
        have, want = {row[1] for row in other}, {row[1] for row in table}
        yield f"{name}: missing: {' '.join(want - have) or '-'}; unknown: {' '.join(have - want) or '-'}; or in another order"
        return
    for (section, key, default), row in zip(table, other):
        if section.lower() != row[0].lower():
            yield f"{name}: {key}= is in [{row[0]}], not in [{section}]"
        if default != row[2]:
            yield f"{name}: {key}= has the default {row[2]}, not {default}"


def try_example(program, section, example):
    """What the parser says against a configuration with the example, None if nothing."""
    with tempfile.TemporaryDirectory() as root:
        path = pathlib.Path(root, "etc/postd/postd.conf")
        path.parent.mkdir(parents=True)
        path.write_text(f"[{section.replace('NAME', 'smtp')}]\n{example}\n", encoding="utf-8")
        result = subprocess.run([program, root], capture_output=True, text=True)
        if result.returncode != 0:
            return result.stderr.strip() or f"exit status {result.returncode}"
        return None if example in result.stdout.splitlines() else "it does not come back"


def main():
    program, page_path, file_path = sys.argv[1:]
    table = read_table(program)
    page = list(read_page(pathlib.Path(page_path).read_text(encoding="utf-8")))
    problems = list(compare(table, page, page_path))
    problems += compare(table, list(read_file(pathlib.Path(file_path).read_text(encoding="utf-8"))), file_path)
    sections = {key: section for section, key, _ in table}
    for _, key, default, example in page:
        if default == "(none)":
            problems.append(f"{page_path}: {key}= has no default")
        if not example:
            problems.append(f"{page_path}: {key}= has no example")
        elif key in sections and (wrong := try_example(program, sections[key], example)):
            problems.append(f"{page_path}: the example {example}: {wrong}")
    for problem in problems:
        print(problem)
    print(f"{len(table)} keys, {len(problems)} problems")
    sys.exit(1 if problems or not table else 0)


if __name__ == "__main__":
    main()
