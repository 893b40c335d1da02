#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit's exit codes: one number for each class of outcome, for all verbs."""

import os
import re
import signal
import subprocess
import time

from tooltest import (DAMAGED, DENIED, DOUBTFUL, FAILED, IN_USE, LEAKED,
                      NOT_FOUND, NO_SPACE, REFUSED, USAGE, VHDKIT, MiB, Skip,
                      case, check, content, equal, program, read_json,
                      refused, run, vhdkit)
from vhdimage import Image, write_fixed
from vhdximage import Vhdx

SRCDIR = os.environ["SRCDIR"]


def read(path):
    with open(os.path.join(SRCDIR, path), encoding="utf-8") as file:
        return file.read()


@case("vhdkit(1) has the table that the tool has")
def _():
    codes = {name: int(number) for name, number in re.findall(
        r"^  EXIT_(\w+) = (\d+),", read("tool/exits.h"), flags=re.M)}
    words = dict(re.findall(r"^  \[EXIT_(\w+)\] = \"([a-z-]+)\",",
                            read("tool/exits.c"), flags=re.M))
    page = read("tool/vhdkit.pod").split("=head1 EXIT STATUS")[1]
    told = {word: int(number) for number, word in re.findall(
        r"^=item B<(\d+)> ([a-z-]+)$", page, flags=re.M)}
    equal(told, {word: codes[name] for name, word in words.items()})
    equal([codes[name] for name in (
        "FAILED", "DAMAGED", "LEAKED", "DOUBTFUL", "USAGE", "NOT_FOUND",
        "DENIED", "IN_USE", "NO_SPACE", "REFUSED")],
        [FAILED, DAMAGED, LEAKED, DOUBTFUL, USAGE, NOT_FOUND, DENIED, IN_USE,
         NO_SPACE, REFUSED], "what the tests know")


@case("usage: what is wrong with a command line, or makes no sense")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    for args in (
            (), ("frobnicate",), ("help", "frobnicate"), ("--frobnicate",),
            ("info",), ("info", "a.vhd", "b.vhd"), ("info", "--what", "a.vhd"),
            ("info", "--json=1", "a.vhd"), ("info", "--chain", "--force",
                                            "a.vhd"),
            ("create", "--size", "1Q", "b.vhd"), ("create", "--size", "513",
                                                  "b.vhd"),
            ("create", "--size", "1M", "--type", "thin", "b.vhd"),
            ("create", "b.vhd"), ("resize", "a.vhd", "big"),
            ("resize", "a.vhd", "1000"), ("read", "--offset", "5M", "a.vhd"),
            ("map", "--offset", "5M", "a.vhd"),
            ("write", "--offset", "5M", "a.vhd"), ("merge", "a.vhd"),
            ("rebase", "a.vhd", "a.vhd", "--copy", "--unchecked"),
            ("convert", "--size", "1M", "a.vhd", "b.vhd"),
            ("set", "a.vhd"), ("set", "--geometry", "1/2", "a.vhd"),
            ("compare", "a.vhd"), ("revert", "a.vhd"),
            ("create", "--size", "3T", "b.vhd"),
            ("create", "--size", "9E", "--type", "fixed", "b.vhd"),
            ("create", "--size", "1M", "--block-size", "3K", "b.vhd"),
            ("create", "--size", "2T", "--block-size", "4K", "b.vhd"),
            ("convert", "--block-size", "3K", "a.vhd", "b.vhd"),
            ("resize", "a.vhd", "3T"), ("resize", "a.vhd", "0"),
            ("create", "--size", "1M", "b.vhdx"),
            ("create", "--parent", "a.vhd", "b.AVHDX"),
            ("convert", "a.vhd", "b.vhdx"), ("rescue", "a.vhd", "b.vhdx"),
            ("snapshot", "a.vhd", "b.vhdx")):
        done = vhdkit(*args, code=USAGE)
        check(done.err, f"{args}: no message")
    equal(os.listdir("."), ["a.vhd"])
    vhdkit("convert", "--format", "raw", "a.vhd", "raw.vhdx")


