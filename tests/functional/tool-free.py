#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit compact --free: what ext4 does not use any more leaves the file, and
nothing else does; and what must not be compacted so."""

import os
import random
import struct
import subprocess

from tooltest import (MiB, Skip, case, check, contains, content, equal, need,
                      read_json, refused, run, vhdkit)


def need_free():
    need("mkfs.ext4")
    need("debugfs")
    vhdkit("create", "--overwrite", "--size", "8M", "probe.vhd")
    done = vhdkit("compact", "--free", "probe.vhd", code=None)
    if "built without" in done.err:
        raise Skip("package libext2fs-dev was not there when this was built")


def tool(*command, **how):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **how).stdout


def debugfs(raw, *commands):
    tool("debugfs", "-w", "-f", "-", raw,
         input="".join(c + "\n" for c in commands).encode())


def random_file(name, size, seed):
    with open(name, "wb") as file:
        file.write(random.Random(seed).randbytes(size))


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


def image(raw, name="a.vhd", block="2M"):
    vhdkit("convert", "--overwrite", "--source-format", "raw", "--block-size",
           block, raw, name)


def free_blocks(raw, block=4096):
    """Which blocks of the file system are free, as debugfs sees it."""
    said = tool("dumpe2fs", raw).decode()
    blocks = set()
    for line in said.splitlines():
        if line.startswith("  Free blocks: "):
            for piece in line[len("  Free blocks: "):].split(","):
                if piece.strip():
                    first, _, last = piece.strip().partition("-")
                    blocks.update(range(int(first), int(last or first) + 1))
    check(f"Block size:               {block}" in said, said[:2000])
    return blocks


def compare(before, after, free, off=0):
    """What is in use is as it was, and what is free is so or zeros."""
    differ = [at for at in range(0, len(before), 4096)
              if before[at:at + 4096] != after[at:at + 4096]]
    check(differ, "nothing was dropped")
    for at in differ:
        check((at - off) // 4096 in free, f"block at {at} is in use")
        equal(after[at:at + 4096], bytes(4096), f"block at {at}")


@case("a whole disk of ext4: what was deleted leaves the file")
def _():
    need_free()
    ext4("fs.raw")
    free = free_blocks("fs.raw")
    image("fs.raw", block="64K")
    before, size = content("a.vhd"), os.path.getsize("a.vhd")
    equal(read_json("compact", "--json", "a.vhd")["dropped-blocks"], 0)
    got = read_json("compact", "--free", "--json", "a.vhd")
    # Four files of 4 MiB: all but what shares a block with something else.
    check(got["dropped-blocks"] >= 240, got)
    check(os.path.getsize("a.vhd") <= size - 15 * MiB, got)
    after = content("a.vhd")
    compare(before, after, free)
    vhdkit("check", "a.vhd")
    with open("now.raw", "wb") as file:
        file.write(after)
    tool("e2fsck", "-f", "-n", "now.raw")
    again = read_json("compact", "--free", "--json", "a.vhd")
    equal((again["dropped-blocks"], again["moved-blocks"]), (0, 0))


@case("in a partition; its neighbour that is not known, and gaps, stay")
def _():
    need_free()
    need("sfdisk")
    with open("disk.raw", "wb") as file:
        file.truncate(100 * MiB)
    tool("sfdisk", "--quiet", "disk.raw",
         input=b"label: gpt\nstart=6M, size=64M\nstart=80M, size=16M\n")
    ext4("disk.raw", off=6 * MiB)
    free = free_blocks("fs.raw")
    with open("disk.raw", "r+b") as file:
        for at in (2 * MiB, 72 * MiB, 82 * MiB):
            file.seek(at)
            file.write(b"keep" * MiB)
    image("disk.raw")
    before = content("a.vhd")
    done = vhdkit("compact", "--free", "a.vhd")
    contains(done.err, "partition 2 (nothing known)")
    compare(before, content("a.vhd"), free, off=6 * MiB)
    vhdkit("check", "a.vhd")


def superblock(raw, at, data):
    with open(raw, "r+b") as file:
        file.seek(1024 + at)
        file.write(data)


@case("a file system that is not clean is refused, and nothing has changed")
def _():
    need_free()
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
    need_free()
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
    need_free()
    ext4("fs.raw")
    image("fs.raw")
    vhdkit("create", "--parent", "a.vhd", "child.vhd")
    refused("compact", "--free", "a.vhd", code=None, says="child.vhd")
    vhdkit("compact", "a.vhd")


@case("in a child, what its parent holds never comes to show")
def _():
    need_free()
    ext4("fs.raw")
    image("fs.raw", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    # Over the parent's deleted files, and where it holds nothing.
    free = free_blocks("fs.raw")
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
    compare(before, after, free)
    equal(any(after[nothing[0]:nothing[0] + 2 * MiB]), False, "dropped")


@case("nothing that is known: a warning, and only zeros go")
def _():
    need_free()
    vhdkit("create", "--size", "8M", "a.vhd")
    vhdkit("write", "a.vhd", data=b"some" * MiB)
    contains(vhdkit("compact", "--free", "a.vhd").err, "nothing inside")
    equal(content("a.vhd")[:4 * MiB] == b"some" * MiB, True)


run()
