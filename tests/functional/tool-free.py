#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit compact --free: what ext4 does not use any more leaves the file, and
nothing else does; and what must not be compacted so."""

import os
import shutil
import struct
import subprocess
import time

from freetest import (compacted, compare, get, image, kept, need_free,
                      noise, not_looked_at, partitioned, put, random_file, tool,
                      untouched)
from tooltest import (VHDKIT, GiB, KiB, MiB, case, check, contains, content,
                      equal, need, read_json, refused, run, vhdkit)


def debugfs(raw, *commands):
    tool("debugfs", "-w", "-f", "-", raw,
         input="".join(c + "\n" for c in commands).encode())


def ext4(raw, off=0, size=64):
    """A file system of so many MiB with eight files of 4 MiB, of which half
    have been deleted."""
    with open("fs.raw", "wb") as file:
        file.truncate(size * MiB)
    tool("mkfs.ext4", "-q", "-F", "-b", "4096", "fs.raw")
    for i in range(8):
        random_file(f"f{i}", 4 * MiB, i)
    debugfs("fs.raw", *(f"write f{i} f{i}" for i in range(8)))
    debugfs("fs.raw", *(f"rm f{i}" for i in range(0, 8, 2)))
    tool("e2fsck", "-f", "-n", "fs.raw")
    if off == 0:
        os.rename("fs.raw", raw)
    else:
        tool("dd", "if=fs.raw", f"of={raw}", "bs=1M", f"seek={off // MiB}",
             "conv=notrunc", "status=none")


def free_blocks(raw):
    """Which blocks of the file system are free, as dumpe2fs sees it, and how
    long they are.  Of the last cluster that is free it tells the first block."""
    said = tool("dumpe2fs", raw).decode()

    def fact(name, default=0):
        return int((said.split(f"\n{name}:")[1:] or [f"{default} "])[0].split()[0])

    size = fact("Block size")
    more = fact("Cluster size", size) // size - 1
    blocks = set()
    for line in said.splitlines():
        if line.startswith("  Free blocks: "):
            for piece in line[len("  Free blocks: "):].split(","):
                if piece.strip():
                    first, _, last = piece.strip().partition("-")
                    blocks.update(range(int(first),
                                        int(last or first) + more + 1))
    return size, blocks


@case("a whole disk of ext4: what was deleted leaves the file")
def _():
    need_free("mkfs.ext4", "debugfs")
    ext4("fs.raw")
    _, free = free_blocks("fs.raw")
    image("fs.raw")
    before, size = content("a.vhd"), os.path.getsize("a.vhd")
    equal(read_json("compact", "--json", "a.vhd")["dropped-blocks"], 0)
    got = read_json("compact", "--free", "--json", "a.vhd")
    # Four files of 4 MiB: all but what shares a block with something else.
    check(got["dropped-blocks"] >= 240, got)
    check(os.path.getsize("a.vhd") <= size - 15 * MiB, got)
    after = content("a.vhd")
    compare(before, after, 4096, free)
    vhdkit("check", "a.vhd")
    with open("now.raw", "wb") as file:
        file.write(after)
    tool("e2fsck", "-f", "-n", "now.raw")
    again = read_json("compact", "--free", "--json", "a.vhd")
    equal((again["dropped-blocks"], again["moved-blocks"]), (0, 0))


@case("in a partition; its neighbour that is not known, and gaps, stay")
def _():
    need_free("mkfs.ext4", "debugfs")
    need("sfdisk")
    with open("disk.raw", "wb") as file:
        file.truncate(100 * MiB)
    tool("sfdisk", "--quiet", "disk.raw",
         input=b"label: gpt\nstart=6M, size=64M\nstart=80M, size=16M\n")
    ext4("disk.raw", off=6 * MiB)
    _, free = free_blocks("fs.raw")
    with open("disk.raw", "r+b") as file:
        for at in (2 * MiB, 72 * MiB, 82 * MiB):
            file.seek(at)
            file.write(b"keep" * MiB)
    image("disk.raw")
    before = content("a.vhd")
    done = vhdkit("compact", "--free", "a.vhd")
    contains(done.err, "partition 2 (nothing known)")
    compare(before, content("a.vhd"), 4096, free, off=6 * MiB)
    vhdkit("check", "a.vhd")


KINDS = (("-t", "ext2", "-b", "1024"),
         ("-t", "ext3", "-b", "2048"),
         ("-O", "bigalloc", "-C", "16384"),
         ("-O", "64bit", "-g", "1024"),
         ("-O", "^metadata_csum,uninit_bg", "-b", "1024", "-g", "2048"),
         ("-O", "meta_bg,^resize_inode,^flex_bg", "-g", "512"),
         ("-O", "sparse_super2,^has_journal"))


def mkfs(raw, *options, size=32):
    """All that it does not write is noise."""
    noise(raw, size)
    tool("mkfs.ext4", "-q", "-F", "-E", "nodiscard", *options, raw)


@case("of each kind: ext2, ext3, clusters, groups of any size, or without a "
      "bitmap yet")
def _():
    need_free("mkfs.ext4", "debugfs")
    for options in KINDS:
        mkfs("fs.raw", *options)
        for i in range(6):
            random_file(f"f{i}", 300 * KiB + 777 * i, i)
        debugfs("fs.raw", *(f"write f{i} f{i}" for i in range(6)),
                *(f"rm f{i}" for i in range(0, 6, 2)))
        tool("e2fsck", "-f", "-n", "fs.raw")
        size, free = free_blocks("fs.raw")
        compacted("fs.raw", size, free, off=0)
        tool("e2fsck", "-f", "-n", "now.raw")


@case("killed at any time: what is in use is there, the image sound, and the "
      "same again goes on")
def _():
    need_free("mkfs.ext4")
    mkfs("fs.raw", size=64)
    size, free = free_blocks("fs.raw")
    image("fs.raw", block="16K")
    before = content("a.vhd")
    started = time.monotonic()
    shutil.copy("a.vhd", "b.vhd")
    vhdkit("compact", "--free", "b.vhd")
    whole = time.monotonic() - started
    for i in range(6):
        with subprocess.Popen([VHDKIT, "compact", "--free", "a.vhd"],
                              stdout=subprocess.DEVNULL) as process:
            time.sleep(whole * i / 6)
            process.kill()
        vhdkit("check", "a.vhd", code=None)
        kept(before, content("a.vhd"), size, free)
    vhdkit("compact", "--free", "a.vhd")
    vhdkit("check", "a.vhd")
    compare(before, content("a.vhd"), size, free)


@case("partitions inside of an extended one, however far in their tables lie")
def _():
    need_free("mkfs.ext4", "sfdisk")
    mkfs("fs.raw", size=16)
    size, free = free_blocks("fs.raw")
    partitioned("disk.raw", "fs.raw", "label: dos\nstart=1M, size=1M\n"
                "start=3M, size=28M, type=5\nstart=4M, size=1M\n"
                "start=7M, size=1M\nstart=10M, size=16M\n", 10 * MiB, 32)
    compacted("disk.raw", size, free, off=10 * MiB)


def superblock(raw, at, data):
    put(raw, 1024 + at, data)


@case("what lies over an old ext4 is not taken for one, though it left the "
      "beginning alone")
def _():
    need_free("mkfs.ext4")
    mkfs("fs.raw")
    put("fs.raw", 2 * MiB, b"\x5e\xf1\xab\x2f")  # VMFS
    not_looked_at("fs.raw")


@case("a journal that is not empty, or in which an error was noted, is refused")
def _():
    need_free("mkfs.ext4", "debugfs")
    mkfs("fs.raw", "-O", "^metadata_csum", "-J", "size=4")
    said = tool("debugfs", "-R", "blocks <8>", "fs.raw").decode()
    size, _ = free_blocks("fs.raw")
    at = int(said.splitlines()[-1].split()[0]) * size
    equal(get("fs.raw", at, 4), b"\xc0\x3b\x39\x98")
    for where in (28, 32):
        put("fs.raw", at + where, b"\0\0\0\1")
        untouched("fs.raw", "journal")
        put("fs.raw", at + where, bytes(4))


@case("features that nobody knows are refused, though they may be read")
def _():
    need_free("mkfs.ext4")
    mkfs("fs.raw", "-O", "^metadata_csum")
    old, = struct.unpack("<I", get("fs.raw", 1024 + 100, 4))
    superblock("fs.raw", 100, struct.pack("<I", old | 1 << 20))
    untouched("fs.raw", "features")


@case("a bitmap without a checksum that cannot be right is refused")
def _():
    need_free("mkfs.ext4")
    mkfs("fs.raw", "-t", "ext2", "-b", "1024")
    groups = 2048
    bitmap, inodes, table, nfree = struct.unpack("<IIIH",
                                                 get("fs.raw", groups, 14))
    at = bitmap * 1024
    # Something that is in use is free, as if it never had been.
    bits = bytearray(get("fs.raw", at, 1024))
    check(bits[80] == 0xff, bits[80])
    bits[80] = 0
    put("fs.raw", at, bits)
    untouched("fs.raw", "cannot be right")
    # And the group's count has been made to fit: it is a table of inodes.
    put("fs.raw", groups + 12, struct.pack("<H", nfree + 8))
    check(table < 641 < table + 8192, (bitmap, inodes, table))
    untouched("fs.raw", "uses itself")


@case("one that is larger than its place, or has more groups than could be, is "
      "refused in little memory")
def _():
    need_free("mkfs.ext4")
    mkfs("fs.raw", "-O", "^metadata_csum")
    old, = struct.unpack("<I", get("fs.raw", 1024 + 4, 4))
    superblock("fs.raw", 4, struct.pack("<I", old + 1))
    untouched("fs.raw", "larger")
    # As much as it may be, of as little groups as may be.
    vhdkit("create", "--size", "2040G", "large.vhd")
    blocks = (2040 * GiB // 1024)
    superblock("fs.raw", 4, struct.pack("<I", blocks))
    superblock("fs.raw", 24, struct.pack("<II", 0, 0))
    superblock("fs.raw", 32, struct.pack("<III", 8, 8, 8))
    vhdkit("write", "large.vhd", data=get("fs.raw", 0, MiB))
    refused("compact", "--free", "large.vhd", says="odd layout")


@case("a file system that is not clean is refused, and nothing has changed")
def _():
    need_free("mkfs.ext4", "debugfs")
    for options, at, data in ((("-O", "^metadata_csum"), 58, b"\0\0"),
                              (("-O", "^metadata_csum"), 58, b"\3\0"),
                              (("-O", "^metadata_csum"), 0x60, None),
                              (("-O", "metadata_csum"), 58, b"\0\0")):
        with open("fs.raw", "wb") as file:
            file.truncate(64 * MiB)
        tool("mkfs.ext4", "-q", "-F", "-b", "4096", *options, "fs.raw")
        if data is None:
            with open("fs.raw", "rb") as file:
                file.seek(1024 + at)
                flags, = struct.unpack("<I", file.read(4))
            data = struct.pack("<I", flags | 4)  # its journal is to be replayed
        superblock("fs.raw", at, data)
        random_file("noise", 4 * MiB, 1)
        tool("dd", "if=noise", "of=fs.raw", "bs=1M", "seek=40",
             "conv=notrunc", "status=none")
        image("fs.raw")
        with open("a.vhd", "rb") as file:
            before = file.read()
        refused("compact", "--free", "a.vhd", code=None, says="e2fsck")
        with open("a.vhd", "rb") as file:
            check(file.read() == before, "it has changed")


@case("a bitmap that is damaged is refused")
def _():
    need_free("mkfs.ext4", "debugfs")
    with open("fs.raw", "wb") as file:
        file.truncate(64 * MiB)
    tool("mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "metadata_csum", "fs.raw")
    said = tool("dumpe2fs", "fs.raw").decode()
    at = int(said.split("Block bitmap at ")[1].split()[0])
    with open("fs.raw", "r+b") as file:
        file.seek(at * 4096)
        file.write(bytes(64))
    image("fs.raw")
    refused("compact", "--free", "a.vhd", code=None, says="e2fsck")


@case("an image with a child is refused: the child may use what it does not")
def _():
    need_free("mkfs.ext4", "debugfs")
    ext4("fs.raw")
    image("fs.raw")
    vhdkit("create", "--parent", "a.vhd", "child.vhd")
    refused("compact", "--free", "a.vhd", code=None, says="child.vhd")
    vhdkit("compact", "a.vhd")


@case("in a child, what its parent holds never comes to show")
def _():
    need_free("mkfs.ext4", "debugfs")
    ext4("fs.raw")
    image("fs.raw", "base.vhd", block="2M")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    # Over the parent's deleted files, and where it holds nothing.
    _, free = free_blocks("fs.raw")
    held = content("base.vhd")
    over = [at for at in range(0, len(held), 2 * MiB)
            if all(b in free for b in range(at // 4096,
                                            (at + 2 * MiB) // 4096))]
    nothing = [at for at in over if not any(held[at:at + 2 * MiB])]
    something = [at for at in over if any(held[at:at + 2 * MiB])]
    check(nothing and something, (nothing, something))
    for at in (nothing[0], something[0]):
        vhdkit("write", "--offset", str(at), "child.vhd",
               data=b"new!" * (MiB // 2))
    before = content("child.vhd")
    equal(read_json("compact", "--free", "--json",
                    "child.vhd")["dropped-blocks"], 1)
    after = content("child.vhd")
    at = something[0]
    equal(after[at:at + 2 * MiB] == before[at:at + 2 * MiB], True, "parent's")
    compare(before, after, 4096, free)
    equal(any(after[nothing[0]:nothing[0] + 2 * MiB]), False, "dropped")


@case("nothing that is known: a warning, and only zeros go")
def _():
    need_free("mkfs.ext4", "debugfs")
    vhdkit("create", "--size", "8M", "a.vhd")
    vhdkit("write", "a.vhd", data=b"some" * MiB)
    contains(vhdkit("compact", "--free", "a.vhd").err, "nothing inside")
    equal(content("a.vhd")[:4 * MiB] == b"some" * MiB, True)


run()
