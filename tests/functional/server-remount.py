#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""After a kill the image is not quite where it was: it was put back as it was
before, renamed, or its file system was mounted elsewhere, rolled back, doubled.
What was acknowledged is found again, or missed aloud; and nothing is replayed
over what it does not belong to."""

import contextlib
import glob
import os
import shutil
import subprocess
import time

from mounttest import root_or_skip, unmount
from servertest import connect, killed, killed_in_time, need_nbd, served
from tooltest import (KiB, MiB, Skip, case, check, contains, equal, refused, run,
                      same_bytes, vhdkit)

TWO = b"2" * 64 * KiB
PIECES = [(i * 5 * KiB * 13, bytes([65 + i]) * 512) for i in range(40)]


@contextlib.contextmanager
def mounted(*how):
    root_or_skip("mount", *how)
    try:
        yield
    finally:
        unmount(os.path.abspath(how[-1]))


def write_pieces(h):
    for off, data in PIECES:
        h.pwrite(data, off)


def read(image, off, length=512):
    return vhdkit("read", "--offset", str(off), "--length", str(length),
                  image).stdout


def survives(upper, same_number):
    overlay = ("-t", "overlay", "none", "-o",
               f"lowerdir=lower,upperdir={upper}/files,"
               f"workdir={upper}/work,xino=off", "over")
    for folder in ("lower", "over", f"{upper}/files", f"{upper}/work"):
        os.makedirs(folder)
    vhdkit("create", "--size", "16M", "lower/disk.vhd")
    with mounted(*overlay):
        before = os.stat("over/disk.vhd").st_ino
        killed("over/disk.vhd", write_pieces)
    with mounted(*overlay):
        check((os.stat("over/disk.vhd").st_ino == before) == same_number,
              "not the overlay that this is about")
        for off, data in PIECES:
            same_bytes(read("over/disk.vhd", off), data)
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


def written(path="disk.vhd"):
    """An image whose first blocks were written and closed."""
    vhdkit("create", "--size", "16M", path)
    vhdkit("write", path, data=b"1" * 8 * MiB)
    return path


@case("a copy from before a trim that is put back, with its times")
def _():
    def work(h):
        h.pwrite(TWO, 0)
        h.flush()
        shutil.copy2("disk.vhd", "before.vhd")
        time.sleep(0.1)  # more than a tick of the clock
        h.trim(2 * MiB, 0)
    killed_in_time(written, work)
    time.sleep(2.5)  # so long what was in flight may have gone on
    with open("before.vhd", "rb") as before, open("disk.vhd", "r+b") as file:
        file.write(before.read())
        file.truncate()
    shutil.copystat("before.vhd", "disk.vhd")
    refused("read", "disk.vhd", "/dev/null", says="journal")


@case("after a trim alone another name and another mode do no harm")
def _():
    killed(written(), lambda h: h.zero(2 * MiB, 0))
    time.sleep(0.1)
    os.rename("disk.vhd", "other.vhd")
    os.chmod("other.vhd", 0o600)
    equal(read("other.vhd", 0), bytes(512))
    vhdkit("write", "other.vhd", "--offset", "1M", data=b"w")
    equal(read("other.vhd", 0), bytes(512))


class Loops:
    """Files as devices; all are given back."""

    def __enter__(self):
        self.devices = []
        return self

    def __exit__(self, *_):
        for device in list(self.devices):
            self.drop(device)

    def add(self, path):
        device = root_or_skip("losetup", "--find", "--show", path)
        self.devices.append(device)
        return device

    def put(self, path, device):
        """It may take a moment until the device is free."""
        for _ in range(40):
            done = subprocess.run(["losetup", device, path], check=False)
            if done.returncode == 0:
                self.devices.append(device)
                return
            time.sleep(0.05)
        raise Skip(f"{device} was not given back, or taken by another")

    def drop(self, device):
        self.devices.remove(device)
        subprocess.run(["losetup", "--detach", device], check=True)


def make_disk(kind, size, path="disk"):
    with open(path, "wb") as file:
        file.truncate(size)
    root_or_skip(f"mkfs.{kind}", "-q", path)
    os.makedirs("m", exist_ok=True)
    os.makedirs("twin", exist_ok=True)


def snapshot(path):
    """The file system in m as it is now, as a file."""
    root_or_skip("fsfreeze", "--freeze", "m")
    try:
        subprocess.run(["cp", "--sparse=always", "disk", path], check=True)
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", "m"], check=True)


def family():
    vhdkit("create", "--size", "64M", "m/base.vhd")
    vhdkit("write", "m/base.vhd", data=b"1" * 16 * MiB)
    vhdkit("create", "--parent", "m/base.vhd", "m/child.vhd")


def changes(snapshot_to, late):
    """A flushed write, a snapshot, and what comes after it."""
    def work(h):
        h.pwrite(b"5" * 4096, 4 * MiB)
        h.flush()
        time.sleep(0.1)  # more than a tick of the clock
        snapshot(snapshot_to)
        late(h)
    return work


def write_late(h):
    h.pwrite(b"9" * 4096, 0)


def zero_late(h):
    h.zero(2 * MiB, 4 * MiB)


@case("a file system that is rolled back to before what the journal holds")
def _():
    need_nbd()
    for late in (write_late, zero_late):
        make_disk("ext4", 200 * MiB)
        with Loops() as loops:
            device = loops.add("disk")
            with mounted(device, "m"):
                family()
                killed("m/child.vhd", changes("before", late))
            loops.drop(device)
            os.rename("before", "disk")
            with mounted(loops.add("disk"), "m"):
                refused("read", "m/child.vhd", "/dev/null", says="journal")


@case("a twin of the file system leaves the journal to the one it is of")
def _():
    need_nbd()
    make_disk("ext4", 200 * MiB)
    with Loops() as loops, mounted(loops.add("disk"), "m"):
        family()
        killed("m/child.vhd", changes("copy", write_late))
        with mounted(loops.add("copy"), "twin"):
            equal(read("twin/child.vhd", 4 * MiB, 4096), b"5" * 4096)
            contains(vhdkit("write", "twin/child.vhd", data=b"t").err, "copy")
            equal(read("m/child.vhd", 0, 4096), b"9" * 4096)
            vhdkit("write", "m/child.vhd", data=b"m")
            equal(read("m/child.vhd", 4095, 1), b"9")


@case("XFS whose device has another number the next time")
def _():
    need_nbd()
    make_disk("xfs", 400 * MiB)
    with open("other", "wb") as file:
        file.truncate(MiB)
    with Loops() as loops:
        device = loops.add("disk")
        with mounted(device, "m"):
            family()
            killed("m/child.vhd", write_late)
        loops.drop(device)
        loops.add("other")
        with mounted(loops.add("disk"), "m"):
            equal(read("m/child.vhd", 0, 4096), b"9" * 4096)
            with served("m/child.vhd"):
                h = connect()
                equal(bytes(h.pread(4096, 0)), b"9" * 4096)
                h.shutdown()
            vhdkit("write", "m/child.vhd", "--offset", "8M", data=b"w")
            equal(read("m/child.vhd", 0, 4096), b"9" * 4096)


@case("another file system has taken the device number that it had")
def _():
    need_nbd()
    for kind, size in ("ext4", 200 * MiB), ("xfs", 400 * MiB):
        make_disk(kind, size, "other")
        make_disk(kind, size)
        with Loops() as loops:
            device = loops.add("disk")
            with mounted(device, "m"):
                family()
                killed("m/child.vhd", write_late)
            loops.drop(device)
            loops.put("other", device)
            with mounted(device, "twin"), mounted(loops.add("disk"), "m"):
                equal(read("m/child.vhd", 0, 4096), b"9" * 4096)
                with served("m/child.vhd"):
                    h = connect()
                    equal(bytes(h.pread(4096, 0)), b"9" * 4096)
                    h.pwrite(b"w", 8 * MiB)
                    h.shutdown()
                equal(read("m/child.vhd", 0, 4096), b"9" * 4096)


@case("Btrfs, whose device numbers are taken by whatever is mounted next")
def _():
    need_nbd()
    make_disk("btrfs", 400 * MiB)
    with Loops() as loops:
        device = loops.add("disk")
        with mounted(device, "m"):
            family()
            killed("m/child.vhd", write_late)
        with mounted("-t", "tmpfs", "none", "twin"), mounted(device, "m"):
            equal(read("m/child.vhd", 0, 4096), b"9" * 4096)


@case("a twin of an XFS leaves the journal to the one it is of")
def _():
    need_nbd()
    make_disk("xfs", 400 * MiB)
    with Loops() as loops, mounted(loops.add("disk"), "m"):
        family()
        killed("m/child.vhd", changes("copy", write_late))
        with mounted("-o", "nouuid", loops.add("copy"), "twin"):
            equal(read("twin/child.vhd", 4 * MiB, 4096), b"5" * 4096)
            contains(vhdkit("write", "twin/child.vhd", data=b"t").err, "copy")
        equal(read("m/child.vhd", 0, 4096), b"9" * 4096)


# ---------------------------------------------------------- without page cache

def mounted_twice(kind, between):
    """A new block of a child is written, another zeroed; the server is killed;
    `between`; the file system is mounted anew."""
    def work(h):
        h.pwrite(b"9" * 4096, 2 * MiB)
        h.zero(2 * MiB, 4 * MiB)
        h.pwrite(b"8" * 100, 6 * MiB + 1000)
        h.zero(MiB + 100, 8 * MiB + 1000)
    make_disk(kind, 400 * MiB)
    with Loops() as loops:
        device = loops.add("disk")
        with mounted(device, "m"):
            family()
            os.sync()
            killed("m/child.vhd", work)
            between()
        with mounted(device, "m"):
            yield


@case("unmounted and mounted again, all is there")
def _():
    need_nbd()
    for kind in "ext4", "xfs", "btrfs":
        for _ in mounted_twice(kind, lambda: None):
            equal(read("m/child.vhd", 2 * MiB, 4096), b"9" * 4096)
            equal(read("m/child.vhd", 4 * MiB, 2 * MiB), bytes(2 * MiB))
            vhdkit("write", "m/child.vhd", data=b"w")
            equal(read("m/child.vhd", 6 * MiB + 999, 102),
                  b"1" + b"8" * 100 + b"1")
            equal(read("m/child.vhd", 8 * MiB + 999, MiB + 102),
                  b"1" + bytes(MiB + 100) + b"1")


@case("its disk went away with what was not written: nothing is replayed")
def _():
    need_nbd()
    for kind in "ext4", "xfs":
        for _ in mounted_twice(kind, lambda: root_or_skip(
                "xfs_io", "-x", "-c", "shutdown -f", "m")):
            for verb in "read", "write":
                refused(verb, "m/child.vhd", *["/dev/null"][:verb == "read"],
                        data=b"", says=["mounted anew", "remove that file"])
            path = os.getxattr("m/child.vhd", "user.vhdkit.journal")
            os.unlink(path.split(b" ")[1])
            equal(read("m/child.vhd", 2 * MiB, 4096), b"1" * 4096)
            equal(read("m/child.vhd", 4 * MiB, 4096), b"1" * 4096)


# ------------------------------------------------------- a system without notes

@contextlib.contextmanager
def folder_of_somebody():
    """Of a user that nobody is."""
    user = 3_000_000_000 + os.getpid()
    folder = f"/dev/shm/vhdkit-{user}"
    os.mkdir(folder, 0o700)
    try:
        os.chown(folder, user, -1)
        yield folder
    finally:
        shutil.rmtree(folder)


def journal_of(inode):
    for place in ("/run/vhdkit", "/dev/shm/vhdkit-*", "/run/user/*/vhdkit"):
        for path in glob.glob(f"{place}/*-{inode:x}.journal"):
            return path
    raise AssertionError("there is no journal")


def give(journal, folder):
    """It becomes that of the folder's owner."""
    os.chown(shutil.move(journal, folder), os.stat(folder).st_uid, -1)


@case("without attributes, other users' journals are looked for, confined too")
def _():
    need_nbd()
    os.mkdir("m")
    with mounted("-t", "ramfs", "none", "m"), folder_of_somebody() as folder:
        vhdkit("create", "--size", "16M", "m/disk.vhd")
        os.chown("m/disk.vhd", os.stat(folder).st_uid, -1)
        killed("m/disk.vhd", write_pieces)
        give(journal_of(os.stat("m/disk.vhd").st_ino), folder)
        with served("m/disk.vhd"):
            h = connect()
            for off, data in PIECES:
                same_bytes(h.pread(len(data), off), data)
            h.pwrite(TWO, 8 * MiB)
            h.shutdown()
        equal(os.listdir(folder), [], "what is left")
        for off, data in PIECES:
            same_bytes(read("m/disk.vhd", off), data)


run()
