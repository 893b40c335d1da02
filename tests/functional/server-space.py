#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Trims and zeroes give space back, and what is given back is used again."""

import os
import time

from servertest import connect, nbd, need_nbd, served
from tooltest import GiB, MiB, case, check, equal, run, vhdkit

LENGTH = 1 * GiB
RUNWAY = 256 * MiB


def used(path="disk.vhd"):
    return os.stat(path).st_blocks * 512


def fill(h, begin, end):
    data = nbd.Buffer.from_bytearray(bytearray(os.urandom(4096) * 1024))
    for off in range(begin, end, 4 * MiB):
        while h.aio_in_flight() > 4:
            h.poll(-1)
        h.aio_pwrite(data, off)
    while h.aio_in_flight() > 0:
        h.poll(-1)


def give_back(how):
    need_nbd()
    vhdkit("create", "--size", "4G", "disk.vhd")
    with served("disk.vhd"):
        h = connect()
        fill(h, 0, LENGTH)
        h.flush()
        check(used() >= LENGTH, "less is used than was written")
        how(h)
        h.flush()
        # What is set aside for new blocks stays until the image is closed.
        # Nobody waits for the space to be given back, but it is.
        while used() >= RUNWAY + 16 * MiB:
            time.sleep(0.01)
        size = os.stat("disk.vhd").st_size
        fill(h, 2 * LENGTH, 3 * LENGTH)
        h.flush()
        check(os.stat("disk.vhd").st_size <= size + RUNWAY,
              "freed blocks were not used again")
        how(h, 2 * LENGTH)
        h.flush()
        equal(bytes(h.pread(MiB, 0)), bytes(MiB))
        h.shutdown()
    check(used() < 16 * MiB, f"{used()} bytes are still used")
    check(vhdkit("check", "disk.vhd", code=None).returncode in (0, 3),
          "the image is broken")


@case("a trim of 1 GiB gives its space back")
def _():
    give_back(lambda h, off=0: h.trim(LENGTH, off))


@case("a write of zeroes of 1 GiB does, too")
def _():
    give_back(lambda h, off=0: h.zero(LENGTH, off))


run()
