#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit convert, measure and compare: every kind into every other, what stays
a hole, what programs of others make of it, and what is left when it fails."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import time

from inplacetest import overwrite
from tooltest import (NOT_FOUND, VHDKIT, GiB, KiB, MiB, Skip, case, check,
                      contains, content, equal, need, peak_memory, program,
                      read_json, refused, run, same_bytes, vhdkit)

SIZE = 37 * MiB + 512
KINDS = ("fixed", "dynamic", "differencing", "raw")


def used(path):
    return os.stat(path).st_blocks * 512


def model(seed):
    """A disk's content: data of odd lengths at odd places, zeros that were
    written, and much of nothing."""
    chance = random.Random(seed)
    disk = bytearray(SIZE)
    for _ in range(20):
        at = chance.randrange(SIZE)
        piece = chance.randbytes(chance.choice((1, 511, 4096, 70000, 300000)))
        piece = piece[:SIZE - at]
        disk[at:at + len(piece)] = piece
    disk[-1] = 7
    disk[0] = 9
    return bytes(disk)


def write_sparse(path, data):
    """In pieces of a page: holes where there are zeros."""
    with open(path, "wb") as file:
        for at in range(0, len(data), 4096):
            if any(data[at:at + 4096]):
                file.seek(at)
                file.write(data[at:at + 4096])
        file.truncate(len(data))


