#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Names: a lone image, named images, a folder; and what is refused, and how."""

import json
import os
import re
import socket
import struct
import subprocess

from fronttest import read_all
from servertest import connect, nbd, need_nbd, served, uri
from tooltest import (IN_USE, MiB, case, check, contains, equal, need, program,
                      run, vhdkit)
from vhdimage import write_fixed


def make(path, size=MiB, text=b""):
    vhdkit("create", "--size", str(size), path)
    if text:
        vhdkit("write", path, "--offset", "0", data=text)


def listed():
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.connect_uri(uri())
    names = []
    h.opt_list(lambda name, description: names.append(name) or 0)
    h.opt_abort()
    return names


def refused(name, *says):
    """libnbd is told no; what qemu is told says all of `says`, and never a
    folder."""
    try:
        connect(name)
    except nbd.Error:
        pass
    else:
        raise AssertionError(f"{name!r} was not refused")
    if not says:
        return
    need("qemu-img")
    done = program("qemu-img", "info", "--image-opts",
                   f"driver=raw,file.driver=nbd,file.export={name},"
                   "file.server.type=unix,file.server.path=s.sock", code=1)
    found = re.search(r"^.*server reported: (.*)$", done.err, re.M)
    check(found, f"no reason in {done.err!r}")
    for part in says:
        contains(found[1], part)
    check("/" not in found[1], f"a folder is told: {found[1]}")


@case("a lone image is the default export")
def _():
    need_nbd()
    make("a.vhd", 3 * MiB)
    with served("a.vhd"):
        equal(connect("").get_size(), 3 * MiB)
        equal(listed(), [""])
        refused("a")


@case("named images")
def _():
    make("a.vhd", 3 * MiB)
    make("b.vhd", 5 * MiB)
    with served("one=a.vhd", "two=b.vhd"):
        equal(connect("one").get_size(), 3 * MiB)
        equal(connect("two").get_size(), 5 * MiB)
        equal(connect("/two").get_size(), 5 * MiB)
        equal(sorted(listed()), ["one", "two"])
        refused("")
        refused("three")


@case("a folder: by name, new files without restart, gone ones gone")
def _():
    os.mkdir("dir")
    make("dir/a.vhd", 3 * MiB, b"A")
    make("secret.vhd")
    with open("dir/notes.txt", "w", encoding="ascii"):
        pass
    with served("dir"):
        equal(listed(), ["a"])
        equal(bytes(connect("a").pread(1, 0)), b"A")
        equal(bytes(connect("/a").pread(1, 0)), b"A")
        refused("b")
        make("dir/b.vhd", 5 * MiB, b"B")
        equal(listed(), ["a", "b"])
        equal(bytes(connect("b").pread(1, 0)), b"B")
        for name in ("../secret", "..", ".", "", "dir/a", "a.vhd", "a/",
                     "//a", "../dir/a", ".a", "x" * 300, "notes"):
            refused(name)
        os.unlink("dir/b.vhd")
        refused("b")
        equal(listed(), ["a"])


@case("the image of a folder is free again when its last client has gone")
def _():
    os.mkdir("dir")
    make("dir/a.vhd")
    with served("dir"):
        one, two = connect("a"), connect("a")
        one.pwrite(b"1" * 512, 0)
        equal(bytes(two.pread(512, 0)), b"1" * 512)
        one.shutdown()
        equal(vhdkit("info", "dir/a.vhd", code=None).returncode, IN_USE)
        two.shutdown()
        for _ in range(100):
            if vhdkit("info", "dir/a.vhd", code=None).returncode == 0:
                break
        equal(vhdkit("read", "dir/a.vhd").stdout[:512], b"1" * 512)


