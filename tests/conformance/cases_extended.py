# SPDX-License-Identifier: BSD-2-Clause
#
# X: extended headers, as the protocol's extension-ext-header branch has
# them: 32-byte headers both ways, 64-bit effect lengths.

import struct

from cases_transmission import may_try_writes, offered, writes_allowed
from harness import case
from proto import (BLOCK_STATUS_PAYLOAD, DF, EXT_REPLY_MAGIC, FUA,
                   PAYLOAD_LEN, REQ_ONE, REQUEST_MAGIC, SEND_FLUSH, SEND_FUA,
                   SEND_TRIM, SEND_WRITE_ZEROES, Chunk, Closed, Cmd, Err,
                   Garbled, Hung, Opt, Rep, Request, meta_data, show)

ALLOCATION = ["base:allocation"]


def extended(p, contexts=(), **kw):
    return p.attach(extended=True, contexts=contexts, **kw)


def haggle_extended(p):
    c = p.haggle()
    a = c.option(Opt.EXTENDED_HEADERS)
    p.require(a.ok, "ACK to EXTENDED_HEADERS", a)
    return c


# The handshake

@case("X01", "EXTENDED_HEADERS", "A server that acknowledges "
      "EXTENDED_HEADERS MUST then use extended replies, and support GO.",
      "extended")
def negotiate(p):
    c = haggle_extended(p)
    a = c.go()
    p.require(a.ok, "GO acknowledged", a)
    p.in_step(c)


@case("X02", "EXTENDED_HEADERS refused", "A server that does not know "
      "EXTENDED_HEADERS MUST answer ERR_UNSUP.")
def not_offered(p):
    if p.facts.extended:
        p.skip("extended headers are offered")
    c = p.haggle()
    a = c.option(Opt.EXTENDED_HEADERS)
    p.refused(a, Rep.ERR_UNSUP, Rep.ERR_POLICY, Rep.ERR_PLATFORM)
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.in_step(c)


@case("X03", "EXTENDED_HEADERS with data", "EXTENDED_HEADERS with data "
      "should get ERR_INVALID, and then does not count.", "extended",
      closing="warn")
def with_data(p):
    c = p.haggle()
    a = c.option(Opt.EXTENDED_HEADERS, b"data")
    p.recommend(a.type == Rep.ERR_INVALID, "ERR_INVALID", a)
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.in_step(c)


@case("X04", "EXTENDED_HEADERS twice", "A repeated EXTENDED_HEADERS is "
      "acknowledged or refused with ERR_INVALID, and stays in force.",
      "extended")
def twice(p):
    c = haggle_extended(p)
    a = c.option(Opt.EXTENDED_HEADERS)
    p.require(a.ok or a.type == Rep.ERR_INVALID, "ACK or ERR_INVALID", a)
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.in_step(c)


@case("X05", "STRUCTURED_REPLY after EXTENDED_HEADERS", "A later "
      "STRUCTURED_REPLY gets ERR_EXT_HEADER_REQD; extended headers stay.",
      "extended")
def structured_later(p):
    c = haggle_extended(p)
    a = c.option(Opt.STRUCTURED_REPLY)
    p.refused(a, Rep.ERR_EXT_HEADER_REQD)
    c.structured = False
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.in_step(c)


@case("X06", "STRUCTURED_REPLY before EXTENDED_HEADERS", "Structured replies "
      "may be asked for first; extended headers take precedence.",
      "extended", "structured")
def structured_first(p):
    c = p.haggle()
    p.require(c.option(Opt.STRUCTURED_REPLY).ok, "ACK", "an error")
    a = c.option(Opt.EXTENDED_HEADERS)
    p.require(a.ok, "ACK", a)
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.in_step(c)


@case("X07", "EXPORT_NAME after EXTENDED_HEADERS", "EXPORT_NAME is forbidden "
      "once extended headers are negotiated: the server closes.",
      "extended")
def export_name(p):
    c = haggle_extended(p)
    c.send_option(Opt.EXPORT_NAME, p.target.export.encode())
    try:
        rest = c.rest()
    except Hung:
        p.warn("a close", "an answer to EXPORT_NAME, or none")
        return
    p.recommend(not rest, "a close", f"{len(rest)} bytes")


@case("X08", "contexts without structured replies", "SET_META_CONTEXT needs "
      "structured replies or extended headers: the latter suffice.",
      "extended", "meta")
