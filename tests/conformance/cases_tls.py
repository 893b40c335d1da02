# SPDX-License-Identifier: BSD-2-Clause
#
# S: TLS, from the refusal to speak it to the last close_notify.

import os
import ssl
import struct
import time

from harness import MISSING, case
from proto import (IHAVEOPT, REPLY_MAGIC, Closed, Cmd, Err, Garbled, Hung,
                   Info, Opt, Rep, info_data, meta_data, show)

UNKNOWN_OPTION = 0x7ffffff2


def every_option(p):
    """All options but STARTTLS, ABORT and EXPORT_NAME, with their data."""
    name = p.target.export
    return ((Opt.LIST, b""), (Opt.INFO, info_data(name)),
            (Opt.GO, info_data(name)), (Opt.STRUCTURED_REPLY, b""),
            (Opt.LIST_META_CONTEXT, meta_data(name)),
            (Opt.SET_META_CONTEXT, meta_data(name, ["base:allocation"])),
            (Opt.EXTENDED_HEADERS, b""), (Opt.PEEK_EXPORT, b"peek"),
            (UNKNOWN_OPTION, b""), (UNKNOWN_OPTION, b"payload" * 100))


def read_all_is_well(p, c):
    a = c.go()
    p.require(a.ok, "GO acknowledged", a)
    p.in_step(c)


# No TLS

@case("S01", "TLS off: STARTTLS", "A server without TLS MUST answer STARTTLS "
      "with ERR_POLICY, ERR_UNSUP or another error.", "tls-off")
def off_starttls(p):
    c = p.haggle()
    a = c.option(Opt.STARTTLS)
    p.refused(a, Rep.ERR_POLICY, Rep.ERR_UNSUP, Rep.ERR_PLATFORM)
    p.require(a.type != Rep.ERR_TLS_REQD, "an error other than TLS_REQD", a)
    read_all_is_well(p, c)


@case("S02", "TLS off: never TLS_REQD", "A server without TLS MUST NOT "
      "answer any option with ERR_TLS_REQD.", "tls-off")
def off_never_required(p):
    for opt, data in every_option(p) + ((Opt.INFO, info_data(MISSING)),):
        c = p.haggle()
        a = c.option(opt, data)
        p.require(a.type != Rep.ERR_TLS_REQD,
                  f"no TLS_REQD to {show(Opt, opt)}", a)


# Starting TLS

@case("S03", "STARTTLS", "The server MUST acknowledge STARTTLS and speak TLS "
      "from there on.", "tls")
def starttls(p):
    c = p.greeted()
    a = c.option(Opt.STARTTLS)
    p.require(a.ok, "ACK", a)
    c.tls_handshake()
    read_all_is_well(p, c)


@case("S04", "TLS required: TLS_REQD", "A server that requires TLS MUST "
      "answer every option, known or not, with ERR_TLS_REQD and read its "
      "payload.", "tls-require")
def required(p):
    c = p.greeted()
    for opt, data in every_option(p):
        a = c.option(opt, data)
        p.require(a.type == Rep.ERR_TLS_REQD,
                  f"TLS_REQD to {show(Opt, opt)}", a)
        p.require(len(a.replies) == 1, "TLS_REQD alone", a)
    c.starttls()
    read_all_is_well(p, c)


@case("S05", "TLS required: ABORT", "A server that requires TLS MUST "
      "acknowledge ABORT without it.", "tls-require")
def required_abort(p):
    c = p.greeted()
    a = c.option(Opt.ABORT)
    p.require(a.ok, "ACK", a)


@case("S06", "TLS required: EXPORT_NAME", "A server that requires TLS MUST "
      "close at EXPORT_NAME without it.", "tls-require")
def required_export_name(p):
    c = p.greeted()
    c.send_option(Opt.EXPORT_NAME, p.target.export.encode())
    p.closes(c, "EXPORT_NAME without TLS")


@case("S07", "TLS optional: plain options", "Where TLS is optional, only "
      "INFO and GO of an export that needs it may get ERR_TLS_REQD.",
      "tls-on")
def optional(p):
    c = p.greeted()
    for opt, data in every_option(p):
        if opt in (Opt.INFO, Opt.GO):
            continue
        a = c.option(opt, data)
        p.require(a.type != Rep.ERR_TLS_REQD,
                  f"no TLS_REQD to {show(Opt, opt)}", a)
    if not p.target.tls:
        a = c.option(Opt.INFO, info_data(p.target.export))
        p.require(a.ok, "INFO acknowledged", a)


