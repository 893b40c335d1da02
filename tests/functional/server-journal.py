#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a killed server leaves in memory: who opens the image next finds it,
whoever that is, and takes it only if nobody changed the image meanwhile."""

import contextlib
import ctypes
import glob
import os
import pwd
import shutil
import struct
import subprocess
import tempfile
import time

from fronttest import Server, needs_root, refused as server_refused
from servertest import SOCKET, connect, killed, killed_in_time, served
from tooltest import (KiB, MiB, Skip, case, check, contains, content, equal,
                      need, program, refused, run, same_bytes, vhdkit)

NOTE = "user.vhdkit.journal"
TWO = b"2" * 64 * KiB


def writes(*pieces):
    def work(h):
        for off, data in pieces:
            h.pwrite(data, off)
    return work


def journal_of(image):
    """The path of the journal: as the image notes it or, where the file system
    keeps no notes, by its name in the usual places."""
    try:
        return os.getxattr(image, NOTE).decode().split(" ", 1)[1]
    except OSError:
        pass
    for place in ("/run/vhdkit", "/dev/shm/vhdkit-*", "/run/user/*/vhdkit"):
        for path in glob.glob(place + f"/*-{os.stat(image).st_ino:x}.journal"):
            return path
    raise AssertionError(f"{image} has no journal")


def need_notes():
    with tempfile.NamedTemporaryFile(dir=".") as file:
        try:
            os.setxattr(file.name, NOTE, b"1")
        except OSError as error:
            raise Skip(f"no extended attributes here: {error}") from error


def has_note(image):
    return NOTE in os.listxattr(image)


def read(image, off, length, *more, **how):
    return vhdkit("read", "--offset", str(off), "--length", str(length),
                  *more, image, **how).stdout


def dynamic(path="disk.vhd", size=16 * MiB):
    vhdkit("create", "--size", str(size), path)
    return path


def written(path="disk.vhd"):
    """An image whose first blocks were written and closed."""
    dynamic(path)
    vhdkit("write", path, data=b"1" * 8 * MiB)
    return path


def file_bytes(path):
    with open(path, "rb") as file:
        return file.read()


class Opens:
    """Tells whether anybody opens a file."""
    IN_OPEN = 0x20

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_NONBLOCK)
        check(libc.inotify_add_watch(self.fd, path.encode(), self.IN_OPEN) > 0,
              "inotify_add_watch")

    def seen(self):
        try:
            return len(os.read(self.fd, 4096)) > 0
        except BlockingIOError:
            return False
        finally:
            os.close(self.fd)


@contextlib.contextmanager
def warned(path):
    """What opening the image for a look warns of."""
    done = vhdkit("info", path)
    yield done.out + done.err


# ------------------------------------------------------------------- who finds

@case("a clean close leaves neither a journal nor a note")
def _():
    need_notes()
    with served(written()):
        journal = journal_of("disk.vhd")
        check(os.path.exists(journal), journal)
        connect().pwrite(TWO, 0)
    check(not has_note("disk.vhd"), "the note is left")
    check(not os.path.exists(journal), "the journal is left")


@case("the next opener finds it, with other settings too")
def _():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chmod(folder, 0o700)
        killed(dynamic(), writes((MiB, TWO)),
               env=dict(os.environ, VHDKIT_JOURNAL_DIR=folder))
        equal(len(os.listdir(folder)), 1, "journals there")
        same_bytes(read("disk.vhd", MiB, len(TWO)), TWO)
        # Who writes moves it to where its own belong.
        vhdkit("write", "disk.vhd", data=b"3" * 512)
        equal(os.listdir(folder), [], "what is left")
    same_bytes(read("disk.vhd", MiB, len(TWO)), TWO)
    same_bytes(read("disk.vhd", 0, 512), b"3" * 512)
    vhdkit("check", "disk.vhd")


@contextlib.contextmanager
def folder_of_nobody():
    needs_root()
    need("setpriv")
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        here = os.getcwd()
        os.chdir(folder)
        try:
            yield nobody
        finally:
            os.chdir(here)


def as_nobody(nobody):
    """What runs a program as that user; the programs of a build tree may lie
    where that user cannot go."""
    return {"user": nobody.pw_uid, "group": nobody.pw_gid,
            "extra_groups": []}


def reachable(nobody):
    done = subprocess.run([os.environ["VHDKITD"], "--version"], check=False,
                          capture_output=True, **as_nobody(nobody))
    if done.returncode != 0:
        raise Skip("another user cannot run the programs of this build tree")


@case("another user's: root finds what a user's killed server left")
def _():
    with folder_of_nobody() as nobody:
        reachable(nobody)
        dynamic()
        os.chown("disk.vhd", nobody.pw_uid, nobody.pw_gid)
        killed("disk.vhd", writes((MiB, TWO)), **as_nobody(nobody))
        same_bytes(read("disk.vhd", MiB, len(TWO)), TWO)
        vhdkit("write", "disk.vhd", data=b"3" * 512)
        same_bytes(read("disk.vhd", MiB, len(TWO)), TWO)
        # And the user is not locked out.
        killed("disk.vhd", writes((2 * MiB, TWO)), **as_nobody(nobody))
        killed("disk.vhd", writes((4 * MiB, TWO)), **as_nobody(nobody))
        for at in (1, 2, 4):
            same_bytes(read("disk.vhd", at * MiB, len(TWO)), TWO)
        vhdkit("write", "disk.vhd", data=b"")


@case("another user's: one that cannot be read is an error that says whose")
def _():
    with folder_of_nobody() as nobody:
        reachable(nobody)
        dynamic()
        os.chown("disk.vhd", nobody.pw_uid, nobody.pw_gid)
        killed("disk.vhd", writes((MiB, TWO)))
        journal = journal_of("disk.vhd")
        before = file_bytes("disk.vhd")
        refused("info", "disk.vhd", says=[journal, "user 0"],
                **as_nobody(nobody))
        refused("write", "disk.vhd", data=b"3", says=[journal, "user 0"],
                **as_nobody(nobody))
        same_bytes(file_bytes("disk.vhd"), before)
        same_bytes(read("disk.vhd", MiB, len(TWO)), TWO)
        vhdkit("write", "disk.vhd", data=b"")


@case("a parent's journal is found through its child")
def _():
    dynamic("base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chmod(folder, 0o700)
        killed("base.vhd", writes((MiB, TWO)),
               env=dict(os.environ, VHDKIT_JOURNAL_DIR=folder))
        same_bytes(read("child.vhd", MiB, len(TWO)), TWO)
        with warned("child.vhd") as said:
            contains(said, "power cut")


@case("create --parent writes down what the parent's journal holds")
def _():
    killed(dynamic("base.vhd"), writes((MiB, TWO)))
    journal = journal_of("base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    check(not os.path.exists(journal), "the journal is left")
    same_bytes(read("base.vhd", MiB, len(TWO)), TWO)
    same_bytes(read("child.vhd", MiB, len(TWO)), TWO)


# ------------------------------------------------------------ what goes with it

def pause():
    """Until what is done next is not taken for the killed server's own: for so
    long a change that was in flight may have gone on."""
    time.sleep(2.5)


def changed_by(change):
    """A killed server trimmed a block; then `change`.  Nothing is replayed."""
    def image():
        written()
        shutil.copy2("disk.vhd", "backup")
        time.sleep(0.1)  # more than a tick of the clock
        return "disk.vhd"
    killed_in_time(image, lambda h: h.trim(2 * MiB, 0))
    pause()
    change()
    journal = journal_of("disk.vhd")
    before = file_bytes("disk.vhd")
    for verb in ("info", "write"):
        refused(verb, "disk.vhd", data=b"", says=[journal, "changed since"])
    contains(vhdkit("check", "disk.vhd", code=None).out, "changed since")
    server_refused("--unix", SOCKET, "disk.vhd", says=[journal])
    same_bytes(file_bytes("disk.vhd"), before)
    # The way out that the message names.
    os.unlink(journal)
    return vhdkit("write", "disk.vhd", data=b"")


@case("another program wrote to it: nothing is replayed over that")
def _():
    need("qemu-io")
    changed_by(lambda: program("qemu-io", "-f", "vpc", "-c",
                               "write -P 0x33 4k 4k", "disk.vhd"))
    same_bytes(read("disk.vhd", 4 * KiB, 4 * KiB), b"\x33" * 4 * KiB)
    same_bytes(read("disk.vhd", 8 * KiB, 4 * KiB), b"1" * 4 * KiB)


@case("a bitmap's records are not replayed over another's changes either")
def _():
    need("qemu-io")
    dynamic("base.vhd")
    vhdkit("write", "base.vhd", data=b"0" * 2 * MiB)
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    vhdkit("write", "child.vhd", data=b"1" * 512)
    killed("child.vhd", writes((64 * KiB, TWO)))
    journal = journal_of("child.vhd")
    pause()
    with open("child.vhd", "r+b") as file:
        file.seek(1536)
        slot = struct.unpack(">I", file.read(4))[0]
        file.seek(slot * 512)
        file.write(bytes([0xff] * 2))
    refused("write", "child.vhd", data=b"", says=[journal, "changed since"])


@case("a backup was restored into the same file: nothing is replayed")
def _():
    def restore():
        with open("backup", "rb") as old, open("disk.vhd", "r+b") as new:
            shutil.copyfileobj(old, new)
            new.truncate()
        shutil.copystat("backup", "disk.vhd")  # its old times
    changed_by(restore)
    same_bytes(content("disk.vhd"), content("backup"))


@case("renamed, with another owner and mode: that is no change")
def _():
    killed(written(), writes((8 * MiB, TWO)))
    os.chmod("disk.vhd", 0o640)
    os.rename("disk.vhd", "other.vhd")
    os.link("other.vhd", "disk.vhd")
    same_bytes(read("other.vhd", 8 * MiB, len(TWO)), TWO)
    vhdkit("write", "other.vhd", data=b"")
    same_bytes(read("disk.vhd", 8 * MiB, len(TWO)), TWO)


@case("a copy does not take the journal of what it was copied from")
def _():
    need_notes()
    killed(written(), writes((8 * MiB, TWO)))
    journal = journal_of("disk.vhd")
    program("cp", "-a", "disk.vhd", "copy.vhd")
    equal(journal_of("copy.vhd"), journal)
    with warned("copy.vhd") as said:
        contains(said, "copy")
    vhdkit("write", "copy.vhd", data=b"3")
    check(os.path.exists(journal), "the copy took it away")
    same_bytes(read("disk.vhd", 8 * MiB, len(TWO)), TWO)


@case("a folder exchanged under a program: nothing else's file is removed")
def _():
    dynamic()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        place, aside = f"{folder}/place", f"{folder}/aside"
        os.mkdir(place, 0o700)
        os.mkdir(f"{folder}/victim", 0o700)
        with subprocess.Popen([os.environ["VHDKIT"], "write", "disk.vhd"],
                              stdin=subprocess.PIPE,
                              env=dict(os.environ, VHDKIT_JOURNAL_DIR=place)
                              ) as writer:
            while not glob.glob(f"{place}/*.journal"):
                check(writer.poll() is None, "it ended")
                time.sleep(0.01)
            name, = os.listdir(place)
            victim = f"{folder}/victim/{name}"
            with open(victim, "wb") as file:
                file.write(b"precious")
            os.rename(place, aside)
            os.symlink("victim", place)
            writer.communicate(TWO)
        equal(writer.returncode, 0)
        same_bytes(file_bytes(victim), b"precious")
    same_bytes(read("disk.vhd", 0, len(TWO)), TWO)


@case("one that is gone is warned of")
def _():
    need_notes()
    killed(written(), writes((8 * MiB, TWO)))
    os.unlink(journal_of("disk.vhd"))
    with warned("disk.vhd") as said:
        contains(said, "gone")
    vhdkit("write", "disk.vhd", data=b"")
    check(not has_note("disk.vhd"), "the note is left")
    with warned("disk.vhd") as said:
        check("gone" not in said, said)


@case("one of another boot says nothing")
def _():
    need_notes()
    killed(written(), writes((8 * MiB, TWO)))
    journal = journal_of("disk.vhd")
    os.setxattr("disk.vhd", NOTE, f"{'0' * 36} {journal}".encode())
    with warned("disk.vhd") as said:
        check("journal" not in said, said)
    same_bytes(read("disk.vhd", 8 * MiB, 512), bytes(512))
    os.unlink(journal)


# ---------------------------------------------------------------- what is there

@case("one of another version is an error, and is left alone")
def _():
    killed(written(), writes((8 * MiB, TWO)))
    journal = journal_of("disk.vhd")
    with open(journal, "r+b") as file:
        file.write(b"vhdkit journal9\0")
    refused("write", "disk.vhd", data=b"", says=[journal, "version"])
    refused("info", "disk.vhd", says=[journal, "version"])
    with open(journal, "r+b") as file:
        file.write(b"vhdkit journal2\0")
    same_bytes(read("disk.vhd", 8 * MiB, len(TWO)), TWO)


@case("one of the version before notes is an error too")
def _():
    written()
    st = os.stat("disk.vhd")
    with open("disk.vhd", "rb") as file:
        footer = file.read(512)
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip().encode()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chmod(folder, 0o700)
        name = f"{folder}/{st.st_dev:x}-{st.st_ino:x}.journal"
        with open(name, "wb") as file:
            file.write(struct.pack("<16s40sQQ16sQ", b"vhdkit journal1", boot,
                                   st.st_dev, st.st_ino, footer[68:84], 4096))
            file.truncate(8192)
        env = {"VHDKIT_JOURNAL_DIR": folder}
        refused("write", "disk.vhd", data=b"", says=[name, "version"], env=env)
        os.unlink(name)
        vhdkit("write", "disk.vhd", data=b"", env=env)


@case("of another size: what it holds is taken over")
def _():
    killed(written(), writes((8 * MiB, TWO)))
    journal = journal_of("disk.vhd")
    # Half of the ring, as a build with other bounds would have made it.
    data = bytearray(file_bytes(journal))
    ring = (len(data) - 4096) // 2 // 16 * 16
    struct.pack_into("<Q", data, 80 + 8, ring)
    struct.pack_into("<Q", data, 4096 + 8, 1024)
    with open(journal, "wb") as file:
        file.write(data[:4096 + ring])
    vhdkit("write", "disk.vhd", data=b"")
    same_bytes(read("disk.vhd", 8 * MiB, len(TWO)), TWO)


@case("one that leads over metadata is refused, and all is as it was")
def _():
    for slot in (1, 2**31):
        killed(dynamic(), writes((MiB, TWO)))
        journal = journal_of("disk.vhd")
        ring = 4096 + 76
        data = bytearray(file_bytes(journal))
        kind, block, was, _ = struct.unpack_from("<4I", data, ring)
        equal((kind, was), (1, 2**32 - 1), "the first record")
        good = bytes(data)
        struct.pack_into("<4I", data, ring, kind, block, was, slot)
        with open(journal, "r+b") as file:
            file.write(data)
        before = file_bytes("disk.vhd")
        inode = os.stat(journal).st_ino
        refused("write", "disk.vhd", data=b"", says=[journal])
        refused("info", "disk.vhd", says=[journal])
        equal(os.stat(journal).st_ino, inode, "the journal")
        same_bytes(file_bytes(journal), data)
        same_bytes(file_bytes("disk.vhd"), before)
        with open(journal, "r+b") as file:
            file.write(good)
        vhdkit("write", "disk.vhd", data=b"")
        same_bytes(read("disk.vhd", MiB, len(TWO)), TWO)
        os.unlink("disk.vhd")


@case("another user's that root does not trust: the way out is one")
def _():
    with folder_of_nobody() as nobody:
        reachable(nobody)
        dynamic()
        os.chmod("disk.vhd", 0o666)
        killed("disk.vhd", writes((MiB, TWO)), **as_nobody(nobody))
        journal = journal_of("disk.vhd")
        for verb in ("info", "write"):
            done = refused(verb, "disk.vhd", data=b"", says=[
                journal, f"user {nobody.pw_uid}", "once as that user",
                "remove that file"])
            check("or as root" not in done.err, done.err)
        vhdkit("write", "disk.vhd", data=b"", **as_nobody(nobody))
        same_bytes(read("disk.vhd", MiB, len(TWO)), TWO)
        # The other way.
        killed("disk.vhd", writes((2 * MiB, TWO)), **as_nobody(nobody))
        os.unlink(journal_of("disk.vhd"))
        vhdkit("write", "disk.vhd", data=b"")


@case("another user's that is larger than any is refused")
def _():
    with folder_of_nobody() as nobody:
        reachable(nobody)
        dynamic()
        os.chown("disk.vhd", nobody.pw_uid, nobody.pw_gid)
        killed("disk.vhd", writes((MiB, TWO)), **as_nobody(nobody))
        journal = journal_of("disk.vhd")
        size = os.path.getsize(journal) - 4096
        with open(journal, "r+b") as file:
            file.truncate(4096 + 4 * size)
            file.seek(80 + 8)
            file.write(struct.pack("<Q", 4 * size))
        refused("write", "disk.vhd", data=b"", says=[journal, "larger"])
        with open(journal, "r+b") as file:
            file.truncate(4096 + size)
            file.seek(80 + 8)
            file.write(struct.pack("<Q", size))
        vhdkit("write", "disk.vhd", data=b"")
        same_bytes(read("disk.vhd", MiB, len(TWO)), TWO)


@case("a note that leads astray is an error, and nothing hangs")
def _():
    need_notes()
    written()
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for number, make in enumerate((
                lambda path: os.mkfifo(path),
                lambda path: os.symlink("/etc/passwd", path),
                lambda path: open(path, "wb").close(),
                os.mkdir,
                lambda path: open(path, "wb").close() or os.chmod(path, 0o666))):
            path = f"{folder}/{number}"
            make(path)
            os.setxattr("disk.vhd", NOTE, f"{boot} {path}".encode())
            fifo = Opens(path) if number == 0 else None
            refused("write", "disk.vhd", data=b"", says=[path])
            refused("info", "disk.vhd", says=[path])
            check(not fifo or not fifo.seen(), "the FIFO was opened")
    for note in (b"", b"x", boot.encode(), f"{boot} here".encode(),
                 f"{boot} /a\0b".encode(), b"\xff" * 4000):
        try:
            os.setxattr("disk.vhd", NOTE, note)
        except OSError:
            continue
        vhdkit("info", "disk.vhd")
    same_bytes(read("disk.vhd", 0, MiB), b"1" * MiB)


@case("a look without locks does not take a live journal for a dead one's")
def _():
    dynamic("base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    server = Server(["--unix", SOCKET, "base.vhd"])
    try:
        server.wait_for("listening on ")
        h = connect()
        for at in range(0, 16, 2):
            h.pwrite(TWO, at * MiB)
        # Records that make no sense: they must not even be looked at.
        with open(journal_of("base.vhd"), "r+b") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(4096 + 96)
            file.write(b"\xff" * (size - 4096 - 96))
        for image in ("child.vhd", "base.vhd"):
            vhdkit("map", "--unlocked", image)
            vhdkit("check", "--unlocked", image, code=None)
    finally:
        server.kill()


# ------------------------------------------------------------------- how much

def write_partly(h, blocks, done, waiting=0):
    """512 bytes into each block, 64 at a time; notes in `done` which of them
    were acknowledged, and goes when no more than `waiting` were not."""
    blocks = list(blocks)
    goal = len(done) + len(blocks) - waiting
    while len(done) < goal:
        while blocks and h.aio_in_flight() < 64:
            n = blocks.pop(0)
            data, off = b"%7d!" % n * 64, n * 2 * MiB + 512 * (n % 100)
            h.aio_pwrite(data, off,
                         lambda _, o=off, d=data: done.update({o: d}) or 1)
        h.poll(-1)


@case("more partly written blocks than a live image lets be dirty at once")
def _():
    vhdkit("create", "--size", "12G", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    for count in (2200, 4200):
        done = {}
        killed("child.vhd", lambda h, n=count, d=done:
               write_partly(h, range(n), d, 30))
        with served("child.vhd"):
            h = connect()
            for off, data in done.items():
                same_bytes(h.pread(512, off), data)
            h.shutdown()
        vhdkit("check", "child.vhd")


@case("past the size of the geometry: who opens at that is told the way out")
def _():
    vhdkit("create", "--size", "200G", "disk.vhd")
    killed("disk.vhd", writes((150 << 30, TWO)))
    for verb in "read", "write":
        refused(verb, "--size-chs", "--length" if verb == "read" else "--offset",
                "512", "disk.vhd", *(["-"] if verb == "read" else []),
                data=b"", says=["disk.vhd", "journal '/", "size of the geometry",
                                "open the image once for writing"])
    same_bytes(read("disk.vhd", 150 << 30, len(TWO)), TWO)
    vhdkit("write", "disk.vhd", data=b"")
    vhdkit("read", "--size-chs", "--length", "512", "disk.vhd", "-")
    same_bytes(read("disk.vhd", 150 << 30, len(TWO)), TWO)


run()
