#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reads of what is not cached, by each engine: content, order and end."""

import os
import random

from servertest import connect, nbd, need_nbd, served
from tooltest import KiB, MiB, case, content, equal, program, run, same_bytes, \
    vhdkit

SIZE = 64 * MiB


def make():
    vhdkit("create", "--size", str(SIZE), "base.vhd")
    vhdkit("write", "base.vhd", "--offset", "3M", data=os.urandom(20 * MiB))
    vhdkit("create", "--parent", "base.vhd", "disk.vhd")
    rng = random.Random(3)
    for _ in range(30):
        vhdkit("write", "disk.vhd", "--offset",
               str(rng.randrange(0, 40 * MiB, 512)),
               data=rng.randbytes(rng.randint(1, 40) * 512))
    return content("disk.vhd")


def forget():
    """Drops the images from the page cache."""
    for path in ("base.vhd", "disk.vhd"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_all(known, structured):
    h = connect(structured=structured)
    rng = random.Random(4)
    wrong = []
    for _ in range(400):
        while h.aio_in_flight() >= 32:
            h.poll(-1)
        length = rng.choice([512, 4 * KiB, 64 * KiB, 1 * MiB,
                             rng.randint(1, 3 * MiB)])
        off = rng.randrange(0, SIZE - length)
        buf = nbd.Buffer(length)

        def done(error, off=off, length=length, buf=buf):
            got = bytes(buf.to_bytearray())
            if error or got != known[off:off + length]:
                wrong.append((error, off, length))
            return 1

        h.aio_pread(buf, off, done)
    while h.aio_in_flight() > 0:
        h.poll(-1)
    equal(wrong, [])
    h.cache(8 * MiB, 0)
    same_bytes(bytes(h.pread(8 * MiB, 0)), known[:8 * MiB])
    h.shutdown()


def cold(*options):
    need_nbd()
    known = make()
    for structured in (True, False):
        forget()
        with served(*options, "disk.vhd"):
            read_all(known, structured)


@case("cold reads by whatever there is")
def _():
    cold()


@case("cold reads by threads")
def _():
    cold("--io", "threads")


@case("cold reads by io_uring, where the kernel lets us")
def _():
    vhdkit("create", "--size", "1M", "try.vhd")
    done = program("timeout", "-s", "TERM", "1", os.environ["VHDKITD"],
                   "--unix", "t.sock", "--io", "uring", "try.vhd", code=None)
    if "io_uring" in done.err:
        return
    cold("--io", "uring")


run()