@case("S08", "no TLS_REQD inside TLS", "The server MUST NOT answer anything "
      "with ERR_TLS_REQD once TLS is up.", "tls")
def inside(p):
    for opt, data in every_option(p) + (
            (Opt.INFO, info_data(MISSING)), (Opt.GO, info_data(MISSING)),
            (Opt.STARTTLS, b"")):
        c = p.haggle(tls=True)
        a = c.option(opt, data)
        p.require(a.type != Rep.ERR_TLS_REQD,
                  f"no TLS_REQD to {show(Opt, opt)}", a)


@case("S09", "STARTTLS forgets structured replies", "STARTTLS MUST void a "
      "STRUCTURED_REPLY before it.", "tls")
def forgets_structured(p):
    c = p.greeted()
    c.option(Opt.STRUCTURED_REPLY)
    c.starttls()
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.require(not c.flags & (1 << 7), "SEND_DF clear", f"{c.flags:#x}")
    # Client now takes a structured reply as not negotiated.
    p.in_step(c)


@case("S10", "STARTTLS forgets contexts", "STARTTLS MUST void a "
      "SET_META_CONTEXT before it.", "tls", "meta")
def forgets_contexts(p):
    c = p.greeted()
    c.option(Opt.STRUCTURED_REPLY)
    c.option(Opt.SET_META_CONTEXT,
             meta_data(p.target.export, ["base:allocation"]))
    c.starttls()
    c.option(Opt.STRUCTURED_REPLY)
    p.require(c.go().ok, "GO acknowledged", "an error")
    try:
        r = c.command(Cmd.BLOCK_STATUS, 0, min(65536, p.facts.size))
    except Garbled as e:
        p.fail("EINVAL to BLOCK_STATUS", e)
    p.rejected(r, Err.EINVAL)
    p.in_step(c)


@case("S11", "bytes injected behind STARTTLS", "Bytes that came in the clear "
      "behind STARTTLS MUST NOT be taken as if they had come over TLS.",
      "tls")
def injection(p):
    c = p.greeted()
    try:
        c.send(struct.pack(">QII", IHAVEOPT, Opt.STARTTLS, 0)
               + struct.pack(">QII", IHAVEOPT, UNKNOWN_OPTION, 0),
               "STARTTLS and another option in one segment")
        a = c.answer(Opt.STARTTLS)
        if not a.ok:
            return
        c.tls_handshake()
    except (Closed, ssl.SSLError, ConnectionError):
        return
    try:
        injected = not c.quiet(0.3)
    except Garbled as e:
        injected = False
        p.note(str(e))
    p.require(not injected, "a close", "an answer to the injected option")
    p.warn("a close", "the injected bytes silently dropped")


@case("S12", "STARTTLS with data", "STARTTLS with data should get "
      "ERR_INVALID, and TLS is not started.", "tls", closing="warn")
def starttls_data(p):
    c = p.greeted()
    a = c.option(Opt.STARTTLS, b"data")
    if a.ok:
        p.warn("ERR_INVALID", a)
        return
    p.refused(a, Rep.ERR_INVALID)
    c.starttls()
    read_all_is_well(p, c)


@case("S13", "a second STARTTLS", "STARTTLS inside TLS MUST get "
      "ERR_INVALID.", "tls")
def starttls_twice(p):
    c = p.haggle(tls=True)
    a = c.option(Opt.STARTTLS)
    p.require(a.type == Rep.ERR_INVALID, "ERR_INVALID", a)
    read_all_is_well(p, c)


@case("S14", "a failed TLS handshake closes", "When the TLS handshake fails "
      "the server MUST terminate the session.", "tls")
def failed_handshake(p):
    for garbage in (b"GET / HTTP/1.0\r\n\r\n" * 4, os.urandom(300),
                    struct.pack(">QII", IHAVEOPT, Opt.LIST, 0) * 4,
                    b"\x16\x03\x01\x00\x04\xff\xff\xff\xff"):
        c = p.greeted()
        p.require(c.option(Opt.STARTTLS).ok, "ACK", "an error")
        c.send(garbage, "garbage in place of a ClientHello")
        # GnuTLS waits for the end of what looks like a record.
        c.half_close()
        rest = c.rest()
        p.require(struct.pack(">Q", REPLY_MAGIC) not in rest,
                  "a close, at most a TLS alert before it",
                  "an option reply in the clear")


