#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Names: a lone image, named images, a folder; and what is refused, and how."""

import json
import os
import re
import subprocess

from servertest import connect, nbd, need_nbd, served, uri
from tooltest import MiB, case, check, contains, equal, need, program, run, \
    vhdkit
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
        equal(vhdkit("info", "dir/a.vhd", code=None).returncode, 1)
        two.shutdown()
        for _ in range(100):
            if vhdkit("info", "dir/a.vhd", code=None).returncode == 0:
                break
        equal(vhdkit("read", "dir/a.vhd").stdout[:512], b"1" * 512)


@case("a busy, a broken and an orphaned image are refused by name")
def _():
    need("qemu-io")
    os.mkdir("dir")
    make("dir/busy.vhd")
    make("dir/base.vhd")
    vhdkit("create", "--parent", "dir/base.vhd", "dir/child.vhd")
    os.rename("dir/base.vhd", "dir/elsewhere.vhd")
    with open("dir/broken.vhd", "wb") as file:
        file.write(b"x" * 4096)
    with served("dir"):
        with subprocess.Popen(["qemu-io", "-f", "vpc", "dir/busy.vhd"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as qemu:
            qemu.stdin.write("write 0 512\n")
            qemu.stdin.flush()
            qemu.stdout.readline()
            refused("busy", "busy.vhd", "held")
            qemu.stdin.close()
        equal(connect("busy").get_size(), MiB)
        refused("broken", "broken.vhd")
        refused("child", "base.vhd")


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


run()
