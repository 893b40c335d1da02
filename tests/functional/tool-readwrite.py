#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit read and vhdkit write: every type, ranges, pipes, holes, models."""

import os
import random
import signal
import subprocess
import time

from tooltest import (NO_SPACE, VHDKIT, GiB, KiB, MiB, case, check, contains,
                      content, equal, read_json, refused, run, same_bytes,
                      vhdkit)

SEED = 20000101


def pattern(length, seed):
    return random.Random(seed).randbytes(length)


def new(name, size, *more):
    vhdkit("create", "--size", str(size), *more, name)


def used(path):
    return os.stat(path).st_blocks * 512


TYPES = (("fixed", ("--type", "fixed")), ("dynamic", ()),
         ("small blocks", ("--block-size", "64K")), ("full", ("--full",)))


@case("what is written is read, in every type, and the rest reads as zeros")
def _():
    for name, options in TYPES:
        path = f"{name}.vhd"
        new(path, 8 * MiB + 512, *options)
        piece = pattern(300000, name)
        vhdkit("write", "--offset", "3M", path, data=piece)
        model = bytearray(8 * MiB + 512)
        model[3 * MiB:3 * MiB + 300000] = piece
        same_bytes(content(path), bytes(model), name)
        vhdkit("check", path)


@case("ranges need no alignment, down to single bytes and to the last one")
def _():
    size = 5 * MiB + 512
    for name, options in TYPES:
        path = f"{name}.vhd"
        new(path, size, *options)
        model = bytearray(size)
        for off, length in ((0, 1), (511, 2), (2 * MiB - 1, 3),
                            (1000003, 77777), (size - 1, 1),
                            (4 * MiB - 5000, 10000), (size - 700, 699)):
            piece = pattern(length, off)
            vhdkit("write", "--offset", str(off), path, data=piece)
            model[off:off + length] = piece
            got = vhdkit("read", "--offset", str(off), "--length",
                         str(length), path).stdout
            same_bytes(got, piece, f"{name} at {off}")
        same_bytes(content(path), bytes(model), name)


def write_at_random(path, model, rng, count):
    for _ in range(count):
        off = rng.randrange(len(model))
        length = min(rng.choice((1, 512, 4096, 65536, 300001)),
                     len(model) - off)
        piece = rng.randbytes(length)
        vhdkit("write", "--offset", str(off), path, data=piece)
        model[off:off + length] = piece


@case("a chain of three, each written to at random, reads as a model does")
def _():
    rng = random.Random(SEED)
    size = 3 * MiB
    new("a.vhd", size, "--block-size", "64K")
    model = bytearray(size)
    write_at_random("a.vhd", model, rng, 12)
    frozen = {}
    for parent, child in (("a.vhd", "b.vhd"), ("b.vhd", "c.vhd")):
        frozen[parent] = bytes(model)
        vhdkit("create", "--parent", parent, child)
        write_at_random(child, model, rng, 12)
    same_bytes(content("c.vhd"), bytes(model), "the grandchild")
    for parent, wanted in frozen.items():
        same_bytes(content(parent), wanted, parent)
    for name in ("a.vhd", "b.vhd", "c.vhd"):
        vhdkit("check", name)


@case("what a child does not hold is its parent's, behind its end zeros")
def _():
    new("base.vhd", 3 * MiB)
    vhdkit("write", "base.vhd", data=b"B" * (3 * MiB))
    vhdkit("create", "--parent", "base.vhd", "--size", "6M", "large.vhd")
    vhdkit("create", "--parent", "base.vhd", "--size", "1M", "small.vhd")
    vhdkit("write", "--offset", "100K", "large.vhd", data=b"c" * 1000)
    same_bytes(content("large.vhd"),
               b"B" * 102400 + b"c" * 1000 + b"B" * (3 * MiB - 103400) +
               bytes(3 * MiB))
    same_bytes(content("small.vhd"), b"B" * MiB)


