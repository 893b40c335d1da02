#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit list: trees of images, with what is wrong with them."""

import os
import re
import shutil

from inplacetest import unpack
from servertest import served
from tooltest import (NOT_FOUND, VHDKIT, KiB, MiB, Skip, case, check, contains,
                      equal, need, program, read_json, refused, run, vhdkit)
from vhdimage import Image


def listed(*args, code=0):
    """{name: (depth, state)}, in order; and the objects."""
    got = read_json("list", "--json", *args, code=code)
    objects = {os.path.basename(i["filename"]): i for i in got}
    return {n: (i["depth"], i["state"]) for n, i in objects.items()}, objects


def family(folder):
    os.mkdir(folder)
    vhdkit("create", "--size", "4M", f"{folder}/base.vhd")
    vhdkit("create", "--parent", f"{folder}/base.vhd", f"{folder}/a.vhd")
    vhdkit("create", "--parent", f"{folder}/a.vhd", f"{folder}/aa.vhd")
    vhdkit("create", "--parent", f"{folder}/base.vhd", f"{folder}/z.vhd")
    vhdkit("create", "--size", "1M", "--type", "fixed", f"{folder}/one.vhd")


@case("trees, as text and JSON, with sizes; what is no VHD is left out")
def _():
    family("d")
    with open("d/raw.img", "wb") as file:
        file.write(bytes(MiB))
    with open("d/empty.vhd", "wb"):
        pass
    os.mkfifo("d/fifo.vhd")
    got, objects = listed("d")
    equal(list(got.items()),
          [("base.vhd", (0, "ok")), ("a.vhd", (1, "ok")),
           ("aa.vhd", (2, "ok")), ("z.vhd", (1, "ok")),
           ("one.vhd", (0, "ok"))])
    for name, item in objects.items():
        stat = os.stat(f"d/{name}")
        equal((item["actual-size"], item["file-size"], item["format"]),
              (stat.st_blocks * 512, stat.st_size, "vpc"))
    equal(objects["a.vhd"]["virtual-size"], 4 * MiB)
    equal(objects["a.vhd"]["parent-id"], objects["base.vhd"]["id"])
    lines = vhdkit("list", "d").out.splitlines()
    equal([len(line) - len(line.lstrip()) for line in lines], [0, 2, 4, 2, 0])
    contains(lines[1], "differencing, 4 MiB, takes")
    got, _ = listed("d/aa.vhd", "d/a.vhd", "d/a.vhd")
    equal(got, {"a.vhd": (0, "ok"), "aa.vhd": (1, "ok")})


@case("what is wrong with one hides none of the others")
def _():
    family("d")
    os.remove("d/a.vhd")
    image = Image("d/one.vhd")
    image.footer.checksum = 1
    image.save(head=False)
    os.utime("d/base.vhd", (2000000000, 2000000000))
    os.symlink("nowhere", "d/link.vhd")
    got, objects = listed("d", code=1)
    equal(got, {"aa.vhd": (0, "parent-missing"), "base.vhd": (0, "ok"),
                "z.vhd": (1, "parent-timestamp"), "one.vhd": (0, "damaged")})
    contains(objects["aa.vhd"]["message"], "not found")
    out = vhdkit("list", "d", code=1).out
    contains(out, "! parent-missing: ")
    contains(out, "! damaged: ")
    got, _ = listed("d/base.vhd", "missing", code=NOT_FOUND)
    equal(got, {"base.vhd": (0, "ok")})
    refused("list", "missing", says="missing")


@case("another image in the place of the parent; a circle")
def _():
    family("d")
    vhdkit("create", "--parent", "d/aa.vhd", "d/0.vhd")
    vhdkit("set", "--id", "new", "--with-children", "d/a.vhd")
    got, _ = listed("d")
    equal(got["aa.vhd"], (0, "parent-id"))
    for one, other in (("a", "aa"), ("aa", "a")):
        image = Image(f"d/{one}.vhd")
        image.header.data[576:768] = bytes(192)
        image.header.parent_name = f"{other}.vhd".encode("utf-16-be")
        image.header.parent_id = Image(f"d/{other}.vhd").footer.id
        image.save()
    got, _ = listed("d")
    equal([(name, got[name]) for name in got if got[name][1] != "ok"],
          [(name, (depth, "chain-cycle"))
           for depth, name in enumerate(("a.vhd", "aa.vhd", "0.vhd"))])
    equal(len(got), 6)


@case("a file that was named is told of, whatever it is; in a folder, what is "
      "no VHD is not, nor what vhdkit has not finished")
