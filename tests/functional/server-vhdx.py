#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""VHDX images are served read-only, whoever wants to write, and what a client
reads is what the tool reads."""

import errno
import uuid

from servertest import connect, nbd, need_nbd, served
from tooltest import KiB, MiB, case, check, contains, content, equal, run, \
    same_bytes
from vhdximage import PAGE, ZERO, Vhdx, log_entry, set_log


def family():
    parent = Vhdx(6 * MiB)
    for blk in range(5):
        parent.full(blk, b"p" * MiB)
    parent.write("parent.vhdx")
    child = Vhdx(6 * MiB)
    child.child_of(parent.data_id, relative_path="parent.vhdx")
    child.full(0, b"c" * MiB)
    child.state(2, ZERO)
    child.partial(1, b"d" * MiB, range(0, 2048, 3))
    child.log_id = uuid.uuid4()
    child.write("child.vhdx")
    entry = log_entry(child.log_id, 1, 0,
                      [(child.place[0] * MiB + 64 * KiB, b"L" * PAGE)],
                      child.end)
    set_log("child.vhdx", child, [entry])


@case("a chain of VHDX with bitmaps and a log is served as it is read, by each "
      "engine, and cannot be written")
def _():
    need_nbd()
    family()
    disk = content("child.vhdx")
    check(b"L" * PAGE in disk and b"dppd" not in disk, "the disk")
    before = [open(name, "rb").read() for name in ("child.vhdx",
                                                   "parent.vhdx")]
    for engine in ("threads", "auto"):
        with served("--io", engine, "child.vhdx"):
            h = connect()
            check(h.is_read_only(), "it can be written")
            equal(h.get_size(), 6 * MiB)
            got = b"".join(bytes(h.pread(MiB, at * MiB)) for at in range(6))
            same_bytes(got, disk)
            h.set_strict_mode(0)
            try:
                h.pwrite(b"x" * 512, 0)
                raise AssertionError("a write was accepted")
            except nbd.Error as why:
                equal(why.errnum, errno.EPERM)
            h.shutdown()
    equal([open(name, "rb").read() for name in ("child.vhdx",
                                                "parent.vhdx")], before)


@case("the log says that it is served read-only, and why")
def _():
    need_nbd()
    family()
    with served("parent.vhdx"):
        check(connect().is_read_only(), "it can be written")
    with open("vhdkitd.log", encoding="utf-8") as file:
        log = file.read()
    contains(log, "VHDX image, which can only be read")
    contains(log, "serving it read-only")


@case("which ranges have data is told")
def _():
    need_nbd()
    family()
    with served("child.vhdx"):
        h = connect()
        runs = []
        h.block_status(6 * MiB, 0, lambda context, off, entries, error:
                       runs.extend(entries) if "alloc" in context else None)
        equal(sum(runs[0::2]), 6 * MiB)
        equal([kind for kind in runs[1::2] if kind & 2], [2, 3])


run()
