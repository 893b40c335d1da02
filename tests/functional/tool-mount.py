#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit mount and unmount: file systems inside of images, through FUSE; what
is written there is in the image, whose own check is clean, and what must not
happen."""

import contextlib
import json
import os
import signal
import subprocess
import time

from attachtest import (attaching, ended, need_fuse, the_one, wait_for_state,
                        worker_of)
from fronttest import PATIENCE, is_alive
from mounttest import goes_with_us
from servertest import served
from tooltest import (IN_USE, NOT_FOUND, USAGE, VHDKIT, MiB, Skip, case, check,
                      contains, content, equal, need, refused, run, vhdkit)


TABLE = """label: gpt
size=30M
size=30M, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
"""
SECOND = 31 * MiB


def need_mount():
    need_fuse()
    if not hasattr(need_mount, "built"):
        done = vhdkit("mount", "no.vhd", "no", code=None)
        need_mount.built = "without libblkid" not in done.err
    if not need_mount.built:
        raise Skip("package libblkid-dev was not there when this was built")


def tool(*command, **how):
    need(command[0])
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **how).stdout


def image(raw, name="a.vhd"):
    """A dynamic image of a raw file."""
    vhdkit("convert", "--overwrite", "--source-format", "raw", "--block-size",
           "64K", raw, name)


def raw_of(name="a.vhd"):
    with open("now.raw", "wb") as file:
        file.write(content(name))
    return "now.raw"


def ext4(name="a.vhd", size="64M"):
    with open("fs.raw", "wb") as file:
        file.truncate(int(size[:-1]) * MiB)
    tool("mkfs.ext4", "-q", "-F", "-L", "root", "fs.raw")
    image("fs.raw", name)


def both(name="a.vhd"):
    """ext4 and NTFS, in partitions."""
    with open("both.raw", "wb") as file:
        file.truncate(64 * MiB)
    tool("sfdisk", "--quiet", "both.raw", input=TABLE.encode())
    tool("mkfs.ext4", "-q", "-F", "-E", f"offset={MiB}", "both.raw", "30M")
    with open("ntfs.raw", "wb") as file:
        file.truncate(30 * MiB)
    tool("mkntfs", "-q", "-F", "-Q", "-p", "0", "-H", "0", "-S", "0", "-s",
         "512", "ntfs.raw")
    tool("dd", "if=ntfs.raw", "of=both.raw", "bs=1M", f"seek={SECOND // MiB}",
         "conv=notrunc", "status=none")
    image("both.raw", name)


def part_of(off, length, name="a.vhd"):
    data = content(name)[off:off + length]
    with open("part.raw", "wb") as file:
        file.write(data)
    return "part.raw"


def clean_ext4(raw):
    tool("e2fsck", "-f", "-n", raw)


def clean_ntfs(raw):
    tool("ntfsfix", "-n", raw)
    tool("ntfsresize", "-i", "-f", raw)


@contextlib.contextmanager
def mounting():
    """As attaching(), with a folder mnt, where nothing stays mounted."""
    os.makedirs("mnt", exist_ok=True)
    with attaching() as seen:
        yield seen
        check(not os.path.ismount("mnt"), "mnt is mounted")
        equal(os.listdir("mnt"), [])


def seen_driver(seen):
    entry = the_one(seen)
    seen.add(entry["driver-pid"])
    return entry


FILES = {f"file{i}": bytes((i,)) * (100000 * i + 1) for i in range(12)}


def fill(folder):
    for name, data in FILES.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


def delete_half(folder):
    gone = [name for i, name in enumerate(FILES) if i % 2 == 0]
    for name in gone:
        os.unlink(os.path.join(folder, name))
    return gone


def filled(folder, gone=()):
    for name, data in FILES.items():
        path = os.path.join(folder, name)
        equal(os.path.exists(path), name not in gone, name)
        if name not in gone:
            with open(path, "rb") as file:
                check(file.read() == data, name)


@case("ext4 without a table: what is written is in the image when it is "
      "unmounted, and the file system is clean")
def _():
    need_mount()
    need("fuse2fs")
    ext4()
    with mounting() as seen:
        equal(vhdkit("mount", "a.vhd", "mnt").out, "")
        entry = seen_driver(seen)
        equal((entry["state"], entry["folder"], entry["partition"]),
              ("mounted", os.path.abspath("mnt"), None))
        equal((entry["disk"]["content"], entry["read-only"]), ("ext4", False))
        fill("mnt")
        filled("mnt")
        refused("mount", "a.vhd", "mnt", says=["mounted already", "mnt"],
                code=IN_USE)
        refused("write", "a.vhd", data=b"x", says="vhdkitd")
        vhdkit("unmount", "mnt")
        clean_ext4(raw_of())
        vhdkit("check", "a.vhd")
        vhdkit("mount", "--readonly", "a.vhd", "mnt")
        filled("mnt")
        equal(seen_driver(seen)["read-only"], True)
        try:
            with open("mnt/new", "wb"):
                raise AssertionError("it can be written to")
        except OSError:
            pass
        vhdkit("unmount", "a.vhd")


@case("partitions: one is named, and nothing else is touched")
def _():
    need_mount()
    need("fuse2fs")
    need("ntfs-3g")
    need("nbdkit")
    both()
    with mounting() as seen:
        before = content("a.vhd")
        refused("mount", "a.vhd", "mnt", says=["1 (ext4)", "2 (ntfs)",
                                               "--partition"])
        refused("mount", "--partition", "3", "a.vhd", "mnt",
                says="no partition 3", code=NOT_FOUND)
        refused("mount", "--partition", "0", "a.vhd", "mnt", says="0 is no",
                code=USAGE)
        refused("mount", "--partition", "1x", "a.vhd", "mnt", says="1x is no")
        equal(content("a.vhd") == before, True, "unchanged")
        for number, off, clean in ((1, MiB, clean_ext4),
                                   (2, SECOND, clean_ntfs)):
            before = content("a.vhd")
            vhdkit("mount", "--partition", str(number), "a.vhd", "mnt")
            equal(seen_driver(seen)["partition"], number)
            contains(vhdkit("attach").out, f" {number} 30 MiB ")
            fill("mnt")
            vhdkit("unmount", "mnt")
            clean(part_of(off, 30 * MiB))
            after = content("a.vhd")
            check(after[:off] == before[:off] and
                  after[off + 30 * MiB:] == before[off + 30 * MiB:],
                  "something beside the partition has changed")
            vhdkit("mount", "--partition", str(number), "a.vhd", "mnt")
            filled("mnt")
            seen_driver(seen)
            vhdkit("unmount", "mnt")
    vhdkit("check", "a.vhd")


@case("ext4 in a partition: filled, half of it deleted, compacted: the file "
      "shrinks by that, the rest is there, and the file system clean")
def _():
    need_mount()
    need("fuse2fs")
    need("ntfs-3g")
    need("nbdkit")
    both()
    with mounting() as seen:
        vhdkit("mount", "--partition", "1", "a.vhd", "mnt")
        seen_driver(seen)
        fill("mnt")
        gone = delete_half("mnt")
        vhdkit("unmount", "mnt")
        done = vhdkit("compact", "--free", "--json", "a.vhd", code=None)
        if "built without" in done.err:
            raise Skip("package libblkid-dev was not there when this was "
                       "built")
        equal((done.returncode, done.err), (0, ""))
        got = json.loads(done.out)
        # The files of 3 MB, but for what shares a block with something else.
        check(got["dropped-blocks"] >= 32, got)
        check(got["file-size"] <= got["file-size-before"] - 2 * MiB, got)
        clean_ext4(part_of(MiB, 30 * MiB))
        clean_ntfs(part_of(SECOND, 30 * MiB))
        vhdkit("mount", "--partition", "1", "a.vhd", "mnt")
        seen_driver(seen)
        filled("mnt", gone)
        vhdkit("unmount", "mnt")
    vhdkit("check", "a.vhd")


@case("NTFS: filled, half of it deleted, compacted: likewise")
def _():
    need_mount()
    need("ntfs-3g")
    with open("fs.raw", "wb") as file:
        file.truncate(30 * MiB)
    tool("mkntfs", "-q", "-F", "-Q", "-p", "0", "-H", "0", "-S", "0", "-s",
         "512", "fs.raw")
    image("fs.raw")
    with mounting() as seen:
        vhdkit("mount", "a.vhd", "mnt")
        seen_driver(seen)
        fill("mnt")
        gone = delete_half("mnt")
        vhdkit("unmount", "mnt")
        got = json.loads(vhdkit("compact", "--free", "--json", "a.vhd").out)
        check(got["dropped-blocks"] >= 32, got)
        check(got["file-size"] <= got["file-size-before"] - 2 * MiB, got)
        clean_ntfs(raw_of())
        vhdkit("mount", "--readonly", "a.vhd", "mnt")
        seen_driver(seen)
        filled("mnt", gone)
        vhdkit("unmount", "mnt")
    vhdkit("check", "a.vhd")


@case("the folder is known by any of its names: with a slash, or by a link")
def _():
    need_mount()
    need("fuse2fs")
    ext4()
    os.mkdir("beside")
    os.symlink("../mnt", "beside/first")
    os.symlink("beside/first", "second")
    with mounting() as seen:
        for name in ("mnt/", "mnt//", "./mnt", "beside/first", "second/"):
            vhdkit("mount", "a.vhd", name)
            seen_driver(seen)
            vhdkit("unmount", name)
            check(not os.path.ismount("mnt"), name)
        vhdkit("mount", "a.vhd", "mnt")
        seen_driver(seen)
        os.symlink("third", "third")
        refused("unmount", "third", code=NOT_FOUND, says="not attached")
        vhdkit("unmount", "mnt")


@case("what is in use stays mounted, unless it is forced")
def _():
    need_mount()
    need("fuse2fs")
    ext4()
    with mounting() as seen:
        vhdkit("mount", "a.vhd", "mnt")
        seen_driver(seen)
        with open("mnt/file", "wb", buffering=0) as file:
            file.write(b"here")
            refused("unmount", "mnt", says=["in use", "--force"])
            equal(the_one(seen)["state"], "mounted")
            file.write(b"more")
        vhdkit("unmount", "mnt")
        vhdkit("mount", "a.vhd", "mnt")
        with open("mnt/file", "rb") as file:
            equal(file.read(), b"heremore")
            seen_driver(seen)
            vhdkit("unmount", "--force", "mnt")
    vhdkit("check", "a.vhd")


@case("a driver that was killed is dead, and cleared, with a warning")
def _():
    need_mount()
    need("fuse2fs")
    ext4()
    with mounting() as seen:
        vhdkit("mount", "a.vhd", "mnt")
        pid = seen_driver(seen)["driver-pid"]
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        equal(the_one(seen)["state"], "dead")
        contains(vhdkit("unmount", "mnt").err, "should be checked")
    vhdkit("check", "a.vhd")


@case("a server's worker, nbdfuse or the server that was killed: dead, and "
      "cleared; what had been flushed is there")
def _():
    need_mount()
    need("fuse2fs")
    need("ps")
    for victim in ("worker", "client-pid", "server-pid"):
        ext4()
        with mounting() as seen:
            vhdkit("mount", "a.vhd", "mnt")
            fill("mnt")
            vhdkit("unmount", "mnt")
            vhdkit("mount", "a.vhd", "mnt")
            entry = seen_driver(seen)
            os.kill(worker_of(entry["server-pid"]) if victim == "worker"
                    else entry[victim], signal.SIGKILL)
            wait_for_state(seen, "dead")
            vhdkit("unmount", "mnt")
            vhdkit("check", "a.vhd")
            vhdkit("mount", "--readonly", "a.vhd", "mnt")
            filled("mnt")
            seen_driver(seen)
            vhdkit("unmount", "mnt")
        os.unlink("a.vhd")


@case("who unmounts with another program has unmounted; the rest is cleared")
def _():
    need_mount()
    need("fuse2fs")
    ext4()
    with mounting() as seen:
        vhdkit("mount", "a.vhd", "mnt")
        pid = seen_driver(seen)["driver-pid"]
        fill("mnt")
        tool("fusermount3", "-u", "mnt")
        ended(pid)
        equal(the_one(seen)["state"], "dead")
        equal(vhdkit("unmount", "mnt").err, "")
        clean_ext4(raw_of())


def fat(raw):
    """As much of one as is recognised."""
    boot = bytearray(512)
    boot[0:11] = b"\xeb\x3c\x90mkfs.fat"
    boot[11:24] = bytes((0, 2, 4, 4, 0, 2, 0, 2, 0, 128, 0xf8, 32, 0))
    boot[36:62] = b"\x80\0\x29\1\2\3\4NO NAME    FAT16   "[:26]
    boot[510:] = b"\x55\xaa"
    with open(raw, "wb") as file:
        file.truncate(16 * MiB)
        file.write(boot)
        for copy in range(2):
            file.seek((4 + 32 * copy) * 512)
            file.write(b"\xf8\xff\xff\xff")


@case("where the driver is missing, the error names its package")
def _():
    need_mount()
    fat("fat.raw")
    image("fat.raw")
    with mounting():
        done = vhdkit("mount", "a.vhd", "mnt", code=None)
        if done.returncode == 0:
            contains(done.err, "read-only")
            vhdkit("unmount", "mnt")
            raise Skip("fusefat is installed here")
        contains(done.err, "package fusefat")


@case("what cannot be mounted is refused, and nothing is left")
def _():
    need_mount()
    with mounting():
        vhdkit("create", "--size", "8M", "none.vhd")
        refused("mount", "none.vhd", "mnt", says="no file system")
        with open("swap.raw", "wb") as file:
            file.truncate(8 * MiB)
        tool("mkswap", "swap.raw")
        image("swap.raw")
        refused("mount", "a.vhd", "mnt", says="swap cannot be mounted")
        refused("mount", "gone.vhd", "mnt", says="No such file")
        refused("mount", "a.vhd", "gone", says="gone: No such file")
        refused("mount", "a.vhd", "a.vhd", says="not a folder")
        with served("a.vhd") as server:
            refused("mount", "a.vhd", "mnt", says=str(server.pid))
        refused("unmount", "mnt", says="not attached")


@case("what is attached only is not unmounted")
def _():
    vhdkit("create", "--size", "8M", "a.vhd")
    with attaching() as seen:
        vhdkit("attach", "--with", "socket", "a.vhd")
        the_one(seen)
        refused("unmount", "a.vhd", says="vhdkit detach")
        vhdkit("detach", "a.vhd")


def fake_driver(text):
    os.makedirs("bin", exist_ok=True)
    with open("bin/fuse2fs", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod("bin/fuse2fs", 0o755)
    return {"PATH": os.path.abspath("bin") + ":" + os.environ["PATH"]}


@case("what the driver says is told where it fails, and nothing is left")
def _():
    need_mount()
    ext4()
    with mounting():
        refused("mount", "a.vhd", "mnt", says="it is broken",
                env=fake_driver("echo it is broken; exit 1\n"))
        refused("mount", "a.vhd", "mnt", says="said nothing",
                env=fake_driver("exit 1\n"))
    vhdkit("check", "a.vhd")


@case("interrupted while the driver starts, nothing is left")
def _():
    need_mount()
    ext4()
    env = fake_driver('echo $$ >"$TMPDIR/pid"\nexec sleep 100\n')
    with mounting():
        with subprocess.Popen([VHDKIT, "mount", "a.vhd", "mnt"],
                              env=dict(os.environ, TMPDIR=os.getcwd(), **env),
                              stderr=subprocess.PIPE) as process:
            end = time.monotonic() + PATIENCE
            while not os.path.exists("pid") or not os.path.getsize("pid"):
                check(time.monotonic() < end, "the driver does not start")
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            contains(process.stderr.read().decode(), "interrupted")
            equal(process.wait(), -signal.SIGINT)
        with open("pid", encoding="ascii") as file:
            equal(is_alive(int(file.read())), False, "the driver")


@case("a user without rights mounts what is his, and writes to it")
def _():
    need_mount()
    need("fuse2fs")
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    ext4()
    os.mkdir("his", 0o700)
    os.rename("a.vhd", "his/a.vhd")
    os.mkdir("his/mnt")
    for name in ("his", "his/a.vhd", "his/mnt"):
        os.chown(name, 65534, 65534)
    for name in (".", "..", "../.."):
        if os.stat(name).st_uid == 0 and os.stat(name).st_mode & 0o005 != 5:
            # The test's own folders; make's stay as they are.
            if os.path.realpath(name).startswith(os.environ["TMPDIR"]):
                os.chmod(name, 0o755)
    him = {"user": 65534, "group": 65534, "extra_groups": [],
           "env": {"VHDKIT_ATTACH_DIR": os.path.abspath("his/at")}}
    if vhdkit("version", code=None, **him).returncode != 0:
        raise Skip("another user cannot run what was built here")
    if os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
        # For us alone: see goes_with_us().
        os.mknod("fuse", 0o666 | 0o020000, os.stat("/dev/fuse").st_rdev)
        os.chmod("fuse", 0o666)
        tool("mount", "--bind", "fuse", "/dev/fuse")
    vhdkit("mount", "his/a.vhd", "his/mnt", **him)
    tool("sh", "-c", "echo his >his/mnt/file; cat his/mnt/file",
         user=65534, group=65534, extra_groups=[])
    vhdkit("unmount", "his/mnt", **him)
    equal(os.listdir("his/at"), [])
    clean_ext4(raw_of("his/a.vhd"))


goes_with_us()
run()
