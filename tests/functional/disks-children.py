#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Each client of a disk has a child of his own: what he wrote he finds again,
nobody else sees it, and what all have in common is there once."""

import os
import signal
import threading
import time

from diskstest import (ANYBODY, DISK, SIZE, child, config, golden, is_refused,
                       link, make_disk, make_version, pattern, serving_disks)
from fronttest import PATIENCE
from servertest import connect, nbd, uri
from tooltest import MiB, case, check, equal, run, same_bytes, vhdkit

CLIENTS = 20


def machine(i):
    return f"52-54-00-00-00-{i:02x}"


def everything(h):
    return bytes(h.pread(SIZE // 2, 0) + h.pread(SIZE // 2, SIZE // 2))


@case("twenty clients of one disk, each with what he wrote himself")
def _():
    make_disk()
    wrong = []

    def work(i):
        h = connect(f"{DISK}/{machine(i)}")
        known = bytearray(golden())
        try:
            same_bytes(everything(h), bytes(known))
            for n in range(8):
                data, off = pattern((i, n), 12345), (i * 8 + n) * 40961
                h.pwrite(data, off)
                known[off:off + len(data)] = data
            h.flush()
            same_bytes(everything(h), bytes(known))
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(f"{machine(i)}: {error}")
        h.shutdown()
        return known

    with serving_disks(ANYBODY) as server:
        known = [None] * CLIENTS

        def run_one(i):
            known[i] = work(i)
        threads = [threading.Thread(target=run_one, args=[i])
                   for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(wrong, [])
        # Again, each for himself.
        for i in range(CLIENTS):
            h = connect(f"{DISK}/{machine(i)}")
            same_bytes(everything(h), bytes(known[i]))
            h.shutdown()
        check("warning" not in server.log(), server.log())
    for i in range(CLIENTS):
        vhdkit("check", "--root", "disks", child(machine(i)))
        info = vhdkit("info", "--root", "disks", child(machine(i))).stdout.decode()
        check("1.vhd" in info, info)
    same_bytes(vhdkit("read", f"disks/{DISK}/1.vhd", "--length",
                      str(SIZE)).stdout, golden())


def begins_with(name):
    h = connect(name)
    data = bytes(h.pread(8, 0))
    h.shutdown()
    return data


@case("who comes back in time finds his child, and who boots a fresh one")
def _():
    make_disk()
    name = f"{DISK}/pc1"
    with serving_disks(ANYBODY, "linger = 600;"):
        for text in (b"first...", b"second.."):
            h = connect(name)
            h.pwrite(text, 0)
            h.shutdown()
            equal(begins_with(name), text)
    # It may have been connected when the server ended.
    with serving_disks(ANYBODY, "linger = 600;"):
        equal(begins_with(name), b"second..")
    with serving_disks(ANYBODY, "linger = 0;"):
        equal(begins_with(name), golden()[:8])
        one = connect(name)
        one.pwrite(b"mine....", 0)
        # One boot, though it has many connections, which come and go.
        other = connect(name)
        equal(bytes(other.pread(8, 0)), b"mine....")
        one.shutdown()
        third = connect(name)
        equal(bytes(third.pread(8, 0)), b"mine....")
        third.shutdown()
        other.shutdown()
        equal(begins_with(name), golden()[:8])


@case("a policy of keep: his child stays, whatever is promoted")
def _():
    make_disk()
    make_version(2, b"version2")
    rule = 'clients = ( { policy = "keep"; } );'
    with serving_disks(rule, "linger = 0;"):
        equal(begins_with(f"{DISK}/pc1"), golden()[:8])
        h = connect(f"{DISK}/pc1")
        h.pwrite(b"mine", 4096)
        h.shutdown()
        link("production", 2)
        h = connect(f"{DISK}/pc1")
        equal(bytes(h.pread(8, 0)), golden()[:8])
        equal(bytes(h.pread(4, 4096)), b"mine")
        h.shutdown()
        equal(begins_with(f"{DISK}/pc2"), b"version2")


@case("promotion changes what the next boot gets, and no running client")
def _():
    make_disk()
    make_version(2, b"version2")
    with serving_disks(ANYBODY, "linger = 0;"):
        running = connect(f"{DISK}/pc1")
        equal(bytes(running.pread(8, 0)), golden()[:8])
        link("production", 2)
        equal(begins_with(f"{DISK}/pc2"), b"version2")
        also = connect(f"{DISK}/pc1")
        for h in (running, also):
            equal(bytes(h.pread(8, 0)), golden()[:8])
        running.pwrite(b"running.", 0)
        equal(bytes(also.pread(8, 0)), b"running.")
        also.shutdown()
        running.shutdown()
        equal(begins_with(f"{DISK}/pc1"), b"version2")
        link("production", 1)
        equal(begins_with(f"{DISK}/pc1"), golden()[:8])


@case("versions are read by whom the rules let, and written by one alone")
def _():
    make_disk()
    make_version(2, b"version2")
    make_version(3, b"version3")
    link("test", 2)
    link("maintenance", 3)
    rules = ('clients = ( { who = "admin"; version = "maintenance"; }, '
             '{ who = "tester"; version = "test"; policy = "readonly"; }, '
             '{ who = "pc*"; } );')
    with serving_disks(rules):
        equal(begins_with(f"{DISK}/tester"), b"version2")
        h = connect(f"{DISK}/tester")
        check(h.is_read_only(), "a version is served for writing")
        h.shutdown()
        admin = connect(f"{DISK}/admin")
        check(not admin.is_read_only(), "maintenance cannot be written")
        admin.pwrite(b"VERSION3", 0)
        admin.shutdown()
        h = connect(f"{DISK}/pc1")
        equal(bytes(h.pread(8, 0)), golden()[:8])
        h.shutdown()
        for name in (f"{DISK}@3", f"{DISK}@1", f"{DISK}@maintenance", DISK,
                     f"{DISK}/stranger"):
            check(is_refused(name), f"{name} was served")
    equal(vhdkit("read", f"disks/{DISK}/3.vhd", "--length", "8").stdout,
          b"VERSION3")


def facts(name):
    """Size and whether read-only, as INFO tells it."""
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.connect_uri(uri(name))
    h.opt_info()
    told = h.get_size(), h.is_read_only()
    h.opt_abort()
    return told


@case("who only looks makes no child")
def _():
    make_disk()
    with serving_disks(ANYBODY):
        equal(facts(f"{DISK}/pc1"), (SIZE, False))
        check(not os.path.exists(child("pc1")), "a look made a child")
        connect(f"{DISK}/pc1").shutdown()
        end = time.monotonic() + PATIENCE  # until that is closed
        while facts(f"{DISK}/pc1") != (SIZE, False):
            check(time.monotonic() < end, "it is told of as read-only")
            time.sleep(0.02)
        check(os.path.exists(child("pc1")), "no child was made")
        for name in ("debian13", f"{DISK}/", f"{DISK}@4", f"{DISK}/..",
                     f"../{DISK}", f"{DISK}/../pc1", "children/pc1"):
            check(is_refused(name), f"{name} was served")
    equal(sorted(os.listdir("children")), [DISK])
    equal(os.listdir(f"children/{DISK}"), ["pc1.vhd"])


@case("exports by name and disks side by side, whatever they are called")
def _():
    make_disk()
    for image in ("own.vhd", "other.vhd"):
        vhdkit("create", "--size", str(MiB), image)
    named = (f'exports = ( {{ name = "{DISK}@1"; image = "own.vhd"; }}, '
             '{ name = "own"; image = "other.vhd"; readonly = true; } );')
    with serving_disks(ANYBODY, named):
        h = connect(f"{DISK}@1")
        equal(h.get_size(), MiB)
        h.shutdown()
        h = connect(f"{DISK}/pc2")
        equal(h.get_size(), SIZE)
        # What entries are called inside is nothing that could be asked for.
        for name in (f"d{DISK}/pc2", f"n{DISK}@1", f"{DISK}/pc2/", "nown"):
            check(is_refused(name), f"{name} was served")
        h.shutdown()


@case("rules are read again: for who comes, and not for who is there")
def _():
    make_disk()
    make_version(2, b"version2")
    link("test", 2)
    with serving_disks(ANYBODY, "linger = 0;") as server:
        h = connect(f"{DISK}/pc1")
        config('clients = ( { who = "pc2"; version = "test"; }, '
               '{ who = "pc3"; policy = "readonly"; } );', "linger = 0;")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("clients get other children from now on")
        h.pwrite(b"mine", 0)
        equal(bytes(h.pread(4, 0)), b"mine")
        check(is_refused(f"{DISK}/pc1"), "pc1 was served by former rules")
        equal(begins_with(f"{DISK}/pc2"), b"version2")
        three = connect(f"{DISK}/pc3")
        check(three.is_read_only(), "pc3 may write")
        three.shutdown()
        h.shutdown()
        config(ANYBODY, "linger = 0;")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(r"(?s)other children from now on.*other children from")
        equal(begins_with(f"{DISK}/pc1"), golden()[:8])


def open_files(pid):
    folder = f"/proc/{pid}/fd"
    return [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]


@case("however many children there are, their parent is open once")
def _():
    make_disk()
    make_version(2, b"version2")
    link("production", 2)
    with serving_disks(ANYBODY) as server:
        clients = [connect(f"{DISK}/{machine(i)}") for i in range(CLIENTS)]
        for h in clients:
            equal(bytes(h.pread(8, 0)), b"version2")
        files = open_files(server.worker())
        for number in (1, 2):
            path = os.path.abspath(f"disks/{DISK}/{number}.vhd")
            check(1 <= files.count(path) <= 2,
                  f"{path} is open {files.count(path)} times")
        for h in clients:
            h.shutdown()


run()
