#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the control socket has done to images while clients use them: snapshot,
resize, compact, merge.  Clients write and verify all the time, and must see no
error and no wrong byte; each file must be sound, and hold what it should."""

import os
import time

from controltest import Control, controlled
from onlinetest import DISK, SIZE, clients, new_disk, sound, wait_for_rounds
from rawclient import FLUSH, READ, WRITE, Client
from servertest import connect, need_nbd
from tooltest import MiB, case, check, contains, equal, read_json, run


@case("snapshots, one after the other, under clients that verify")
def _():
    new_disk()
    with controlled("disk=" + DISK) as server:
        c = Control()
        with clients("disk") as workers:
            for i in range(4):
                wait_for_rounds(workers, 1)
                result = c.ask("snapshot", export="disk", name=f"{i}.vhd")
                equal(result["size"], SIZE)
                check(result["held"] < 5, result)
        contains(server.log(), "has been frozen as 3.vhd")
    sound(DISK, *(f"{i}.vhd" for i in range(4)))


@case("a frozen image stays as it was, and whoever comes later sees the new one")
def _():
    need_nbd()
    new_disk()
    with controlled("disk=" + DISK):
        h = connect("disk")
        h.pwrite(b"a" * 4096, 0)
        Control().ask("snapshot", export="disk", name="frozen.vhd")
        h.pwrite(b"b" * 4096, 0)
        equal(connect("disk").pread(4096, 0), bytearray(b"b" * 4096))
        h.flush()
    sound(DISK, "frozen.vhd")
    with controlled("frozen=frozen.vhd", "--readonly"):
        equal(connect("frozen").pread(4096, 0), bytearray(b"a" * 4096))


@case("who does not take what it has asked for holds up nobody")
def _():
    new_disk()
    data = os.urandom(8 * MiB)
    with controlled("disk=" + DISK):
        c = Client().go("disk")
        for at in range(0, len(data), MiB):
            equal(c.request(WRITE, at, data=data[at:at + MiB]), 0)
        equal(c.request(FLUSH), 0)
        for at in range(0, len(data), MiB):
            c.send(READ, at, MiB, cookie=at)
        time.sleep(0.2)  # for the server to have done what it can
        for verb, args in (("snapshot", {"name": "frozen.vhd"}),
                           ("compact", {})):
            result = Control().ask(verb, export="disk", **args)
            check(result["held"] < 5, result)
        for _ in range(0, len(data), MiB):
            error, at, got = c.answer(MiB)
            equal(error, 0)
            check(got == data[at:at + MiB],
                  f"the MiB at {at} is not what was written")
        c.disconnect()
    sound(DISK, "frozen.vhd")


@case("a disk grows: who is there goes on, who comes has all of it")
def _():
    new_disk()
    with controlled("disk=" + DISK):
        c = Control()
        with clients("disk") as workers:
            for size in (SIZE + 2 * MiB, 4 * SIZE):
                wait_for_rounds(workers, 1)
                equal(c.ask("resize", export="disk", size=size)["size"], size)
        h = connect("disk")
        equal(h.get_size(), 4 * SIZE)
        equal(h.pread(4096, 4 * SIZE - 4096), bytearray(4096))
        h.pwrite(b"end!" * 1024, 4 * SIZE - 4096)
        h.flush()
    sound(DISK)


@case("a disk is compacted, a little at a time")
def _():
    new_disk()
    with controlled("disk=" + DISK):
        c = Control()
        with clients("disk") as workers:
            for _ in range(4):
                wait_for_rounds(workers, 1)
                c.ask("compact", export="disk", milliseconds=100)
        h = connect("disk")
        h.zero(SIZE, 0)
        h.flush()
        before = os.stat(DISK).st_size
        c.ask("compact", export="disk", milliseconds=20000)
        check(os.stat(DISK).st_size < before, (before, os.stat(DISK).st_size))
        equal(h.pread(MiB, 0), bytearray(MiB))
    sound(DISK)


@case("what a disk stands on becomes one image, and goes on being written to")
def _():
    new_disk()
    with controlled("disk=" + DISK):
        c = Control()
        with clients("disk") as workers:
            for i in range(3):
                wait_for_rounds(workers, 1)
                c.ask("snapshot", export="disk", name=f"{i}.vhd")
            wait_for_rounds(workers, 1)
            c.ask("merge", export="disk", name="base.vhd")
            wait_for_rounds(workers, 1)
            c.ask("snapshot", export="disk", name="after.vhd")
            wait_for_rounds(workers, 1)
        for i in range(3):
            os.unlink(f"{i}.vhd")
    sound(DISK, "after.vhd", "base.vhd")
    equal(read_json("info", "--json", "base.vhd")["type"], "dynamic")


WRONG = (
    ("snapshot", "not-found", {"export": "no", "name": "x.vhd"}),
    ("snapshot", "usage", {"export": "disk"}),
    ("snapshot", "usage", {"name": "x.vhd"}),
    ("snapshot", "usage", {"export": "disk", "name": "../x.vhd"}),
    ("snapshot", "usage", {"export": "disk", "name": "x"}),
    ("snapshot", "usage", {"export": "disk", "name": ".vhd"}),
    ("snapshot", "refused", {"export": "disk", "name": "other.vhd"}),
    ("snapshot", "refused", {"export": "disk", "name": DISK}),
    ("resize", "refused", {"export": "disk", "size": SIZE // 2}),
    ("resize", "usage", {"export": "disk", "size": SIZE + 7}),
    ("merge", "refused", {"export": "disk", "name": "x.vhd"}),
)


@case("what cannot be done changes nothing, and clients go on")
def _():
    new_disk()
    new_disk("other.vhd")
    with controlled("disk=" + DISK, "other=other.vhd", "--readonly"):
        c = Control()
        for export in ("disk", "other"):
            connect(export)
            equal(c.refusal("snapshot", export=export, name="x.vhd").kind,
                  "refused")
    with controlled("disk=" + DISK, "other=other.vhd"):
        c = Control()
        with clients("disk") as workers:
            for verb, kind, args in WRONG:
                wait_for_rounds(workers, 1)
                why = c.refusal(verb, **args)
                equal(why.kind, kind, (verb, args, str(why)))
            check(not os.path.exists("x.vhd"), "it was made")
    sound(DISK, "other.vhd")


run()
