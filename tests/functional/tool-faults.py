#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit where the system refuses or fails: strace makes a system call fail, and
what create makes is whole or not there at all, what read says is right or
nothing."""

import fcntl
import os
import shutil
import subprocess

from tooltest import (NO_SPACE, VHDKIT, MiB, Skip, case, check, contains,
                      content, equal, need, program, run, same_bytes, vhdkit)


LOG = "../trace.log"


def faulty(fault, *args, code, strikes=True):
    """Runs vhdkit with a fault, such as "fsync:error=EIO:when=1"."""
    need("strace")
    # The leak detector traces too, and there can be only one.
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    call = fault.split(":", maxsplit=1)[0]
    command = ["strace", "-f", "-o", LOG, "-e", f"trace={call}", "-e",
               f"inject={fault}"]
    if call == "openat":
        # Files are opened everywhere: count those that concern this folder.
        command += ["-P", os.getcwd()]
    done = program(*command, VHDKIT, *args, code=None,
                   env={"ASAN_OPTIONS": options})
    if "ptrace" in done.err or "PTRACE" in done.err:
        raise Skip(f"strace cannot trace here: {done.err.strip()}")
    if code is not None:
        equal(done.returncode, code, f"status with {fault}; {done.err}")
    with open(LOG, encoding="utf-8", errors="replace") as log:
        done.struck = "INJECTED" in log.read()
    if strikes is not None:
        equal(done.struck, strikes, f"{fault} strikes")
    return done


def only(*names):
    equal(sorted(os.listdir()), sorted(names), "what is in the folder")


@case("tracing works, and does not disturb")
def _():
    faulty("fsync:error=EIO:when=99", "create", "--size", "1M", "a.vhd",
           code=0, strikes=False)
    only("a.vhd")


@case("without O_TMPFILE: the image is made under a hidden name, then renamed")
def _():
    faulty("openat:error=EOPNOTSUPP:when=1", "create", "--size", "1M",
           "a.vhd", code=0)
    only("a.vhd")
    vhdkit("check", "a.vhd")
    old = os.stat("a.vhd").st_ino
    faulty("openat:error=EOPNOTSUPP:when=1", "create", "--size", "2M",
           "--overwrite", "a.vhd", code=0)
    only("a.vhd")
    check(os.stat("a.vhd").st_ino != old, "it was replaced")
    vhdkit("check", "a.vhd")


@case("without fallocate: zeros are written")
def _():
    faulty("fallocate:error=EOPNOTSUPP", "create", "--size", "5M", "--full",
           "a.vhd", code=0)
    check(os.stat("a.vhd").st_blocks * 512 >= 5 * MiB, "the space is taken")
    same_bytes(content("a.vhd"), bytes(5 * MiB))
    vhdkit("check", "a.vhd")


@case("each write that fails: an error that names the file, nothing left")
def _():
    for number in range(1, 5):
        done = faulty(f"pwrite64:error=ENOSPC:when={number}", "create",
                      "--size", "1M", "a.vhd", code=NO_SPACE)
        contains(done.err, "a.vhd")
        contains(done.err, "No space left")
        only()
    faulty("pwrite64:error=ENOSPC:when=5", "create", "--size", "1M",
           "a.vhd", code=0, strikes=False)


@case("a sync, a link or a rename that fails: what was there is there")
def _():
    vhdkit("create", "--size", "1M", "old.vhd")
    before = open("old.vhd", "rb").read()
    for fault in ("fsync:error=EIO:when=1", "linkat:error=EIO",
                  "renameat:error=EIO"):
        if not fault.startswith("renameat"):
            done = faulty(fault, "create", "--size", "1M", "a.vhd", code=1)
            contains(done.err, "a.vhd")
            only("old.vhd")
        faulty(fault, "create", "--size", "3M", "--overwrite", "old.vhd",
               code=1)
        only("old.vhd")
        equal(open("old.vhd", "rb").read(), before, fault)


@case("a folder whose sync fails is told of")
def _():
    done = faulty("fsync:error=EIO:when=2", "create", "--size", "1M",
                  "a.vhd", code=1)
    contains(done.err, "durable")


@case("killed while it sets space aside: nothing is left")
def _():
    need("strace")
    subprocess.run(
        ["strace", "-f", "-o", LOG, "-e", "trace=fallocate", "-e",
         "inject=fallocate:signal=SIGKILL", VHDKIT, "create", "--size", "5M",
         "--full", "a.vhd"], check=False, timeout=100,
        env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    with open(LOG, encoding="utf-8", errors="replace") as log:
        contains(log.read(), "killed by SIGKILL")
    only()


@case("killed without O_TMPFILE: the next to make a file there tidies up")
def _():
    need("strace")
    kill = ["strace", "-f", "-o", LOG, "-P", os.getcwd(), "-e",
            "trace=openat,renameat2", "-e",
            "inject=openat:error=EOPNOTSUPP:when=1", "-e",
            "inject=renameat2:error=EIO:signal=SIGKILL"]
    subprocess.run([*kill, VHDKIT, "create", "--size", "1M", "a.vhd"],
                   check=False, timeout=100,
                   env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
    left = os.listdir()
    equal(len(left), 1, f"what is left, {left}")
    check(left[0].startswith(".vhdkit-"), left[0])
    # What somebody is still making stays, and so does what is none of ours.
    ours, theirs = ".vhdkit-0123456789abcdef.tmp", ".vhdkit-notes.tmp"
    open(theirs, "wb").close()
    with open(ours, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        faulty("openat:error=EOPNOTSUPP:when=1", "create", "--size", "1M",
               "a.vhd", code=0)
        only("a.vhd", ours, theirs)
    # A name that is there for a moment only does not stay either.
    vhdkit("create", "--size", "2M", "--overwrite", "a.vhd")
    only("a.vhd", theirs)
    vhdkit("check", "a.vhd")


@case("each read that fails: another file than the parent does not do")
def _():
    def make(name, byte):
        vhdkit("create", "--size", "1M", name)
        vhdkit("write", name, data=bytes([byte]) * MiB)

    # Moved, the child's relative locator leads to its parent, and the absolute
    # one to what is where that was, and has the same id.
    os.makedirs("old/base")
    os.makedirs("old/kids")
    make("old/base/base.vhd", 0x11)
    vhdkit("create", "--root", ".", "--parent", "old/base/base.vhd",
           "old/kids/child.vhd")
    shutil.copytree("old", "new")
    vhdkit("write", "old/base/base.vhd", data=bytes([0x99]) * MiB)
    for base in ("old", "new"):
        os.utime(f"{base}/base/base.vhd", (0, 10 ** 9))
    read = ("read", "--root", ".", "--length", "1M", "new/kids/child.vhd")
    same_bytes(vhdkit(*read).stdout, bytes([0x11]) * MiB)

    number, strikes = 0, True
    while strikes:
        number += 1
        done = faulty(f"pread64:error=EIO:when={number}", *read, code=None,
                      strikes=None)
        strikes = done.struck
        if done.returncode == 0:
            same_bytes(done.stdout, bytes([0x11]) * MiB, f"read {number} fails")
        else:
            contains(done.err, "Input/output error")
    check(number > 5, f"{number} reads")


run()
