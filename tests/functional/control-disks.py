#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Disks at the control socket and by vhdkitctl: their versions, what clients
get, and what clients have."""

import json
import os
import subprocess
import time

from controltest import CONTROL, Control
from diskstest import (ANYBODY, DISK, SIZE, golden, is_refused, link,
                       make_disk, make_version, pattern, serving_disks)
from servertest import connect
from tooltest import MiB, case, check, contains, equal, run

VHDKITCTL = os.environ["VHDKITCTL"]
OPTIONS = ("--control", CONTROL)
RULES = ('clients = ( { disk = "*"; who = "tester"; version = "test"; },'
         ' { disk = "*"; who = "maker"; version = "maintenance"; },'
         ' { disk = "*"; } );')


def ctl(*args, status=0):
    done = subprocess.run([VHDKITCTL, *args, "--socket", CONTROL],
                          capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    equal(done.returncode, status, f"{args}: {done.stderr}")
    return done.stderr if status else done.stdout


def served(*lines):
    return serving_disks(*lines, options=OPTIONS)


def gone(c):
    """Nobody is connected, and what they had is closed."""
    while c.ask("clients")["clients"] or any(
            e["state"] == "open" for e in c.ask("exports")["exports"]):
        time.sleep(0.01)


@case("disks and versions are told as their folders show them")
def _():
    make_disk()
    make_version(2, b"two" * 1000)
    make_disk("win")
    os.makedirs("disks/empty")
    with open(f"disks/{DISK}/2.txt", "w", encoding="utf-8") as file:
        file.write("newer kernel\n")
    link("test", 2)
    with served(ANYBODY):
        c = Control()
        disks = {d["disk"]: d for d in c.ask("disks")["disks"]}
        equal(set(disks), {DISK, "win", "empty"})
        equal(disks[DISK], {
            "disk": DISK, "production": 1, "test": 2, "maintenance": None,
            "previous": None, "scheduled": None, "versions": 2, "text": None})
        equal(disks["empty"]["versions"], 0)
        found = c.ask("versions", disk=DISK)
        one, two = found["versions"]
        equal((one["version"], one["role"], one["parent"], one["size"]),
              (1, "production", None, SIZE))
        equal((two["version"], two["role"], two["parent"], two["text"]),
              (2, "test", 1, "newer kernel"))
        check(one["sound"] and two["sound"], found)
        check(SIZE // 2 <= one["actual-size"] < 2 * SIZE, one)
        equal(c.refusal("versions", disk="none").kind, "not-found")
        equal(c.refusal("versions", disk="../disks").kind, "usage")
        text = ctl("versions", DISK)
        contains(text, "newer kernel")
        contains(ctl("disks"), "PRODUCTION")


@case("a version from its beginning to its end")
def _():
    make_disk()
    with served(RULES):
        c = Control()
        equal(json.loads(ctl("new-version", DISK, "--text", "patched",
                             "--json")), {"disk": DISK, "version": 2})
        equal(json.loads(ctl("new-version", DISK, "--text", "patched",
                             "--json"))["version"], 2)
        writer = connect(f"{DISK}/maker")
        writer.pwrite(pattern("two", 4096), 0)
        writer.flush()
        contains(ctl("promote", DISK, "2", status=8), "2")  # it is written to
        writer.shutdown()
        gone(c)
        before = connect(f"{DISK}/a")
        equal(before.pread(4096, 0), golden()[:4096])
        contains(ctl("test", DISK, "2"), "version 2")
        contains(ctl("promote", DISK, "2"), "version 2")
        equal(before.pread(4096, 0), golden()[:4096])  # he goes on with his
        after = connect(f"{DISK}/b")
        equal(after.pread(4096, 0), pattern("two", 4096))
        after.shutdown()
        check(is_refused(f"{DISK}/maker"), "there is none any more")
        equal(json.loads(ctl("rollback", DISK, "--from", "2", "--json")),
              {"disk": DISK, "version": 1})
        equal(json.loads(ctl("rollback", DISK, "--from", "2", "--json")),
              {"disk": DISK, "version": 1})
        third = connect(f"{DISK}/c")
        equal(third.pread(4096, 0), golden()[:4096])
        third.shutdown()
        before.shutdown()
        gone(c)
        said = ctl("delete-version", DISK, "2", status=10)
        contains(said, "b")  # his child is of it
        contains(ctl("discard", DISK, "b"), "anew")
        contains(ctl("delete-version", DISK, "2"), "version 2")
        equal([v["version"] for v in
               c.ask("versions", disk=DISK)["versions"]], [1])


@case("what a client has becomes a version, or is thrown away")
def _():
    make_disk()
    with served(ANYBODY) as server:
        c = Control()
        h = connect(f"{DISK}/a")
        h.pwrite(pattern("mine", 4096), MiB)
        h.flush()
        equal([(k["client"], k["version"], k["sound"]) for k in
               c.ask("children", disk=DISK)["children"]], [("a", 1, True)])
        contains(ctl("apply", DISK, "a", status=8), "a")  # it is in use
        contains(ctl("discard", DISK, "a", status=8), "a")
        h.shutdown()
        gone(c)
        contains(ctl("apply", DISK, "a", "--text", "from a"), "version 2")
        equal(c.ask("children", disk=DISK)["children"], [])
        equal(c.ask("versions", disk=DISK)["versions"][1]["text"], "from a")
        ctl("promote", DISK, "2")
        other = connect(f"{DISK}/b")
        equal(other.pread(4096, MiB), pattern("mine", 4096))
        equal(other.pread(4096, 0), golden()[:4096])
        other.shutdown()
        gone(c)
        ctl("discard", DISK, "b")
        ctl("discard", DISK, "b")  # as if it had been said once
        equal(c.ask("children", disk=DISK)["children"], [])
        contains(server.log(), "apply")  # the audit


@case("a promotion that is scheduled, seen and taken back")
def _():
    make_disk()
    make_version(2, b"two" * 1000)
    with served(ANYBODY):
        c = Control()
        ctl("promote", DISK, "2", "--at", "2099-12-31 23:00")
        disk = c.ask("disks")["disks"][0]
        equal(disk["scheduled"], 2)
        equal(time.strftime("%F %H:%M", time.localtime(disk["when"])),
              "2099-12-31 23:00")
        contains(ctl("disks"), "2099-12-31 23:00")
        ctl("promote", DISK, "2", "--at", "never")
        equal(c.ask("disks")["disks"][0]["scheduled"], None)
        for when in "", "tomorrow", "2099-13-01 00:00", "2099-12-31":
            contains(ctl("promote", DISK, "2", "--at", when, status=5), "--at")


@case("a promotion that became due while nobody served is made")
def _():
    make_disk()
    make_version(2, b"two" * 1000)
    with open(f"disks/{DISK}/schedule", "w", encoding="ascii") as file:
        file.write("promote 2 at 2026-01-01T03:00:00Z\n")
    with served(ANYBODY) as server:
        server.wait_for("version 2 is in production, as was scheduled")
        disk = Control().ask("disks")["disks"][0]
        equal((disk["production"], disk["scheduled"]), (2, None))


def seen(c):
    """But for the mode bits, which follow behind."""
    disk = c.ask("versions", disk=DISK)
    for version in disk["versions"]:
        del version["sealed"]
    return disk


@case("what makes no sense is refused, and changes nothing")
def _():
    make_disk()
    with served(ANYBODY):
        c = Control()
        before = seen(c)
        for args, status, part in (
                (("promote", DISK, "7"), 6, "7"),
                (("promote", "none", "1"), 6, "none"),
                (("promote", DISK, "x"), 5, "x"),
                (("delete-version", DISK, "1"), 10, "production"),
                (("rollback", DISK), 6, "promote"),
                (("new-version", DISK, "--from", "9"), 6, "9"),
                (("describe", DISK, "1", "two\nlines"), 5, ""),
                (("describe", DISK, "1", "x" * 300), 5, "long"),
                (("apply", DISK, "nobody"), 6, "nobody"),
                (("discard", DISK, "../../1"), 5, ""),
                (("versions", "a/b"), 5, "")):
            contains(ctl(*args, status=status), part)
        equal(seen(c), before)



run()
