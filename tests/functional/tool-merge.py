#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit merge: a child becomes part of its parent, whatever comes between."""

import os
import random
import shutil
import subprocess
import time

from inplacetest import capped
from servertest import served
from tooltest import (KiB, MiB, VHDKIT, case, check, content, equal,
                      read_json, refused, run, same_bytes, vhdkit)
from vhdimage import Image

TEMPORARY = 1


def at(name, off, data):
    vhdkit("write", "--offset", str(off), name, data=data)


def chain(*args):
    """base: b at 0..4M; middle: zeros at 1M, m at 2M; top: t at 3M."""
    vhdkit("create", "--size", "8M", *args, "base.vhd")
    at("base.vhd", 0, b"b" * 4 * MiB)
    vhdkit("create", "--parent", "base.vhd", "middle.vhd")
    at("middle.vhd", MiB, bytes(MiB))
    at("middle.vhd", 2 * MiB, b"m" * 100 * KiB)
    vhdkit("create", "--parent", "middle.vhd", "top.vhd")
    at("top.vhd", 3 * MiB, b"t" * 100 * KiB)


def family(name):
    got = read_json("info", "--json", "--chain", name)
    return [os.path.basename(i["filename"]) for i in got]


@case("the one on top: its parent reads as it did, whatever hid zeros")
def _():
    for kind in "dynamic", "fixed":
        chain("--type", kind)
        os.remove("top.vhd")
        before = content("middle.vhd")
        mode = os.stat("base.vhd").st_ino
        vhdkit("merge", "middle.vhd")
        equal(os.listdir(), ["base.vhd"])
        equal(os.stat("base.vhd").st_ino, mode)
        same_bytes(content("base.vhd"), before)
        vhdkit("check", "base.vhd")
        os.remove("base.vhd")


@case("one in the middle: its children are its parent's from then on")
def _():
    chain()
    vhdkit("create", "--parent", "middle.vhd", "other top.vhd")
    before = content("top.vhd"), content("other top.vhd")
    vhdkit("merge", "middle.vhd")
    equal(sorted(os.listdir()), ["base.vhd", "other top.vhd", "top.vhd"])
    for name, data in zip(("top.vhd", "other top.vhd"), before):
        equal(family(name), [name, "base.vhd"])
        same_bytes(content(name), data)
        vhdkit("check", name)


@case("into a parent that is a child itself, in another folder")
def _():
    chain()
    os.mkdir("in")
    vhdkit("create", "--root", ".", "--parent", "top.vhd", "in/last.vhd")
    at_root = ("--root", ".")
    vhdkit("write", *at_root, "--offset", "0", "in/last.vhd",
           data=bytes(MiB) + b"l" * 512)
    before = content("in/last.vhd", *at_root)
    refused("merge", "in/last.vhd", says="--root")
    vhdkit("merge", *at_root, "in/last.vhd")
    same_bytes(content("top.vhd"), before)
    equal(family("top.vhd"), ["top.vhd", "middle.vhd", "base.vhd"])
    vhdkit("merge", "top.vhd")
    vhdkit("merge", "middle.vhd")
    same_bytes(content("base.vhd"), before)
    equal(os.listdir("in"), [])
    vhdkit("check", "base.vhd")


@case("a parent that has other children is left alone, unless told")
def _():
    chain()
    vhdkit("create", "--parent", "base.vhd", "other.vhd")
    before = content("base.vhd")
    refused("merge", "middle.vhd", says=["other.vhd", "worth nothing"])
    same_bytes(content("base.vhd"), before)
    vhdkit("check", "top.vhd")
    vhdkit("check", "other.vhd")
    # A mark that somebody else set is not believed.
    image = Image("middle.vhd")
    image.footer.features = image.footer.features | TEMPORARY
    image.save()
    refused("merge", "middle.vhd", says=["other.vhd", "worth nothing"])
    same_bytes(content("base.vhd"), before)
    vhdkit("merge", "--spoil-others", "middle.vhd")
    equal(family("top.vhd"), ["top.vhd", "base.vhd"])


@case("what cannot be merged is told, and stays")
def _():
    chain()
    before = content("top.vhd")
    refused("merge", "base.vhd", says="no parent")
    for name in "top.vhd", "middle.vhd":
        with served(name, "--readonly"):
            refused("merge", "middle.vhd", says=["vhdkitd", "pid"])
    vhdkit("create", "--parent", "top.vhd", "--size", "16M", "larger.vhd")
    refused("merge", "larger.vhd", says="as large")
    os.remove("larger.vhd")
    image = Image("top.vhd")
    image.footer.saved_state = 1
    image.save()
    refused("merge", "top.vhd", says="virtual machine")
    image.footer.saved_state = 0
    image.save()
    same_bytes(content("top.vhd"), before)
    equal(family("top.vhd"), ["top.vhd", "middle.vhd", "base.vhd"])