@case("S15", "nothing in the clear after STARTTLS", "Once STARTTLS is "
      "acknowledged, all further data MUST be sent and received over TLS.",
      "tls")
def no_clear_text(p):
    c = p.greeted()
    p.require(c.option(Opt.STARTTLS).ok, "ACK", "an error")
    try:
        for opt in (Opt.LIST, Opt.ABORT):
            c.send_option(opt)
        data = c.recv_some()
    except (Closed, Hung):
        return      # closed, or waiting for the rest of a record
    p.require(struct.pack(">Q", REPLY_MAGIC) not in data,
              "no answer in the clear", data[:24].hex())


@case("S16", "TLS 1.2", "A server with TLS MUST support TLS 1.2.", "tls")
def tls12(p):
    c = p.greeted()
    c.option(Opt.STARTTLS)
    c.tls_handshake(p.target.tls_context(maximum=ssl.TLSVersion.TLSv1_2))
    read_all_is_well(p, c)


@case("S17", "TLS 1.3", "A server with TLS should support TLS 1.3.", "tls")
def tls13(p):
    c = p.greeted()
    c.option(Opt.STARTTLS)
    try:
        c.tls_handshake(p.target.tls_context(ssl.TLSVersion.TLSv1_3))
    except ssl.SSLError as e:
        p.warn("TLS 1.3", e)
        return
    read_all_is_well(p, c)


@case("S18", "TLS 1.1 refused", "Versions of TLS before 1.2 should not be "
      "accepted.", "tls")
def old_tls(p):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        c = p.greeted()
        c.option(Opt.STARTTLS)
        try:
            c.tls_handshake(p.target.tls_context(version, version))
        except (ssl.SSLError, ConnectionError):
            continue
        p.warn(f"{version.name} refused", f"{c.sock.version()} in use")


@case("S19", "TLS handshake in single bytes", "A ClientHello that arrives "
      "byte by byte is served.", "tls")
def hello_bytewise(p):
    c = p.greeted()
    c.option(Opt.STARTTLS)
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = p.target.tls_context().wrap_bio(
        into, out, server_hostname=p.target.tls_hostname)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            p.dribble(c, out.read(), "a ClientHello in single bytes")
            data = c.recv_some()
            if not data:
                raise Closed("during the TLS handshake") from None
            into.write(data)
            continue
        return


@case("S20", "stalled TLS handshakes", "Clients that stop amid the TLS "
      "handshake do not keep others from being served.", "tls")
def stalled(p):
    for i in range(8):
        c = p.greeted()
        c.option(Opt.STARTTLS)
        if i % 2:
            c.send(b"\x16\x03\x01\x02", "the beginning of a TLS record")
    c = p.haggle(tls=True)
    read_all_is_well(p, c)


# Ending TLS

@case("S21", "close_notify after DISC", "At DISC the server MUST close down "
      "TLS before it closes the connection.", "tls")
def close_notify(p):
    c = p.haggle(tls=True)
    read_all_is_well(p, c)
    c.submit(Cmd.DISC)
    rest = c.rest()
    p.require(not rest, "no more bytes", f"{len(rest)} bytes")
    p.require(c.closed_how == "close_notify", "close_notify", c.closed_how)


@case("S22", "end of file inside TLS", "A client that is gone without a "
      "close_notify is gone: the server ends it and uses no more CPU.",
      "tls")
def end_of_file(p):
    for how in range(6):
        c = p.haggle(tls=True)
        if how % 2:
            read_all_is_well(p, c)
        if how >= 4:
            # In the midst of a record.
            fd = c.sock.detach()
            os.write(fd, b"\x17\x03\x03\x40\x00partial")
            os.close(fd)
        elif how >= 2:
            c.reset()
        else:
            c.close()
    if not p.target.pid:
        p.note("CPU time not seen: give --pid")
        return
    time.sleep(0.5)
    before, start = p.cpu(), time.monotonic()
    time.sleep(1)
    if p.cpu() - before > 0.1:
        # Others may want the CPU too: look for longer.
        time.sleep(2)
        used = p.cpu() - before
        p.require(used < 0.3, "an idle server", f"{used:.2f} s of CPU in "
                  f"{time.monotonic() - start:.1f} s")


