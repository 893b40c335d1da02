#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit set: what an image says of itself, in all copies, and nothing else."""

import os
import resource
import shutil
import struct
import uuid

from inplacetest import ALONE, CHAIN, sound, unpack
from servertest import served
from tooltest import (GiB, KiB, MiB, case, check, contains, content, equal,
                      is_sanitized, read_json, refused, run, same_bytes, vhdkit)
from vhdimage import FIXED, Image

ID = "12345678-9abc-4def-8123-456789abcdef"


def info(path):
    return read_json("info", "--json", path)


def child_and_parent():
    vhdkit("create", "--size", "4M", "base.vhd")
    vhdkit("write", "base.vhd", data=b"b" * 64 * KiB)
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    vhdkit("write", "--offset", "1M", "child.vhd", data=b"c" * 64 * KiB)


def kept(path, *args):
    """Changes it: disk, soundness and time of change stay, the copies of the
    footer are the same, and no other byte of it is."""
    before, disk = Image(path), content(path)
    mtime = os.stat(path).st_mtime_ns
    vhdkit("set", *args, path)
    after = Image(path)
    same_bytes(content(path), disk, path)
    sound(path)
    equal(os.stat(path).st_mtime_ns, mtime, "time of change")
    check(not os.path.exists(path + ".vhdkit-redo"), "nothing is left")
    start = 0 if after.footer.type == FIXED else 512
    if start:
        same_bytes(bytes(after.bytes[:512]), bytes(after.footer.data), "copy")
    same_bytes(bytes(after.bytes[start:-512]), bytes(before.bytes[start:-512]))
    return after.footer


@case("each field, of each kind of image, in both footers")
def _():
    child_and_parent()
    vhdkit("create", "--size", "1M", "--type", "fixed", "fixed.vhd")
    os.mkdir("alone")
    shutil.copy2("base.vhd", "alone/base.vhd")
    for path in ("alone/base.vhd", "fixed.vhd", "child.vhd"):
        kept(path, "--id", ID, "--creator", "abc", "--creator-version", "7.9",
             "--creator-os", "Mac", "--geometry", "10/4/17",
             "--created", "2012-03-04T05:06:07Z")
        got = info(path)
        equal(got["id"], ID)
        equal(got["creator"],
              {"application": "abc", "version": "7.9", "os": "Mac"})
        equal(got["created"], "2012-03-04T05:06:07Z")
        equal([got["geometry"][k] for k in ("cylinders", "heads", "sectors")],
              [10, 4, 17])
        old = kept(path, "--id", "new").id
        new = info(path)["id"]
        check(new != ID and uuid.UUID(new).version == 4, new)
        footer = kept(path, "--geometry", "auto", "--created", "@1000000000")
        equal(footer.id, old, "what was not asked for")
        equal(footer.timestamp, 1000000000 - 946684800)
        equal(info(path)["created"], "2001-09-09T01:46:40Z")


@case("an id is printed as it was given, whichever order it is kept in")
def _():
    vhdkit("create", "--size", "1M", "a.vhd")
    for text in (ID, str(uuid.uuid1()), str(uuid.uuid4()),
                 "00000000-0000-0000-0000-000000000001"):
        vhdkit("set", "--id", text, "a.vhd")
        equal(info("a.vhd")["id"], text)


@case("id and time of a parent stay, unless that is allowed")
def _():
    child_and_parent()
    before = Image("base.vhd").bytes
    for what in (("--id", "new"), ("--created", "@1000000000")):
        refused("set", *what, "base.vhd", says=["child.vhd", "--with-children"])
    os.mkdir("links")
    os.symlink("../base.vhd", "links/base.vhd")
    refused("set", "--id", "new", "links/base.vhd", says="child.vhd")
    same_bytes(Image("base.vhd").bytes, before)
    kept("base.vhd", "--creator", "test", "--geometry", "10/4/17")
    same_bytes(content("child.vhd")[:4], b"bbbb")
    vhdkit("set", "--id", "new", "--with-children", "base.vhd")
    refused("read", "child.vhd", says="id")