@case("a busy, a broken and an orphaned image are refused, the log says why")
def _():
    need("qemu-io")
    os.mkdir("dir")
    make("dir/busy.vhd")
    make("dir/base.vhd")
    vhdkit("create", "--parent", "dir/base.vhd", "dir/child.vhd")
    os.rename("dir/base.vhd", "dir/elsewhere.vhd")
    with open("dir/broken.vhd", "wb") as file:
        file.write(b"x" * 4096)
    with served("dir") as server:
        with subprocess.Popen(["qemu-io", "-f", "vpc", "dir/busy.vhd"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as qemu:
            qemu.stdin.write("write 0 512\n")
            qemu.stdin.flush()
            qemu.stdout.readline()
            refused("busy", "in use")
            contains(server.log(), "busy.vhd: held")
            qemu.stdin.close()
        equal(connect("busy").get_size(), MiB)
        refused("broken", "cannot be opened")
        contains(server.log(), "broken.vhd: ")
        refused("child", "cannot be opened")
        contains(server.log(), "parent 'base.vhd' not found")


@case("two writers: qemu-io and a second server are refused")
def _():
    need("qemu-io")
    make("a.vhd")
    with served("a.vhd") as server:
        done = program("qemu-io", "-f", "vpc", "-c", "write 0 512", "a.vhd",
                       code=None)
        contains(done.err + done.out, "lock")
        check(done.returncode != 0, "qemu-io wrote to a served image")
        done = program(os.environ["VHDKITD"], "--unix", "t.sock", "a.vhd",
                       code=1)
        contains(done.err, str(server.pid))


@case("--description is told with LIST and INFO; the last one counts")
def _():
    need("nbdinfo")
    make("a.vhd")
    make("b.vhd")
    with served("--description", "one=first", "one=a.vhd", "two=b.vhd",
                "--description=one=the disk of \u00e9t\u00e9 = 1"):
        found = json.loads(program("nbdinfo", "--list", "--json", uri()).out)
        equal({e["export-name"]: e.get("description")
               for e in found["exports"]},
              {"one": "the disk of \u00e9t\u00e9 = 1", "two": None})
        contains(program("nbdinfo", uri("one")).out,
                 "the disk of \u00e9t\u00e9 = 1")
    with served("--description", "=alone", "a.vhd"):
        found = json.loads(program("nbdinfo", "--list", "--json", uri()).out)
        equal([(e["export-name"], e.get("description"))
               for e in found["exports"]], [("", "alone")])


def writable(name):
    return not connect(name).is_read_only()


@case("a parent that is served beside its children is read-only")
def _():
    need_nbd()
    os.mkdir("dir")
    make("dir/base.vhd", 3 * MiB, b"B")
    vhdkit("create", "--parent", "dir/base.vhd", "dir/middle.vhd")
    vhdkit("create", "--parent", "dir/middle.vhd", "dir/leaf.vhd")
    make("other.vhd")
    os.symlink("dir/base.vhd", "link.vhd")
    names = ["b=link.vhd", "m=dir/middle.vhd", "l=dir/leaf.vhd", "o=other.vhd"]
    for order in (names, names[::-1], names[2:] + names[:2]):
        with served(*order) as server:
            equal([name for name in "bmlo" if writable(name)], ["l", "o"])
            h = connect("l")
            h.pwrite(b"L" * 512, 0)
            h.shutdown()
            equal(bytes(connect("b").pread(1, 0)), b"B")
            for name in "bm":
                contains(server.log(), f"export '{name}': it is a parent of")
            check("'l': it is" not in server.log(), server.log())
    with served(*names[:1], names[3]) as server:
        check(writable("b"), "a parent without its children is an image")
        check("parent" not in server.log(), server.log())


@case("in a folder, a parent and its children are not written at a time")
def _():
    need_nbd()
    os.mkdir("dir")
    make("dir/base.vhd")
    vhdkit("create", "--parent", "dir/base.vhd", "dir/child.vhd")
    with served("dir") as server:
        h = connect("base")
        refused("child", "in use")
        contains(server.log(), "base.vhd: held for writing")
        h.shutdown()
    with served("dir"):
        h = connect("child")
        check(not writable("base"), "the base of a child in use")
        h.shutdown()
    with served("--readonly", "dir"):
        both = connect("base"), connect("child")
        for h in both:
            h.shutdown()


@case("--raw: a file is the disk, whatever is in it, and stays so")
def _():
    # All of it a sound fixed VHD; and one byte more than whole sectors.
    write_fixed("a.img", b"A" * MiB)
    with open("a.img", "rb") as file:
        before = file.read()
    with open("odd.img", "wb") as file:
        file.write(b"o" * 1025)
    make("b.vhd", text=b"B")
    for _ in range(2):
        with served("--raw", "raw=a.img", "vhd=b.vhd", "--raw=odd=odd.img"):
            h = connect("raw")
            equal(h.get_size(), len(before))
            equal(bytes(h.pread(512, MiB)), before[MiB:])
            h.pwrite(b"new", 1000)
            h.zero(4096, 8192)
            h.flush()
            equal(bytes(connect("vhd").pread(1, 0)), b"B")
            h = connect("odd")
            equal(bytes(h.pread(1025, 0))[:-1], b"o" * 1024)
            h.pwrite(b"!", 1024)
    with open("a.img", "rb") as file:
        equal(file.read(), b"A" * 1000 + b"new" + b"A" * (8192 - 1003) +
              bytes(4096) + before[12288:])
    with open("odd.img", "rb") as file:
        equal(file.read(), b"o" * 1024 + b"!")
    with served("--readonly", "--raw", "a.img"):
        h = connect()
        check(h.is_read_only(), "not read-only")
        equal(h.get_size(), len(before))


@case("--raw: a directory is refused")
def _():
    os.mkdir("dir")
    done = program(os.environ["VHDKITD"], "--unix", "s.sock", "--raw", "dir",
                   code=1)
    contains(done.err, "directory")


@case("--readonly, and an image that cannot be written")
def _():
    make("a.vhd", text=b"A")
    with served("--readonly", "a.vhd"):
        h = connect()
        check(h.is_read_only(), "not read-only")
        equal(bytes(h.pread(1, 0)), b"A")
    with served("a.vhd"):
        check(not connect().is_read_only(), "read-only")


@case("--size-chs takes the size from the geometry")
def _():
    write_fixed("a.vhd", bytes(10 * MiB), creator=b"vpc ", cylinders=301,
                heads=4, sectors=17)
    with served("a.vhd"):
        equal(connect().get_size(), 10 * MiB)
    with served("--size-chs", "a.vhd"):
        equal(connect().get_size(), 301 * 4 * 17 * 512)


@case("what is not served at start is not served at all")
def _():
    make("a.vhd")
    done = program(os.environ["VHDKITD"], "--unix", "s.sock", "a=a.vhd",
                   "b=missing.vhd", code=1)
    contains(done.err, "missing.vhd")
    done = program(os.environ["VHDKITD"], "--unix", "s.sock", "a=a.vhd",
                   "a=a.vhd", code=None)
    check(done.returncode != 0, "a name given twice was accepted")


@case("requests that came with the option that asks for the export")
def _():
    os.mkdir("dir")
    make("named.vhd", text=b"N" * 512)
    make("dir/found.vhd", text=b"F" * 512)
    for args, name, text in [(("a=named.vhd",), b"a", b"N"),
                             (("dir",), b"found", b"F")]:
        for count in (1, 2000):
            go = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
            sent = struct.pack(">I", 3) + struct.pack(
                ">8sII", b"IHAVEOPT", 7, len(go)) + go
            for i in range(count):
                sent += struct.pack(">IHHQQI", 0x25609513, 0, 0, i, 0, 512)
            with served(*args) as server, \
                    socket.socket(socket.AF_UNIX) as sock:
                sock.connect("s.sock")
                sock.settimeout(60)
                read_all(sock, 18)
                sock.sendall(sent)
                kind = None
                while kind != 1:  # NBD_REP_ACK
                    kind, n = struct.unpack(">12xII", read_all(sock, 20))
                    check(kind in (1, 3), server.log())
                    read_all(sock, n)
                seen = set()
                for _ in range(count):
                    error, cookie = struct.unpack(">4xIQ",
                                                  read_all(sock, 16))
                    equal(error, 0)
                    equal(read_all(sock, 512), text * 512)
                    seen.add(cookie)
                equal(len(seen), count)


run()