def _():
    family("d")
    with open("d/raw.img", "wb") as file:
        file.write(bytes(510) + b"\x55\xaa" + bytes(MiB))
    os.mkfifo("d/fifo")
    for name in ("raw.img", "fifo"):
        got, objects = listed(f"d/{name}", "d/base.vhd", code=1)
        equal(got, {name: (0, "no-vhd"), "base.vhd": (0, "ok")})
        check("type" not in objects[name], objects[name])
    shutil.copy("d/base.vhd", "d/.vhdkit-0123456789abcdef.tmp")
    with open("d/base.vhd", "rb") as file:
        footer = file.read(512)
    with open("d/z.vhd.vhdkit-redo", "wb") as file:
        file.write(bytes(1024) + footer)
    equal(len(listed("d")[0]), 5)


@case("a child whose parent is damaged, or cannot be looked at, is not damaged")
def _():
    family("d")
    image = Image("d/base.vhd")
    image.header.checksum = 1
    image.save()
    got, objects = listed("d", code=1)
    equal([got[n][1] for n in ("base.vhd", "a.vhd", "aa.vhd", "z.vhd")],
          ["damaged", "chain-parent", "ok", "chain-parent"])
    contains(objects["z.vhd"]["message"], "base.vhd")


@case("who has one in use; names that could steer a terminal; folders below")
def _():
    family("d")
    os.mkdir("d/sub")
    vhdkit("create", "--size", "1M", "d/sub/e\x1b[31m.vhd")
    os.symlink(os.path.abspath("d"), "d/sub/back")
    os.link("d/one.vhd", "d/sub/two.vhd")
    equal(len(listed("d")[0]), 5)
    with served("d/z.vhd"):
        got, objects = listed("--recursive", "d")
        equal(got["z.vhd"], (1, "in-use"))
        contains(objects["z.vhd"]["in-use-by"], "vhdkitd")
        equal(len(got), 6)
        out = vhdkit("list", "--recursive", "d").out
        contains(out, "in use by")
        check("\x1b" not in out, "an escape")


@case("a parent elsewhere must be allowed")
def _():
    family("d")
    os.mkdir("e")
    shutil.move("d/z.vhd", "e/z.vhd")
    equal(listed("e")[0], {"z.vhd": (0, "parent-denied")})
    got, objects = listed("--root", "d", "e")
    equal(got, {"z.vhd": (0, "ok")})
    equal(objects["z.vhd"]["full-backing-filename"],
          os.path.realpath("d/base.vhd"))
    equal(listed("--root", ".", "d", "e")[0]["z.vhd"], (1, "ok"))


@case("heads are read, and no tables, of children nor of their parents")
def _():
    need("strace")
    os.mkdir("d")
    vhdkit("create", "--size", "2040G", "d/base.vhd")
    for i in range(4):
        vhdkit("create", "--parent", "d/base.vhd", f"d/{i}.vhd")
    # An entry that leads nowhere: vhdkit check tells of that.
    with open("d/0.vhd", "r+b") as file:
        file.seek(Image("d/0.vhd").header.table_offset)
        file.write(b"\x7f" * 4)
    equal([state for _, state in listed("d")[0].values()], ["ok"] * 5)
    images = [os.path.abspath(f"d/{name}") for name in os.listdir("d")]
    done = program("strace", "-f", "-o", "log", "-e", "trace=read,pread64",
                   *(f"--trace-path={path}" for path in images), VHDKIT,
                   "list", os.path.abspath("d"), code=None,
                   env={"ASAN_OPTIONS": "detect_leaks=0"})
    if done.returncode != 0:
        raise Skip(f"strace cannot trace here: {done.err.strip()}")
    with open("log", encoding="ascii") as file:
        sizes = [int(n) for n in re.findall(r" = (\d+)$", file.read(), re.M)]
    check(0 < sum(sizes) < 256 * KiB, f"{sum(sizes)} bytes were read")


@case("images of other programs")
def _():
    for name in ("xen-base", "xen-child", "xen-grandchild",
                 "dfvfs-fat-differential", "dfvfs-image"):
        unpack(name)
    os.rename(unpack("govhd-win8"), "win8.vhd")
    unpack("govhd-win8-child")
    got, _ = listed(".", code=1)
    equal([got[f"xen-{n}.vhd"][0] for n in ("base", "child", "grandchild")],
          [0, 1, 2])
    equal(got["govhd-win8-child.vhd"][0], 1)
    equal(got["dfvfs-fat-differential.vhd"], (0, "parent-missing"))
    equal(got["dfvfs-image.vhd"], (0, "damaged"))


@case("many children of one parent")
def _():
    os.mkdir("d")
    vhdkit("create", "--size", "64K", "d/base.vhd")
    vhdkit("create", "--parent", "d/base.vhd", "child")
    for i in range(2000):
        shutil.copy("child", f"d/{i}.vhd")
    got, _ = listed("d")
    equal(len(got), 2001)
    equal(sum(depth == 1 for depth, _ in got.values()), 2000)


run()
