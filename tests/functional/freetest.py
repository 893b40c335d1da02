# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of vhdkit compact --free share: disks with something inside,
made by the programs of each file system, and looking at what has gone."""

import os
import random
import subprocess

from tooltest import (KiB, MiB, Skip, check, contains, content, equal, need,
                      read_json, refused, vhdkit)


def need_free(*programs):
    for name in programs:
        need(name)
    vhdkit("create", "--overwrite", "--size", "8M", "probe.vhd")
    done = vhdkit("compact", "--free", "probe.vhd", code=None)
    if "built without" in done.err:
        raise Skip("package libblkid-dev was not there when this was built")


def tool(*command, **how):
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **how)
    check(done.returncode == 0, f"{command}: {done.stdout[-500:]}")
    return done.stdout


def random_bytes(size, seed):
    return random.Random(seed).randbytes(size)


def random_file(name, size, seed):
    with open(name, "wb") as file:
        file.write(random_bytes(size, seed))


def noise(raw, size):
    """A disk of so many MiB on which nothing is zeros: whatever is dropped
    shows."""
    piece = random_bytes(MiB, size)
    with open(raw, "wb") as file:
        for i in range(size):
            file.write(piece[i:] + piece[:i])


def put(raw, at, data):
    with open(raw, "r+b") as file:
        file.seek(at)
        file.write(data)


def get(raw, at, size):
    with open(raw, "rb") as file:
        file.seek(at)
        return file.read(size)


def image(raw, name="a.vhd", block="64K"):
    vhdkit("convert", "--overwrite", "--source-format", "raw", "--block-size",
           block, raw, name)


def differing(before, after, size, start, end):
    return (at for at in range(start, end, size)
            if before[at:at + size] != after[at:at + size])


def kept(before, after, unit, free, off=0):
    """What is in use is as it was, and what is free is so or zeros.  Is it that
    of some?"""
    equal(len(after), len(before))
    changed = False
    for piece in differing(before, after, 64 * KiB, 0, len(before)):
        for at in differing(before, after, 512, piece, piece + 64 * KiB):
            changed = True
            check(at >= off and (at - off) // unit in free,
                  f"the sector at {at} is in use")
            check(not any(after[at:at + 512]), f"at {at} there are no zeros")
    return changed


def compare(before, after, unit, free, off=0):
    check(kept(before, after, unit, free, off), "nothing was dropped")


def compacted(raw, unit, free, off=0, at_least=0.5):
    """Compacts the disk in `raw`, and returns what it is afterwards; free: the
    numbers of the units, counted from off, that are free."""
    image(raw)
    before = content("a.vhd")
    got = read_json("compact", "--free", "--json", "a.vhd")
    after = content("a.vhd")
    compare(before, after, unit, free, off)
    check(got["dropped-blocks"] << 16 >= at_least * len(free) * unit,
          f"{got}, of {len(free)} of {unit}")
    vhdkit("check", "a.vhd")
    with open("now.raw", "wb") as file:
        file.write(after)
    return after


def untouched(raw, says):
    """It is refused, with these words, and the image is as it was."""
    image(raw)
    with open("a.vhd", "rb") as file:
        before = file.read()
    said = refused("compact", "--free", "a.vhd", says=says).err
    with open("a.vhd", "rb") as file:
        check(file.read() == before, "it has changed")
    return said


def not_looked_at(raw, says="nothing inside"):
    """It is not known, which a warning says, and stays."""
    image(raw)
    before = content("a.vhd")
    contains(vhdkit("compact", "--free", "a.vhd").err, says)
    check(content("a.vhd") == before, "it has changed")


def partitioned(raw, fs, script, at, size):
    """A disk of so many MiB with `fs` at a place of it."""
    noise(raw, size)
    put(raw, 0, bytes(MiB))
    put(raw, (size - 1) * MiB, bytes(MiB))
    tool("sfdisk", "--quiet", raw, input=script.encode())
    with open(fs, "rb") as file:
        put(raw, at, file.read())
    os.unlink(fs)
