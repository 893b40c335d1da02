#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit create: what is in the file, byte by byte, and what is refused."""

import fcntl
import os
import resource
import signal
import struct
import uuid

from tooltest import (GiB, KiB, MiB, case, check, contains, content, equal,
                      read_json, refused, run, same_bytes, vhdkit)
from vhdimage import (DIFFERENCING, DYNAMIC, EPOCH, FIXED, UNUSED, Image)


def used(path):
    return os.stat(path).st_blocks * 512


def sound_footer(image, kind, size):
    footer = image.footer
    equal(footer.cookie, b"conectix")
    equal(footer.checksum, footer.true_checksum(), "checksum")
    equal(footer.type, kind, "type")
    equal(footer.current_size, size, "current size")
    equal(footer.original_size, size, "original size")
    equal(footer.features, 2, "features")
    equal(footer.version, 0x10000, "version")
    equal(footer.creator, b"win ", "creator")
    equal(footer.saved_state, 0, "saved state")
    equal(bytes(footer.data[85:]), bytes(427), "reserved")


@case("a dynamic image has the layout of Windows 10")
def _():
    vhdkit("create", "--size", "100M", "a.vhd")
    image = Image("a.vhd")
    sound_footer(image, DYNAMIC, 100 * MiB)
    equal(image.bytes[:512], image.footer.data, "the footer's copy")
    equal(image.footer.data_offset, 512, "data offset")
    header = image.header
    equal(header.cookie, b"cxsparse")
    equal(header.checksum, header.true_checksum(), "checksum of the header")
    equal(header.next, 2 ** 64 - 1, "next")
    equal(header.table_offset, 1536, "table offset")
    equal(header.entries, 50, "entries")
    equal(header.block_size, 2 * MiB, "block size")
    equal(header.parent_id, bytes(16), "parent id")
    equal(bytes(image.bytes[1536:2048]), b"\xff" * 512, "table and padding")
    equal(len(image.bytes) % 4096, 0, "file size modulo 4096")
    check(len(image.bytes) <= 8192, "an empty image is small")


@case("a fixed image is its data and a footer, and sparse")
def _():
    vhdkit("create", "--size", "50M", "--type", "fixed", "a.vhd")
    image = Image("a.vhd")
    equal(len(image.bytes), 50 * MiB + 512, "file size")
    sound_footer(image, FIXED, 50 * MiB)
    equal(image.footer.data_offset, 2 ** 64 - 1, "data offset")
    equal(bytes(image.bytes[:4096]), bytes(4096), "data")
    check(used("a.vhd") < 64 * KiB, f"it takes {used('a.vhd')} bytes")


@case("--full sets the space of a fixed image aside")
def _():
    vhdkit("create", "--size", "20M", "--type", "fixed", "--full", "a.vhd")
    check(used("a.vhd") >= 20 * MiB, f"it takes {used('a.vhd')} bytes")
    equal(os.path.getsize("a.vhd"), 20 * MiB + 512, "file size")
    same_bytes(content("a.vhd"), bytes(20 * MiB))


@case("--full links every block of a dynamic image, with its bitmap full")
def _():
    size = 21 * MiB + 512
    vhdkit("create", "--size", str(size), "--full", "a.vhd")
    image = Image("a.vhd")
    sound_footer(image, DYNAMIC, size)
    equal(image.header.entries, 11, "entries")
    places = image.bat
    check(UNUSED not in places, "every block is linked")
    for blk, place in enumerate(places):
        equal((place + 1) % 8, 0, f"alignment of block {blk}")
        equal(image.bitmap(blk), b"\xff" * 512, f"bitmap of block {blk}")
        check((place + 1) * 512 + 2 * MiB <= len(image.bytes) - 512,
              f"block {blk} lies in the file")
    equal(sorted({b - a for a, b in zip(places, places[1:])}), [4104],
          "stride")
    equal(len(image.bytes) % 4096, 0, "file size modulo 4096")
    check(used("a.vhd") >= 22 * MiB, f"it takes {used('a.vhd')} bytes")
    same_bytes(content("a.vhd"), bytes(size))
    vhdkit("check", "a.vhd")


