# SPDX-License-Identifier: BSD-2-Clause
#
# H: the handshake, from the greeting to the entry into transmission.

import struct
import time

from harness import MISSING, case
from proto import (FIXED_NEWSTYLE, HAS_FLAGS, NO_ZEROES, Cmd, Closed,
                   Hung, Info, Opt, Rep, info_data, meta_data)

UNKNOWN_OPTION = 0x7ffffff0


# The greeting and the client's flags

@case("H01", "greeting", "The server greets with NBDMAGIC, IHAVEOPT and "
      "flags of which it MUST set none but FIXED_NEWSTYLE and NO_ZEROES.")
def greeting(p):
    c = p.connect()
    flags = c.hello()
    p.require(flags & FIXED_NEWSTYLE, "FIXED_NEWSTYLE", f"{flags:#x}")
    p.require(not flags & ~(FIXED_NEWSTYLE | NO_ZEROES),
              "no unknown handshake flags", f"{flags:#x}")


@case("H02", "unknown client flags close", "The server MUST drop a client "
      "that sets a flag it does not know.")
def unknown_client_flags(p):
    for flags in (0x80000003, 0x00000007, 0xffffffff):
        c = p.connect()
        c.hello()
        c.send_flags(flags)
        try:
            c.send_option(Opt.LIST)
            c.answer(Opt.LIST)
        except (Closed, Hung) as e:
            if isinstance(e, Hung):
                raise
            continue
        p.fail("the connection closed", f"flags {flags:#x} accepted")


@case("H03", "a flag not offered closes", "The server MUST drop a client "
      "that sets NO_ZEROES where the server did not offer it.")
def flag_not_offered(p):
    c = p.connect()
    if c.hello() & NO_ZEROES:
        p.skip("the server offers all flags there are")
    c.send_flags(FIXED_NEWSTYLE | NO_ZEROES)
    p.closes(c, "a flag that was not offered")


@case("H04", "no FIXED_NEWSTYLE: EXPORT_NAME", "A client that does not set "
      "FIXED_NEWSTYLE can use EXPORT_NAME and gets the 124 zeroes.", "plain")
def nonfixed_export_name(p):
    c = p.greeted(flags=0)
    pad = c.export_name(zeroes=True)
    p.require(pad == bytes(124), "124 zeroes", pad.hex())
    p.in_step(c)


@case("H05", "no FIXED_NEWSTYLE: no TLS", "The server MUST operate without "
      "TLS unless the client set FIXED_NEWSTYLE: it must not acknowledge "
      "STARTTLS.")
def nonfixed_starttls(p):
    c = p.greeted(flags=0)
    try:
        a = c.option(Opt.STARTTLS)
    except Closed:
        return
    p.require(not a.ok, "a close or an error", a)


@case("H06", "no FIXED_NEWSTYLE: other options", "An option other than "
      "EXPORT_NAME from a client without FIXED_NEWSTYLE ends in a close or "
      "an answer in step.")
def nonfixed_other(p):
    c = p.greeted(flags=0)
    try:
        c.option(Opt.LIST)
        c.option(UNKNOWN_OPTION, b"x" * 100)
    except Closed:
        pass


@case("H07", "wrong option magic closes", "A client that has lost step is "
      "dropped and gets no answer made of its garbage.")
def option_magic(p):
    c = p.greeted()
    c.send_option(Opt.LIST, magic=0x1122334455667788)
    rest = c.rest()
    p.require(len(rest) in (0, 20) or len(rest) < 4096,
              "a close, at most an error reply before it",
              f"{len(rest)} bytes")


# Options in general

@case("H08", "unknown option", "The server MUST read an unknown option's "
      "payload, answer ERR_UNSUP and parse the next option.")
