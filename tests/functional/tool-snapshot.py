#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit snapshot and revert: a state to go back to, and the way back."""

import os
import stat

from servertest import served
from tooltest import (MiB, case, check, contains, content, equal, read_json,
                      refused, run, same_bytes, vhdkit)
from vhdimage import Image


def disk(name="disk.vhd", *args):
    vhdkit("create", "--size", "8M", *args, name)
    vhdkit("write", name, data=b"old " * 1024)


def frozen(*args):
    return vhdkit("snapshot", *args).out.strip()


@case("the image goes on under its name, and reads the same")
def _():
    disk()
    before, inode = content("disk.vhd"), os.stat("disk.vhd").st_ino
    base = frozen("disk.vhd")
    check(base.startswith("disk-2") and base.endswith(".vhd"), base)
    equal(os.stat(base).st_ino, inode, "what was frozen is the file itself")
    equal(os.stat(base).st_nlink, 1, "names")
    same_bytes(content("disk.vhd"), before)
    vhdkit("write", "disk.vhd", data=b"new!")
    same_bytes(content(base), before)
    equal(content("disk.vhd")[:8], b"new!old ")
    equal(Image("disk.vhd").header.parent_id, Image(base).footer.id)
    equal(vhdkit("check", "disk.vhd").returncode, 0)
    equal(sorted(os.listdir()), sorted([base, "disk.vhd"]))


@case("snapshots one upon the other, within one second")
def _():
    disk()
    names = [frozen("disk.vhd") for _ in range(5)]
    equal(len(set(names)), 5, "names")
    equal(read_json("info", "--json", "disk.vhd")["depth"], 5)
    vhdkit("check", "disk.vhd")
    equal(content("disk.vhd")[:4], b"old ")


@case("fixed images, and ones in other folders by other names")
def _():
    os.mkdir("in")
    disk("in/fixed.vhd", "--type", "fixed")
    os.chmod("in/fixed.vhd", 0o640)
    equal(frozen("--base", "in/state 1.vhd", "in/fixed.vhd"),
          "in/state 1.vhd")
    equal(stat.S_IMODE(os.stat("in/fixed.vhd").st_mode), 0o640, "mode")
    equal(content("in/fixed.vhd")[:4], b"old ")
    vhdkit("check", "in/fixed.vhd")


@case("with a name for the child, the image stays")
def _():
    disk()
    equal(vhdkit("snapshot", "disk.vhd", "child.vhd").out, "")
    equal(Image("child.vhd").header.parent_id, Image("disk.vhd").footer.id)
    refused("snapshot", "disk.vhd", "child.vhd", says="already exists")
    refused("snapshot", "--base", "x.vhd", "disk.vhd", "other.vhd",
            says="--base")


@case("what cannot be frozen stays as it is")
def _():
    disk()
    before = os.stat("disk.vhd")

    def unchanged(*files):
        equal(sorted(set(os.listdir()) - {"vhdkitd.log"}), sorted(files))
        equal(os.stat("disk.vhd").st_ino, before.st_ino)
        equal(os.stat("disk.vhd").st_nlink, 1, "names")
    with open("there.vhd", "wb"):
        refused("snapshot", "--base", "there.vhd", "disk.vhd",
                says="already exists")
    unchanged("there.vhd", "disk.vhd")
    os.remove("there.vhd")
    refused("snapshot", "--base", "no/where.vhd", "disk.vhd")
    refused("snapshot", "--base", "/dev/shm/vhdkit-test-elsewhere", "disk.vhd",
            says="another file system")
    with served("disk.vhd"):
        refused("snapshot", "disk.vhd", says=["disk.vhd", "vhdkitd", "pid"])
    unchanged("disk.vhd")
    os.symlink("disk.vhd", "link.vhd")
    refused("snapshot", "link.vhd", says="leads to")
    os.remove("link.vhd")
    vhdkit("snapshot", "disk.vhd", "child.vhd")
    refused("snapshot", "disk.vhd", says=["parent of './child.vhd'",
                                          "another name"])
    unchanged("child.vhd", "disk.vhd")


@case("what was killed between its two steps is gone on with")
def _():
    disk()
    before = content("disk.vhd")
    os.link("disk.vhd", "base.vhd")
    for name in ("disk.vhd", "./disk.vhd", f"../{os.path.basename(os.getcwd())}"
                 "/disk.vhd"):
        refused("snapshot", "--base", name, "disk.vhd", says="already exists")
    with served("disk.vhd"):
        refused("snapshot", "--base", "base.vhd", "disk.vhd", says="vhdkitd")
    check(os.path.samefile("disk.vhd", "base.vhd"), "the name has gone")
    # And one who was killed before the second.
    vhdkit("snapshot", "disk.vhd", "child.vhd")
    os.rename("child.vhd", ".vhdkit-0123456789abcdef.tmp")
    equal(frozen("--base", "base.vhd", "disk.vhd"), "base.vhd")
    equal(sorted(set(os.listdir()) - {"vhdkitd.log"}),
          ["base.vhd", "disk.vhd"])
    same_bytes(content("disk.vhd"), before)
    equal(read_json("info", "--json", "disk.vhd")["depth"], 1)
    equal(os.stat("base.vhd").st_nlink, 1, "names")


@case("revert: the child is empty, and what it was but for that")
def _():
    disk()
    base = frozen("disk.vhd")
    os.chmod("disk.vhd", 0o600)
    vhdkit("write", "disk.vhd", data=b"new!" * MiB)
    before = Image("disk.vhd")
    vhdkit("revert", "disk.vhd")
    after = Image("disk.vhd")
    same_bytes(content("disk.vhd"), content(base))
    check(len(after.bytes) < 16384, "an empty child is small")
    check(after.footer.id != before.footer.id, "an id of its own")
    equal(after.header.parent_id, before.header.parent_id)
    equal(stat.S_IMODE(os.stat("disk.vhd").st_mode), 0o600, "mode")
    vhdkit("check", "disk.vhd")
    equal(sorted(os.listdir()), sorted([base, "disk.vhd"]))


@case("revert keeps size, block size and the way to the parent")
def _():
    os.mkdir("bases")
    os.mkdir("in")
    vhdkit("create", "--size", "4M", "bases/base.vhd")
    vhdkit("create", "--root", ".", "--parent", "bases/base.vhd", "--size",
           "6M", "--block-size", "512K", "--absolute", "in/child.vhd")
    refused("revert", "in/child.vhd", says="--root")
    vhdkit("revert", "--root", ".", "in/child.vhd")
    image = Image("in/child.vhd")
    equal(image.footer.current_size, 6 * MiB)
    equal(image.header.block_size, 512 * 1024)
    equal([l.code for l in image.locators if l.code != bytes(4)], [b"W2ku"])


@case("revert refuses what has no parent, has children, or is in use")
def _():
    disk()
    refused("revert", "disk.vhd", says="no parent")
    vhdkit("snapshot", "disk.vhd", "child.vhd")
    vhdkit("write", "child.vhd", data=b"new!")
    before = content("child.vhd")
    with served("child.vhd"):
        refused("revert", "child.vhd", says=["vhdkitd", "pid"])
    vhdkit("snapshot", "child.vhd", "grandchild.vhd")
    refused("revert", "child.vhd", says="parent of './grandchild.vhd'")
    same_bytes(content("child.vhd"), before)
    os.rename("disk.vhd", "gone")
    refused("revert", "grandchild.vhd", says="not found")
    contains(str(os.listdir()), "grandchild.vhd")


run()
