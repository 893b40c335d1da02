#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Images on an overlay, whose files may have other numbers when it is mounted
again: what was acknowledged is found all the same."""

import contextlib
import os

from fronttest import Server
from mounttest import root_or_skip, unmount
from servertest import SOCKET, connect, need_nbd
from tooltest import KiB, case, check, run, same_bytes, vhdkit

PIECES = [(i * 5 * KiB * 13, bytes([65 + i]) * 512) for i in range(40)]


@contextlib.contextmanager
def mounted(*how):
    root_or_skip("mount", *how)
    try:
        yield
    finally:
        unmount(os.path.abspath(how[-1]))


def write_and_die(image):
    server = Server(["--unix", SOCKET, image])
    try:
        server.wait_for("listening on ")
        h = connect()
        for off, data in PIECES:
            h.pwrite(data, off)
    finally:
        server.process.kill()
        server.process.wait()


def survives(upper, same_number):
    overlay = ("-t", "overlay", "none", "-o",
               f"lowerdir=lower,upperdir={upper}/files,"
               f"workdir={upper}/work,xino=off", "over")
    for folder in ("lower", "over", f"{upper}/files", f"{upper}/work"):
        os.makedirs(folder)
    vhdkit("create", "--size", "16M", "lower/disk.vhd")
    with mounted(*overlay):
        before = os.stat("over/disk.vhd").st_ino
        write_and_die("over/disk.vhd")
    with mounted(*overlay):
        check((os.stat("over/disk.vhd").st_ino == before) == same_number,
              "not the overlay that this is about")
        for off, data in PIECES:
            same_bytes(vhdkit("read", "--offset", str(off), "--length", "512",
                              "over/disk.vhd").stdout, data)
        vhdkit("check", "over/disk.vhd")


@case("an overlay of several file systems, which numbers its files anew")
def _():
    need_nbd()
    os.mkdir("top")
    with mounted("-t", "tmpfs", "none", "top"):
        survives("top", False)


@case("an overlay of one, which does not")
def _():
    need_nbd()
    survives(".", True)


run()
