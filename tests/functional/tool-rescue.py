#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit rescue: of damaged images, each made from a sound one whose content is
known, every sector that is given back as good is what it was, and the map marks
all others."""

import os
import random
import struct

from tooltest import (REFUSED, KiB, MiB, VHDKIT, Skip, case, check, contains,
                      content, equal, need, program, read_json, refused, run,
                      same_bytes, vhdkit)
from vhdimage import Image, write_dynamic, write_fixed

FULL = b"\xff" * 512
BLOCK = 8 * KiB
NBLK = 300
SIZE = NBLK * BLOCK
STRIDE = 17  # sectors of a block, with its bitmap
TABLE = 1536
FIRST = TABLE + 3 * 512  # where the first block lies


def noise(seed, length):
    return random.Random(seed).randbytes(length)


def make(blocks=range(NBLK), size=SIZE, **more):
    """a.vhd, and what its disk holds."""
    write_dynamic("a.vhd", size, {blk: (FULL, noise(blk, BLOCK))
                                  for blk in blocks}, BLOCK, **more)
    disk = bytearray(-(-size // BLOCK) * BLOCK)
    for blk in blocks:
        disk[blk * BLOCK:(blk + 1) * BLOCK] = noise(blk, BLOCK)
    return bytes(disk[:size])


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def put(off, data):
    with open("a.vhd", "r+b") as file:
        file.seek(off, os.SEEK_END if off < 0 else os.SEEK_SET)
        file.write(data)


def entry(blk, value):
    put(TABLE + 4 * blk, struct.pack(">I", value))


def slot(blk):
    return FIRST // 512 + STRIDE * blk


def place(blk):
    """Where a block's data lie, if all blocks lie in order."""
    return slot(blk) * 512 + 512