@case("zeros written over a parent's data are zeros, not the parent's data")
def _():
    new("base.vhd", 4 * MiB)
    vhdkit("write", "base.vhd", data=b"B" * (4 * MiB))
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    with open("hole", "wb") as file:
        file.truncate(1 * MiB)
    vhdkit("write", "--offset", "2M", "child.vhd", "hole")
    vhdkit("write", "--offset", "100", "child.vhd", data=bytes(1000))
    same_bytes(content("child.vhd"),
               b"B" * 100 + bytes(1000) + b"B" * (2 * MiB - 1100) +
               bytes(MiB) + b"B" * MiB)
    same_bytes(content("base.vhd"), b"B" * (4 * MiB), "the parent")


@case("holes of a file take no space on the disk, and erase what was there")
def _():
    new("a.vhd", 64 * MiB)
    vhdkit("write", "--offset", "30M", "a.vhd", data=b"old" * MiB)
    with open("raw", "wb") as file:
        file.truncate(64 * MiB)
        file.seek(5 * MiB)
        file.write(b"new" * 1000)
    vhdkit("write", "a.vhd", "raw")
    model = bytearray(64 * MiB)
    model[5 * MiB:5 * MiB + 3000] = b"new" * 1000
    same_bytes(content("a.vhd"), bytes(model))
    check(used("a.vhd") < 4 * MiB, f"it takes {used('a.vhd')} bytes")
    vhdkit("check", "a.vhd")


def allocated(image):
    return read_json("info", "--json", image)["blocks"]["allocated"]


@case("zeros of the input take no space either, and erase what was there")
def _():
    size = 12 * MiB
    data = bytearray(size)
    data[5 * MiB + 70000:5 * MiB + 70100] = b"d" * 100
    data[11 * MiB:11 * MiB + 1] = b"e"
    for how in ("file", "pipe"):
        new("a.vhd", size)
        vhdkit("write", "--offset", "1M", "a.vhd", data=b"old" * MiB)
        vhdkit("write", "--offset", "8M", "a.vhd", data=b"old" * MiB)
        with open("raw", "wb") as file:
            file.write(data)
        if how == "file":
            vhdkit("write", "a.vhd", "raw")
        else:
            vhdkit("write", "a.vhd", data=bytes(data))
        same_bytes(content("a.vhd"), bytes(data), how)
        equal(allocated("a.vhd"), 2, how)
        check(used("a.vhd") < 2 * MiB,
              f"{how}: it takes {used('a.vhd')} bytes")
        vhdkit("check", "a.vhd")
        os.unlink("a.vhd")


