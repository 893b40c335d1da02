#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The nbdkit plugin and a folder: which names it lists, and what each name
means.  Clients ask for each name that is listed, and take one refusal for the
failure of all."""

import fcntl
import json
import os
import shutil
import struct
import subprocess

from plugintest import PATIENCE, log_text, need_plugin, plugin_serving
from servertest import connect, need_nbd, not_served, uri
from tooltest import MiB, VHDKIT, case, check, contains, equal, need, program, \
    run, vhdkit

F_OFD_GETLK = 36  # of <fcntl.h>; Python's module does not name it


def make(path, size=MiB):
    vhdkit("create", "--size", str(size), path)


def listed():
    """By nbdinfo; qemu-nbd must list the same."""
    need("nbdinfo")
    need("qemu-nbd")
    found = json.loads(program("nbdinfo", "--list", "--json", uri()).out)
    names = [e["export-name"] for e in found["exports"]]
    out = program("qemu-nbd", "-L", "-k", os.path.abspath("s.sock")).out
    contains(out, f"exports available: {len(names)}\n")
    for name in names:
        contains(out, f"export: '{name}'")
    return names


def size_of(name):
    h = connect(name)
    size = h.get_size()
    h.shutdown()
    return size


@case("broken images, FIFOs and folders are not listed, and spoil no list")
def _():
    need_plugin()
    need_nbd()
    os.mkdir("dir")
    for name in ("a", "gone", "z"):
        make(f"dir/{name}.vhd")
    vhdkit("create", "--parent", "dir/gone.vhd", "dir/orphan.vhd")
    os.remove("dir/gone.vhd")
    os.mkfifo("dir/fifo.vhd")
    os.mkdir("dir/folder.vhd")
    os.symlink("fifo.vhd", "dir/to-fifo.vhd")
    os.symlink("nowhere", "dir/dangling.vhd")
    os.symlink("a.vhd", "dir/link.vhd")
    for name, data in (("raw", b"raw" * MiB), ("empty", b"")):
        with open(f"dir/{name}.vhd", "wb") as file:
            file.write(data)
    with plugin_serving("dir=dir", "readonly=true") as server:
        equal(listed(), ["a", "link", "z"])
        for name in ("orphan", "fifo", "folder", "to-fifo", "dangling", "raw",
                     "empty"):
            not_served(name)
        equal(listed(), ["a", "link", "z"], "the second time")
        equal(server.poll(), None)


@case("a FIFO is opened by nobody, be it image, child or parent")
def _():
    need_plugin()
    need_nbd()
    os.mkdir("dir")
    os.mkdir("children")
    make("dir/a.vhd")
    make("dir/b.vhd")
    make("dir/base.vhd")
    vhdkit("create", "--parent", "dir/base.vhd", "dir/c.vhd")
    os.remove("dir/base.vhd")
    for path in ("dir/fifo.vhd", "dir/base.vhd", "children/b.vhd"):
        os.mkfifo(path)
    with plugin_serving("dir=dir", "child=children"):
        equal(listed(), ["a"])
        for name in ("fifo", "base", "b", "c"):
            not_served(name)
    with plugin_serving("dir=dir"):
        equal(size_of("b"), MiB)


@case("an image that another program has is not listed while it has it")
def _():
    need_plugin()
    need_nbd()
    os.mkdir("dir")
    for name in ("a", "base", "busy"):
        make(f"dir/{name}.vhd")
    os.mkdir("away")
    vhdkit("create", "--root", ".", "--parent", "dir/base.vhd",
           "away/child.vhd")
    with plugin_serving("dir=dir", "roots=."):
        writers = [subprocess.Popen([VHDKIT, "write", *args],
                                    stdin=subprocess.PIPE)
                   for args in (["dir/busy.vhd"],
                                ["--root", ".", "away/child.vhd"])]
        try:
            for writer, path in zip(writers, ("busy", "base")):
                writer.stdin.write(b"x")
                writer.stdin.flush()
                await_held(f"dir/{path}.vhd", writer)
            equal(listed(), ["a"])
        finally:
            for writer in writers:
                writer.stdin.close()
                equal(writer.wait(PATIENCE), 0, "status of the writer")


def await_held(path, writer):
    """Until somebody has a lock on the file."""
    unlocked = struct.pack("hhqqi", fcntl.F_UNLCK, 0, 0, 0, 0)
    asked = struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0)
    with open(path, "rb") as file:
        while fcntl.fcntl(file, F_OFD_GETLK, asked)[:2] == unlocked[:2]:
            equal(writer.poll(), None, "status of the writer")


@case("what a client has open is listed: it can be shared")
def _():
    need_plugin()
    need_nbd()
    os.mkdir("dir")
    make("dir/a.vhd")
    make("dir/b.vhd")
    with plugin_serving("dir=dir"):
        h = connect("b")
        equal(listed(), ["a", "b"])
        h.shutdown()


@case("NAME is NAME.vhd, or else NAME.VHD, and is listed once")
def _():
    need_plugin()
    need_nbd()
    os.mkdir("dir")
    make("dir/both.vhd", MiB)
    make("dir/both.VHD", 2 * MiB)
    make("dir/large.VHD", 3 * MiB)
    make("dir/odd.Vhd", 4 * MiB)
    make("dir/twice.vhd", 5 * MiB)
    make("dir/twice.vhd.vhd", 6 * MiB)
    with plugin_serving("dir=dir"):
        equal(listed(), ["both", "large", "twice", "twice.vhd"])
        for name, size in (("both", 1), ("both.vhd", 1), ("/both", 1),
                           ("large", 3), ("large.vhd", 3), ("twice", 5),
                           ("twice.vhd", 6), ("twice.vhd.vhd", 6)):
            equal(size_of(name), size * MiB, name)
        for name in ("both.VHD", "large.VHD", "odd", "odd.Vhd"):
            not_served(name)
        os.remove("dir/both.vhd")
        equal(size_of("both"), 2 * MiB, "both")


@case("child=: a child is called as its image's file is")
def _():
    need_plugin()
    need_nbd()
    os.mkdir("dir")
    os.mkdir("children")
    make("dir/a.VHD")
    make("dir/b.vhd")
    shutil.copy("dir/b.vhd", "before")
    with plugin_serving("dir=dir", "child=children"):
        for name in ("a", "b"):
            h = connect(name)
            h.pwrite(b"x" * 512, 0)
            h.shutdown()
        equal(sorted(os.listdir("children")), ["a.VHD", "b.vhd"])
        equal(listed(), ["a", "b"])
    check("Sanitizer" not in log_text(), log_text())
    with open("before", "rb") as one, open("dir/b.vhd", "rb") as two:
        check(one.read() == two.read(), "the image has changed")


run()
