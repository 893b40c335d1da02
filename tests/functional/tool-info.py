#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit info and vhdkit map: what they say of known images."""

import os
import random

from tooltest import (GiB, KiB, MiB, case, check, contains, equal, read_json,
                      refused, run, same_bytes, vhdkit)
from vhdimage import (EPOCH, FIXED, Image, new_footer, write_dynamic,
                      write_fixed)


def info(path, *more):
    return read_json("info", "--json", *more, path)


def actual_size(path):
    return os.stat(path).st_blocks * 512


def mapped(path, *more):
    return read_json("map", "--json", *more, path)


@case("info of a dynamic image, member by member")
def _():
    write_dynamic("a.vhd", 10 * MiB, {1: (b"\xff" * 512, bytes(2 * MiB))},
                  creator=b"tst1", creator_version=0x00020003,
                  creator_os=b"Mac ", timestamp=86400, cylinders=301, heads=4,
                  sectors=17, original_size=5 * MiB,
                  id=bytes.fromhex("00112233445546778899aabbccddeeff"))
    equal(info("a.vhd"), {
        "filename": "a.vhd", "format": "vpc", "type": "dynamic",
        "virtual-size": 10 * MiB, "actual-size": actual_size("a.vhd"),
        "file-size": os.path.getsize("a.vhd"), "original-size": 5 * MiB,
        "minimum-size": 4 * MiB, "cluster-size": 2 * MiB,
        "geometry": {"cylinders": 301, "heads": 4, "sectors": 17,
                     "size": 301 * 4 * 17 * 512},
        "blocks": {"size": 2 * MiB, "count": 5, "allocated": 1,
                   "table-entries": 5, "aligned": False},
        "creator": {"application": "tst1", "version": "2.3", "os": "Mac"},
        "created": "2000-01-02T00:00:00Z",
        "id": "00112233-4455-4677-8899-aabbccddeeff", "id-order": "rfc",
        "saved-state": False, "batmap": False, "warnings": []})


@case("info for people has the same facts")
def _():
    vhdkit("create", "--size", "40G", "a.vhd")
    out = vhdkit("info", "a.vhd").out
    facts = dict(line.split(None, 1) for line in out.splitlines()
                 if not line.startswith(("file size", "minimum size")))
    equal(facts["type"], "dynamic")
    equal(facts["size"], "40 GiB (42949672960 bytes)")
    contains(facts["blocks"], "0 of 20480 in use, of 2 MiB")
    contains(facts["creator"], '"win" 10.0')
    contains(facts["id"], info("a.vhd")["id"])
    contains(facts["id"], "Windows order")


@case("an id is shown in the order that makes a valid one")
def _():
    for raw, text, order in (
            ("00112233445546778899aabbccddeeff",
             "00112233-4455-4677-8899-aabbccddeeff", "rfc"),
            ("33221100554477468899aabbccddeeff",
             "00112233-4455-4677-8899-aabbccddeeff", "windows")):
        write_fixed("a.vhd", bytes(MiB), id=bytes.fromhex(raw))
        equal((info("a.vhd")["id"], info("a.vhd")["id-order"]), (text, order))


@case("the actual size is what the file takes, the file's size what it claims")
def _():
    vhdkit("create", "--type", "fixed", "--size", "64M", "a.vhd")
    vhdkit("write", "a.vhd", data=b"x" * MiB)
    got = info("a.vhd")
    equal((got["file-size"], got["actual-size"]),
          (64 * MiB + 512, actual_size("a.vhd")))
    check(got["actual-size"] < 4 * MiB, got)
    contains(vhdkit("info", "a.vhd").out,
             f"({got['actual-size']} bytes)")