@case("usage: a VHDX, or an image that is another's, as a parent")
def _():
    Vhdx(4 * MiB).write("x.vhdx")
    for name in ("a", "b"):
        vhdkit("create", "--size", "4M", f"{name}.vhd")
    vhdkit("create", "--parent", "a.vhd", "c.vhd")
    for args in (("create", "--parent", "x.vhdx", "d.vhd"),
                 ("snapshot", "x.vhdx"), ("rebase", "c.vhd", "x.vhdx"),
                 ("set", "--parent", "x.vhdx", "c.vhd")):
        refused(*args, code=USAGE, says="can be no parent")
    refused("set", "--parent", "b.vhd", "c.vhd", code=USAGE, says="rebase")
    equal(content("c.vhd"), bytes(4 * MiB))


@case("not-found: the image, a parent, a folder")
def _():
    for verb in ("info", "map", "check", "read", "write", "compact", "repair",
                 "revert", "list"):
        refused(verb, "none.vhd", code=NOT_FOUND, says="none.vhd")
    vhdkit("create", "--size", "1M", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    for args in (("write", "base.vhd", "none"), ("convert", "none", "b.vhd"),
                 ("create", "--size", "1M", "none/b.vhd"),
                 ("read", "--root", "none", "child.vhd"),
                 ("compare", "base.vhd", "none")):
        refused(*args, code=NOT_FOUND, says="none")
    os.remove("base.vhd")
    for args in (("read",), ("map",), ("info", "--chain"), ("compact",)):
        refused(*args, "child.vhd", code=NOT_FOUND, says="base.vhd")


@case("denied: by where parents may lie, by permissions")
def _():
    os.mkdir("in")
    vhdkit("create", "--size", "1M", "out.vhd")
    vhdkit("create", "--parent", "out.vhd", "in/child.vhd", code=DENIED)
    for args in (("read",), ("info", "--chain"), ("write",)):
        refused(*args, "in/child.vhd", code=DENIED, says="--root")
    if os.geteuid() != 0:
        raise Skip("only root can become somebody without permissions")
    os.chmod("out.vhd", 0)
    os.chmod(".", 0o755)
    done = program("setpriv", "--reuid=65534", "--regid=65534",
                   "--clear-groups", VHDKIT, "info", "out.vhd", code=None)
    if "Permission denied" not in done.err or "out.vhd" not in done.err:
        raise Skip("the build tree is closed to others")
    equal(done.returncode, DENIED, done.err)


@case("in-use: another program has it")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    vhdkit("create", "--size", "4M", "b.vhd")
    with subprocess.Popen([VHDKIT, "write", "a.vhd"],
                          stdin=subprocess.PIPE) as holder:
        while vhdkit("read", "--length", "0", "a.vhd",
                     code=None).returncode == 0:
            time.sleep(0.01)
        for args in (("info",), ("read",), ("check",), ("compact",),
                     ("write",), ("compare", "b.vhd"),
                     ("create", "--overwrite", "--size", "1M")):
            refused(*args, "a.vhd", code=IN_USE, says="a.vhd")
        holder.communicate(b"")
    equal(vhdkit("check", "a.vhd").returncode, 0)


@case("damaged: an image that cannot be believed")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    image = Image("a.vhd")
    image.header.checksum = 1
    image.save()
    vhdkit("create", "--size", "4M", "b.vhd")
    def all_say_so():
        for args in (("info",), ("read",), ("map",), ("write",), ("compact",),
                     ("compare", "b.vhd"), ("check",)):
            done = vhdkit(*args, "a.vhd", code=DAMAGED)
            check("a.vhd" in done.err + done.out, f"{args}: no message")

    all_say_so()
    # A size that the file has, and nobody asked for.
    vhdkit("create", "--overwrite", "--size", "4M", "a.vhd")
    image = Image("a.vhd")
    image.footer.current_size = 513
    image.save()
    all_say_so()


@case("no-space: a full disk, and an output that is full")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    with open("/dev/full", "wb") as full:
        for args in (("read",), ("info",), ("map", "--json")):
            done = subprocess.run([VHDKIT, *args, "a.vhd"], stdout=full,
                                  stderr=subprocess.PIPE, check=False)
            equal(done.returncode, NO_SPACE, f"{args}: {done.stderr}")


@case("refused: what could lose something, until an option allows it")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    vhdkit("write", "--offset", "3M", "a.vhd", data=b"x")
    before = content("a.vhd")
    for args, allowed in (
            (("create", "--size", "1M", "a.vhd"), "--overwrite"),
            (("convert", "a.vhd", "a.vhd"), None),
            (("read", "a.vhd", "a.vhd"), None),
            (("resize", "a.vhd", "2M"), "--shrink"),
            (("resize", "--shrink", "a.vhd", "2M"), None)):
        done = refused(*args, code=None)
        check(done.returncode in (REFUSED, IN_USE), f"{args}: {done.err}")
        if allowed:
            equal(done.returncode, REFUSED, f"{args}: {done.err}")
            check(allowed in done.err, done.err)
    vhdkit("create", "--parent", "a.vhd", "child.vhd")
    for args in (("resize", "a.vhd", "8M"), ("snapshot", "a.vhd"),
                 ("set", "--id", "new", "a.vhd")):
        refused(*args, code=REFUSED, says="child.vhd")
    equal(content("a.vhd"), before)


FOREIGN = {
    "VMDK": b"KDMV\1\0\0\0", "qcow": b"QFI\xfb\0\0\0\3",
    "VDI": bytes(64) + b"\x7f\x10\xda\xbe",
    "ISO": bytes(32768) + b"\1CD001\1", "gzip": b"\x1f\x8b\x08\0",
    "xz": b"\xfd7zXZ\0", "zip": b"PK\3\4", "raw disk": bytes(510) + b"\x55\xaa",
}


@case("failed: what is no VHD, by its name; a check says so too")
def _():
    for name, start in FOREIGN.items():
        with open("a.vhd", "wb") as file:
            file.write(start.ljust(MiB, b"\0"))
        for verb in ("check", "read"):
            done = refused(verb, "a.vhd", code=FAILED)
            check(name.lower() in done.err.lower(), f"{name}: {done.err}")


@case("check: 1 for a parent that is missing or denied, and nothing else")
def _():
    os.mkdir("in")
    vhdkit("create", "--size", "4M", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "in/child.vhd", "--root", ".")
    def result(wanted):
        got = read_json("check", "--json", "in/child.vhd", code=wanted)
        return got["result"], got["findings"][0]["code"]
    equal(result(FAILED), ("incomplete", "parent-denied"))
    os.rename("base.vhd", "moved.vhd")
    equal(result(FAILED), ("incomplete", "parent-missing"))
    # Not so where the child itself is broken.
    image = Image("in/child.vhd")
    image.header.checksum = 1
    image.save()
    equal(result(DAMAGED)[0], "broken")


@case("compare: 1 is that they differ, 2 and more that it cannot be told")
def _():
    write_fixed("a.vhd", b"a" * MiB)
    write_fixed("b.vhd", b"b" * MiB)
    vhdkit("compare", "a.vhd", "a.vhd")
    vhdkit("compare", "a.vhd", "b.vhd", code=1)
    with open("raw", "wb") as file:
        file.write(bytes(MiB))
    vhdkit("compare", "a.vhd", "raw", code=2)


@case("interrupted: death by the signal, as a shell wants it")
def _():
    vhdkit("create", "--size", "64M", "a.vhd")
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with subprocess.Popen([VHDKIT, "write", "--progress=json", "a.vhd"],
                              stdin=subprocess.PIPE,
                              stderr=subprocess.PIPE) as victim:
            victim.stderr.readline()
            victim.send_signal(sig)
            victim.communicate()
        equal(victim.returncode, -sig, sig)
    equal(vhdkit("check", "a.vhd").returncode, 0)


run()
