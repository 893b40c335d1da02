#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""VHDX images are read: those that qemu makes, by the same bytes as qemu sees;
those that nobody here makes, by what they were made of."""

import os
import random
import shutil
import uuid

from tooltest import (KiB, GiB, Skip, case, check, contains, content, equal,
                      is_sanitized, need, program, read_json, refused, run, same_bytes, vhdkit)
from vhdximage import (BAT, FULL, HEADERS, LOG, MiB, NOT_PRESENT, PAGE,
                       UNDEFINED, UNMAPPED, ZERO, Vhdx, get, log_entry, put,
                       set_log)


def qemu_makes(path, size, *commands, **options):
    need("qemu-io")
    words = ",".join(f"{key}={value}" for key, value in options.items())
    program("qemu-img", "create", "-q", "-f", "vhdx", "-o", words, path,
            str(size))
    program("qemu-io", "-f", "vhdx", path,
            *(word for command in commands for word in ("-c", command)))


def same_as_qemu(path):
    vhdkit("convert", "--format", "raw", path, "ours")
    program("qemu-img", "compare", "-f", "vhdx", "-F", "raw", path, "ours")
    os.remove("ours")


# ------------------------------------------------------------------------- qemu

@case("every subformat and block size that qemu makes has the bytes that qemu "
      "sees in it")
def _():
    for subformat in ("fixed", "dynamic"):
        for block in (1, 8, 32, 256):
            qemu_makes("a.vhdx", 300 * MiB,
                       "write -P 1 0 512", "write -P 2 1048064 1M",
                       "write -P 3 255M 3M", f"write -P 4 {300 * MiB - 512} 512",
                       "write -z 256M 64k", "discard 0 1M",
                       subformat=subformat, block_size=block * MiB)
            same_as_qemu("a.vhdx")
            info = read_json("info", "--json", "a.vhdx")
            equal(info["format"], "vhdx")
            equal(info["type"], subformat)
            equal(info["virtual-size"], 300 * MiB)
            equal(info["blocks"]["size"], block * MiB)
            vhdkit("check", "a.vhdx")
            os.remove("a.vhdx")


@case("a disk of more than one chunk holds what qemu wrote, and nothing else")
def _():
    chance = random.Random(11)
    places = [(200 * MiB * i + MiB + chance.randrange(100 * MiB) // 512 * 512,
               chance.randrange(1, 3000) * 512) for i in range(46)]
    qemu_makes("a.vhdx", 9 * GiB + MiB // 2,
               *(f"write -P {1 + i} {at} {size}"
                 for i, (at, size) in enumerate(places)),
               subformat="dynamic", block_size=MiB)
    vhdkit("convert", "--format", "raw", "a.vhdx", "a.raw")
    equal(os.path.getsize("a.raw"), 9 * GiB + MiB // 2)
    with open("a.raw", "r+b") as file:
        for i, (at, size) in enumerate(places):
            file.seek(at - 512)
            same_bytes(file.read(size + 1024),
                       bytes(512) + bytes([1 + i]) * size + bytes(512))
            file.seek(at)
            file.write(bytes(size))
    with open("zeros", "wb") as file:
        file.truncate(9 * GiB + MiB // 2)
    vhdkit("compare", "--first-format", "raw", "--second-format", "raw",
           "a.raw", "zeros")


@case("real images from qemu's source are what qemu says")
def _():
    folder = os.environ.get("VHDKIT_IMAGES", "")
    names = [n for n in (os.listdir(folder) if folder else [])
             if n.endswith(".vhdx")]
    if not names:
        raise Skip("VHDKIT_IMAGES names no folder with images *.vhdx")
    need("qemu-img")
    for name in names:
        shutil.copy(os.path.join(folder, name), "a.vhdx")
        vhdkit("convert", "--format", "raw", "--overwrite", "a.vhdx", "ours")
        program("qemu-img", "check", "-q", "-r", "all", "a.vhdx", code=None)
        program("qemu-img", "compare", "-f", "vhdx", "-F", "raw", "a.vhdx",
                "ours")


# --------------------------------------------------------------------- content

def piece(letter, size=MiB):
    return (letter.encode() * 5 + b"%d" % size).ljust(size, letter.encode())


@case("map, read, compare and measure see the blocks where they lie")
def _():
    image = Vhdx(5 * MiB + 512)
    image.full(1, piece("b"))
    image.full(5, piece("z", 512))
    image.state(2, ZERO)
    image.state(3, UNMAPPED)
    image.write("a.vhdx")
    disk = content("a.vhdx")
    same_bytes(disk, bytes(MiB) + piece("b") + bytes(3 * MiB) +
               piece("z", 512))
    same_bytes(content("a.vhdx", "--offset", "1M", "--length", "4K"),
               piece("b")[:4 * KiB])
    runs = read_json("map", "--json", "a.vhdx")
    data = [r for r in runs if r["data"]]
    equal([(r["start"], r["length"], r["offset"]) for r in data],
          [(MiB, MiB, image.place[1] * MiB), (5 * MiB, 512,
                                              image.place[5] * MiB)])
    with open("a.raw", "wb") as file:
        file.write(disk)
    vhdkit("compare", "--second-format", "raw", "a.vhdx", "a.raw")
    put("a.vhdx", image.place[1] * MiB + 77, b"!")
    done = vhdkit("compare", "--second-format", "raw", "a.vhdx", "a.raw",
                  code=1)
    contains(done.out, str(MiB + 77))
    equal(read_json("measure", "--json", "--format", "raw",
                    "a.vhdx")["fully-allocated"], len(disk))


@case("sectors of 4096 bytes, and the largest blocks")
def _():
    for block, sector in ((MiB, 4096), (256 * MiB, 512), (256 * MiB, 4096)):
        image = Vhdx(2 * block + 8 * KiB, block=block, sector=sector)
        image.full(1, piece("b", 8 * KiB))
        image.full(2, piece("c", 8 * KiB))
        image.write("a.vhdx")
        same_bytes(content("a.vhdx", "--offset", str(block)),
                   piece("b", 8 * KiB) + bytes(block - 8 * KiB) +
                   piece("c", 8 * KiB))
        equal(read_json("info", "--json", "a.vhdx")["sector-size"], sector)
        vhdkit("check", "a.vhdx")


@case("a disk of 64 TiB with blocks of 1 MiB opens, and is bounded in memory")
def _():
    size = 64 << 40
    image = Vhdx(size)
    image.regions[0] = (image.regions[0][0], 8 * MiB, image.bat_size(), 1)
    image.end = 8 * MiB + image.bat_size()
    last = image.nblk - 1
    image.write("a.vhdx")
    place = image.end
    with open("a.vhdx", "r+b") as file:
        file.truncate(place + MiB)
    put("a.vhdx", image.entry_at(last) - BAT + 8 * MiB,
        (place | FULL).to_bytes(8, "little"))
    put("a.vhdx", place, piece("z"))
    limit = "unlimited" if is_sanitized() else "1500000"
    done = program("/bin/sh", "-c", f'ulimit -v {limit}; exec "{vhdkit_path()}" '
                   f'read --offset {size - MiB} a.vhdx')
    same_bytes(done.stdout, piece("z"))


def vhdkit_path():
    return os.environ["VHDKIT"]


# ---------------------------------------------------------------------- headers

@case("either header, and either region table, can be torn")
def _():
    image = Vhdx(2 * MiB)
    image.full(0, piece("a"))
    image.write("good.vhdx")
    for at in (*HEADERS, 192 * KiB, 256 * KiB):
        shutil.copy("good.vhdx", "a.vhdx")
        put("a.vhdx", at + 100, b"torn")
        same_bytes(content("a.vhdx", "--length", "1M"), piece("a"))
        contains(vhdkit("check", "a.vhdx").out, "checksum")


@case("of two valid headers the one with the higher number counts")
def _():
    for sequence in ((7, 8), (8, 7), (0, 1 << 63)):
        image = Vhdx(MiB)
        image.write("a.vhdx")
        old, new = (image.data_id, uuid.uuid4())
        image.data_id = new
        winner = 0 if sequence[0] > sequence[1] else 1
        put("a.vhdx", HEADERS[winner], image.header(sequence[winner]))
        image.data_id = old
        put("a.vhdx", HEADERS[1 - winner],
            image.header(sequence[1 - winner]))
        equal(read_json("info", "--json", "a.vhdx")["id"], str(new))


@case("headers with one number that differ are refused")
def _():
    image = Vhdx(MiB)
    image.sequence = (5, 5)
    image.write("a.vhdx")
    put("a.vhdx", HEADERS[1], get("a.vhdx", HEADERS[0], PAGE))
    vhdkit("info", "a.vhdx")
    image.data_id = uuid.uuid4()
    put("a.vhdx", HEADERS[1], image.header(5))
    refused("info", "a.vhdx", says="same sequence number")


# -------------------------------------------------------------------- the log

def logged(changes, **more):
    """An image with two blocks, and a log that was not brought in yet."""
    image = Vhdx(4 * MiB)
    image.full(0, piece("a"))
    image.full(1, piece("b"))
    at = image.take(MiB)
    image.pieces.append((at, piece("n")))
    image.log_id = uuid.uuid4()
    image.write("a.vhdx")
    entries = [log_entry(image.log_id, 10 + i, more.get("tail", 0), change,
                         more.get("flushed", image.end), more.get("last"))
               for i, change in enumerate(changes(image, at))]
    set_log("a.vhdx", image, entries, more.get("at", 0))
    return image


def table(image, at=None):
    """The first page of the table, with block 2 at `at`."""
    page = bytearray(get("a.vhdx", BAT, PAGE))
    if at is not None:
        page[16:24] = (at | FULL).to_bytes(8, "little")
    return bytes(page)


def agrees_with_qemu():
    """qemu replays the log of a copy, in place."""
    need("qemu-img")
    before = open("a.vhdx", "rb").read()
    ours = content("a.vhdx")
    shutil.copy("a.vhdx", "copy.vhdx")
    program("qemu-img", "check", "-r", "all", "copy.vhdx")
    program("qemu-img", "convert", "-f", "vhdx", "-O", "raw", "copy.vhdx",
            "by-qemu")
    same_bytes(ours, open("by-qemu", "rb").read())
    same_bytes(open("a.vhdx", "rb").read(), before, "the file")


@case("what is only in the log counts, of the table and of a block, and the "
      "file stays as it is")
def _():
    logged(lambda image, at: [[(BAT, table(image, at))],
                              [(image.place[0] * MiB + 8192, b"L" * PAGE)]])
    disk = piece("a")[:8192] + b"L" * PAGE + piece("a")[8192 + PAGE:]
    same_bytes(content("a.vhdx"), disk + piece("b") + piece("n") + bytes(MiB))
    agrees_with_qemu()
    done = vhdkit("check", "a.vhdx")
    contains(done.out, "log")
    vhdkit("convert", "a.vhdx", "a.vhd")
    vhdkit("compare", "a.vhd", "a.vhdx")


@case("zeros in the log count, also over what it said before, and before what "
      "it says later")
def _():
    logged(lambda image, at: [
        [(image.place[0] * MiB, b"L" * PAGE),
         (image.place[0] * MiB + PAGE, b"M" * PAGE)],
        [(image.place[0] * MiB, 64 * KiB)],
        [(image.place[0] * MiB + 2 * PAGE, b"N" * PAGE)]])
    same_bytes(content("a.vhdx", "--length", "1M"),
               bytes(2 * PAGE) + b"N" * PAGE + bytes(64 * KiB - 3 * PAGE) +
               piece("a")[64 * KiB:])
    agrees_with_qemu()


@case("what lies otherwise in the file than the log says has no offset there")
def _():
    image = logged(lambda image, at: [
        [(image.place[0] * MiB + 8192, b"L" * PAGE)]])
    runs = read_json("map", "--json", "a.vhdx")
    data = [r for r in runs if r["data"]]
    equal(sum(r["length"] for r in data), 2 * MiB)
    check(not any("offset" in r for r in data), data)
    check(str(image.place[0] * MiB) not in vhdkit("map", "a.vhdx").out,
          "the table shows an offset")


@case("a sequence that goes round the ring is replayed from its tail on")
def _():
    start = MiB - 2 * PAGE
    logged(lambda image, at: [[(BAT, table(image, at))],
                              [(image.place[1] * MiB, b"L" * PAGE)]],
           at=start, tail=start)
    same_bytes(content("a.vhdx", "--offset", "1M", "--length", "8K"),
               b"L" * PAGE + piece("b")[PAGE:2 * PAGE])
    same_bytes(content("a.vhdx", "--offset", "2M", "--length", "1M"),
               piece("n"))


@case("so is an entry that goes round it")
def _():
    start = MiB - PAGE
    logged(lambda image, at: [[(BAT, table(image, at)),
                               (image.place[1] * MiB, b"L" * PAGE)]],
           at=start, tail=start)
    same_bytes(content("a.vhdx", "--offset", "1M", "--length", "8K"),
               b"L" * PAGE + piece("b")[PAGE:2 * PAGE])
    agrees_with_qemu()


@case("entries before the tail were brought in: they do not count again")
def _():
    logged(lambda image, at: [[(image.place[0] * MiB, b"L" * PAGE)],
                              [(image.place[1] * MiB, b"M" * PAGE)]],
           tail=2 * PAGE)
    same_bytes(content("a.vhdx", "--length", "4K"), piece("a")[:PAGE])
    same_bytes(content("a.vhdx", "--offset", "1M", "--length", "4K"),
               b"M" * PAGE)


@case("a torn last entry ends the sequence; older ones of another log do not "
      "count")
def _():
    image = logged(lambda image, at: [
        [(image.place[0] * MiB, b"L" * PAGE)],
        [(image.place[0] * MiB, b"M" * PAGE)]])
    put("a.vhdx", LOG + 3 * PAGE + 500, b"torn")
    same_bytes(content("a.vhdx", "--length", "4K"), b"L" * PAGE)
    agrees_with_qemu()
    other = log_entry(uuid.uuid4(), 99, 4 * PAGE,
                      [(image.place[0] * MiB, b"O" * PAGE)], image.end)
    put("a.vhdx", LOG + 4 * PAGE, other)
    same_bytes(content("a.vhdx", "--length", "4K"), b"L" * PAGE)
    stale = log_entry(image.log_id, 3, 4 * PAGE,
                      [(image.place[0] * MiB, b"O" * PAGE)], image.end)
    put("a.vhdx", LOG + 4 * PAGE, stale)
    same_bytes(content("a.vhdx", "--length", "4K"), b"L" * PAGE)


@case("a log that is not empty and not valid is refused, with the reason")
def _():
    def one(image, _at):
        return [[(image.place[0] * MiB, b"L" * PAGE)]]
    for says, more in (
            ("longer when it was written", {"flushed": 1 << 40}),
            ("no entry in it is valid", {"tail": PAGE}),
            ("impossibly long", {"last": 1 << 63})):
        logged(one, **more)
        refused("read", "a.vhdx", says=["log is not empty", says])
    for says, changes in (
            ("the headers", [(64 * KiB, bytes(PAGE))]),
            ("the log itself", [(LOG + 512 * KiB, bytes(PAGE))]),
            ("the log itself", [(192 * KiB, 1 * MiB)]),
            ("past the end", [(1 << 40, bytes(PAGE))]),
            ("past the end", [(MiB, (1 << 64) - MiB)]),
            ("malformed", [(BAT + 512, bytes(PAGE))])):
        logged(lambda image, at, changes=changes: [changes])
        refused("read", "a.vhdx", says=["log is not empty", says])
        contains(vhdkit("check", "a.vhdx", code=2).out, says)


@case("a file that the log makes longer is longer")
def _():
    image = logged(lambda image, at: [[(BAT, table(image, image.end))]],
                   last=1 << 30)
    check(os.stat("a.vhdx").st_size == image.end, "it is not in the file")
    same_bytes(content("a.vhdx", "--offset", "2M"), bytes(2 * MiB))


# ------------------------------------------------------------------- children

def family(sector=512, block=MiB):
    """A parent and a child of it, and what the child's disk holds."""
    parent = Vhdx(6 * block, block=block, sector=sector)
    for blk in range(5):
        parent.full(blk, piece("p", block))
    parent.write("parent.vhdx")
    child = Vhdx(6 * block, block=block, sector=sector)
    child.child_of(parent.data_id, relative_path=".\\parent.vhdx",
                   absolute_win32_path="C:\\images\\parent.vhdx")
    child.full(0, piece("c", block))
    child.state(2, ZERO)
    child.state(3, UNDEFINED)
    child.state(5, NOT_PRESENT)
    present = [0, 1, 7, 8, 30, block // sector - 1]
    child.partial(1, piece("d", block), present)
    disk = bytearray(piece("c", block) + piece("p", block) + bytes(2 * block) +
                     piece("p", block) + bytes(block))
    for sec in present:
        at = sec * sector
        disk[block + at:block + at + sector] = \
            piece("d", block)[at:at + sector]
    return parent, child, bytes(disk)


@case("a child shows its own sectors, zeros that hide its parent, and its "
      "parent elsewhere")
def _():
    for sector in (512, 4096):
        _, child, disk = family(sector)
        child.write("child.vhdx")
        same_bytes(content("child.vhdx"), disk)
        info = read_json("info", "--json", "--chain", "child.vhdx")
        equal([i["type"] for i in info], ["differencing", "dynamic"])
        equal(info[0]["parent-id"], info[1]["id"])
        equal(info[0]["depth"], 1)
        vhdkit("check", "child.vhdx")
        vhdkit("convert", "--overwrite", "child.vhdx", "flat.vhd")
        same_bytes(content("flat.vhd"), disk)


@case("children of children, with bitmaps in a second chunk")
def _():
    block = 32 * MiB
    parent = Vhdx(5 * GiB, block=block)
    last = parent.nblk - 1
    parent.full(last, piece("p", MiB))
    parent.write("parent.vhdx")
    child = Vhdx(5 * GiB, block=block)
    child.child_of(parent.data_id, relative_path="parent.vhdx")
    child.partial(last, piece("c", MiB), range(8, 16))
    child.partial(3, piece("e", MiB), [2])
    child.write("child.vhdx")
    grand = Vhdx(5 * GiB, block=block)
    grand.child_of(child.data_id, relative_path="child.vhdx")
    grand.partial(last, piece("g", MiB), [9])
    grand.write("grand.vhdx")
    at = last * block
    want = bytearray(piece("p", MiB)[:16 * 512])
    want[8 * 512:16 * 512] = piece("c", MiB)[8 * 512:16 * 512]
    want[9 * 512:10 * 512] = piece("g", MiB)[9 * 512:10 * 512]
    same_bytes(content("grand.vhdx", "--offset", str(at), "--length", "8K"),
               bytes(want))
    same_bytes(content("grand.vhdx", "--offset", str(3 * block), "--length",
                       "2K"),
               bytes(1024) + piece("e", MiB)[1024:1536] + bytes(512))


@case("bitmaps that are only in the log count")
def _():
    _, child, disk = family()
    child.log_id = uuid.uuid4()
    child.write("child.vhdx")
    place = child.bitmap_place[0] * MiB
    page = bytearray(get("child.vhdx", place, PAGE))
    page[256] |= 1 << 2 # sector 2 of block 1
    entry = log_entry(child.log_id, 1, 0, [(place, bytes(page))], child.end)
    set_log("child.vhdx", child, [entry])
    want = bytearray(disk)
    want[MiB + 1024:MiB + 1536] = piece("d")[1024:1536]
    same_bytes(content("child.vhdx"), bytes(want))


@case("a parent is found beside the child, by what it says, below the roots "
      "only, and must have the id")
def _():
    parent, child, disk = family()
    os.mkdir("elsewhere")
    os.rename("parent.vhdx", "elsewhere/parent.vhdx")
    child.child_of(parent.data_id,
                   absolute_win32_path="C:" + os.getcwd().replace("/", "\\") +
                   "\\elsewhere\\parent.vhdx")
    child.write("child.vhdx")
    same_bytes(content("child.vhdx"), disk)
    os.mkdir("roots")
    refused("read", "--root", "roots", "child.vhdx", says="--root")
    child.child_of(parent.data_id,
                   volume_path="\\\\?\\Volume{26a21bda-a627-11d7-9931-"
                   "806e6f6e6963}\\images\\PARENT.VHDX")
    child.write("child.vhdx")
    refused("read", "child.vhdx", says="not found")
    os.rename("elsewhere/parent.vhdx", "parent.vhdx")
    same_bytes(content("child.vhdx"), disk)
    parent.data_id = uuid.uuid4()
    parent.write("parent.vhdx")
    refused("read", "child.vhdx", says=["another image", str(parent.data_id)])
    child.parent["parent_linkage2"] = "{" + str(parent.data_id) + "}"
    child.write("child.vhdx")
    same_bytes(content("child.vhdx"), disk)
    child.child_of(parent.data_id, relative_path="child.vhdx")
    child.write("child.vhdx")
    refused("read", "child.vhdx", says="circle")


@case("a VHD is no parent of a VHDX, nor a VHDX one of a VHD")
def _():
    parent, child, _ = family()
    child.write("child.vhdx")
    os.remove("parent.vhdx")
    vhdkit("create", "--size", "6M", "parent.vhd")
    os.rename("parent.vhd", "parent.vhdx")
    refused("read", "child.vhdx", says="no VHDX")
    parent.write("a.vhdx")
    refused("create", "--parent", "a.vhdx", "new.vhd", says="VHDX")
    check(not os.path.exists("new.vhd"), "nothing is made")
    vhdkit("create", "--size", "6M", "old.vhd")
    vhdkit("create", "--parent", "old.vhd", "new.vhd")
    parent.write("old.vhd")
    refused("read", "new.vhd", says="VHDX")
    refused("rebase", "new.vhd", "a.vhdx", says="VHDX")


@case("a VHD is not changed, nor a file of another name made, before a VHDX is "
      "refused as its parent")
def _():
    parent, _, _ = family()
    parent.write("a.vhdx")
    vhdkit("create", "--size", "6M", "old.vhd")
    vhdkit("create", "--parent", "old.vhd", "new.vhd")
    before = open("new.vhd", "rb").read()
    for how in ((), ("--copy",), ("--unchecked",)):
        refused("rebase", *how, "new.vhd", "a.vhdx", says="a VHDX image can")
        same_bytes(open("new.vhd", "rb").read(), before, "the child")
    refused("snapshot", "--base", "base.vhdx", "a.vhdx",
            says="snapshot: a.vhdx: a VHDX image can")


@case("list shows a chain as a tree")
def _():
    parent, child, _ = family()
    child.write("child.vhdx")
    items = read_json("list", "--json", ".")
    equal([(i["format"], i["type"], i["depth"], i["id"]) for i in items],
          [("vhdx", "dynamic", 0, str(parent.data_id)),
           ("vhdx", "differencing", 1, str(child.data_id))])


# ----------------------------------------------------------------- only read

@case("whatever would write says that VHDX images are only read, and writes "
      "nothing")
def _():
    image = Vhdx(4 * MiB)
    image.full(0, piece("a"))
    image.write("a.vhdx")
    before = open("a.vhdx", "rb").read()
    with open("in", "wb") as file:
        file.write(b"x" * 512)
    vhdkit("create", "--size", "4M", "b.vhd")
    for words in (("write", "a.vhdx", "in"), ("resize", "a.vhdx", "8M"),
                  ("compact", "a.vhdx"), ("merge", "a.vhdx"),
                  ("repair", "a.vhdx"), ("set", "--creator", "xx", "a.vhdx"),
                  ("snapshot", "a.vhdx"), ("rebase", "a.vhdx", "b.vhd")):
        refused(*words, says="VHDX", code=None)
    same_bytes(open("a.vhdx", "rb").read(), before, "the file")
    equal(sorted(os.listdir(".")), ["a.vhdx", "b.vhd", "in"])


@case("a file that begins as a VHDX and ends as a VHD is what its name says")
def _():
    image = Vhdx(4 * MiB)
    image.full(0, piece("a"))
    image.write("a.vhdx")
    vhdkit("create", "--type", "fixed", "--size", "4M", "b.vhd")
    footer = open("b.vhd", "rb").read()[-512:]
    with open("a.vhdx", "ab") as file:
        file.write(footer)
    equal(read_json("info", "--json", "a.vhdx")["format"], "vhdx")
    refused("write", "a.vhdx", "b.vhd", says="VHDX")
    refused("resize", "a.vhdx", "8M", says="VHDX")
    refused("rescue", "a.vhdx", "out", says="this is a VHDX image")
    shutil.copy("a.vhdx", "a.img")
    refused("rescue", "a.img", "out", says="begins as a VHDX")
    check(not os.path.exists("out"), "something was rescued")
    os.rename("a.vhdx", "a.vhd")
    vhdkit("rescue", "a.vhd", "out")
    equal(read_json("info", "--json", "a.vhd")["format"], "vpc")
    os.rename("a.vhd", "a.img")
    refused("info", "a.img", says=["begins as a VHDX", ".vhd"])


run()