def contexts_suffice(p):
    c = haggle_extended(p)
    a = c.option(Opt.SET_META_CONTEXT,
                 meta_data(p.target.export, ALLOCATION))
    p.require([n for _, n in a.contexts] == ALLOCATION, ALLOCATION, a)


@case("X09", "STARTTLS forgets extended headers", "STARTTLS MUST void an "
      "EXTENDED_HEADERS before it.", "extended", "tls")
def starttls(p):
    c = p.greeted()
    c.option(Opt.EXTENDED_HEADERS)
    c.starttls()
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.require(not c.flags & BLOCK_STATUS_PAYLOAD,
              "BLOCK_STATUS_PAYLOAD clear", f"{c.flags:#x}")
    p.in_step(c)


@case("X10", "BLOCK_STATUS_PAYLOAD flag", "BLOCK_STATUS_PAYLOAD MUST NOT be "
      "set without extended headers, and should not without contexts.",
      "extended")
def payload_flag(p):
    c = p.attach(structured=p.facts.structured)
    p.require(not c.flags & BLOCK_STATUS_PAYLOAD, "the flag clear",
              f"{c.flags:#x}")
    c = extended(p)
    p.recommend(not c.flags & BLOCK_STATUS_PAYLOAD,
                "the flag clear without contexts", f"{c.flags:#x}")


# Headers

@case("X11", "extended replies", "All replies MUST be extended ones, with "
      "the request's cookie and offset; simple replies are forbidden.",
      "extended")
