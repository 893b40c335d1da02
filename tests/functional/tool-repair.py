#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit repair: each fault that the rest of an image tells how to mend is
mended, nothing is guessed, and all of it can be put back."""

import os
import shutil
import struct

from inplacetest import capped, sound
from tooltest import (KiB, MiB, case, check, contains, content, equal,
                      read_json, refused, run, same_bytes, vhdkit)
from vhdimage import Image, new_footer, write_dynamic, write_fixed

FULL = b"\xff" * 512
SIZE = 40 * KiB


def blocks(*numbers):
    return {blk: (FULL, bytes([65 + blk]) * 8 * KiB) for blk in numbers}


def image(*numbers, **fields):
    write_dynamic("a.vhd", SIZE, blocks(*numbers), block_size=8 * KiB,
                  **fields)
    return Image("a.vhd")


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def put_bytes(path, off, data):
    with open(path, "r+b") as file:
        file.seek(off, os.SEEK_END if off < 0 else os.SEEK_SET)
        file.write(data)


def repaired(*codes, left=0):
    """It is repaired so; and all of that can be put back, byte for byte, and
    done again."""
    before = read_file("a.vhd")
    for last in (False, True):
        got = read_json("repair", "--json", "a.vhd", code=2 if left else 0)
        equal([r["code"] for r in got["repairs"]], list(codes))
        equal((got["repaired"], got["left"]), (len(codes), left))
        equal(os.path.exists("a.vhd.vhdkit-undo"), bool(codes), "undo file")
        check(not os.path.exists("a.vhd.vhdkit-redo"), "redo file")
        if not codes or last:
            break
        undo = read_file("a.vhd.vhdkit-undo")
        vhdkit("repair", "--undo", "a.vhd")
        # One who was killed before it was removed.
        with open("a.vhd.vhdkit-undo", "wb") as file:
            file.write(undo)
        vhdkit("repair", "--undo", "a.vhd")
        same_bytes(read_file("a.vhd"), before, "what was put back")
        check(not os.path.exists("a.vhd.vhdkit-undo"), "undo file")
    if codes:
        os.unlink("a.vhd.vhdkit-undo")
    if left:
        return
    sound("a.vhd")
    equal(read_json("info", "--json", "a.vhd")["warnings"], [])
    equal(read_json("repair", "--json", "a.vhd")["repaired"], 0)


@case("what is sound is left alone")
def _():
    image(0, 3)
    before = read_file("a.vhd")
    repaired()
    equal(read_file("a.vhd"), before)
    write_fixed("a.vhd", b"x" * MiB)
    before = read_file("a.vhd")
    repaired()
    equal(read_file("a.vhd"), before)


@case("a footer at the end that is missing, zeroed or bad")
def _():
    for damage in (b"", bytes(512), b"conectix" + b"?" * 504):
        image(0, 3)
        wanted = content("a.vhd")
        size = os.path.getsize("a.vhd")
        os.truncate("a.vhd", size - 512)
        put_bytes("a.vhd", size - 512, damage)
        repaired("footer-missing")
        same_bytes(content("a.vhd"), wanted)


@case("a copy of the footer that is bad, or out of date")
def _():
    for damage in (bytes(512), b"?" * 512,
                   new_footer(3, SIZE, timestamp=1).data):
        original = image(0, 3)
        if damage[:8] == b"conectix":
            copy = new_footer(3, SIZE, timestamp=1, id=original.footer.id,
                              data_offset=512)
            damage = copy.data
        put_bytes("a.vhd", 0, damage)
        repaired("footer-corrupt")
        equal(read_file("a.vhd")[:512], read_file("a.vhd")[-512:])


@case("the header's checksum, where all else makes sense")
def _():
    original = image(0, 3)
    wanted = content("a.vhd")
    original.header.checksum = 1
    original.save()
    refused("read", "a.vhd", says="checksum")
    repaired("header-checksum")
    same_bytes(content("a.vhd"), wanted)
    # And where it does not.
    original = image(0, 3)
    original.header.block_size = 1000
    original.header.checksum = 1
    original.save()
    before = read_file("a.vhd")
    refused("repair", "a.vhd", says="a.vhd")
    equal(read_file("a.vhd"), before)


@case("a last block that was cut short, with a footer behind it or without")
def _():
    for end in (True, False):
        image(0, 2, 4)
        data = read_file("a.vhd")
        cut = len(data) - 512 - 3000
        cut -= cut % 512
        with open("a.vhd", "wb") as file:
            file.write(data[:cut] + (data[-512:] if end else b""))
        refused("read", "a.vhd", says="block 4")
        repaired("bat-corrupt")
        got = content("a.vhd")
        lost = len(data) - 512 - cut
        equal(got[:8 * KiB], b"A" * 8 * KiB)
        same_bytes(got[32 * KiB:],
                   b"E" * (8 * KiB - lost) + bytes(lost), "the cut block")


@case("entries past the end of the disk that are no blocks")
def _():
    original = image(0, 3)
    struct.pack_into(">I", original.bytes, 1536 + 4 * 5, 0)
    original.header.entries = 8
    original.save()
    equal(read_json("check", "--json", "a.vhd")["notes"], 1)
    repaired("bat-corrupt")
    equal(read_json("check", "--json", "a.vhd")["findings"], [])


@case("killed between two of its writes, it is finished by the same command")
def _():
    nblk = 100000
    write_dynamic("a.vhd", nblk * 4 * KiB, {}, block_size=4 * KiB)
    broken = Image("a.vhd")
    end = broken.header.table_offset + 4 * nblk
    broken.bytes[end:end + 4] = bytes(4)
    broken.header.entries = nblk + 8
    broken.header.checksum = 1
    broken.save()

    capped(100 * KiB, "repair", "a.vhd", kills=True)  # within its table
    check(os.path.getsize("a.vhd.vhdkit-redo") > 0, "nothing is left to do")
    vhdkit("repair", "a.vhd")
    sound("a.vhd")
    equal(sorted(os.listdir()), ["a.vhd", "a.vhd.vhdkit-undo"])
    vhdkit("repair", "--undo", "a.vhd")
    same_bytes(read_file("a.vhd"), bytes(broken.bytes))


@case("killed between two of its writes, it is finished under another name of "
      "the file, too")
def _():
    nblk = 100000
    write_dynamic("a.vhd", nblk * 4 * KiB, {}, block_size=4 * KiB)
    broken = Image("a.vhd")
    end = broken.header.table_offset + 4 * nblk
    broken.bytes[end:end + 4] = bytes(4)
    broken.header.entries = nblk + 8
    broken.header.checksum = 1
    os.mkdir("else")
    for give_name in (os.link, os.rename):
        broken.save()
        capped(100 * KiB, "repair", "a.vhd", kills=True)
        give_name("a.vhd", "else/b.vhd")
        shutil.copy2("else/b.vhd", "else/copy.vhd")  # with its note
        vhdkit("repair", "else/copy.vhd", code=None)
        check(os.path.exists("a.vhd.vhdkit-redo"), "a copy is another's")
        refused("info", "else/b.vhd", says="was interrupted")
        vhdkit("repair", "else/b.vhd")
        sound("else/b.vhd")
        check(not os.path.exists("a.vhd.vhdkit-redo"), "it is done")
        equal(os.listxattr("else/b.vhd"), [], "notes")
        shutil.rmtree("else")
        os.mkdir("else")
        for name in os.listdir("."):
            if name != "else":
                os.remove(name)


@case("a batmap that is untrue, or whose checksum is wrong")
def _():
    for bits, total in ((0xc0, None), (0x40, 1), (0xff, 1)):
        image(1, creator=b"tap\0", creator_version=0x10003)
        a = Image("a.vhd")
        sector = bytes([bits]) + bytes(511)
        head = struct.pack(">8sQIII", b"tdbatmap", 2560, 1, 0x10002,
                           ~sum(sector) & 0xffffffff if total is None
                           else total)
        a.bytes[2048:2048] = head + bytes(512 - len(head)) + sector
        a.set_bat(1, a.bat[1] + 2)
        a.save()
        wanted = content("a.vhd")
        repaired("batmap")
        same_bytes(content("a.vhd"), wanted)
        equal(read_file("a.vhd")[2560], 0x40, "the map")
        equal(read_json("check", "--json", "a.vhd")["findings"], [])


@case("several faults at once")
def _():
    original = image(0, 2, 4)
    original.header.checksum = 7
    original.save()
    data = read_file("a.vhd")
    with open("a.vhd", "wb") as file:
        file.write(data[:-1024])
    repaired("header-checksum", "bat-corrupt")


@case("entries that lead to the same place are not cleared")
def _():
    original = image(0, 3)
    original.set_bat(1, original.bat[0])
    original.save()
    put_bytes("a.vhd", 0, bytes(512))
    repaired("footer-corrupt", left=1)
    equal(Image("a.vhd").bat[:2], [original.bat[0]] * 2)


@case("two footers of different disks stay as they are")
def _():
    original = image(0, 3)
    put_bytes("a.vhd", 0, new_footer(3, SIZE - 4096, id=original.footer.id,
                                     data_offset=512).data)
    before = read_file("a.vhd")
    repaired(left=1)
    equal(read_file("a.vhd"), before)


@case("what was written since is not undone; no undo file is overwritten")
def _():
    image(0, 3)
    put_bytes("a.vhd", 0, bytes(512))
    vhdkit("repair", "a.vhd")
    undo = read_file("a.vhd.vhdkit-undo")
    put_bytes("a.vhd", 0, b"?" * 512)
    refused("repair", "--undo", "a.vhd", says="changed since")
    refused("repair", "a.vhd", says="vhdkit-undo")
    equal(read_file("a.vhd")[:512], b"?" * 512)
    equal(read_file("a.vhd.vhdkit-undo"), undo)
    os.unlink("a.vhd.vhdkit-undo")
    contains(vhdkit("repair", "a.vhd").out, "vhdkit-undo")
    refused("repair", "--undo", "b.vhd", says="b.vhd")


@case("what is no VHD is refused")
def _():
    with open("a.vhd", "wb") as file:
        file.write(b"vhdxfile" + bytes(100000))
    refused("repair", "a.vhd", says="VHDX")


run()