def unknown_option(p):
    c = p.haggle()
    # A payload that looks like an option itself betrays a missing drain.
    bait = struct.pack(">QII", 0x49484156454F5054, Opt.ABORT, 0)
    for opt in (UNKNOWN_OPTION, 0, Opt.PEEK_EXPORT, 0xffffffff):
        for data in (b"", bait * 7, b"z" * 1000):
            a = c.option(opt, data)
            p.refused(a, Rep.ERR_UNSUP, must=True)
    p.require(c.info(p.target.export).ok, "INFO still answered", "an error")


@case("H09", "exactly one final reply", "Each option gets exactly one final "
      "reply, whatever is wrong with it.")
def one_reply(p):
    c = p.haggle()
    for opt, data in (
            (UNKNOWN_OPTION, b""), (Opt.LIST, b"data"),
            (Opt.INFO, info_data(MISSING)),
            (Opt.GO, info_data("x", length=500)),
            (Opt.INFO, info_data("x", length=500)),
            (Opt.SET_META_CONTEXT, meta_data(MISSING, ["base:allocation"])),
            (Opt.LIST_META_CONTEXT, meta_data(MISSING)),
            (Opt.STRUCTURED_REPLY, b"data")):
        try:
            c.option(opt, data)
        except Closed:
            p.warn("an error reply", f"a close after {c.sent[-1]}")
            c = p.haggle()
            continue
        p.require(c.quiet(0.05), "one final reply", "more bytes after it")
    p.haggles_on(c)


@case("H10", "over-long INFO and GO", "Data behind the last information "
      "request makes the option invalid: ERR_INVALID.", closing="warn")
def overlong_info(p):
    for opt in (Opt.INFO, Opt.GO):
        c = p.haggle()
        a = c.option(opt, info_data(p.target.export) + b"trailing")
        if a.ok:
            p.warn("ERR_INVALID", a)
            continue
        p.refused(a, Rep.ERR_INVALID)
        p.haggles_on(c)


@case("H11", "over-long meta context options", "A syntactically invalid "
      "LIST_META_CONTEXT or SET_META_CONTEXT MUST fail with ERR_INVALID.",
      "structured")
def overlong_meta(p):
    c = p.haggle()
    c.option(Opt.STRUCTURED_REPLY)
    data = meta_data(p.target.export, ["base:allocation"]) + b"trailing"
    for opt in (Opt.LIST_META_CONTEXT, Opt.SET_META_CONTEXT):
        a = c.option(opt, data)
        p.refused(a, Rep.ERR_INVALID, must=True)
        p.haggles_on(c)


@case("H12", "short payloads", "An option too short for its own fields is "
      "answered with ERR_INVALID.", closing="warn")
def short_payloads(p):
    c = p.haggle()
    for opt in (Opt.INFO, Opt.GO):
        for data in (b"", b"\0", b"\0\0", b"\0\0\0\0", b"\0\0\0\0\0",
                     b"\0\0\0\1a\0"):
            p.refused(c.option(opt, data), Rep.ERR_INVALID)
    p.haggles_on(c)


@case("H13", "short meta context payloads", "A meta context option too short "
      "for its own fields MUST be answered with ERR_INVALID.", "structured")
def short_meta(p):
    c = p.haggle()
    c.option(Opt.STRUCTURED_REPLY)
    good = meta_data(p.target.export, ["base:allocation"])
    for opt in (Opt.LIST_META_CONTEXT, Opt.SET_META_CONTEXT):
        for data in (b"", b"\0\0\0", good[:-1], good[:len(good) - 17],
                     good[:4 + len(p.target.export) + 3],
                     meta_data(p.target.export, ["base:"], 2)):
            a = c.option(opt, data)
            p.refused(a, Rep.ERR_INVALID, must=True)
    p.haggles_on(c)


@case("H14", "lengths beyond the option", "An inner length that reaches past "
      "the option's data is answered with ERR_INVALID.", closing="warn")
def inner_lengths(p):
    name = p.target.export
    for opt in (Opt.INFO, Opt.GO):
        for data in (info_data(name, length=len(name) + 1),
                     info_data(name, length=0x7fffffff),
                     info_data(name, length=0xfffffffa),
                     info_data(name, count=1),
                     info_data(name, (3,), count=0xffff)):
            c = p.haggle()
            p.refused(c.option(opt, data), Rep.ERR_INVALID)
            p.haggles_on(c)


