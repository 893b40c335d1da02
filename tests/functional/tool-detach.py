#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit detach: that it takes what was meant, whoever else is at it, and that
by force it ends what hangs."""

import os
import signal
import subprocess
import time

from attachtest import (attach, attaching, client, disk, ended, listed,
                        the_one, worker_of)
from fronttest import PATIENCE
from tooltest import (NOT_FOUND, USAGE, VHDKIT, case, check, contains, content,
                      equal, need, refused, run, vhdkit)


def slowly(call, *args):
    """A verb that waits for a second before its call of flock() with this
    number, and before the next."""
    need("strace")
    return subprocess.Popen(
        ["strace", "-o", "trace", "-e", "trace=flock", "-e",
         f"inject=flock:delay_enter=1000000:when={call}..{call + 1}", VHDKIT,
         *args],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ,  # LeakSanitizer cannot be where strace is
             "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")
             + ":detect_leaks=0"})


def wait_for_flock(n):
    """Until the traced one has come to that call of flock()."""
    end = time.monotonic() + PATIENCE
    calls = 0
    while calls < n:
        check(time.monotonic() < end, "it never locks")
        time.sleep(0.01)
        if os.path.exists("trace"):
            with open("trace", encoding="utf-8") as file:
                calls = file.read().count("flock(")


@case("who lists is in nobody's way")
def _():
    disk()
    with attaching():
        attach("--with", "socket", "a.vhd")
        # It keeps whatever lock it takes for a moment.
        lister = slowly(2, "attach", "--list", "--json")
        try:
            wait_for_flock(1)
            vhdkit("detach", "a.vhd")
        finally:
            lister.communicate()


@case("of two that detach one does, and the other finds nothing")
def _():
    disk()
    with attaching() as seen:
        attach("--with", "socket", "a.vhd")
        worker = the_one(seen)["server-pid"]
        os.kill(worker, signal.SIGSTOP)
        with subprocess.Popen([VHDKIT, "detach", "a.vhd"]) as first:
            while the_one(seen)["state"] != "changing":
                time.sleep(0.01)
            # It reads the record while that is there, and locks afterwards.
            second = slowly(2, "detach", "a.vhd")
            try:
                wait_for_flock(2)
                os.kill(worker, signal.SIGCONT)
                equal(first.wait(), 0)
            finally:
                said = second.communicate()[1]
        equal(second.returncode, NOT_FOUND, said)
        contains(said, "not attached")


@case("by the image's name the file is meant that has it now, not one before")
def _():
    disk()
    with attaching():
        first = attach("--with", "socket", "a.vhd")
        os.rename("a.vhd", "b.vhd")
        disk()
        second = attach("--with", "socket", "a.vhd")
        vhdkit("detach", "a.vhd")
        equal([entry["device"] for entry in listed()], [first])
        equal(attach("--with", "socket", "a.vhd"), second)
        # Of neither it is the name by now.
        os.rename("a.vhd", "c.vhd")
        refused("detach", "a.vhd", code=USAGE, says="the device")
        vhdkit("detach", first)
        vhdkit("detach", "a.vhd")


@case("a server that hangs is killed by force, and what it said stays said")
def _():
    disk()
    with attaching() as seen:
        socket = attach("--with", "socket", "a.vhd")
        handle = client(socket)
        handle.pwrite(b"new " * 1024, 0)
        worker = worker_of(the_one(seen)["server-pid"])
        os.kill(worker, signal.SIGSTOP)
        contains(vhdkit("detach", "--force", "a.vhd").err, "was killed")
        ended(worker)
    vhdkit("write", "a.vhd", data=b"")
    equal(content("a.vhd")[:4096], b"new " * 1024)


run()
