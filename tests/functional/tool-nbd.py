#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Disks behind NBD servers as sources and targets: the bytes, the holes, and
what is left when the server refuses, fails, hangs or dies."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time

from servertest import served
from servertest import uri as vhdkitd_uri
from tlstest import psk_file, uri as tls_uri
from tooltest import (FAILED, NOT_FOUND, REFUSED, USAGE, VHDKIT, GiB, KiB, MiB,
                      Skip, case, check, contains, equal, need,
                      peak_memory, program, refused, run, same_bytes, vhdkit)

SIZE = 37 * MiB + 512
PATIENCE = 60


def need_nbd():
    need("nbdkit")
    done = vhdkit("measure", "nbd+unix:///?socket=nowhere", code=None)
    if "built without libnbd" in done.err:
        raise Skip("vhdkit is built without libnbd")


def uri(socket="n.sock"):
    return f"nbd+unix:///?socket={os.path.abspath(socket)}"


@contextlib.contextmanager
def nbdkit(*args, socket="n.sock"):
    """nbdkit in the background; what is left of it at the end is killed."""
    need_nbd()
    for left in (socket, "n.pid"):
        if os.path.exists(left):
            os.unlink(left)
    with subprocess.Popen(["nbdkit", "-f", "-U", os.path.abspath(socket), "-P",
                           os.path.abspath("n.pid"), *args],
                          stdin=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + PATIENCE
            while not os.path.exists("n.pid"):
                check(server.poll() is None, "nbdkit ended")
                check(time.monotonic() < end, "nbdkit does not start")
                time.sleep(0.02)
            yield server
        finally:
            server.kill()


def make_raw(path, seed=1, size=SIZE):
    """Data of odd lengths at odd places, and much of nothing."""
    chance = random.Random(seed)
    with open(path, "wb") as file:
        for _ in range(20):
            file.seek(chance.randrange(size - 600 * KiB))
            file.write(chance.randbytes(chance.choice((1, 511, 70000,
                                                       600 * KiB))))
        file.seek(size - 1)
        file.write(b"e")


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


def used(path):
    return os.stat(path).st_blocks * 512


@case("a disk behind a server becomes an image of every kind, with its holes")
def _():
    make_raw("raw")
    with nbdkit("file", "raw"):
        for to in (("--subformat", "dynamic"), ("--subformat", "fixed"),
                   ("--format", "raw")):
            vhdkit("convert", *to, uri(), "out")
            vhdkit("compare", "--strict", uri(), "out", "--second-format",
                   "raw" if "raw" in to else "vhd")
            check(used("out") < used("raw") + MiB, f"{to}: it is sparse")
            os.unlink("out")
        vhdkit("create", "--from", uri(), "--size", "40M", "out")
        vhdkit("compare", "out", uri())
        same_bytes(vhdkit("measure", uri()).stdout,
                   vhdkit("measure", "--source-format", "raw", "raw").stdout)


@case("without extents, in requests of whatever size, the bytes are the same")
def _():
    make_raw("raw")
    for more in (("--filter=noextents",),
                 ("--filter=blocksize-policy", "blocksize-maximum=4096",
                  "blocksize-error-policy=error"),
                 ("--filter=noparallel", "--filter=delay", "rdelay=2ms")):
        filters = [m for m in more if m.startswith("--")]
        options = [m for m in more if not m.startswith("--")]
        with nbdkit(*filters, "file", "raw", *options):
            vhdkit("convert", "--format", "raw", "--overwrite", uri(), "out")
        same_bytes(bytes_of("out"), bytes_of("raw"), str(more))


@case("an image goes to an empty disk behind a server, whose holes stay")
def _():
    make_raw("raw")
    vhdkit("convert", "--source-format", "raw", "raw", "a.vhd")
    with open("disk", "wb") as file:
        file.truncate(SIZE + MiB)
    for filters in ((), ("--filter=nozero",)):
        os.truncate("disk", 0)
        os.truncate("disk", SIZE + MiB)
        with nbdkit(*filters, "file", "disk"):
            vhdkit("convert", "a.vhd", uri())
            vhdkit("compare", uri(), "a.vhd")
            check(used("disk") < used("raw") + MiB, "it is sparse")


@case("a server that takes whole blocks only gets such, and what lies beside "
      "what is written stays")
def _():
    size = 37 * MiB + 64 * KiB  # blocks of its own
    make_raw("a.raw", size=size)
    with open("a.raw", "r+b") as file:  # data that begins and ends in blocks
        file.truncate(size)
        for at in (64 * KiB + 512, 20 * MiB - 512, size - 1024):
            file.seek(at)
            file.write(b"odd!" * 128)
    vhdkit("convert", "--source-format", "raw", "--block-size", "4K", "a.raw",
           "a.vhd")
    for more in ((), ("--filter=nozero",)):
        with open("b.raw", "wb") as file:
            file.write(b"\xff" * size)
        with nbdkit("--filter=blocksize-policy", *more, "file", "b.raw",
                    "blocksize-minimum=65536", "blocksize-preferred=65536",
                    "blocksize-maximum=131072",
                    "blocksize-error-policy=error"):
            vhdkit("convert", "--overwrite", "a.vhd", uri())
            vhdkit("compare", "a.vhd", uri())
            vhdkit("convert", "--overwrite", uri(), "back.vhd")
        same_bytes(bytes_of("b.raw"), bytes_of("a.raw"))
        vhdkit("compare", "--source-format", "raw", "a.raw", "back.vhd",
               code=None)


@case("what is there already is overwritten if that was asked for, zeros too")
def _():
    make_raw("raw")
    vhdkit("convert", "--source-format", "raw", "raw", "a.vhd")
    for filters in ((), ("--filter=noextents",), ("--filter=nozero",)):
        with open("disk", "wb") as file:
            file.write(os.urandom(SIZE + MiB))
        before = bytes_of("disk")
        with nbdkit(*filters, "file", "disk"):
            refused("convert", "a.vhd", uri(),
                    code=REFUSED,
                    says=(uri(), "not known to be empty", "--overwrite"))
            same_bytes(bytes_of("disk"), before)
            vhdkit("convert", "--overwrite", "a.vhd", uri())
        same_bytes(bytes_of("disk"), bytes_of("raw") + bytes(MiB))


@case("what a disk behind a server cannot be is refused")
def _():
    vhdkit("create", "--size", "8M", "a.vhd")
    need_nbd()
    for more in (("--format", "vhd"), ("--subformat", "fixed"), ("--azure",),
                 ("--size", "9M"), ("--block-size", "1M"), ("--full",)):
        refused("convert", *more, "a.vhd", uri(), code=USAGE,
                says=("raw", more[0]))
    refused("convert", "--source-format", "vhd", uri(), "b.vhd", code=USAGE,
            says="raw")
    refused("convert", uri("nowhere"), "b.vhd", code=NOT_FOUND,
            says=("nowhere", "No such file", "server"))
    refused("convert", "a.vhd", "nbd://[::1", says="nbd://[::1")
    with nbdkit("memory", "7M"):
        refused("convert", "a.vhd", uri(), code=USAGE,
                says=("7340032", "8388608"))
    with nbdkit("-r", "memory", "8M"):
        refused("convert", "a.vhd", uri(), says="cannot be written to")
    equal(sorted(n for n in os.listdir(".") if n.endswith(".vhd")), ["a.vhd"])
    # Only a scheme makes a URI.
    os.mkdir("nbd:")
    vhdkit("convert", "a.vhd", "nbd:/b.vhd")
    vhdkit("compare", "a.vhd", "nbd:/b.vhd")


@case("a server's errors are told, and leave no target")
def _():
    make_raw("raw")
    vhdkit("convert", "--source-format", "raw", "raw", "a.vhd")
    with nbdkit("--filter=error", "file", "raw", "error=EIO",
                "error-pread-rate=100%"):
        refused("convert", uri(), "out", says=(uri(), "Input/output error"))
        refused("compare", uri(), "a.vhd", says=uri())
    check(not os.path.exists("out"), "there is a target")
    for call in ("pwrite", "zero"):
        with open("disk", "wb") as file:
            file.write(b"x" * SIZE)
        with nbdkit("--filter=error", "file", "disk", "error=ENOSPC",
                    f"error-{call}-rate=100%"):
            refused("convert", "--overwrite", "a.vhd", uri(),
                    says=("No space left", "partly overwritten"))


def converting(*args):
    """A conversion that is under way: it has told of data."""
    tool = subprocess.Popen([VHDKIT, "convert", "--progress=json", *args],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)
    for line in tool.stderr:
        if json.loads(line)["done"] > 0:
            return tool
    raise AssertionError(f"it ended with {tool.wait()}")


def ended(tool):
    out = tool.stderr.read()
    tool.stderr.close()
    return tool.wait(PATIENCE), out


SLOW = ("--filter=delay", "pattern", "8G", "rdelay=50ms")


@case("a server that dies half way is told of, and leaves no target")
def _():
    for to in ("fixed", "dynamic"):
        os.makedirs("new", exist_ok=True)
        with nbdkit(*SLOW) as server:
            tool = converting("--subformat", to, uri(), "new/out")
            server.kill()
            status, said = ended(tool)
        check(FAILED <= status <= REFUSED, f"{status}: {said}")
        contains(said, uri())
        contains(said, "server")
        equal(os.listdir("new"), [])


@case("a server that hangs does not keep a signal from ending it")
def _():
    os.mkdir("new")
    with nbdkit(*SLOW) as server:
        tool = converting(uri(), "new/out")
        server.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        tool.send_signal(signal.SIGINT)
        status, said = ended(tool)
        server.send_signal(signal.SIGCONT)
    equal(status, -signal.SIGINT, said)
    equal(os.listdir("new"), [])


@case("vhdkitd is such a server, as source and as target")
def _():
    need_nbd()
    make_raw("raw")
    vhdkit("convert", "--source-format", "raw", "raw", "a.vhd")
    vhdkit("create", "--size", str(SIZE), "parent.vhd")
    vhdkit("create", "--parent", "parent.vhd", "b.vhd")
    with served("--readonly", "a.vhd"):
        vhdkit("convert", vhdkitd_uri(), "c.vhd")
        vhdkit("compare", vhdkitd_uri(), "c.vhd")
        refused("convert", "c.vhd", vhdkitd_uri(), says="written to")
    with served("b.vhd"):
        vhdkit("convert", "c.vhd", vhdkitd_uri())
        vhdkit("compare", vhdkitd_uri(), "c.vhd")
    vhdkit("compare", "--strict", "a.vhd", "b.vhd")
    vhdkit("check", "b.vhd")
    check(used("b.vhd") < used("raw") + 4 * MiB, "the child is sparse")


@case("TLS is what the URI says of it")
def _():
    need_nbd()
    make_raw("raw")
    vhdkit("convert", "--source-format", "raw", "raw", "a.vhd")
    keys = psk_file("keys", "alice")
    if "--tls" not in program(os.environ["VHDKITD"], "--help").out:
        raise Skip("vhdkitd is built without TLS")
    with served("--readonly", "--tls", "require", "--tls-psk", keys, "a.vhd"):
        where = tls_uri("s.sock", user="alice",
                        tls_psk_file=os.path.abspath(keys))
        vhdkit("convert", where, "b.vhd")
        refused("convert", tls_uri("s.sock", scheme="nbd"), "c.vhd",
                says="server")
    vhdkit("compare", "a.vhd", "b.vhd")


@case("2 TiB of holes behind a server take no time and little memory")
def _():
    with open("raw", "wb") as file:
        file.truncate(2040 * GiB)
        file.seek(1500 * GiB)
        file.write(b"x" * MiB)
    with nbdkit("file", "raw"):
        peak = peak_memory(VHDKIT, "convert", uri(), "out")
        vhdkit("compare", uri(), "out")
    if not os.environ.get("SANITIZE"):
        check(peak <= 64 * MiB, f"{peak} bytes")


run()
