#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""qemu's vpc driver and vhdkit, both ways: what one writes the other reads,
sizes are exact, and each can go on with the other's image."""

import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "functional"))

# pylint: disable=wrong-import-position
from tooltest import (GiB, KiB, MiB, Skip, case, check, content, equal, need,
                      program, read_json, run, same_bytes, vhdkit)
from vhdimage import Image

FORMATS = ("fixed", "dynamic")
# Sizes that no geometry makes, and one that a geometry does.
SIZES = (512 * KiB, 10 * MiB, 10 * MiB + 512, 63 * MiB + 1024,
         963 * 5 * 17 * 512)


def qemu_img(*args, **more):
    need("qemu-img")
    return program("qemu-img", *args, **more)


def qemu_size(path):
    out = qemu_img("info", "-f", "vpc", "--output=json", path).stdout
    return json.loads(out)["virtual-size"]


def raw_file(path, size, seed):
    """Data, holes and zeros, to the last sector."""
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(size)
        for _ in range(12):
            off = rng.randrange(size)
            file.seek(off)
            file.write(rng.randbytes(min(rng.randrange(1, 100000),
                                         size - off)))
        file.seek(size - 512)
        file.write(rng.randbytes(512))


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


@case("sizes: what vhdkit makes has exactly its size for qemu and libvhdi")
def _():
    for kind in FORMATS:
        for size in SIZES + (127 * GiB, 2040 * GiB):
            vhdkit("create", "--size", str(size), "--type", kind, "a.vhd",
                   "--overwrite")
            equal(qemu_size("a.vhd"), size, f"{kind} {size} in qemu")


@case("sizes: libvhdi sees them too")
def _():
    need("vhdiinfo")
    for kind in FORMATS:
        for size in SIZES:
            vhdkit("create", "--size", str(size), "--type", kind, "a.vhd",
                   "--overwrite")
            out = program("vhdiinfo", "a.vhd").out
            check(f"({size} bytes)" in out or f": {size} bytes" in out,
                  f"{kind} {size}: {out}")


@case("sizes: what qemu makes has exactly its size for vhdkit")
def _():
    for kind in FORMATS:
        for size in SIZES:
            for force in ("on", "off"):
                qemu_img("create", "-q", "-f", "vpc", "-o",
                         f"subformat={kind},force_size={force}", "a.vhd",
                         str(size))
                got = read_json("info", "--json", "a.vhd")["virtual-size"]
                equal(got, qemu_size("a.vhd"), f"{kind} {size} {force}")
                if force == "on":
                    equal(got, size, "size")
                vhdkit("check", "a.vhd")


@case("images that qemu filled read the same through vhdkit")
def _():
    for kind in FORMATS:
        for size in SIZES:
            raw_file("raw", size, size)
            qemu_img("convert", "-f", "raw", "-O", "vpc", "-o",
                     f"subformat={kind},force_size=on", "raw", "a.vhd")
            same_bytes(content("a.vhd"), read_file("raw"), f"{kind} {size}")
            vhdkit("check", "a.vhd")


@case("images that vhdkit filled read the same through qemu")
def _():
    for kind in FORMATS:
        for size in SIZES:
            raw_file("raw", size, size + 1)
            vhdkit("create", "--size", str(size), "--type", kind, "a.vhd",
                   "--overwrite")
            vhdkit("write", "a.vhd", "raw")
            qemu_img("compare", "-f", "vpc", "-F", "raw", "a.vhd", "raw")
            qemu_img("convert", "-f", "vpc", "-O", "raw", "a.vhd", "back")
            same_bytes(read_file("back"), read_file("raw"), f"{kind} {size}")


@case("full images read as zeros through qemu, and are full there too")
def _():
    for kind in FORMATS:
        vhdkit("create", "--size", "20M", "--full", "--type", kind, "a.vhd",
               "--overwrite")
        qemu_img("convert", "-f", "vpc", "-O", "raw", "a.vhd", "back")
        same_bytes(read_file("back"), bytes(20 * MiB))


