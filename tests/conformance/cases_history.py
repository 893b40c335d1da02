# SPDX-License-Identifier: BSD-2-Clause
#
# CVE: the causes of past security faults of NBD servers, whichever server
# had them.  Where a case cannot look into the server, it does what the
# attack did; that the server lives on is checked after each case.

import struct
import time

from cases_data import status
from cases_transmission import may_try_writes
from harness import MISSING, case
from proto import (FIXED_NEWSTYLE, IHAVEOPT, NO_ZEROES, Closed, Cmd, Err,
                   Hung, Info, Opt, Rep, info_data, meta_data)

UNKNOWN_OPTION = 0x7ffffff3


def huge_requests(p, cmd):
    """Send requests far beyond any buffer, with part of their payload."""
    for n in (0xffffffff, 0xfffffff0, 0x80000000, 0x7fffffff, 0x10000000):
        c = p.attach()
        c.timeout = 0.3
        try:
            # Where nothing may be overwritten, out of range.
            at = 0 if cmd == Cmd.READ or may_try_writes(p) else p.facts.size
            c.submit(cmd, at, n, payload=b"\x41" * (256 << 10)
                     if cmd == Cmd.WRITE else b"")
            data = c.recv_some(16)
        except (Closed, Hung):
            continue    # it dropped the client, or waits for the payload
        if len(data) == 16 and cmd == Cmd.WRITE:
            p.require(struct.unpack(">I", data[4:8])[0], "an error or a "
                      "close", "success before the payload was there")
        c.reset()


@case("CVE-2005-3534", "oversized WRITE", "A request longer than the "
      "server's buffer is refused; it overwrites nothing.")
def oversized_write(p):
    huge_requests(p, Cmd.WRITE)


@case("CVE-2011-0530", "oversized requests", "The length of a request is "
      "checked for every command before it is used.")
def oversized_requests(p):
    huge_requests(p, Cmd.READ)
    huge_requests(p, Cmd.WRITE)
    for cmd in (Cmd.TRIM, Cmd.CACHE, Cmd.WRITE_ZEROES, Cmd.BLOCK_STATUS,
                99):
        c = p.attach()
        try:
            # Out of range where it starts, so nothing is overwritten.
            r = c.command(cmd, p.facts.size, 0xffffffff)
            p.recommend(not r.ok or cmd == Cmd.CACHE, "an error", r)
        except Closed:
            pass


@case("CVE-2011-1925", "close in negotiation", "A client that closes at any "
      "point of the negotiation ends itself and not the server.")
def close_in_negotiation(p):
    body = info_data(p.target.export, (Info.BLOCK_SIZE,))
    whole = struct.pack(">IQII", FIXED_NEWSTYLE, IHAVEOPT, Opt.GO,
                        len(body)) + body
    for cut in range(0, len(whole) + 1, 3):
        c = p.connect()
        if cut % 2:
            c.hello()
        try:
            c.send(whole[:cut], f"{cut} bytes of a handshake")
        except Closed:
            pass
        c.reset() if cut % 4 == 0 else c.close()


@case("CVE-2013-7441", "unknown name in negotiation", "A name that is not "
      "served ends that client's session and no other's.")
def unknown_name(p):
    other = p.attach()
    for name in (MISSING, "x" * 200, "../" * 10, "%s%n%s%n", "\n"):
        c = p.haggle()
        c.send_option(Opt.EXPORT_NAME, name.encode())
        if not p.facts.any_name:
            p.closes(c, f"EXPORT_NAME of {name[:10]!r}")
        c = p.haggle()
        a = c.option(Opt.GO, info_data(name))
        if not p.facts.any_name:
            p.refused(a, Rep.ERR_UNKNOWN)
    p.in_step(other)


@case("CVE-2013-6410", "addresses match whole", "An access list that admits "
      "one address does not admit another that begins alike.", "acl", "tcp")
def access_list(p):
    try:
        allowed = p.connect(p.target.acl_allowed)
    except OSError as e:
        p.skip(f"cannot connect from {p.target.acl_allowed}: {e}")
    allowed.greet()
    p.require(allowed.go(p.target.export).ok or p.target.tls,
              f"{p.target.acl_allowed} served", "an error")
    denied = p.connect(p.target.acl_denied)
    try:
        denied.greet()
        a = denied.go(p.target.export)
    except Closed:
        return
    p.require(not a.ok, f"{p.target.acl_denied} refused", "served")


@case("CVE-2015-0847", "clients that vanish together", "Many clients that "
      "vanish at once disturb neither the server nor other clients.")