@case("zeros hide what a parent holds, and take no space where it holds none")
def _():
    new("base.vhd", 12 * MiB, "--full")
    vhdkit("write", "--offset", "4M", "base.vhd", data=b"B" * (2 * MiB + 1))
    before = content("base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    vhdkit("write", "child.vhd", data=bytes(4 * MiB))
    vhdkit("write", "--offset", "7M", "child.vhd", data=bytes(5 * MiB))
    equal(allocated("child.vhd"), 0)
    same_bytes(content("child.vhd"), before)
    vhdkit("write", "--offset", "3M", "child.vhd", data=bytes(5 * MiB))
    same_bytes(content("child.vhd"), bytes(12 * MiB))
    equal(allocated("child.vhd"), 2)
    same_bytes(content("base.vhd"), before, "the parent")


@case("a fixed image keeps its space where zeros are written, and its holes")
def _():
    new("full.vhd", 8 * MiB, "--type", "fixed", "--full")
    new("holes.vhd", 8 * MiB, "--type", "fixed")
    least = 8 * MiB
    for image in ("full.vhd", "holes.vhd"):
        vhdkit("write", "--offset", "1M", image, data=b"x" * MiB)
        vhdkit("write", image, data=bytes(8 * MiB))
        same_bytes(content(image), bytes(8 * MiB), image)
    check(used("full.vhd") >= least, f"it takes {used('full.vhd')} bytes")
    check(used("holes.vhd") < 2 * MiB, f"it takes {used('holes.vhd')} bytes")


@case("zeros that have space in the image are holes of a file that is read into")
def _():
    new("a.vhd", 16 * MiB, "--full")
    vhdkit("write", "--offset", str(5 * MiB + 4097), "a.vhd", data=b"d" * 9000)
    for more in ((), ("--offset", str(4 * MiB + 512)),
                 ("--length", str(9 * MiB + 1))):
        vhdkit("read", "--overwrite", *more, "a.vhd", "raw")
        with open("raw", "rb") as file:
            same_bytes(file.read(), content("a.vhd", *more), str(more))
        check(used("raw") <= 16384, f"it takes {used('raw')} bytes")


@case("a file that is read into has holes where the disk has no data")
def _():
    new("a.vhd", GiB)
    vhdkit("write", "--offset", "700M", "a.vhd", data=b"x" * 5000)
    vhdkit("read", "a.vhd", "raw")
    equal(os.path.getsize("raw"), GiB, "size")
    check(used("raw") < 4 * MiB, f"it takes {used('raw')} bytes")
    with open("raw", "rb") as file:
        file.seek(700 * MiB)
        equal(file.read(5001), b"x" * 5000 + b"\0")


@case("nothing of a file that is overwritten remains")
def _():
    new("a.vhd", MiB)
    vhdkit("write", "--offset", "4096", "a.vhd", data=b"x")
    with open("raw", "wb") as file:
        file.write(b"old" * MiB)
    vhdkit("read", "--overwrite", "a.vhd", "raw")
    with open("raw", "rb") as file:
        same_bytes(file.read(), bytes(4096) + b"x" + bytes(MiB - 4097))
    vhdkit("read", "--overwrite", "--length", "0", "a.vhd", "raw")
    equal(os.path.getsize("raw"), 0, "size")


@case("the image itself, or its parent, is not taken for the file")
def _():
    new("a.vhd", MiB)
    vhdkit("create", "--parent", "a.vhd", "b.vhd")
    os.link("a.vhd", "other-name")
    before = open("a.vhd", "rb").read()
    for path in ("a.vhd", "b.vhd", "other-name"):
        refused("read", "b.vhd", path, says="part of the image")
        refused("write", "b.vhd", path, says="part of the image")
    equal(open("a.vhd", "rb").read(), before, "the parent")


@case("- is standard output and standard input")
def _():
    new("a.vhd", MiB)
    vhdkit("write", "a.vhd", "-", data=b"hello")
    equal(vhdkit("read", "--length", "6", "a.vhd", "-").stdout, b"hello\0")


@case("through a pipe from one image to another")
def _():
    new("a.vhd", 7 * MiB)
    new("b.vhd", 7 * MiB, "--type", "fixed")
    vhdkit("write", "--offset", "1M", "a.vhd", data=pattern(2 * MiB, 3))
    with subprocess.Popen([VHDKIT, "read", "a.vhd"],
                          stdout=subprocess.PIPE) as reader:
        done = subprocess.run([VHDKIT, "write", "b.vhd"], check=False,
                              stdin=reader.stdout, timeout=100)
        reader.stdout.close()
        equal(reader.wait(timeout=100), 0, "status of the reader")
    equal(done.returncode, 0, "status of the writer")
    same_bytes(content("b.vhd"), content("a.vhd"))


@case("ranges outside the disk are refused before anything happens")
def _():
    new("a.vhd", MiB)
    with open("keep", "wb") as file:
        file.write(b"keep")
    refused("read", "--offset", "1048577", "a.vhd", "keep", says="1048576")
    refused("read", "--offset", "1", "--length", "1M", "a.vhd", "keep",
            says="1048576")
    refused("read", "--length", "15E", "--offset", "1", "a.vhd", "keep",
            says="1048576")
    equal(open("keep", "rb").read(), b"keep")
    refused("write", "--offset", "2M", "a.vhd", data=b"x", says="1048576")
    equal(vhdkit("read", "--offset", "1M", "a.vhd").stdout, b"")


@case("a file that does not fit is refused whole; too long a stream says so")
def _():
    new("a.vhd", MiB)
    with open("big", "wb") as file:
        file.write(b"x" * (MiB + 1))
    refused("write", "a.vhd", "big", says=["1048577", "nothing was written"])
    equal(content("a.vhd"), bytes(MiB))
    with subprocess.Popen(["cat", "big"], stdout=subprocess.PIPE) as cat:
        done = subprocess.run([VHDKIT, "write", "a.vhd"], stdin=cat.stdout,
                              stderr=subprocess.PIPE, check=False,
                              timeout=100)
    equal(done.returncode, 1, "status")
    contains(done.stderr.decode(), "longer than what is left")
    equal(content("a.vhd"), b"x" * MiB)


@case("--length takes so much of the input, and fails if there is less")
def _():
    new("a.vhd", MiB)
    with open("in", "wb") as file:
        file.write(b"x" * 5000)
    vhdkit("write", "--length", "1000", "a.vhd", "in")
    equal(vhdkit("read", "--length", "1001", "a.vhd").stdout,
          b"x" * 1000 + b"\0")
    refused("write", "--length", "5001", "a.vhd", "in", says="only 5000")
    refused("write", "--length", "10", "a.vhd", data=b"yyy",
            says="ended after 3")
    equal(vhdkit("read", "--length", "4", "a.vhd").stdout, b"yyyx")


@case("a file that says it is empty is read to its end all the same")
def _():
    new("a.vhd", MiB)
    with open("/proc/version", "rb") as file:
        version = file.read()
    vhdkit("write", "a.vhd", "/proc/version")
    equal(content("a.vhd")[:len(version) + 1], version + b"\0")
    open("empty", "wb").close()
    vhdkit("write", "a.vhd", "empty")
    refused("write", "--length", "1", "a.vhd", "empty", says="empty")


@case("standard output that cannot be written to is an error")
def _():
    new("a.vhd", MiB)
    with open("/dev/full", "wb") as full:
        for verb in (("read", "a.vhd"), ("info", "a.vhd"), ("map", "a.vhd")):
            done = subprocess.run([VHDKIT, *verb], stdout=full, check=False,
                                  stderr=subprocess.PIPE, timeout=100)
            equal(done.returncode, NO_SPACE, f"status of {verb}")
            contains(done.stderr.decode(), "No space left")


def write_slowly(image):
    """A writer fed 10 MiB and then nothing, until it has eaten them."""
    writer = subprocess.Popen([VHDKIT, "write", image], stdin=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    writer.stdin.write(b"w" * (10 * MiB))
    writer.stdin.flush()
    for _ in range(600):
        # All but what a pipe holds is eaten once the file has grown.
        if used(image) >= 9 * MiB:
            return writer
        time.sleep(0.05)
    writer.kill()
    raise AssertionError("the writer does not write")


@case("interrupted, a writer keeps and makes durable what it has written")
def _():
    new("a.vhd", 100 * MiB)
    with write_slowly("a.vhd") as writer:
        writer.send_signal(signal.SIGINT)
        message = writer.stderr.read().decode()
        status = writer.wait(timeout=100)
    equal(status, -signal.SIGINT, "status")
    contains(message, "interrupted")
    data = content("a.vhd")
    done = int(message.split("interrupted; ")[1].split()[0])
    check(done >= 8 * MiB, f"{done} bytes were written")
    same_bytes(data[:done], b"w" * done)
    vhdkit("check", "a.vhd")


@case("interrupted when nobody reads its messages any more, it does the same")
def _():
    new("a.vhd", 100 * MiB)
    with write_slowly("a.vhd") as writer:
        # As by Ctrl-C in `vhdkit write ... 2>&1 | tee log`.
        writer.stderr.close()
        writer.send_signal(signal.SIGINT)
        status = writer.wait(timeout=100)
    equal(status, -signal.SIGINT, "status")
    equal(set(content("a.vhd")[:8 * MiB]), {ord("w")}, "what was written")
    vhdkit("check", "a.vhd")


@case("a reader whose bytes nobody takes any more ends, as a pipe's writer does")
def _():
    new("a.vhd", 4 * MiB)
    vhdkit("write", "a.vhd", data=b"x" * 4 * MiB)
    for ignored, status, says in ((False, -signal.SIGPIPE, b""),
                                  (True, 1, b"Broken pipe")):
        command = "trap '' PIPE; " * ignored + 'exec "$@"'
        reader = subprocess.Popen(["sh", "-c", command, "sh", VHDKIT, "read",
                                   "a.vhd"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        equal(reader.stdout.read(1), b"x")
        reader.stdout.close()
        message = reader.stderr.read()
        reader.stderr.close()
        equal(reader.wait(timeout=100), status, "status")
        check(says in message and (says or not message), message)


@case("killed, a writer leaves a sound image that can be written to again")
def _():
    new("a.vhd", 100 * MiB)
    vhdkit("write", "--offset", "50M", "a.vhd", data=b"before")
    with write_slowly("a.vhd") as writer:
        writer.kill()
        writer.wait(timeout=100)
    check(vhdkit("check", "a.vhd", code=None).returncode in (0, 3),
          "it is not broken")
    vhdkit("write", "--offset", "60M", "a.vhd", data=b"after")
    data = content("a.vhd")
    equal(data[50 * MiB:50 * MiB + 6], b"before")
    equal(data[60 * MiB:60 * MiB + 5], b"after")
    equal(set(data[:8 * MiB]), {ord("w")}, "what was acknowledged")
    vhdkit("check", "a.vhd")


@case("killed, and opened again just to be closed: nothing leaks")
def _():
    new("a.vhd", 100 * MiB)
    with write_slowly("a.vhd") as writer:
        writer.kill()
        writer.wait(timeout=100)
    vhdkit("write", "a.vhd", data=b"")
    equal(set(content("a.vhd")[:8 * MiB]), {ord("w")}, "what was acknowledged")
    vhdkit("check", "a.vhd")


@case("space: a dynamic image takes what was written, not what it could hold")
def _():
    new("a.vhd", 100 * GiB)
    vhdkit("write", "--offset", "99G", "a.vhd", data=b"x" * (3 * MiB))
    check(used("a.vhd") < 8 * MiB, f"it takes {used('a.vhd')} bytes")
    check(os.path.getsize("a.vhd") < 8 * MiB, "and its file is short")
    equal(read_json("info", "--json", "a.vhd")["blocks"]["allocated"], 2)
    equal(os.path.getsize("a.vhd") % 4096, 0, "file size modulo 4096")


@case("a fixed image keeps its size and its footer, whatever is written")
def _():
    new("a.vhd", 2 * MiB, "--type", "fixed")
    footer = open("a.vhd", "rb").read()[-512:]
    vhdkit("write", "a.vhd", data=pattern(2 * MiB, 9))
    with open("a.vhd", "rb") as file:
        whole = file.read()
    equal(len(whole), 2 * MiB + 512, "size")
    equal(whole[-512:], footer, "footer")
    same_bytes(whole[:-512], pattern(2 * MiB, 9))


@case("a guest's VHD inside a fixed disk is its data, not the image")
def _():
    new("inner.vhd", 4 * MiB)
    with open("inner.vhd", "rb") as file:
        inner = file.read()
    new("a.vhd", 64 * KiB, "--type", "fixed")
    vhdkit("write", "a.vhd", "inner.vhd")
    equal(read_json("info", "--json", "a.vhd")["type"], "fixed")
    same_bytes(content("a.vhd"), inner + bytes(64 * KiB - len(inner)))


run()
