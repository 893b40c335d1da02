# SPDX-License-Identifier: BSD-2-Clause
#
# T: the transmission phase: framing, refusals, and what ends a connection.
# What the data must be is judged in cases_data.py.

import random
import struct

from harness import case
from proto import (DF, EXT_REQUEST_MAGIC, FAST_ZERO, FUA, NO_HOLE,
                   PAYLOAD_LEN, READ_ONLY, REQ_ONE, SEND_CACHE, SEND_FLUSH,
                   SEND_TRIM, SEND_WRITE_ZEROES, SIMPLE_MAGIC, Chunk, Closed,
                   Cmd, Err, Hung, Request, show)

EFFECTS = ((Cmd.TRIM, SEND_TRIM), (Cmd.WRITE_ZEROES, SEND_WRITE_ZEROES),
           (Cmd.CACHE, SEND_CACHE))
WRITES = (Cmd.WRITE, Cmd.TRIM, Cmd.WRITE_ZEROES)


def offered(p, *, status=False):
    """The commands with an effect length that the server takes."""
    out = [cmd for cmd, flag in EFFECTS if p.facts.flags & flag]
    if not p.target.writable or p.facts.flags & READ_ONLY:
        out = [cmd for cmd in out if cmd not in WRITES]
    if status and "base:allocation" in p.facts.contexts:
        out.append(Cmd.BLOCK_STATUS)
    return out


def full(p):
    """A connection with all that the server negotiates."""
    meta = "base:allocation" in p.facts.contexts
    return p.attach(structured=p.facts.structured,
                    contexts=["base:allocation"] if meta else ())


def writes_allowed(p):
    return p.target.writable and not p.facts.flags & READ_ONLY


def may_try_writes(p):
    """Whether a write that ought to fail may be tried."""
    return p.target.writable or p.facts.flags & READ_ONLY


# Refusals

@case("T01", "WRITE past the end", "A WRITE past the end has its payload "
      "read and gets ENOSPC; the connection lives on.", closing="warn")
def write_past_end(p):
    right = (Err.EPERM,) if p.facts.flags & READ_ONLY else (Err.ENOSPC,)
    for structured in {False, p.facts.structured}:
        c = p.attach(structured=structured)
        b = p.facts.minimum
        end = p.facts.size // b * b
        for at, n in ((end, 1 << 20), (end + (1 << 40), 64 << 10),
                      (end - b, 512 + 2 * b), (end, b)):
            if at < end and not may_try_writes(p):
                continue
            p.rejected(c.command(Cmd.WRITE, at, n, payload=p.bait(c, n)),
                       *right)
            p.in_step(c)


@case("T02", "WRITE with an unknown flag", "A WRITE with a flag the server "
      "does not know has its payload read and gets EINVAL.", "expendable",
      closing="warn")
def write_unknown_flag(p):
    c = p.attach()
    n = max(64 << 10, p.facts.minimum)
    at = p.area(n)
    r = c.command(Cmd.WRITE, at, n, 1 << 15, p.bait(c, n))
    if r.ok:
        p.warn("EINVAL", r)
    else:
        p.rejected(r, Err.EINVAL, *([Err.EPERM] if p.facts.flags & READ_ONLY
                                    else []))
    p.in_step(c)


@case("T03", "WRITE to a read-only export", "A WRITE to a read-only export "
      "MUST fail, and should with EPERM; its payload is read.", "readonly")
def write_readonly(p):
    c = p.attach()
    for n in (p.facts.minimum, min(1 << 20, p.facts.size)):
        before = p.ok(c.command(Cmd.READ, 0, n), "READ").data
        p.rejected(c.command(Cmd.WRITE, 0, n, payload=p.noise(n)), Err.EPERM)
        after = p.ok(c.command(Cmd.READ, 0, n), "READ").data
        p.require(before == after, "the content unchanged", "changed")


@case("T04", "TRIM and WRITE_ZEROES of a read-only export", "TRIM and "
      "WRITE_ZEROES MUST fail on a read-only export, and should with EPERM.",
      "readonly")
