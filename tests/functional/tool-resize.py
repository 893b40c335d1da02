#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit resize: what was there stays, what is new reads as zeros, nothing but
zeros goes, and other programs see the new size."""

import json
import os
import shutil
import struct

from inplacetest import (ALONE, allocated, overwrite, qemu_content, sound,
                         unpack, write_at)
from tooltest import (USAGE, GiB, KiB, MiB, case, check, content, equal,
                      program, read_json, refused, run, same_bytes, vhdkit)
from vhdimage import FIXED, UNUSED, Image, write_dynamic, write_fixed

FULL = b"\xff" * 512


def info(path):
    return read_json("info", "--json", path)


def grown(path, size, *more, qemu=True):
    """Grows it, and looks at all there is to see."""
    before = content(path)
    vhdkit("resize", *more, path, str(size))
    after = content(path)
    equal(len(after), size, "size")
    same_bytes(after[:len(before)], before, path)
    check(not any(after[len(before):]), "what is new is not zeros")
    sound(path)
    # Of its own creator's images qemu may show the geometry's size.
    equal([w for w in info(path)["warnings"] if "qemu" not in w], [],
          "warnings")
    if qemu and shutil.which("qemu-img"):
        out = program("qemu-img", "info", "-f", "vpc", "--output=json",
                      path).stdout
        if json.loads(out)["virtual-size"] == size:
            same_bytes(qemu_content(path), after, "qemu")


# ----------------------------------------------------------------------- fixed

@case("a fixed image grows and shrinks; the old footer is no data")
def _():
    vhdkit("create", "--size", "1M", "--type", "fixed", "a.vhd")
    write_at("a.vhd", 0, b"x" * MiB)
    for size in (MiB + 512, MiB + 1024, 3 * MiB, 3 * MiB + 5120):
        grown("a.vhd", size)
        equal(os.path.getsize("a.vhd"), size + 512)
    vhdkit("resize", "--shrink", "a.vhd", "1M")
    equal(content("a.vhd"), b"x" * MiB)
    equal(os.path.getsize("a.vhd"), MiB + 512)
    refused("resize", "--shrink", "a.vhd", str(MiB - 512), says="data")
    equal(content("a.vhd"), b"x" * MiB)
    sound("a.vhd")


@case("--full sets the space of a fixed image aside")
def _():
    vhdkit("create", "--size", "1M", "--type", "fixed", "--full", "a.vhd")
    grown("a.vhd", 8 * MiB, "--full")
    check(os.stat("a.vhd").st_blocks * 512 >= 8 * MiB, "it is sparse")
    grown("a.vhd", 16 * MiB)
    check(os.stat("a.vhd").st_blocks * 512 < 16 * MiB, "it is not")


@case("what lay between a fixed disk and its footer does not come to light")
def _():
    for size in (MiB + 4096, MiB + 8192, 2 * MiB):
        write_fixed("a.vhd", b"x" * MiB + b"secret" * 512 + bytes(2048))
        image = Image("a.vhd")
        image.footer.current_size = MiB
        image.save(head=False)
        equal(image.footer.type, FIXED)
        grown("a.vhd", size)


# ------------------------------------------------------- dynamic, differencing

@case("a table that is long enough already stays where it is")
def _():
    vhdkit("create", "--size", "4M", "--block-size", "64K", "a.vhd")
    write_at("a.vhd", 3 * MiB + 7, b"z" * 100000)
    grown("a.vhd", 4 * MiB + 512)
    grown("a.vhd", 8 * MiB)
    image = Image("a.vhd")
    equal(image.header.entries, 128)
    equal(image.header.table_offset, 1536)


@case("blocks in the way of a longer table are moved")
def _():
    for packed in (False, True):
        if packed:
            blocks = {blk: (FULL, bytes([blk + 1]) * 8 * KiB)
                      for blk in (3, 1, 2, 0, 9, 7)}
            write_dynamic("a.vhd", 80 * KiB, blocks, block_size=8 * KiB)
        else:
            vhdkit("create", "--size", "80K", "--block-size", "8K", "a.vhd",
                   "--overwrite")
            write_at("a.vhd", 0, os.urandom(80 * KiB))
        for size in (MiB, 8 * MiB, 64 * MiB):
            grown("a.vhd", size)
            image = Image("a.vhd")
            equal(image.header.entries, size // (8 * KiB))
            check(all(slot == UNUSED
                      for slot in image.bat[10:]), "new entries")
        write_at("a.vhd", 63 * MiB, b"new" * 1000)
        sound("a.vhd")


@case("an image without blocks, up to the largest")
def _():
    vhdkit("create", "--size", "1M", "a.vhd")
    write_at("a.vhd", 0, b"x" * 1000)
    vhdkit("resize", "a.vhd", "2040G")
    equal(info("a.vhd")["virtual-size"], 2040 * GiB)
    equal(content("a.vhd", "--length", "4K"), b"x" * 1000 + bytes(3096))
    sound("a.vhd")
    refused("resize", "a.vhd", "2041G", says="2040")
    vhdkit("resize", "--shrink", "a.vhd", "1M")
    equal(len(content("a.vhd")), MiB)


@case("the rest of a last block, whatever lies there, is no data")
def _():
    tail = (FULL, b"d" * 4096 + b"old!" * 1024)
    write_dynamic("a.vhd", 8 * KiB + 4096, {1: tail, 0: (FULL, b"a" * 8 * KiB)},
                  block_size=8 * KiB)
    grown("a.vhd", 16 * KiB)
    # Only as long as it must be, with another right behind it.
    write_dynamic("a.vhd", 8 * KiB + 4096, {1: (FULL, b"d" * 4096),
                                            0: (FULL, b"a" * 8 * KiB)},
                  block_size=8 * KiB)
    grown("a.vhd", 64 * KiB, qemu=False)


@case("entries past the end that other programs left are no blocks")
def _():
    write_dynamic("a.vhd", 24 * KiB, {0: (FULL, b"a" * 8 * KiB)},
                  block_size=8 * KiB)
    image = Image("a.vhd")
    struct.pack_into(">2I", image.bytes, 1536 + 12, 0, 0)
    image.save()
    grown("a.vhd", 40 * KiB)


@case("blocks past the end are somebody's: it does not grow over them")
def _():
    write_dynamic("a.vhd", 40 * KiB, {0: (FULL, b"a" * 8 * KiB),
                                      4: (FULL, b"b" * 8 * KiB)},
                  block_size=8 * KiB)
    image = Image("a.vhd")
    image.footer.current_size = 24 * KiB
    image.save()
    refused("resize", "a.vhd", "40K", says="past the end")
    refused("resize", "a.vhd", "32K", says="past the end")


# ------------------------------------------------------------------- shrinking

@case("it shrinks only where told, and over zeros alone")
def _():
    vhdkit("create", "--size", "4M", "--block-size", "64K", "a.vhd")
    write_at("a.vhd", 0, b"x" * 4 * MiB)
    refused("resize", "a.vhd", "2M", says="--shrink")
    refused("resize", "--shrink", "a.vhd", "2M", says="data")
    overwrite("a.vhd", {2 * MiB + 100: bytes(2 * MiB - 101)})
    refused("resize", "--shrink", "a.vhd", "2M", says="data")
    equal(content("a.vhd")[-1:], b"x")
    overwrite("a.vhd", {2 * MiB: bytes(2 * MiB)})
    vhdkit("resize", "--shrink", "a.vhd", str(2 * MiB + 512))
    equal(content("a.vhd"), b"x" * 2 * MiB + bytes(512))
    equal(allocated("a.vhd"), 33)
    sound("a.vhd")
    grown("a.vhd", 4 * MiB)
    equal(allocated("a.vhd"), 33)


@case("a child shrinks over its ancestors' zeros alone")
def _():
    vhdkit("create", "--size", "2M", "--block-size", "64K", "base.vhd")
    write_at("base.vhd", MiB + 300000, b"deep")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    refused("resize", "--shrink", "child.vhd", "1M", says="data")
    vhdkit("resize", "--shrink", "child.vhd", str(MiB + 512 * KiB))
    equal(len(content("child.vhd")), MiB + 512 * KiB)


@case("zeros that hide a parent's data go with the size, and their space")
def _():
    block = 8 * KiB
    write_dynamic("base.vhd", 8 * block, {7: (FULL, b"old!" * (block // 4))},
                  block_size=block, id=b"B" * 16)
    write_dynamic("child.vhd", 8 * block,
                  {1: (FULL, b"new!" * (block // 4)), 7: (FULL, bytes(block))},
                  block_size=block, creator=b"tap\0", creator_version=0x10003,
                  parent={"parent_id": b"B" * 16,
                          "parent_name": "base.vhd".encode("utf-16-be")})
    child = Image("child.vhd")
    bits = bytes([0x41]) + bytes(511)
    head = struct.pack(">8sQIII", b"tdbatmap", 2560, 1, 0x10002,
                       ~sum(bits) & 0xffffffff)
    child.bytes[2048:2048] = head + bytes(512 - len(head)) + bits
    for blk in 1, 7:
        child.set_bat(blk, child.bat[blk] + 2)
    child.save()
    wanted, size = content("child.vhd"), os.path.getsize("child.vhd")
    sound("child.vhd")
    vhdkit("resize", "--shrink", "child.vhd", str(4 * block))
    same_bytes(content("child.vhd"), wanted[:4 * block])
    equal(Image("child.vhd").bytes[2560], 0x40, "the map")
    check(os.path.getsize("child.vhd") < size - block, "it is as long as ever")
    sound("child.vhd")
    refused("resize", "child.vhd", str(8 * block), says="parent")


# ---------------------------------------------------------------------- chains

@case("a child grows past its parent, and not over what that holds")
def _():
    vhdkit("create", "--size", "1M", "--block-size", "8K", "base.vhd")
    write_at("base.vhd", 0, b"base" * 1000)
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    write_at("child.vhd", 9999, b"c" * 100000)
    grown("child.vhd", 64 * MiB, qemu=False)
    write_at("child.vhd", 60 * MiB, b"far")
    sound("child.vhd")
    # Larger below.
    write_at("base.vhd", MiB - 3, b"end")
    vhdkit("create", "--parent", "base.vhd", "--size", "512K", "short.vhd")
    refused("resize", "short.vhd", "1M", says="parent")
    vhdkit("resize", "short.vhd", "768K")
    equal(len(content("short.vhd")), 768 * KiB)


@case("locators in the way are moved, and lead where they led")
def _():
    os.mkdir("d")
    vhdkit("create", "--size", "1M", "--block-size", "8K", "d/base.vhd")
    write_at("d/base.vhd", 0, b"base" * 1000)
    vhdkit("create", "--parent", "d/base.vhd", "d/child.vhd")
    before = Image("d/child.vhd")
    texts = [(loc.code, before.locator_text(loc)) for loc in before.locators]
    check(texts, "no locators")
    for size in (32 * MiB, 256 * MiB):
        grown("d/child.vhd", size, qemu=False)
        image = Image("d/child.vhd")
        equal([(loc.code, image.locator_text(loc)) for loc in image.locators],
              texts)
        end = image.header.table_offset + 4 * image.header.entries
        check(all(loc.off >= end for loc in image.locators
                  if loc.code != bytes(4)), "in the way")
    equal(image.header.parent_name, before.header.parent_name)


@case("a parent is resized only where told; its children read the same")
def _():
    for kind in ("dynamic", "fixed"):
        vhdkit("create", "--size", "1M", "--type", kind, "base.vhd")
        write_at("base.vhd", 0, b"base" * 1000)
        vhdkit("create", "--parent", "base.vhd", "child.vhd")
        mtime = os.stat("base.vhd").st_mtime_ns
        before = content("child.vhd")
        os.mkdir("in")
        os.symlink("../base.vhd", "in/link.vhd")
        for name in ("base.vhd", "in/link.vhd"):
            refused("resize", name, "2M",
                    says=["child.vhd", "--with-children"])
        os.remove("in/link.vhd")
        os.rmdir("in")
        for size in ("2M", "1900G" if kind == "dynamic" else "4M"):
            vhdkit("resize", "--with-children", "base.vhd", size)
            same_bytes(content("child.vhd"), before)
            found = read_json("check", "--json", "child.vhd")["findings"]
            equal({f["code"] for f in found} - {"leak"}, {"parent-size"})
            equal(os.stat("base.vhd").st_mtime_ns, mtime, "time of change")
        os.remove("base.vhd")
        os.remove("child.vhd")


# ------------------------------------------------------- other programs' images

@case("images of other programs grow, and keep batmap and padding")
def _():
    for name in ALONE:
        path = unpack(name)
        old = Image(path)
        size = old.footer.current_size
        block = old.header.block_size
        write_at(path, size - 3000, b"end" * 1000)
        write_at(path, 0, b"begin" * 1000)
        had = info(path)["batmap"]
        grown(path, size + 200 * block)
        equal(info(path)["batmap"], had, name)
        image = Image(path)
        equal(image.footer.id, old.footer.id, name)
        equal(image.footer.creator, old.footer.creator, name)
        write_at(path, size + 150 * block, b"new" * 1000)
        sound(path)


# -------------------------------------------------------------------- refusals

@case("what makes no sense is refused, and changes nothing")
def _():
    vhdkit("create", "--size", "1M", "a.vhd")
    image = Image("a.vhd")
    for size in ("0", "1000", "1.0001M", "x", "-1"):
        done = vhdkit("resize", "--shrink", "--", "a.vhd", size, code=USAGE)
        check(done.err, "no message")
    refused("resize", "--full", "a.vhd", "2M", says="fixed")
    refused("resize", "--size-chs", "a.vhd", "2M", says="geometry")
    refused("resize", "none.vhd", "2M", says="none.vhd")
    equal(Image("a.vhd").bytes, image.bytes)
    image.footer.saved_state = 1
    image.save()
    refused("resize", "a.vhd", "2M", says="state")
    equal(Image("a.vhd").bytes, image.bytes)
    check(not [n for n in os.listdir() if "redo" in n], "left something")


run()
