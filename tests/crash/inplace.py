#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Verbs that change an image in place: whatever a power cut at any moment, a
kill, a call that fails or Ctrl-C leaves is sound and reads as ever, and the same
command goes on with it.

CRASH_IMAGES says how many power cuts of each run are looked at, CRASH_SCALE how
many runs there are, VERB_ROUNDS how many kills and failures; CRASH_VERBS says how
the cases begin that are wanted, apart by semicolons."""

import os

from crashtest import MiB, check, run_cases
from verbs import (SIZE, Family, Verb, failures, interrupts, kills,
                   power_cuts)

SCALE = int(os.environ.get("CRASH_SCALE", "1"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
IMAGES = int(os.environ.get("CRASH_IMAGES", "300"))
ROUNDS = int(os.environ.get("VERB_ROUNDS", "12"))
WANTED = tuple(os.environ.get("CRASH_VERBS", "").split(";"))

# Name: the verb's arguments, images, and the size that the disk gets.
VERBS = {
    "compact": (["compact"], ("dynamic", "child"), SIZE),
    "resize": (["resize", "64M"], ("dynamic", "child"), 64 * MiB),
    "resize, fixed": (["resize", "1M"], ("fixed",), MiB),
    "repair": (["repair"], ("damaged",), SIZE),
    "set": (["set", "--id", "new", "--creator", "test"], ("dynamic", "child"),
            SIZE),
}

# Those that change several: the arguments, the files whose calls are seen, and
# whether the image goes.
FAMILIES = {
    "merge": (["merge"], ("base0.vhd", "image.vhd", "upper.vhd"), True),
    "rebase": (["rebase", "other.vhd", "--copy"], ("image.vhd",), False),
}

totals = {}


def count(what, n):
    totals[what] = totals.get(what, 0) + n


def cut(kind, args, becomes):
    for turn in range(SCALE):
        with Verb(kind, args, SEED * 1000 + turn, becomes) as verb:
            opened, wrong, lines = power_cuts(verb, IMAGES)
        check(opened >= IMAGES, f"only {opened} images were looked at")
        count("power cuts", opened)
        check(wrong == 0, f"{wrong} of {opened} images are wrong:\n" +
              "\n".join(lines))


def try_all(what, function, make):
    with make() as verb:
        done = function(verb, ROUNDS)
    check(done > 0, "it never came to that")
    count(what, done)


def cases():
    for name, (args, kinds, becomes) in VERBS.items():
        for kind in kinds:
            how = (kind, args, becomes)
            # What only the change of store/redo.h makes is proved with that.
            quick = kind in ("fixed", "damaged") or name == "set"
            if not quick:
                yield f"{name}, {kind}: power cuts", lambda h=how: cut(*h)
            for what, function in (("kills", kills), ("failures", failures),
                                   ("interrupts", interrupts)):
                if quick and what == "interrupts":
                    continue  # it is done before one comes
                yield f"{name}, {kind}: {what}", \
                    lambda n=name, w=what, f=function, h=how: try_all(
                        f"{w} of {n}", f,
                        lambda: Verb(h[0], h[1], SEED, h[2]))
    for name, (args, watched, goes) in FAMILIES.items():
        for watch in watched:
            for what, function in (("kills", kills), ("failures", failures)):
                yield f"{name}, at calls on {watch}: {what}", \
                    lambda n=name, w=what, f=function, how=(
                        watch, args, SEED, goes): try_all(
                            f"{w} of {n}", f, lambda: Family(*how))


def report():
    for what, n in totals.items():
        print(f"# {what}: {n}", flush=True)


run_cases(((sentence, function) for sentence, function in cases()
           if sentence.startswith(WANTED)), report)