def zero_readonly(p):
    c = p.attach()
    n = p.facts.minimum
    before = p.ok(c.command(Cmd.READ, 0, n), "READ").data
    for cmd in (Cmd.TRIM, Cmd.WRITE_ZEROES):
        p.rejected(c.command(cmd, 0, n), Err.EPERM, Err.EINVAL)
    after = p.ok(c.command(Cmd.READ, 0, n), "READ").data
    p.require(before == after, "the content unchanged", "changed")


@case("T05", "READ past the end", "A READ past the end gets EINVAL, and no "
      "data.", closing="warn")
def read_past_end(p):
    b = p.facts.minimum
    end = p.facts.size // b * b
    for structured in {False, p.facts.structured}:
        c = p.attach(structured=structured)
        for at, n in ((end, b), (end - b, 2 * b), (end + (1 << 40), b)):
            p.rejected(c.command(Cmd.READ, at, n), Err.EINVAL)
            p.in_step(c)


@case("T06", "other commands past the end", "TRIM, CACHE and BLOCK_STATUS "
      "past the end should get EINVAL, WRITE_ZEROES ENOSPC.", closing="warn")
def effect_past_end(p):
    c = full(p)
    b = p.facts.minimum
    end = p.facts.size // b * b
    commands = offered(p, status=True)
    if not commands:
        p.skip("none of these commands is offered")
    for cmd in commands:
        right = Err.ENOSPC if cmd == Cmd.WRITE_ZEROES else Err.EINVAL
        for at, n in ((end, b), (end - b, 2 * b), (end + (1 << 40), b)):
            r = c.command(cmd, at, n)
            if r.ok and cmd == Cmd.CACHE:
                p.warn("EINVAL", r)     # a hint may be let pass
            else:
                p.rejected(r, right)
    p.in_step(c)


@case("T07", "offset + length wraps", "A range whose end exceeds 2^64 is "
      "past the end, though the sum wraps.", closing="warn")
def wrapping_range(p):
    c = full(p)
    b = p.facts.minimum
    for at in ((1 << 64) - b, (1 << 64) - 2 * b, (1 << 63) - b, 1 << 63):
        p.rejected(c.command(Cmd.READ, at, 2 * b), Err.EINVAL)
        for cmd in offered(p, status=True):
            r = c.command(cmd, at, 2 * b)
            if not (r.ok and cmd == Cmd.CACHE):
                p.rejected(r, Err.EINVAL, Err.ENOSPC)
        r = c.command(Cmd.WRITE, at, 2 * b, payload=b"w" * 2 * b)
        p.rejected(r, Err.ENOSPC, Err.EPERM)
        p.in_step(c)


@case("T08", "unknown command", "An unknown command gets EINVAL, and is "
      "taken to have no payload.", closing="warn")
def unknown_command(p):
    for structured in {False, p.facts.structured}:
        c = p.attach(structured=structured)
        for cmd in (8, 9, 100, 0x7fff, 0xffff):
            p.rejected(c.command(cmd, 0, p.facts.minimum), Err.EINVAL)
            p.in_step(c)


@case("T09", "unknown flags", "A flag the server does not know should get "
      "EINVAL on any command.", closing="warn")
def unknown_flags(p):
    c = full(p)
    n = p.facts.minimum
    for cmd in [Cmd.READ] + offered(p, status=True):
        r = c.command(cmd, 0, n, 1 << 14)
        p.recommend(r.error == Err.EINVAL, f"EINVAL to {show(Cmd, cmd)}", r)
        p.in_step(c)


@case("T10", "flags on the wrong command", "A flag that is not for the "
      "command should get EINVAL.", closing="warn")