@case("a child that another name leads to, and children that others do")
def _():
    os.mkdir("in")
    os.chdir("in")
    chain()
    os.chdir("..")
    before = content("in/top.vhd")
    os.symlink("in/middle.vhd", "link.vhd")
    refused("merge", "link.vhd", says="leads to")
    same_bytes(content("in/top.vhd"), before)
    os.rename("in/top.vhd", "top.vhd")
    os.symlink("../top.vhd", "in/top.vhd")
    vhdkit("merge", "--root", ".", "in/middle.vhd")
    os.rename("in/base.vhd", "in/moved.vhd")
    os.mkdir("other")
    for old, new in ("top.vhd", "other/top.vhd"), ("in", "other/in"):
        os.rename(old, new)
    os.rename("other/in/moved.vhd", "other/in/base.vhd")
    same_bytes(content("other/top.vhd", "--root", "other"), before)


@case("where no more fits in, nothing is lost; and later it goes on")
def _():
    chain()
    os.remove("top.vhd")
    at("middle.vhd", 4 * MiB, b"M" * 4 * MiB)
    vhdkit("create", "--parent", "middle.vhd", "top.vhd")
    before = content("middle.vhd"), content("top.vhd")
    mtime = os.stat("base.vhd").st_mtime_ns

    done = capped(os.path.getsize("base.vhd") + 100 * KiB, "merge",
                  "middle.vhd")
    check(b"same command" in done.stderr, done.stderr.decode())
    same_bytes(content("middle.vhd"), before[0])
    same_bytes(content("top.vhd"), before[1])
    equal(os.stat("base.vhd").st_mtime_ns, mtime, "its time of change")
    vhdkit("check", "top.vhd")
    vhdkit("merge", "middle.vhd")
    same_bytes(content("top.vhd"), before[1])
    same_bytes(content("base.vhd"), before[0])


@case("what was interrupted while children were led on is finished")
def _():
    for led in 0, 1:
        chain()
        vhdkit("create", "--parent", "middle.vhd", "top2.vhd")
        before = content("top.vhd"), content("top2.vhd")
        image = Image("middle.vhd")
        image.footer.features = image.footer.features | TEMPORARY
        os.mkdir("old")
        for name in "top.vhd", "top2.vhd":
            shutil.copy2(name, "old")
        vhdkit("merge", "middle.vhd")
        image.save("middle.vhd")
        for name in ["top.vhd", "top2.vhd"][led:]:
            os.rename(f"old/{name}", name)
        vhdkit("merge", "middle.vhd")
        check(not os.path.exists("middle.vhd"), "the child is there")
        for name, data in zip(("top.vhd", "top2.vhd"), before):
            same_bytes(content(name), data)
            equal(family(name), [name, "base.vhd"])
        shutil.rmtree("old")
        for name in os.listdir():
            os.remove(name)


@case("children that were led on see no later change of their parent")
def _():
    chain()
    image = Image("middle.vhd")
    image.footer.features = image.footer.features | TEMPORARY
    for _ in range(2):
        time.sleep(1.1)  # a child records seconds
        vhdkit("merge", "middle.vhd")
        image.save("middle.vhd")
    vhdkit("merge", "middle.vhd")
    check(not os.path.exists("middle.vhd"), "the child is there")
    vhdkit("check", "top.vhd")


@case("the mark of what is temporary, half made, stands in no way")
def _():
    vhdkit("create", "--size", "4M", "--type", "fixed", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "middle.vhd")
    at("middle.vhd", 0, os.urandom(4 * MiB))
    vhdkit("create", "--parent", "middle.vhd", "top.vhd")
    before = content("top.vhd")

    # Its footer at the end cannot be written.
    capped(os.path.getsize("middle.vhd") - 512, "merge", "middle.vhd",
           kills=True)
    check(os.path.getsize("middle.vhd.vhdkit-redo") > 0, "nothing is left")
    vhdkit("merge", "middle.vhd")
    same_bytes(content("top.vhd"), before)
    same_bytes(content("base.vhd"), before)
    equal(sorted(os.listdir()), ["base.vhd", "top.vhd"])


@case("kill -9 at any time: the same command finishes it")
def _():
    chance = random.Random(7)
    took = 0.4
    killed = 0
    for i in range(int(os.environ.get("MERGE_KILLS", "8"))):
        for name in os.listdir():
            os.remove(name)
        chain()
        at("middle.vhd", 4 * MiB, os.urandom(3 * MiB))
        before = content("top.vhd")
        for _ in range(3):
            begun = time.monotonic()
            with subprocess.Popen([VHDKIT, "merge", "middle.vhd"],
                                  stderr=subprocess.DEVNULL) as merge:
                try:
                    merge.wait(chance.random() * took)
                    took = max(0.02, 1.2 * (time.monotonic() - begun))
                except subprocess.TimeoutExpired:
                    merge.kill()
                    killed += 1
            same_bytes(content("top.vhd"), before)
        if os.path.exists("middle.vhd"):
            vhdkit("merge", "middle.vhd")
        same_bytes(content("top.vhd"), before)
        equal(family("top.vhd"), ["top.vhd", "base.vhd"])
        equal(vhdkit("check", "top.vhd").returncode, 0, f"round {i}")
    check(killed > 0, "none was killed")


run()