@case("the minimum size is what the disk can be shrunk to without a look at it")
def _():
    vhdkit("create", "--size", "20M", "base.vhd")
    equal(info("base.vhd")["minimum-size"], 512)
    vhdkit("write", "--offset", "9M", "base.vhd", data=b"x")
    equal(info("base.vhd")["minimum-size"], 10 * MiB)
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    equal(info("child.vhd")["minimum-size"], 10 * MiB)
    vhdkit("write", "--offset", "13M", "child.vhd", data=b"x")
    equal(info("child.vhd")["minimum-size"], 14 * MiB)
    # What lies behind the end of the child does not show through.
    vhdkit("create", "--parent", "base.vhd", "short.vhd")
    vhdkit("resize", "--shrink", "short.vhd", "10M")
    equal(info("short.vhd")["minimum-size"], 10 * MiB)
    for name in ("child.vhd", "base.vhd"):
        least = info(name)["minimum-size"]
        vhdkit("resize", "--shrink", "--with-children", name, str(least))
        equal(info(name)["virtual-size"], least)
        refused("resize", "--shrink", "--with-children", name,
                str(least - 2 * MiB), says="data")
    vhdkit("create", "--size", "3M", "--type", "fixed", "fixed.vhd")
    equal(info("fixed.vhd")["minimum-size"], 3 * MiB)


@case("info of a fixed image has no blocks, and sees a saved state")
def _():
    write_fixed("a.vhd", bytes(MiB), saved_state=1)
    got = info("a.vhd")
    check("blocks" not in got, "no blocks")
    check("cluster-size" not in got, "no clusters")
    equal(got["type"], "fixed")
    equal(got["saved-state"], True)


@case("info of a child: its parent, its locators, its depth")
def _():
    vhdkit("create", "--size", "4M", "base.vhd")
    os.utime("base.vhd", (1700000000, 1700000000))
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    got = info("child.vhd")
    equal(got["type"], "differencing")
    equal(got["depth"], 1)
    equal(os.path.realpath(got["full-backing-filename"]),
          os.path.realpath("base.vhd"))
    equal(got["backing-filename"], "base.vhd")
    equal(got["parent-id"], info("base.vhd")["id"])
    equal(got["parent-time"], "2023-11-14T22:13:20Z")
    equal([(loc["code"], loc["relative"], loc["path"].removeprefix("./"))
           for loc in got["locators"]],
          [("W2ku", False, os.path.realpath("base.vhd")),
           ("W2ru", True, "base.vhd")])
    image = Image("child.vhd")
    for shown, stored in zip(got["locators"], image.locators):
        equal((shown["offset"], shown["length"], shown["space"]),
              (stored.off, stored.len, stored.space))
    out = vhdkit("info", "child.vhd").out
    for part in ("W2ku", "W2ru", "base.vhd", got["parent-id"]):
        contains(out, part)


@case("--chain shows every image of the chain, the image itself first")
def _():
    vhdkit("create", "--size", "4M", "a.vhd")
    vhdkit("create", "--parent", "a.vhd", "b.vhd")
    vhdkit("create", "--parent", "b.vhd", "c.vhd")
    chain = info("c.vhd", "--chain")
    equal([os.path.basename(i["filename"]) for i in chain],
          ["c.vhd", "b.vhd", "a.vhd"])
    equal([i.get("depth", 0) for i in chain], [2, 1, 0])
    for child, parent in zip(chain, chain[1:]):
        equal(child["parent-id"], parent["id"])
    equal(vhdkit("info", "--chain", "c.vhd").out.count("\ntype "), 3)


@case("an image whose parent is gone is shown, with the reason; --chain fails")
def _():
    vhdkit("create", "--size", "4M", "gone.vhd")
    vhdkit("create", "--parent", "gone.vhd", "child.vhd")
    os.unlink("gone.vhd")
    got = info("child.vhd")
    equal(got["depth"], None)
    equal(got["backing-filename"], "gone.vhd")
    check("full-backing-filename" not in got, "it is gone")
    equal(got["minimum-size"], None)
    equal(len(got["warnings"]), 1, "warnings")
    contains(got["warnings"][0], "gone.vhd")
    contains(vhdkit("info", "child.vhd").out, "warning")
    refused("info", "--chain", "child.vhd", says="gone.vhd")


