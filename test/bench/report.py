# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a table of the lines of JSON that test/bench/local collected. Exits with 1 if a bound was missed or work failed."""

import collections
import json
import statistics
import sys

TITLES = {
    "accept one": "accept, delivery held",
    "mbox one": "deliver to the mbox of one user",
    "mbox fifty": "deliver to the mboxes of 50 users",
    "mbox cold": "deliver to the mboxes of 2000 users",
    "maildir one": "deliver to the maildir of one user",
    "maildir fifty": "deliver to the maildirs of 50 users",
    "maildir cold": "deliver to the maildirs of 2000 users",
    "sendmail 1": "sendmail, one call after another",
    "sendmail 8": "sendmail, eight calls at a time",
}
RATES = ("deliver_rate", "accept_rate", "call_rate")


class Results:
    def __init__(self, lines):
        self.runs = collections.defaultdict(list)  # workload, MTA: one dict for each round
        for line in map(json.loads, lines):
            self.runs[line["workload"], line["mta"]].append(line)
        self.mtas = list(dict.fromkeys(mta for _, mta in self.runs))
        self.workloads = list(dict.fromkeys(workload for workload, _ in self.runs))

    def values(self, workload, mta, field):
        return [run[field] for run in self.runs.get((workload, mta), []) if field in run]

    def median(self, workload, mta, field):
        values = self.values(workload, mta, field)
        return statistics.median(values) if values else None

    def broken(self):
        return sum(run.get("broken", False) for runs in self.runs.values() for run in runs)

    def ratio(self, workload, field, mta="postfix"):
        ours, theirs = self.median(workload, "postd", field), self.median(workload, mta, field)
        return ours / theirs if ours and theirs else None


def number(value, digits=0):
    return "-" if value is None else f"{value:.{digits}f}"


def spread(values):
    if not values:
        return "failed"
    return f"{statistics.median(values):.0f} [{min(values):.0f}-{max(values):.0f}]"


def rows(results):
    yield "workload", "MTA", "accepted/s", "done/s", "p50 ms", "p99 ms", "MTA", "journald", "PID 1", "bus", "postd is"
    for workload in results.workloads:
        if workload not in TITLES:
            continue
        for mta in results.mtas:
            rate = next((field for field in RATES if results.values(workload, mta, field)), None)
            cells = [spread(results.values(workload, mta, rate))]
            accepted = results.values(workload, mta, "accept_rate") if rate == "deliver_rate" else []
            cells.insert(0, spread(accepted) if accepted else "")
            cells += [number(results.median(workload, mta, field), 1) for field in ("p50_ms", "p99_ms")]
            cells += [number(results.median(workload, mta, f"cpu_{who}"), 2) for who in ("mta", "journald", "pid1", "bus")]
            ratio = results.ratio(workload, rate, mta) if rate and mta != "postd" else None
            yield TITLES[workload] if mta == results.mtas[0] else "", mta, *cells, f"{ratio:.2g} times as fast" if ratio else ""


def print_table(table):
    widths = [max(map(len, column)) for column in zip(*table)]
    for row in table:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:])]
        print("  ".join(left + right).rstrip())


def print_idle(results):
    for workload in results.workloads:
        if not workload.startswith("idle"):
            continue
        for mta in results.mtas:
            for run in results.runs.get((workload, mta), []):
                if run.get("broken"):
                    continue
                names = collections.Counter(run["names"])
                listed = ", ".join(name if n == 1 else f"{n} {name}" for name, n in sorted(names.items()))
                print(f"{workload}: {mta}: {run['processes']} processes ({listed}), PSS {run['pss_mb']:.1f} MB, "
                      f"{run['switches']} context switches in {run['seconds']} s")


def bounds(results):
    """What is to be reached, what was, whether that is enough."""
    def bound(text, value, digits, unit, enough):
        if value is not None:
            yield text, f"{value:.{digits}f} {unit}", enough(value)

    yield from bound("accepts at least 2.5 times as fast as Postfix", results.ratio("accept one", "accept_rate"), 1, "times",
                     lambda v: v >= 2.5)
    yield from bound("at most 0.7 CPU seconds per 1000 accepted messages", results.median("accept one", "postd", "cpu_mta"), 2,
                     "seconds", lambda v: v <= 0.7)
    for workload in ("mbox one", "maildir one"):
        yield from bound(f"delivers ahead of Postfix ({workload} user)", results.ratio(workload, "deliver_rate"), 1, "times",
                         lambda v: v > 1)
    for workload in ("mbox cold", "maildir cold"):
        yield from bound(f"at least 50 new users a second ({workload})", results.median(workload, "postd", "deliver_rate"), 0,
                         "a second", lambda v: v >= 50)
    for workload in ("idle fresh", "idle a minute after a burst"):
        yield from bound(f"less than 4 MB of PSS ({workload})", results.median(workload, "postd", "pss_mb"), 1, "MB",
                         lambda v: v < 4)


def main():
    results = Results(sys.stdin)
    print("Medians [range] of runs that took turns. Messages have 4 KB, 20 connections, reused, on loopback; CPU is in seconds")
    print("per 1000 messages. The clock of a delivery stops when the last message is in its mailbox.\n")
    print_table(list(rows(results)))
    print()
    print_idle(results)
    print()
    missed = 0
    for text, reached, enough in bounds(results):
        missed += not enough
        print(f"{'reached' if enough else 'MISSED '}  {text}: {reached}")
    if results.broken():
        print(f"FAILED   {results.broken()} runs did not get to their end (see above)")
    sys.exit(1 if missed or results.broken() else 0)


main()
