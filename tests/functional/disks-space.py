#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Disks that cannot be read, children on another file system, and what happens
when there is no space: to whom it happens, and to nobody else."""

import contextlib
import errno
import os
import subprocess

from diskstest import (ANYBODY, DISK, SIZE, child, golden, is_refused, link,
                       make_disk, make_version, serving_disks)
from fronttest import needs_root
from servertest import connect, nbd
from tooltest import MiB, case, check, contains, equal, run, vhdkit

QUOTA = 4 * MiB + 512 * 1024


def fill(h, size=SIZE):
    """Writes a byte of each block; returns the errors."""
    errors = []
    for off in range(0, size, 2 * MiB):
        try:
            h.pwrite(b"full", off + 4096)
        except nbd.Error as error:
            errors.append(error.errnum)
    return errors


@case("a quota is the end for one client alone")
def _():
    make_disk()
    with serving_disks(ANYBODY, f"quota = {QUOTA};"):
        one, other = (connect(f"{DISK}/pc{i}") for i in range(2))
        errors = fill(one)
        check(errors and set(errors) == {errno.ENOSPC}, f"{errors}")
        equal(os.path.getsize(child("pc0")) <= QUOTA, True)
        other.pwrite(b"mine", 0)
        equal(bytes(other.pread(4, 0)), b"mine")
        # What has its space can be written still, and all can be read.
        one.pwrite(b"more", 8192)
        equal(bytes(one.pread(4, 8192)), b"more")
        equal(bytes(one.pread(4, SIZE - 4)), bytes(4))
        one.flush()
        one.shutdown()
        other.shutdown()
    with serving_disks(ANYBODY):
        one = connect(f"{DISK}/pc0")
        equal(bytes(one.pread(4, 8192)), b"more")
        equal(fill(one), [])
        one.shutdown()
    vhdkit("check", "--root", "disks", child("pc0"))


@case("below the reserve nobody boots, and who runs goes on")
def _():
    make_disk()
    with serving_disks(ANYBODY, "linger = 0;"):
        connect(f"{DISK}/pc1").shutdown()
    with serving_disks(ANYBODY, 'reserve = "1000T";') as server:
        running = connect(f"{DISK}/pc1")
        check(is_refused(f"{DISK}/pc2"), "a boot below the reserve")
        running.pwrite(b"mine", 0)
        again = connect(f"{DISK}/pc1")
        equal(bytes(again.pread(4, 0)), b"mine")
        again.shutdown()
        running.shutdown()
        server.wait_for("are reserved for those who run")
        check(not os.path.exists(child("pc2")), "a child was made")


@contextlib.contextmanager
def tmpfs(path, size):
    needs_root()
    os.makedirs(path, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}",
                           "none", path], check=False)
    if done.returncode != 0:
        raise AssertionError("no tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@case("children on a tmpfs, which is full")
def _():
    make_disk()
    with tmpfs("memory", "9m"), \
            serving_disks(ANYBODY, children="memory"):
        one, other = (connect(f"{DISK}/pc{i}") for i in range(2))
        other.pwrite(b"mine", 4096)
        errors = fill(one)
        check(set(errors) <= {errno.ENOSPC}, f"{errors}")
        equal(bytes(one.pread(8, 0)), golden()[:8])
        other.pwrite(b"MINE", 4096)
        equal(bytes(other.pread(4, 4096)), b"MINE")
        other.shutdown()
        one.shutdown()


@case("the children's folder is mounted after the start")
def _():
    make_disk()
    with serving_disks(ANYBODY):
        connect(f"{DISK}/pc1").shutdown()
        with tmpfs("children", "64m"):
            h = connect(f"{DISK}/pc2")
            h.pwrite(b"mine", 0)
            h.shutdown()
            equal(os.listdir(f"children/{DISK}"), ["pc2.vhd"])
        equal(os.listdir(f"children/{DISK}"), ["pc1.vhd"])


@case("a golden version that is damaged, or not there, is nobody's disk")
def _():
    make_disk()
    make_version(2, b"v2v2")
    with open(f"disks/{DISK}/3.vhd", "wb") as file:
        file.write(b"no image" * 1024)
    with serving_disks(ANYBODY) as server:
        running = connect(f"{DISK}/pc1")
        link("production", 3)
        check(is_refused(f"{DISK}/pc2"), "of what is no image")
        server.wait_for("3.vhd")
        link("production", 4)
        check(is_refused(f"{DISK}/pc3"), "of what is not there")
        server.wait_for(f"the disk '{DISK}' has no version 'production'")
        link("production", 2)
        h = connect(f"{DISK}/pc2")
        equal(bytes(h.pread(4, 0)), b"v2v2")
        h.shutdown()
        equal(bytes(running.pread(8, 0)), golden()[:8])
        running.shutdown()
    equal(sorted(os.listdir(f"children/{DISK}")), ["pc1.vhd", "pc2.vhd"])


@case("a golden version that ends too early: EIO for who reads what is missing")
def _():
    make_disk()
    with serving_disks(ANYBODY) as server:
        one, other = (connect(f"{DISK}/pc{i}") for i in range(2))
        one.pwrite(b"mine" * 128, 3 * MiB)
        os.truncate(f"disks/{DISK}/1.vhd", 3 * MiB)
        for h in (one, other):
            equal(bytes(h.pread(512, 0)), golden()[:512])
            try:
                h.pread(512, 3 * MiB + 4096)
            except nbd.Error as error:
                equal(error.errnum, errno.EIO)
            else:
                raise AssertionError("read what is not there")
        equal(bytes(one.pread(512, 3 * MiB)), b"mine" * 128)
        one.pwrite(b"MINE" * 128, 0)
        one.flush()
        one.shutdown()
        other.shutdown()
        server.wait_for("EIO")


@case("a golden version that was changed by hand is refused, not mixed")
def _():
    make_disk()
    with serving_disks(ANYBODY) as server:
        h = connect(f"{DISK}/pc1")
        h.pwrite(b"mine", 0)
        h.shutdown()
        os.unlink(f"disks/{DISK}/1.vhd")
        vhdkit("create", "--size", str(SIZE), f"disks/{DISK}/1.vhd")
        check(is_refused(f"{DISK}/pc1"), "another parent's data")
        contains(server.log(), "pc1")


run()
