#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit's command line itself: help, options, and images in use."""

import os
import subprocess

from tooltest import (USAGE, VHDKIT, MiB, case, check, contains, content,
                      equal, need, program, refused, run, vhdkit, without)

VERBS = ("create", "info", "map", "check", "convert", "measure", "compare",
         "read", "write", "help", "version")


@case("help lists every verb, and help VERB is VERB --help")
def _():
    out = vhdkit("help").out
    equal(vhdkit("--help").out, out)
    for verb in VERBS:
        contains(out, f"\n  {verb} ")
        one = vhdkit("help", verb).out
        equal(vhdkit(verb, "--help").out, one)
        contains(one, f"usage: vhdkit {verb}")
        for line in one.splitlines():
            check(len(line) < 80, f"too wide: {line}")


@case("version is printed")
def _():
    equal(vhdkit("version").out, vhdkit("--version").out)
    check(vhdkit("version").out.startswith("vhdkit 0."), "version")


@case("wrong command lines are refused with what is wrong")
def _():
    done = vhdkit(code=USAGE)
    contains(done.err, "usage")
    refused("frobnicate", says="frobnicate")
    refused("help", "frobnicate", says="frobnicate")
    refused("info", says="usage: vhdkit info")
    refused("info", "a", "b", says="too many")
    refused("info", "--wrong", "a", says="--wrong")
    refused("info", "--json=yes", "a", says="--json=yes")
    refused("info", "-x", "a", says="not an option")
    refused("map", "--offset", says="--offset needs a value")
    refused("map", "--offset", "ten", "a", says="not a size")
    refused("info", "a\x1b[2J\n.vhd", says="a?[2J?.vhd")


@case("options may stand anywhere, -- ends them")
def _():
    vhdkit("create", "a.vhd", "--size", "1M")
    vhdkit("create", "--size=1M", "--", "--odd.vhd")
    check(os.path.exists("--odd.vhd"), "the file")
    vhdkit("info", "--json", "--", "--odd.vhd")


@case("an image that qemu writes to is refused, and the other way round")
def _():
    need("qemu-io")
    vhdkit("create", "--size", "4M", "a.vhd")
    with subprocess.Popen(
            ["qemu-io", "-f", "vpc", "a.vhd"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE) as qemu:
        qemu.stdin.write(b"write 0 512\n")
        qemu.stdin.flush()
        qemu.stdout.readline()
        try:
            for verb in (("info", "a.vhd"), ("check", "a.vhd"),
                         ("read", "a.vhd")):
                done = refused(*verb, says="a.vhd")
                contains(done.err, str(qemu.pid))
                contains(done.err, "--unlocked")
            done = refused("write", "a.vhd", data=b"x", says="a.vhd")
            check("--unlocked" not in done.err, "no way to write unlocked")
            refused("create", "--parent", "a.vhd", "c.vhd", says="a.vhd")
            refused("create", "--size", "1M", "--overwrite", "a.vhd",
                    says="a.vhd")
            # To look all the same is possible.
            vhdkit("info", "--unlocked", "a.vhd")
        finally:
            qemu.communicate(b"quit\n", timeout=60)
    vhdkit("write", "a.vhd", data=b"x")


@case("two writers: the second is refused and told of the first")
def _():
    need("qemu-io")
    vhdkit("create", "--size", "4M", "a.vhd")
    with subprocess.Popen([VHDKIT, "write", "a.vhd"], stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE) as writer:
        writer.stdin.write(b"w" * MiB)
        writer.stdin.flush()
        try:
            # Its first bytes are taken: it has the image.
            done = refused("write", "a.vhd", data=b"x", says="a.vhd")
            contains(done.err, str(writer.pid))
            refused("info", "a.vhd", says="a.vhd")
            vhdkit("info", "--unlocked", "a.vhd")
            qemu = subprocess.run(
                ["qemu-io", "-f", "vpc", "-c", "write 0 512", "a.vhd"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False, timeout=60)
            check(qemu.returncode != 0, "qemu is refused")
            contains(qemu.stdout.decode(), "lock")
        finally:
            writer.stdin.close()
            writer.wait(timeout=60)
        equal(writer.returncode, 0, "status of the first")
    equal(vhdkit("read", "--length", "4", "a.vhd").stdout, b"wwww")


@case("readers share an image, and a child's readers its parent")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    vhdkit("create", "--parent", "a.vhd", "b.vhd")
    vhdkit("create", "--parent", "a.vhd", "c.vhd")
    with subprocess.Popen([VHDKIT, "write", "b.vhd"],
                          stdin=subprocess.PIPE) as writer:
        writer.stdin.write(b"w" * MiB)
        writer.stdin.flush()
        try:
            vhdkit("write", "c.vhd", data=b"c")
            vhdkit("read", "a.vhd")
            refused("write", "a.vhd", data=b"x", says="a.vhd")
        finally:
            writer.stdin.close()
            writer.wait(timeout=60)


@case("started without standard files: no image takes the place of one")
def _():
    vhdkit("create", "--type", "fixed", "--size", "1M", "a.vhd")
    vhdkit("create", "--parent", "a.vhd", "child.vhd")
    vhdkit("write", "a.vhd", data=b"b" * MiB)
    # Of the child there is a warning, which must go nowhere.
    for closed in "2>&-", ">&- 2>&-", "2>&- >&-":
        program(*without(closed, VHDKIT, "write", "--offset", "4096", "a.vhd"),
                data=b"new")
        equal(content("a.vhd"), b"b" * 4096 + b"new" + b"b" * (MiB - 4099))
    for closed, verb, says in (("<&-", "write", "cannot read"),
                               (">&-", "read", "cannot write"),
                               (">&-", "info", "cannot write")):
        done = program(*without(closed, VHDKIT, verb, "a.vhd"), code=1)
        contains(done.err, says)
    equal(content("a.vhd")[:4096], b"b" * 4096)


run()
