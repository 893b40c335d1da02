#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A folder's files are replaced and renamed while they are in use: new clients
get what the name leads to now, the others keep what they have, and nothing is
ever acknowledged into a file that nobody can find any more."""

import os
import threading

from fronttest import PATIENCE
from mounttest import Disk, goes_with_us
from servertest import connect, nbd, need_nbd, not_served, served, uri
from tooltest import MiB, case, check, equal, run, vhdkit


def make(path, size=MiB, text=b""):
    vhdkit("create", "--size", str(size), path)
    if text:
        vhdkit("write", path, "--offset", "0", data=text)


def content(path):
    return vhdkit("read", path, "--length", "4").stdout


def looked_at(name):
    """Size and whether read-only, as INFO tells it."""
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.connect_uri(uri(name))
    h.opt_info()
    facts = h.get_size(), h.is_read_only()
    h.opt_abort()
    return facts


@case("a file that was replaced: a new generation for new clients")
def _():
    need_nbd()
    os.mkdir("dir")
    make("dir/x.vhd", text=b"old!")
    os.link("dir/x.vhd", "kept.vhd")
    make("new.vhd", 2 * MiB, b"new!")
    with served("dir") as server:
        old = connect("x")
        os.rename("new.vhd", "dir/x.vhd")
        equal(looked_at("x"), (2 * MiB, False))
        new = connect("x")
        equal((old.get_size(), new.get_size()), (MiB, 2 * MiB))
        equal(bytes(new.pread(4, 0)), b"new!")
        new.pwrite(b"NEW!", 0, nbd.CMD_FLAG_FUA)
        equal(bytes(old.pread(4, 0)), b"old!")
        old.pwrite(b"OLD!", 0, nbd.CMD_FLAG_FUA)
        server.wait_for("export 'x': its file was replaced")
        also = connect("x")
        equal(bytes(also.pread(4, 0)), b"NEW!")
        check("former file has left" not in server.log(), server.log())
        old.shutdown()
        server.wait_for("export 'x': the last client of its former file has "
                        "left")
        equal(bytes(also.pread(4, 0)), b"NEW!")
        also.shutdown()
        new.shutdown()
    equal(content("dir/x.vhd"), b"NEW!")
    equal(content("kept.vhd"), b"OLD!")


@case("replaced again and again, each generation lives until it is left")
def _():
    need_nbd()
    os.mkdir("dir")
    clients = []
    with served("dir") as server:
        for i in range(5):
            make("next.vhd", text=b"%04d" % i)
            os.rename("next.vhd", "dir/x.vhd")
            clients.append(connect("x"))
        for i, h in enumerate(clients):
            equal(bytes(h.pread(4, 0)), b"%04d" % i)
        for h in clients[::-1]:
            h.shutdown()
        server.wait_for(r"(?s)(.*former file has left){4}")
        equal(bytes(connect("x").pread(4, 0)), b"0004")


@case("a deleted file is served to who has it, and to nobody else")
def _():
    need_nbd()
    os.mkdir("dir")
    make("dir/x.vhd", text=b"gone")
    with served("dir"):
        old = connect("x")
        os.unlink("dir/x.vhd")
        not_served("x")
        make("dir/x.vhd", text=b"back")
        equal(bytes(connect("x").pread(4, 0)), b"back")
        equal(bytes(old.pread(4, 0)), b"gone")
        old.shutdown()


@case("a renamed image has one writer: its new name waits for its old clients")
def _():
    need_nbd()
    os.mkdir("dir")
    make("dir/x.vhd")
    with served("dir") as server:
        old = connect("x")
        os.rename("dir/x.vhd", "dir/y.vhd")
        not_served("x")
        not_served("y")
        server.wait_for("export 'y': its file is in use as 'x' still")
        old.pwrite(b"mine", 0, nbd.CMD_FLAG_FUA)
        make("dir/x.vhd", text=b"next")
        equal(bytes(connect("x").pread(4, 0)), b"next")
        old.shutdown()
        server.wait_for("former file has left")
        h = connect("y")
        check(not h.is_read_only(), "read-only")
        equal(bytes(h.pread(4, 0)), b"mine")
        h.shutdown()


def connected_later(name, result):
    try:
        h = connect(name)
        result.append((h.is_read_only(), bytes(h.pread(4, 0))))
        h.shutdown()
    except nbd.Error as e:
        result.append(e)


@case("an open that meets our own closing waits for it: a child, another name")
def _():
    need_nbd()
    with Disk(64 * MiB) as disk:
        make("d/base.vhd", text=b"base")
        vhdkit("create", "--parent", "d/base.vhd", "d/child.vhd")
        os.link("d/base.vhd", "d/other.vhd")
        for name, wanted in (("child", b"b0se"), ("other", b"b1se")):
            with served("d") as server:
                h = connect("base")
                h.pwrite(wanted, 0)
                result = []
                asking = threading.Thread(target=connected_later,
                                          args=(name, result))
                with disk.frozen():
                    h.shutdown()
                    disk.wait_for(server.worker())
                    asking.start()
                    asking.join(0.5)  # a refusal would come by then, or later
                asking.join(PATIENCE)
                equal(result, [(False, wanted)])


goes_with_us()
run()
