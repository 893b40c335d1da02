#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit create --label: the empty partition table of a new disk, as other
programs read it."""

import os
import struct
import zlib

from tooltest import (NOT_FOUND, USAGE, GiB, KiB, MiB, Skip, case, check,
                      content, equal, need, program, read_json, refused, run,
                      same_bytes, vhdkit)

SIZE = 16 * MiB
SECTOR = 512
TYPES = (("--type", "fixed"), ("--type", "dynamic"),
         ("--block-size", "16K"), ("--full",), ("--type", "fixed", "--full"))


def create(path, *options):
    """With the size, unless it is a child."""
    size = () if "--parent" in options else ("--size", str(SIZE))
    done = vhdkit("create", *size, *options, path, code=None)
    if "built without libfdisk" in done.err:
        raise Skip("vhdkit is built without libfdisk")
    equal(done.returncode, 0, done.err)
    vhdkit("check", path)


def check_gpt(disk):
    """Both copies, by their checksums; no partition."""
    equal(disk[510:512], b"\x55\xaa", "signature of the protective MBR")
    equal(disk[450], 0xee, "type of its only partition")
    last = len(disk) // SECTOR - 1
    for own, other in ((1, last), (last, 1)):
        header = bytearray(disk[own * SECTOR:own * SECTOR + 92])
        equal(header[:8], b"EFI PART")
        crc, = struct.unpack("<I", header[16:20])
        header[16:20] = bytes(4)
        equal(zlib.crc32(header), crc, "checksum of the header")
        equal(struct.unpack("<QQ", header[24:40]), (own, other))
        first_use, last_use = struct.unpack("<QQ", header[40:56])
        equal(first_use * SECTOR, MiB, "where the first partition may begin")
        equal(last_use, last - 33)
        at, n, size, crc = struct.unpack("<QIII", header[72:92])
        table = disk[at * SECTOR:at * SECTOR + n * size]
        equal((n, size), (128, 128))
        equal(zlib.crc32(table), crc, "checksum of the entries")
        check(not any(table), "there is a partition")


def check_mbr(disk):
    equal(disk[510:512], b"\x55\xaa", "signature")
    check(not any(disk[446:510]), "there is a partition")
    check(any(disk[440:444]), "the disk has no id")


def rest_is(disk, kind, wanted):
    """All but the table."""
    if kind == "mbr":
        same_bytes(disk[SECTOR:], wanted[SECTOR:])
    else:
        same_bytes(disk[34 * SECTOR:-33 * SECTOR],
                   wanted[34 * SECTOR:-33 * SECTOR])


@case("every type of image gets a table, and nothing else")
def _():
    for options in TYPES:
        for kind, look in (("mbr", check_mbr), ("gpt", check_gpt)):
            create("a.vhd", *options, "--label", kind)
            disk = content("a.vhd")
            look(disk)
            rest_is(disk, kind, bytes(SIZE))
            if "fixed" not in options and "--full" not in options:
                equal(read_json("info", "--json", "a.vhd")["blocks"]
                      ["allocated"], {("mbr", 2 * MiB): 1, ("gpt", 2 * MiB): 2,
                                      ("mbr", 16 * KiB): 1,
                                      ("gpt", 16 * KiB): 4}
                      [kind, 16 * KiB if "16K" in options else 2 * MiB])
            os.unlink("a.vhd")


@case("a child gets a table of its own; all else stays its parent's")
def _():
    for before in (None, "mbr", "gpt"):
        create("p.vhd", *(("--label", before) if before else ()))
        with open("bytes", "wb") as file:
            file.write(os.urandom(SIZE - 2 * MiB))
        vhdkit("write", "--offset", "1M", "p.vhd", "bytes")
        if before is None:
            vhdkit("write", "p.vhd", data=os.urandom(MiB))
        parent = content("p.vhd")
        for more in ((), ("--full",), ("--block-size", "16K")):
            for kind, look in (("mbr", check_mbr), ("gpt", check_gpt)):
                create("c.vhd", "--parent", "p.vhd", *more, "--label", kind)
                disk = content("c.vhd")
                look(disk)
                rest_is(disk, kind, parent)
                os.unlink("c.vhd")
        same_bytes(content("p.vhd"), parent, "the parent")
        os.unlink("p.vhd")


@case("sfdisk, sgdisk and qemu see it")
def _():
    need("qemu-img")
    for kind, word in (("mbr", "dos"), ("gpt", "gpt")):
        for options in (("--type", "fixed"), ("--type", "dynamic")):
            create("a.vhd", *options, "--label", kind)
            program("qemu-img", "convert", "-f", "vpc", "-O", "raw", "a.vhd",
                    "raw")
            os.truncate("raw", SIZE)
            same_bytes(open("raw", "rb").read(), content("a.vhd"))
            need("sfdisk")
            dump = program("sfdisk", "--dump", "raw").out
            check(f"label: {word}\n" in dump, dump)
            check("start=" not in dump, dump)
            if kind == "gpt":
                need("sgdisk")
                check("No problems found" in
                      program("sgdisk", "-v", "raw").out, "sgdisk -v")
            os.unlink("a.vhd")


@case("the largest disk gets a table, and where there can be none is refused")
def _():
    create("a.vhd", "--label", "gpt")
    vhdkit("create", "--size", "2040G", "--label", "gpt", "--overwrite",
           "a.vhd")
    check_at = 2040 * GiB - SECTOR
    equal(vhdkit("read", "--offset", str(check_at), "--length", "8",
                 "a.vhd").out, "EFI PART")
    vhdkit("create", "--size", "2040G", "--label", "mbr", "--overwrite",
           "a.vhd")
    os.unlink("a.vhd")
    refused("create", "--size", "3T", "--type", "fixed", "--label", "mbr",
            "b.vhd", code=USAGE, says="gpt")
    refused("create", "--size", "1M", "--label", "gpt", "b.vhd", code=USAGE,
            says="4 MiB")
    refused("create", "--parent", "nobody.vhd", "--label", "gpt", "b.vhd",
            code=NOT_FOUND, says="nobody.vhd")
    refused("create", "--from", "raw", "--label", "gpt", "b.vhd", code=USAGE,
            says="--label")
    equal(os.listdir("."), [])


run()
