# SPDX-License-Identifier: BSD-2-Clause
#
# T, continued: what the data must be: block status, zeroes, trims, flushes,
# and more than one connection.

import time

from cases_transmission import writes_allowed
from harness import case
from proto import (FAST_ZERO, FUA, NO_HOLE, REQ_ONE, SEND_FLUSH,
                   SEND_TRIM, SEND_WRITE_ZEROES, STATE_HOLE, STATE_ZERO,
                   Closed, Cmd, Err, Garbled, Hung, Opt, meta_data)

ALLOCATION = ["base:allocation"]


def status(p, c, at, n, flags=0):
    """The extents of base:allocation, as [(offset, length, flags)]."""
    r = p.ok(c.command(Cmd.BLOCK_STATUS, at, n, flags), "BLOCK_STATUS")
    ids = [i for i, name in c.contexts.items() if name == "base:allocation"]
    out = []
    for length, state in r.status[ids[0]]:
        out.append((at, length, state))
        at += length
    return out


def walk(p, c, at, n, limit=2000):
    """Extents over a range, asking again where an answer ends short."""
    end = at + n
    while at < end and limit:
        for off, length, state in status(p, c, at,
                                         min(end - at, 0xfffff000)):
            yield off, min(length, end - off), state
            at = off + length
            limit -= 1


def clear(p, c, at, n):
    """Make a range zero by whatever means there is."""
    if p.facts.flags & SEND_TRIM:
        p.ok(c.command(Cmd.TRIM, at, n), "TRIM")
    if p.facts.flags & SEND_WRITE_ZEROES:
        p.ok(c.command(Cmd.WRITE_ZEROES, at, n), "WRITE_ZEROES")
    else:
        p.ok(c.command(Cmd.WRITE, at, payload=bytes(n)), "WRITE")


def same(p, c, at, data, what):
    got = p.ok(c.command(Cmd.READ, at, len(data)), "READ").data
    if got != data:
        i = next(i for i, (x, y) in enumerate(zip(got, data)) if x != y)
        p.fail(what, f"a difference {i:#x} bytes into {len(data):#x} at "
               f"{at:#x}: {got[i]:#04x}, not {data[i]:#04x}")


# Reading and writing

@case("T40", "what was written is read", "Writes of many sizes and places "
      "are read back, on the same connection and on another.", "writable")
def read_back(p):
    c = p.attach()
    b = p.facts.minimum
    parts = []
    for n in (b, 512, 4096, 65536 + b, 1 << 20, (1 << 20) + 3 * b):
        n = (n + b - 1) // b * b
        if n <= p.facts.size:
            at, data = p.area(n), p.noise(n)
            parts.append((at, data))
            c.submit(Cmd.WRITE, at, n, 0, data)
    for r in c.finish_all():
        p.ok(r, "WRITE")
    if p.facts.flags & SEND_FLUSH:
        p.ok(c.command(Cmd.FLUSH), "FLUSH")
    for client in (c, p.attach(structured=p.facts.structured)):
        for at, data in parts:
            same(p, client, at, data, "the bytes written")


@case("T41", "the last bytes", "The export can be read and written up to "
      "its very end.")
def last_bytes(p):
    c = p.attach()
    b = p.facts.minimum
    end = p.facts.size // b * b
    p.ok(c.command(Cmd.READ, end - b, b), "READ of the last bytes")
    if writes_allowed(p):
        data = p.noise(b)
        p.ok(c.command(Cmd.WRITE, end - b, payload=data), "WRITE")
        same(p, c, end - b, data, "the bytes written")


# Block status

@case("T42", "BLOCK_STATUS", "BLOCK_STATUS gets one chunk a context, with "
      "extents of which none is empty and all but the last begin inside the "
      "request.", "meta")