def misplaced_flags(p):
    c = full(p)
    n = p.facts.minimum
    wrong = [(Cmd.READ, NO_HOLE), (Cmd.READ, REQ_ONE), (Cmd.READ, FAST_ZERO)]
    commands = offered(p, status=True)
    if Cmd.TRIM in commands:
        wrong += [(Cmd.TRIM, NO_HOLE), (Cmd.TRIM, FAST_ZERO)]
    if Cmd.WRITE_ZEROES in commands:
        wrong += [(Cmd.WRITE_ZEROES, DF), (Cmd.WRITE_ZEROES, REQ_ONE)]
    if Cmd.CACHE in commands:
        wrong += [(Cmd.CACHE, NO_HOLE)]
    if Cmd.BLOCK_STATUS in commands:
        wrong += [(Cmd.BLOCK_STATUS, DF), (Cmd.BLOCK_STATUS, NO_HOLE)]
    at = p.area(n) if writes_allowed(p) else 0
    for cmd, flag in wrong:
        r = c.command(cmd, at, n, flag)
        p.recommend(r.error == Err.EINVAL,
                    f"EINVAL to {show(Cmd, cmd)} with flag {flag:#x}", r)
    if writes_allowed(p):
        for flag in (NO_HOLE, DF, REQ_ONE, FAST_ZERO):
            r = c.command(Cmd.WRITE, at, n, flag, b"w" * n)
            p.recommend(r.error == Err.EINVAL,
                        f"EINVAL to WRITE with flag {flag:#x}", r)
    p.in_step(c)


@case("T11", "DF without structured replies", "DF where it was not offered "
      "should get EINVAL.", closing="warn")
def df_not_offered(p):
    c = p.attach()
    r = c.command(Cmd.READ, 0, p.facts.minimum, DF)
    p.recommend(r.error == Err.EINVAL, "EINVAL", r)
    p.in_step(c)


@case("T12", "PAYLOAD_LEN without extended headers", "PAYLOAD_LEN is not "
      "valid without extended headers, and changes nothing about the "
      "payload.", closing="warn")
def payload_len_compact(p):
    c = p.attach()
    n = p.facts.minimum
    r = c.command(Cmd.READ, 0, n, PAYLOAD_LEN)
    p.recommend(r.error == Err.EINVAL, "EINVAL", r)
    p.in_step(c)
    if may_try_writes(p):
        r = c.command(Cmd.WRITE, p.area(n), n, PAYLOAD_LEN, b"w" * n)
        p.recommend(not r.ok, "EINVAL", r)
        p.in_step(c)


# Sizes

@case("T13", "32 MiB payloads", "A payload of up to 32 MiB should not be "
      "taken for an attack, whatever maximum is advertised.", "64M")
def big_payloads(p):
    c = p.attach(structured=p.facts.structured)
    n = 32 << 20
    r = c.command(Cmd.READ, 0, n)
    limit = p.facts.block_size[2] if p.facts.block_size else n
    if limit >= n:
        p.ok(r, "READ of 32 MiB, as advertised")
    if writes_allowed(p):
        at = p.area(n)
        r = c.command(Cmd.WRITE, at, n, payload=b"\xa5" * n)
        if limit >= n:
            p.ok(r, "WRITE of 32 MiB, as advertised")
        if r.ok:
            r = c.command(Cmd.READ, at + n - p.facts.minimum,
                          p.facts.minimum)
            p.require(r.data == b"\xa5" * p.facts.minimum,
                      "the bytes written", "others")
    p.in_step(c)


@case("T14", "length 0", "A command of length 0 should not disconnect.")
def zero_length(p):
    for c in (p.attach(), full(p)):
        for cmd in [Cmd.READ] + offered(p, status=bool(c.contexts)):
            if cmd == Cmd.BLOCK_STATUS and not c.contexts:
                continue
            c.command(cmd, 0, 0)
            p.in_step(c)
        c.command(Cmd.WRITE, 0, 0)
        p.in_step(c)


@case("T15", "huge lengths of READ", "A READ longer than the server allows "
      "gets an error or a close; one past the end is never a success.")
