#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Long work: how far it is, for people and for programs, and what a signal
leaves of it."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import time

from tooltest import (MiB, VHDKIT, case, check, content, contains, equal,
                      refused, run, vhdkit)

KEYS = {"progress", "done", "total", "rate", "seconds-left", "milliseconds",
        "ended"}


def steps(text):
    """The lines of JSON, which must be in order."""
    found = [json.loads(line) for line in text.splitlines()
             if line.startswith("{")]
    check(len(found) >= 2, f"a beginning and an end: {text!r}")
    last = 0
    for i, step in enumerate(found):
        equal(set(step), KEYS, "keys")
        equal(step["ended"], i == len(found) - 1, "ended")
        check(step["done"] >= last, "it goes back")
        last = step["done"]
    return found


@case("--progress=json: a line a step, from nothing to all")
def _():
    err = vhdkit("create", "--size", "64M", "--full", "--progress=json",
                 "a.vhd").err
    end = steps(err)[-1]
    equal(end["progress"], "created")
    check(end["done"] == end["total"] >= 64 * MiB, f"all: {end}")
    for args, what in ((("check", "a.vhd"), "checked"),
                       (("read", "a.vhd", "bytes"), "read"),
                       (("write", "a.vhd", "bytes"), "written")):
        end = steps(vhdkit(*args, "--progress", "json").err)[-1]
        equal((end["progress"], end["done"], end["total"]),
              (what, 64 * MiB, 64 * MiB))


@case("of a stream the total is not known")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    found = steps(vhdkit("write", "a.vhd", "--progress=json",
                         data=b"x" * MiB).err)
    equal([step["total"] for step in found], [None] * len(found))
    equal(found[-1]["done"], MiB)


@case("what fails ends its lines too, and says why between them")
def _():
    vhdkit("create", "--size", "1M", "a.vhd")
    done = vhdkit("write", "a.vhd", "--progress=json", code=1,
                  data=b"x" * (MiB + 1))
    equal(steps(done.err)[-1]["ended"], True)
    contains(done.err, "vhdkit write: ")


@case("nothing is shown where that is no terminal, or is not wanted")
def _():
    equal(vhdkit("create", "--size", "64M", "--full", "a.vhd").err, "")
    equal(vhdkit("check", "--progress=none", "a.vhd").err, "")
    refused("check", "--progress=loud", "a.vhd",
            says="auto, bar, json, none")


def slow_writer(*args, stderr):
    """One that gets 1 MiB, time for a bar, and 1 MiB more."""
    writer = subprocess.Popen([VHDKIT, "write", *args, "a.vhd"],
                              stdin=subprocess.PIPE, stderr=stderr)
    for _ in range(2):
        writer.stdin.write(b"x" * (4 * MiB))
        writer.stdin.flush()
        time.sleep(0.3)
    return writer


@case("a terminal gets a bar with the rate, which is gone at the end")
def _():
    vhdkit("create", "--size", "16M", "a.vhd")
    terminal, end = pty.openpty()
    with slow_writer("--length", "12M", stderr=end) as writer:
        os.close(end)
        writer.stdin.write(b"x" * (4 * MiB))
        writer.stdin.close()
        shown = b""
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        equal(writer.wait(timeout=100), 0, "status")
    os.close(terminal)
    for part in (b"written: ", b" of 12 MiB (", b"/s", b" s left"):
        check(part in shown, f"{part} is not in {shown}")
    check(shown.endswith(b"\r\033[K"), f"it stays: {shown}")


def waits_for_pipe(pid):
    with open(f"/proc/{pid}/wchan", encoding="ascii") as file:
        return file.read().endswith("pipe_write")


def interrupted_at_once(sig, *args):
    """Runs vhdkit with a full pipe for its first line of progress, so that the
    signal comes before it has done anything; returns what it says."""
    there, here = os.pipe()
    room = fcntl.fcntl(here, fcntl.F_SETPIPE_SZ, 4096)
    os.write(here, b"." * (room - 8))
    with subprocess.Popen([VHDKIT, *args, "--progress=json"], stderr=here,
                          stdout=subprocess.PIPE) as worker:
        os.close(here)
        while not waits_for_pipe(worker.pid):
            time.sleep(0.05)
        worker.send_signal(sig)
        with open(there, "rb") as pipe:
            said = pipe.read().decode()
        equal(worker.stdout.read(), b"", "no result")
        equal(worker.wait(timeout=100), -sig, "status")
    return said


@case("interrupted, create leaves nothing and dies of the signal")
def _():
    os.mkdir("new")
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        contains(interrupted_at_once(sig, "create", "--size", "64M", "--full",
                                     "new/a.vhd"),
                 "vhdkit create: interrupted; nothing has changed")
        equal(os.listdir("new"), [])


@case("interrupted, check says so and dies of the signal")
def _():
    vhdkit("create", "--size", "64M", "--full", "a.vhd")
    contains(interrupted_at_once(signal.SIGINT, "check", "a.vhd"),
             "vhdkit check: interrupted")


@case("interrupted, what changes a child says so, dies, and can go on")
def _():
    vhdkit("create", "--size", "64M", "base.vhd")
    vhdkit("create", "--size", "64M", "other.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    vhdkit("write", "child.vhd", data=b"data" * 1024 * 1024)
    for args in (("rebase", "--copy", "child.vhd", "other.vhd"),
                 ("compact", "child.vhd"), ("merge", "child.vhd")):
        contains(interrupted_at_once(signal.SIGINT, *args),
                 f"vhdkit {args[0]}: interrupted")
        equal(content("child.vhd")[:4], b"data")
        if args[0] != "compact":
            vhdkit(*args)
    equal(content("other.vhd")[:4], b"data")


run()
