#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit rebase: another parent for a child, whose disk stays what it is."""

import os
import shutil

from mounttest import goes_with_us, root_or_skip, unmount
from servertest import served
from tooltest import (KiB, MiB, case, check, contains, content, equal,
                      read_json, refused, run, same_bytes, vhdkit)
from vhdimage import Image


def at(name, off, data):
    vhdkit("write", "--offset", str(off), name, data=data)


def chain():
    """base: b at 0 and 4M; middle: m at 1M; top: t at 2M."""
    vhdkit("create", "--size", "8M", "base.vhd")
    at("base.vhd", 0, b"b" * 64 * KiB)
    at("base.vhd", 4 * MiB, b"b" * 64 * KiB)
    vhdkit("create", "--parent", "base.vhd", "middle.vhd")
    at("middle.vhd", MiB, b"m" * 64 * KiB)
    vhdkit("create", "--parent", "middle.vhd", "top.vhd")
    at("top.vhd", 2 * MiB, b"t" * 64 * KiB)


def parents(name, *args):
    got = read_json("info", "--json", "--chain", *args, name)
    return [os.path.basename(i["filename"]) for i in got[1:]]


@case("a parent of the same content: a copy elsewhere, by its new way")
def _():
    chain()
    os.mkdir("in")
    before = content("top.vhd")
    shutil.copy2("middle.vhd", "in/other name.vhd")
    shutil.copy2("base.vhd", "in/base.vhd")
    mtime = os.stat("top.vhd").st_mtime_ns
    vhdkit("rebase", "top.vhd", "in/other name.vhd")
    os.remove("middle.vhd")
    same_bytes(content("top.vhd"), before)
    equal(parents("top.vhd"), ["other name.vhd", "base.vhd"])
    vhdkit("check", "top.vhd")
    equal(os.stat("top.vhd").st_mtime_ns, mtime, "its time of change")
    image = Image("top.vhd")
    equal([image.locator_text(l) for l in image.locators if l.len],
          [os.path.realpath("in/other name.vhd").replace("/", "\\"),
           ".\\in\\other name.vhd"])
    check(not os.path.exists("top.vhd.vhdkit-redo"), "nothing is left")


@case("the way is from where the child lies, not from what leads to it")
def _():
    os.mkdir("in")
    os.chdir("in")
    chain()
    shutil.copy2("middle.vhd", "new.vhd")
    os.chdir("..")
    os.symlink("in/top.vhd", "link.vhd")
    vhdkit("rebase", "link.vhd", "in/new.vhd")
    image = Image("in/top.vhd")
    equal(image.locator_text(image.locators[1]), ".\\new.vhd")


@case("what differs is told of, and nothing is done; --copy copies it")
def _():
    chain()
    before, file = content("top.vhd"), Image("top.vhd").bytes
    mtime = os.stat("top.vhd").st_mtime_ns
    refused("rebase", "top.vhd", "base.vhd",
            says=["top.vhd", str(MiB), "--copy"])
    same_bytes(Image("top.vhd").bytes, file)
    equal(os.stat("top.vhd").st_mtime_ns, mtime, "its time of change")
    vhdkit("rebase", "--copy", "top.vhd", "base.vhd")
    equal(os.stat("top.vhd").st_mtime_ns, mtime, "its time of change")
    os.remove("middle.vhd")
    same_bytes(content("top.vhd"), before)
    equal(parents("top.vhd"), ["base.vhd"])
    vhdkit("check", "top.vhd")
    holds = [r for r in read_json("map", "--json", "top.vhd")
             if r["depth"] == 0 and r["data"]]
    equal(sum(r["length"] for r in holds), 128 * KiB, "what the child holds")