def huge_read(p):
    for n in (0xffffffff, 0x80000000, 0x7fffffff):
        c = p.attach()
        b = p.facts.minimum
        c.submit(Cmd.READ, 0, n // b * b)
        try:
            magic, error = struct.unpack(">II", c.recv(8, "a reply"))
        except Closed:
            continue
        except Hung:
            if n > p.facts.size:
                raise
            p.note(f"{n:#x} bytes take their time")
            c.reset()
            continue
        p.require(magic == SIMPLE_MAGIC, "a simple reply", f"{magic:#x}")
        p.require(error or n <= p.facts.size, "an error", "success")
        if error:
            c.recv(8, "the cookie")
            c.pending.clear()
            p.in_step(c)
        else:
            c.reset()       # it would send all of it


# FUA, FLUSH, CACHE

@case("T16", "FUA on any command", "Where FUA is offered the server MUST "
      "accept it on every command.", "fua")
def fua_everywhere(p):
    c = full(p)
    n = p.facts.minimum
    p.ok(c.command(Cmd.READ, 0, n, FUA), "READ with FUA")
    at = p.area(n) if writes_allowed(p) else 0
    for cmd in offered(p, status=True):
        r = c.command(cmd, at, n, FUA)
        if cmd == Cmd.CACHE:
            p.recommend(r.ok, "CACHE with FUA to succeed", r)
        else:
            p.ok(r, f"{show(Cmd, cmd)} with FUA")
    if p.facts.flags & SEND_FLUSH:
        p.ok(c.command(Cmd.FLUSH, 0, 0, FUA), "FLUSH with FUA")
    if writes_allowed(p):
        p.ok(c.command(Cmd.WRITE, at, n, FUA, p.noise(n)), "WRITE with FUA")


@case("T17", "FLUSH", "FLUSH succeeds where it is offered.", "flush")
def flush(p):
    for structured in {False, p.facts.structured}:
        c = p.attach(structured=structured)
        p.ok(c.command(Cmd.FLUSH), "FLUSH")
        p.in_step(c)


@case("T18", "FLUSH with a range", "FLUSH with a nonzero offset or length "
      "should be taken leniently.", "flush", closing="warn")
def flush_with_range(p):
    c = p.attach()
    for at, n in ((512, 0), (0, 512), (1 << 62, 0xffffffff)):
        r = c.command(Cmd.FLUSH, at, n)
        p.recommend(r.ok, "success", r)
        p.in_step(c)


@case("T19", "CACHE", "CACHE does not change data; where it is offered, "
      "unknown flags MUST be rejected.", "cache")
def cache(p):
    c = p.attach()
    n = min(64 << 10, p.facts.size)
    before = p.ok(c.command(Cmd.READ, 0, n), "READ").data
    c.command(Cmd.CACHE, 0, n)
    after = p.ok(c.command(Cmd.READ, 0, n), "READ").data
    p.require(before == after, "the same data", "others")
    r = c.command(Cmd.CACHE, 0, n, 1 << 13)
    p.require(not r.ok, "an error to an unknown flag", r)


# Ends

@case("T20", "DISC", "DISC has no reply: the server closes, whatever its "
      "other fields hold.")
def disc(p):
    for flags, at, n in ((0, 0, 0), (0, 512, 1 << 20),
                         (0xffff, 1 << 63, 0xffffffff)):
        c = p.attach()
        c.submit(Cmd.DISC, at, n, flags)
        p.closes(c, "DISC")


@case("T21", "DISC finishes what is in flight", "The server MUST handle all "
      "outstanding requests before it closes at DISC.")
def disc_in_flight(p):
    c = p.attach(structured=p.facts.structured)
    # Few bytes come back: a server need not read on while its client, who
    # is still sending, does not read.
    n = min(256 << 10, p.facts.size // p.facts.minimum * p.facts.minimum)
    cookies = [c.submit(Cmd.READ, 0, p.facts.minimum) for _ in range(8)]
    if writes_allowed(p):
        at, data = p.area(n), p.noise(n)
        cookies += [c.submit(Cmd.WRITE, at, n, 0, data) for _ in range(8)]
    c.submit(Cmd.DISC)
    for cookie in cookies:
        p.ok(c.finish(cookie), "a request before DISC")
    p.closes(c, "DISC")
    if writes_allowed(p):
        r = p.ok(p.attach().command(Cmd.READ, at, n), "READ")
        p.require(r.data == data, "the bytes written before DISC", "others")


@case("T22", "wrong magic closes", "A request with a wrong magic has lost "
      "step: the server should close and say nothing.")
def bad_magic(p):
    for magic in (0, 0x12560953, EXT_REQUEST_MAGIC, 0x13956025):
        c = p.attach(structured=p.facts.structured)
        c.send(c.header(Cmd.READ, 0, p.facts.minimum, 0, 7, magic),
               f"a request with magic {magic:#x}")
        # The stream ends here; T23 leaves it open.
        c.half_close()
        rest = c.rest()
        p.recommend(not rest, "a silent close", f"{len(rest)} bytes before "
                    "the close")


@case("T23", "wrong magic, connection left open", "The server closes at a "
      "wrong magic at once; it does not wait for more.")
def bad_magic_at_once(p):
    c = p.attach()
    c.send(c.header(Cmd.WRITE, 0, 1 << 20, 0, 7, 0x2560951f),
           "a WRITE with a wrong magic")
    p.closes(c, "a wrong magic", silent=False)


@case("T24", "end of file amid a request", "A client that goes in the midst "
      "of a header or a payload leaves nothing behind but a close.")
def truncated_requests(p):
    n = 64 << 10
    for cut in (1, 4, 27, 28, 29, 28 + n // 2):
        c = p.attach()
        whole = c.header(Cmd.WRITE, p.facts.size, n, 0, 9) + bytes(n)
        c.send(whole[:cut], f"{cut} bytes of a WRITE")
        c.half_close()
        p.closes(c, "a truncated request")


# Replies

@case("T25", "simple replies carry no payload on error", "A simple reply "
      "with an error to READ MUST NOT be followed by data.", closing="warn")
def simple_error(p):
    c = p.attach()
    b = p.facts.minimum
    end = p.facts.size // b * b
    n = max(4096, b)
    for _ in range(3):
        bad = c.submit(Cmd.READ, end, n)
        good = c.submit(Cmd.READ, 0, b)
        r = c.finish(bad)
        p.require(not r.ok, "an error", r)
        p.require(r.kinds == ["simple"], "a simple reply", r.kinds)
        p.ok(c.finish(good), "READ behind the failed one")


@case("T26", "structured read errors are chunks", "With structured replies "
      "a failed READ MUST be answered with an error chunk.", "structured",
      closing="warn")
def structured_error(p):
    c = p.attach(structured=True)
    b = p.facts.minimum
    end = p.facts.size // b * b
    for at, n, flags in ((end, max(4096, b), 0), (0, b, 1 << 15)):
        r = c.command(Cmd.READ, at, n, flags)
        if flags and r.ok:
            p.warn("EINVAL to an unknown flag", r)
            continue
        p.require(not r.ok, "an error", r)
        p.require(all(k & (1 << 15) or k == Chunk.NONE for k in r.kinds),
                  "error chunks alone", r.kinds)
        p.in_step(c)


@case("T27", "structured errors say why", "With structured replies errors "
      "should be chunks, which can carry a text.", "structured",
      closing="warn")
def errors_as_chunks(p):
    c = p.attach(structured=True)
    r = c.command(0x7ff, 0, p.facts.minimum)
    p.require(not r.ok, "an error", r)
    p.recommend("simple" not in r.kinds, "an error chunk", "a simple reply")


@case("T28", "chunks of a READ", "Chunks lie inside the request, do not "
      "overlap, cover all of it, and none is empty.", "structured")
def read_chunks(p):
    # Client itself checks each chunk.
    c = p.attach(structured=True)
    b = p.facts.minimum
    end = p.facts.size // b * b
    if writes_allowed(p) and p.facts.size >= 1 << 20:
        at = p.area(1 << 20)
        for i in range(0, 1 << 20, 128 << 10):
            c.command(Cmd.WRITE, at + i, payload=p.noise(64 << 10))
        p.ok(c.command(Cmd.READ, at, 1 << 20), "READ")
        p.ok(c.command(Cmd.READ, at + b, (1 << 20) - 2 * b), "READ")
    rng = random.Random(1)
    for _ in range(30):
        n = min(rng.randrange(1, 1 << 20) // b * b + b, end)
        p.ok(c.command(Cmd.READ, rng.randrange(0, end - n + 1) // b * b, n),
             "READ")
    p.ok(c.command(Cmd.READ, end - b, b), "READ of the last bytes")


@case("T29", "DF", "A READ with DF gets one content chunk at most; up to "
      "64 KiB the server MUST support it.", "df")
def dont_fragment(p):
    c = p.attach(structured=True)
    at, n = 0, min(64 << 10, p.facts.size)
    if writes_allowed(p):
        at = p.area(n)
        for cmd in (Cmd.TRIM, Cmd.WRITE_ZEROES):
            if cmd in offered(p):
                c.command(cmd, at, n)
        quarter = n // 4 // p.facts.minimum * p.facts.minimum
        data = p.noise(quarter)
        p.ok(c.command(Cmd.WRITE, at + quarter, payload=data), "WRITE")
    r = p.ok(c.command(Cmd.READ, at, n, DF), "READ with DF")
    if writes_allowed(p):
        p.require(r.kinds[0] == Chunk.OFFSET_DATA, "OFFSET_DATA, zeroes "
                  "spelled out", [show(Chunk, k) for k in r.kinds])
        p.require(r.data[quarter:2 * quarter] == data, "the bytes written",
                  "others")
    big = min(4 << 20, p.facts.size // p.facts.minimum * p.facts.minimum)
    r = c.command(Cmd.READ, 0, big, DF)
    p.require(r.ok or not r.spans, "all or no content", r)
    if not r.ok:
        p.recommend(r.error == Err.EOVERFLOW, "EOVERFLOW", r)
    p.in_step(c)


@case("T30", "cookies", "Each reply bears the cookie of its request, and "
      "each request gets one reply.")
def cookies(p):
    for structured in {False, p.facts.structured}:
        c = p.attach(structured=structured)
        b = p.facts.minimum
        # A window of requests: a server need not read on while its client
        # does not.
        for _ in range(20):
            for _ in range(16):
                c.submit(Cmd.READ, random.randrange(p.facts.size // b) * b,
                         b)
            for r in c.finish_all():
                p.ok(r, "READ")
        p.require(c.quiet(0.1), "320 replies", "more")


@case("T31", "requests in single bytes", "Requests that arrive byte by byte "
      "are served.")
def bytewise_requests(p):
    c = p.attach()
    n = max(512, p.facts.minimum)
    at = p.area(n)
    data = p.noise(n)
    stream = c.header(Cmd.READ, 0, n, 0, 1)
    c.pending[1] = Request(Cmd.READ, 0, 0, n)
    if writes_allowed(p):
        stream += c.header(Cmd.WRITE, at, n, 0, 2) + data
        c.pending[2] = Request(Cmd.WRITE, 0, at, n)
    p.dribble(c, stream, "requests in single bytes")
    for r in c.finish_all():
        p.ok(r, "a request in single bytes")
    if writes_allowed(p):
        r = p.ok(c.command(Cmd.READ, at, n), "READ")
        p.require(r.data == data, "the bytes written", "others")


@case("T32", "a client that does not read", "A client that asks and does "
      "not read its replies keeps no other waiting.")
def never_reading(p):
    n = min(1 << 20, p.facts.size // p.facts.minimum * p.facts.minimum)
    for _ in range(3):
        c = p.attach()
        c.timeout = 0.3
        try:
            for _ in range(2000):
                c.submit(Cmd.READ, 0, n)
        except (Hung, Closed):
            pass
    other = p.attach()
    for _ in range(10):
        p.ok(other.command(Cmd.READ, 0, p.facts.minimum), "READ of another")


@case("T39", "reads that fail midway", "A READ that fails is an error: a "
      "simple reply without data, or a close; with structured replies an "
      "error chunk behind whole chunks. It is never a success.", "failing")
def failing_reads(p):
    for structured in {False, p.facts.structured}:
        c = p.attach(structured=structured, export=p.target.failing_export)
        n = min(32 << 20, c.size)
        try:
            # Client itself checks the chunks.
            r = c.command(Cmd.READ, 0, n)
            p.require(not r.ok, "an error", "success")
            p.recommend(r.error == Err.EIO, "EIO", r)
            good = c.command(Cmd.READ, 0, n)
            p.require(not good.ok, "an error again", "success")
        except Closed:
            if structured:
                p.warn("an error chunk", "a close")