@case("other block sizes: aligned, the bitmap just before the data")
def _():
    for block in (4 * KiB, 64 * KiB, 512 * KiB, 16 * MiB, 32 * MiB):
        name = f"{block}.vhd"
        size = max(2 * block, MiB)
        vhdkit("create", "--size", str(size), "--block-size", str(block),
               "--full", name)
        image = Image(name)
        equal(image.header.block_size, block, "block size")
        length = image.bitmap_bytes
        full = b"\xff" * length
        for blk, place in enumerate(image.bat[:size // block]):
            at = place * 512
            equal((at + length) % 4096, 0, f"{block}: alignment of {blk}")
            equal(bytes(image.bytes[at:at + length]), full, "bitmap")
        vhdkit("check", name)
        os.unlink(name)


@case("sizes are exact, with a fraction too, and any multiple of 512 does")
def _():
    for text, size in (("512", 512), ("64K", 64 * KiB), ("1.5M", 1536 * KiB),
                       ("10G", 10 * GiB), ("1049089", 0),
                       ("1049088", 1049088)):
        if size == 0:
            refused("create", "--size", text, "x.vhd",
                    says=["not a multiple of 512", "1049600"])
            continue
        vhdkit("create", "--size", text, f"{size}.vhd")
        info = read_json("info", "--json", f"{size}.vhd")
        equal(info["virtual-size"], size)


@case("the geometry is that of the specification")
def _():
    for size, chs in ((4 * MiB, (120, 4, 17)), (10 * MiB, (301, 4, 17)),
                      (40 * MiB, (963, 5, 17)), (200 * MiB, (825, 16, 31)),
                      (512 * MiB, (1040, 16, 63)), (GiB, (2080, 16, 63)),
                      (127 * GiB, (65278, 16, 255)),
                      (2040 * GiB, (65535, 16, 255))):
        vhdkit("create", "--size", str(size), "--overwrite", "a.vhd")
        footer = Image("a.vhd").footer
        equal((footer.cylinders, footer.heads, footer.sectors), chs,
              f"geometry of {size}")


@case("ids are random ones in Windows' order, and not used twice")
def _():
    seen = set()
    for i in range(8):
        vhdkit("create", "--size", "1M", f"{i}.vhd")
        raw = Image(f"{i}.vhd").footer.id
        seen.add(raw)
        identity = uuid.UUID(bytes_le=raw)
        equal(identity.version, 4, "version")
        equal(identity.variant, uuid.RFC_4122, "variant")
        info = read_json("info", "--json", f"{i}.vhd")
        equal(info["id"], str(identity), "id")
        equal(info["id-order"], "windows", "order")
    equal(len(seen), 8, "different ids")


@case("2040 GiB is the most for a dynamic image, and still small")
def _():
    vhdkit("create", "--size", "2040G", "a.vhd")
    check(used("a.vhd") < 5 * MiB, f"it takes {used('a.vhd')} bytes")
    refused("create", "--size", "2041G", "b.vhd", says="2040 GiB")
    vhdkit("create", "--size", "3T", "--type", "fixed", "c.vhd")
    equal(read_json("info", "--json", "c.vhd")["virtual-size"], 3 << 40)


@case("blocks so small that a full disk could not be addressed are refused")
def _():
    refused("create", "--size", "2040G", "--block-size", "512K", "a.vhd",
            says="larger blocks")
    equal(os.listdir(), [], "nothing left")


@case("impossible wishes are refused, and leave nothing behind")
def _():
    refused("create", "a.vhd", says="--size is needed")
    refused("create", "--size", "0", "a.vhd", says="--size 0")
    refused("create", "--size", "-1", "a.vhd", says="not a size")
    refused("create", "--size", "1Q", "a.vhd", says="not a size")
    refused("create", "--size", "99999999999999999999", "a.vhd",
            says="too large")
    refused("create", "--size", "1M", "--block-size", "3M", "a.vhd",
            says="power of two")
    refused("create", "--size", "1M", "--block-size", "2K", "a.vhd",
            says="power of two")
    refused("create", "--size", "1M", "--block-size", "8G", "a.vhd",
            says="power of two")
    refused("create", "--size", "1M", "--block-size", "0", "a.vhd",
            says="power of two")
    refused("create", "--size", "1M", "--type", "fixed", "--block-size", "2M",
            "a.vhd", says="fixed")
    refused("create", "--size", "1M", "--type", "differencing", "a.vhd",
            says="needs a parent")
    refused("create", "--size", "1M", "--type", "sparse", "a.vhd",
            says="fixed, dynamic, differencing")
    refused("create", "--size", "1M", "--absolute", "a.vhd", says="--parent")
    refused("create", "--size", "1M", "nowhere/a.vhd", says="nowhere/a.vhd")
    refused("create", "--size", "1M", "./", says="folder")
    refused("create", "--size", "9000P", "--type", "fixed", "a.vhd",
            says="larger than any file")
    equal(os.listdir(), [], "nothing left")


# ------------------------------------------------------------------- children

def fields_of_child(path):
    image = Image(path)
    header = image.header
    name = header.parent_name.decode("utf-16-be").rstrip("\0")
    paths = {loc.code: image.locator_text(loc) for loc in image.locators
             if loc.code != b"\0\0\0\0"}
    return image, name, paths


@case("a child records its parent's id, time, name and two paths")
def _():
    vhdkit("create", "--size", "40M", "base.vhd")
    os.utime("base.vhd", (1700000000, 1700000000))
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    image, name, paths = fields_of_child("child.vhd")
    sound_footer(image, DIFFERENCING, 40 * MiB)
    equal(image.header.parent_id, Image("base.vhd").footer.id, "parent id")
    check(image.footer.id != image.header.parent_id, "an id of its own")
    equal(image.header.parent_timestamp, 1700000000 - EPOCH, "parent time")
    equal(name, "base.vhd", "parent name")
    real = os.path.realpath("base.vhd").replace("/", "\\")
    equal(paths, {b"W2ru": ".\\base.vhd", b"W2ku": real}, "locators")
    for locator in image.locators:
        if locator.code == b"\0\0\0\0":
            continue
        equal(locator.space % 512, 0, "space")
        check(locator.len <= locator.space, "the path fits in its space")
        check(locator.off >= 2048, "locators lie behind the table")
        check(locator.off + locator.space <= len(image.bytes) - 512,
              "locators lie before the footer")
    equal(len(image.bytes) % 4096, 0, "file size modulo 4096")
    vhdkit("check", "child.vhd")


@case("the relative path leads from the child's folder to the parent's")
def _():
    os.makedirs("a/b")
    os.makedirs("ax")
    vhdkit("create", "--size", "4M", "a/base.vhd")
    for child, way in (("a/c.vhd", ".\\base.vhd"),
                       ("a/b/c.vhd", ".\\..\\base.vhd"),
                       ("c.vhd", ".\\a\\base.vhd"),
                       ("ax/c.vhd", ".\\..\\a\\base.vhd")):
        vhdkit("create", "--parent", "a/base.vhd", "--root", ".", child)
        equal(fields_of_child(child)[2][b"W2ru"], way, child)
        vhdkit("info", "--chain", "--root", ".", child)


@case("the whole folder can be moved, and the child still finds its parent")
def _():
    os.mkdir("one")
    vhdkit("create", "--size", "4M", "one/base.vhd")
    vhdkit("create", "--parent", "one/base.vhd", "one/child.vhd")
    os.rename("one", "two")
    info = read_json("info", "--json", "two/child.vhd")
    equal(info["depth"], 1, "depth")


@case("--absolute records no relative path")
def _():
    vhdkit("create", "--size", "4M", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "--absolute", "child.vhd")
    equal(list(fields_of_child("child.vhd")[2]), [b"W2ku"], "locators")


@case("a link to the parent is resolved: the child names the file itself")
def _():
    vhdkit("create", "--size", "4M", "base-3.vhd")
    os.symlink("base-3.vhd", "latest.vhd")
    vhdkit("create", "--parent", "latest.vhd", "child.vhd")
    equal(fields_of_child("child.vhd")[1], "base-3.vhd", "name")


@case("size and block size of a child are its parent's, or as asked for")
def _():
    vhdkit("create", "--size", "4M", "--block-size", "512K", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "same.vhd")
    vhdkit("create", "--parent", "base.vhd", "--size", "9M", "large.vhd")
    vhdkit("create", "--parent", "base.vhd", "--size", "1M", "small.vhd")
    vhdkit("create", "--parent", "base.vhd", "--block-size", "2M", "big.vhd")
    for name, size, block in (("same", 4, 512), ("large", 9, 512),
                              ("small", 1, 512), ("big", 4, 2048)):
        info = read_json("info", "--json", f"{name}.vhd")
        equal(info["virtual-size"], size * MiB, f"size of {name}")
        equal(info["blocks"]["size"], block * KiB, f"block size of {name}")


@case("a fixed image can be a parent")
def _():
    vhdkit("create", "--size", "4M", "--type", "fixed", "base.vhd")
    vhdkit("write", "--offset", "1M", "base.vhd", data=b"x" * 4096)
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    equal(read_json("info", "--json", "child.vhd")["blocks"]["size"], 2 * MiB)
    same_bytes(content("child.vhd"), content("base.vhd"))


@case("--full sets the space of a child aside and lets the parent show through")
def _():
    vhdkit("create", "--size", "6M", "base.vhd")
    vhdkit("write", "--offset", "3M", "base.vhd", data=b"p" * 70000)
    vhdkit("create", "--parent", "base.vhd", "--full", "child.vhd")
    image = Image("child.vhd")
    check(UNUSED not in image.bat[:3], "every block is linked")
    equal(image.bitmap(1), bytes(512), "bitmap")
    check(used("child.vhd") >= 6 * MiB, f"it takes {used('child.vhd')} bytes")
    same_bytes(content("child.vhd"), content("base.vhd"))


@case("parents of any name that a VHD can record are found again")
def _():
    for number, name in enumerate((
            "with blank.vhd", "Größe.vhd", "\U0001f4be disk.vhd", "%41.vhd",
            "C:x.vhd", "x" * 251 + ".vhd", "..vhd", "'\"$(x)`.vhd")):
        vhdkit("create", "--size", "1M", name)
        child = f"child{number}.vhd"
        vhdkit("create", "--parent", name, child)
        info = read_json("info", "--json", child)
        equal(info["depth"], 1, f"depth for {name}")
        equal(info["backing-filename"], name, "parent name")
        equal(info["warnings"], [], "warnings")


@case("parents whose names cannot be recorded are refused")
def _():
    for name in ("back\\slash.vhd", "new\nline.vhd", b"latin\xe4.vhd",
                 "escape\x1b[31m.vhd"):
        vhdkit("create", "--size", "1M", name)
        done = refused("create", "--parent", name, "child.vhd",
                       says="cannot be recorded")
        check("\x1b" not in done.err, "no control characters in messages")
        check(not os.path.exists("child.vhd"), "no child")


@case("a parent that is missing or no image is refused, by name")
def _():
    refused("create", "--parent", "gone.vhd", "c.vhd", says="gone.vhd")
    with open("text.vhd", "wb") as file:
        file.write(b"hello" * 1000)
    refused("create", "--parent", "text.vhd", "c.vhd",
            says=["text.vhd", "not a VHD"])
    os.mkfifo("fifo.vhd")
    refused("create", "--parent", "fifo.vhd", "c.vhd",
            says=["fifo.vhd", "FIFO"])
    equal(sorted(os.listdir()), ["fifo.vhd", "text.vhd"], "nothing left")


@case("a child that needs a root to be opened is created, and this is said")
def _():
    os.mkdir("golden")
    os.mkdir("clients")
    vhdkit("create", "--size", "1M", "golden/g.vhd")
    done = refused("create", "--parent", "golden/g.vhd", "clients/c.vhd",
                   says="created, but it opens only with --root")
    # What it says to give is enough.
    root = done.err.split("--root '")[1].split("'")[0]
    equal(root, os.path.realpath("golden"))
    vhdkit("info", "--chain", "--root", root, "clients/c.vhd")
    done = vhdkit("create", "--parent", "golden/g.vhd", "--root", ".",
                  "clients/d.vhd")
    equal(done.err, "", "message")
    vhdkit("info", "--chain", "clients/c.vhd", env={"VHDKIT_ROOTS": "golden"})


@case("--protect makes the parent read-only, and only with a parent")
def _():
    vhdkit("create", "--size", "1M", "a.vhd")
    os.chmod("a.vhd", 0o664)
    vhdkit("create", "--parent", "a.vhd", "b.vhd", "--protect")
    equal(os.stat("a.vhd").st_mode & 0o7777, 0o444)
    refused("create", "--size", "1M", "--protect", "c.vhd", says="--parent")
    check(not os.path.exists("c.vhd"), "nothing")


@case("--from fills it with a disk, whose zeros take no space")
def _():
    data = bytes(MiB) + b"x" * 512 + bytes(5 * MiB - 512)
    with open("raw", "wb") as file:
        file.write(data)
    vhdkit("create", "--from", "raw", "--from-format", "raw", "a.vhd")
    equal(content("a.vhd"), data)
    equal(read_json("info", "--json", "a.vhd")["blocks"]["allocated"], 1)
    vhdkit("create", "--from", "a.vhd", "--type", "fixed", "--size", "8M",
           "b.vhd")
    equal(content("b.vhd"), data + bytes(2 * MiB))
    equal(read_json("info", "--json", "b.vhd")["type"], "fixed")
    refused("create", "--from", "a.vhd", "--size", "1M", "c.vhd",
            says="does not fit")
    refused("create", "--from", "raw", "c.vhd", says="not a VHD")
    refused("create", "--from", "a.vhd", "--parent", "a.vhd", "c.vhd",
            says="--parent goes with")
    refused("create", "--size", "1M", "--from-format", "raw", "c.vhd",
            says="--from")
    check(not os.path.exists("c.vhd"), "nothing")


@case("--like takes size, type and block size, where they are not given")
def _():
    vhdkit("create", "--size", "10M", "--block-size", "512K", "a.vhd")
    vhdkit("create", "--size", "3M", "--type", "fixed", "b.vhd")
    vhdkit("create", "--parent", "a.vhd", "c.vhd")
    for like, more, wanted in (
            ("a.vhd", (), ("dynamic", 10 * MiB, 512 * KiB)),
            ("b.vhd", (), ("fixed", 3 * MiB, None)),
            ("c.vhd", (), ("dynamic", 10 * MiB, 512 * KiB)),
            ("a.vhd", ("--size", "1M", "--block-size", "1M"),
             ("dynamic", MiB, MiB)),
            ("a.vhd", ("--type", "fixed"), ("fixed", 10 * MiB, None))):
        vhdkit("create", "--like", like, *more, "--overwrite", "new.vhd")
        info = read_json("info", "--json", "new.vhd")
        equal((info["type"], info["virtual-size"],
               info.get("blocks", {}).get("size")), wanted)
    refused("create", "--like", "none.vhd", "d.vhd", says="none.vhd")


# ----------------------------------------------------------- all or nothing

@case("a file that is there stays as it is")
def _():
    with open("a.vhd", "wb") as file:
        file.write(b"precious")
    refused("create", "--size", "1M", "a.vhd", says=["a.vhd", "already"])
    with open("a.vhd", "rb") as file:
        equal(file.read(), b"precious")
    os.symlink("elsewhere.vhd", "link.vhd")
    refused("create", "--size", "1M", "link.vhd", says="already")
    check(not os.path.exists("elsewhere.vhd"), "a link is not followed")


@case("--overwrite replaces a regular file, its mode kept, and nothing else")
def _():
    vhdkit("create", "--size", "1M", "a.vhd")
    os.chmod("a.vhd", 0o600)
    old = Image("a.vhd").footer.id
    vhdkit("create", "--size", "2M", "--overwrite", "a.vhd")
    image = Image("a.vhd")
    equal(image.footer.current_size, 2 * MiB, "size")
    check(image.footer.id != old, "a new id")
    equal(os.stat("a.vhd").st_mode & 0o777, 0o600, "mode")
    os.mkdir("folder.vhd")
    refused("create", "--size", "1M", "--overwrite", "folder.vhd",
            says="regular file")
    os.symlink("a.vhd", "link.vhd")
    refused("create", "--size", "1M", "--overwrite", "link.vhd",
            says="regular file")
    vhdkit("create", "--size", "1M", "--overwrite", "new.vhd")
    equal(sorted(os.listdir()), ["a.vhd", "folder.vhd", "link.vhd", "new.vhd"])


@case("the parent of the new image is not overwritten")
def _():
    vhdkit("create", "--size", "1M", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    before = Image("base.vhd").bytes
    refused("create", "--parent", "base.vhd", "--overwrite", "base.vhd",
            says="base.vhd")
    refused("create", "--parent", "child.vhd", "--overwrite", "base.vhd",
            says="base.vhd")
    equal(Image("base.vhd").bytes, before, "the parent")


@case("an image that is in use is not overwritten")
def _():
    vhdkit("create", "--size", "1M", "a.vhd")
    with open("a.vhd", "r+b") as file:
        lock = getattr(os, "F_OFD_SETLK", 37)
        # The bytes that qemu's file driver locks for shared writing.
        fcntl.fcntl(file, lock, struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 100,
                                            200, 0))
        refused("create", "--size", "1M", "--overwrite", "a.vhd",
                says="a.vhd")
    vhdkit("create", "--size", "1M", "--overwrite", "a.vhd")


@case("no space: an error, and nothing is left")
def _():
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 * MiB, 5 * MiB))
    for kind in ("fixed", "dynamic"):
        refused("create", "--size", "10M", "--type", kind, "--full", "a.vhd",
                says="a.vhd", preexec_fn=limit)
        equal(os.listdir(), [], "nothing left")
    vhdkit("create", "--size", "10M", "a.vhd", preexec_fn=limit)


run()
