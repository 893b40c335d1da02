#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""make-usage.py [FOLDER]: makes the corpus of fuzz_usage: small disks with a
file system, of which only those parts are told that its reader looks at.  It
takes the programs that make them, and ntfsinfo; each time there are other ids
and times in them.  FOLDER is the tree's own, tests/fuzz/corpus/fuzz_usage, if
none is given.
"""

import os
import re
import struct
import subprocess
import sys
import tempfile

STEP = 256 << 10
SECTOR = 512
ONES = b"\xff" * SECTOR
NTFS, FAT, EXT = range(3)


def tool(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).stdout.decode()


def pieces(disk, wanted):
    """What is no zeros of these sectors; see fuzz_usage.c."""
    told = b""
    at = 0
    sectors = [disk[i:i + SECTOR] for i in range(0, len(disk), SECTOR)]
    while at < len(sectors):
        end = at
        ones = sectors[at] == ONES
        while end < len(sectors) and end - at < 60 and end in wanted and \
                any(sectors[end]) and (sectors[end] == ONES) == ones:
            end += 1
        if end > at and ones:
            told += struct.pack(">IH", at, 0x8000 | end - at)
        elif end > at:
            data = b"".join(sectors[at:end]).rstrip(b"\0")
            told += struct.pack(">IH", at, len(data)) + data
        at = max(end, at + 1)
    return told


def read(name):
    with open(name, "rb") as file:
        return file.read()


def ntfs(cluster, sector, size):
    """The records that are looked at, and their clusters."""
    with open("disk", "wb") as file:
        file.truncate(size)
    tool("mkntfs", "-F", "-Q", "-q", "-c", str(cluster), "-s", str(sector), "-p",
         "0", "-H", "16", "-S", "63", "disk")
    disk = read("disk")
    record = max(1024, sector) // SECTOR
    mft = struct.unpack("<Q", disk[48:56])[0] * cluster // SECTOR
    wanted = {0}
    for number in (0, 2, 3, 5, 6):
        at = mft + number * record
        wanted.update(range(at, at + record))
    for number in (2, 5, 6):
        said = tool("ntfsinfo", "-v", "-f", "-i", str(number), "disk")
        for line in re.findall(r"^\s+0x\w+\s+(0x\w+)\s+(0x\w+)\s*$", said, re.M):
            lcn, count = (int(word, 0) * cluster // SECTOR for word in line)
            wanted.update(range(lcn, lcn + count))
    return disk, wanted


def fat(bits, size):
    with open("disk", "wb") as file:
        file.truncate(size)
    tool("mkfs.fat", "-F", str(bits), "-s", "1", "disk")
    for name in ("a", "b"):
        with open(name, "wb") as file:
            file.write(name.encode() * 5000)
        tool("mcopy", "-i", "disk", name, f"::{name}")
    return read("disk"), range(1200)


def ext(kind, size, *options):
    tool("mkfs.ext4", "-q", "-F", "-t", kind, "-I", "128", *options, "disk",
         f"{size >> 20}M")
    disk = read("disk")
    os.unlink("disk")
    return disk, range(len(disk) // SECTOR)


def corpus():
    for cluster, sector, size in ((512, 512, 2 << 20), (4096, 512, 2 << 20),
                                  (4096, 4096, 2 << 20),
                                  (65536, 512, 12 << 20)):
        yield f"ntfs-{cluster}-{sector}", NTFS, ntfs(cluster, sector, size)
    for bits, size in ((12, 1 << 20), (16, 8 << 20), (32, 34 << 20)):
        yield f"fat-{bits}", FAT, fat(bits, size)
    plain = "^resize_inode,^has_journal"
    yield "ext2", EXT, ext("ext2", 1 << 20, "-b", "1024", "-O",
                           "^resize_inode")
    yield "ext4", EXT, ext("ext4", 3 << 20, "-b", "1024", "-N", "16", "-O",
                           "64bit," + plain)
    yield "ext4-journal", EXT, ext("ext4", 4 << 20, "-b", "1024", "-g", "1024",
                                   "-N", "32", "-J", "size=1")
    yield "ext4-bigalloc", EXT, ext("ext4", 8 << 20, "-b", "4096", "-C",
                                    "16384", "-N", "16", "-O",
                                    "bigalloc," + plain)
    yield "ext4-uninit", EXT, ext("ext4", 4 << 20, "-b", "1024", "-g", "512",
                                  "-N", "64", "-O",
                                  "^metadata_csum,uninit_bg," + plain)
    yield "ext4-metabg", EXT, ext("ext4", 4 << 20, "-b", "1024", "-g", "512",
                                  "-N", "64", "-O", "meta_bg," + plain)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                             os.path.join(here, "corpus", "fuzz_usage"))
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for name, reader, (disk, wanted) in corpus():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(bytes([reader, len(disk) // STEP - 1]) +
                           pieces(disk, wanted))
        os.chdir("/")


main()
