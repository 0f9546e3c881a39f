#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""layers.py SRC

Holds the sources to src/LAYERS: each folder includes only what it may, with the folder's name; no folder includes one
that comes later in the list; some system headers belong to some folders. Files and functions keep their limits.
"""

import pathlib
import re
import sys

FILE_MAX = 800
FUNCTION_MAX = 100


def read_layers(text):
    """The folders each folder may include, in order; and the folders that may include a system header."""
    folders, headers = {}, {}
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name, colon, rest = line.rpartition(":")
        if not colon:
            raise ValueError(f"LAYERS: not understood: {line}")
        if name.startswith("<"):
            headers[name] = rest.split()
        else:
            folders[name] = rest.split()
    return folders, headers


def check_layers(folders):
    seen = []
    for folder, may in folders.items():
        for other in may:
            if other not in seen:
                yield f"LAYERS: {folder} may include {other}, which does not come before it"
        seen.append(folder)


def check_include(path, folder, include, folders, headers):
    if include.startswith("<"):
        for header, owners in headers.items():
            if include.startswith(header) and folder not in owners:
                yield f"{include} belongs to {', '.join(owners)}"
        return
    name = include.strip('"')
    other, slash, _ = name.partition("/")
    if not slash:
        yield f"{include}: an include carries its folder"
    elif other != folder and other not in folders[folder]:
        yield f"{include}: {folder}/ may include {' '.join(folders[folder]) or 'nothing else'}"
    if slash and not (path.parents[1] / name).is_file():
        yield f"{include}: there is no such file"


def functions(lines):
    """The first line and the number of lines of each function: its body begins and ends at the left margin."""
    begin = None
    for number, line in enumerate(lines, 1):
        if re.match(r"[A-Za-z_].*\)( .*)?\{$", line) or (line == "{" and begin is None):
            begin = number
        elif line == "}" and begin is not None:
            yield begin, number - begin + 1
            begin = None


def check_file(path, folders, headers):
    """Yields (line, what is wrong)."""
    folder = path.parent.name
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        include = re.match(r'\s*#\s*include\s+(<[^>]+>|"[^"]+")', line)
        if include:
            for problem in check_include(path, folder, include[1], folders, headers):
                yield number, problem
    if len(lines) > FILE_MAX:
        yield len(lines), f"the file has more than {FILE_MAX} lines"
    if path.suffix == ".c":
        for begin, length in functions(lines):
            if length > FUNCTION_MAX:
                yield begin, f"the function has {length} lines, more than {FUNCTION_MAX}"


def main():
    src = pathlib.Path(sys.argv[1])
    folders, headers = read_layers((src / "LAYERS").read_text(encoding="utf-8"))
    problems = list(check_layers(folders))
    n = 0
    for path in sorted(src.glob("*/*.[ch]")):
        n += 1
        if path.parent.name not in folders:
            problems.append(f"{path}: the folder is not in LAYERS")
            continue
        problems += [f"{path}:{line}: {problem}" for line, problem in check_file(path, folders, headers)]
    for path in sorted(src.glob("*.[ch]")):
        problems.append(f"{path}: a source file outside of the folders")
    for problem in problems:
        print(problem)
    print(f"{n} files, {len(problems)} problems")
    sys.exit(1 if problems or not n else 0)


if __name__ == "__main__":
    main()