@case("S23", "close_notify from the client", "A close_notify ends the "
      "client's side: the server should close.", "tls")
def client_close_notify(p):
    c = p.haggle(tls=True)
    read_all_is_well(p, c)
    c._arm()
    try:
        raw = c.sock.unwrap()
        raw.settimeout(p.target.timeout)
        rest = raw.recv(1)
    except TimeoutError:
        p.warn("the connection closed", "it is still open")
        return
    except (ssl.SSLError, OSError):
        return
    p.require(not rest, "the connection closed", "bytes in the clear")


# Exports and data

@case("S24", "a TLS-only export", "An export for TLS only MUST get TLS_REQD "
      "to INFO and GO without TLS, and a close to EXPORT_NAME.", "tls-only",
      "tls-on")
def tls_only(p):
    name = p.target.tls_only_export
    c = p.greeted()
    for opt in (Opt.INFO, Opt.GO):
        a = c.option(opt, info_data(name))
        p.require(a.type == Rep.ERR_TLS_REQD,
                  f"TLS_REQD to {show(Opt, opt)}", a)
    a = c.option(Opt.LIST)
    p.recommend(not a.ok or name not in [n for n, _ in a.servers],
                "the export hidden from LIST", a)
    c = p.greeted()
    c.send_option(Opt.EXPORT_NAME, name.encode())
    p.closes(c, "EXPORT_NAME of a TLS-only export")
    c = p.haggle(tls=True)
    p.require(c.go(name).ok, "GO over TLS acknowledged", "an error")


@case("S25", "a rejected WRITE over TLS", "The payload of a WRITE that is "
      "rejected is read through TLS, and the connection lives on.", "tls")
def rejected_write(p):
    c = p.attach(tls=True)
    block = p.facts.minimum
    for n in (1 << 20, 64 << 10, block):
        r = c.command(Cmd.WRITE, p.facts.size // block * block, n,
                      payload=p.bait(c, n))
        p.rejected(r, Err.ENOSPC, Err.EPERM)
        p.in_step(c)


@case("S26", "long reads over TLS", "Replies that span many TLS records "
      "arrive whole.", "tls")
def long_reads(p):
    c = p.attach(tls=True)
    n = min(4 << 20, p.facts.size)
    for _ in range(3):
        c.submit(Cmd.READ, 0, n)
    for r in c.finish_all():
        p.ok(r, "READ")


@case("S27", "writes over TLS", "What was written over TLS is read back.",
      "tls", "writable")
def writes(p):
    c = p.attach(tls=True)
    n = min(2 << 20, p.facts.size)
    at, data = p.area(n), p.noise(n)
    p.ok(c.command(Cmd.WRITE, at, payload=data), "WRITE")
    p.require(p.ok(c.command(Cmd.READ, at, n), "READ").data == data,
              "the bytes written", "others")


@case("S28", "no session tickets", "Kernel clients that hand the TLS session "
      "to the kernel break on records after the handshake: no tickets "
      "should be sent. (Advice; the protocol is silent.)", "tls")
def no_tickets(p):
    c = p.greeted()
    c.option(Opt.STARTTLS)
    context = p.target.tls_context()
    c.tls_handshake(context)
    if c.sock.version() != "TLSv1.3":
        p.skip(f"{c.sock.version()} is in use")
    read_all_is_well(p, c)
    session = c.sock.session
    p.recommend(session is None or not session.has_ticket, "no ticket",
                "a session ticket")


@case("S29", "EXPORT_NAME over TLS", "EXPORT_NAME works over TLS.", "tls")
def export_name(p):
    c = p.haggle(tls=True)
    c.export_name(zeroes=not c.handshake_flags & 2)
    p.require(c.size == p.facts.size, p.facts.size, c.size)
    p.in_step(c)


@case("S30", "LIST and INFO agree over TLS", "INFO over TLS gives the same "
      "size as without, where both are allowed.", "tls-on")
def same_export(p):
    sizes = []
    for tls in (False, True):
        c = p.haggle(tls=tls)
        a = c.info(p.target.export)
        if a.type == Rep.ERR_TLS_REQD and not tls:
            p.skip("the export is for TLS only")
        p.require(a.ok, "INFO acknowledged", a)
        sizes.append(struct.unpack(">Q", a.infos[Info.EXPORT][:8])[0])
    p.require(sizes[0] == sizes[1], sizes[0], sizes[1])
