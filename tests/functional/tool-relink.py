#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit relink: moved parents are found again by their ids."""

import os
import shutil

from inplacetest import CHAIN, killed_writer, sound, unpack
from tooltest import (KiB, MiB, case, contains, content, equal, read_json,
                      refused, run, same_bytes, vhdkit)
from vhdimage import Image


def family():
    """base, two children of it, and one of the first, each with its data."""
    vhdkit("create", "--size", "4M", "base.vhd")
    for name, parent in (("a", "base"), ("aa", "a"), ("b", "base")):
        vhdkit("create", "--parent", f"{parent}.vhd", f"{name}.vhd")
        vhdkit("write", "--offset", f"{ord(name[-1]) + len(name)}K",
               f"{name}.vhd", data=name.encode() * 4 * KiB)


def moved():
    family()
    before = {n: content(f"{n}.vhd") for n in ("a", "aa", "b")}
    os.mkdir("new")
    for old, name in (("base", "x"), ("a", "y"), ("aa", "z"), ("b", "b")):
        shutil.move(f"{old}.vhd", f"new/{name}.vhd")
    return {"y": before["a"], "z": before["aa"], "b": before["b"]}


@case("what a killed program left of a child comes into it before its parent "
      "is known again")
def _():
    vhdkit("create", "--size", "16M", "--block-size", "64K", "base.vhd")
    vhdkit("write", "base.vhd", data=b"base" * MiB)
    vhdkit("create", "--parent", "base.vhd", "a.vhd")
    vhdkit("create", "--parent", "base.vhd", "b.vhd")
    for name in ("a.vhd", "b.vhd"):
        with killed_writer(name, b"new " * (MiB // 4)):
            pass
    os.mkdir("new")
    for name in ("base.vhd", "a.vhd", "b.vhd"):
        os.rename(name, f"new/moved-{name}")
    vhdkit("set", "--parent", "new/moved-base.vhd", "new/moved-a.vhd")
    equal([i["filename"] for i in read_json("relink", "--json", "new")],
          ["new/moved-b.vhd"])
    for name in ("a", "b"):
        same_bytes(content(f"new/moved-{name}.vhd")[:MiB], b"new " * (MiB // 4))
        equal(content(f"new/moved-{name}.vhd")[3 * MiB:4 * MiB],
              b"base" * (MiB // 4))
        vhdkit("check", f"new/moved-{name}.vhd")


@case("a whole tree under new names, and a second time there is nothing to do")
def _():
    disks = moved()
    files = {n: Image(f"new/{n}.vhd").bytes for n in disks}
    dry = read_json("relink", "--dry-run", "--json", "new")
    equal({os.path.basename(i["filename"]):
           os.path.basename(i["full-backing-filename"]) for i in dry},
          {"y.vhd": "x.vhd", "z.vhd": "y.vhd", "b.vhd": "x.vhd"})
    for name, data in files.items():
        same_bytes(Image(f"new/{name}.vhd").bytes, data, "a dry run")
    times = {n: os.stat(f"new/{n}.vhd").st_mtime_ns for n in disks}
    out = vhdkit("relink", "new").out
    contains(out, "new/z.vhd -> new/y.vhd")
    for name, data in disks.items():
        same_bytes(content(f"new/{name}.vhd"), data, name)
        equal(os.stat(f"new/{name}.vhd").st_mtime_ns, times[name])
        sound(f"new/{name}.vhd")
    equal(vhdkit("relink", "new").out, "")


@case("two of one id are both named, unless one is given")
def _():
    disks = moved()
    shutil.copy2("new/x.vhd", "new/copy.vhd")
    done = refused("relink", "new", says=["x.vhd", "copy.vhd", "--parent"])
    contains(done.out, "z.vhd")
    equal(read_json("list", "--json", "new")[0]["filename"], "new/b.vhd")
    vhdkit("relink", "--parent", "new/x.vhd", "new")
    for name, data in disks.items():
        same_bytes(content(f"new/{name}.vhd"), data, name)
    os.link("new/x.vhd", "new/same.vhd")
    os.rename("new/x.vhd", "new/w.vhd")
    os.remove("new/copy.vhd")
    vhdkit("relink", "new")
    same_bytes(content("new/b.vhd"), disks["b"])


@case("a parent that is nowhere is told; the others are mended")
def _():
    disks = moved()
    os.remove("new/x.vhd")
    refused("relink", "new", says=["y.vhd", "b.vhd", "id"])
    equal([i["state"] for i in read_json("list", "--json", "new")
           if "z.vhd" in i["filename"]], ["ok"])
    equal(len(disks), 3)


@case("what is left alone is told of, and why: outside, damaged, unreadable")
def _():
    family()
    os.mkdir("in")
    os.rename("b.vhd", "in/b.vhd")
    vhdkit("relink", "--recursive", ".")
    # A copy of the parent here does not take its place.
    shutil.copy2("base.vhd", "in/copy.vhd")
    before = Image("in/b.vhd").bytes
    refused("relink", "in", says=["in/b.vhd", "outside", "--root"])
    item, = read_json("relink", "--json", "in", code=1)
    equal((os.path.basename(item["filename"]), item["relinked"], item["code"]),
          ("b.vhd", False, "parent-denied"))
    vhdkit("relink", "--root", ".", "in")
    image = Image("base.vhd")
    image.header.checksum = 1
    image.save()
    refused("relink", "--root", ".", "in", says=["in/b.vhd", "base.vhd"])
    same_bytes(Image("in/b.vhd").bytes, before)
    done = refused("relink", ".", says=["base.vhd", "header"])
    contains(done.err, "a.vhd")
    with open("none", "wb") as file:
        file.write(b"none")
    os.remove("in/b.vhd")
    vhdkit("relink", "in")
    refused("relink", "--parent", "none", "in", says=["none", "not a VHD"])


@case("a child that is called now as its parent was")
def _():
    family()
    before = content("b.vhd")
    os.rename("base.vhd", "other.vhd")
    os.rename("b.vhd", "base.vhd")
    out = vhdkit("relink", ".").out
    contains(out, "./base.vhd -> ./other.vhd")
    same_bytes(content("base.vhd"), before)


@case("images of other programs, in folders below")
def _():
    for name in CHAIN:
        unpack(name)
    before = content(f"{CHAIN[-1]}.vhd")
    os.makedirs("d/sub")
    for i, name in enumerate(CHAIN):
        os.rename(f"{name}.vhd", f"d/{'sub/' if i == 1 else ''}n{i}.vhd")
    vhdkit("relink", "--recursive", "d")
    same_bytes(content("d/n2.vhd", "--root", "d"), before)


run()
