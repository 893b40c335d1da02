#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What vhdkit may be pointed at by mistake: files in use, parents of others, the
image itself, devices.  Nothing is lost that was not named to be overwritten,
nor anything that somebody has in use."""

import contextlib
import os
import resource
import signal
import subprocess

from tooltest import (MiB, VHDKIT, Skip, case, check, contains, equal,
                      need, program, refused, run, same_bytes, vhdkit)


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


@case("read: to standard output that is the image itself is refused")
def _():
    new("a.vhd")
    before = slurp("a.vhd")
    with open("a.vhd", "ab") as out:
        done = subprocess.run([VHDKIT, "read", "a.vhd"], stdout=out,
                              stderr=subprocess.PIPE, check=False, timeout=60)
    equal(done.returncode, 1, "status")
    contains(done.stderr.decode(), "part of the image")
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
def loop_device(path):
    need("losetup")
    done = program("losetup", "--find", "--show", path, code=None)
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