def block_status(p):
    # Client itself checks each chunk.
    c = p.attach(contexts=[n for n in p.facts.contexts
                           if not n.endswith(":")])
    b = p.facts.minimum
    size = p.facts.size // b * b
    at = 0
    if writes_allowed(p) and size >= 8 << 20:
        at = p.area(4 << 20)
        clear(p, c, at, 4 << 20)
        for i in range(0, 4 << 20, 128 << 10):
            p.ok(c.command(Cmd.WRITE, at + i, payload=p.noise(64 << 10)),
                 "WRITE")
    for off, n in ((at, min(4 << 20, size)), (at, b), (at, 65536),
                   (at + b, 3 * b), (size - b, b), (0, size)):
        n = min(n, size - off, 0xffffffff // b * b)
        if n > 0:
            p.ok(c.command(Cmd.BLOCK_STATUS, off, n), "BLOCK_STATUS")


@case("T43", "REQ_ONE", "With REQ_ONE each chunk MUST hold one extent no "
      "longer than asked for.", "meta")
def req_one(p):
    c = p.attach(contexts=ALLOCATION)
    b = p.facts.minimum
    size = p.facts.size // b * b
    for off, n in ((0, b), (0, 65536), (0, size), (size - b, b),
                   (b, 5 * b)):
        n = min(n, size - off, 0xffffffff // b * b)
        if n > 0:
            status(p, c, off, n, REQ_ONE)


@case("T44", "zeroes are zeroes", "What BLOCK_STATUS calls zero reads as "
      "zero.", "meta")
def zeroes_are_zero(p):
    c = p.attach(contexts=ALLOCATION)
    left = 64 << 20
    if writes_allowed(p):
        n = max(4096, p.facts.minimum)
        p.ok(c.command(Cmd.WRITE, p.area(n), payload=p.noise(n)), "WRITE")
    for at, n, state in walk(p, c, 0, p.facts.size):
        while state & STATE_ZERO and n and left:
            m = min(n, left, 1 << 20)
            same(p, c, at, bytes(m), "zeroes, as BLOCK_STATUS says")
            at, n, left = at + m, n - m, left - m


@case("T45", "data is not called zero", "What was written with other bytes "
      "than zero is not called zero, nor should it be called a hole.",
      "meta", "writable")
def data_is_not_zero(p):
    c = p.attach(contexts=ALLOCATION)
    n = min(1 << 20, p.facts.size)
    at = p.area(n)
    clear(p, c, at, n)
    half = n // 2 // p.facts.minimum * p.facts.minimum
    p.ok(c.command(Cmd.WRITE, at, payload=p.noise(half)), "WRITE")
    for off, length, state in walk(p, c, at, half):
        p.require(not state & STATE_ZERO, "data",
                  f"zero at {off:#x}, length {length:#x}")
        p.recommend(not state & STATE_HOLE, "allocated",
                    f"a hole at {off:#x}, length {length:#x}")


@case("T46", "REQ_ONE leads through the export", "Asking on where the last "
      "answer ended passes through the export.", "meta")
def walks_through(p):
    c = p.attach(contexts=ALLOCATION)
    at, steps = 0, 0
    while at < p.facts.size and steps < 300:
        off, n, _ = status(p, c, at, min(p.facts.size - at, 0xfffff000),
                           REQ_ONE)[0]
        at, steps = off + n, steps + 1
    p.note(f"{steps} extents")


@case("T47", "BLOCK_STATUS without contexts", "BLOCK_STATUS where no context "
      "was selected should get EINVAL.", closing="warn")
def no_contexts(p):
    for structured in {False, p.facts.structured}:
        c = p.attach(structured=structured)
        try:
            r = c.command(Cmd.BLOCK_STATUS, 0, min(65536, p.facts.size))
        except Garbled as e:
            p.fail("EINVAL", e)
        p.rejected(r, Err.EINVAL)
        p.in_step(c)


@case("T48", "BLOCK_STATUS near 4 GiB", "In compact mode lengths stay below "
      "2^32 and do not wrap to nothing.", "meta", "4G")
def near_4g(p):
    c = p.attach(contexts=ALLOCATION)
    b = p.facts.minimum
    top = 0xffffffff // b * b
    for off in (0, b, 512 * b, 1 << 20, p.facts.size // b * b - top):
        for n in (top, top - 511 * b, 0xfffff000, 0x80000000):
            if off + n > p.facts.size:
                continue
            extents = status(p, c, off, n)
            p.require(sum(e[1] for e in extents) >= b, "progress", extents)
            status(p, c, off, n, REQ_ONE)


@case("T63", "zeroes are told", "The server should tell zeroes and holes "
      "where it can easily know them, as after a WRITE_ZEROES.", "meta",
      "writable", "zeroes", "64M")
def zeroes_are_told(p):
    c = p.attach(contexts=ALLOCATION)
    n = 8 << 20
    at = p.area(n)
    p.ok(c.command(Cmd.WRITE, at, payload=p.noise(1 << 20)), "WRITE")
    p.ok(c.command(Cmd.WRITE_ZEROES, at, n), "WRITE_ZEROES")
    told = sum(length for _, length, state in walk(p, c, at, n)
               if state & STATE_ZERO)
    p.recommend(told >= n // 2, "most of the range called zero",
                f"{told:#x} of {n:#x} bytes")


# Zeroes and trims

@case("T49", "WRITE_ZEROES", "WRITE_ZEROES MUST zero its range, and nothing "
      "beside it.", "writable", "zeroes")
def write_zeroes(p):
    c = p.attach()
    b = p.facts.minimum
    n = min(1 << 20, p.facts.size // b * b)
    at, data = p.area(n), bytearray(p.noise(n))
    p.ok(c.command(Cmd.WRITE, at, payload=bytes(data)), "WRITE")
    for off, m, flags in ((b, b, 0), (4096, 8192, 0), (n // 2, n // 4, 0),
                          (20480, 4096 + b, NO_HOLE),
                          (65536 - b, 3 * b, 0)):
        off, m = off // b * b, (m + b - 1) // b * b
        p.ok(c.command(Cmd.WRITE_ZEROES, at + off, m, flags), "WRITE_ZEROES")
        data[off:off + m] = bytes(m)
        same(p, c, at, data, "zeroes there and the old bytes beside")


@case("T50", "WRITE_ZEROES beyond the maximum payload", "A WRITE_ZEROES "
      "longer than the maximum payload is carried out whole or fails; it is "
      "never cut short silently.", "writable", "zeroes", "64M")
def zeroes_beyond(p):
    c = p.attach()
    b = max(p.facts.minimum, 4096)
    n = 96 << 20
    at = p.area(n + b)
    marks = [at, at + (32 << 20) - b, at + (32 << 20), at + (64 << 20),
             at + n - b]
    for mark in marks + [at + n]:
        p.ok(c.command(Cmd.WRITE, mark, payload=b"\x5a" * b), "WRITE")
    r = c.command(Cmd.WRITE_ZEROES, at, n)
    if not r.ok:
        p.recommend(r.error in (Err.EOVERFLOW, Err.EINVAL),
                    "success, EOVERFLOW or EINVAL", r)
        p.note(f"refused: {r}")
    else:
        for mark in marks:
            same(p, c, mark, bytes(b), "zeroes in all of the range")
    same(p, c, at + n, b"\x5a" * b, "the bytes behind the range unchanged")


@case("T51", "TRIM", "TRIM succeeds or fails, the bytes beside its range "
      "stay, and its range can be written again.", "writable", "trim")
def trim(p):
    c = p.attach()
    b = p.facts.minimum
    n = min(1 << 20, p.facts.size // b * b)
    at, data = p.area(n), p.noise(n)
    p.ok(c.command(Cmd.WRITE, at, payload=data), "WRITE")
    lo = n // 4 // b * b + b
    hi = n // 2 // b * b + b
    p.ok(c.command(Cmd.TRIM, at + lo, hi - lo), "TRIM")
    same(p, c, at, data[:lo], "the bytes before the trim")
    same(p, c, at + hi, data[hi:], "the bytes behind the trim")
    fresh = p.noise(hi - lo)
    p.ok(c.command(Cmd.WRITE, at + lo, payload=fresh), "WRITE")
    same(p, c, at + lo, fresh, "the bytes written after the trim")


@case("T52", "TRIM and CACHE beyond the maximum payload", "TRIM and CACHE "
      "longer than the maximum payload should not disconnect.", "64M")
def effects_beyond(p):
    c = p.attach()
    n = 96 << 20
    if p.facts.flags & (1 << 10):
        c.command(Cmd.CACHE, 0, n)
        p.in_step(c)
    if writes_allowed(p) and p.facts.flags & SEND_TRIM:
        b = max(p.facts.minimum, 4096)
        at = p.area(n + b)
        p.ok(c.command(Cmd.WRITE, at + n, payload=b"\x5a" * b), "WRITE")
        r = c.command(Cmd.TRIM, at, n)
        p.recommend(r.ok or r.error in (Err.EOVERFLOW, Err.EINVAL),
                    "success, EOVERFLOW or EINVAL", r)
        same(p, c, at + n, b"\x5a" * b, "the bytes behind unchanged")


@case("T53", "FAST_ZERO", "FAST_ZERO succeeds, and the range is zero, or "
      "gets ENOTSUP, and nothing has changed.", "writable", "fast-zero")
def fast_zero(p):
    c = p.attach()
    b = p.facts.minimum
    for n in (b, 64 << 10, 8 << 20):
        n = (n + b - 1) // b * b
        if n > p.facts.size:
            continue
        at, data = p.area(n), p.noise(n)
        p.ok(c.command(Cmd.WRITE, at, payload=data), "WRITE")
        r = c.command(Cmd.WRITE_ZEROES, at, n, FAST_ZERO)
        if r.ok:
            same(p, c, at, bytes(n), "zeroes")
        else:
            p.require(r.error == Err.ENOTSUP, "success or ENOTSUP", r)
            same(p, c, at, data, "the content unchanged by ENOTSUP")


@case("T54", "no ENOTSUP unasked", "Without FAST_ZERO the server MUST NOT "
      "answer ENOTSUP.", "writable", "zeroes")
def no_enotsup(p):
    c = p.attach()
    b = p.facts.minimum
    at = p.area(1 << 20)
    for off, n in ((0, b), (b, 3 * b), (4096 // b * b, 65536),
                   (511 // b * b, 8192)):
        for flags in (0, NO_HOLE):
            r = c.command(Cmd.WRITE_ZEROES, at + off, n, flags)
            p.require(r.error != Err.ENOTSUP, "another answer", r)
            p.ok(r, "WRITE_ZEROES")


@case("T55", "FAST_ZERO not offered", "FAST_ZERO where it was not offered "
      "should get EINVAL.", "writable", "zeroes", "no-fast-zero",
      closing="warn")
def fast_zero_unoffered(p):
    c = p.attach()
    r = c.command(Cmd.WRITE_ZEROES, p.area(p.facts.minimum),
                  p.facts.minimum, FAST_ZERO)
    p.recommend(r.error == Err.EINVAL, "EINVAL", r)
    p.in_step(c)


@case("T56", "NO_HOLE provisions", "With NO_HOLE the range MUST be fully "
      "provisioned: it should not be called a hole afterwards.", "writable",
      "zeroes", "meta")
def no_hole(p):
    c = p.attach(contexts=ALLOCATION)
    n = min(1 << 20, p.facts.size)
    at = p.area(n)
    clear(p, c, at, n)
    n = n // 2 // p.facts.minimum * p.facts.minimum
    p.ok(c.command(Cmd.WRITE_ZEROES, at, n, NO_HOLE), "WRITE_ZEROES")
    same(p, c, at, bytes(n), "zeroes")
    for off, length, state in walk(p, c, at, n):
        # It may be provisioned and only be reported wrongly.
        p.recommend(not state & STATE_HOLE, "no hole",
                    f"a hole at {off:#x}, length {length:#x}")


# More than one connection

@case("T57", "FLUSH covers all connections", "Where CAN_MULTI_CONN is set, "
      "what one connection wrote and flushed, or wrote with FUA, is seen by "
      "all others.", "writable", "multi-conn", "flush")
def multi_conn(p):
    clients = [p.attach() for _ in range(4)]
    n = max(4096, p.facts.minimum)
    at = p.area(n)
    for i in range(24):
        writer, flusher, reader = (clients[(i + k) % 4] for k in range(3))
        data = p.noise(n)
        fua = FUA if i % 3 == 0 and p.facts.flags & (1 << 3) else 0
        p.ok(writer.command(Cmd.WRITE, at, n, fua, data), "WRITE")
        if not fua:
            p.ok(flusher.command(Cmd.FLUSH), "FLUSH")
        same(p, reader, at, data, "the bytes another connection wrote")


@case("T58", "no write of a dead connection comes late", "Once a client has "
      "reconnected and written anew, what its dead connection had queued "
      "does not overwrite it.", "writable")
def stale_writes(p):
    b = p.facts.minimum
    n = min(16 << 20, p.facts.size // 2) // b * b
    part = max(64 << 10, b)
    n = n // part * part
    at = p.area(n)
    for attempt in range(4):
        old = p.attach()
        old.timeout = 1
        try:
            for off in range(0, n, part):
                old.submit(Cmd.WRITE, at + off, part, 0, b"\x0d" * part)
        except (Hung, Closed):
            pass
        if attempt % 2:
            old.reset()
        else:
            old.close()
        new = p.attach()
        stamp = bytes([0x80 + attempt]) * n
        for off in range(0, n, 1 << 20):
            data = stamp[off:off + (1 << 20)]
            p.ok(new.command(Cmd.WRITE, at + off, payload=data), "WRITE")
        time.sleep(0.1)
        for off in range(0, n, 1 << 20):
            same(p, new, at + off, stamp[off:off + (1 << 20)],
                 "the bytes written last")


@case("T59", "two exports are two", "What is written to one export is not "
      "seen in the other.", "writable", "second")
def two_exports(p):
    one = p.attach()
    two = p.attach(export=p.target.second_export)
    n = max(4096, p.facts.minimum)
    at = 0
    if two.size < n:
        p.skip(f"the second export is smaller than {n} bytes")
    before = p.ok(two.command(Cmd.READ, at, n), "READ").data
    p.ok(one.command(Cmd.WRITE, at, payload=p.noise(n)), "WRITE")
    same(p, two, at, before, "the second export unchanged")


@case("T61", "contexts and reads together", "BLOCK_STATUS and READ that "
      "overlap in time each get their own reply.", "meta")
def interleaved(p):
    c = p.attach(contexts=ALLOCATION)
    n = min(256 << 10, p.facts.size // p.facts.minimum * p.facts.minimum)
    for _ in range(20):
        c.submit(Cmd.READ, 0, n)
        c.submit(Cmd.BLOCK_STATUS, 0, n)
    for r in c.finish_all():
        p.ok(r, "a request among others")


@case("T62", "LIST and SET agree on contexts", "Each context that is listed "
      "by its full name can be selected.", "structured")
def listed_contexts(p):
    c = p.haggle()
    c.option(Opt.STRUCTURED_REPLY)
    for name in p.facts.contexts:
        if name.endswith(":"):
            continue
        a = c.option(Opt.SET_META_CONTEXT,
                     meta_data(p.target.export, [name]))
        p.require([n for _, n in a.contexts] == [name], name, a)
