#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit compact --free: NTFS.  ntfs-3g's programs make the volumes and say what
is in use: ntfscat which clusters, ntfsclone what they hold."""

import os
import struct

from freetest import (compacted, get, need_free, noise, not_looked_at,
                      partitioned, put, random_file, tool, untouched)
from tooltest import KiB, MiB, case, check, contains, content, equal, \
    read_json, run, vhdkit

RECORD = 1024


def mkntfs(raw="n.raw", size=16, cluster=4096, sector=512):
    noise(raw, size)
    tool("mkntfs", "-F", "-Q", "-q", "-c", str(cluster), "-s", str(sector),
         "-p", "0", "-H", "16", "-S", "63", raw)


def fill(raw="n.raw", count=6):
    for i in range(count):
        random_file(f"f{i}", 300 * KiB + 777 * i, i)
        tool("ntfscp", "-f", raw, f"f{i}", f"f{i}")


def free_clusters(raw="n.raw"):
    """As $Bitmap has them."""
    boot = get(raw, 0, 512)
    sector, per = struct.unpack("<HB", boot[11:14])
    if per > 0x80:
        per = 1 << 256 - per
    total, = struct.unpack("<Q", boot[40:48])
    bits = tool("ntfscat", "-f", "-i", "6", raw)
    free = {i for i in range(total // per) if not bits[i // 8] >> i % 8 & 1}
    return sector * per, free


def clone(raw):
    """All that is in use, and nothing else, as ntfsclone copies it."""
    tool("ntfsclone", "-q", "-f", "-O", "clone.raw", raw)
    with open("clone.raw", "rb") as file:
        return file.read()


def whole(raw="n.raw", at_least=0.8, resizable=True):
    """Compacts it, and what is in use stays.  Not of all it is known how they
    could be resized, says ntfsresize, which checks first."""
    cluster, free = free_clusters(raw)
    before = clone(raw)
    compacted(raw, cluster, free, at_least=at_least)
    check(clone("now.raw") == before, "ntfsclone sees another volume")
    tool("ntfsfix", "-n", "now.raw")
    if resizable:
        tool("ntfsresize", "-i", "-f", "now.raw")


def need_ntfs(*more):
    need_free("mkntfs", "ntfscp", "ntfscat", "ntfsclone", "ntfsresize",
              "ntfsfix", *more)


# ------------------------------------------------------- records of the MFT

def record_at(raw, number):
    boot = get(raw, 0, 512)
    sector, per = struct.unpack("<HB", boot[11:14])
    lcn, = struct.unpack("<Q", boot[48:56])
    return lcn * sector * per + number * RECORD


def read_record(raw, number):
    """With its sectors mended."""
    data = bytearray(get(raw, record_at(raw, number), RECORD))
    at, = struct.unpack("<H", data[4:6])
    for i in (1, 2):
        data[512 * i - 2:512 * i] = data[at + 2 * i:at + 2 * i + 2]
    return data


def write_record(raw, number, data):
    data = bytearray(data)
    at, = struct.unpack("<H", data[4:6])
    for i in (1, 2):
        data[at + 2 * i:at + 2 * i + 2] = data[512 * i - 2:512 * i]
        data[512 * i - 2:512 * i] = data[at:at + 2]
    put(raw, record_at(raw, number), data)


def attributes(record):
    """Where each is, and its type."""
    at, = struct.unpack("<H", record[20:22])
    while True:
        kind, length = struct.unpack("<II", record[at:at + 8])
        if kind == 0xffffffff:
            return
        yield at, kind, length
        at += length


def find(record, wanted):
    return next((at, length) for at, kind, length in attributes(record)
                if kind == wanted)


def first_cluster(record):
    """Of $DATA."""
    at, _ = find(record, 0x80)
    at += struct.unpack("<H", record[at + 32:at + 34])[0]
    size = record[at] & 15
    return int.from_bytes(record[at + 1 + size:at + 1 + size +
                                 (record[at] >> 4)], "little")


def record_with(old, attrs, number=None, base=0):
    """The head of an old record with other attributes."""
    first, = struct.unpack("<H", old[20:22])
    data = old[:first] + b"".join(attrs) + b"\xff\xff\xff\xff\0\0\0\0"
    data = bytearray(data + bytes(RECORD - len(data)))
    used = first + sum(len(a) for a in attrs) + 8
    data[24:28] = struct.pack("<I", used)
    data[32:40] = struct.pack("<Q", base)
    if number is not None:
        data[44:48] = struct.pack("<I", number)
    return data


def runs(pieces):
    """Pairs of a cluster and how many."""
    data, last = b"", 0
    for lcn, count in pieces:
        data += struct.pack("<BIi", 0x44, count, lcn - last)
        last = lcn
    return data + b"\0"


def clusters_attr(vcn, pieces, size, cluster, ident):
    """$DATA in clusters, or a part of it."""
    count = sum(n for _, n in pieces)
    pairs = runs(pieces)
    pairs += bytes(-len(pairs) % 8)
    first = vcn == 0
    return struct.pack(
        "<IIBBHHHQQHHIQQQ", 0x80, 64 + len(pairs), 1, 0, 64, 0, ident, vcn,
        vcn + count - 1, 64, 0, 0, size // cluster * cluster if first else 0,
        size if first else 0, size if first else 0) + pairs


def attribute_list(entries):
    """Each: type, vcn, record, id."""
    value = b"".join(struct.pack("<IHBBQQH6x", kind, 32, 0, 26, vcn,
                                 (1 << 48 if number != 6 else 6 << 48) | number,
                                 ident)
                     for kind, vcn, number, ident in entries)
    return struct.pack("<IIBBHHHIHBB", 0x20, 24 + len(value), 0, 0, 24, 0, 9,
                       len(value), 24, 0, 0) + value


def scatter_bitmap(raw, pieces, cluster):
    """Moves the bitmap to clusters of their own, which are marked."""
    bits = bytearray(tool("ntfscat", "-f", "-i", "6", raw))
    record = read_record(raw, 6)
    for lcn in pieces:
        check(not bits[lcn // 8] >> lcn % 8 & 1, f"{lcn} is in use")
        bits[lcn // 8] |= 1 << lcn % 8
    size = len(bits)
    bits += bytes(len(pieces) * cluster - size)
    for i in range(size // cluster):  # where it lay
        lcn = first_cluster(record) + i
        bits[lcn // 8] &= ~(1 << lcn % 8)
    for i, lcn in enumerate(pieces):
        put(raw, lcn * cluster, bits[i * cluster:(i + 1) * cluster])
    return record, size


# ----------------------------------------------------------------- the cases

@case("NTFS of clusters and sectors of any size: what it does not use goes, and "
      "nothing else")
def _():
    need_ntfs()
    for cluster, sector in ((512, 512), (1024, 512), (4096, 512), (65536, 512),
                            (4096, 4096), (65536, 4096), (2048, 1024)):
        mkntfs(cluster=cluster, sector=sector)
        fill()
        whole()
    again = read_json("compact", "--free", "--json", "a.vhd")
    equal((again["dropped-blocks"], again["moved-blocks"]), (0, 0))


@case("in partitions: of GPT, and those inside of an extended one")
def _():
    need_ntfs("sfdisk")
    for script in ("label: gpt\nstart=1M, size=4M\nstart=10M, size=17M\n",
                   "label: dos\nstart=1M, size=4M\nstart=6M, size=25M, type=5\n"
                   "start=7M, size=1M, type=83\nstart=10M, size=17M, type=7\n"):
        mkntfs()
        fill()
        cluster, free = free_clusters()
        partitioned("disk.raw", "n.raw", script, 10 * MiB, 32)
        compacted("disk.raw", cluster, free, off=10 * MiB)


@case("a bitmap in many pieces, also where records of the MFT lie apart for it")
def _():
    need_ntfs()
    cluster = 512
    for records in (1, 3):
        mkntfs(cluster=cluster)
        fill()
        # Of 8 clusters, backwards and two apart.
        _, free = free_clusters()
        spare = sorted(free)[-200:]
        pieces = [spare[-3 * i - 1] for i in range(8)]
        record, size = scatter_bitmap("n.raw", pieces, cluster)
        equal(size, 8 * cluster)
        others = [bytes(record[at:at + length]) for at, kind, length
                  in attributes(record) if kind < 0x80]
        if records == 1:
            data = clusters_attr(0, [(p, 1) for p in pieces], size, cluster, 1)
            write_record("n.raw", 6, record_with(record, others + [data]))
        else:
            listed = [(0x10, 0, 6, 0), (0x30, 0, 6, 2)]
            for i, number in enumerate((6, 12, 13)):
                part = pieces[i * 3:i * 3 + 3]
                attr = clusters_attr(i * 3, [(p, 1) for p in part], size,
                                     cluster, 5)
                listed.append((0x80, i * 3, number, 5))
                if number == 6:
                    first = attr
                else:
                    old = read_record("n.raw", number)
                    old[16:18] = b"\1\0"
                    write_record("n.raw", number,
                                 record_with(old, [attr], number,
                                             6 << 48 | 6))
            write_record("n.raw", 6, record_with(
                record, others[:1] + [attribute_list(listed)] + others[1:] +
                [first]))
        whole(resizable=records == 1)


@case("one that is marked as dirty is refused")
def _():
    need_ntfs()
    mkntfs()
    record = read_record("n.raw", 3)
    at, _ = find(record, 0x70)
    value = at + struct.unpack("<H", record[at + 20:at + 22])[0]
    for flags, says in ((1, "not clean"), (0x8000, "not clean"),
                        (0x10, "not clean"), (2, "not clean")):
        record[value + 10:value + 12] = struct.pack("<H", flags)
        write_record("n.raw", 3, record)
        said = untouched("n.raw", says)
        contains(said, "chkdsk")
    record[value + 8:value + 12] = b"\4\0\0\0"
    write_record("n.raw", 3, record)
    untouched("n.raw", "version 4.0")
    # As ntfsfix leaves it, which knows no more than that.
    mkntfs()
    tool("ntfsfix", "n.raw")
    untouched("n.raw", "not clean")


def log_page(major, flags, in_use, lsn=5):
    """A page that says how the log was left."""
    page = bytearray(4096)
    page[0:30] = struct.pack("<4sHHQIIHHH", b"RSTR", 30, 9, 0, 4096, 4096, 48,
                             1 if major == 1 else 0, major)
    page[48:64] = struct.pack("<QHHHH", lsn, 1, 0xffff, in_use, flags)
    page[30:32] = b"\7\0"
    for i in range(8):
        page[512 * i + 510:512 * i + 512] = b"\7\0"
    return bytes(page)


@case("one with changes in its log is refused, or that Windows keeps mounted "
      "while it sleeps; one whose log is closed is not")
def _():
    need_ntfs("ntfsinfo")
    mkntfs()
    fill()
    log = first_cluster(read_record("n.raw", 2)) * 4096
    used, unused = 0, 0xffff
    for pages, fine in (
            ([log_page(1, 0, used)], False),
            ([log_page(2, 0, used)], False),
            ([log_page(2, 2, unused)], False),
            ([bytes(4096)], False),
            ([log_page(1, 2, unused), log_page(1, 0, used, 6)], False),
            ([log_page(1, 0, used), log_page(1, 0, unused, 6)], True),
            ([log_page(1, 0, unused), log_page(1, 0, used, 4)], True),
            ([log_page(1, 2, used)], True)):
        put("n.raw", log, b"".join(pages) + b"\xff" * (8192 - 4096 * len(pages)))
        if fine:
            cluster, free = free_clusters()
            compacted("n.raw", cluster, free)
        else:
            contains(untouched("n.raw", "not unmounted in order"), "shut")


@case("that of a Windows that is hibernated is refused; what it woke from is not")
def _():
    need_ntfs()
    for head, fine in ((b"hibr", False), (b"HIBR", False), (b"odd!", False),
                       (b"wake", True), (b"\0\0\0\0", True)):
        mkntfs()
        with open("hiberfil.sys", "wb") as file:
            file.write(head + bytes(9000))
        # So that the name lies in a block of the folder, not at its root.
        for i in range(14):
            tool("ntfscp", "-f", "n.raw", "hiberfil.sys", f"{i}-" + 120 * "x")
        tool("ntfscp", "-f", "n.raw", "hiberfil.sys", "HiberFil.Sys")
        if fine:
            whole()
        else:
            untouched("n.raw", "hibernated")


@case("one with shadow copies is refused, for they use what is free; not one "
      "that had some")
def _():
    need_ntfs()
    ident = bytes.fromhex("6b87083876c1484eb7ae04046e6cc752")
    mkntfs()
    _, free = free_clusters()
    catalog = max(free) // 16 * 16 * 4096 - 16 * 4096
    for kind, fine in ((2, False), (3, False), (1, True), (0, True)):
        put("n.raw", 7680, ident + struct.pack("<II", 1, 1) +
            struct.pack("<QQQQQ", 7680, 7680, 0, catalog, 0) + bytes(64))
        block = ident + struct.pack("<IIQQQ", 1, 2, 0, catalog, 0)
        put("n.raw", catalog, (block + bytes(128 - len(block)) +
                               struct.pack("<Q", kind)).ljust(16384, b"\0"))
        if fine:
            cluster, free = free_clusters()
            compacted("n.raw", cluster, free)
        else:
            untouched("n.raw", "shadow copies")
    put("n.raw", catalog, b"other")
    untouched("n.raw", "shadow copies")


@case("one whose structures do not fit together is refused")
def _():
    need_ntfs()
    mkntfs()
    with open("n.raw", "rb") as file:
        sound = file.read()

    def broken(what, *changes):
        with open("n.raw", "wb") as file:
            file.write(sound)
        for at, data in changes:
            put("n.raw", at, data)
        said = untouched("n.raw", what)
        contains(said, "not known")

    at = record_at("n.raw", 6)
    record = read_record("n.raw", 6)
    data, _ = find(record, 0x80)
    bits = first_cluster(record)
    bitmap = bits * 4096
    broken("damaged", (at + 510, b"!!"))          # torn
    broken("damaged", (at + 22, b"\0\0"))         # of a file that is deleted
    broken("damaged", (at, b"BAAD"))
    broken("damaged", (at + data + 48, b"\1\0"))  # too short
    broken("damaged", (at + data + 56, b"\1\0"))  # was not written as a whole
    broken("damaged", (at + data + 12, b"\1\0"))  # compressed
    broken("damaged", (at + data + 64, b"\1"))    # it has no place
    # Its place is beyond the end.
    broken("damaged", (at + data + 64, b"\x41\1\0\0\0\x7f"))
    broken("uses itself", (bitmap, b"\0"))        # the boot sector is free
    broken("uses itself", (bitmap + bits // 8, b"\0"))
    broken("larger", (40, struct.pack("<Q", 16 * 2048 + 1)))
    broken("damaged", (record_at("n.raw", 0) + 510, b"!!"))
    broken("damaged", (record_at("n.raw", 5) + 510, b"!!"))


@case("what could be something else, too, is not taken for NTFS")
def _():
    need_ntfs("mkfs.ext4")
    mkntfs()
    with open("other.raw", "wb") as file:
        file.truncate(16 * MiB)
    tool("mkfs.ext4", "-q", "-F", "other.raw")
    put("n.raw", 1024, get("other.raw", 1024, 1024))
    not_looked_at("n.raw")


@case("the first records of the MFT may lie anywhere")
def _():
    need_ntfs()
    mkntfs(size=32)
    fill()
    # Of which the first run is moved as a whole, to what was free.
    cluster, free = free_clusters()
    record = read_record("n.raw", 0)
    at, _ = find(record, 0x80)
    at += struct.unpack("<H", record[at + 32:at + 34])[0]
    equal(record[at], 0x11)
    old, count = record[at + 2], record[at + 1]
    new = next(i for i in sorted(free) if i * cluster > 18 * MiB and
               all(k in free for k in range(i, i + count)))
    check(new * cluster < 30 * MiB, new)
    moved = get("n.raw", old * cluster, count * cluster)
    put("n.raw", new * cluster, moved)
    for boot in (0, 32 * MiB - 512):
        put("n.raw", boot + 48, struct.pack("<Q", new))
    lies = bytes(record[at + 3:at + 8])
    equal(lies[:1], b"\0")
    record[at:at + 4] = struct.pack("<BBH", 0x21, count, new)
    write_record("n.raw", 0, record)
    mirror, = struct.unpack("<Q", get("n.raw", 56, 8))
    put("n.raw", mirror * cluster, get("n.raw", new * cluster, 4 * RECORD))
    bits = bytearray(tool("ntfscat", "-f", "-i", "6", "n.raw"))
    for i in range(count):
        bits[(old + i) // 8] &= ~(1 << (old + i) % 8)
        bits[(new + i) // 8] |= 1 << (new + i) % 8
    put("n.raw", first_cluster(read_record("n.raw", 6)) * cluster, bits)
    whole()


@case("in a child nothing of what its parent holds comes to show, and the "
      "check of the file system is clean")
def _():
    need_ntfs()
    mkntfs()
    fill()
    vhdkit("convert", "--source-format", "raw", "n.raw", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    random_file("more", MiB, 7)
    tool("ntfscp", "-f", "n.raw", "more", "more")
    with open("n.raw", "rb") as file:
        vhdkit("write", "child.vhd", data=file.read())
    before = content("child.vhd")
    vhdkit("compact", "--free", "child.vhd")
    equal(content("child.vhd") == before, True, "the parent's")


run()
