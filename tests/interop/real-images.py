#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Images that other programs made.  VHDKIT_IMAGES names the folder that holds
them, packed with xz; without it there is nothing to test."""

import glob
import hashlib
import lzma
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "functional"))

# pylint: disable=wrong-import-position
from tooltest import (GiB, MiB, Skip, case, check, contains, content, equal,
                      need, program, read_json, refused, run, same_bytes,
                      vhdkit)

FOLDER = os.environ.get("VHDKIT_IMAGES")


def unpack(name, new_name=None):
    packed = os.path.join(FOLDER or "", f"{name}.vhd.xz")
    if not FOLDER:
        raise Skip("VHDKIT_IMAGES is not set")
    if not os.path.exists(packed):
        raise Skip(f"{packed} is not there")
    path = f"{new_name or name}.vhd"
    with lzma.open(packed) as source, open(path, "wb") as target:
        shutil.copyfileobj(source, target)
    return path


# name: creator, version, size, blocks in the file
SOUND = {
    "govhd-win8": ("win", "6.3", 40 * MiB, 0),
    "govhd-win8.1-1GB": ("win", "6.3", GiB, 0),
    "govhd-vbox": ("vbox", "4.3", 40 * MiB, 0),
    "govhd-xapi": ("tap", "1.3", 40 * MiB, 0),
    "govhd-qemu": ("qemu", "5.3", 41953280, 0),
    "nodevhd-dynamic": ("win", "10.0", 512 * MiB, 11),
    "vhdtool-win7dyn": ("win", "6.1", 200 * MiB, 6),
    "qemu72-force": ("qem2", "5.3", 8 * MiB, 1),
    "xen-base": ("tap", "1.3", 8 * MiB, 2),
}


@case("every sound image says of itself what is known of it, and checks sound")
def _():
    for name, (creator, version, size, blocks) in SOUND.items():
        path = unpack(name)
        info = read_json("info", "--json", path)
        equal((info["type"], info["creator"]["application"],
               info["creator"]["version"], info["virtual-size"],
               info["blocks"]["allocated"]),
              ("dynamic", creator, version, size, blocks), name)
        equal(info["warnings"], [], f"warnings for {name}")
        done = vhdkit("check", path)
        contains(done.out, f"{path}: sound")


@case("there is no image in the folder that is not known here")
def _():
    if not FOLDER:
        raise Skip("VHDKIT_IMAGES is not set")
    known = set(SOUND) | {"govhd-win8-child", "dfvfs-fat-differential",
                          "dfvfs-image", "xen-child", "xen-grandchild"}
    found = {os.path.basename(path)[:-len(".vhd.xz")]
             for path in glob.glob(os.path.join(FOLDER, "*.vhd.xz"))}
    equal(found - known, set(), "unknown images")


def same_digest(one, two, what):
    digests = []
    for file in (one, two):
        sha = hashlib.sha256()
        while piece := file.read(MiB):
            sha.update(piece)
        digests.append(sha.hexdigest())
    equal(digests[0], digests[1], what)


@case("images with data read as qemu reads them")
def _():
    need("qemu-img")
    for name in ("nodevhd-dynamic", "vhdtool-win7dyn", "qemu72-force"):
        path = unpack(name)
        program("qemu-img", "convert", "-f", "vpc", "-O", "raw", path, "raw")
        vhdkit("read", "--overwrite", path, "ours")
        with open("raw", "rb") as theirs, open("ours", "rb") as ours:
            same_digest(ours, theirs, name)


@case("every sound image can be written to, and stays sound")
def _():
    for name, (_, _, size, _) in SOUND.items():
        path = unpack(name)
        before = content(path, "--length", str(8 * MiB))
        vhdkit("write", "--offset", "5M", path, data=b"w" * 100000)
        vhdkit("write", "--offset", str(size - 3), path, data=b"end")
        after = content(path, "--length", str(8 * MiB))
        wanted = bytearray(before)
        wanted[5 * MiB:5 * MiB + 100000] = b"w" * 100000
        if size == 8 * MiB:
            wanted[-3:] = b"end"
        same_bytes(after, bytes(wanted), name)
        equal(content(path, "--offset", str(size - 3)), b"end", name)
        done = vhdkit("check", path)
        contains(done.out, f"{path}: sound")


@case("what was written to them qemu reads as well")
def _():
    need("qemu-io")
    for name in ("govhd-win8", "govhd-vbox", "govhd-qemu", "govhd-xapi",
                 "nodevhd-dynamic", "vhdtool-win7dyn", "qemu72-force"):
        path = unpack(name)
        vhdkit("write", "--offset", "7M", path, data=b"w" * 4096)
        out = program("qemu-io", "-r", "-f", "vpc", "-c",
                      "read -P 119 7M 4096", path).out
        check("failed" not in out, f"{name}: {out}")


def xen_model():
    """The sectors as SOURCES.txt tells them: a letter fills its sector."""
    sectors = [b"\0"] * (8 * MiB // 512)
    models = []
    for letter, first, last in XEN_WRITES:
        if letter is None:
            models.append(b"".join(s * 512 for s in sectors))
            continue
        for sec in range(first, last + 1):
            sectors[sec] = letter
    return models


XEN_WRITES = (
    (b"A", 0, 15), (b"B", 4100, 4104), (None, 0, 0),   # the base
    (b"C", 3, 4), (b"D", 8192, 12287), (None, 0, 0),   # its child
    (b"E", 15, 17), (None, 0, 0),                      # and grandchild
)
XEN_NAMES = ("xen-base", "xen-child", "xen-grandchild")


def unpack_xen():
    return [unpack(name) for name in XEN_NAMES]


@case("the chain that Xen wrote reads as computed, sector by sector")
def _():
    for path, model in zip(unpack_xen(), xen_model()):
        same_bytes(content(path), model, path)


@case("the map of Xen's chain says which image holds which sector")
def _():
    unpack_xen()
    holder = {}
    for entry in read_json("map", "--json", "xen-grandchild.vhd"):
        if entry["data"]:
            first = entry["start"] // 512
            for sec in range(first, first + entry["length"] // 512):
                holder[sec] = entry["depth"]
    wanted = dict.fromkeys(range(0, 16), 2)
    wanted.update(dict.fromkeys(range(4100, 4105), 2))
    wanted.update(dict.fromkeys([3, 4], 1))
    wanted.update(dict.fromkeys(range(8192, 12288), 1))
    wanted.update(dict.fromkeys([15, 16, 17], 0))
    equal(holder, wanted)


@case("Xen's chain: parents by their locators, depth, ids, and a sound check")
def _():
    unpack_xen()
    chain = read_json("info", "--json", "--chain", "xen-grandchild.vhd")
    equal([i["type"] for i in chain],
          ["differencing", "differencing", "dynamic"])
    equal([loc["code"] for loc in chain[0]["locators"]],
          ["MacX", "W2ku", "W2ru"])
    for path in (f"{name}.vhd" for name in XEN_NAMES):
        vhdkit("check", path)


@case("Xen's chain can be written to, the batmap stays true")
def _():
    unpack_xen()
    model = bytearray(xen_model()[2])
    for off, length in ((0, 700), (2 * MiB - 100, 4000), (4099 * 512, 512),
                        (7 * MiB, 5000), (6 * MiB, MiB)):
        piece = bytes([off % 251 + 1]) * length
        vhdkit("write", "--offset", str(off), "xen-grandchild.vhd",
               data=piece)
        model[off:off + length] = piece
    same_bytes(content("xen-grandchild.vhd"), bytes(model))
    same_bytes(content("xen-child.vhd"), xen_model()[1], "its parent")
    vhdkit("check", "xen-grandchild.vhd")


@case("a Windows child finds its parent by the name that it stores")
def _():
    unpack("govhd-win8-child")
    refused("read", "govhd-win8-child.vhd", says="win8.vhd")
    unpack("govhd-win8", "win8")
    info = read_json("info", "--json", "--chain", "govhd-win8-child.vhd")
    equal([os.path.basename(i["filename"]) for i in info],
          ["govhd-win8-child.vhd", "win8.vhd"])
    equal({loc["code"]: loc["path"] for loc in info[0]["locators"]},
          {"W2ku": "/Users/sergi/Downloads/win8.vhd", "W2ru": "./win8.vhd"})
    equal(content("govhd-win8-child.vhd"), bytes(40 * MiB))
    vhdkit("check", "govhd-win8-child.vhd")


@case("a Windows child: writing to it leaves its parent alone")
def _():
    unpack("govhd-win8-child")
    parent = unpack("govhd-win8", "WIN8")   # Windows does not mind the case
    with open(parent, "rb") as file:
        before = file.read()
    vhdkit("write", "--offset", "9M", "govhd-win8-child.vhd", data=b"x" * 9000)
    equal(content("govhd-win8-child.vhd", "--offset", "9M", "--length",
                  "9001"), b"x" * 9000 + b"\0")
    with open(parent, "rb") as file:
        equal(file.read(), before, "the parent")
    vhdkit("check", "govhd-win8-child.vhd")


@case("another disk of that name is refused: its id is not the parent's")
def _():
    unpack("govhd-win8-child")
    vhdkit("create", "--size", "40M", "win8.vhd")
    refused("read", "govhd-win8-child.vhd", says="win8.vhd")
    done = vhdkit("check", "govhd-win8-child.vhd", code=2)
    contains(done.out, "win8.vhd")


@case("a child whose parent is missing is refused by the parent's name")
def _():
    path = unpack("dfvfs-fat-differential")
    info = read_json("info", "--json", path)
    equal(info["depth"], None)
    equal(info["blocks"]["allocated"], 1)
    name = info["backing-filename"].replace("\\", "/").split("/")[-1]
    check(name.endswith(".vhd"), f"name {name!r}")
    refused("read", path, says=name)
    contains(vhdkit("check", path, code=1).out, name)


@case("a wrong checksum is refused, and called that")
def _():
    path = unpack("dfvfs-image")
    refused("read", path, says="checksum")
    contains(vhdkit("check", path, code=2).out, "checksum")


run()