@case("H15", "number of options is bounded", "A client that sends options "
      "without end may be dropped as hostile; the server should do so.")
def option_count(p):
    c = p.haggle()
    one = struct.pack(">QII", 0x49484156454F5054, UNKNOWN_OPTION, 0)
    total = 0
    try:
        while total < 4096:
            c.send(one * 64, f"64 unknown options after {total}")
            for _ in range(64):
                c.opt_reply(UNKNOWN_OPTION)
            total += 64
    except Closed:
        p.note(f"closed within {total + 64} options")
        return
    p.warn("a cap on the number of options", f"{total} options answered")


@case("H16", "time of a handshake is bounded", "A client that dribbles its "
      "handshake should be dropped in bounded time.", background=True)
def handshake_time(p):
    limit = p.target.handshake_time
    p.deadline = time.monotonic() + limit + 10
    c = p.connect()
    c.greet()
    start = time.monotonic()
    data = iter(struct.pack(">QII", 0x49484156454F5054, UNKNOWN_OPTION,
                            1000) + bytes(1000))
    try:
        while time.monotonic() - start < limit:
            c.send(bytes([next(data)]), "an option, one byte in half a "
                   "second")
            try:
                if c.recv_some(1, 0.5) == b"":
                    break
            except Hung:
                continue
        else:
            p.warn(f"the connection dropped within {limit:g} s",
                   "it is still open")
            return
    except Closed:
        pass
    p.note(f"dropped after {time.monotonic() - start:.0f} s")


@case("H17", "handshake in single bytes", "TCP has no message boundaries: a "
      "handshake that arrives byte by byte is served.")
def byte_by_byte(p):
    c = p.connect()
    c.hello()
    flags = FIXED_NEWSTYLE | (c.handshake_flags & NO_ZEROES)
    if p.target.tls:
        c.send_flags(flags)
        c.starttls()
        data = b""
    else:
        data = struct.pack(">I", flags)
    body = info_data(p.target.export, (Info.BLOCK_SIZE,))
    data += struct.pack(">QII", 0x49484156454F5054, Opt.GO, len(body)) + body
    p.dribble(c, data, "the handshake in single bytes")
    a = c.answer(Opt.GO)
    p.require(a.ok, "GO acknowledged", a)
    p.in_step(c)


@case("H18", "flags and option in one segment", "The client's flags and its "
      "first option may arrive together.", "plain")
def one_segment(p):
    c = p.connect()
    c.hello()
    body = info_data(p.target.export, (Info.BLOCK_SIZE,))
    c.send(struct.pack(">IQII", FIXED_NEWSTYLE, 0x49484156454F5054, Opt.GO,
                       len(body)) + body, "flags and GO in one segment")
    a = c.answer(Opt.GO)
    p.require(a.ok, "GO acknowledged", a)
    p.in_step(c)


# Strings

@case("H19", "name over 4096 bytes", "A name longer than a string may be is "
      "refused.", closing="warn")
def name_too_long(p):
    for n in (4097, 8192, 65535):
        for opt in (Opt.INFO, Opt.GO):
            c = p.haggle()
            a = c.option(opt, info_data("n" * n))
            p.require(a.type & (1 << 31), "an error", a)
            p.haggles_on(c)


@case("H20", "name with NUL", "A name with a NUL is no string, and never the "
      "export whose name stands before the NUL.", closing="warn")
def name_with_nul(p):
    for name in (p.target.export + "\0junk", "\0"):
        c = p.haggle()
        a = c.option(Opt.INFO, info_data(name))
        p.require(a.type & (1 << 31), f"an error to {name!r}", a)
        p.haggles_on(c)


@case("H21", "EXPORT_NAME with NUL", "EXPORT_NAME with a NUL in the name "
      "must not open the export whose name stands before the NUL.")
