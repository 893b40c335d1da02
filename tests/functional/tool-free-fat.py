#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit compact --free: FAT12, FAT16 and FAT32, made by mkfs.fat and filled by
mtools."""

import struct

from freetest import (compacted, get, need_free, noise, put, random_file, tool,
                      untouched)
from tooltest import KiB, case, check, contains, equal, run

SIZES = {12: 4, 16: 32, 32: 48}


def mkfat(bits, raw="fat.raw"):
    """With five files, of which two are deleted again."""
    noise(raw, SIZES[bits])
    tool("mkfs.fat", "-F", str(bits), "-s", "1" if bits == 32 else "4", raw)
    for i in range(5):
        random_file(f"f{i}", 300 * KiB + 777 * i, i)
        tool("mcopy", "-i", raw, f"f{i}", f"::f{i}")
    tool("mdel", "-i", raw, "::f1", "::f3")
    tool("fsck.fat", "-n", raw)


def layout(raw="fat.raw"):
    """Where the tables begin, how long each is, where the clusters begin, how
    long those are, how many there are."""
    boot = get(raw, 0, 512)
    sector, per, reserved, n, root, few = struct.unpack("<HBHBHH", boot[11:21])
    table, = struct.unpack("<H", boot[22:24])
    many, large = struct.unpack("<II", boot[32:40])
    table = table or large
    equal(n, 2)
    head = reserved + n * table + root * 32 // sector
    return (reserved * sector, table * sector, head * sector, per * sector,
            ((few or many) - head) // per)


def free_clusters(bits, raw="fat.raw"):
    start, size, _, _, count = layout(raw)
    table = get(raw, start, size)

    def entry(i):
        if bits == 12:
            pair, = struct.unpack("<H", table[i * 3 // 2:i * 3 // 2 + 2])
            return pair >> 4 if i % 2 else pair & 0xfff
        if bits == 16:
            return struct.unpack("<H", table[2 * i:2 * i + 2])[0]
        return struct.unpack("<I", table[4 * i:4 * i + 4])[0] & 0x0fffffff

    return {i for i in range(count) if entry(i + 2) == 0}


@case("FAT of each kind: what it does not use goes, and nothing else")
def _():
    need_free("mkfs.fat", "fsck.fat", "mcopy", "mdel")
    for bits in SIZES:
        mkfat(bits)
        _, _, data, unit, count = layout()
        free = free_clusters(bits)
        check(0 < len(free) < count, len(free))
        compacted("fat.raw", unit, free, off=data)
        tool("fsck.fat", "-n", "now.raw")
        for i in (0, 2, 4):
            tool("mcopy", "-n", "-i", "now.raw", f"::f{i}", f"back{i}")
            with open(f"f{i}", "rb") as file, open(f"back{i}", "rb") as back:
                check(file.read() == back.read(), f"f{i} is another")


@case("one that is not clean, or whose tables differ, is refused")
def _():
    need_free("mkfs.fat", "fsck.fat", "mcopy", "mdel")
    for bits in SIZES:
        mkfat(bits)
        start, size, _, _, _ = layout()
        dirty = 65 if bits == 32 else 37
        put("fat.raw", dirty, b"\1")
        contains(untouched("fat.raw", "not unmounted in order"), "fsck.fat")
        put("fat.raw", dirty, b"\0")
        second = start + size + 40
        old = get("fat.raw", second, 1)
        put("fat.raw", second, bytes([old[0] ^ 16]))
        untouched("fat.raw", "tables")
        put("fat.raw", second, old)
        if bits != 12:
            at = 7 if bits == 32 else 3
            for table in (start, start + size):
                put("fat.raw", table + at, b"\x07" if bits == 32 else b"\x7f")
            untouched("fat.raw", "not unmounted in order")


@case("one that is larger than its place, or calls its root free, is refused")
def _():
    need_free("mkfs.fat", "fsck.fat", "mcopy", "mdel")
    mkfat(32)
    start, size, _, _, _ = layout()
    put("fat.raw", 32, struct.pack("<I", SIZES[32] * 2048 + 1))
    untouched("fat.raw", "larger")
    put("fat.raw", 32, struct.pack("<I", SIZES[32] * 2048))
    for table in (start, start + size):
        put("fat.raw", table + 8, bytes(4))
    untouched("fat.raw", "uses itself")


run()