@case("on a full disk nothing has changed, as children see it")
def _():
    os.mkdir("full")
    root_or_skip("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", "full")
    try:
        vhdkit("create", "--size", "2M", "--block-size", "64K", "full/base.vhd")
        shutil.copy2("full/base.vhd", "full/other.vhd")
        at("full/other.vhd", MiB, b"o" * 512 * KiB)
        vhdkit("create", "--parent", "full/base.vhd", "full/middle.vhd")
        at("full/middle.vhd", 0, b"m" * 512 * KiB)
        vhdkit("create", "--parent", "full/middle.vhd", "full/top.vhd")
        before = content("full/top.vhd")
        mtime = os.stat("full/middle.vhd").st_mtime_ns
        room = os.statvfs("full").f_bavail * os.statvfs("full").f_bsize
        with open("full/rest", "wb") as file:
            file.write(bytes(room - 100 * KiB))
        refused("rebase", "--copy", "full/middle.vhd", "full/other.vhd",
                says="No space left")
        equal(os.stat("full/middle.vhd").st_mtime_ns, mtime, "time of change")
        vhdkit("check", "full/top.vhd")
        same_bytes(content("full/top.vhd"), before)
        os.remove("full/rest")
        vhdkit("rebase", "--copy", "full/middle.vhd", "full/other.vhd")
        same_bytes(content("full/top.vhd"), before)
    finally:
        unmount("full")


@case("zeros that hid something are copied as zeros, and what is longer")
def _():
    vhdkit("create", "--size", "4M", "old.vhd")
    vhdkit("create", "--parent", "old.vhd", "--size", "6M", "child.vhd")
    vhdkit("create", "--size", "8M", "new.vhd")
    at("new.vhd", 0, b"n" * 4096)
    at("new.vhd", 5 * MiB, b"n" * 8192)
    vhdkit("rebase", "--copy", "child.vhd", "new.vhd")
    same_bytes(content("child.vhd"), bytes(6 * MiB))
    vhdkit("check", "child.vhd")


@case("--unchecked asks for no former parent")
def _():
    chain()
    os.remove("middle.vhd")
    refused("rebase", "--copy", "top.vhd", "base.vhd", says="not found")
    vhdkit("rebase", "--unchecked", "top.vhd", "base.vhd")
    equal(parents("top.vhd"), ["base.vhd"])
    got = content("top.vhd")
    equal(got[MiB:MiB + 4], bytes(4))
    equal(got[2 * MiB:2 * MiB + 4], b"tttt")
    refused("rebase", "--unchecked", "base.vhd", "top.vhd", says="base.vhd")
    vhdkit("create", "--size", "8M", "alone.vhd")
    refused("rebase", "--unchecked", "alone.vhd", "base.vhd",
            says="no differencing image")


@case("no circle, no image that is in use, and a way that is too long")
def _():
    chain()
    refused("rebase", "middle.vhd", "top.vhd", says="part of the chain")
    refused("rebase", "top.vhd", "top.vhd", says="part of the chain")
    with served("top.vhd"):
        refused("rebase", "top.vhd", "base.vhd", says=["vhdkitd", "pid"])
        refused("rebase", "--unchecked", "top.vhd", "base.vhd",
                says=["vhdkitd", "pid"])
    vhdkit("create", "--size", "8M", "written.vhd")
    with served("written.vhd"):
        refused("rebase", "--unchecked", "top.vhd", "written.vhd",
                says="vhdkitd")
    folder = "/".join(["long" * 20] * 12)
    os.makedirs(folder)
    shutil.copy2("middle.vhd", f"{folder}/middle.vhd")
    shutil.copy2("base.vhd", f"{folder}/base.vhd")
    before = content("top.vhd")
    for target in (f"{folder}/middle.vhd", "middle.vhd"):
        vhdkit("rebase", "top.vhd", target)
        same_bytes(content("top.vhd"), before)
        vhdkit("check", "top.vhd")
        equal(os.path.getsize("top.vhd") % 4096, 0, "file size modulo 4096")
    at("top.vhd", 6 * MiB, b"more")
    equal(content("top.vhd")[6 * MiB:][:4], b"more")
    contains(str(parents("top.vhd")), "middle")


goes_with_us()
run()