def export_name_with_nul(p):
    c = p.haggle()
    c.send_option(Opt.EXPORT_NAME, p.target.export.encode() + b"\0junk")
    p.closes(c, "EXPORT_NAME with a NUL")


@case("H22", "name that is not UTF-8", "A name that is not UTF-8 is refused "
      "with an error text that is.", "missing", closing="warn")
def name_not_utf8(p):
    for name in (b"\xff\xfe\xfd", b"caf\xe9", b"\xc3", b"\xed\xa0\x80",
                 b"\xc0\xaf"):
        c = p.haggle()
        a = c.option(Opt.INFO, info_data(name))
        p.require(a.type & (1 << 31), "an error", a)
        p.haggles_on(c)


@case("H23", "echoed names are truncated", "An error text is a string of at "
      "most 4096 bytes of UTF-8 even where it repeats a long name.",
      "missing", closing="warn")
def echo_truncated(p):
    for name in ("x" * 4096, "\u00e9" * 2048, "a" + "\u20ac" * 1365,
                 "\U0001f4be" * 1024):
        c = p.haggle()
        for opt in (Opt.INFO, Opt.GO):
            # Client itself checks the text.
            p.refused(c.option(opt, info_data(name)), Rep.ERR_UNKNOWN,
                      Rep.ERR_INVALID, Rep.ERR_TOO_BIG)
        p.haggles_on(c)


# EXPORT_NAME and GO

@case("H24", "EXPORT_NAME of a missing export", "EXPORT_NAME cannot carry an "
      "error: the server MUST close.", "missing")
def export_name_missing(p):
    c = p.haggle()
    c.send_option(Opt.EXPORT_NAME, MISSING.encode())
    p.closes(c, "EXPORT_NAME of a missing export")


@case("H25", "EXPORT_NAME too long", "An EXPORT_NAME longer than a string "
      "may be ends in a close.")
def export_name_long(p):
    for n in (4097, 70000):
        c = p.haggle()
        try:
            c.send_option(Opt.EXPORT_NAME, b"n" * n)
        except Closed:
            continue        # before it took all of the name
        p.closes(c, f"EXPORT_NAME of {n} bytes")


@case("H26", "EXPORT_NAME pads", "Without NO_ZEROES the reply to EXPORT_NAME "
      "ends with 124 zeroes.")
def export_name_pads(p):
    c = p.haggle(flags=FIXED_NEWSTYLE)
    pad = c.export_name(zeroes=True)
    p.require(pad == bytes(124), "124 zeroes", pad.hex())
    p.require(c.size == p.facts.size, f"size {p.facts.size}", c.size)
    p.in_step(c)


@case("H27", "NO_ZEROES: no padding", "With NO_ZEROES the reply to "
      "EXPORT_NAME is 10 bytes long.", "no-zeroes")
def export_name_no_zeroes(p):
    c = p.haggle()
    c.export_name()
    p.require(c.quiet(0.1), "10 bytes", "more")
    p.in_step(c)


@case("H28", "GO never pads", "The server MUST NOT pad after GO, whatever "
      "flags the client has set.")
def go_never_pads(p):
    c = p.haggle(flags=FIXED_NEWSTYLE)
    a = c.go()
    p.require(a.ok, "GO acknowledged", a)
    p.require(c.quiet(0.1), "nothing after the ACK", "more bytes")
    p.in_step(c)


@case("H29", "flags belong to the connection", "One client's NO_ZEROES does "
      "not change another's reply.", "no-zeroes")
def flags_per_connection(p):
    a = p.haggle(flags=FIXED_NEWSTYLE)
    b = p.haggle(flags=FIXED_NEWSTYLE | NO_ZEROES)
    b.export_name()
    pad = a.export_name(zeroes=True)
    p.require(pad == bytes(124), "124 zeroes", pad.hex())
    p.require(b.quiet(0.1), "no padding", "more bytes")
    p.in_step(a)
    p.in_step(b)


