#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Parents that change under their children: found in the child, told of before
it happens, and not done by mistake."""

import os
import shutil
import tempfile

from fronttest import needs_root
from servertest import connect, served
from tooltest import (DENIED, VHDKIT, MiB, Skip, case, check, contains, equal,
                      need, program, read_json, refused, run, vhdkit)
from vhdimage import EPOCH, Image


def family():
    vhdkit("create", "--size", "4M", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")


def verdict(path):
    done = vhdkit("check", "--json", path, code=None)
    got = read_json("check", "--json", path, code=done.returncode)
    return done.returncode, [(f["severity"], f["code"])
                             for f in got["findings"]], got


def doubtful(path, child="child.vhd", parent="base.vhd"):
    status, findings, got = verdict(path)
    equal((status, findings), (4, [("doubtful", "parent-timestamp")]))
    equal((got["result"], got["doubts"]), ("doubtful", 1))
    contains(got["findings"][0]["message"], parent)
    contains(got["findings"][0]["message"], "was changed after")
    equal(os.path.basename(got["findings"][0]["path"]), child)


def sound(path):
    equal(verdict(path)[:2], (0, []))


@case("create a base, create a child, write to the base: that is found")
def _():
    family()
    sound("child.vhd")
    vhdkit("write", "base.vhd", data=b"change")
    doubtful("child.vhd")
    contains(vhdkit("check", "child.vhd", code=4).out, "doubtful: child.vhd: ")
    for verb in (("read", "child.vhd", "/dev/null"), ("info", "child.vhd"),
                 ("map", "child.vhd"),
                 ("create", "--parent", "child.vhd", "grandchild.vhd")):
        done = vhdkit(*verb)
        contains(done.out + done.err, "was changed after")
    contains(vhdkit("write", "child.vhd", data=b"x").err, "was changed after")


@case("so is a base that is written to seconds later, or years")
def _():
    for later in (1, 10 ** 8):
        family()
        at = Image("child.vhd").header.parent_timestamp + EPOCH
        os.utime("base.vhd", (at + later, at + later))
        doubtful("child.vhd")
        os.utime("base.vhd", (at, at))
        sound("child.vhd")
        os.remove("base.vhd")
        os.remove("child.vhd")


@case("and in the middle of a chain, once")
def _():
    family()
    vhdkit("create", "--parent", "child.vhd", "last.vhd")
    vhdkit("write", "base.vhd", data=b"change")
    doubtful("last.vhd")


@case("what leaves a base as it was is no change")
def _():
    family()
    vhdkit("write", "base.vhd", data=b"")
    sound("child.vhd")
    vhdkit("read", "base.vhd", "/dev/null")
    vhdkit("check", "base.vhd")
    with served("base.vhd"):
        h = connect()
        h.pread(512, 0)
        h.shutdown()
    sound("child.vhd")
    os.mkdir("copy")
    for name in ("child.vhd", "base.vhd"):
        shutil.copy2(name, "copy")
    sound("copy/child.vhd")


@case("an older base, one that was put back, is noted")
def _():
    family()
    os.utime("base.vhd", (10 ** 9, 10 ** 9))
    status, findings, got = verdict("child.vhd")
    equal((status, findings), (0, [("note", "parent-timestamp")]))
    contains(got["findings"][0]["message"], "older than recorded")


@case("a copy without its times is in doubt; what is said about it helps")
def _():
    family()
    os.mkdir("copy")
    for name in ("child.vhd", "base.vhd"):
        shutil.copy(name, "copy")
    at = os.stat("base.vhd").st_mtime
    os.utime("copy/base.vhd", (at + 100, at + 100))
    doubtful("copy/child.vhd")
    message = verdict("copy/child.vhd")[2]["findings"][0]["message"]
    command = message[message.index("touch -d "):]
    equal(os.system(f"{command} copy/base.vhd"), 0)
    sound("copy/child.vhd")


@case("no time recorded, as Windows 10 has it, or when the base was made")
def _():
    family()
    vhdkit("write", "base.vhd", data=b"change")
    child = Image("child.vhd")
    child.header.parent_timestamp = 0
    child.save()
    sound("child.vhd")
    made = Image("base.vhd").footer.timestamp
    os.utime("base.vhd", (made + EPOCH + 50, made + EPOCH + 50))
    child.header.parent_timestamp = made
    child.save()
    doubtful("child.vhd")
    child.footer.creator = b"vbox"
    child.save()
    sound("child.vhd")


@case("write warns of a child beside the image, and does it")
def _():
    family()
    done = vhdkit("write", "base.vhd", data=b"change")
    contains(done.err, "warning: base.vhd: it is the parent of './child.vhd'")
    equal(len(done.err.splitlines()), 1, "lines")
    equal(vhdkit("read", "--length", "6", "base.vhd").stdout, b"change")
    equal(vhdkit("write", "child.vhd", data=b"x").err.count("the parent of"),
          0, "warnings of a child that has none itself")
    vhdkit("create", "--size", "4M", "alone.vhd")
    equal(vhdkit("write", "alone.vhd", data=b"x").err, "")


@case("what is no image, or cannot be read, is nobody's child")
def _():
    family()
    os.remove("child.vhd")
    os.mkfifo("fifo.vhd")
    os.mkdir("folder.vhd")
    os.symlink("nowhere", "dangling.vhd")
    os.symlink("base.vhd", "link.vhd")
    for name, data in (("empty", b""), ("short", b"x" * 511),
                       ("junk", b"conectix" * 500)):
        with open(name, "wb") as file:
            file.write(data)
    equal(vhdkit("write", "base.vhd", data=b"x").err, "")


@case("the server warns when it opens a named image that has a child")
def _():
    family()
    with served("base.vhd") as server:
        contains(server.log(), "parent of './child.vhd'")
    with served("--readonly", "base.vhd") as server:
        check("parent of" not in server.log(), server.log())


@case("the server warns of a change deeper in the chain, too")
def _():
    family()
    vhdkit("create", "--parent", "child.vhd", "grandchild.vhd")
    future = os.stat("base.vhd").st_mtime + 60
    os.utime("base.vhd", (future, future))
    with served("--readonly", "grandchild.vhd") as server:
        contains(server.log(), "child.vhd: the parent")


@case("times of a parent that a child cannot record are first and last ones")
def _():
    for at in (1, EPOCH - 10, EPOCH, EPOCH + 2 ** 32 + 100):
        vhdkit("create", "--size", "4M", "base.vhd")
        os.utime("base.vhd", (at, at))
        vhdkit("create", "--parent", "base.vhd", "child.vhd")
        sound("child.vhd")
        if at <= EPOCH:
            vhdkit("write", "base.vhd", data=b"change")
            doubtful("child.vhd")
        os.remove("base.vhd")
        os.remove("child.vhd")


@case("a base on another file system, written to within the same second")
def _():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        child = os.path.join(other, "child.vhd")
        if os.stat(other).st_dev == os.stat(".").st_dev:
            raise Skip("one file system only")
        # A second has its end, so that the two may fall into different ones.
        for _ in range(3):
            vhdkit("create", "--size", "4M", "base.vhd")
            vhdkit("create", "--root", "/", "--parent", "base.vhd", child)
            vhdkit("write", "base.vhd", data=b"change")
            contains(vhdkit("check", "--root", "/", child, code=4).out,
                     "was changed after")
            os.remove("base.vhd")
            os.remove(child)


@case("of parents that differ in case, the one with the right id is it")
def _():
    vhdkit("create", "--size", "4M", "Base.vhd")
    vhdkit("create", "--parent", "Base.vhd", "child.vhd")
    os.rename("Base.vhd", "right")
    others = ["BASE.vhd", "base.VHD", "base.vhd", "BAse.vhd"]
    for name in others:
        vhdkit("create", "--size", "4M", name)
    for name in ("bASE.vhd", "baSe.vhd", "BaSe.vhd"):
        os.rename("right", name)
        sound("child.vhd")
        contains(vhdkit("write", name, data=b"").err, "the parent of")
        equal(vhdkit("write", "BASE.vhd", data=b"").err, "")
        os.rename(name, "right")
    # To the letter, and yet another image.
    vhdkit("create", "--size", "4M", "Base.vhd")
    os.rename("right", "bASE.vhd")
    sound("child.vhd")
    os.remove("bASE.vhd")
    contains(vhdkit("check", "child.vhd", code=None).out, "has the id")


@case("--overwrite looks for children in a large folder, too")
def _():
    family()
    vhdkit("create", "--size", "1M", "other.vhd")
    for i in range(1500):
        with open(f"{i}.txt", "wb"):
            pass
    # Where in the folder a name comes is up to the file system.
    for i in range(12):
        os.rename("child.vhd", f"child-{i}.vhd")
        refused("create", "--size", "1M", "--overwrite", "base.vhd",
                says="parent of")
        refused("read", "--overwrite", "other.vhd", "base.vhd",
                says="parent of")
        os.rename(f"child-{i}.vhd", "child.vhd")


@case("--overwrite does not replace an image that has a child beside it")
def _():
    family()
    vhdkit("create", "--size", "1M", "other.vhd")
    before = os.stat("base.vhd")
    for verb in (("create", "--size", "1M", "--overwrite", "base.vhd"),
                 ("read", "--overwrite", "other.vhd", "base.vhd")):
        refused(*verb, says=["base.vhd", "parent of './child.vhd'"])
        equal(os.stat("base.vhd"), before, "the base")
    # Nor one that is damaged, whose id is known.
    image = Image("base.vhd")
    image.header.checksum = 1
    image.save()
    refused("create", "--size", "1M", "--overwrite", "base.vhd",
            says="parent of './child.vhd'")
    os.remove("child.vhd")
    vhdkit("read", "--overwrite", "other.vhd", "base.vhd")
    equal(os.path.getsize("base.vhd"), MiB, "size")


@case("a copy of a parent is nobody's parent while the parent is there")
def _():
    family()
    vhdkit("create", "--size", "1M", "other.vhd")
    shutil.copy2("base.vhd", "copy.vhd")
    equal(vhdkit("write", "copy.vhd", data=b"x").err, "")
    with served("copy.vhd") as server:
        check("parent of" not in server.log(), server.log())
    contains(vhdkit("write", "base.vhd", data=b"").err, "the parent of")
    refused("read", "--overwrite", "other.vhd", "base.vhd",
            says="parent of './child.vhd'")
    vhdkit("read", "--overwrite", "other.vhd", "copy.vhd")
    sound("child.vhd")


@case("but a parent under another name, or that was moved, is the parent")
def _():
    family()
    vhdkit("create", "--size", "1M", "other.vhd")
    shutil.copy2("base.vhd", "copy.vhd")
    os.symlink("base.vhd", "soft.vhd")
    os.link("base.vhd", "hard.vhd")
    for name in ("soft.vhd", "hard.vhd"):
        contains(vhdkit("write", name, data=b"").err, "the parent of")
    refused("read", "--overwrite", "other.vhd", "hard.vhd",
            says="parent of './child.vhd'")
    for name in ("base.vhd", "soft.vhd", "hard.vhd"):
        os.remove(name)
    # Nobody knows whether this is the parent: it may be all there is of it.
    refused("read", "--overwrite", "other.vhd", "copy.vhd",
            says="parent of './child.vhd'")
    # What took the parent's place and has another id does not count.
    os.rename("other.vhd", "base.vhd")
    refused("create", "--size", "1M", "--overwrite", "copy.vhd",
            says="parent of './child.vhd'")
    vhdkit("create", "--size", "1M", "--overwrite", "base.vhd")


@case("the parent that a child finds in another folder is not the copy here")
def _():
    os.mkdir("bases")
    vhdkit("create", "--size", "4M", "bases/base.vhd")
    vhdkit("create", "--root", ".", "--parent", "bases/base.vhd", "child.vhd")
    shutil.copy2("bases/base.vhd", "copy.vhd")
    equal(vhdkit("write", "copy.vhd", data=b"x").err, "")
    os.rename("bases", "gone")
    contains(vhdkit("write", "copy.vhd", data=b"x").err, "the parent of")
    # One of that name beside the child is found there.
    shutil.copy2("copy.vhd", "base.vhd")
    equal(vhdkit("write", "copy.vhd", data=b"x").err, "")
    contains(vhdkit("write", "base.vhd", data=b"x").err, "the parent of")


@case("a folder of VHDKIT_ROOTS that is not there stands in nobody's way")
def _():
    os.mkdir("in")
    vhdkit("create", "--size", "1M", "out.vhd")
    vhdkit("create", "--parent", "out.vhd", "in/child.vhd", "--root", ".")
    for roots, image in (("gone:.", "in/child.vhd"), ("gone", "out.vhd")):
        stale = {"VHDKIT_ROOTS": roots}
        for verb in "info", "check", "read", "map":
            vhdkit(verb, image, env=stale)
    vhdkit("create", "--parent", "in/child.vhd", "in/new.vhd",
           env={"VHDKIT_ROOTS": "gone:."})
    refused("read", "in/child.vhd", env={"VHDKIT_ROOTS": "gone"},
            says="out.vhd")


def by_nobody(*args, **more):
    """vhdkit, run by a user who owns nothing."""
    done = program("setpriv", "--reuid=65534", "--regid=65534",
                   "--clear-groups", VHDKIT, *args, **more)
    if done.returncode in (126, 127):
        raise Skip("the build is not readable for others")
    return done


@case("an old copy does not take the place of a parent that cannot be seen")
def _():
    needs_root()
    need("setpriv")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/bases")
        base, child = f"{folder}/bases/base.vhd", f"{folder}/child.vhd"
        vhdkit("create", "--size", "4M", base)
        vhdkit("write", base, data=b"1" * 512)
        shutil.copy2(base, f"{folder}/base.vhd")
        vhdkit("write", base, data=b"2" * 512)
        vhdkit("create", "--root", folder, "--parent", base, child)
        for path in (base, f"{folder}/base.vhd", child):
            os.chmod(path, 0o644)

        def reads(mark):
            equal(by_nobody("read", "--length", "512", child, "-").stdout,
                  mark * 512)
        reads(b"2")
        os.chmod(f"{folder}/bases", 0o744)  # to be listed, not searched
        done = by_nobody("read", "--length", "512", child, "-", code=DENIED)
        for part in (child, "bases/base.vhd", "cannot be told",
                     "Permission denied"):
            contains(done.err, part)
        os.chmod(f"{folder}/bases", 0o711)  # and the other way round
        reads(b"2")
        # Here it is known not to be there.
        os.rename(base, f"{folder}/bases/other.vhd")
        reads(b"1")


@case("a link in a circle leads to no file, and so does a file as a folder")
def _():
    os.mkdir("bases")
    vhdkit("create", "--size", "4M", "bases/base.vhd")
    vhdkit("create", "--root", ".", "--parent", "bases/base.vhd", "child.vhd")
    shutil.move("bases/base.vhd", "base.vhd")
    os.symlink("base.vhd", "bases/base.vhd")
    vhdkit("read", "child.vhd", "/dev/null")
    os.rename("bases", "gone")
    with open("bases", "wb"):
        vhdkit("read", "child.vhd", "/dev/null")


@case("a child that is called as its parent is not taken for it")
def _():
    os.makedirs("old")
    os.makedirs("new")
    vhdkit("create", "--size", "4M", "old/disk.vhd")
    vhdkit("write", "old/disk.vhd", data=b"base")
    vhdkit("create", "--root", ".", "--parent", "old/disk.vhd", "new/disk.vhd")
    # The relative path leads nowhere now, the name to the child itself.
    os.mkdir("deep")
    shutil.move("new", "deep")
    path = "deep/new/disk.vhd"
    equal(vhdkit("read", "--root", ".", "--length", "4", path).out, "base")
    os.rename("old", "older")
    refused("read", "--root", ".", path, says="closes at")


run()