def turns(first, block_size="2M"):
    """qemu and vhdkit write to one image in turns; a model is always right.

    qemu is given whole blocks: where the file ends as Windows 10 ends it, it
    puts its next block over the old footer, and what it does not write to of
    that block keeps the footer's bytes (so too in an image of Windows' own)."""
    need("qemu-io")
    rng = random.Random(block_size + first)
    size = 40 * MiB + 512
    if first == "qemu":
        qemu_img("create", "-q", "-f", "vpc", "-o", "force_size=on", "a.vhd",
                 str(size))
    else:
        vhdkit("create", "--size", str(size), "--block-size", block_size,
               "a.vhd")
    model = bytearray(size)
    for turn in range(12):
        off = rng.randrange(0, size - 1024) // 512 * 512
        length = min(rng.randrange(1, 6000) * 512, size - off)
        if turn % 2:
            off = off // (2 * MiB) * (2 * MiB)
            length = min(rng.randrange(1, 4) * 2 * MiB, size - off)
            byte = rng.randrange(1, 256)
            program("qemu-io", "-f", "vpc", "-c",
                    f"write -P {byte} {off} {length}", "a.vhd")
            model[off:off + length] = bytes([byte]) * length
        else:
            piece = rng.randbytes(length)
            vhdkit("write", "--offset", str(off), "a.vhd", data=piece)
            model[off:off + length] = piece
        done = vhdkit("check", "a.vhd", code=None)
        check(done.returncode in (0, 3), f"turn {turn}: {done.out}")
    same_bytes(content("a.vhd"), bytes(model), "through vhdkit")
    qemu_img("convert", "-f", "vpc", "-O", "raw", "a.vhd", "back")
    same_bytes(read_file("back"), bytes(model), "through qemu")


@case("qemu and vhdkit write to an image of qemu's in turns")
def _():
    turns("qemu")


@case("qemu and vhdkit write to an image of vhdkit's in turns")
def _():
    turns("vhdkit")


@case("and to one with blocks of 512 KiB")
def _():
    turns("vhdkit", "512K")


@case("after qemu has grown an image of vhdkit's, new blocks are where we want")
def _():
    need("qemu-io")
    vhdkit("create", "--size", "40M", "a.vhd")
    program("qemu-io", "-f", "vpc", "-c", "write -P 7 0 4k", "a.vhd")
    vhdkit("write", "--offset", "10M", "a.vhd", data=b"v" * 4096)
    image = Image("a.vhd")
    equal((image.bat[5] + 1) % 8, 0, "alignment")
    equal(image.bitmap(5), b"\xff" * 512, "bitmap of a fresh block")
    vhdkit("check", "a.vhd")


@case("vhdkit map and qemu-img map agree on what is data")
def _():
    vhdkit("create", "--size", "40M", "a.vhd")
    for off in (0, 5, 11, 12, 30):
        vhdkit("write", "--offset", f"{off}M", "a.vhd", data=b"x" * MiB)
    ours = [(e["start"], e["length"], e["offset"])
            for e in read_json("map", "--json", "a.vhd")
            if e["data"]]
    out = qemu_img("map", "-f", "vpc", "--output=json", "a.vhd").stdout
    if b'"offset"' not in out:
        raise Skip("this qemu-img shows no offsets")
    theirs = {}
    for entry in json.loads(out):
        if entry["data"]:
            theirs[entry["start"]] = entry
    for start, length, offset in ours:
        holder = next(e for e in theirs.values()
                      if e["start"] <= start < e["start"] + e["length"])
        equal(offset - holder["offset"], start - holder["start"],
              f"place of {start}")
        check(length > 0, "no empty run")


@case("what both tell has the same names and values as qemu-img's")
def _():
    vhdkit("create", "--size", "40M", "a.vhd")
    vhdkit("write", "--offset", "5M", "a.vhd", data=b"x" * MiB)
    ours = read_json("info", "--json", "a.vhd")
    theirs = json.loads(qemu_img("info", "-f", "vpc", "--output=json",
                                 "a.vhd").stdout)
    for key in ("filename", "format", "virtual-size", "actual-size",
                "cluster-size"):
        equal(ours[key], theirs[key], key)
    keys = ("start", "length", "depth", "zero", "data")
    runs = [[[entry[key] for key in keys] for entry in entries]
            for entries in (read_json("map", "--json", "a.vhd"), json.loads(
                qemu_img("map", "-f", "vpc", "--output=json", "a.vhd").stdout))]
    equal(*runs, "map")


@case("qemu says its own of a differencing image; vhdkit never does so")
def _():
    vhdkit("create", "--size", "4M", "base.vhd")
    vhdkit("write", "base.vhd", data=b"B" * MiB)
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    same_bytes(content("child.vhd")[:MiB], b"B" * MiB)


run()
