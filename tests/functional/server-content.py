#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What vhdkitd serves is what qemu reads from the same file, after random
writes, zeroes and trims by fio and libnbd."""

import random

from servertest import connect, need_nbd, served, uri
from tooltest import MiB, case, check, need, program, run, vhdkit

SIZE = 64 * MiB

FIO = ["--name=verify", "--ioengine=nbd", f"--size={SIZE}", "--bsrange=512-64k",
       "--bs_unaligned", "--iodepth=16", "--norandommap", "--randrepeat=1",
       "--serialize_overlap=1",  # else which of two writes wins is open
       "--verify=crc32c", "--verify_fatal=1", "--group_reporting",
       "--output-format=terse"]


def fio(mode):
    need("fio")
    program("fio", *FIO, f"--rw={mode}", f"--uri={uri()}", "--io_size=32m")


def shake(seed):
    """Random writes, zeroes and trims, of odd places and lengths."""
    h = connect()
    rng = random.Random(seed)
    for _ in range(300):
        length = rng.choice([512, 4096, rng.randint(1, 3 * MiB)])
        off = rng.randrange(0, SIZE - length)
        what = rng.randrange(4)
        if what == 0:
            h.zero(length, off)
        elif what == 1:
            h.trim(length, off)
        else:
            h.pwrite(rng.randbytes(1) * length, off)
    h.flush()
    h.shutdown()


def compare(image):
    need("qemu-img")
    need("nbdcopy")
    with served(image):
        fio("randwrite")
        fio("write")
        shake(1)
        program("nbdcopy", uri(), "served.raw")
        program("qemu-img", "compare", "-f", "raw", "-F", "raw", uri(),
                "served.raw")
    program("qemu-img", "compare", "-f", "vpc", "-F", "raw", image,
            "served.raw")
    done = vhdkit("check", image, code=None)
    check(done.returncode in (0, 3), done.out + done.err)


@case("a dynamic image is served as qemu reads it")
def _():
    need_nbd()
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    compare("disk.vhd")


@case("a fixed image is served as qemu reads it")
def _():
    need_nbd()
    vhdkit("create", "--size", str(SIZE), "--type", "fixed", "disk.vhd")
    compare("disk.vhd")


@case("an image that qemu made is served as qemu reads it")
def _():
    need_nbd()
    need("qemu-img")
    program("qemu-img", "create", "-q", "-f", "vpc", "-o",
            "subformat=dynamic,force_size=on", "disk.vhd", str(SIZE))
    compare("disk.vhd")


@case("what qemu-img writes through the server is what it wrote")
def _():
    need("qemu-img")
    with open("src.raw", "wb") as file:
        rng = random.Random(2)
        for at in range(0, SIZE, 4 * MiB):
            file.seek(at)
            file.write(rng.randbytes(rng.randrange(1, 2 * MiB)))
        file.truncate(SIZE)
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    with served("disk.vhd"):
        program("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw",
                "src.raw", uri())
    program("qemu-img", "compare", "-f", "vpc", "-F", "raw", "disk.vhd",
            "src.raw")


run()