@case("H30", "empty name", "The empty name is the default export; INFO_NAME "
      "gives its real name, one that LIST shows.")
def empty_name(p):
    c = p.haggle()
    a = c.info("", (Info.NAME,))
    if not a.ok:
        p.refused(a, Rep.ERR_UNKNOWN)
        p.skip("the server has no default export")
    if Info.NAME in a.infos and p.facts.exports is not None:
        name = a.infos[Info.NAME].decode()
        p.require(name in [n for n, _ in p.facts.exports] + [""],
                  f"one of {p.facts.exports}", name)
        b = c.info(name)
        p.require(b.infos.get(Info.EXPORT) == a.infos[Info.EXPORT],
                  f"INFO of {name!r} to give the same", b)


@case("H31", "canonical name", "INFO_NAME gives the name under which LIST "
      "shows the export.", "list")
def canonical_name(p):
    c = p.haggle()
    for name, _ in p.facts.exports[:5]:
        a = c.info(name, (Info.NAME,))
        p.require(a.ok, f"a listed export {name!r} to be known", a)
        if Info.NAME in a.infos:
            got = a.infos[Info.NAME].decode()
            # The default export may be listed by its empty name.
            p.require(got == name or name == "", name, got)


@case("H32", "descriptions agree", "INFO_DESCRIPTION is what LIST shows "
      "behind the name.", "list")
def descriptions(p):
    c = p.haggle()
    seen = False
    for name, text in p.facts.exports[:5]:
        a = c.info(name, (Info.DESCRIPTION,))
        if text and a.ok and Info.DESCRIPTION in a.infos:
            seen = True
            got = a.infos[Info.DESCRIPTION].decode()
            p.require(got == text, text, got)
    if not seen:
        p.skip("the server describes no export")


@case("H33", "unknown export", "GO and INFO of a missing export get "
      "ERR_UNKNOWN, and the haggling goes on.", "missing")
def unknown_export(p):
    c = p.haggle()
    for opt in (Opt.INFO, Opt.GO):
        a = c.option(opt, info_data(MISSING))
        p.refused(a, Rep.ERR_UNKNOWN, must=True)
        p.recommend(len(a.replies) == 1, "no INFO of a missing export", a)
    p.require(c.go().ok, "GO of the right export", "an error")
    p.in_step(c)


# ABORT

@case("H34", "ABORT", "The server MUST acknowledge ABORT and then closes.")
def abort(p):
    c = p.haggle()
    p.require(c.option(Opt.ABORT).ok, "ACK", "an error")
    # Closing is the client's part; the server waits or closes.
    p.require(c.quiet(0.05), "nothing after the ACK", "more bytes")


@case("H35", "ABORT with data", "The server should ignore data that comes "
      "with ABORT.")
def abort_with_data(p):
    c = p.haggle()
    a = c.option(Opt.ABORT, b"farewell" * 20)
    p.recommend(a.ok, "ACK", a)


@case("H36", "ABORT and gone", "The server survives a client that does not "
      "wait for the reply to ABORT.")
def abort_and_gone(p):
    for _ in range(20):
        c = p.greeted()
        c.send_option(Opt.ABORT)
        c.close()
    for _ in range(20):
        c = p.greeted()
        c.send_option(Opt.LIST)
        c.send_option(Opt.ABORT)
        c.reset()


# INFO

@case("H37", "INFO then GO", "INFO and then GO with the same parameters MUST "
      "give the same information.")
def info_then_go(p):
    wanted = (Info.NAME, Info.DESCRIPTION, Info.BLOCK_SIZE)
    for structured in (False, True):
        c = p.haggle()
        if structured and not c.option(Opt.STRUCTURED_REPLY).ok:
            return
        one = c.info(p.target.export, wanted)
        two = c.go(p.target.export, wanted)
        p.require(one.ok and two.ok, "both acknowledged", f"{one}; {two}")
        p.require(one.infos == two.infos, str(one.infos), str(two.infos))
        p.in_step(c)


