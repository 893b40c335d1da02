#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit attach and detach: the disk in an image as a file or a socket of this
machine, what is left where something dies, and what must not happen."""

import contextlib
import os
import signal
import stat
import subprocess
import time

from attachtest import (attach, attaching, client, disk, ended, listed,
                        need_fuse, the_one, wait_for_state, worker_of)
from fronttest import PATIENCE, is_alive
from servertest import served
from tooltest import (VHDKIT, Skip, case, check, contains, content, equal,
                      need, refused, run, vhdkit)

FAILING_SERVER = """#!/usr/bin/python3
import os, signal, socket, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("vhdkitd: warning: it is old", file=sys.stderr)
print("vhdkitd: early words", file=sys.stderr, flush=True)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    notify.send(b"READY=1")
signal.sigwait([signal.SIGTERM])
sys.exit("vhdkitd: error: a.vhd: no space")
"""


@case("a socket: what a client writes is in the image when it is detached")
def _():
    disk()
    with attaching() as seen:
        socket = attach("--with", "socket", "a.vhd")
        entry = the_one(seen)
        equal(entry["image"], os.path.abspath("a.vhd"))
        equal((entry["device"], entry["socket"]), (socket, socket))
        equal((entry["with"], entry["state"], entry["read-only"]),
              ("socket", "attached", False))
        equal(entry["client-pid"], None)
        mode = os.stat("at").st_mode
        equal(stat.S_IMODE(mode), 0o700, "mode of the folder")
        equal(os.getsid(entry["server-pid"]), entry["server-pid"], "session")
        h = client(socket)
        equal(bytes(h.pread(4, 0)), b"old ")
        h.pwrite(b"new!", 0)
        vhdkit("detach", "a.vhd")
    equal(content("a.vhd")[:8], b"new!old ")
    vhdkit("check", "a.vhd")


@case("a file: what is written to it is in the image when it is detached")
def _():
    need_fuse()
    disk()
    with attaching() as seen:
        path = attach("--with", "fuse", "a.vhd")
        entry = the_one(seen)
        equal((entry["with"], entry["device"]), ("fuse", path))
        check(is_alive(entry["client-pid"]), "nbdfuse")
        equal(os.stat(path).st_size, 8 << 20)
        with open(path, "r+b", buffering=0) as file:
            equal(file.read(4), b"old ")
            file.seek(0)
            file.write(b"new!")
            done = refused("detach", "a.vhd", says=["in use", "--force"])
            contains(done.err, path)
            equal(the_one(seen)["state"], "attached")
            file.seek(1 << 20)
            file.write(b"more")
        vhdkit("detach", path)
    data = content("a.vhd")
    equal((data[:8], data[1 << 20:][:4]), (b"new!old ", b"more"))
    vhdkit("check", "a.vhd")


@case("read-only, nobody writes")
def _():
    need_fuse()
    disk()
    with attaching() as seen:
        path = attach("--readonly", "--with", "fuse", "a.vhd")
        equal(the_one(seen)["read-only"], True)
        equal(stat.S_IMODE(os.stat(path).st_mode) & 0o222, 0, "mode")
        contains(vhdkit("attach").out, " ro ")
        vhdkit("detach", "a.vhd")
        socket = attach("--readonly", "--with", "socket", "a.vhd")
        equal(client(socket).is_read_only(), True)
        vhdkit("detach", "a.vhd")


@case("an image is attached once, by whatever name; another beside it")
def _():
    disk()
    disk("b.vhd")
    os.symlink("a.vhd", "link.vhd")
    os.link("a.vhd", "hard.vhd")
    with attaching() as seen:
        socket = attach("--with", "socket", "a.vhd")
        the_one(seen)
        for name in ("a.vhd", "./a.vhd", "link.vhd", "hard.vhd"):
            refused("attach", "--with", "socket", name,
                    says=["attached already", socket])
        other = attach("--with", "socket", "b.vhd")
        equal([e["device"] for e in listed()], [socket, other])
        vhdkit("detach", "link.vhd")
        equal([e["device"] for e in listed()], [other])
        vhdkit("detach", "b.vhd")
        refused("detach", "a.vhd", says=["not attached", "--list"])


@case("an image that a server has is refused, who has it is said, and nothing "
      "is left")
def _():
    disk()
    with served("a.vhd") as server, attaching():
        refused("attach", "--with", "socket", "a.vhd",
                says=["a.vhd", "vhdkitd", str(server.pid)])


@case("what is no image is refused with the server's words")
def _():
    with open("bad.vhd", "wb") as file:
        file.write(b"bad" * 1000)
    os.mkdir("folder")
    with attaching():
        refused("attach", "--with", "socket", "bad.vhd",
                says=["bad.vhd", "not a VHD"])
        refused("attach", "--with", "socket", "gone.vhd", says="No such file")
        refused("attach", "--with", "socket", "folder", says="not a file")
        disk()
        refused("attach", "--with", "socket", "a.vhd", says="VHDKITD",
                env={"VHDKITD": os.path.abspath("no-server")})
        refused("attach", "--with", "socket", "a.vhd", says="said nothing",
                env={"VHDKITD": "/bin/false"})
        refused("attach", "--json", "a.vhd", says="--json")


@case("a server that was killed is dead, and cleared; nothing is lost")
def _():
    disk()
    with attaching() as seen:
        h = client(attach("--with", "socket", "a.vhd"))
        h.pwrite(b"new!", 0)
        pid = the_one(seen)["server-pid"]
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        equal(the_one(seen)["state"], "dead")
        refused("attach", "--with", "socket", "a.vhd", says="detach clears it")
        vhdkit("detach", "a.vhd")
        equal(listed(), [])
        # The worker dies with it, a moment later at most.
        wait_until_free("a.vhd")
    equal(content("a.vhd")[:8], b"new!old ")


def wait_until_free(name):
    end = time.monotonic() + PATIENCE
    while vhdkit("write", name, code=None, data=b"").returncode != 0:
        check(time.monotonic() < end, "the image stays locked")


@case("the same of a file that is in use, whose nbdfuse is there still")
def _():
    need_fuse()
    disk()
    with attaching() as seen:
        path = attach("--with", "fuse", "a.vhd")
        pid = the_one(seen)["server-pid"]
        with open(path, "rb"):
            os.kill(pid, signal.SIGKILL)
            ended(pid)
            equal(the_one(seen)["state"], "dead")
            vhdkit("detach", path)


@case("a file whose server's worker was killed is dead, though there is another "
      "one; it is detached without --force, and nothing is lost")
def _():
    need_fuse()
    need("ps")
    disk()
    with attaching() as seen:
        path = attach("--with", "fuse", "a.vhd")
        with open(path, "r+b", buffering=0) as file:
            file.write(b"new!")
        server = the_one(seen)["server-pid"]
        with open(path, "rb"):
            os.kill(worker_of(server), signal.SIGKILL)
            wait_for_state(seen, "dead")
            check(is_alive(server), "the server")
            equal(the_one(seen)["disk"], None)
            contains(vhdkit("detach", "a.vhd").err, "lost its server")
    equal(content("a.vhd")[:8], b"new!old ")
    vhdkit("check", "a.vhd")


@case("a file whose nbdfuse was killed is dead, and cleared")
def _():
    need_fuse()
    disk()
    with attaching() as seen:
        path = attach("--with", "fuse", "a.vhd")
        pid = the_one(seen)["client-pid"]
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        equal(the_one(seen)["state"], "dead")
        vhdkit("detach", path)
    vhdkit("check", "a.vhd")


@case("a server that does not answer is silent, and keeps nobody waiting")
def _():
    need_fuse()
    need("ps")
    disk()
    with attaching() as seen:
        attach("--with", "fuse", "a.vhd")
        worker = worker_of(the_one(seen)["server-pid"])
        os.kill(worker, signal.SIGSTOP)
        try:
            equal(the_one(seen)["state"], "silent")
            contains(vhdkit("attach", "--list").out, "silent")
        finally:
            os.kill(worker, signal.SIGCONT)
        equal(the_one(seen)["state"], "attached")
        vhdkit("detach", "a.vhd")


# ---------------------------------------------------------------------- inside

TABLE = """label: {}
start=2048, size=2048, type={}, {}
start=4096, size=4096, type={}
"""
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
WINDOWS = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"


def partitioned(path, label, *words):
    need("sfdisk")
    need("mkfs.ext4")
    subprocess.run(["sfdisk", "--quiet", path], check=True,
                   input=TABLE.format(label, *words).encode(),
                   stdout=subprocess.DEVNULL)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "ro\not", "-E",
                    f"offset={1 << 20}", path, "1M"], check=True)


def inside(seen):
    got = the_one(seen)["disk"]
    if got is None:
        raise Skip("package libblkid-dev was not there when this was built")
    return got


@case("what is inside is listed: a table's partitions, their types, what they "
      "hold, and labels")
def _():
    need_fuse()
    for label, names, types in (
            ("gpt", 'name="on e"', (LINUX, WINDOWS)),
            ("dos", "bootable", ("0x83", "0x7"))):
        disk()
        with attaching() as seen:
            path = attach("--with", "fuse", "a.vhd")
            equal(inside(seen)["table"], None, "before")
            partitioned(path, label, types[0].replace("0x", ""), names,
                        types[1].replace("0x", ""))
            got = inside(seen)
            equal((got["table"], got["content"]), (label, None))
            one, two = got["partitions"]
            equal((one["number"], one["start"], one["length"], one["type"]),
                  (1, 1 << 20, 1 << 20, types[0]))
            equal((one["content"], one["label"]), ("ext4", "ro\not"))
            equal(one["name"], "on e" if label == "gpt" else None)
            equal((two["number"], two["start"], two["length"], two["type"]),
                  (2, 2 << 20, 2 << 20, types[1]))
            equal((two["content"], two["label"]), (None, None))
            lines = vhdkit("attach", "--list").out.splitlines()
            equal(len(lines), 3, lines)
            contains(lines[1], "1 1 MiB ext4")
            check(lines[2].split()[:4] == ["2", "2", "MiB", types[1]], lines)
            vhdkit("detach", "a.vhd")
        os.unlink("a.vhd")


@case("what is inside of a disk without partitions")
def _():
    need_fuse()
    need("mkfs.ext4")
    disk()
    with attaching() as seen:
        path = attach("--with", "fuse", "a.vhd")
        subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "whole", path],
                       check=True)
        got = inside(seen)
        equal((got["table"], got["content"], got["label"], got["partitions"]),
              (None, "ext4", "whole", []))
        contains(vhdkit("attach").out, "8 MiB ext4 whole")
        need("sfdisk")
        subprocess.run(["sfdisk", "--quiet", "--wipe=always", path],
                       check=True, input=b"label: gpt\n")
        got = inside(seen)
        equal((got["table"], got["content"], got["partitions"]),
              ("gpt", None, []))
        vhdkit("detach", "a.vhd")


@case("tables that lead beyond the disk, or in a circle, are listed in a moment")
def _():
    need_fuse()
    disk()
    with attaching() as seen:
        path = attach("--with", "fuse", "a.vhd")
        entry = bytes((0, 0, 0, 0, 0x83, 0, 0, 0)) + b"\xff" * 8
        # An extended partition whose first table leads to itself.
        circle = bytes((0, 0, 0, 0, 5, 0, 0, 0, 64, 0, 0, 0, 64, 0, 0, 0))
        inner = bytes((0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0))
        with open(path, "r+b", buffering=0) as file:
            file.write(bytes(446) + entry + circle + bytes(32) + b"\x55\xaa")
            file.seek(64 * 512)
            file.write(bytes(446) + inner * 4 + b"\x55\xaa")
        parts = inside(seen)["partitions"]
        equal((parts[0]["type"], parts[0]["length"], parts[0]["content"]),
              ("0x83", 0, None))
        check(len(parts) < 256, len(parts))
        vhdkit("detach", "a.vhd")


@case("names with blanks, newlines, equal signs, and what is no UTF-8")
def _():
    with attaching() as seen:
        for name in (" a b.vhd", "a\nb.vhd", "x=y.vhd", "-r.vhd", b"\xff.vhd"):
            name = os.path.join(os.getcwdb(), os.fsencode(name))
            disk(name)
            socket = attach("--with", "socket", name)
            entry = the_one(seen)
            if b"\xff" not in name:
                equal(entry["image"], os.fsdecode(name))
            equal(vhdkit("attach").out.count("\n"), 2)
            equal(bytes(client(socket).pread(4, 0)), b"old ")
            vhdkit("detach", name)


@case("a child finds its parent, below --root too")
def _():
    os.mkdir("bases")
    os.mkdir("in")
    disk("bases/base.vhd")
    vhdkit("create", "--root", ".", "--parent", "bases/base.vhd",
           "in/child.vhd")
    with attaching() as seen:
        refused("attach", "--with", "socket", "in/child.vhd", says="base.vhd")
        socket = attach("--root", ".", "--with", "socket", "in/child.vhd")
        the_one(seen)
        equal(bytes(client(socket).pread(4, 0)), b"old ")
        vhdkit("detach", "in/child.vhd")


@case("a process that has got the id of the server is left alone")
def _():
    disk()
    with attaching() as seen, contextlib.ExitStack() as stack:
        other = stack.enter_context(subprocess.Popen(["sleep", "100"]))
        stack.callback(other.kill)
        attach("--with", "socket", "a.vhd")
        pid = the_one(seen)["server-pid"]
        with open("at/0/record", "rb") as file:
            record = file.read()
        check(b"\0server=%d\0" % pid in record, record)
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        with open("at/0/record", "wb") as file:
            file.write(record.replace(b"\0server=%d\0" % pid,
                                      b"\0server=%d\0" % other.pid))
        equal(listed()[0]["state"], "dead")
        vhdkit("detach", "a.vhd")
        equal(other.poll(), None, "the other process")


@case("what the server says at its end is told, and is a failure")
def _():
    disk()
    with open("server", "w", encoding="ascii") as file:
        file.write(FAILING_SERVER)
    os.chmod("server", 0o755)
    with attaching() as seen:
        done = vhdkit("attach", "--with", "socket", "a.vhd",
                      env={"VHDKITD": os.path.abspath("server")})
        contains(done.err, "warning: it is old")
        check("early" not in done.err, done.err)
        the_one(seen)
        done = refused("detach", "a.vhd", says="a.vhd: no space")
        check("it is old" not in done.err, done.err)


@case("a folder of somebody else's, or open to others, is not believed")
def _():
    disk()
    with attaching():
        os.mkdir("at", 0o755)
        refused("attach", "--with", "socket", "a.vhd", says="open to others")
        refused("attach", says="open to others")
        os.chmod("at", 0o700)
        if os.geteuid() == 0:
            os.chown("at", 1, 1)
            refused("detach", "a.vhd", says="somebody else")
            os.chown("at", 0, 0)
        os.rmdir("at")
        os.symlink(".", "at")
        refused("attach", says="at: ")
        os.unlink("at")
    deep = os.path.abspath("d" * 100)
    os.mkdir(deep, 0o700)
    refused("attach", "--with", "socket", "a.vhd", says="VHDKIT_ATTACH_DIR",
            env={"VHDKIT_ATTACH_DIR": deep})
    equal(os.listdir(deep), [])


@case("records that are none are passed over, and what a killed vhdkit left "
      "before it began goes")
def _():
    disk()
    with attaching():
        os.makedirs("at/0", 0o700)
        os.makedirs("at/1", 0o700)
        os.chmod("at", 0o700)
        with open("at/0/record", "wb") as file:
            file.write(b"vhdkit-attach-1\0image=/x\0server=1\0")
        contains(vhdkit("attach").err, "at/0/record")
        refused("detach", "/x", says="not attached")
        check(attach("--with", "socket", "a.vhd").endswith("at/1/socket"), "1")
        vhdkit("detach", "a.vhd")
        os.unlink("at/0/record")
        os.rmdir("at/0")


@case("interrupted while the server starts, nothing is left")
def _():
    disk()
    with open("slow", "w", encoding="ascii") as file:
        file.write('#!/bin/sh\necho $$ >"$TMPDIR/pid"\nexec sleep 100\n')
    os.chmod("slow", 0o755)
    with attaching():
        with subprocess.Popen(
                [VHDKIT, "attach", "--with", "socket", "a.vhd"],
                env=dict(os.environ, VHDKITD=os.path.abspath("slow"),
                         TMPDIR=os.getcwd()),
                stderr=subprocess.PIPE) as process:
            end = time.monotonic() + PATIENCE
            while not os.path.exists("pid") or not os.path.getsize("pid"):
                check(time.monotonic() < end, "the server does not start")
                time.sleep(0.01)
            equal(listed()[0]["state"], "changing")
            refused("detach", "a.vhd", says="another vhdkit")
            process.send_signal(signal.SIGINT)
            contains(process.stderr.read().decode(), "interrupted")
            equal(process.wait(), -signal.SIGINT)
        with open("pid", encoding="ascii") as file:
            equal(is_alive(int(file.read())), False, "the server")


@case("an attachment whose path cannot be printed ends")
def _():
    disk()
    with attaching(), open("/dev/full", "wb") as full:
        done = subprocess.run([VHDKIT, "attach", "--with", "socket", "a.vhd"],
                              stdout=full, stderr=subprocess.PIPE, check=False)
        equal(done.returncode, 1)
        contains(done.stderr.decode(), "nothing is attached")


@case("a user without rights attaches what is his, and no more")
def _():
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")
    disk()
    os.chmod("a.vhd", 0o600)
    os.mkdir("his", 0o700)
    disk("his/b.vhd")
    for name in ("his", "his/b.vhd"):
        os.chown(name, 65534, 65534)
    for name in (".", "..", "../.."):
        if os.stat(name).st_uid == 0 and os.stat(name).st_mode & 0o005 != 5:
            # The test's own folders; make's stay as they are.
            if os.path.realpath(name).startswith(os.environ["TMPDIR"]):
                os.chmod(name, 0o755)
    him = {"user": 65534, "group": 65534, "extra_groups": [],
           "env": {"VHDKIT_ATTACH_DIR": os.path.abspath("his/at")}}
    probe = vhdkit("version", code=None, **him)
    if probe.returncode != 0:
        raise Skip("another user cannot run what was built here")
    refused("attach", "--with", "socket", "a.vhd", says="ermission denied",
            **him)
    refused("attach", "--with", "nbd", "his/b.vhd", says="root's", **him)
    refused("attach", says="XDG_RUNTIME_DIR",
            **dict(him, env={"VHDKIT_ATTACH_DIR": "", "XDG_RUNTIME_DIR": ""}))
    socket = vhdkit("attach", "--with", "socket", "his/b.vhd", **him).out
    equal(bytes(client(socket[:-1]).pread(4, 0)), b"old ")
    vhdkit("detach", "his/b.vhd", **him)
    equal(os.listdir("his/at"), [])


@case("a device of the kernel's")
def _():
    need("nbd-client")
    if not os.path.exists("/sys/block/nbd0") or os.geteuid() != 0:
        raise Skip("the kernel's NBD devices cannot be used here")
    disk()
    with attaching() as seen:
        device = attach("--with", "nbd", "a.vhd")
        equal(the_one(seen)["device"], device)
        with open(device, "r+b", buffering=0) as file:
            equal(file.read(4), b"old ")
            file.seek(0)
            file.write(b"new!" * 128)
        vhdkit("detach", device)
    equal(content("a.vhd")[:8], b"new!new!")


run()
