#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What vhdkit may be pointed at by mistake: files in use, parents of others, the
image itself, devices.  Nothing is lost that was not named to be overwritten,
nor anything that somebody has in use."""

import contextlib
import os
import resource
import signal
import struct
import subprocess

from tooltest import (REFUSED, VHDKIT, MiB, Skip, case, check, contains,
                      equal, need, program, refused, run, same_bytes, vhdkit)


def slurp(path):
    with open(path, "rb") as file:
        return file.read()


def spit(path, data):
    with open(path, "wb") as file:
        file.write(data)


def new(path, *args):
    vhdkit("create", "--size", "4M", *args, path)


@contextlib.contextmanager
def being_written(path):
    """vhdkit write has the image until the end."""
    with subprocess.Popen([VHDKIT, "write", path],
                          stdin=subprocess.PIPE) as writer:
        try:
            writer.stdin.write(b"w" * MiB)
            writer.stdin.flush()
            yield writer
        finally:
            writer.stdin.close()
            writer.wait(timeout=60)
        equal(writer.returncode, 0, "status of the writer")


def keeps(path, *args, says):
    before = slurp(path), os.stat(path).st_ino
    refused(*args, says=says)
    check((slurp(path), os.stat(path).st_ino) == before, f"{path} has changed")


@case("read: a file that is there is replaced only with --overwrite")
def _():
    new("a.vhd")
    vhdkit("write", "a.vhd", data=b"data")
    spit("old", b"precious")
    keeps("old", "read", "a.vhd", "old", says=["old", "--overwrite"])
    new("other.vhd")
    keeps("other.vhd", "read", "a.vhd", "other.vhd", says="other.vhd")
    vhdkit("read", "--overwrite", "a.vhd", "old")
    same_bytes(slurp("old"), b"data" + bytes(4 * MiB - 4))


@case("read: an image that is being written is not overwritten")
def _():
    new("a.vhd")
    new("busy.vhd")
    with being_written("busy.vhd") as writer:
        inode = os.stat("busy.vhd").st_ino
        refused("read", "a.vhd", "busy.vhd", says="busy.vhd")
        for option in ("--unlocked", "--length=512"):
            refused("read", "--overwrite", option, "a.vhd", "busy.vhd",
                    says=["busy.vhd", str(writer.pid)])
        refused("read", "--overwrite", "--unlocked", "busy.vhd", "busy.vhd",
                says="part of the image")
        equal(os.stat("busy.vhd").st_ino, inode, "inode of the image")
    vhdkit("check", "busy.vhd")


@case("read: nor is the parent of a child that is being written")
def _():
    new("a.vhd")
    new("base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    with being_written("child.vhd") as writer:
        keeps("base.vhd", "read", "a.vhd", "base.vhd", says="base.vhd")
        keeps("base.vhd", "read", "--overwrite", "a.vhd", "base.vhd",
              says=["base.vhd", str(writer.pid)])


@case("read: links, hard and symbolic, do not hide what a file is")
def _():
    new("a.vhd")
    vhdkit("create", "--parent", "a.vhd", "b.vhd")
    os.link("a.vhd", "hard")
    os.symlink("a.vhd", "soft")
    for path in ("a.vhd", "b.vhd", "hard", "soft"):
        keeps(path, "read", "--overwrite", "b.vhd", path,
              says="part of the image")
    os.symlink("nowhere", "dangling")
    refused("read", "b.vhd", "dangling", says="dangling")
    spit("plain", b"plain")
    os.symlink("plain", "to-plain")
    keeps("plain", "read", "--overwrite", "b.vhd", "to-plain", says="to-plain")


def to_stdout_refused(image, out, says):
    done = subprocess.run([VHDKIT, "read", image], stdout=out,
                          stderr=subprocess.PIPE, check=False, timeout=60)
    equal(done.returncode, REFUSED, "status")
    for part in says:
        contains(done.stderr.decode(), part)


@case("read: to standard output that is the image itself is refused")
def _():
    new("a.vhd")
    before = slurp("a.vhd")
    with open("a.vhd", "ab") as out:
        to_stdout_refused("a.vhd", out, ["part of the image"])
    check(slurp("a.vhd") == before, "the image has changed")


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (MiB, MiB))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


@case("read: what fails half-way leaves the old file, or none")
def _():
    new("a.vhd")
    vhdkit("write", "a.vhd", data=b"x" * 3 * MiB)
    spit("old", b"precious")
    for target in ("old", "new"):
        done = subprocess.run(
            [VHDKIT, "read", "--overwrite", "a.vhd", target], check=False,
            stderr=subprocess.PIPE, timeout=60, restore_signals=False,
            preexec_fn=small_files)
        equal(done.returncode, 1, "status")
        contains(done.stderr.decode(), target)
    equal(slurp("old"), b"precious")
    equal(sorted(os.listdir(".")), ["a.vhd", "old"])


@case("read: devices, FIFOs and folders are what they are")
def _():
    new("a.vhd")
    vhdkit("write", "a.vhd", data=b"data")
    vhdkit("read", "a.vhd", "/dev/null")
    refused("read", "a.vhd", "/dev/full", says="/dev/full")
    os.mkdir("folder")
    refused("read", "a.vhd", "folder", says="folder")
    refused("read", "--overwrite", "a.vhd", "folder", says="folder")
    os.mkfifo("fifo")
    with subprocess.Popen([VHDKIT, "read", "--length", "8", "a.vhd", "fifo"]
                          ) as reader:
        equal(slurp("fifo"), b"data\0\0\0\0")
        equal(reader.wait(timeout=60), 0, "status")


@contextlib.contextmanager
def loop_device(path, *options):
    need("losetup")
    done = program("losetup", "--find", "--show", *options, path, code=None)
    if done.returncode != 0:
        raise Skip(f"no loop device: {done.err.strip()}")
    device = done.out.strip()
    try:
        yield device
    finally:
        program("losetup", "--detach", device)


@case("read: a block device needs --overwrite, room, and to be in no use")
def _():
    new("a.vhd")
    vhdkit("write", "--offset", "1M", "a.vhd", data=b"data")
    spit("disk", b"precious" * (MiB // 2))
    with loop_device("disk") as device:
        before = slurp(device)
        refused("read", "a.vhd", device, says=[device, "--overwrite"])
        held = os.open(device, os.O_RDONLY | os.O_EXCL)
        refused("read", "--overwrite", "a.vhd", device, says="in use")
        os.close(held)
        vhdkit("create", "--size", "5M", "large.vhd")
        refused("read", "--overwrite", "large.vhd", device,
                says=str(4 * MiB))
        check(slurp(device) == before, "the device has changed")
        vhdkit("read", "--overwrite", "a.vhd", device)
        same_bytes(slurp(device), vhdkit("read", "a.vhd").stdout)


def refuses_device(device, image, part, path):
    """Neither is the device written to with the image's own bytes, nor is it
    read for them; both say which file it is."""
    before = slurp(path)
    # An image that a loop device has is opened for writing by nobody else.
    held = [part, "loop device"] if image == part else None
    refused("read", "--overwrite", image, device, says=[device, part])
    refused("read", "--overwrite", "--unlocked", "--length=512", image, device,
            says=[device, part])
    with open(device, "r+b") as file:
        to_stdout_refused(image, file, says=["standard output", part])
        refused("write", image, stdin=file,
                says=held or ["standard input", part])
    refused("write", "--length=512", image, device,
            says=held or [device, part])
    check(slurp(path) == before, f"{path} has changed")


@case("a loop device on a part of the image is that part, however renamed")
def _():
    new("base.vhd", "--type", "fixed")
    vhdkit("write", "base.vhd", data=b"data" * 1000)
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    for path in ("base.vhd", "child.vhd"):
        with loop_device(path) as device:
            refuses_device(device, "child.vhd", path, path)
    os.symlink("base.vhd", "link")
    os.link("base.vhd", "hard")
    for path in ("link", "hard"):
        with loop_device(path) as device:
            os.unlink(path)
            refuses_device(device, "child.vhd", "base.vhd", "base.vhd")
    # Of one that was, the device of the same number is not.
    spit("disk", bytes(8 * MiB))
    with loop_device("disk") as device:
        vhdkit("read", "--overwrite", "child.vhd", device)
        vhdkit("write", "--length=512", "child.vhd", device)


@case("a file that a loop device has is in use: no writer, no replacement")
def _():
    new("a.vhd", "--type", "fixed")
    for options, held in ((), "for writing"), (("--read-only",), "for reading"):
        with loop_device("a.vhd", *options) as device:
            before = slurp("a.vhd")
            for args in (("write", "a.vhd"),
                         ("create", "--size=1M", "--overwrite", "a.vhd")):
                refused(*args, data=b"x",
                        says=["a.vhd", f"held {held} by the loop device " +
                              device])
            new("b.vhd")
            refused("read", "--overwrite", "b.vhd", "a.vhd",
                    says=["a.vhd", device])
            os.remove("b.vhd")
            check(slurp("a.vhd") == before, "a.vhd has changed")
            # Who only looks is welcome.
            vhdkit("info", "a.vhd")
            vhdkit("check", "a.vhd")
    vhdkit("write", "a.vhd", data=b"x")


@case("so it is under another of its names")
def _():
    new("a.vhd", "--type", "fixed")
    os.link("a.vhd", "b.vhd")
    with loop_device("b.vhd") as device:
        refused("write", "a.vhd", data=b"x", says=["a.vhd", device])
    vhdkit("write", "a.vhd", data=b"x")


@case("so is a loop device on a loop device on it")
def _():
    new("a.vhd", "--type", "fixed")
    with loop_device("a.vhd") as below:
        with loop_device(below) as device:
            refuses_device(device, "a.vhd", "a.vhd", "a.vhd")


@case("so is a partition of such a loop device")
def _():
    new("b.vhd", "--type", "fixed")
    # One partition, of type 0x83, from 1 MiB on, of 2 MiB.
    entry = struct.pack("<B3xB3xII", 0, 0x83, 2048, 4096)
    vhdkit("write", "--offset=446", "b.vhd", data=entry)
    vhdkit("write", "--offset=510", "b.vhd", data=b"\x55\xaa")
    with loop_device("b.vhd", "--partscan") as device:
        if not os.path.exists(device + "p1"):
            raise Skip("the kernel shows no partitions of loop devices")
        refuses_device(device + "p1", "b.vhd", "b.vhd", "b.vhd")


@case("so is what the device mapper makes of such a loop device")
def _():
    need("dmsetup")
    new("a.vhd", "--type", "fixed")
    with loop_device("a.vhd") as below:
        name = f"vhdkit-test-{os.getpid()}"
        done = program("dmsetup", "create", name, "--table",
                       f"0 2048 linear {below} 0", code=None)
        if done.returncode != 0:
            raise Skip("no device mapper: " + done.err.split("\n")[0])
        try:
            refuses_device(f"/dev/mapper/{name}", "a.vhd", "a.vhd", "a.vhd")
        finally:
            program("dmsetup", "remove", name)


@case("create: --overwrite replaces neither a held image nor the parent")
def _():
    new("base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    with being_written("child.vhd") as writer:
        for path in ("base.vhd", "child.vhd"):
            refused("create", "--size", "1M", "--overwrite", path,
                    says=[path, str(writer.pid)])
        keeps("base.vhd", "create", "--overwrite", "--parent", "base.vhd",
              "base.vhd", says="base.vhd")


run()
