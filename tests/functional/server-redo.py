#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A change of an image in place that was interrupted, and a server that opens
the image: it finishes the change, confined as it is."""

import os

from fronttest import refused as server_refused
from servertest import SOCKET, connect, not_served, served
from tooltest import (REFUSED, VHDKIT, GiB, MiB, Skip, case, check, contains,
                      equal, need, program, run, vhdkit)

REDO = ".vhdkit-redo"


def grow(image, fault=None):
    """Makes an image and lets it grow; returns the writes of that."""
    need("strace")
    vhdkit("create", "--size", "1G", "--overwrite", image)
    vhdkit("write", image, data=b"1" * 4 * MiB)
    # The leak detector traces too, and there can be only one.
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    done = program("strace", "-f", "-o", "trace.log", "-e", "trace=pwritev2",
                   *(["-e", f"inject=pwritev2:{fault}"] if fault else []),
                   VHDKIT, "resize", image, "8G", code=None,
                   env={"ASAN_OPTIONS": options})
    if "ptrace" in done.err or "PTRACE" in done.err:
        raise Skip(f"strace cannot trace here: {done.err.strip()}")
    with open("trace.log", encoding="utf-8", errors="replace") as log:
        return [line for line in log if "pwritev2(" in line]


def interrupted(image):
    """Makes one whose growth was killed when it was made in part."""
    writes = grow(image)
    down = [i for i, line in enumerate(writes, 1) if "vhdkit redo" in line]
    grow(image, f"signal=KILL:when={down[-1] + 2}")
    contains(vhdkit("info", image, code=REFUSED).err, "interrupted")
    return image


def finished(what, name, image):
    with served(what):
        h = connect(name)
        equal(h.get_size(), 8 * GiB)
        equal(bytes(h.pread(4 * MiB, 0)), b"1" * 4 * MiB)
        h.pwrite(b"2" * 4096, 512 * MiB)
        h.shutdown()
    check(not os.path.exists(image + REDO), "the companion is left")
    # What was moved out of the table's way has left space, and that is all.
    done = vhdkit("check", image, code=None)
    check(done.returncode in (0, 3), done.out + done.err)


@case("a named image")
def _():
    finished(interrupted("disk.vhd"), "", "disk.vhd")


@case("one that a link is the name of")
def _():
    os.mkdir("real")
    os.symlink(interrupted("real/disk.vhd"), "link.vhd")
    finished("link.vhd", "", "real/disk.vhd")


@case("one of a folder")
def _():
    os.mkdir("images")
    finished("images", "disk", interrupted("images/disk.vhd"))


@case("a server that may only read says what is to be done")
def _():
    image = interrupted("disk.vhd")
    server_refused("--unix", SOCKET, "--readonly", image,
                   says=[REDO, "interrupted"])
    check(os.path.exists(image + REDO), "the companion is gone")


@case("that of a parent is not finished through its child")
def _():
    os.mkdir("images")
    vhdkit("create", "--size", "1G", "images/base.vhd")
    vhdkit("create", "--parent", "images/base.vhd", "images/child.vhd")
    base = interrupted("base.vhd")
    os.rename(base, "images/base.vhd")
    os.rename(base + REDO, "images/base.vhd" + REDO)
    with served("images") as server:
        not_served("child")
        contains(server.log(), REDO)
    check(os.path.exists("images/base.vhd" + REDO), "the companion is gone")


run()