def make(kind, path, data):
    """A disk of that kind; of a differencing one half is its parent's."""
    if kind == "raw":
        write_sparse(path, data)
        return
    write_sparse("bytes", data)
    if kind == "differencing":
        parent = bytearray(data)
        parent[:SIZE // 2] = b"p" * (SIZE // 2)
        write_sparse("parent.bytes", parent)
        vhdkit("create", "--size", str(SIZE), "parent.vhd")
        vhdkit("write", "parent.vhd", "parent.bytes")
        vhdkit("create", "--parent", "parent.vhd", path)
        vhdkit("write", path, "--length", str(SIZE // 2), "bytes")
    else:
        vhdkit("create", "--type", kind, "--size", str(SIZE), path)
        vhdkit("write", path, "bytes")
    os.unlink("bytes")


def source_format(kind):
    return ("--source-format", "raw" if kind == "raw" else "vhd")


def target_format(kind):
    return (("--format", "raw") if kind == "raw" else ("--subformat", kind))


def convert(kind, to, *more, **options):
    return vhdkit("convert", *source_format(kind), *target_format(to), *more,
                  "source", "target", **options)


def bytes_of(kind, path):
    if kind == "raw":
        with open(path, "rb") as file:
            return file.read()
    return content(path)


@case("every kind becomes every other, and compare says so")
def _():
    for kind in KINDS:
        data = model(kind)
        make(kind, "source", data)
        for to in ("fixed", "dynamic", "raw"):
            convert(kind, to)
            same_bytes(bytes_of(to, "target"), data, f"{kind} to {to}")
            if to != "raw":
                vhdkit("check", "target")
                info = read_json("info", "--json", "target")
                equal(info["type"], to)
            vhdkit("compare", "--strict", "source", "target",
                   "--first-format", source_format(kind)[1],
                   "--second-format", "raw" if to == "raw" else "vhd")
            check(used("target") < 16 * MiB, f"{to}: it is sparse")
            os.unlink("target")
        for name in os.listdir("."):
            os.unlink(name)


@case("qemu and libvhdi read the same out of it")
def _():
    need("qemu-img")
    data = model("qemu")
    make("differencing", "source", data)
    with open("want", "wb") as file:
        file.write(data)
    for to in ("fixed", "dynamic"):
        convert("differencing", to, "--overwrite")
        program("qemu-img", "compare", "-f", "raw", "-F", "vpc", "want",
                "target")
        program("qemu-img", "convert", "-f", "vpc", "-O", "raw", "target",
                "out")
        with open("out", "rb") as file:
            same_bytes(file.read()[:SIZE], data, to)
        if shutil.which("vhdiinfo"):
            contains(program("vhdiinfo", "target").out, str(SIZE))
    for subformat in ("fixed", "dynamic"):
        program("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o",
                f"subformat={subformat},force_size=on", "want", "theirs")
        vhdkit("compare", "theirs", "target")
        vhdkit("convert", "--overwrite", "theirs", "ours")
        vhdkit("compare", "ours", "target")


@case("zeros that were written take no space in the target")
def _():
    vhdkit("create", "--size", "64M", "--full", "source")
    vhdkit("write", "source", data=b"\1" * 64 * MiB)
    overwrite("source", {n * MiB: bytes(MiB) for n in range(64)})
    vhdkit("write", "source", "--offset", "10M", data=b"x")
    check(used("source") >= 64 * MiB, "they take some there")
    convert("dynamic", "dynamic")
    equal(read_json("info", "--json", "target")["blocks"]["allocated"], 1)
    check(used("target") < 256 * KiB, f"{used('target')} bytes of dynamic")
    convert("dynamic", "raw", "--overwrite")
    check(used("target") < 256 * KiB, f"{used('target')} bytes of raw")
    vhdkit("compare", "source", "target", "--second-format", "raw")


@case("--full and --hyperv leave no hole")
def _():
    make("raw", "source", model("full"))
    for option, to in itertools.product(("--full", "--hyperv"),
                                        ("fixed", "raw", "dynamic")):
        convert("raw", to, option, "--overwrite")
        check(used("target") >= os.path.getsize("target") - 16 * KiB,
              f"{to} has holes")
        vhdkit("compare", "source", "target", "--first-format", "raw",
               "--second-format", "raw" if to == "raw" else "vhd")


@case("--azure makes a fixed image of whole MiB, at least 20")
def _():
    for size, wanted in ((SIZE, 38 * MiB), (38 * MiB, 38 * MiB),
                         (512, 20 * MiB)):
        vhdkit("create", "--size", str(size), "source")
        vhdkit("write", "source", data=b"x" * 512)
        vhdkit("convert", "--azure", "--overwrite", "source", "target")
        info = read_json("info", "--json", "target")
        equal((info["type"], info["virtual-size"]), ("fixed", wanted))
        equal(os.path.getsize("target"), wanted + 512)
        vhdkit("compare", "source", "target")
        os.unlink("source")
    vhdkit("create", "--size", "1M", "source")
    refused("convert", "--azure", "--subformat", "dynamic", "source", "t",
            says="fixed images only")


@case("--size grows, never cuts; a raw file's odd end is filled up")
def _():
    with open("source", "wb") as file:
        file.write(b"x" * 1000)
    convert("raw", "dynamic")
    equal(content("target"), b"x" * 1000 + bytes(24))
    vhdkit("compare", "--second-format", "raw", "target", "source")
    vhdkit("compare", "--second-format", "raw", "target", "source",
           "--strict", code=1)
    convert("raw", "fixed", "--size", "1M", "--overwrite")
    equal(content("target"), b"x" * 1000 + bytes(MiB - 1000))
    refused("convert", "--source-format", "raw", "--size", "512", "source",
            "new", says="does not fit")
    check(not os.path.exists("new"), "nothing")


@case("compare: the first byte that differs, and what is no difference")
def _():
    for kind in KINDS:
        data = model(kind + "compare")
        make(kind, "source", data)
        convert(kind, "raw")
        for at in (0, 1, 65535, 65536, 2 * MiB, SIZE // 2, SIZE - 1):
            with open("target", "r+b") as file:
                file.seek(at)
                file.write(bytes([data[at] ^ 1]))
            for one, other in (("source", "target"), ("target", "source")):
                first = kind if one == "source" else "raw"
                second = "raw" if one == "source" else kind
                got = read_json(
                    "compare", "--json", one, other, "--first-format",
                    source_format(first)[1], "--second-format",
                    source_format(second)[1], code=1)
                equal((got["same"], got["difference"], got["offset"]),
                      (False, "content", at))
            with open("target", "r+b") as file:
                file.seek(at)
                file.write(data[at:at + 1])
        for name in os.listdir("."):
            os.unlink(name)


@case("compare: disks of different sizes, by qemu-img's rule or strictly")
def _():
    vhdkit("create", "--size", "4M", "a")
    vhdkit("create", "--size", "8M", "b")
    for pair in (("a", "b"), ("b", "a")):
        contains(vhdkit("compare", *pair).out, "zeros at the end")
        got = read_json("compare", "--strict", "--json", *pair, code=1)
        equal((got["same"], got["difference"], got["offset"]),
              (False, "size", None))
    vhdkit("write", "b", "--offset", "5M", data=b"x")
    for pair in (("a", "b"), ("b", "a")):
        equal(vhdkit("compare", *pair, code=1).out,
              f"the disks differ at {5 * MiB}\n")
        equal(vhdkit("compare", "--quiet", *pair, code=1).out, "")
    refused("compare", "a", "none", code=NOT_FOUND, says="none")


@case("measure: never less than convert needs, and exactly so of blocks")
def _():
    for kind in KINDS:
        make(kind, "source", model(kind + "measure"))
        for to in ("fixed", "dynamic", "raw"):
            got = read_json("measure", "--json", *source_format(kind),
                            *target_format(to), "source")
            convert(kind, to, "--overwrite")
            length = os.path.getsize("target")
            if to == "dynamic":
                check(got["required"] >= length, f"{got} for {length}")
                # A fixed one is all in use.
                check(kind == "fixed" or got["required"] == length,
                      f"{kind}: {got} for {length}")
            else:
                equal(got["fully-allocated"], length)
                check(got["required"] + 64 * KiB >= used("target"),
                      f"{got} for {used('target')}")
            equal(got["virtual-size"], SIZE)
        for name in os.listdir("."):
            os.unlink(name)
    vhdkit("create", "--size", "10G", "source")
    got = read_json("measure", "--json", "source")
    vhdkit("convert", "source", "target")
    equal(got["required"], os.path.getsize("target"))
    vhdkit("create", "--size", "1G", "--full", "b")
    got = read_json("measure", "--json", "b")
    equal(got["fully-allocated"], os.path.getsize("b"))


@case("the source, its parent and what is in use are no targets")
def _():
    make("differencing", "source", model("self"))
    before = content("source")
    for target in ("source", "parent.vhd"):
        refused("convert", "--overwrite", "source", target, says=target)
        refused("convert", "source", target, says="--overwrite replaces it")
    os.link("source", "other-name")
    refused("convert", "--overwrite", "source", "other-name",
            says="other-name")
    same_bytes(content("source"), before)
    # The parent of an image beside it.
    vhdkit("create", "--size", "1M", "small.vhd")
    refused("convert", "--overwrite", "small.vhd", "parent.vhd",
            says="parent.vhd")
    vhdkit("create", "--size", "1M", "held.vhd")
    with subprocess.Popen([VHDKIT, "write", "held.vhd"],
                          stdin=subprocess.PIPE) as writer:
        writer.stdin.write(b"w" * MiB)
        writer.stdin.flush()
        refused("convert", "--overwrite", "small.vhd", "held.vhd",
                says="held.vhd")
        refused("convert", "held.vhd", "new.vhd", says="held.vhd")
        writer.stdin.close()
        writer.wait(timeout=60)


@case("wrong wishes are refused, and leave nothing")
def _():
    vhdkit("create", "--size", "1M", "source")
    refused("convert", "--format", "raw", "--subformat", "fixed", "source",
            "t", says="--subformat")
    refused("convert", "--subformat", "fixed", "--block-size", "1M", "source",
            "t", says="only a dynamic")
    refused("convert", "--block-size", "3M", "source", "t", says="power of")
    refused("convert", "--size", "0", "source", "t", says="--size 0")
    refused("convert", "none", "t", says="none")
    refused("convert", "source", "no/t", says="no/t")
    refused("measure", "none", says="none")
    equal(os.listdir("."), ["source"])


@case("a full disk leaves no target, and what it was to replace")
def _():
    os.mkdir("small")
    if program("mount", "-t", "tmpfs", "-o", "size=8m", "none", "small",
               code=None).returncode != 0:
        raise Skip("a tmpfs cannot be mounted here")
    try:
        vhdkit("create", "--size", "64M", "source")
        vhdkit("write", "source", data=os.urandom(16 * MiB))
        vhdkit("create", "--size", "1M", "small/old")
        before = content("small/old")
        for to in ("fixed", "dynamic", "raw"):
            for more, name in (((), "new"), (("--full",), "new"),
                               (("--overwrite",), "old")):
                refused("convert", *target_format(to), *more, "source",
                        f"small/{name}", says="No space left")
                equal(os.listdir("small"), ["old"])
        equal(content("small/old"), before)
    finally:
        program("umount", "-l", "small")


def signalled(sig, to):
    """What becomes of a conversion that gets a signal on its way."""
    with subprocess.Popen(
            [VHDKIT, "convert", "--source-format", "raw", *target_format(to),
             "--progress=json", "source", "new/target"],
            stderr=subprocess.PIPE) as maker:
        maker.stderr.readline()
        time.sleep(0.02)
        maker.send_signal(sig)
        said = maker.stderr.read().decode()
        return maker.wait(timeout=100), said


@case("interrupted or killed, it leaves nothing")
def _():
    os.mkdir("new")
    write_sparse("source", os.urandom(32 * MiB) * 8)
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for to in ("fixed", "dynamic", "raw"):
            for _ in range(50):
                status, said = signalled(sig, to)
                if status != 0:
                    break
                os.unlink("new/target")  # it was done before the signal came
            equal(status, -sig, f"status: {said}")
            if sig != signal.SIGKILL:
                contains(said, "interrupted; nothing has changed")
            equal(os.listdir("new"), [])


@case("nothing at all cannot be converted, and leaves no target")
def _():
    with open("source", "wb"):
        pass
    for kind in ("fixed", "dynamic"):
        refused("convert", "--source-format", "raw", "--subformat", kind,
                "source", "target", says="no bytes")
        check(not os.path.exists("target"), "there is a target")


@case("2 TiB of holes take no time and little memory")
def _():
    with open("source", "wb") as file:
        file.truncate(2040 * GiB)
        file.seek(1500 * GiB)
        file.write(b"x" * MiB)
    peak = peak_memory(VHDKIT, "convert", "--source-format", "raw", "source",
                       "target")
    equal(read_json("info", "--json", "target")["blocks"]["allocated"], 1)
    vhdkit("compare", "--second-format", "raw", "target", "source")
    if not os.environ.get("SANITIZE"):
        check(peak <= 64 * MiB, f"{peak} bytes")


run()