@case("--parent names the place alone; another image is refused")
def _():
    child_and_parent()
    before = content("child.vhd")
    recorded = Image("child.vhd").header.parent_timestamp
    mtime = os.stat("child.vhd").st_mtime_ns
    os.mkdir("in")
    os.rename("base.vhd", "in/other.vhd")
    refused("read", "child.vhd", says="not found")
    vhdkit("set", "--parent", "in/other.vhd", "--id", ID, "child.vhd")
    same_bytes(content("child.vhd"), before)
    image = Image("child.vhd")
    same_bytes(bytes(image.bytes[:512]), bytes(image.footer.data), "copy")
    equal(info("child.vhd")["id"], ID)
    equal(image.header.parent_timestamp, recorded, "recorded time")
    equal(os.stat("child.vhd").st_mtime_ns, mtime, "time of change")
    equal([image.locator_text(l) for l in image.locators if l.len],
          [os.path.realpath("in/other.vhd").replace("/", "\\"),
           ".\\in\\other.vhd"])
    sound("child.vhd")
    vhdkit("create", "--size", "4M", "stranger.vhd")
    before = Image("child.vhd").bytes
    refused("set", "--parent", "stranger.vhd", "child.vhd",
            says=["stranger.vhd", "rebase"])
    refused("set", "--parent", "child.vhd", "child.vhd")
    refused("set", "--parent", "in/other.vhd", "stranger.vhd",
            says="no differencing")
    same_bytes(Image("child.vhd").bytes, before)


@case("a locator whose space is said to be large costs no more than its text")
def _():
    child_and_parent()
    image = Image("child.vhd")
    first = image.locators[0]
    text = bytes(image.bytes[first.off:first.off + first.len])
    image.header.data[580:584] = struct.pack(">I", GiB)
    image.header.data[592:600] = struct.pack(">Q", 16 * MiB)
    image.header.checksum = image.header.true_checksum()
    image.save()
    with open("child.vhd", "r+b") as file:
        file.seek(16 * MiB)
        file.write(text)
        file.seek(2 * GiB - 512)
        file.write(image.footer.data)
    os.rename("base.vhd", "b.vhd")
    vhdkit("set", "--parent", "b.vhd", "child.vhd",
           preexec_fn=None if is_sanitized() else lambda: resource.setrlimit(
               resource.RLIMIT_DATA, (256 * MiB, 256 * MiB)))
    with open("child.vhd", "rb") as file:
        file.seek(16 * MiB)
        contains(file.read(first.len).decode("utf-16-le"), "\\b.vhd\0")
    equal(os.stat("child.vhd").st_blocks * 512 < 16 * MiB, True, "space")
    vhdkit("read", "child.vhd", "/dev/null")


@case("what makes no sense is refused, and nothing is done")
def _():
    child_and_parent()
    parent = info("base.vhd")["id"]
    before = Image("child.vhd").bytes
    for args, says in (
            ((), "nothing"), (("--id", "1234"), "no id"),
            (("--id", "0" * 8 + "-0000-0000-0000-" + "0" * 12), "zeros"),
            (("--id", parent), "parent"), (("--creator", "abcde"), "1 to 4"),
            (("--creator", ""), "1 to 4"), (("--creator", "a\x1b"), "ASCII"),
            (("--creator-version", "70000.1"), "version"),
            (("--creator-version", "6"), "version"),
            (("--geometry", "1000/16/63"), "the disk has"),
            (("--geometry", "10/0/17"), "heads"),
            (("--geometry", "10/256/17"), "heads"),
            (("--geometry", "10/4"), "slashes"),
            (("--created", "1999-12-31T23:59:59Z"), "2000"),
            (("--created", "2026-02-30T00:00:00Z"), "looks like"),
            (("--created", "2026-02-28T23:59:60Z"), "looks like"),
            (("--created", "yesterday"), "looks like")):
        refused("set", *args, "child.vhd", says=says)
        same_bytes(Image("child.vhd").bytes, before, str(args))
    kept("child.vhd", "--geometry", "65535/16/255")
    with served("child.vhd"):
        refused("set", "--id", "new", "child.vhd", says=["vhdkitd", "pid"])


@case("images of other programs")
def _():
    for name in ALONE:
        path = unpack(name)
        kept(path, "--id", ID, "--geometry", "auto", "--creator-os", "test")
        equal(info(path)["id"], ID, name)
        os.remove(path)
    for name in CHAIN:
        unpack(name)
    last = f"{CHAIN[-1]}.vhd"
    kept(last, "--id", ID, "--created", "now")
    refused("set", "--id", "new", f"{CHAIN[0]}.vhd", says=CHAIN[1])
    before = content(last)
    os.mkdir("in")
    os.rename(f"{CHAIN[1]}.vhd", "in/moved.vhd")
    os.rename(f"{CHAIN[0]}.vhd", f"in/{CHAIN[0]}.vhd")
    vhdkit("set", "--parent", "in/moved.vhd", last)
    same_bytes(content(last), before)
    equal(len(before), 8 * MiB)


@case("a creator that would hide Xen's batmap is refused")
def _():
    path = unpack("govhd-xapi")
    check(info(path)["batmap"], "it has one")
    refused("set", "--creator", "win", path, says="batmap")
    kept(path, "--creator-version", "1.4")


run()