@case("a parent that was written to is warned of")
def _():
    vhdkit("create", "--size", "4M", "base.vhd")
    os.utime("base.vhd", (1700000000, 1700000000))
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    equal(info("child.vhd")["warnings"], [])
    os.utime("base.vhd", (1700000001, 1700000001))
    warnings = info("child.vhd")["warnings"]
    equal(len(warnings), 1, "warnings")
    contains(warnings[0], "base.vhd")


@case("names and creators from an image cannot steer a terminal, or JSON")
def _():
    name = "\x1b]0;x\x07\x9b\u202e\n\"},.vhd"
    write_dynamic("a.vhd", 4 * MiB, {}, creator=b'\x1b[2J',
                  creator_os=b'"}\n\0', parent={
                      "parent_id": b"p" * 16,
                      "parent_name": name.encode("utf-16-be")})
    for verb in (("info", "a.vhd"), ("check", "a.vhd"), ("map", "a.vhd"),
                 ("read", "a.vhd")):
        done = vhdkit(*verb, code=None)
        for stream in (done.out, done.err):
            for bad in "\x1b\x07\x9b\u202e":
                check(bad not in stream, f"{verb}: {bad!r} in {stream!r}")
    got = info("a.vhd")
    equal(got["creator"]["application"], "?[2J")
    equal(got["creator"]["os"], '"}?')
    for line in vhdkit("info", "a.vhd").out.splitlines():
        check(not line.startswith('"}'), "one line a fact")


@case("a file whose own name is not UTF-8 gives valid JSON all the same")
def _():
    path = b"latin-\xe4.vhd"
    with open(path, "wb") as file:
        file.write(bytes(MiB))
        file.write(new_footer(FIXED, MiB).data)
    got = read_json("info", "--json", path)
    equal(got["filename"], "latin-?.vhd")


@case("--size-chs takes the size from the geometry; a doubtful one is told of")
def _():
    write_fixed("a.vhd", bytes(10 * MiB), creator=b"vpc ", cylinders=301,
                heads=4, sectors=17)
    got = info("a.vhd")
    equal(got["virtual-size"], 10 * MiB)
    equal(len(got["warnings"]), 1, "warnings")
    contains(got["warnings"][0], str(301 * 4 * 17 * 512))
    equal(info("a.vhd", "--size-chs")["virtual-size"], 301 * 4 * 17 * 512)


# ------------------------------------------------------------------------ map

@case("map of a new image is one hole")
def _():
    vhdkit("create", "--size", "100G", "a.vhd")
    equal(mapped("a.vhd"),
          [{"start": 0, "length": 100 * GiB, "depth": 0, "present": False,
            "zero": True, "data": False}])


@case("map of a fixed image is its data")
def _():
    vhdkit("create", "--size", "3M", "--type", "fixed", "a.vhd")
    vhdkit("write", "a.vhd", data=b"x" * (3 * MiB))
    equal(mapped("a.vhd"),
          [{"start": 0, "length": 3 * MiB, "depth": 0, "present": True,
            "zero": False, "data": True, "offset": 0, "filename": "a.vhd"}])


def pieces(runs, path):
    """What the map says, against the bytes: data where it says, zeros
    elsewhere, no gap and no overlap."""
    at = 0
    got = bytearray()
    for entry in runs:
        equal(entry["start"], at, "start")
        check(entry["length"] > 0, "no empty runs")
        if entry["data"]:
            with open(entry["filename"], "rb") as file:
                file.seek(entry["offset"])
                got += file.read(entry["length"])
        else:
            got += bytes(entry["length"])
        at += entry["length"]
    same_bytes(bytes(got), vhdkit("read", path).stdout, path)


