#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A disk that hangs while the plugin opens or closes an image there keeps
nobody from an image elsewhere."""

import contextlib
import os
import threading

from fronttest import needs_root
from mounttest import Disk, goes_with_us
from plugintest import PATIENCE, plugin_serving
from servertest import connect, need_nbd
from tooltest import MiB, case, check, equal, run, vhdkit


def in_thread(what, *args):
    thread = threading.Thread(target=what, args=args, daemon=True)
    thread.start()
    return thread


def open_and_leave(name):
    h = connect(name)
    equal(h.get_size(), MiB)
    h.shutdown()


def others_go_on():
    """A client of another image, which is not open yet."""
    other = in_thread(open_and_leave, "good")
    other.join(PATIENCE / 2)
    return not other.is_alive()


@contextlib.contextmanager
def two_disks():
    needs_root()
    need_nbd()
    with Disk(64 * MiB) as disk:
        os.mkdir("f")
        for path in ("f/good.vhd", "d/bad.vhd"):
            vhdkit("create", "--size", str(MiB), path)
        os.symlink("../d/bad.vhd", "f/bad.vhd")
        with plugin_serving("dir=f", f"roots={os.getcwd()}") as server:
            yield disk, server


@case("an open that hangs")
def _():
    with two_disks() as (disk, server):
        with disk.frozen():
            opening = in_thread(open_and_leave, "bad")
            disk.wait_for(server.pid)
            going_on = others_go_on()
        opening.join(PATIENCE)
        check(not opening.is_alive(), "it opens once the disk is back")
        equal(going_on, True, "another image can be opened meanwhile")


@case("a close that hangs")
def _():
    with two_disks() as (disk, server):
        h = connect("bad")
        h.pwrite(b"x" * 65536, 0)
        with disk.frozen():
            h.shutdown()
            disk.wait_for(server.pid)
            again = in_thread(open_and_leave, "bad")
            going_on = others_go_on()
            equal(again.is_alive(), True, "who wants that one waits")
        again.join(PATIENCE)
        check(not again.is_alive(), "it opens anew once it is closed")
        equal(going_on, True, "another image can be opened meanwhile")


goes_with_us()
run()
