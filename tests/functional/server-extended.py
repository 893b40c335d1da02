#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Payloads, with extended headers and without: a write brings its data whether
it says so or not, and the payload of what is refused is never taken for
requests."""

import os
import sys

from servertest import SOCKET, served
from tooltest import KiB, MiB, case, check, content, equal, run, vhdkit

sys.path.insert(0, os.path.join(os.environ.get("SRCDIR", "."),
                                "tests", "conformance"))
# pylint: disable=wrong-import-position
from harness import Target  # noqa: E402
from proto import (DF, FUA, PAYLOAD_LEN, Cmd, Endpoint, Err,  # noqa: E402
                   Opt)
from wire import Client  # noqa: E402

SIZE = 16 * MiB
BAIT = 8 * MiB  # where a payload that is taken for a request writes


def attach(extended=True):
    path = os.path.abspath(SOCKET)
    c = Client(Target(Endpoint.parse(f"nbd+unix:///?socket={path}"), "",
                      timeout=30)).greet()
    if extended:
        check(c.option(Opt.EXTENDED_HEADERS).ok, "extended headers refused")
    check(c.go().ok, "GO refused")
    return c


def make():
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    return "disk.vhd"


def bait(c, length):
    """Bytes that are writes, to whoever takes them for requests."""
    one = c.header(Cmd.WRITE_ZEROES, BAIT, 64 * KiB)
    return (one * (length // len(one) + 1))[:length]


def unannounced(c, off, data, flags=0):
    """As qemu sends it."""
    return c.finish(c.submit(Cmd.WRITE, off, len(data), flags, data))


@case("writes without PAYLOAD_LEN are carried out, which is noted once")
def _():
    with served("--verbose", make()) as server:
        for _ in range(2):
            c = attach()
            for i, length in enumerate((512, 4 * KiB, 300 * KiB)):
                data = bait(c, length)
                equal(unannounced(c, i * MiB, data, FUA if i else 0).error, 0)
                equal(c.command(Cmd.READ, i * MiB, length).data, data)
            c.close()
        c = attach()
        equal(c.command(Cmd.WRITE, 3 * MiB, payload=b"announced").error, 0)
        c.close()
        equal(server.log().count("without PAYLOAD_LEN"), 2,
              "notes of two connections")


def refuse_all(c, readonly):
    """Every reason to refuse what has a payload, one behind the other."""
    writes = [(SIZE, 64 * KiB, 0), (SIZE - 512, 4 * KiB, 0),
              (1 << 63, 300 * KiB, 0), (0, 4 * KiB, DF), (0, 512, 0x4000)]
    if readonly:
        writes = [(0, 64 * KiB, 0), (0, 300 * KiB, FUA)] + writes
    for off, length, flags in writes:
        r = unannounced(c, off, bait(c, length), flags)
        check(r.error in (Err.EINVAL, Err.ENOSPC, Err.EPERM), r)
        c.command(Cmd.FLUSH)
        if not c.extended:
            continue
        for cmd in (Cmd.WRITE, Cmd.READ, Cmd.TRIM, Cmd.WRITE_ZEROES,
                    Cmd.FLUSH, Cmd.CACHE, Cmd.BLOCK_STATUS, 8, 0x7777):
            r = c.finish(c.submit(cmd, off, length, flags | PAYLOAD_LEN,
                                  bait(c, length)))
            check(r.error in (Err.EINVAL, Err.ENOSPC, Err.EPERM), r)


def refusals(extended, *options):
    image = make()
    vhdkit("write", image, "--offset", str(BAIT), data=b"\x5a" * 64 * KiB)
    with served(*options, image):
        c = attach(extended)
        refuse_all(c, "--readonly" in options)
        equal(c.command(Cmd.READ, BAIT, 64 * KiB).data, b"\x5a" * 64 * KiB,
              "what a payload would have zeroed")
        c.close()
    got = content(image)
    equal(got[BAIT:BAIT + 64 * KiB], b"\x5a" * 64 * KiB, "the image")
    check(got.count(0) == SIZE - 64 * KiB, "something was written")


@case("no payload of a refused extended request is taken for requests")
def _():
    refusals(True)


@case("no payload of a refused compact request is taken for requests")
def _():
    refusals(False)


@case("no payload to a read-only export is taken for requests")
def _():
    refusals(True, "--readonly")
    os.unlink("disk.vhd")
    refusals(False, "--readonly")


@case("a payload that is too long to be thrown away closes the connection")
def _():
    with served(make()):
        for length in (32 * MiB + 1, 1 << 32, (1 << 64) - 1):
            for cmd, flags in ((Cmd.WRITE, 0), (Cmd.WRITE, PAYLOAD_LEN),
                               (Cmd.READ, PAYLOAD_LEN)):
                c = attach()
                c.send(c.header(cmd, 0, length, flags) + bait(c, 4 * KiB), "")
                equal(c.rest(), b"", "an answer")
                c.close()
    equal(content("disk.vhd"), bytes(SIZE))


run()
