#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every verb that vhdkit(1) sets against a function, command or cmdlet of
Windows, on images that other programs made (VHDKIT_IMAGES): the disk holds what
it is to hold, and what these programs keep beside it, locators, batmap and the
padding of the block table, is still there.

tests/style/test-parity.py reads from the lines with @tries which verbs are."""

import hashlib
import json
import os
import shutil

from inplacetest import ALONE, CHAIN, sound, unpack
from tooltest import (MiB, case, check, contains, content, equal, read_json,
                      run, same_bytes, vhdkit)
from vhdimage import Image

try:
    import nbd
except ImportError:
    nbd = None


def tries(*verbs):
    def register(function):
        sentence = f"{', '.join(verbs)}: {function.__doc__}"
        return case(" ".join(sentence.split()))(function)
    return register


def info(path):
    return read_json("info", "--json", path)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def padding(image):
    """Of the table, up to the end of its last sector."""
    end = image.header.table_offset + 4 * image.header.entries
    return bytes(image.bytes[end:-(-end // 512) * 512])


def beside(path):
    """What an image holds beside its disk, and a verb has to leave alone."""
    image, facts = Image(path), info(path)
    return {
        "batmap": facts["batmap"],
        "creator": facts["creator"],
        "locators": [(loc["code"], loc["path"], loc["space"])
                     for loc in facts.get("locators", [])],
        "padding": padding(image).strip(b"\xff"),
    }


def each(names=ALONE):
    """Unpacks each, and again as the original; what is beside the disk must be
    the same in the end, and the image sound."""
    for name in names:
        path = unpack(name)
        shutil.copy(path, "original.vhd")
        before = beside(path)
        yield path
        after = beside(path)
        # A table that became longer has entries there, or had.
        if not after["padding"]:
            before["padding"] = after["padding"]
        equal(after, before, name)
        sound(path)
        for left in os.listdir("."):
            os.remove(left)


def same(path, original="original.vhd"):
    """Zeros that one of them has more are no matter."""
    vhdkit("compare", original, path)


def written(path, seed):
    """Writes into the image and a raw copy of the original alike."""
    size = info(path)["virtual-size"]
    for i, off in enumerate((0, 5 * MiB - 700, size - 3)):
        data = bytes([65 + (seed + i) % 26]) * min(70000, size - off)
        vhdkit("write", "--offset", str(off), path, data=data)
        with open("raw", "r+b") as file:
            file.seek(off)
            file.write(data)


def raw_copy(path="original.vhd"):
    vhdkit("convert", "--format", "raw", path, "raw")


def is_raw(path):
    vhdkit("compare", "--second-format", "raw", path, "raw")


@tries("info", "list", "map", "check", "measure")
def _():
    """facts are told, and no byte is changed"""
    for path in each():
        before = digest(path)
        facts = info(path)
        equal(facts["format"], "vpc")
        equal([entry["filename"] for entry in
               read_json("list", "--json", path)], [path])
        runs = read_json("map", "--json", path)
        equal(sum(run["length"] for run in runs), facts["virtual-size"])
        sound(path)
        equal(read_json("measure", "--json", path)["virtual-size"],
              facts["virtual-size"])
        equal(digest(path), before, path)


@tries("convert", "compare", "create")
def _():
    """each kind of copy holds the same"""
    for path in each():
        for kind in ("dynamic", "fixed"):
            vhdkit("convert", "--subformat", kind, path, "copy.vhd")
            vhdkit("compare", "--strict", path, "copy.vhd")
            vhdkit("create", "--type", kind, "--from", path, "made.vhd")
            vhdkit("compare", "--strict", path, "made.vhd")
            os.remove("copy.vhd")
            os.remove("made.vhd")
        raw_copy()
        vhdkit("compare", "--strict", "--second-format", "raw", path, "raw")
        vhdkit("convert", "--source-format", "raw", "raw", "back.vhd")
        vhdkit("compare", "--strict", path, "back.vhd")


@tries("read", "write")
def _():
    """what is written is read, and nothing else is changed"""
    for seed, path in enumerate(each()):
        raw_copy()
        written(path, seed)
        is_raw(path)


@tries("resize", "compact")
def _():
    """longer, shorter and compact, the disk reads the same"""
    for seed, path in enumerate(each()):
        raw_copy()
        written(path, seed)
        size = info(path)["virtual-size"]
        vhdkit("write", "--offset", "4M", path, data=bytes(3 * MiB))
        with open("raw", "r+b") as file:
            file.seek(4 * MiB)
            file.write(bytes(3 * MiB))
        vhdkit("resize", path, str(size + 700 * MiB))
        is_raw(path)
        sound(path)
        got = read_json("compact", "--json", path)
        check(got["file-size"] <= got["file-size-before"], got)
        is_raw(path)
        vhdkit("resize", "--shrink", path, str(size))
        vhdkit("compare", "--strict", "--second-format", "raw", path, "raw")


@tries("snapshot", "revert", "merge", "create")
def _():
    """children of it come and go, and it has what they are to leave"""
    for seed, path in enumerate(each()):
        raw_copy()
        vhdkit("create", "--parent", path, "child.vhd")
        same("child.vhd")
        os.remove("child.vhd")
        vhdkit("snapshot", "--base", "base.vhd", path)
        equal(info(path)["type"], "differencing")
        vhdkit("write", path, data=b"gone" * 1000)
        vhdkit("revert", path)
        is_raw(path)
        written(path, seed)
        is_raw(path)
        same("base.vhd")
        vhdkit("merge", path)
        os.rename("base.vhd", path)
        is_raw(path)


@tries("set")
def _():
    """another id and time, and the disk is the same"""
    for path in each():
        old = info(path)
        vhdkit("set", "--id", "new", "--created", "@1700000000", path)
        new = info(path)
        check(new["id"] != old["id"], "it has its old id")
        equal(new["created"], "2023-11-14T22:13:20Z")
        same(path)


@tries("repair", "rescue", "check")
def _():
    """a lost footer is found, made good, and the disk can be had before"""
    for path in each():
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) - 512)
        contains(vhdkit("check", path).out, "is missing")
        vhdkit("rescue", path, "rescued.vhd", code=None)
        same("rescued.vhd")
        vhdkit("repair", path)
        equal(digest(path), digest("original.vhd"), path)


@tries("attach", "detach")
def _():
    """it is a disk of this machine for a while"""
    os.environ["VHDKIT_ATTACH_DIR"] = os.path.abspath("../at")
    for path in each():
        raw_copy()
        socket = vhdkit("attach", "--with", "socket", path).out.strip()
        try:
            entry, = read_json("attach", "--list", "--json")
            equal(os.path.basename(entry["image"]), path)
            if nbd is not None:
                h = nbd.NBD()
                h.connect_unix(socket)
                h.pwrite(b"n" * 4096, 6 * MiB)
                h.shutdown()
                with open("raw", "r+b") as file:
                    file.seek(6 * MiB)
                    file.write(b"n" * 4096)
        finally:
            vhdkit("detach", path)
        is_raw(path)


def xen():
    """The chain, and what its three disks hold."""
    paths = [unpack(name) for name in CHAIN]
    return paths, [content(path) for path in paths]


@tries("relink", "rebase", "merge", "info")
def _():
    """Xen's chain moves, gets other parents and becomes one, and its locators
    and batmaps go with it"""
    (base, child, grandchild), model = xen()
    before = [beside(path) for path in (base, child, grandchild)]
    # The base alone goes elsewhere.
    os.mkdir("moved")
    os.rename(base, f"moved/{base}")
    got = read_json("relink", "--json", "--root", ".", ".", "moved", code=None)
    equal([entry["filename"] for entry in got if entry["relinked"]],
          [f"./{child}"])
    root = ("--root", ".")
    same_bytes(content(grandchild, *root), model[2])
    equal([len(beside(path)["locators"]) for path in (child, grandchild)],
          [len(had["locators"]) for had in before[1:]])
    equal([beside(path)["batmap"] for path in (child, grandchild)],
          [had["batmap"] for had in before[1:]])
    vhdkit("rebase", "--copy", *root, grandchild, f"moved/{base}")
    same_bytes(content(grandchild, *root), model[2])
    chain = read_json("info", "--json", "--chain", *root, grandchild)
    equal([os.path.basename(entry["filename"]) for entry in chain],
          [grandchild, base])
    vhdkit("rebase", "--copy", *root, grandchild, child)
    same_bytes(content(grandchild, *root), model[2])
    vhdkit("merge", *root, grandchild)
    same_bytes(content(child, *root), model[2])
    vhdkit("merge", *root, child)
    same_bytes(content(f"moved/{base}"), model[2])
    equal(beside(f"moved/{base}"), before[0])
    sound(f"moved/{base}")


@tries("merge", "write", "compact", "snapshot")
def _():
    """a child that Windows made has its locators when it was written to"""
    path = unpack("govhd-win8-child")
    os.rename(unpack("govhd-win8"), "win8.vhd")
    before = beside(path)
    vhdkit("write", "--offset", "9M", path, data=b"w" * 9000)
    vhdkit("compact", path)
    equal(beside(path), before)
    vhdkit("snapshot", path, "top.vhd")
    vhdkit("write", "--offset", "9M", "top.vhd", data=b"t" * 512)
    vhdkit("merge", "top.vhd")
    equal(beside(path), before)
    vhdkit("merge", path)
    equal(content("win8.vhd", "--offset", "9M", "--length", "9001"),
          b"t" * 512 + b"w" * 8488 + b"\0")
    sound("win8.vhd")


@tries("script")
def _():
    """the same as a batch"""
    for path in each():
        size = info(path)["virtual-size"] + 64 * MiB
        with open("batch", "w", encoding="utf-8") as file:
            file.write(f"check '{path}'\nsnapshot --base base.vhd '{path}'\n"
                       f"write '{path}' # nothing\nmerge '{path}'\n"
                       f"resize base.vhd {size}\n"
                       f"convert base.vhd flat.vhd\n"
                       f"compare base.vhd flat.vhd\n")
        steps = [json.loads(line)
                 for line in vhdkit("script", "batch").out.splitlines()]
        equal([step["class"] for step in steps], ["done"] * 7)
        os.rename("base.vhd", path)
        same(path)
        vhdkit("resize", "--shrink", path, str(size - 64 * MiB))


run()
