#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The real server under a real client, recorded from inside: whatever a power
cut at any moment leaves opens, holds what was flushed, shows nothing that
never was, and checks clean; and a killed server loses nothing acknowledged.

CRASH_LOADS names the workloads, CRASH_SCALE says how many runs there are of
each, CRASH_IMAGES how many power cuts of each are looked at, and CRASH_SEED
makes it other ones."""

import os

from crashtest import KiB, Recording, Skip, check, run_cases, uses_ring
from loads import LOADS

SCALE = int(os.environ.get("CRASH_SCALE", "1"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
IMAGES = int(os.environ.get("CRASH_IMAGES", "120"))
QUICK = "steady growing recycled"
TRIED = os.environ.get("CRASH_LOADS", QUICK).split()

# What is tried on hosts that show old bytes of their disk in a place that a
# write was given and did not reach: all that allocate.  A dynamic image's places
# are set aside when its file grows, a child's bitmap's before it counts.
OLD_BYTES = ("dynamic", "child", "deep")

totals = {}


def prove(kind, load, *options, images=IMAGES, block=16 * KiB, **more):
    """One run for each turn; how: io, local."""
    how = {k: more.pop(k) for k in ("io", "local") if k in more}
    for turn in range(SCALE):
        seed = SEED * 1000 + turn
        with Recording(kind, seed, block=block, **more) as recording:
            recording.how = how
            LOADS[load](recording)
            opened, wrong, lines = recording.replay(images, *options)
        total = totals.setdefault(kind, [0, 0])
        total[0] += opened
        total[1] += wrong
        check(wrong == 0, f"{wrong} of {opened} images are wrong (seed {seed})"
              ":\n" + "\n".join(lines))


def tried(*loads):
    return [load for load in loads if load in TRIED]


def cases():
    for kind in ("dynamic", "child", "deep"):
        for load in LOADS:
            if load == "overtaken" and kind != "dynamic":
                continue  # a child keeps most of its blocks
            if load in TRIED:
                yield f"{kind}, {load}", lambda k=kind, n=load: prove(k, n)
    for load in tried("killed", "reopened", "unsynced"):
        yield f"fixed, {load}", lambda n=load: prove("fixed", n)
    for load in tried("crowded", "killed"):
        yield f"child, {load}, without io_uring", \
            lambda n=load: prove("child", n, io="threads")
        yield f"child, {load}, all calls by the loop", \
            lambda n=load: prove("child", n, local=False)
        yield f"child, {load}, three threads", lambda n=load: prove(
            "child", n, options=("--threads", "3"))
        yield f"child, {load}, the nbdkit plugin", lambda n=load: plugin(n)
        yield f"child, {load}, small blocks", \
            lambda n=load: prove("child", n, block=4 * KiB)
        yield f"dynamic, {load}, large blocks", \
            lambda n=load: prove("dynamic", n, block=128 * KiB)
        for kind in OLD_BYTES:
            yield f"{kind}, {load}, a host that shows old bytes", \
                lambda k=kind, n=load: prove(k, n, "--garbage")
    yield "io_uring was used", ring


def plugin(load):
    if not os.environ.get("VHDKIT_PLUGIN"):
        raise Skip("built without the nbdkit plugin")
    prove("child", load, server="nbdkit")


def ring():
    try:
        with open("/proc/sys/kernel/io_uring_disabled",
                  encoding="ascii") as file:
            allowed = file.read().strip() == "0"
    except FileNotFoundError:
        allowed = False
    if not allowed:
        raise Skip("this system lets nobody use io_uring, or does not tell")
    with open(os.path.join(os.environ["BUILDDIR"], "config.h"),
              encoding="ascii") as file:
        if "#define HAVE_LIBURING 1" not in file.read():
            raise Skip("built without io_uring")
    with Recording("child", SEED) as recording:
        LOADS["steady"](recording)
        check(uses_ring(recording), "io_uring carried nothing")


def report():
    for kind, (opened, wrong) in totals.items():
        print(f"# {kind}: {opened} images opened, {wrong} wrong")
    print(f"# {sum(t[0] for t in totals.values())} images opened, "
          f"{sum(t[1] for t in totals.values())} wrong", flush=True)


run_cases(cases(), report)
