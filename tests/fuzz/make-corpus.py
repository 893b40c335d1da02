#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""make-corpus.py [FOLDER]: makes the corpus of fuzz_open, fuzz_locator and
fuzz_connection, save for what a fuzzer has added.

The first inputs of a fuzzer: small sound images of every kind, and some of the
structures in them alone; sessions with a server.  Writes FOLDER/TARGET/NAME;
FOLDER is the tree's own, tests/fuzz/corpus, if none is given.  Always makes the
same files.
"""

import os
import struct
import sys

ONES = (1 << 64) - 1
BLOCK = 4096
STRIDE = 512 + BLOCK
FIRST = 3584  # the first block's bitmap

# The flags of fuzz_open.
FIX_FOOTERS, FIX_HEADER, WRITE, SIZE_CHS, RAW_PARENT, NO_JOURNAL = (
    1 << i for i in range(6))
FIX = FIX_FOOTERS | FIX_HEADER

# The parsers of fuzz_locator.
PATH, LOCATOR, FOOTER, HEADER, BATMAP, TEXT = range(6)


def checksum(data):
    return ~sum(data) & 0xffffffff


def footer(kind, size, ident, creator=b"win ", version=0x000a0000,
           chs=(1, 4, 17), saved=0):
    data = struct.pack(">8sIIQI4sI4sQQHBBII16sB427x", b"conectix", 2, 0x10000,
                       ONES if kind == 2 else 512, 0x2b000000, creator,
                       version, b"Wi2k", size, size, *chs, kind, 0,
                       ident * 16, saved)
    return data[:64] + struct.pack(">I", checksum(data)) + data[68:]


def header(entries, block=BLOCK, parent=b"\0" * 16, name="", locators=()):
    slots = b"".join(struct.pack(">4sIIIQ", *slot) for slot in locators)
    data = struct.pack(">8sQQIIII16sII512s192s256x", b"cxsparse", ONES, 1536,
                       0x10000, entries, block, 0, parent, 0, 0,
                       name.encode("utf-16-be"), slots)
    return data[:36] + struct.pack(">I", checksum(data)) + data[40:]


def pad(data, size):
    return data + b"\0" * (size - len(data))


def block(tag, bits):
    bitmap = pad(struct.pack("B", bits), 512)
    return bitmap + b"".join(bytes([tag, i]) * 256 for i in range(8))


def sparse(kind, nblk, blocks, tail=0, meta=b"", **more):
    """A dynamic or differencing image.  blocks: (blk, bits) in file order."""
    ends = {key: more.pop(key) for key in ("creator", "version", "chs")
            if key in more}
    end = footer(kind, nblk * BLOCK - tail, b"D", **ends)
    table = [0xffffffff] * 128
    for i, (blk, _) in enumerate(blocks):
        table[blk] = (FIRST + i * STRIDE) // 512
    front = end + header(nblk, **more) + struct.pack(">128I", *table) + meta
    data = b"".join(block(0x41 + blk, bits) for blk, bits in blocks)
    return pad(front, FIRST) + data + end


def child(codes, name="parent.vhd", parent=b"P" * 16, meta=b""):
    """Its locators, as (code, path), follow the table."""
    slots = []
    for code, path in codes:
        slots.append((code, 512, len(path), 0, 2048 + len(meta)))
        meta += pad(path, 512)
    return sparse(4, 3, [(0, 0xff), (2, 0x81)], meta=meta, parent=parent,
                  name=name, locators=slots)


def batmap(bits, off=2560, version=0x00010002):
    bitmap = pad(bits, 512)
    head = struct.pack(">8sQIII", b"tdbatmap", off, 1, version,
                       checksum(bitmap))
    return pad(head, 512) + bitmap


def w2(text):
    return text.encode("utf-16-le")


def open_corpus():
    plain = sparse(3, 5, [(0, 0xff), (3, 0xa5)])
    xen = sparse(3, 4, [(0, 0xff), (1, 0x0f)], meta=batmap(b"\x80"),
                 creator=b"tap\0", version=0x00010003)
    fixed = bytes(range(256)) * 8 + footer(2, 2048, b"D", chs=(0, 4, 17))
    by_path = child([(b"W2ru", w2(".\\parent.vhd")),
                     (b"W2ku", w2("C:\\a\\parent.vhd"))])
    yield "dynamic", WRITE | FIX, plain
    yield "dynamic-as-it-is", 0, plain
    yield "dynamic-no-journal", WRITE | FIX | NO_JOURNAL, plain
    yield "dynamic-empty", WRITE | FIX, sparse(3, 3, [])
    yield "dynamic-order", WRITE | FIX, sparse(
        3, 5, [(4, 0xff), (0, 0xff), (2, 1)], tail=1024)
    yield "dynamic-end-missing", WRITE | FIX_HEADER, plain[:-512]
    yield "dynamic-511", WRITE | FIX_HEADER, plain[:-1]
    yield "dynamic-chs", WRITE | FIX | SIZE_CHS, sparse(
        3, 9, [(0, 0xff)], chs=(2, 1, 17))
    yield "dynamic-vpc", WRITE | FIX, sparse(3, 2, [], creator=b"vpc ")
    yield "dynamic-large-blocks", WRITE | FIX, sparse(
        3, 3, [], block=2 << 20)
    yield "xen", WRITE | FIX, xen
    yield "xen-batmap-cut", WRITE | FIX_HEADER, sparse(
        3, 4, [], meta=batmap(b"\x80"), creator=b"tap\0",
        version=0x00010003)[:2048 + 16]
    yield "fixed", WRITE | FIX_FOOTERS, fixed
    yield "fixed-as-it-is", WRITE, fixed
    yield "child", WRITE | FIX, by_path
    yield "child-macx", WRITE | FIX, child(
        [(b"MacX", b"file://./p%61rent.vhd")], name="")
    yield "child-name", WRITE | FIX, child([])
    yield "child-self", FIX, child([(b"W2ru", w2(".\\disk.vhd"))],
                                   parent=b"D" * 16)
    yield "child-raw", FIX | RAW_PARENT, child(
        [(b"MacX", b"file://./parent.vhd")], parent=b"\0" * 16)
    yield "child-denied", FIX, child([(b"W2ru", w2("..\\..\\etc\\hosts"))],
                                     name="")
    yield "nothing", 0, b""
    yield "other-format", 0, pad(b"vhdxfile", 1024)


def locator_corpus():
    paths = [(b"W2ru", w2(".\\parent.vhd")), (b"W2ku", w2("C:\\a\\b.vhd")),
             (b"W2ku", w2("\\\\?\\C:\\a")), (b"W2ru", b"\0\xd8a\0"),
             (b"Wi2r", b".\\p\xe4rent.vhd"), (b"Wi2k", b"D:\\a b.vhd\0"),
             (b"MacX", b"file://localhost/a%20b"), (b"MacX", b"file://./a"),
             (b"W2ru", w2("a\0b")), (b"W2ru", w2("\U0001f600.vhd"))]
    for i, (code, path) in enumerate(paths):
        yield "path-%d" % i, PATH, code + path
    yield "locator-bytes", LOCATOR, struct.pack(">4sIIIQ", b"W2ru", 512, 24, 0,
                                                4096)
    yield "locator-sectors", LOCATOR, struct.pack(">4sIIIQ", b"MacX", 1, 24, 0,
                                                  4096)
    yield "footer-dynamic", FOOTER, footer(3, 20480, b"D")
    yield "footer-fixed", FOOTER, footer(2, 20480, b"D")
    size = struct.pack(">Q", 40)[2:]
    yield "header", HEADER, size + header(5)
    yield "header-child", HEADER, size + header(
        5, name="p\xe4rent.vhd", parent=b"P" * 16,
        locators=[(b"W2ru", 512, 24, 0, 4096)] * 8)
    entries = struct.pack(">I", 4)
    yield "batmap", BATMAP, entries + batmap(b"\xa0")
    yield "batmap-1.1", BATMAP, entries + batmap(b"\xa0", version=0x00010001)
    yield "text", TEXT, "a\u00e4\u20ac\U0001f600\x1b[m".encode()
    yield "text-size", TEXT, b"1.5T"


# What fuzz_connection takes: its enum preamble, house_export, step, tls_kind
# and the faults and numbers of say_option.c and say_command.c.
(NOTHING, FLAGS, STRUCTURED, EXTENDED, GO, STRUCTURED_GO, EXTENDED_GO,
 EXPORT_NAME) = range(8)
TLS, SMALL, PIECES, CORRUPT = 8, 16, 32, 64
DYNAMIC, CHILD, FIXED, XEN, LOOSE, BROKEN, MISSING = range(7)
(SYNC, BARRIER, LOOK, CUT_UP, RAW, SHUT, CLOSE, OTHER, UPDATE, UPDATE_BOTH,
 RENEGOTIATE, GOODBYE, BELOW, REPEAT, NEXT, CORK, STOP,
 SPOIL, STARVE) = range(0x80, 0x93)
(O_GO, O_EXPORT_NAME, O_ABORT, O_LIST, O_PEEK, O_STARTTLS, O_INFO, _,
 O_STRUCTURED, O_LIST_META, O_SET_META, O_EXTENDED, O_UNKNOWN) = range(13)
(C_READ, C_WRITE, C_DISC, C_FLUSH, C_TRIM, C_CACHE, C_ZEROES,
 C_STATUS) = range(8)
FAULT, LATER, FUA, OWN = 8, 16, 32, 64


def option(code, choice=0, name=None, fault=None, later=False):
    head = code | (LATER if later else 0) | (0x40 if name is not None else 0)
    data = bytes([head | (0x20 if fault else 0)]) + bytes(fault or ())
    return data + bytes([] if name is None else [name]) + bytes([choice])


def exact(value):
    return struct.pack(">I", value)[1:]


def command(kind, off=0, length=0, flags=0, fault=None, more=b""):
    head = kind | flags | (FAULT if fault else 0)
    return (bytes([head]) + bytes(fault or ()) + b"\x80" + exact(off) +
            b"\xa0" + exact(length) + more)


def commands(status=True):
    """Each of them, sound; the disk has blocks of 64 KiB."""
    yield command(C_READ, 0, 512)
    yield command(C_READ, 65536 - 700, 1400)
    yield command(C_READ, 0, 400000)
    yield command(C_READ, 131072, 65536, OWN)
    yield command(C_WRITE, 65536 + 100, 5000, more=b"\x11")
    yield command(C_WRITE, 3 * 65536, 70000, FUA, more=b"\x12")
    yield command(C_READ, 65536, 200000)
    yield command(C_FLUSH)
    yield command(C_ZEROES, 512, 1024)
    yield command(C_ZEROES, 65536, 65536, OWN)
    yield command(C_ZEROES, 2 * 65536, 65536, FUA)
    yield command(C_TRIM, 0, 65536)
    yield command(C_CACHE, 0, 100000)
    if status:
        yield command(C_STATUS, 0, 532480)
        yield command(C_STATUS, 1000, 70000, OWN)
    yield command(C_READ, 0, 300000)


def pipelined(messages):
    """None of the answers is waited for, and all goes at once."""
    return bytes([CORK]) + b"".join(
        bytes([message[0] | LATER]) + message[1:] for message in messages)


def faults():
    """Of options and of commands, each in a session of its own."""
    for fault in range(1, 10):
        yield "option-fault-%d" % fault, FLAGS, DYNAMIC, option(
            O_INFO, 0xff, fault=(fault, 37))
    for fault in range(1, 9):
        for kind, name in ((C_WRITE, "write"), (C_STATUS, "status")):
            yield ("%s-fault-%d" % (name, fault), EXTENDED_GO, DYNAMIC,
                   command(kind, 1000, 3000, fault=(fault, 37), more=b"\x39"))


def haggling():
    names = range(MISSING + 1)
    return b"".join(
        [option(O_LIST), option(O_UNKNOWN), option(O_PEEK)] +
        [option(O_INFO, 0xff, name) for name in names] +
        [option(O_STRUCTURED), option(O_LIST_META, 0), option(O_LIST_META, 24),
         option(O_SET_META, 0xff, CHILD), option(O_EXTENDED),
         option(O_STRUCTURED), option(O_LIST_META, 7, MISSING),
         option(O_GO, 0x0f, CHILD), command(C_STATUS, 0, 532480)])


def connection_corpus():
    every = b"".join(commands())
    simple = b"".join(commands(False))
    chosen = command(C_STATUS, 0, 532480, fault=(8, 0), more=b"\x0d")
    yield "export-name", EXPORT_NAME, DYNAMIC, simple
    yield "simple", GO, DYNAMIC, simple
    yield "structured", STRUCTURED_GO, DYNAMIC, every
    yield "extended", EXTENDED_GO, DYNAMIC, every + chosen
    yield "child", STRUCTURED_GO, CHILD, every
    yield "fixed", STRUCTURED_GO, FIXED, every
    yield "loose", EXTENDED_GO, LOOSE, every
    yield "pieces", STRUCTURED_GO | PIECES, DYNAMIC, b"\x1d" + every
    yield "pipelined", STRUCTURED_GO, DYNAMIC, pipelined(commands())
    yield "pipelined-small", GO | SMALL, DYNAMIC, pipelined(commands(False))
    yield "disc-behind", GO, FIXED, pipelined(
        [*commands(False), command(C_DISC), command(C_READ, 0, 512)])
    yield "half-close", GO, DYNAMIC, pipelined(commands(False)) + bytes([SHUT])
    yield "close", GO, CHILD, pipelined(commands(False)) + bytes([LOOK, CLOSE])
    yield "many", GO | SMALL, DYNAMIC, (bytes([REPEAT, 23]) +
                                        command(C_READ, 0, 60000, LATER)) * 3
    yield "haggling", FLAGS, DYNAMIC, haggling()
    yield "go-at-once", STRUCTURED, DYNAMIC, bytes([CORK]) + option(
        O_GO, later=True) + command(C_READ, 0, 512, LATER)
    yield "two", STRUCTURED_GO, DYNAMIC, (
        command(C_WRITE, 0, 600, more=b"\x21") + bytes([OTHER, GO]) +
        command(C_READ, 0, 1024) +
        command(C_WRITE, 100, 600, LATER, more=b"\x22") +
        bytes([OTHER]) + command(C_READ, 0, 1024))
    yield "flags", NOTHING, DYNAMIC, bytes([0x20, 0x81])
    yield "not-fixed", NOTHING, DYNAMIC, bytes([0x20, 2]) + option(
        O_EXPORT_NAME) + command(C_READ, 0, 512)
    yield "tls", TLS | STRUCTURED_GO, XEN, every
    yield "tls-extended", TLS | EXTENDED_GO, CHILD, every
    yield "tls-pieces", TLS | EXTENDED_GO | PIECES, XEN, b"\xff" + every
    yield "tls-small", TLS | GO | SMALL, XEN, pipelined(commands(False))
    for kind in range(8):
        yield "tls-kind-%d" % kind, FLAGS, XEN, option(
            O_STARTTLS, kind) + option(O_GO) + command(C_READ, 0, 70000)
    yield "tls-half", FLAGS, XEN, option(O_STARTTLS, 0xf0)
    yield "tls-injected", FLAGS, XEN, option(O_STARTTLS, fault=(9, 0))
    yield "tls-renegotiated", FLAGS, XEN, option(O_STARTTLS, 1) + option(
        O_GO) + bytes([RENEGOTIATE]) + command(C_READ, 0, 512)
    yield "tls-updated", TLS | GO, XEN, bytes(
        [UPDATE, UPDATE_BOTH]) + simple + bytes([UPDATE_BOTH]) * 20
    yield "tls-below", TLS | GO, XEN, bytes([BELOW, 5]) + b"\x17\x03\x03\0\1"
    # The end is in the same packet as what comes before it.
    yield "tls-end-behind-option", TLS | FLAGS, XEN, bytes([CORK]) + option(
        O_LIST, later=True) + bytes([GOODBYE])
    yield "tls-end-behind-command", TLS | GO, XEN, bytes([CORK]) + command(
        C_READ, 0, 512, LATER) + bytes([GOODBYE])
    # More than the server takes in one turn, before and after the handshake.
    yield "tls-much-haggling", TLS | FLAGS, XEN, bytes(
        [CORK, REPEAT, 11]) + option(O_INFO, fault=(5, 0), later=True)
    yield "tls-much-written", TLS | GO, XEN, bytes(
        [CORK, REPEAT, 11]) + command(C_WRITE, 0, 100000, LATER, more=b"\x31")
    for where in (3, 30, 300, 900):
        yield "corrupt-%d" % where, TLS | CORRUPT | GO, XEN, struct.pack(
            ">HB", where, where & 3) + simple
    yield "many-extents", EXTENDED_GO, CHILD, command(
        C_STATUS, 0, 532480) + bytes([REPEAT, 9]) + command(
            C_STATUS, 0, 532480, LATER)
    yield "many-answers", STRUCTURED, DYNAMIC, bytes(
        [CORK, REPEAT, 23]) + option(O_INFO, 0xff, CHILD, later=True) + option(
            O_LIST)
    for name, how in (("haggling", EXTENDED), ("serving", EXTENDED_GO)):
        yield "stopped-" + name, how, FIXED, command(
            C_READ, 0, 512) + bytes([STOP]) + option(O_LIST) + every
    for name, flags in (("", 0), ("-pipelined", LATER)):
        yield "spoiled" + name, STRUCTURED_GO, FIXED, command(
            C_READ, 500000, 4096) + bytes([SPOIL]) + command(
                C_READ, 0, 532480, flags) + every
    for i in range(12):
        yield "starved-%d" % i, EXTENDED_GO, i % 2, bytes(
            [STARVE, i * 19]) + every + bytes([OTHER, GO])
    for i in range(4):
        yield "starved-tls-%d" % i, FLAGS, XEN, bytes(
            [STARVE, i]) + option(O_STARTTLS) + option(O_GO)
    yield "spoiled-changed", STRUCTURED_GO, DYNAMIC, bytes([SPOIL]) + every
    yield "raw", STRUCTURED, DYNAMIC, bytes([RAW, 20]) + bytes(range(20))
    yield from faults()


def sessions():
    for name, how, export, steps in connection_corpus():
        yield name, how, bytes([export]) + steps


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    top = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "corpus")
    for target, corpus in (("fuzz_open", open_corpus),
                           ("fuzz_locator", locator_corpus),
                           ("fuzz_connection", sessions)):
        folder = os.path.join(top, target)
        os.makedirs(folder, exist_ok=True)
        for name, first, data in corpus():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(bytes([first]) + data)


main()