def replies(p):
    # Client itself checks cookie and offset.
    c = extended(p)
    b = p.facts.minimum
    end = p.facts.size // b * b
    for at in (0, b, end // 2 // b * b, end - b):
        p.ok(c.command(Cmd.READ, at, b), "READ")
    p.rejected(c.command(Cmd.READ, end, b), Err.EINVAL)
    p.rejected(c.command(0x7ff, 0, b), Err.EINVAL)
    if p.facts.flags & SEND_FLUSH:
        p.ok(c.command(Cmd.FLUSH), "FLUSH")
        # The offset is repeated even where it means nothing.
        r = c.command(Cmd.FLUSH, 4096, 0)
        p.recommend(r.ok, "FLUSH with an offset to succeed", r)
    for cmd in offered(p):
        at = p.area(b) if writes_allowed(p) else 0
        p.ok(c.command(cmd, at, b), show(Cmd, cmd))


@case("X12", "chunks of extended READs", "The rules for the chunks of a "
      "structured READ hold for extended ones.", "extended")
def chunks(p):
    c = extended(p)
    b = p.facts.minimum
    size = p.facts.size // b * b
    for n in (b, 4096, 1 << 20, 8 << 20):
        n = min(n // b * b or b, size)
        for at in (0, b, (size - n) // b * b):
            if at + n <= size:
                p.ok(c.command(Cmd.READ, at, n), "READ")
    if c.flags & (1 << 7):
        n = min(65536, size)
        p.ok(c.command(Cmd.READ, 0, n, DF), "READ with DF")


@case("X13", "compact requests", "A compact request where extended ones are "
      "agreed has lost step: the server closes.", "extended")
def compact_magic(p):
    c = extended(p)
    c.send(struct.pack(">IHHQQI", REQUEST_MAGIC, 0, Cmd.READ, 5, 0,
                       p.facts.minimum) + bytes(4), "a compact request")
    rest = c.rest()
    p.recommend(not rest, "a silent close", f"{len(rest)} bytes")


@case("X14", "extended requests not agreed", "An extended request without "
      "EXTENDED_HEADERS has lost step: the server closes.")
def extended_magic(p):
    c = p.attach(structured=p.facts.structured)
    c.extended = True
    c.send(c.header(Cmd.READ, 0, p.facts.minimum, 0, 5),
           "an extended request")
    rest = c.rest()
    p.require(struct.pack(">I", EXT_REPLY_MAGIC) != rest[:4], "a close",
              "an extended reply")
    p.recommend(not rest, "a silent close", f"{len(rest)} bytes")


@case("X15", "DISC", "DISC has no reply with extended headers either.",
      "extended")
def disc(p):
    for flags, at, n in ((0, 0, 0), (0, 4096, 1 << 40)):
        c = extended(p)
        c.submit(Cmd.DISC, at, n, flags)
        p.closes(c, "DISC")


# Payloads

@case("X16", "WRITE with PAYLOAD_LEN", "WRITE with PAYLOAD_LEN writes its "
      "payload.", "extended", "writable")
def write(p):
    c = extended(p)
    n = min(256 << 10, p.facts.size)
    at, data = p.area(n), p.noise(n)
    p.ok(c.command(Cmd.WRITE, at, payload=data), "WRITE")
    p.require(p.ok(c.command(Cmd.READ, at, n), "READ").data == data,
              "the bytes written", "others")
    if p.facts.flags & (1 << 3):
        data = p.noise(n)
        p.ok(c.command(Cmd.WRITE, at, n, FUA, data), "WRITE with FUA")
        p.require(p.ok(p.attach().command(Cmd.READ, at, n),
                       "READ").data == data, "the bytes written", "others")


@case("X17", "WRITE as clients spell it", "PAYLOAD_LEN is mandatory on WRITE, "
      "but qemu (from 8.2 on) sends a WRITE's data without it: a server should "
      "take them, and MUST NOT take them for requests.", "extended",
      "writable", closing="warn")
def write_without_flag(p):
    c = extended(p)
    n = min(256 << 10, p.facts.size)
    fua = FUA if p.facts.flags & SEND_FUA else 0
    for length, flags in ((max(512, p.facts.minimum), 0), (n, fua)):
        at, data = p.area(length), p.bait(c, length)
        r = c.finish(c.submit(Cmd.WRITE, at, length, flags, data))
        p.in_step(c)
        if not r.ok:
            p.warn("success", r)
            return
        p.require(p.ok(c.command(Cmd.READ, at, length), "READ").data == data,
                  "the bytes written", "others")
    # The next request is right behind the data.
    n = max(4096, p.facts.minimum)
    at, data = p.area(n), p.noise(n)
    written = c.submit(Cmd.WRITE, at, n, 0, data)
    read = c.submit(Cmd.READ, at, n)
    p.ok(c.finish(written), "WRITE")
    p.ok(c.finish(read), "READ")
    p.require(p.ok(c.command(Cmd.READ, at, n), "READ").data == data,
              "the bytes written", "others")


@case("X18", "unexpected payloads", "A payload to a command that takes none "
      "is read and answered with EINVAL.", "extended")
def unexpected_payload(p):
    c = extended(p)
    b = p.facts.minimum
    commands = [Cmd.READ, Cmd.FLUSH, Cmd.CACHE, 0x7fe]
    if may_try_writes(p):
        commands += [Cmd.TRIM, Cmd.WRITE_ZEROES]
    for cmd in commands:
        for n in (65536, 8, b):
            r = c.command(cmd, 0, n, PAYLOAD_LEN, p.bait(c, n))
            p.rejected(r, Err.EINVAL, *([Err.EPERM] if cmd in
                       (Cmd.TRIM, Cmd.WRITE_ZEROES) else []))
            p.in_step(c)


@case("X19", "rejected WRITEs", "The payload of an extended WRITE that is "
      "rejected is read; the connection lives on.", "extended")
def rejected_write(p):
    c = extended(p)
    b = p.facts.minimum
    end = p.facts.size // b * b
    for at, n in ((end - b, 65536), ((1 << 64) - b, 64 + 2 * b), (end, b)):
        if at < end and not may_try_writes(p):
            continue
        p.rejected(c.command(Cmd.WRITE, at, n, payload=p.bait(c, n)),
                   Err.ENOSPC, Err.EPERM)
        p.in_step(c)


@case("X20", "oversized payloads", "A payload length far beyond the maximum "
      "should close the connection.", "extended")
def oversized(p):
    for n in (1 << 40, 1 << 63, (1 << 64) - 1, 1 << 32):
        for cmd in (Cmd.WRITE, Cmd.READ, Cmd.BLOCK_STATUS):
            c = extended(p)
            c.submit(cmd, 0, n, PAYLOAD_LEN)
            try:
                c.rest()
            except Hung:
                p.warn("a close", f"it goes on reading {n:#x} bytes of "
                       f"{show(Cmd, cmd)}")
                return


@case("X21", "payload of length 0", "PAYLOAD_LEN with a length of 0 does not "
      "disconnect.", "extended")
def empty_payload(p):
    c = extended(p)
    for cmd in (Cmd.WRITE, Cmd.READ, Cmd.FLUSH):
        c.command(cmd, 0, 0, PAYLOAD_LEN)
        p.in_step(c)


# Effect lengths

@case("X22", "64-bit ranges past the end", "Ranges past the end are refused "
      "though their length exceeds 32 bits or the sum wraps.", "extended",
      closing="warn")
def long_ranges(p):
    c = extended(p, ALLOCATION if "base:allocation" in p.facts.contexts
                 else ())
    b = p.facts.minimum
    for at, n in ((0, 1 << 63), (b, (1 << 64) - b), (b, (1 << 64) - 2 * b),
                  (0, (p.facts.size // b + 1) * b), (0, (1 << 64) - b)):
        r = c.command(Cmd.READ, at, n)
        p.rejected(r, Err.EINVAL, Err.EOVERFLOW)
        for cmd in offered(p, status=True):
            r = c.command(cmd, at, n)
            if r.ok and cmd == Cmd.CACHE:
                continue
            p.rejected(r, Err.EINVAL, Err.ENOSPC, Err.EOVERFLOW)
        p.in_step(c)


@case("X23", "effects longer than 4 GiB", "TRIM, WRITE_ZEROES and CACHE "
      "take 64-bit lengths; nothing is cut to 32 bits.", "extended", "4G")
def long_effects(p):
    c = extended(p)
    b = max(p.facts.minimum, 4096)
    n = (4 << 30) + b
    if p.facts.flags & (1 << 10):
        c.command(Cmd.CACHE, 0, n)
        p.in_step(c)
    if not writes_allowed(p) or not p.facts.flags & SEND_WRITE_ZEROES:
        return
    marks = (0, b, 1 << 30, (4 << 30) - b, 4 << 30)
    for mark in marks + (n,):
        p.ok(c.command(Cmd.WRITE, mark, payload=b"\x5a" * b), "WRITE")
    r = c.command(Cmd.WRITE_ZEROES, 0, n)
    if r.ok:
        for mark in marks:
            r = p.ok(c.command(Cmd.READ, mark, b), "READ")
            p.require(r.data == bytes(b), f"zeroes at {mark:#x}",
                      "the old bytes")
    else:
        p.recommend(r.error in (Err.EOVERFLOW, Err.EINVAL),
                    "success, EOVERFLOW or EINVAL", r)
    if p.facts.flags & SEND_TRIM:
        c.command(Cmd.TRIM, 0, n)
    r = p.ok(c.command(Cmd.READ, n, b), "READ")
    p.require(r.data == b"\x5a" * b, "the bytes behind unchanged", "others")


# Block status

@case("X24", "BLOCK_STATUS_EXT", "With extended headers BLOCK_STATUS MUST "
      "be answered with BLOCK_STATUS_EXT, however short the range.",
      "extended", "meta")
def status_ext(p):
    # Client itself checks counts, lengths and the 64-bit flags.
    c = extended(p, [n for n in p.facts.contexts if not n.endswith(":")])
    b = p.facts.minimum
    size = p.facts.size // b * b
    for at, n in ((0, b), (0, min(size, 65536)), (size - b, b), (0, size)):
        for flags in (0, REQ_ONE):
            r = p.ok(c.command(Cmd.BLOCK_STATUS, at, n, flags),
                     "BLOCK_STATUS")
            p.require(Chunk.BLOCK_STATUS_EXT in r.kinds, "BLOCK_STATUS_EXT",
                      r.kinds)


@case("X25", "extended and compact status agree", "BLOCK_STATUS says the "
      "same with and without extended headers.", "extended", "meta",
      "structured")
def status_agrees(p):
    n = min(16 << 20, p.facts.size)
    seen = []
    for kw in ({"structured": True}, {"extended": True}):
        c = p.attach(contexts=ALLOCATION, **kw)
        r = p.ok(c.command(Cmd.BLOCK_STATUS, 0, n), "BLOCK_STATUS")
        seen.append(next(iter(r.status.values()))[0])
    p.require(seen[0][1] == seen[1][1], seen[0], seen[1])


@case("X26", "BLOCK_STATUS with a payload", "A payload of context ids limits "
      "the reply to these.", "extended", "meta", "status-payload")
def status_payload(p):
    c = extended(p, [n for n in p.facts.contexts if not n.endswith(":")])
    n = min(65536, p.facts.size)
    for i in sorted(c.contexts):
        body = struct.pack(">QI", n, i)
        r = c.command(Cmd.BLOCK_STATUS, 0, len(body), PAYLOAD_LEN, body,
                      effect=n, ids=[i])
        p.ok(r, f"BLOCK_STATUS for context {i}")
    ids = sorted(c.contexts)
    body = struct.pack(f">Q{len(ids)}I", n, *ids)
    p.ok(c.command(Cmd.BLOCK_STATUS, 0, len(body), PAYLOAD_LEN, body,
                   effect=n), "BLOCK_STATUS for all contexts")
    p.ok(c.command(Cmd.BLOCK_STATUS, 0, n), "BLOCK_STATUS without payload")


@case("X27", "BLOCK_STATUS with wrong ids", "Duplicate or unknown context "
      "ids in a payload MUST get EINVAL, and the payload is read.",
      "extended", "meta")
def status_wrong_ids(p):
    c = extended(p, ALLOCATION)
    i = next(iter(c.contexts))
    n = min(65536, p.facts.size)
    unknown = next(x for x in range(1000) if x not in c.contexts)
    for ids in ([i, i], [unknown], [i, unknown], [0xffffffff]):
        body = struct.pack(f">Q{len(ids)}I", n, *ids)
        try:
            r = c.command(Cmd.BLOCK_STATUS, 0, len(body), PAYLOAD_LEN, body,
                          effect=n)
        except Garbled as e:
            p.fail(f"EINVAL to the ids {ids}", e)
        p.rejected(r, Err.EINVAL)
        p.in_step(c)


@case("X28", "BLOCK_STATUS with a malformed payload", "A payload that is not "
      "8 + 4n bytes long gets EINVAL, and is read.", "extended", "meta",
      closing="warn")
def status_malformed(p):
    c = extended(p, ALLOCATION)
    i = next(iter(c.contexts))
    good = struct.pack(">QI", min(65536, p.facts.size), i)
    for body in (b"x", good[:7], good[:11], good + b"xyz",
                 good[:8] + b"\xff" * 4096):
        try:
            r = c.command(Cmd.BLOCK_STATUS, 0, len(body), PAYLOAD_LEN, body,
                          effect=65536)
        except Garbled as e:
            p.fail(f"EINVAL to a payload of {len(body)} bytes", e)
        p.rejected(r, Err.EINVAL)
        p.in_step(c)


@case("X29", "status past 4 GiB", "An effect length of more than 32 bits is "
      "taken whole: the answer makes progress.", "extended", "meta", "4G")
def status_long(p):
    c = extended(p, ALLOCATION)
    b = p.facts.minimum
    size = p.facts.size // b * b
    p.ok(c.command(Cmd.BLOCK_STATUS, 0, 1 << 32), "BLOCK_STATUS of 4 GiB")
    at, steps = 0, 0
    while at < size and steps < 500:
        r = p.ok(c.command(Cmd.BLOCK_STATUS, at, size - at), "BLOCK_STATUS")
        at += sum(n for n, _ in next(iter(r.status.values())))
        steps += 1


@case("X30", "requests in single bytes", "Extended requests that arrive byte "
      "by byte are served.", "extended")
def bytewise(p):
    c = extended(p)
    n = p.facts.minimum
    cookie = c.submit(Cmd.READ, 0, n)
    p.ok(c.finish(cookie), "READ")
    whole = c.header(Cmd.READ, 0, n, 0, 78)
    c.pending[78] = Request(Cmd.READ, 0, 0, n)
    p.dribble(c, whole, "an extended request in single bytes")
    p.ok(c.finish(78), "READ")
    c.send(whole[:31], "a truncated request")
    c.half_close()
    try:
        rest = c.rest()
    except Closed:
        return
    p.require(not rest, "no answer to a truncated request",
              f"{len(rest)} bytes")


@case("X31", "rejected WRITEs as clients spell them", "The payload of a WRITE "
      "that is rejected is read, though it lacks PAYLOAD_LEN: a client's data "
      "are no requests.", "extended", closing="warn")
def rejected_write_without_flag(p):
    c = extended(p)
    b = p.facts.minimum
    end = p.facts.size // b * b
    for at, n, flags in ((end, 65536, 0), (end - b, 65536, 0),
                         ((1 << 64) - b, 64 + 2 * b, 0), (0, 65536, DF)):
        if at < end and not may_try_writes(p):
            continue
        r = c.finish(c.submit(Cmd.WRITE, at, n, flags, p.bait(c, n)))
        p.rejected(r, Err.ENOSPC, Err.EPERM, Err.EINVAL)
        p.in_step(c)