def vanish_together(p):
    other = p.attach()
    n = min(1 << 20, p.facts.size // p.facts.minimum * p.facts.minimum)
    for _ in range(3):
        clients = [p.attach() for _ in range(16)]
        for c in clients:
            c.submit(Cmd.READ, 0, n)
            c.submit(Cmd.READ, 0, n)
        for i, c in enumerate(clients):
            c.reset() if i % 2 else c.close()
        p.in_step(other)


@case("CVE-2022-26495", "name length 0xffffffff", "A name length near 2^32 "
      "is refused; adding to it does not wrap.")
def name_length_wraps(p):
    for n in (0xffffffff, 0xfffffffe, 0xfffffff0, 0x80000000, 0x7fffffff):
        for opt in (Opt.INFO, Opt.GO):
            c = p.haggle()
            try:
                a = c.option(opt, info_data("x", length=n))
                p.require(a.type & (1 << 31), "an error", a)
                p.haggles_on(c)
            except Closed:
                p.warn("ERR_INVALID", "a close")
        if p.facts.structured:
            c = p.haggle()
            c.option(Opt.STRUCTURED_REPLY)
            for opt in (Opt.LIST_META_CONTEXT, Opt.SET_META_CONTEXT):
                a = c.option(opt, struct.pack(">I", n) + b"x" * 8)
                p.refused(a, Rep.ERR_INVALID)
        for opt in (Opt.EXPORT_NAME, Opt.INFO, Opt.GO):
            c = p.haggle()
            c.timeout = 1
            try:
                c.send_option(opt, b"x" * 1000, length=n)
            except Closed:
                continue
            c.reset()


@case("CVE-2022-26496", "stack overflow in INFO and GO", "Names and lists "
      "longer than any buffer on the stack are refused or read whole.")
def stack_overflow(p):
    for n in (1024, 4095, 4096, 8192, 60000):
        for opt in (Opt.INFO, Opt.GO):
            c = p.haggle()
            try:
                a = c.option(opt, info_data("A" * n))
                p.require(a.type & (1 << 31) or p.facts.any_name,
                          "an error", a)
            except Closed:
                p.recommend(n > 4096, "an error reply", "a close")
                continue
    for count in (1000, 20000):
        c = p.haggle()
        try:
            c.option(Opt.INFO, info_data(p.target.export, [7] * count))
            p.haggles_on(c)
        except Closed:
            p.recommend(count > 1000, "an answer", "a close")


@case("CVE-2017-9524", "port scans", "Connections that are opened and closed "
      "or reset at once do the server no harm.")
def port_scan(p):
    for i in range(60):
        c = p.connect()
        c.reset() if i % 2 else c.close()
    for i in range(20):
        c = p.connect()
        c.hello()
        c.reset() if i % 2 else c.close()


@case("CVE-2017-7539", "unexpected negotiation data", "Data that no client "
      "would send in negotiation ends in a close or an error.")
def unexpected_data(p):
    for data in (b"\0" * 64, b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60),
                 struct.pack(">IHHQQI", 0x25609513, 0, 0, 1, 0, 512)):
        for greet in (False, True):
            c = p.connect()
            c.hello()
            if greet:
                c.send_flags(FIXED_NEWSTYLE)
            try:
                c.send(data, f"{data[:8]!r}... in negotiation")
                c.half_close()
                c.rest()
            except (Closed, OSError):
                pass


@case("CVE-2017-15118", "a name of 3000 bytes", "A long but lawful name is "
      "looked up, not copied over the stack.")
def long_name(p):
    for n in (256, 257, 1025, 3000, 4096):
        for opt in (Opt.INFO, Opt.GO):
            c = p.haggle()
            a = c.option(opt, info_data("n" * n, (Info.NAME,)))
            if not p.facts.any_name:
                p.refused(a, Rep.ERR_UNKNOWN, Rep.ERR_INVALID,
                          Rep.ERR_TOO_BIG)
        if p.facts.structured:
            c = p.haggle()
            c.option(Opt.STRUCTURED_REPLY)
            for opt in (Opt.LIST_META_CONTEXT, Opt.SET_META_CONTEXT):
                c.option(opt, meta_data("n" * n, ["base:allocation"]))


@case("CVE-2017-15119", "options of 4 GiB", "A server does not go on reading "
      "an option of 4 GiB to no purpose: it should close.")
def endless_options(p):
    block = b"\0" * (1 << 20)
    for opt in (UNKNOWN_OPTION, Opt.LIST, Opt.INFO):
        c = p.haggle()
        c.timeout = 2
        total = 0
        try:
            c.send_option(opt, length=0xffffffff)
            while total < 96 << 20:
                c.send(block, f"{total >> 20} MiB of an option of 4 GiB")
                total += len(block)
        except (Closed, Hung):
            continue
        p.warn("a close", f"{total >> 20} MiB of an option read")


@case("CVE-2020-10761", "long names echoed", "An error that repeats the "
      "client's name fits a reply, whatever the name's length.")
def echoed_name(p):
    for n in (4000, 4050, 4080, 4096):
        for opt in (Opt.INFO, Opt.GO):
            c = p.haggle()
            # Client itself refuses texts of more than 4096 bytes.
            a = c.option(opt, info_data("e" * n))
            if not p.facts.any_name:
                p.refused(a, Rep.ERR_UNKNOWN, Rep.ERR_INVALID,
                          Rep.ERR_TOO_BIG)
                p.haggles_on(c)


