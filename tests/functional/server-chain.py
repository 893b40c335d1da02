#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The longest chain of parents that is allowed is served; a longer one is
refused, in words, and the server lives on."""

import os

from fronttest import refused
from servertest import connect, nbd, need_nbd, served
from tooltest import MiB, case, check, contains, equal, run, vhdkit

MAX_DEPTH = 128  # VHD_MAX_DEPTH
# Where the library finds a parent by path, long ones make the most of it.
LONG = "n" * 180


def name(depth):
    return f"{LONG}{depth}"


def chain():
    """In dir; each image has its number in a sector of its own."""
    os.mkdir("dir")
    for depth in range(MAX_DEPTH + 1):
        path = f"dir/{name(depth)}.vhd"
        if depth == 0:
            vhdkit("create", "--size", str(MiB), path)
        else:
            vhdkit("create", "--parent", f"dir/{name(depth - 1)}.vhd", path)
        vhdkit("write", path, "--offset", str(depth * 512),
               data=bytes([depth]) * 512)


def fix(footer, ident):
    footer = bytearray(footer)
    footer[68:84] = ident
    footer[64:68] = bytes(4)
    footer[64:68] = (~sum(footer) & 0xffffffff).to_bytes(4, "big")
    return footer


def lengthen():
    """A child of another image takes the place, and the id, of the base."""
    base = f"dir/{name(0)}.vhd"
    with open(base, "rb") as f:
        ident = f.read(512)[68:84]
    vhdkit("create", "--size", str(MiB), "dir/root.vhd")
    vhdkit("create", "--parent", "dir/root.vhd", "dir/new.vhd")
    with open("dir/new.vhd", "r+b") as f:
        content = f.read()
        f.seek(0)
        f.write(fix(content[:512], ident))
        f.seek(-512, os.SEEK_END)
        f.write(fix(content[-512:], ident))
    os.rename("dir/new.vhd", base)


def read_all(h):
    for depth in range(MAX_DEPTH + 1):
        equal(bytes(h.pread(512, depth * 512)), bytes([depth]) * 512,
              f"sector of {depth}")


@case("a chain of 128 ancestors is served, one of 129 is refused")
def _():
    need_nbd()
    chain()
    top = name(MAX_DEPTH)
    with served("dir"):
        h = connect(top)
        read_all(h)
        h.pwrite(b"t" * 512, MiB - 512)
        h.shutdown()
    with served(f"dir/{top}.vhd"):
        h = connect()
        read_all(h)
        equal(bytes(h.pread(512, MiB - 512)), b"t" * 512)
        h.shutdown()
    lengthen()
    with served("dir") as server:
        try:
            connect(top)
        except nbd.Error:
            pass
        else:
            raise AssertionError("129 ancestors were opened")
        contains(server.log(), f"longer than {MAX_DEPTH}")
        equal(connect(name(MAX_DEPTH - 1)).get_size(), MiB)
        check(server.process.poll() is None, "the server is gone")
    refused("--unix", "s.sock", f"dir/{top}.vhd",
            says=f"longer than {MAX_DEPTH}")


run()
