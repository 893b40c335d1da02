#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit compact: the file gets as short as its content allows, and the disk
reads the same, here, through children and in other programs."""

import os
import random
import time

from inplacetest import (ALONE, CHAIN, allocated, findings, holed, keeps,
                         overwrite, sound, unpack, write_at)
from tooltest import (VHDKIT, KiB, MiB, Skip, case, check, content, equal,
                      need, program, read_json, refused, run, same_bytes,
                      vhdkit)
from vhdimage import UNUSED, Image, write_dynamic

FULL = b"\xff" * 512
BLOCK = 64 * KiB


def compact(path, *more, **how):
    return keeps(path, "compact", "--json", *more, path, **how)


def in_use(path, block=BLOCK):
    """Blocks of the disk that hold something."""
    data = content(path)
    return sum(any(data[at:at + block]) for at in range(0, len(data), block))


@case("blocks of zeros go, the others move down, the file is cut")
def _():
    for seed in range(4):
        path = holed("a.vhd", seed)
        wanted = in_use(path)
        before = allocated(path)
        got = compact(path)
        equal(got["dropped-blocks"], before - wanted, "dropped")
        equal(allocated(path), wanted, "allocated")
        check(got["moved-blocks"] > 0, "nothing was moved")
        equal(os.path.getsize(path), got["file-size"], "size")
        # Metadata, each block with its bitmap on 4 KiB, footer.
        most = 8 * KiB + wanted * (BLOCK + 4 * KiB) + 4 * KiB
        check(got["file-size"] <= most, f"{got}: more than {most}")
        again = compact(path)
        equal((again["dropped-blocks"], again["moved-blocks"],
               again["file-size"]), (0, 0, got["file-size"]), "once more")
        os.unlink(path)


def killed_compact(path):
    """Killed while it moves blocks: before it punches one of them."""
    done = program("strace", "-o", "trace", "-e", "trace=fallocate", "-e",
                   "inject=fallocate:signal=KILL:when=20", VHDKIT, "compact",
                   path, code=None, env={"ASAN_OPTIONS": "detect_leaks=0"})
    if "ptrace" in done.err or "PTRACE" in done.err:
        raise Skip(f"strace cannot trace here: {done.err.strip()}")
    equal(done.returncode, -9, done.err)


@case("killed, and then finished: children see no change")
def _():
    need("strace")
    for args in (("compact", "a.vhd"),
                 ("set", "--creator", "abcd", "--with-children", "a.vhd"),
                 ("write", "--offset", "100K", "a.vhd")):
        holed("a.vhd", 1)
        vhdkit("create", "--parent", "a.vhd", "--overwrite", "child.vhd")
        begun = os.stat("a.vhd").st_mtime_ns
        time.sleep(1.1)
        killed_compact("a.vhd")
        check(os.stat("a.vhd").st_mtime_ns != begun, "nothing was changed")
        written = "--offset" in args
        vhdkit(*args, data=b"!" if written else b"")
        equal(os.stat("a.vhd").st_mtime_ns == begun, not written, args)
        check(("was changed after" in vhdkit("info", "--chain",
                                             "child.vhd").out) == written,
              f"{args}: what the child says")
        os.unlink("child.vhd")
        os.unlink("a.vhd")


@case("nothing but zeros: the file is no longer than a new one")
def _():
    vhdkit("create", "--size", "4M", "--block-size", "64K", "new.vhd")
    vhdkit("create", "--size", "4M", "--block-size", "64K", "a.vhd")
    write_at("a.vhd", 0, b"x" * 4 * MiB)
    overwrite("a.vhd", {0: bytes(4 * MiB)})
    equal(compact("a.vhd")["dropped-blocks"], 64)
    check(os.path.getsize("a.vhd") <= os.path.getsize("new.vhd"), "longer")


@case("one sector that is not zeros keeps its block, wherever it lies")
def _():
    vhdkit("create", "--size", "4M", "--block-size", "64K", "a.vhd")
    write_at("a.vhd", 0, b"x" * 4 * MiB)
    overwrite("a.vhd", {0: bytes(4 * MiB)})
    for blk, off in ((0, 0), (7, 64 * KiB - 1), (20, 33 * KiB)):
        overwrite("a.vhd", {blk * BLOCK + off: b"!"})
    equal(compact("a.vhd")["dropped-blocks"], 61)
    equal(allocated("a.vhd"), 3)


# ---------------------------------------------------------------------- chains

def chain():
    """base: blocks 0 to 7 hold data, 8 to 15 zeros."""
    for name in ("base.vhd", "child.vhd"):
        if os.path.exists(name):
            os.unlink(name)
    vhdkit("create", "--size", "2M", "--block-size", "64K", "base.vhd")
    write_at("base.vhd", 0, b"base" * (256 * KiB))
    overwrite("base.vhd", {8 * BLOCK: bytes(8 * BLOCK)})
    os.utime("base.vhd", (1700000000, 1700000000))
    vhdkit("create", "--parent", "base.vhd", "child.vhd")


@case("zeros that hide a parent's data stay")
def _():
    chain()
    write_at("child.vhd", 0, b"c" * 20 * BLOCK)
    overwrite("child.vhd", {0: bytes(20 * BLOCK)})
    # 8 blocks hide something; the parent's zeros, and nothing, need no hiding.
    equal(compact("child.vhd", qemu=False)["dropped-blocks"], 12)
    equal(allocated("child.vhd"), 8)


@case("a part of a block that hides the parent's is enough for it to stay")
def _():
    chain()
    for blk in range(4):
        write_at("child.vhd", blk * BLOCK + 512 * blk, b"c" * 512)
        overwrite("child.vhd", {blk * BLOCK + 512 * blk: bytes(512)})
    write_at("child.vhd", 9 * BLOCK + 1024, b"c" * 1024)
    overwrite("child.vhd", {9 * BLOCK + 1024: bytes(1024)})
    equal(compact("child.vhd", qemu=False)["dropped-blocks"], 1)


@case("a block that says nothing goes, whatever its ancestors hold")
def _():
    chain()
    write_at("child.vhd", 3 * BLOCK, b"c" * BLOCK)
    image = Image("child.vhd")
    at = image.bat[3] * 512
    image.bytes[at:at + 512] = bytes(512)
    image.save()
    equal(compact("child.vhd", qemu=False)["dropped-blocks"], 1)
    equal(allocated("child.vhd"), 0)


@case("a parent may be compacted: its children see no change")
def _():
    chain()
    vhdkit("create", "--parent", "child.vhd", "grandchild.vhd")
    write_at("grandchild.vhd", 4 * BLOCK, b"g" * BLOCK)
    times = [os.stat(name).st_mtime_ns for name in ("base.vhd", "child.vhd")]
    equal(compact("base.vhd", below=["child.vhd", "grandchild.vhd"])
          ["dropped-blocks"], 8)
    write = os.stat("base.vhd").st_mtime_ns
    equal(write, times[0], "time of change")
    compact("child.vhd", below=["grandchild.vhd"], qemu=False)
    equal(os.stat("child.vhd").st_mtime_ns, times[1], "time of change")
    equal(vhdkit("read", "--length", "0", "grandchild.vhd").err, "")


# --------------------------------------------------------------------- layouts

@case("packed blocks, in any order: their places fit to the sector")
def _():
    rng = random.Random(3)
    order = list(range(40))
    rng.shuffle(order)
    blocks = {blk: (b"\xff" * 512, rng.randbytes(512) * 16 if blk % 3
                    else bytes(8 * KiB)) for blk in order}
    write_dynamic("a.vhd", 40 * 8 * KiB, blocks, block_size=8 * KiB)
    got = compact("a.vhd")
    equal(got["dropped-blocks"], 14)
    equal(got["file-size"],
          -(-(2048 + 26 * (8 * KiB + 512) + 512) // 4096) * 4096)


@case("space that belonged to nothing comes back")
def _():
    path = holed("a.vhd", zeros=0)
    image = Image(path)
    lost = [blk for blk, slot in enumerate(image.bat) if slot != UNUSED][::3]
    for blk in lost:
        image.set_bat(blk, UNUSED)
    image.save()
    equal({f["severity"] for f in findings(path, (3,))}, {"leaked"})
    before = os.path.getsize(path)
    got = compact(path)
    check(before - got["file-size"] >= (len(lost) - 1) * BLOCK, got)


@case("a disk whose last block is short, and lies in front")
def _():
    size = 9 * 8 * KiB + 1536
    short = (FULL, b"e" * 1536)
    rest = {blk: (FULL, bytes([blk]) * 8 * KiB) for blk in (8, 3, 5)}
    write_dynamic("a.vhd", size, {1: (FULL, bytes(8 * KiB)), 9: short, **rest},
                  block_size=8 * KiB)
    equal(compact("a.vhd", qemu=False)["dropped-blocks"], 1)
    equal(content("a.vhd")[-1536:], b"e" * 1536)
    write_dynamic("a.vhd", size, {9: short, 1: (FULL, bytes(8 * KiB)), **rest},
                  block_size=8 * KiB)
    equal(compact("a.vhd", qemu=False)["dropped-blocks"], 1)
    write_dynamic("a.vhd", size, {1: (FULL, bytes(8 * KiB)), **rest, 9: short},
                  block_size=8 * KiB)
    equal(compact("a.vhd", qemu=False)["dropped-blocks"], 1)
    # What is written behind it later reads as zeros around.
    write_at("a.vhd", 0, b"0" * 512)
    same_bytes(content("a.vhd")[:8 * KiB], b"0" * 512 + bytes(7680))


@case("blocks past the end of the disk stay where they are")
def _():
    blocks = {blk: (FULL, bytes([65 + blk]) * 8 * KiB) for blk in (0, 2, 5, 4)}
    write_dynamic("a.vhd", 6 * 8 * KiB, blocks, block_size=8 * KiB)
    image = Image("a.vhd")
    image.footer.current_size = 3 * 8 * KiB
    image.save()
    places = image.bat[4:6]
    overwrite("a.vhd", {0: bytes(8 * KiB)})
    equal(compact("a.vhd")["dropped-blocks"], 1)
    equal(Image("a.vhd").bat[4:6], places)
    image = Image("a.vhd")
    image.footer.current_size = 6 * 8 * KiB
    image.save()
    equal(content("a.vhd")[4 * 8 * KiB:], b"E" * 8 * KiB + b"F" * 8 * KiB)


# ------------------------------------------------------- other programs' images

@case("images of other programs keep all they hold, and their metadata")
def _():
    for name in ALONE:
        path = unpack(name)
        image = Image(path)
        block = image.header.block_size
        blocks = [blk for blk, slot in enumerate(image.bat) if slot != UNUSED]
        if name == "qemu72-force":
            keeps(path, "compact", "--json", path)
            continue
        # What is written goes to the end; then the middle gets free.
        for blk in range(0, min(len(image.bat), 6)):
            write_at(path, blk * block, os.urandom(512) * (block // 512))
        for blk in range(0, min(len(image.bat), 6), 2):
            if read_json("map", "--json", "--offset", str(blk * block),
                         "--length", str(block), path)[0]["data"]:
                overwrite(path, {blk * block: bytes(block)})
        got = compact(path)
        check(got["dropped-blocks"] >= len(range(0, min(len(image.bat), 6), 2)),
              f"{name}: {got}, {blocks}")
        equal(Image(path).header.data, image.header.data, name)
        sound(path)


@case("a chain of Xen's: batmap and locators stay true")
def _():
    for name in CHAIN:
        unpack(name)
    # Children of Xen's name their parents by names that these files have not.
    for name in CHAIN[:1]:
        path = f"{name}.vhd"
        full = read_json("info", "--json", path)
        equal(full["batmap"], True)
        compact(path)
        equal(read_json("info", "--json", path)["batmap"], True)


# -------------------------------------------------------------------- refusals

@case("what cannot be compacted is refused, and says why")
def _():
    vhdkit("create", "--size", "1M", "--type", "fixed", "f.vhd")
    refused("compact", "f.vhd", says=["f.vhd", "fixed"])
    refused("compact", "none.vhd", says="none.vhd")
    vhdkit("create", "--size", "1M", "a.vhd")
    image = Image("a.vhd")
    image.footer.saved_state = 1
    image.save()
    before = image.bytes
    refused("compact", "a.vhd", says=["a.vhd", "state"])
    equal(Image("a.vhd").bytes, before)


run()
