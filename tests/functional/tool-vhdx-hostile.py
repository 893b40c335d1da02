#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""VHDX images that are wrong, each in one way: opening refuses with the reason,
check names it, and neither takes long, takes much memory or falls over; also
not over what chance makes of a sound image."""

import os
import random
import shutil
import struct
import uuid

from tooltest import (REFUSED, KiB, case, check, contains, content, equal,
                      program, read_json, refused, run, same_bytes, vhdkit)
from vhdximage import (BAT, BAT_ID, DISK_ID, FULL, HEADERS, LOCATOR_ID, LOG,
                       LOGICAL_ID, METADATA, METADATA_ID, MiB, PAGE,
                       PARAMETERS_ID, PARTIAL, PHYSICAL_ID, REGIONS, SIZE_ID,
                       ZERO, Vhdx, get, log_entry, put, reseal, set_log)


def sound(child=False):
    image = Vhdx(8 * MiB)
    image.full(0, b"a" * MiB)
    image.full(3, b"d" * MiB)
    if child:
        parent = Vhdx(8 * MiB)
        parent.write("parent.vhdx")
        image.child_of(parent.data_id, relative_path="parent.vhdx")
        image.partial(5, b"f" * MiB, [1, 2, 3])
    return image


def broken(says, code=None, **more):
    """It does not open, and check says why."""
    if not more.get("opens"):
        refused("read", "a.vhdx", says=says)
    done = read_json("check", "--json", "a.vhdx", code=2)
    found = [f for f in done["findings"] if says in f["message"]]
    check(found, f"{says!r} is not in {done['findings']}")
    equal(found[0]["severity"], "broken")
    if code:
        equal(found[0]["code"], code)


def entry(image, blk, state, place):
    image.states[blk], image.place[blk] = state, place


# -------------------------------------------------------------------- headers

@case("headers: both bad, cut short, of another version")
def _():
    sound().write("a.vhdx")
    for at in HEADERS:
        put("a.vhdx", at + 8, b"\xff")
    broken("neither of whose headers", "header-checksum")
    os.truncate("a.vhdx", 100 * KiB)
    broken("cut short", "header-corrupt")
    for size in (8, 9, 511, 512, 65535, 65536):
        os.truncate("a.vhdx", size)
        broken("cut short")
    sound().write("a.vhdx")
    for at in HEADERS:
        put("a.vhdx", at + 66, b"\2")
        reseal("a.vhdx", at, PAGE)
    broken("version", "header-version")


@case("a header that counts is not passed over for an older one where its log "
      "can lie nowhere")
def _():
    for at, piece in ((68, struct.pack("<I", MiB + PAGE)),
                      (72, struct.pack("<Q", MiB + 1)), (72, bytes(8))):
        sound().write("a.vhdx")
        put("a.vhdx", HEADERS[0] + at, piece)
        reseal("a.vhdx", HEADERS[0], PAGE)
        vhdkit("check", "a.vhdx")
        sound().write("a.vhdx")
        put("a.vhdx", HEADERS[1] + at, piece)
        reseal("a.vhdx", HEADERS[1], PAGE)
        broken("impossible place", "header-corrupt")


@case("region tables: both bad, regions missing, twice, unknown, elsewhere")
def _():
    image = sound()
    image.write("a.vhdx")
    for at in REGIONS:
        put("a.vhdx", at + 16, b"\xff")
    broken("neither copy of its region table", "header-corrupt")
    bat, metadata = image.regions
    other = uuid.uuid4()
    for says, regions in (
            ("no block allocation table", [metadata]),
            ("no metadata", [bat]),
            ("twice", [bat, metadata, bat]),
            ("not known here", [bat, metadata, (other, 9 * MiB, MiB, 1)]),
            ("does not lie in the file", [bat, (METADATA_ID, 1 << 40, MiB, 1)]),
            ("does not lie in the file", [(BAT_ID, 2 * MiB, 4095 * MiB, 1),
                                          metadata]),
            ("malformed", [(BAT_ID, 2 * MiB + 4096, MiB, 1), metadata]),
            ("malformed", [(BAT_ID, 2 * MiB, 0, 1), metadata]),
            ("overlaps what lies before", [(BAT_ID, LOG, MiB, 1), metadata])):
        image.regions = regions
        image.write("a.vhdx")
        broken(says)
    image.regions = [bat, metadata, (other, 1 << 50, MiB, 0)]
    image.write("a.vhdx")
    vhdkit("check", "a.vhdx")


# ------------------------------------------------------------------- metadata

@case("metadata: items missing, impossible, twice, unknown, out of place")
def _():
    image = sound()
    for ident, value, says in (
            (PARAMETERS_ID, None, "file parameters are missing"),
            (PARAMETERS_ID, b"\0\0\x30\0\0\0\0\0", "block size"),
            (PARAMETERS_ID, b"\0\0\0\x20\0\0\0\0", "block size"),
            (PARAMETERS_ID, b"\0\0\x10\0", "too short"),
            (SIZE_ID, None, "size of the disk is missing"),
            (SIZE_ID, struct.pack("<Q", 8 * MiB + 100), "whole number"),
            (SIZE_ID, struct.pack("<Q", (64 << 40) + 512), "cannot be"),
            (SIZE_ID, struct.pack("<Q", 0), "cannot be"),
            (SIZE_ID, struct.pack("<Q", 64 << 40), "too few for"),
            (LOGICAL_ID, struct.pack("<I", 1024), "cannot be"),
            (LOGICAL_ID, None, "logical sector size is missing"),
            (uuid.uuid4(), b"?", "not known here")):
        image.items = image.items_of()
        if value is None:
            del image.items[ident]
        else:
            image.items[ident] = (4, value)
        image.write("a.vhdx")
        broken(says)
    image.items = None
    for at, piece, says in (
            (METADATA, b"M", "table of its metadata has no signature"),
            (METADATA + 10, b"\xff\xff", "more entries"),
            (METADATA + 48, b"\0\0\0\xff", "does not lie among"),
            (METADATA + 48, b"\0\0\0\0", "malformed"),
            (METADATA + 32 + 32, get("a.vhdx", METADATA + 32, 16), "twice")):
        image.write("a.vhdx")
        put("a.vhdx", at, piece)
        broken(says)


@case("metadata that only describe may be missing")
def _():
    image = sound()
    image.items = image.items_of()
    del image.items[DISK_ID]
    del image.items[PHYSICAL_ID]
    image.items[uuid.uuid4()] = (1, b"a user's")
    image.write("a.vhdx")
    vhdkit("info", "a.vhdx")
    equal(read_json("check", "--json", "a.vhdx")["notes"], 2)


@case("a parent locator: missing, of another type, without a link, beyond")
def _():
    image = sound(child=True)
    good = image.locator()
    for value, says in (
            (None, "parent locator is missing"), (good[:10], "too short"),
            (b"\0" + good[1:], "type"),
            (good[:18] + b"\xff\xff" + good[20:], "more entries"),
            (good[:20] + b"\xff\xff\xff\xff" + good[24:], "does not lie in it"),
            (good.replace(b"l\0i\0n\0k", b"L\0i\0n\0k"), "which file")):
        image.items = image.items_of()
        if value is None:
            del image.items[LOCATOR_ID]
        else:
            image.items[LOCATOR_ID] = (4, value)
        image.write("a.vhdx")
        broken(says)


@case("paths of a parent that lead out, are long, or no text, find nothing")
def _():
    image = sound(child=True)
    link = image.parent["parent_linkage"]
    os.rename("parent.vhdx", "p")
    for path in ("..\\" * 40 + "etc\\passwd", "x" * 3000, "\ud7ff\n\0", "..",
                 ".", "\\", "\\\\?\\", "C:"):
        image.parent = {"parent_linkage": link, "relative_path": path,
                        "absolute_win32_path": path, "volume_path": path}
        image.write("a.vhdx")
        refused("read", "a.vhdx", says="parent")
        vhdkit("info", "a.vhdx")


# ------------------------------------------------------------- the block table

@case("blocks: past the end, over each other, over metadata, of no state, "
      "there in part without a parent")
def _():
    for says, change in (
            ("block 1 should lie at 1048576 MiB",
             lambda i: entry(i, 1, FULL, 1 << 20)),
            ("block 1 should lie at", lambda i: entry(i, 1, FULL,
                                                      (1 << 44) - 1)),
            ("blocks 0 and 1 overlap", lambda i: entry(i, 1, FULL, i.place[0])),
            ("lies over the headers", lambda i: entry(i, 1, FULL, 0)),
            ("lies over the log", lambda i: entry(i, 1, FULL, LOG // MiB)),
            ("lies over the block allocation table",
             lambda i: entry(i, 1, FULL, BAT // MiB)),
            ("lies over the metadata",
             lambda i: entry(i, 1, FULL, METADATA // MiB)),
            ("block 1 is in state 5", lambda i: i.state(1, 5)),
            ("block 0 is there in part", lambda i: i.state(0, PARTIAL))):
        image = sound()
        change(image)
        image.write("a.vhdx")
        broken(says, "bat-corrupt")


@case("bitmaps: past the end, over blocks, of no state, missing")
def _():
    for says, change in (
            ("bitmaps of chunk 0 should lie",
             lambda i: i.bitmap_place.update({0: 1 << 30})),
            ("lies over the bitmaps",
             lambda i: i.bitmap_place.update({0: i.place[3]})),
            ("overlap what lies before",
             lambda i: i.bitmap_place.update({0: METADATA // MiB})),
            ("in state 7", lambda i: i.bitmap_state.update({0: 7})),
            ("block 5 is there in part, but its bitmap is not",
             lambda i: i.bitmap_state.clear())):
        image = sound(child=True)
        change(image)
        image.write("a.vhdx")
        broken(says, "bat-corrupt")


@case("many faults are told, not all of them one by one")
def _():
    image = Vhdx(4000 * MiB)
    for blk in range(4000):
        entry(image, blk, FULL, 1 << 20)
    image.write("a.vhdx")
    done = read_json("check", "--json", "a.vhdx", code=2)
    check(100 < done["errors"] < 110, done["errors"])
    contains(done["findings"][-1]["message"], "3900 more")


@case("nonsense in what does not count is let be")
def _():
    image = sound()
    image.state(1, ZERO)
    image.place[1] = 1 << 30
    image.bitmap_state[0] = 6
    image.bitmap_place[0] = 1 << 30
    image.write("a.vhdx")
    same_bytes(content("a.vhdx"), b"a" * MiB + bytes(2 * MiB) + b"d" * MiB +
               bytes(4 * MiB))
    vhdkit("check", "a.vhdx")


# --------------------------------------------------------------------- the log

def with_log(entries, size=MiB):
    """entries: of the image; at any places in the ring."""
    image = sound()
    image.log_id = uuid.uuid4()
    image.log_size = size
    image.write("a.vhdx")
    ring = bytearray(MiB)
    for at, data in entries(image):
        ring[at:at + len(data)] = data
    if size == MiB:
        set_log("a.vhdx", image, [bytes(ring)])
    return image


@case("a log that is larger than what is replayed, of another version, or not "
      "in the file")
def _():
    with_log(lambda image: [], size=64 * MiB)
    broken("does not lie in the file")
    os.truncate("a.vhdx", 100 * MiB)
    broken("only 33554432 can be replayed", "limit")
    image = with_log(lambda image: [])
    for at in HEADERS:
        put("a.vhdx", at + 64, b"\1")
        reseal("a.vhdx", at, PAGE)
    broken("version", "journal")
    image = with_log(lambda image: [], size=0)
    broken("does not lie in the file")
    check(image.log_size == 0, "no log")


@case("entries that lie over each other in the thousands take no time")
def _():
    def entries(image):
        good = log_entry(image.log_id, 1, 0, [(BAT, bytes(PAGE))], image.end)
        for i in range(256):
            data = bytearray(good[:PAGE])
            struct.pack_into("<I", data, 8, MiB)
            struct.pack_into("<Q", data, 16, i + 1)
            yield i * PAGE, bytes(data)
    with_log(entries)
    broken("lie over each other", "journal")


@case("more changes than are kept are refused")
def _():
    def entries(image):
        # Each of a page, with a page between them that stays.
        changes = [(5 * MiB + i * 2 * PAGE, PAGE) for i in range(31000)]
        return [(0, log_entry(image.log_id, 1, 0, changes, image.end,
                              last=1 << 40))]
    with_log(entries)
    broken("more than 16384 changes", "limit")


# ---------------------------------------------------------------------- chance

@case("whatever chance makes of an image, opening and checking it end")
def _():
    chance = random.Random(int(os.environ.get("SEED", "5")))
    image = sound(child=True)
    image.log_id = uuid.uuid4()
    image.write("good.vhdx")
    log = log_entry(image.log_id, 1, 0, [(BAT, get("good.vhdx", BAT, PAGE)),
                                         (image.place[0] * MiB, 8 * PAGE)],
                    image.end)
    set_log("good.vhdx", image, [log])
    areas = [(HEADERS[0], 80, PAGE), (REGIONS[0], 80, 65536), (LOG, 160, None),
             (BAT, 72, None), (METADATA, 224, None),
             (METADATA + 65536, 400, None)]
    os.chmod("good.vhdx", 0o600)
    shutil.copy("good.vhdx", "a.vhdx")
    for _ in range(int(os.environ.get("ROUNDS", "30"))):
        undo = []
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            at, size, sealed = chance.choice(areas)
            where = at + chance.randrange(size)
            size = sealed or 8
            undo.append((at if sealed else where,
                         get("a.vhdx", at if sealed else where, size)))
            put("a.vhdx", where, chance.choice((
                b"\0", b"\xff", b"\x80", chance.randbytes(1),
                chance.randbytes(4), b"\xff" * 8))[:8])
            if sealed:
                reseal("a.vhdx", at, sealed)
            elif at == LOG:
                undo.append((LOG, get("a.vhdx", LOG, len(log))))
                reseal("a.vhdx", LOG, len(log))
        for words in (("check", "a.vhdx"), ("map", "a.vhdx"),
                      ("info", "a.vhdx")):
            done = vhdkit(*words, code=None)
            check(0 <= done.returncode <= REFUSED, f"{words}: {done.err}")
        for at, old in reversed(undo):
            put("a.vhdx", at, old)
    same_bytes(get("a.vhdx", 0, METADATA + MiB),
               get("good.vhdx", 0, METADATA + MiB), "what was put back")
    program("cmp", "a.vhdx", "good.vhdx")


run()
