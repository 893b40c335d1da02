#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit check of a chain: parents that are missing, others than the child's,
out of reach or broken; and chains that are long or have no end."""

import os
import struct

from checktest import verdict
from tooltest import (MiB, case, check, contains, equal, read_json, refused,
                      run, vhdkit)
from vhdimage import DIFFERENCING, Image, write_dynamic


def chain_of_three():
    vhdkit("create", "--size", "4M", "a.vhd")
    vhdkit("write", "a.vhd", data=b"x" * 1000)
    # A time that is neither now nor that of its footer.
    os.utime("a.vhd", (1800000000, 1800000000))
    vhdkit("create", "--parent", "a.vhd", "b.vhd")
    vhdkit("create", "--parent", "b.vhd", "c.vhd")


@case("a chain is checked down to its last image")
def _():
    chain_of_three()
    equal(verdict("c.vhd")[1]["findings"], [])
    image = Image("a.vhd")
    image.bytes[-512:] = bytes(512)
    image.save(end=False)
    got = verdict("c.vhd")[1]
    hits = [f for f in got["findings"] if f["code"] == "footer-missing"]
    equal([os.path.basename(f["path"]) for f in hits], ["a.vhd"])


@case("a parent that is missing: status 1, and opening names it")
def _():
    chain_of_three()
    os.unlink("a.vhd")
    for path in ("b.vhd", "c.vhd"):
        status, got = verdict(path)
        equal((status, got["result"]), (1, "incomplete"))
        contains(vhdkit("check", path, code=1).out, "not all of its chain")
        equal(got["findings"][0]["code"], "parent-missing")
        contains(got["findings"][0]["message"], "a.vhd")
        refused("read", path, says="a.vhd")
        refused("map", path, says="a.vhd")
        refused("write", path, data=b"x", says="a.vhd")


@case("a parent with another id: status 2, and opening refuses it by name")
def _():
    chain_of_three()
    os.unlink("a.vhd")
    vhdkit("create", "--size", "4M", "a.vhd")
    status, got = verdict("b.vhd")
    equal(status, 2)
    equal(got["findings"][0]["code"], "parent-id")
    contains(got["findings"][0]["message"], "a.vhd")
    refused("read", "b.vhd", says="a.vhd")


@case("a parent that was put back is noted, once")
def _():
    chain_of_three()
    os.utime("a.vhd", (1700000000, 1700000000))
    for path in ("b.vhd", "c.vhd"):
        status, got = verdict(path)
        equal((status, got["notes"]), (0, 1), path)
        equal(got["findings"][0]["code"], "parent-timestamp")
        contains(got["findings"][0]["message"], "a.vhd")
        equal(os.path.basename(got["findings"][0]["path"]), "b.vhd")


@case("a child of another size than its parent is noted")
def _():
    vhdkit("create", "--size", "4M", "base.vhd")
    for size, notes in (("4M", 0), ("5M", 1), ("3M", 1)):
        vhdkit("create", "--parent", "base.vhd", "--size", size,
               "--overwrite", "child.vhd")
        status, got = verdict("child.vhd")
        equal((status, [f["code"] for f in got["findings"]]),
              (0, ["parent-size"] * notes))


@case("a parent that is broken itself is named")
def _():
    chain_of_three()
    image = Image("a.vhd")
    image.header.checksum = 1
    image.save()
    status, got = verdict("c.vhd")
    equal(status, 2)
    contains(got["findings"][0]["message"], "a.vhd")
    refused("read", "c.vhd", says="a.vhd")


@case("a chain that bites its tail is refused, in no time")
def _():
    for number, other in ((1, 2), (2, 1)):
        write_dynamic(f"{number}.vhd", 4 * MiB, {}, id=bytes([number] * 16),
                      parent={"parent_id": bytes([other] * 16),
                              "parent_name":
                                  f"{other}.vhd".encode("utf-16-be")})
    write_dynamic("self.vhd", 4 * MiB, {}, id=b"s" * 16, parent={
        "parent_id": b"s" * 16, "parent_name": "self.vhd".encode("utf-16-be")})
    for path in ("1.vhd", "2.vhd", "self.vhd"):
        status, got = verdict(path)
        equal(status, 2)
        equal(got["findings"][-1]["code"], "chain-cycle")
        refused("read", path, says=path)


@case("a chain of 129 images is opened, one of 130 refused, both at once")
def _():
    def link(number):
        write_dynamic(f"{number}.vhd", MiB, {}, id=bytes([number] * 16),
                      parent={"parent_id": bytes([number - 1] * 16),
                              "parent_name": f"{number - 1}.vhd"
                                             .encode("utf-16-be")})
    # It begins with 1: an id of zeros would mean a raw parent.
    write_dynamic("1.vhd", MiB, {}, id=b"\x01" * 16)
    for number in range(2, 132):
        link(number)
    equal(read_json("info", "--json", "129.vhd")["depth"], 128)
    refused("read", "130.vhd", says="128")
    refused("create", "--parent", "129.vhd", "new.vhd", says="128")
    vhdkit("create", "--parent", "128.vhd", "new.vhd")


@case("a parent outside the roots is refused, whatever a locator says")
def _():
    os.mkdir("in")
    vhdkit("create", "--size", "1M", "out.vhd")
    vhdkit("create", "--parent", "out.vhd", "in/child.vhd", "--root", ".")
    refused("read", "in/child.vhd", says=["out.vhd", "--root"])
    refused("read", "--root", "in", "in/child.vhd", says="out.vhd")
    vhdkit("read", "--root", ".", "in/child.vhd")
    vhdkit("read", "in/child.vhd", env={"VHDKIT_ROOTS": "/usr:."})
    refused("read", "--root", "nowhere", "in/child.vhd", says="nowhere")
    os.symlink("../out.vhd", "in/out.vhd")
    refused("read", "in/child.vhd", says="out.vhd")
    equal(verdict("in/child.vhd")[1]["findings"][0]["code"], "parent-denied")


@case("a parent that is no regular file is passed over")
def _():
    for number, make in enumerate((os.mkfifo, os.mkdir)):
        path = f"{number}.vhd"
        write_dynamic("child.vhd", MiB, {}, parent={
            "parent_id": b"p" * 16, "parent_name": path.encode("utf-16-be")})
        make(path)
        refused("read", "child.vhd", says=path)


@case("a raw parent is taken only if it is asked for")
def _():
    with open("base.raw", "wb") as file:
        file.write(b"r" * MiB)
    write_dynamic("child.vhd", MiB, {}, parent={
        "parent_name": "base.raw".encode("utf-16-be")})
    refused("read", "child.vhd", says="child.vhd")
    equal(vhdkit("read", "--length", "3", "--raw-parent", "child.vhd").stdout,
          b"rrr")
    equal(verdict("child.vhd", "--raw-parent")[0], 0)


@case("locators that make no sense are told of, and do no harm")
def _():
    vhdkit("create", "--size", "1M", "base.vhd")
    for code, space, length, off in (
            (b"W2ru", 0x7ffffe00, 10, 2048), (b"W2ru", 512, 10, 1 << 40),
            (b"W2ku", 512, 600, 2048), (b"W2ru", 512, 5, 2048),
            (b"????", 512, 5, 2048), (b"W2ru", 700, 10, 2048)):
        write_dynamic("child.vhd", MiB, {}, id=b"c" * 16, parent={
            "parent_id": Image("base.vhd").footer.id,
            "parent_name": "base.vhd".encode("utf-16-be")})
        image = Image("child.vhd")
        image.bytes[2048:2048] = b"\x2e\x00\x5c" + b"\xd8" * 509
        struct.pack_into(">4sIIIQ", image.header.data, 576, code, space,
                         length, 0, off)
        image.header.entries = 1
        equal(image.footer.type, DIFFERENCING)
        image.save()
        status, got = verdict("child.vhd")
        check(status in (0, 2), f"status {status}")
        if status == 2:
            equal({f["code"] for f in got["findings"]
                   if f["severity"] == "broken"}, {"locator"})
        vhdkit("info", "child.vhd")
        equal(len(vhdkit("read", "child.vhd").stdout), MiB)


run()