@case("H38", "unknown information requests", "The server MUST ignore "
      "information requests it does not understand.")
def unknown_infos(p):
    c = p.haggle()
    a = c.info(p.target.export, (0x1234, 0xffff, Info.BLOCK_SIZE, 0x8000))
    p.require(a.ok, "ACK with INFO_EXPORT", a)
    a = c.go(p.target.export, tuple(range(100, 400)))
    p.require(a.ok, "ACK with INFO_EXPORT", a)
    p.in_step(c)


@case("H39", "BLOCK_SIZE_REQD", "ERR_BLOCK_SIZE_REQD is only for block sizes "
      "other than the default and MUST NOT meet a client that asked.")
def block_size_reqd(p):
    c = p.haggle()
    for opt in (Opt.INFO, Opt.GO):
        a = c.option(opt, info_data(p.target.export, (Info.BLOCK_SIZE,)))
        p.require(a.ok, "ACK to a client that asked for BLOCK_SIZE", a)
    a = p.haggle().go()
    if a.type == Rep.ERR_BLOCK_SIZE_REQD:
        p.recommend(p.facts.minimum > 1, "no need of BLOCK_SIZE", a)
        p.recommend(Info.BLOCK_SIZE in a.infos,
                    "INFO_BLOCK_SIZE before the error", a)
    else:
        p.require(a.ok, "GO acknowledged", a)


# LIST and STRUCTURED_REPLY

@case("H40", "LIST", "LIST names the exports, each a string, and ends with "
      "ACK; what it names, INFO knows.")
def list_exports(p):
    c = p.haggle()
    a = c.option(Opt.LIST)
    if not a.ok:
        p.refused(a, Rep.ERR_POLICY, Rep.ERR_UNSUP)
        p.skip(f"the server answers {a}")
    p.haggles_on(c)


@case("H41", "LIST with data", "LIST with data should get ERR_INVALID.",
      closing="warn")
def list_with_data(p):
    c = p.haggle()
    a = c.option(Opt.LIST, b"\0\0\0\4data")
    p.recommend(a.type == Rep.ERR_INVALID or
                (p.facts.exports is None and not a.ok), "ERR_INVALID", a)
    p.haggles_on(c)


@case("H42", "STRUCTURED_REPLY with data", "STRUCTURED_REPLY with data "
      "should get ERR_INVALID, and then does not count.", "structured",
      closing="warn")
def structured_with_data(p):
    c = p.haggle()
    a = c.option(Opt.STRUCTURED_REPLY, b"data")
    p.recommend(a.type == Rep.ERR_INVALID, "ERR_INVALID", a)
    p.require(c.go().ok, "GO acknowledged", "an error")
    # Client insists on simple or structured replies, as acknowledged.
    p.in_step(c)


@case("H43", "STRUCTURED_REPLY twice", "A repeated STRUCTURED_REPLY is "
      "tolerated or refused with ERR_INVALID, and stays in force.",
      "structured")
def structured_twice(p):
    c = p.haggle()
    c.option(Opt.STRUCTURED_REPLY)
    a = c.option(Opt.STRUCTURED_REPLY)
    p.require(a.ok or a.type == Rep.ERR_INVALID, "ACK or ERR_INVALID", a)
    p.recommend(a.ok, "ACK", a)
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.in_step(c)


@case("H44", "nothing structured unasked", "Without STRUCTURED_REPLY the "
      "server MUST leave SEND_DF clear and use simple replies.")
def unasked(p):
    c = p.attach()
    p.require(not c.flags & (1 << 7), "SEND_DF clear", f"{c.flags:#x}")
    p.require(c.flags & HAS_FLAGS, "HAS_FLAGS", f"{c.flags:#x}")
    r = c.command(Cmd.READ, 0, p.facts.minimum)
    p.require(r.kinds == ["simple"], "a simple reply", r.kinds)
