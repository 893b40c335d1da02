#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit check: sound images are sound, each fault has its name, and the exit
status says which kind it was.  What is broken does not open either."""

import os
import re
import struct

from checktest import verdict
from inplacetest import killed_writer
from tooltest import (KiB, MiB, case, check, contains, equal, program,
                      read_json, refused, run, vhdkit)
from vhdimage import UNUSED, Image, new_footer, write_dynamic, write_fixed

FULL = b"\xff" * 512
BLOCK = (FULL, b"d" * (2 * MiB))


def finds(path, severity, code, *parts, opens=None):
    """The check finds just that (notes aside), and opening agrees."""
    status, got = verdict(path)
    equal(status, {"broken": 2, "leaked": 3, "note": 0}[severity], "status")
    hits = [f for f in got["findings"]
            if f["severity"] == severity and f["code"] == code]
    check(hits, f"no {severity} {code} in {got['findings']}")
    for part in parts:
        check(any(part in f["message"] for f in hits), f"{part!r} in {hits}")
    equal(os.path.basename(hits[0]["path"]), os.path.basename(path), "path")
    if opens is None:
        opens = severity != "broken"
    if opens:
        vhdkit("read", "--length", "512", path)
    else:
        refused("read", "--length", "512", path, says=path)


def two_blocks():
    """8 MiB with blocks 0 and 2 in the file, packed, from 2048 on."""
    write_dynamic("a.vhd", 8 * MiB, {0: BLOCK, 2: BLOCK})
    return Image("a.vhd")


@case("what vhdkit makes is sound, empty and written to")
def _():
    for number, options in enumerate((
            ("--type", "fixed"), (), ("--full",), ("--block-size", "64K"),
            ("--block-size", "32M"))):
        name = f"{number}.vhd"
        vhdkit("create", "--size", "40M", *options, name)
        equal(verdict(name), (0, {
            "filename": name, "result": "sound", "errors": 0, "doubts": 0,
            "leaks": 0,
            "notes": 0, "leaked-bytes": 0, "findings": [],
            "allocated-blocks": 20 if "--full" in options else 0}))
        vhdkit("write", "--offset", "9M", name, data=b"x" * 5000)
        status, got = verdict(name)
        equal((status, got["findings"]), (0, []), name)
    vhdkit("create", "--parent", "1.vhd", "child.vhd")
    vhdkit("write", "--offset", "10M", "child.vhd", data=b"y" * 5000)
    equal(verdict("child.vhd")[1]["findings"], [])


@case("a fixed disk's data offset means nothing: it opens, with a note")
def _():
    for offset in (0, 512, 1 << 63):
        write_fixed("f.vhd", b"d" * MiB, data_offset=offset)
        finds("f.vhd", "note", "footer-corrupt", str(offset))
        vhdkit("write", "f.vhd", data=b"new")
        equal(Image("f.vhd").footer.data_offset, offset)


@case("what another creator put into the footer's reserved bytes is kept")
def _():
    image = two_blocks()
    image.footer.data[86:512] = bytes(i % 251 for i in range(426))
    image.footer.checksum = image.footer.true_checksum()
    image.save()
    vhdkit("write", "--offset", "2M", "a.vhd", data=b"new" * MiB)
    after = Image("a.vhd")
    check(len(after.bytes) > len(image.bytes), "the file has grown")
    equal(bytes(after.footer.data[86:]), bytes(image.footer.data[86:]))
    equal(bytes(after.bytes[86:512]), bytes(image.footer.data[86:]))
    equal(verdict("a.vhd")[1]["errors"], 0)


@case("what it says for people, and --quiet")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    equal(vhdkit("check", "a.vhd").out, "a.vhd: sound\n")
    equal(vhdkit("check", "--quiet", "a.vhd").out, "")
    image = two_blocks()
    image.set_bat(2, image.bat[0])
    image.save()
    lines = vhdkit("check", "a.vhd", code=2).out.splitlines()
    check(lines[0].startswith("broken: a.vhd: blocks 0 and 2"), lines[0])
    equal(lines[-1], "a.vhd: broken: 1 error")


@case("status 1: what could not be looked at")
def _():
    refused("check", "gone.vhd", says="gone.vhd")
    os.mkfifo("fifo")
    refused("check", "fifo", says="FIFO")
    refused("check", ".", says="directory")


# ----------------------------------------------------------- footer and header

@case("what is no VHD at all is not called broken, but by its name: status 1")
def _():
    for name, off, magic in (
            ("qcow", 0, b"QFI\xfb\0\0\0\3"),
            ("VMDK", 0, b"KDMV"), ("VMDK", 0, b"COWD"),
            ("VMDK", 0, b"# Disk DescriptorFile\n"),
            ("VDI", 0, b"<<< Any Disk Image >>>\n".ljust(64, b"\0") +
             b"\x7f\x10\xda\xbe"),
            ("gzip", 0, b"\x1f\x8b\x08"), ("xz", 0, b"\xfd7zXZ\0"),
            ("bzip2", 0, b"BZh91AY"), ("zstd", 0, b"\x28\xb5\x2f\xfd"),
            ("zip", 0, b"PK\x03\x04"), ("ISO", 32769, b"CD001"),
            ("raw disk", 510, b"\x55\xaa")):
        with open("a.vhd", "wb") as file:
            file.truncate(100000)
            file.seek(off)
            file.write(magic)
        refused("check", "a.vhd", says=["a.vhd", name, "not a VHD"])
        refused("check", "--json", "a.vhd", says=name)
        refused("info", "a.vhd", says=name)
        # With the end of a VHD it is one, whatever its guest has written.
        footer = new_footer(2, 100352).data
        with open("a.vhd", "r+b") as file:
            file.seek(100352)
            file.write(footer)
        vhdkit("check", "a.vhd")


@case("a VHD whose footers are lost is a broken VHD")
def _():
    image = two_blocks()
    image.bytes[:512] = bytes(510) + b"\x55\xaa"
    image.bytes[-512:] = bytes(512)
    image.save(head=False, end=False)
    finds("a.vhd", "broken", "footer-missing")


@case("no footer at all, and nothing known instead: broken")
def _():
    with open("a.vhd", "wb") as file:
        file.write(b"\0" * MiB)
    finds("a.vhd", "broken", "footer-missing", "no VHD footer")
    with open("c.vhd", "wb") as file:
        file.write(b"short")
    finds("c.vhd", "broken", "footer-missing")


@case("a footer's checksum, version, type, size")
def _():
    for name, value, code in (("checksum", 1, "footer-checksum"),
                              ("version", 0x20000, "format-version"),
                              ("type", 5, "type"), ("type", 0, "type"),
                              ("current_size", 0, "size"),
                              ("current_size", MiB + 1, "size")):
        write_fixed("a.vhd", bytes(MiB), **{name: value})
        finds("a.vhd", "broken", code)


@case("a fixed disk longer than its file, and one with bytes to spare")
def _():
    write_fixed("a.vhd", bytes(MiB), current_size=2 * MiB)
    finds("a.vhd", "broken", "file-size", "2097152")
    write_fixed("a.vhd", bytes(MiB), current_size=MiB - 4096)
    finds("a.vhd", "note", "file-size", "4096")


@case("one footer of two: the other is used, and this is said")
def _():
    image = two_blocks()
    image.bytes[-512:] = bytes(512)
    image.save(end=False)
    finds("a.vhd", "note", "footer-missing", "its copy at the start is used")
    image = two_blocks()
    image.bytes[10] ^= 1
    image.save(head=False)
    finds("a.vhd", "note", "footer-checksum", "the one at the end is used")


@case("two footers that are both valid but not of the same disk")
def _():
    image = two_blocks()
    other = new_footer(3, 8 * MiB, id=b"another disk's..")
    image.bytes[:512] = other.data
    image.save(head=False)
    finds("a.vhd", "broken", "footer-corrupt", "unique id")


@case("a header's checksum, version, block size, table")
def _():
    for name, value, code in (
            ("checksum", 1, "header-checksum"),
            ("version", 0x20000, "header-version"),
            ("cookie", b"cxspurse", "header-corrupt"),
            ("block_size", 0, "block-size"),
            ("block_size", 3 * MiB, "block-size"),
            ("block_size", 512, "block-size"),
            ("entries", 3, "header-corrupt"),
            ("entries", 0, "header-corrupt"),
            ("table_offset", 1 << 62, "header-corrupt"),
            ("table_offset", 0, "header-corrupt"),
            ("table_offset", 700, None)):
        image = two_blocks()
        setattr(image.header, name, value)
        image.save()
        status, got = verdict("a.vhd")
        equal(status, 2, f"status for {name}")
        if code is not None:
            check(code in [f["code"] for f in got["findings"]],
                  f"{name}={value}: no {code} in {got['findings']}")


@case("odd but harmless: saved state, hidden, the future, spare entries")
def _():
    for name, value, code in (("saved_state", 1, "state"),
                              ("hidden", 1, "state"),
                              ("timestamp", 0xfffffff0, "footer-corrupt")):
        write_fixed("a.vhd", bytes(MiB), **{name: value})
        finds("a.vhd", "note", code)
    image = two_blocks()
    image.header.entries = 100
    image.save()
    equal(verdict("a.vhd")[0], 0)


# ---------------------------------------------------------------------- blocks

@case("blocks that overlap, a region's or one another's")
def _():
    for blk, place, part in ((2, 4, "blocks 0 and 2"),
                             (2, 5, "blocks 0 and 2"),
                             (0, 0, "copy of the footer"),
                             (0, 1, "overlaps"),
                             (0, 3, "overlaps")):
        image = two_blocks()
        image.set_bat(blk, place)
        image.save()
        finds("a.vhd", "broken", "bat-corrupt", part)


@case("blocks beyond the end of the file, or over the footer")
def _():
    end = 2 * 4097 + 4
    for place in (end, end - 4096, 0xfffffffe, 0x80000000):
        image = two_blocks()
        image.set_bat(2, place)
        image.save()
        finds("a.vhd", "broken", "bat-corrupt", "block 2")


@case("each of many faults is told of, in one look")
def _():
    image = two_blocks()
    image.set_bat(1, 0xfffffffe)
    image.set_bat(3, image.bat[2])
    image.save()
    status, got = verdict("a.vhd")
    equal((status, got["errors"]), (2, 2))


@case("blocks in any order and unaligned are sound")
def _():
    write_dynamic("a.vhd", 8 * MiB, {3: BLOCK, 0: BLOCK, 2: BLOCK})
    equal(verdict("a.vhd")[1]["findings"], [])


# ----------------------------------------------------------------------- space

@case("space that belongs to nothing is leaked: status 3, and how much")
def _():
    image = two_blocks()
    image.set_bat(0, UNUSED)
    image.save()
    status, got = verdict("a.vhd")
    equal(status, 3)
    check(2 * MiB <= got["leaked-bytes"] <= 2 * MiB + 512,
          f"{got['leaked-bytes']} bytes")
    contains(vhdkit("check", "a.vhd", code=3).out, "2.0 MiB")
    finds("a.vhd", "leaked", "leak", "bytes at 2048")
    # The last block of the file: what leaks reaches up to the footer.
    image = two_blocks()
    image.set_bat(2, UNUSED)
    image.save()
    finds("a.vhd", "leaked", "leak", f"bytes at {2048 + 512 + 2 * MiB}")


@case("free space without data is not leaked")
def _():
    vhdkit("create", "--size", "40M", "a.vhd")
    vhdkit("write", "a.vhd", data=b"x" * (20 * MiB))
    with open("zeros", "wb") as file:
        file.truncate(10 * MiB)
    vhdkit("write", "--offset", "2M", "a.vhd", "zeros")
    equal(verdict("a.vhd")[0], 0)


@case("padding is not leaked, a locator's space neither")
def _():
    write_dynamic("a.vhd", 8 * MiB, {})
    image = Image("a.vhd")
    image.bytes[2048:2048] = bytes(60 * KiB)
    image.save()
    equal(verdict("a.vhd")[0], 0)


# --------------------------------------------------------------------- bitmaps

@case("data under a bit that is 0 is noted, and reads as zeros")
def _():
    bits = bytes([0x7f]) + b"\xff" * 511
    write_dynamic("a.vhd", 4 * MiB, {1: (bits, b"d" * (2 * MiB))})
    finds("a.vhd", "note", "bitmap-mismatch", "block 1")
    equal(vhdkit("read", "--offset", "2M", "--length", "1024", "a.vhd").stdout,
          bytes(512) + b"d" * 512)
    write_dynamic("b.vhd", 4 * MiB,
                  {1: (bits, bytes(512) + b"d" * (2 * MiB - 512))})
    equal(verdict("b.vhd")[1]["findings"], [])


@case("stray bits behind the disk's last sector are noted, all or none are not")
def _():
    for tail, notes in ((b"\x00", 0), (b"\xff", 0), (b"\x55", 1)):
        bits = b"\xff" * 256 + tail * 256
        write_dynamic("a.vhd", 3 * MiB, {1: (bits, b"d" * (2 * MiB))})
        status, got = verdict("a.vhd")
        equal((status, got["notes"]), (0, notes), f"notes for {tail}")


def with_batmap(bits, bitmap):
    """Two blocks, block 1 in the file, as Xen lays it out."""
    footer = new_footer(3, 4 * MiB, creator=b"tap\0", creator_version=0x10003)
    write_dynamic("a.vhd", 4 * MiB, {1: (bitmap, b"d" * (2 * MiB))},
                  creator=b"tap\0", creator_version=0x10003)
    image = Image("a.vhd")
    sector = bytes(bits) + bytes(511)
    total = ~sum(sector) & 0xffffffff
    head = struct.pack(">8sQIII", b"tdbatmap", 2560, 1, 0x10002, total)
    image.bytes[2048:2048] = head + bytes(512 - len(head)) + sector
    image.set_bat(1, image.bat[1] + 2)
    image.footer.data[:] = footer.data
    image.save()


@case("Xen's batmap: full where it says so is sound, otherwise broken")
def _():
    with_batmap([0x40], FULL)
    equal(verdict("a.vhd")[1]["findings"], [])
    equal(read_json("info", "--json", "a.vhd")["batmap"], True)
    with_batmap([0x00], FULL)
    equal(verdict("a.vhd")[1]["findings"], [])
    with_batmap([0x40], b"\xfe" + FULL[1:])
    finds("a.vhd", "broken", "batmap", "block 1", opens=True)
    with_batmap([0xc0], FULL)
    finds("a.vhd", "note", "batmap", "block 0")


@case("what leaks does not depend on what has been read; figures agree")
def _():
    two_blocks()
    with open("a.vhd", "r+b") as file:
        end = os.path.getsize("a.vhd") - 512
        file.seek(end)
        footer = file.read()
        file.truncate(end)
        program("fallocate", "--offset", str(end), "--length", str(8 * MiB),
                "a.vhd")
        file.seek(end + 8 * MiB)
        file.write(footer)
        os.fsync(file.fileno())
    first = verdict("a.vhd")
    equal((first[0], first[1]["leaked-bytes"]), (0, 0))
    with open("a.vhd", "rb") as file:
        file.read()
    equal(verdict("a.vhd"), first)
    with open("a.vhd", "r+b") as file:
        file.seek(end + MiB)
        file.write(b"x" * 2 * MiB)
    status, got = verdict("a.vhd")
    equal(status, 3)
    check(2 * MiB <= got["leaked-bytes"] <= 2 * MiB + 8 * KiB, got)
    message = [f["message"] for f in got["findings"]
               if f["severity"] == "leaked"][0]
    figures = [int(n) for n in re.findall(r"\d+", message)]
    equal(figures[0], got["leaked-bytes"])
    check(figures[2] <= figures[0], message)


def allocated(path):
    """Blocks of it that its map has data in."""
    runs = read_json("map", "--json", path)
    return {blk for run in runs if run["data"] and run["depth"] == 0
            for blk in range(run["start"] // (2 * MiB),
                             -(-(run["start"] + run["length"]) // (2 * MiB)))}


@case("what a killed program left in memory is part of the image")
def _():
    vhdkit("create", "--size", "64M", "d.vhd")
    vhdkit("create", "--size", "64M", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    for path in ("d.vhd", "child.vhd"):
        with killed_writer(path, b"w" * 16 * MiB):
            pass
        blocks = allocated(path)
        check(len(blocks) >= 8, f"{path}: {blocks}")
        status, got = verdict(path)
        equal((status, got["leaked-bytes"]), (0, 0), path)
        equal(got["allocated-blocks"], len(blocks), path)
        equal({f["code"] for f in got["findings"]} - {"leak"}, {"journal"},
              path)
        vhdkit("write", path, data=b"")
        equal(verdict(path)[1]["findings"], [], path)


# ----------------------------------------------------------------------- chain


run()
