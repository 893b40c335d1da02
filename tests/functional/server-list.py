#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Listing a folder, as clients do it: LIST, then INFO on each name.  What
cannot be opened, or is in use, spoils it for nobody, and who looks locks nobody
out."""

import contextlib
import json
import os
import subprocess
import time

from fronttest import PATIENCE
from servertest import connect, nbd, need_nbd, not_served, served, uri
from tooltest import MiB, case, check, contains, equal, need, program, run, \
    vhdkit


def make(path):
    vhdkit("create", "--size", str(MiB), path)


def folder():
    """A base and its child, a lone image, and three that cannot be opened."""
    os.mkdir("dir")
    make("dir/alone.vhd")
    make("dir/base.vhd")
    make("dir/gone.vhd")
    vhdkit("create", "--parent", "dir/base.vhd", "dir/child.vhd")
    vhdkit("create", "--parent", "dir/gone.vhd", "dir/orphan.vhd")
    os.unlink("dir/gone.vhd")
    with open("dir/raw.vhd", "wb") as f:
        f.write(b"raw" * MiB)
    with open("dir/empty.vhd", "wb"):
        pass


def listed():
    """By nbdinfo: {name: read-only}; qemu-nbd must list the same."""
    need("nbdinfo")
    need("qemu-nbd")
    found = json.loads(program("nbdinfo", "--list", "--json", uri()).out)
    names = {e["export-name"]: e["is_read_only"] for e in found["exports"]}
    out = program("qemu-nbd", "-L", "-k", os.path.abspath("s.sock")).out
    for name in names:
        contains(out, f"export: '{name}'")
    contains(out, f"exports available: {len(names)}\n")
    return names


@contextlib.contextmanager
def qemu_io(image):
    """Another program that has the image open for writing."""
    need("qemu-io")
    with subprocess.Popen(["qemu-io", "-f", "vpc", image],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as qemu:
        qemu.stdin.write("write 0 512\n")
        qemu.stdin.flush()
        contains(qemu.stdout.readline(), "wrote 512")
        yield
        qemu.stdin.close()


@contextlib.contextmanager
def client(name):
    h = connect(name)
    yield h
    h.shutdown()


def await_closed(wanted):
    """An image is closed soon after its last client has gone."""
    end = time.monotonic() + PATIENCE
    while (got := listed()) != wanted and time.monotonic() < end:
        pass
    equal(got, wanted)


GOOD = {"alone": False, "base": False, "child": False}


@case("what cannot be opened is not listed, refused by name, and logged")
def _():
    need_nbd()
    folder()
    with served("dir") as server:
        equal(listed(), GOOD)
        equal(listed(), GOOD, "the second time")
        for name in ("orphan", "raw", "empty"):
            not_served(name)
            contains(server.log(), f"export '{name}' is not listed: ")


@case("a base whose child is in use is listed, and served read-only")
def _():
    need_nbd()
    folder()
    with served("dir"):
        with client("child") as child:
            equal(listed(), dict(GOOD, base=True))
            with client("base") as base:
                check(base.is_read_only(), "the base can be written")
                equal(listed(), dict(GOOD, base=True))
                equal(len(base.pread(MiB, 0)), MiB)
            child.pwrite(b"c" * 512, 0)
            check(not child.is_read_only(), "the child cannot be written")


@case("a base whose child another program writes to: the same")
def _():
    need_nbd()
    folder()
    vhdkit("create", "--parent", "dir/base.vhd", "other.vhd")
    with served("other.vhd") as other:
        os.rename("s.sock", "other.sock")
        with served("dir"):
            equal(listed(), dict(GOOD, base=True))
            with client("base") as base:
                check(base.is_read_only(), "the base can be written")
        os.rename("other.sock", "s.sock")
        equal(other.process.poll(), None)


@case("a child whose base is written to is listed, but not served")
def _():
    need_nbd()
    folder()
    with served("dir"):
        with client("base") as base:
            check(not base.is_read_only(), "the base cannot be written")
            equal(listed(), dict(GOOD, child=True))
            not_served("child")
            base.pwrite(b"b" * 512, 0)
        await_closed(GOOD)
    with served("dir"):
        with qemu_io("dir/alone.vhd"), qemu_io("dir/base.vhd"):
            equal(listed(), {"alone": True, "base": True, "child": True})
            not_served("alone")
            not_served("child")
        equal(listed(), GOOD)


@case("who looks keeps nobody out, while he looks")
def _():
    need_nbd()
    folder()
    with served("dir"):
        lookers = []
        for name in GOOD:
            h = nbd.NBD()
            h.set_opt_mode(True)
            h.add_meta_context("base:allocation")
            h.connect_uri(uri(name))
            h.opt_info()
            equal(h.get_size(), MiB)
            lookers.append(h)
        with qemu_io("dir/alone.vhd"):
            vhdkit("write", "dir/base.vhd", "--offset", "0", data=b"x" * 512)
        for h in lookers:
            h.opt_abort()


@case("a link to an image below --root is listed and served read-only")
def _():
    os.mkdir("dir")
    os.mkdir("golden")
    make("golden/base.vhd")
    os.symlink("../golden/base.vhd", "dir/link.vhd")
    with served("dir", "--root", "golden"):
        equal(listed(), {"link": True}, "what is listed")
        equal(connect("link").is_read_only(), True, "what is served")


@case("NAME is NAME.vhd, or else NAME.VHD, and is listed once")
def _():
    need_nbd()
    os.mkdir("dir")
    sizes = {"both.vhd": 1, "both.VHD": 2, "large.VHD": 3, "odd.Vhd": 4,
             "b.vhd": 5}
    for name, size in sizes.items():
        vhdkit("create", "--size", str(size * MiB), f"dir/{name}")
    with served("dir"):
        names = ["b", "both", "large"]
        out = program("nbdinfo", "--list", "--json", uri()).out
        equal([e["export-name"] for e in json.loads(out)["exports"]], names)
        equal(listed(), dict.fromkeys(names, False))
        for name, size in (("both", 1), ("large", 3)):
            with client(name) as h:
                equal(h.get_size(), size * MiB, name)
        for name in ("odd", "both.VHD"):
            not_served(name)


run()
