#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Metadata contexts: which image of a chain decides, as x-vhdkit:depth and
qemu:allocation-depth tell it, beside base:allocation."""

from servertest import connect, nbd, need_nbd, served, uri
from tooltest import KiB, MiB, case, contains, equal, need, program, run, \
    vhdkit
from vhdimage import write_dynamic, write_fixed

CONTEXTS = ("base:allocation", "qemu:allocation-depth", "x-vhdkit:depth")
HOLE, ZERO = 1, 2               # base:allocation
X_ZERO, X_HOLE = 1 << 16, 1 << 17   # x-vhdkit:depth

# Blocks: one that is written, and one of which the first half is.
WHOLE = bytes([255] * 512), b"x" * 2 * MiB
HALF = bytes([255] * 256 + [0] * 256), b"x" * MiB + bytes(MiB)


def extents(length, name=""):
    """{context: [(length, value)]}"""
    h = connect(name, contexts=CONTEXTS)
    found = {context: [] for context in CONTEXTS}

    def add(context, offset, entries, _error):
        equal(offset, sum(n for n, _ in found[context]), f"{context} begins")
        found[context] += zip(entries[::2], entries[1::2])
        return 0
    for context in CONTEXTS:
        equal(h.can_meta_context(context), True, context)
    while sum(n for n, _ in found[CONTEXTS[0]]) < length:
        at = {sum(n for n, _ in found[c]) for c in CONTEXTS}
        equal(len(at), 1, "contexts that reach equally far")
        h.block_status(length - min(at), min(at), add)
    h.shutdown()
    return found


def write(image, offset, length):
    vhdkit("write", "--offset", str(offset), image, data=b"x" * length)


def chain():
    """Blocks of 2 MiB: 0 in the base, 1 in the middle, 2 in the leaf, half of 3
    in the base, 4 and 5 nowhere; some KiB of the leaf in the base's."""
    write_dynamic("base.vhd", 12 * MiB, {0: WHOLE, 3: HALF})
    vhdkit("create", "--parent", "base.vhd", "middle.vhd")
    write("middle.vhd", 2 * MiB, 2 * MiB)
    vhdkit("create", "--parent", "middle.vhd", "leaf.vhd")
    write("leaf.vhd", 4 * MiB, 2 * MiB)
    write("leaf.vhd", MiB, 64 * KiB)


@case("a chain of three: each range by the image that decides")
def _():
    need_nbd()
    chain()
    with served("leaf.vhd"):
        found = extents(12 * MiB)
        equal(found["x-vhdkit:depth"], [
            (MiB, 2), (64 * KiB, 0), (MiB - 64 * KiB, 2),   # base, leaf, base
            (2 * MiB, 1), (2 * MiB, 0), (MiB, 2),
            (MiB, 2 | X_ZERO),                  # in a block of the base
            (4 * MiB, 2 | X_ZERO | X_HOLE)])    # in nobody's
        equal(found["qemu:allocation-depth"], [
            (MiB, 3), (64 * KiB, 1), (MiB - 64 * KiB, 3),
            (2 * MiB, 2), (2 * MiB, 1), (2 * MiB, 3), (4 * MiB, 0)])
        equal(found["base:allocation"],
              [(7 * MiB, 0), (MiB, ZERO), (4 * MiB, HOLE | ZERO)])
    with served("--readonly", "middle.vhd"):
        equal(extents(12 * MiB)["qemu:allocation-depth"], [
            (2 * MiB, 2), (2 * MiB, 1), (2 * MiB, 0), (2 * MiB, 2),
            (4 * MiB, 0)])


@case("zeros that hide what an ancestor holds are decided by the one that "
      "has them")
def _():
    need_nbd()
    chain()
    with served("leaf.vhd"):
        h = connect()
        h.zero(2 * MiB, 0)
        h.shutdown()
        found = extents(2 * MiB)
        equal({value & 0xffff for _, value in found["x-vhdkit:depth"]}, {0})
        equal({value & X_HOLE for _, value in found["x-vhdkit:depth"]}, {0})
        equal(found["qemu:allocation-depth"][0], (2 * MiB, 1))


@case("a dynamic image by itself has them, and so has a fixed one")
def _():
    need_nbd()
    write_dynamic("a.vhd", 8 * MiB, {1: WHOLE, 2: HALF})
    write_fixed("b.vhd", bytes(8 * MiB))
    with served("dynamic=a.vhd", "fixed=b.vhd"):
        found = extents(8 * MiB, "dynamic")
        equal(found["x-vhdkit:depth"], [
            (2 * MiB, X_ZERO | X_HOLE), (3 * MiB, 0), (MiB, X_ZERO),
            (2 * MiB, X_ZERO | X_HOLE)])
        equal(found["qemu:allocation-depth"],
              [(2 * MiB, 0), (4 * MiB, 1), (2 * MiB, 0)])
        found = extents(8 * MiB, "fixed")
        equal(found["x-vhdkit:depth"], [(8 * MiB, 0)])
        equal(found["qemu:allocation-depth"], [(8 * MiB, 1)])
        equal(found["base:allocation"], [(8 * MiB, 0)])


@case("a write into a new block: all of it is data, in a child what was written")
def _():
    need_nbd()
    vhdkit("create", "--size", str(4 * MiB), "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    for image, wanted in (
            ("child.vhd", [(512, 0), (4 * MiB - 512, HOLE | ZERO)]),
            ("base.vhd", [(2 * MiB, 0), (2 * MiB, HOLE | ZERO)])):
        with served(image):
            h = connect()
            h.pwrite(b"x" * 512, 0)
            h.shutdown()
            equal(extents(4 * MiB)["base:allocation"], wanted, image)


@case("nbdinfo lists them, and prints their values")
def _():
    need("nbdinfo")
    chain()
    with served("leaf.vhd"):
        listed = program("nbdinfo", uri()).out
        for context in CONTEXTS:
            contains(listed, context)
        out = program("nbdinfo", "--map=x-vhdkit:depth", uri()).out
        equal([tuple(map(int, line.split()[:3]))
               for line in out.splitlines()][-2:],
              [(7 * MiB, MiB, 2 | X_ZERO),
               (8 * MiB, 4 * MiB, 2 | X_ZERO | X_HOLE)])


@case("what is not asked for is not told")
def _():
    need_nbd()
    chain()
    with served("leaf.vhd"):
        h = connect(contexts=("x-vhdkit:depth", "x-vhdkit:nothing"))
        equal(h.can_meta_context("x-vhdkit:nothing"), False)
        seen = set()
        h.block_status(12 * MiB, 0, lambda c, *_: seen.add(c) or 0)
        equal(seen, {"x-vhdkit:depth"})
        h = connect(contexts=())
        try:
            h.block_status(MiB, 0, lambda *_: 0)
        except nbd.Error:
            pass
        else:
            raise AssertionError("status without a context")


run()