@case("the map of a chain leads to every byte, and has no two runs in one")
def _():
    rng = random.Random(7)
    vhdkit("create", "--size", "3M", "--block-size", "64K", "a.vhd")
    for parent, child in ((None, "a.vhd"), ("a.vhd", "b.vhd"),
                          ("b.vhd", "c.vhd")):
        if parent:
            vhdkit("create", "--parent", parent, child)
        for _ in range(8):
            vhdkit("write", "--offset", str(rng.randrange(3 * MiB - 20000)),
                   child, data=rng.randbytes(rng.randrange(1, 20000)))
    for path in ("a.vhd", "b.vhd", "c.vhd"):
        runs = mapped(path)
        pieces(runs, path)
        for one, two in zip(runs, runs[1:]):
            joined = (one["data"] == two["data"] and
                      one["present"] == two["present"] and
                      one["depth"] == two["depth"] and
                      one.get("filename") == two.get("filename") and
                      ("offset" not in one or
                       one["offset"] + one["length"] == two["offset"]))
            check(not joined, f"{one} and {two} are one")
    depths = {entry["depth"] for entry in mapped("c.vhd")}
    equal(depths, {0, 1, 2}, "depths")


@case("the map says who wrote a sector, bit by bit, in a hand-made chain")
def _():
    bits = bytearray(512)
    bits[0] = 0b01100001     # sectors 1, 2, 7
    data = bytearray(2 * MiB)
    for sec in (1, 2, 7):
        data[sec * 512:sec * 512 + 512] = bytes([sec]) * 512
    write_dynamic("base.vhd", 2 * MiB, {0: (bytes(bits), bytes(data))})
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    vhdkit("write", "--offset", "1024", "child.vhd", data=b"c" * 1024)
    got = [(e["start"] // 512, e["length"] // 512, e["depth"])
           for e in mapped("child.vhd", "--length", "4608") if e["data"]]
    equal(got, [(1, 1, 1), (2, 2, 0), (7, 1, 1)])
    pieces(mapped("child.vhd"), "child.vhd")


@case("map of a range; for people a table of it")
def _():
    vhdkit("create", "--size", "8M", "a.vhd")
    vhdkit("write", "--offset", "3M", "a.vhd", data=b"x" * MiB)
    runs = mapped("a.vhd", "--offset", "1M", "--length", "2M")
    equal(runs[0]["start"], MiB)
    equal(sum(e["length"] for e in runs), 2 * MiB)
    lines = vhdkit("map", "a.vhd").out.splitlines()
    equal(lines[0].split(),
          ["START", "LENGTH", "KIND", "DEPTH", "OFFSET", "FILE"])
    equal(len(lines) - 1, len(mapped("a.vhd")), "rows")
    data = [line.split() for line in lines if " data " in line]
    equal(data[0][-1], "a.vhd")
    refused("map", "--offset", "9M", "a.vhd", says="8388608")
    equal(mapped("a.vhd", "--offset", "8M"), [])


@case("a map of many runs is printed whole")
def _():
    bits = bytes([0b10101010]) * 512
    data = b"".join(bytes([1 + i % 255]) * 512 for i in range(4096))
    write_dynamic("a.vhd", 40 * MiB, {i: (bits, data) for i in range(20)})
    runs = mapped("a.vhd")
    equal(sum(1 for e in runs if e["data"]), 20 * 2048, "runs")
    equal(sum(e["length"] for e in runs), 40 * MiB, "length")
    lines = vhdkit("map", "a.vhd").out.splitlines()
    equal(len(lines), 1 + len(runs), "rows")
    equal(sum("START" in line for line in lines), 1, "headings")


@case("2040 GiB full of nothing is described at once")
def _():
    vhdkit("create", "--size", "2040G", "a.vhd")
    equal(info("a.vhd")["virtual-size"], 2040 * GiB)
    equal(len(mapped("a.vhd")), 1)
    check(os.stat("a.vhd").st_blocks * 512 < 64 * MiB + 64 * KiB, "small")


run()