@case("CVE-2024-7409", "idle connections", "Clients that connect and say "
      "nothing do not keep others from being served.")
def idle_connections(p):
    refused = 0
    for i in range(200):
        try:
            c = p.connect()
            if i % 2:
                c.hello()
        except Closed:
            refused += 1    # a cap on connections is sound
            if refused > 3:
                break
    if refused:
        p.note(f"refused from connection {len(p.clients)} on")
        for c in p.clients[:len(p.clients) // 2]:
            c.close()
        time.sleep(0.2)
    p.in_step(p.attach())


@case("CVE-2019-14850", "no backend before the handshake", "A client that "
      "has not finished its handshake holds nothing that others need.")
def before_handshake(p):
    for i in range(30):
        c = p.greeted(FIXED_NEWSTYLE)
        if i % 3 == 1:
            c.send_option(Opt.INFO, info_data(p.target.export)[:3],
                          length=len(info_data(p.target.export)))
        elif i % 3 == 2 and p.facts.tls_mode != "off":
            c.option(Opt.STARTTLS)
    p.in_step(p.attach())
    p.in_step(p.attach())


@case("CVE-2019-14851", "options in any order", "Options in an order that no "
      "client uses get their answers and leave GO working.")
def any_order(p):
    other = p.target.second_export
    if other is None:
        other = MISSING
    mine = p.target.export
    orders = (
        [(Opt.INFO, info_data(mine))] * 3,
        [(Opt.INFO, info_data(mine)), (Opt.INFO, info_data(other)),
         (Opt.INFO, info_data(mine))],
        [(Opt.INFO, info_data(other)), (Opt.LIST, b"")],
        [(Opt.SET_META_CONTEXT, meta_data(mine, ["base:allocation"])),
         (Opt.STRUCTURED_REPLY, b""), (Opt.INFO, info_data(mine)),
         (Opt.SET_META_CONTEXT, meta_data(other, ["base:allocation"])),
         (Opt.STRUCTURED_REPLY, b"")],
        [(Opt.LIST_META_CONTEXT, meta_data(mine)),
         (Opt.INFO, info_data(mine)), (Opt.LIST, b""),
         (Opt.SET_META_CONTEXT, meta_data(mine, ["base:allocation"])),
         (Opt.INFO, info_data(other))])
    for order in orders:
        c = p.haggle()
        for opt, data in order:
            c.option(opt, data)
        p.require(c.go(mine, (Info.BLOCK_SIZE,)).ok, "GO acknowledged",
                  "an error")
        p.in_step(c)


@case("CVE-2021-3716", "state that survives STARTTLS", "What was negotiated "
      "in the clear MUST NOT survive STARTTLS, whoever sent it.", "tls")
def survives_starttls(p):
    c = p.greeted(FIXED_NEWSTYLE | NO_ZEROES)
    # As a man in the middle would, before the client's own STARTTLS.
    c.option(Opt.STRUCTURED_REPLY)
    c.option(Opt.SET_META_CONTEXT,
             meta_data(p.target.export, ["base:allocation"]))
    c.option(Opt.INFO, info_data(p.target.export))
    c.starttls()
    a = c.option(Opt.SET_META_CONTEXT,
                 meta_data(p.target.export, ["base:allocation"]))
    p.require(not a.contexts, "no context without structured replies", a)
    p.require(c.go().ok, "GO acknowledged", "an error")
    r = c.command(Cmd.READ, 0, p.facts.minimum)
    p.require(r.kinds == ["simple"], "a simple reply", r.kinds)


@case("CVE-2025-47711", "block status near 2^32", "BLOCK_STATUS of a length "
      "near 2^32 gives extents of nonzero length, not a wrapped sum.",
      "meta")
def status_near_2_32(p):
    c = p.attach(contexts=["base:allocation"])
    b = p.facts.minimum
    size = p.facts.size // b * b
    for n in (0xffffffff, 0xffffff00, 0xfffff000, 0xfffffe00):
        n = min(n // b * b, size)
        for at in {0, size - n}:
            for off, length, _ in status(p, c, at, n):
                p.require(0 < length, "an extent", (off, length))
        p.rejected(c.command(Cmd.BLOCK_STATUS, size, n), Err.EINVAL)
    p.in_step(c)


@case("CVE-2025-47712", "32-bit overflow of unaligned lengths", "Rounding an "
      "unaligned range near 2^32 does not overflow.", "meta")
def unaligned_near_2_32(p):
    c = p.attach(contexts=["base:allocation"])
    b = p.facts.minimum
    size = p.facts.size // b * b
    top = 0xffffffff // b * b
    for at in (b, 511 * b, 513 * b):
        n = min(top, size - at)
        for m in (n, n - b, n - 511 * b):
            if m > 0:
                extents = status(p, c, at, m)
                p.require(extents[0][1] > 0, "progress", extents)
    r = c.command(Cmd.BLOCK_STATUS, size - b, top)
    p.require(not r.ok or size > top, "an error past the end", r)
    p.in_step(c)