def read_map(path, size):
    """A mark for each sector; the stretches must be the whole disk."""
    lines = [line for line in read_file(path).decode().splitlines()
             if not line.startswith("#")]
    equal(lines[0].split(), ["0x00000000", "+", "1"], "status line")
    at, marks, last = 0, [], None
    for line in lines[1:]:
        off, length, mark = line.split()
        equal(int(off, 16), at, "where a stretch begins")
        check(mark in "+/-" and mark != last, f"a stretch of its own: {line}")
        check(int(length, 16) > 0 and int(length, 16) % 512 == 0, line)
        at, last = at + int(length, 16), mark
        marks += [mark] * (int(length, 16) // 512)
    equal(at, size, "where the map ends")
    return "".join(marks)


def rescue(wanted, *args, code=2, content_is_whole=False):
    """Rescues a.vhd; every good sector must be as wanted, and lost ones zeros.
    The marks of all sectors."""
    before = read_file("a.vhd")
    got = read_json("rescue", "--json", "--overwrite", "--format", "raw",
                    "--map", "map", *args, "a.vhd", "out", code=code)
    equal(read_file("a.vhd"), before, "the source is as it was")
    out = read_file("out")
    equal(got["virtual-size"], len(out), "size")
    marks = read_map("map", len(out))
    for mark, key in (("+", "good"), ("/", "doubtful"), ("-", "lost")):
        equal(got[key], marks.count(mark) * 512, key)
    if code == 2:
        check(got["faults"], "faults are told of")
    padded = wanted.ljust(len(out), b"\0")
    for i, mark in enumerate(marks):
        sector = out[i * 512:(i + 1) * 512]
        if mark == "+":
            same_bytes(sector, padded[i * 512:(i + 1) * 512],
                       f"good sector {i}")
        elif mark == "-":
            equal(sector, bytes(512), f"lost sector {i}")
    if content_is_whole:
        same_bytes(out[:len(wanted)], wanted, "what came out")
    # The same as an image.
    vhdkit("rescue", "--overwrite", *args, "a.vhd", "out.vhd", code=code)
    vhdkit("check", "out.vhd")
    same_bytes(content("out.vhd"), out, "as a VHD")
    vhdkit("info", "--force", "a.vhd")
    return marks


def block_marks(marks, blk):
    return "".join(sorted(set(marks[blk * 16:(blk + 1) * 16])))


def info():
    return read_json("info", "--force", "--json", "a.vhd")


# ------------------------------------------------------------------ what is sound

@case("a sound image, dynamic, fixed or differencing, is rescued whole")
def _():
    for blocks in (range(NBLK), [5, 3, 200], []):
        marks = rescue(make(blocks), code=0, content_is_whole=True)
        equal(set(marks), {"+"})
    rescue(make(range(0, NBLK, 2), size=SIZE - 3 * 512), code=0,
           content_is_whole=True)
    data = noise(1, MiB + 512)
    write_fixed("a.vhd", data)
    rescue(data, code=0, content_is_whole=True)
    vhdkit("create", "--size", "5M", "--block-size", "64K", "base.vhd")
    vhdkit("write", "base.vhd", data=noise(2, MiB))
    vhdkit("create", "--parent", "base.vhd", "--overwrite", "a.vhd")
    vhdkit("write", "--offset", "100K", "a.vhd", data=noise(3, 70 * KiB))
    rescue(content("a.vhd"), code=0, content_is_whole=True)
    equal(info()["faults"], [])


# ------------------------------------------------------------ footers and headers

@case("a copy of the footer that is zeroed, or an end that is: nothing is lost")
def _():
    for off in (0, -512):
        wanted = make(range(0, NBLK, 3))
        put(off, bytes(512))
        marks = rescue(wanted, content_is_whole=True, code=0)
        equal(set(marks), {"+"})
        equal([info()[k] for k in ("start-footer", "end-footer")],
              ["missing", "good"] if off == 0 else ["good", "missing"])


@case("both footers lost: blocks are where the header says")
def _():
    wanted = make()
    put(0, bytes(512))
    put(-512, bytes(512))
    marks = rescue(wanted, content_is_whole=True, code=0)
    equal(set(marks), {"+"})
    equal((info()["size-guessed"], info()["header"]), (True, "good"))
    # Two of which each has one wrong byte are no better than none.
    wanted = make([1, 2, 299])
    put(30, b"?")
    put(-482, b"?")
    rescue(wanted, content_is_whole=True, code=0)
    equal(info()["end-footer"], "bad")


@case("the header zeroed, or its checksum wrong: all is there, and doubtful")
def _():
    for damage in (bytes(1024), None):
        wanted = make(range(NBLK - 1))
        if damage:
            put(512, damage)
        else:
            put(512 + 36, b"\1\2\3\4")
        marks = rescue(wanted, content_is_whole=True)
        check("+" not in marks, "nothing is proven")
        equal(info()["header"], "guessed" if damage else "bad")
        equal(info()["blocks"]["size"], BLOCK)
        # And nothing of it is written where only what is proven is wanted.
        rescue(wanted, "--proven")
        equal(read_file("out"), bytes(SIZE))


@case("both footers and the header lost: the table is found")
def _():
    wanted = make()
    put(0, bytes(1536))
    put(-512, bytes(512))
    marks = rescue(wanted, content_is_whole=True)
    check("+" not in marks, "nothing is proven")
    equal(info()["sure"], False)


@case("two footers of different disks: all is doubtful")
def _():
    wanted = make()
    other = Image("a.vhd")
    other.footer.current_size = SIZE - BLOCK
    put(0, bytes(other.footer.data))
    marks = rescue(wanted, content_is_whole=True)
    equal(set(marks), {"/"})


# --------------------------------------------------------------------- cut files

@case("a file that was cut, at many places: what is before the cut is there")
def _():
    make()
    whole = os.path.getsize("a.vhd")
    for cut in (whole - 100, whole - 512, whole - 513, place(299) + 1000,
                place(299), slot(299) * 512, slot(150) * 512 + 100,
                place(150) + 512 * 7, place(0) + 3, FIRST, FIRST - 512,
                TABLE + 512, TABLE + 4, TABLE):
        wanted = make()
        os.truncate("a.vhd", cut)
        marks = rescue(wanted, code=0 if cut >= whole - 512 else 2)
        there = [max(0, min(16, (cut - place(blk)) // 512))
                 for blk in range(NBLK)]
        equal(marks, "".join("+" * n + "-" * (16 - n) for n in there),
              f"cut at {cut}")


@case("a last block that was cut short by a footer is doubtful")
def _():
    wanted = make()
    data = read_file("a.vhd")
    put(0, data[:place(299) + 3000 // 512 * 512] + data[-512:])
    os.truncate("a.vhd", place(299) + 3000 // 512 * 512 + 512)
    marks = rescue(wanted)
    equal(marks, "+" * 16 * 299 + "/" * 5 + "-" * 11)
    same_bytes(read_file("out")[:-11 * 512], wanted[:-11 * 512])


@case("something was put behind the end")
def _():
    wanted = make()
    put(0, bytes(512))
    with open("a.vhd", "ab") as file:
        file.write(bytes(5000))
    rescue(wanted, content_is_whole=True, code=0)


# ------------------------------------------------------------------------- table

@case("entries that are zeroed: their blocks are found by their places")
def _():
    wanted = make()
    for blk in (0, 7, 8, 150, 299):
        entry(blk, 0)
    marks = rescue(wanted, content_is_whole=True)
    for blk in range(NBLK):
        equal(block_marks(marks, blk),
              "/" if blk in (0, 7, 8, 150, 299) else "+", f"block {blk}")
    equal(info()["blocks"]["found"], 5)


@case("an entry that says unused where a block is left: no hole is certain")
def _():
    wanted = make([b for b in range(NBLK) if b != 100])
    entry(50, 0xffffffff)
    marks = rescue(wanted)
    equal([b for b in range(NBLK) if block_marks(marks, b) != "+"], [50, 100])
    # Also where what is left is known by nothing.
    wanted = make([b for b in range(NBLK) if b != 100], size=SIZE)
    put(slot(50) * 512, b"?" * 100)
    entry(50, 0xffffffff)
    marks = rescue(wanted)
    equal(block_marks(marks, 100), "/")


@case("a sector of the table that is zeroed")
def _():
    wanted = make()
    put(TABLE + 512, bytes(512))
    marks = rescue(wanted, content_is_whole=True)
    equal(marks, "+" * 128 * 16 + "/" * 128 * 16 + "+" * 44 * 16)
    # With holes among them nobody can say which is which.
    wanted = make(range(0, NBLK, 2))
    put(TABLE + 512, bytes(512))
    marks = rescue(wanted)
    equal(set(marks[128 * 16:256 * 16]), {"-"})
    equal(info()["blocks"]["stray"], 64)


@case("a table that was shifted, so that its last entry lies behind it: nothing "
      "of it is proven")
def _():
    for by in (1, 3):
        wanted = make()
        table = read_file("a.vhd")[TABLE:TABLE + 4 * NBLK]
        put(TABLE, b"\xff" * 4 * by + table)
        marks = rescue(wanted)
        check("+" not in marks, "good sectors")
        contains(str(info()["faults"]), "shifted")
    # But not what creators leave there.
    for padding in (bytes(4), b"\xff" * 4):
        wanted = make()
        put(TABLE + 4 * NBLK, padding * 4)
        rescue(wanted, code=0, content_is_whole=True)


@case("blocks that lie in no order are not put where they do not belong")
def _():
    order = list(range(NBLK))
    random.Random(7).shuffle(order)
    wanted = make(order)
    for blk in range(0, NBLK, 10):
        entry(blk, 0)
    rescue(wanted)


@case("two entries that lead to the same place, or overlap: both are doubtful")
def _():
    for value in (slot(10), slot(10) + 5):
        wanted = make()
        entry(200, value)
        marks = rescue(wanted)
        doubtful = {10, 200} if value == slot(10) else {10, 11, 200}
        equal({b for b in range(NBLK) if block_marks(marks, b) != "+"},
              doubtful)
        same_bytes(read_file("out")[:200 * BLOCK], wanted[:200 * BLOCK])


@case("entries that lead beyond the end, into the header, or into the table")
def _():
    for value in (0x7fffffff, 0xfffffffe, 0, 1, TABLE // 512, 2):
        wanted = make()
        entry(42, value)
        marks = rescue(wanted, content_is_whole=True)
        equal({b for b in range(NBLK) if block_marks(marks, b) != "+"}, {42})


# ----------------------------------------------------------------------- bitmaps

@case("a bitmap that is zeroed over data: they are there, and doubtful")
def _():
    wanted = make(range(0, NBLK, 3))
    put(slot(1) * 512, bytes(512))
    marks = rescue(wanted, content_is_whole=True)
    equal({b for b in range(NBLK) if block_marks(marks, b) != "+"}, {3})
    # Half of it.
    wanted = make()
    put(slot(9) * 512, b"\xf0\x0f" + bytes(510))
    marks = rescue(wanted)
    equal({b for b in range(NBLK) if block_marks(marks, b) != "+"}, {9})


@case("a bitmap that says what is true: sectors that were never written")
def _():
    data = noise(1, BLOCK // 2) + bytes(BLOCK // 2)
    write_dynamic("a.vhd", SIZE, {3: (b"\xff\0" + bytes(510), data),
                                  5: (bytes(512), bytes(BLOCK))}, BLOCK)
    wanted = bytes(3 * BLOCK) + data + bytes(SIZE - 4 * BLOCK)
    rescue(wanted, code=0, content_is_whole=True)


# ------------------------------------------------------------------ differencing

@case("a differencing image whose parent is gone, and one with a zeroed bitmap")
def _():
    def child():
        vhdkit("create", "--size", "4M", "--block-size", "64K", "--overwrite",
               "base.vhd")
        vhdkit("write", "base.vhd", data=noise(2, 2 * MiB))
        vhdkit("create", "--parent", "base.vhd", "--overwrite", "a.vhd")
        vhdkit("write", "--offset", "100K", "a.vhd", data=noise(3, 70 * KiB))
        return content("a.vhd")

    wanted = child()
    os.unlink("base.vhd")
    marks = rescue(wanted)
    equal(marks, "-" * 200 + "+" * 140 + "-" * (8192 - 340))
    wanted = child()
    put(0, bytes(512))
    put(-512, bytes(512))
    rescue(wanted, content_is_whole=True, code=0)
    # Who the parent is goes with the header; and all, without a table.
    wanted = child()
    table = Image("a.vhd").header.table_offset
    put(512, bytes(1024))
    marks = rescue(wanted)
    equal(set(marks), {"/", "-"})
    put(table, bytes(512))
    equal(set(rescue(wanted)), {"-"})
    wanted = child()
    image = Image("a.vhd")
    put(image.bat[1] * 512, bytes(512))
    marks = rescue(wanted)
    equal(set(marks[128:256]), {"/"})
    equal(set(marks[:128] + marks[256:]), {"+"})


# ------------------------------------------------------------------------- fixed

@case("a fixed image that lost its footer, was cut, or has a damaged one")
def _():
    data = noise(1, MiB)
    write_fixed("a.vhd", data)
    os.truncate("a.vhd", MiB)
    marks = rescue(data, content_is_whole=True)
    equal(set(marks), {"/"})
    write_fixed("a.vhd", data)
    put(-512 + 30, b"?")  # its size is that of the file all the same
    rescue(data, content_is_whole=True, code=0)
    write_fixed("a.vhd", data)
    footer = read_file("a.vhd")[-512:]
    put(MiB // 2, footer)
    os.truncate("a.vhd", MiB // 2 + 512)
    marks = rescue(data)
    equal(marks, "+" * 1024 + "-" * 1024)


# ----------------------------------------------------------------------- hostile

@case("all entries the same: the file is not made into a disk of its copies")
def _():
    wanted = make(range(0, NBLK, 2))
    put(TABLE, struct.pack(">I", slot(7)) * NBLK)
    marks = rescue(wanted)
    equal(set(marks), {"-"})
    # Where there are as many as there should be, they are found.
    wanted = make()
    put(TABLE, struct.pack(">I", slot(7)) * NBLK)
    marks = rescue(wanted, content_is_whole=True)
    equal(set(marks), {"/"})


@case("tables and sizes that are huge")
def _():
    make([1, 2])
    image = Image("a.vhd")
    image.header.entries = 0xffffffff
    image.footer.current_size = 2040 << 30
    image.header.block_size = 2 * MiB
    image.save()
    got = read_json("rescue", "--json", "--format", "raw", "a.vhd", "out",
                    code=None)
    equal(got["good"] + got["doubtful"] + got["lost"], 2040 << 30)
    for field, value in (("table_offset", 1 << 60), ("entries", 0),
                         ("block_size", 0), ("block_size", 1 << 31)):
        wanted = make()
        image = Image("a.vhd")
        setattr(image.header, field, value)
        image.save()
        marks = rescue(wanted)
        check("+" not in marks, field)
    make()
    image = Image("a.vhd")
    image.footer.current_size = 1 << 62
    image.save()
    vhdkit("info", "--force", "a.vhd")
    write_fixed("a.vhd", b"x" * MiB, current_size=1 << 62)
    refused("rescue", "--format", "raw", "a.vhd", "out2", says="out2")
    check(not os.path.exists("out2"), "nothing was left")


@case("what is no VHD, too short, or the same file is refused")
def _():
    make()
    before = read_file("a.vhd")
    refused("rescue", "--overwrite", "a.vhd", "a.vhd", says="a.vhd")
    equal(read_file("a.vhd"), before)
    refused("rescue", "a.vhd", "a.vhd", says="a.vhd")
    with open("b.vhd", "wb") as file:
        file.write(b"vhdxfile" + bytes(100000))
    refused("rescue", "b.vhd", "out", says="VHDX")
    refused("info", "--force", "b.vhd", says="VHDX")
    with open("b.vhd", "wb") as file:
        file.write(b"x" * 100)
    refused("rescue", "b.vhd", "out", says="100 bytes")
    refused("rescue", "--map", "no/map", "a.vhd", "out", says="map")
    equal(sorted(os.listdir()), ["a.vhd", "b.vhd"])
    # Nor without a lock, nor by the map.
    refused("rescue", "--overwrite", "--unlocked", "a.vhd", "a.vhd",
            code=REFUSED, says="part of what is being read")
    os.link("a.vhd", "c.vhd")
    refused("rescue", "--overwrite", "--unlocked", "a.vhd", "c.vhd",
            code=REFUSED, says="c.vhd")
    refused("convert", "--overwrite", "--unlocked", "a.vhd", "c.vhd",
            code=REFUSED, says="c.vhd")
    os.remove("c.vhd")
    refused("rescue", "--overwrite", "--unlocked", "--map", "a.vhd", "a.vhd",
            "out", code=REFUSED, says="no mapfile")
    equal(read_file("a.vhd"), before)
    with open("map", "wb"):
        pass
    vhdkit("rescue", "--overwrite", "--map", "map", "a.vhd", "out")
    vhdkit("rescue", "--overwrite", "--map", "map", "a.vhd", "out")
    os.remove("out")
    done = vhdkit("rescue", "--progress=json", "a.vhd", "out")
    contains(done.err, "{")


@case("reads that fail end nothing: what could not be read is lost")
def _():
    need("strace")
    log = "../trace.log"
    wanted = make()
    for first in range(1, 40):
        # From that read on, every third fails.
        done = program(
            "strace", "-f", "-o", log, "-P", os.path.abspath("a.vhd"),
            "-e", "trace=pread64", "-e",
            f"inject=pread64:error=EIO:when={first}+3", VHDKIT, "rescue",
            "--overwrite", "--format", "raw", "--map", "map", "a.vhd", "out",
            code=None, env={"ASAN_OPTIONS": "detect_leaks=0"})
        if "ptrace" in done.err or "PTRACE" in done.err:
            raise Skip(f"strace cannot trace here: {done.err.strip()}")
        with open(log, encoding="utf-8", errors="replace") as file:
            struck = "INJECTED" in file.read()
        check(struck, "a read failed")
        check(done.returncode in (0, 2), done.err)
        out = read_file("out")
        for i, mark in enumerate(read_map("map", len(out))):
            if mark == "+":
                same_bytes(out[i * 512:(i + 1) * 512],
                           wanted[i * 512:(i + 1) * 512], f"sector {i}")
            elif mark == "-":
                equal(out[i * 512:(i + 1) * 512], bytes(512), f"sector {i}")


@case("noise over metadata never gives a good sector that is not")
def _():
    rng = random.Random(int(os.environ.get("SEED", "11")))
    for _ in range(int(os.environ.get("ROUNDS", "60"))):
        blocks = rng.sample(range(NBLK), rng.randrange(1, NBLK))
        if rng.random() < 0.7:
            blocks.sort()
        wanted = make(blocks)
        what = rng.choice(("head", "table", "end", "zeros"))
        if what == "zeros":
            off = rng.randrange(0, FIRST)
            put(off, bytes(rng.randrange(1, FIRST - off + 1)))
        elif what == "end":
            put(-rng.randrange(1, 512), rng.randbytes(1))
        elif what == "head":
            put(rng.randrange(0, TABLE), rng.randbytes(1))
        else:
            blk = rng.randrange(NBLK)
            entry(blk, rng.choice((0, 0xffffffff, rng.randrange(1 << 32),
                                   rng.randrange(3),
                                   rng.randrange(slot(NBLK)))))
        rescue(wanted, code=None)


run()
