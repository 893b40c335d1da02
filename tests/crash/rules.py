#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each rule of lib/base/rules.h is broken in turn, in a server and a replayer
built for that: the crash proof must notice, or it proves nothing.

CRASH_RULES names some of them, CRASH_TRIES how often each workload is tried,
CRASH_ALL=1 goes on to a table of all that notice."""

import os
import re

from crashtest import Recording, check, run_cases
from loads import LOADS

TRIES = int(os.environ.get("CRASH_TRIES", "4"))
IMAGES = 400

# Which workloads are likely to notice; the others are tried after them.
LIKELY = {
    "FREEZE_ENTRY": [("recycled", "child"), ("failing", "child")],
    "FREEZE_BITMAP": [("steady", "child"), ("crowded", "child")],
    "OPEN_SYNC": [("reopened", "dynamic")],
    "EPOCH": [("overtaken", "dynamic")],
    "HOLD": [("watched", "dynamic")],
    "PUNCH": [("failing", "dynamic")],
    "PUBLISH": [("crowded", "child"), ("killed", "child")],
    "BUSY": [("crowded", "dynamic")],
    "HIDE": [("recycled", "child")],
    "JOURNAL": [("killed", "dynamic")],
    "FAILED_SYNC": [("unsynced", "child")],
    "FAILED_ENTRY": [("failing", "child")],
}
KINDS = ("dynamic", "child")


def rules():
    path = os.path.join(os.environ["SRCDIR"], "lib", "base", "rules.h")
    with open(path, encoding="utf-8") as file:
        text, _, _ = file.read().partition("#define INPLACE_RULES")
    found = re.findall(r'RULE_ROW\((\w+), +"', text)
    check(found, "no rules found")
    wanted = os.environ.get("CRASH_RULES", "").split()
    return [r for r in found if not wanted or r in wanted]


def notices(rule, load, kind, seed):
    """What is seen to be wrong, or None."""
    try:
        with Recording(kind, seed, rule=rule) as recording:
            LOADS[load](recording)
            _, wrong, lines = recording.replay(IMAGES)
            return lines[0] if wrong else None
    except AssertionError as seen:
        return str(seen)


def in_order(rule):
    """Workload, kind and seed of each try."""
    first = LIKELY.get(rule, [])
    for seed in range(1, TRIES + 1):
        yield from ((load, kind, seed) for load, kind in first)
    for seed in range(1, TRIES + 1):
        yield from ((load, kind, seed) for load in LOADS for kind in KINDS
                    if (load, kind) not in first)


def must_notice(rule):
    noticed = 0
    for load, kind, seed in in_order(rule):
        seen = notices(rule, load, kind, seed)
        if seen:
            noticed += 1
            print(f"# {rule}: {load}, {kind}, seed {seed}: "
                  f"{seen.splitlines()[0][:150]}", flush=True)
            if not os.environ.get("CRASH_ALL"):
                return
    check(noticed, f"nobody noticed that {rule} was broken")


run_cases((f"{rule} broken is noticed", lambda r=rule: must_notice(r))
          for rule in rules())
