# SPDX-License-Identifier: BSD-2-Clause
#
# Client: one NBD connection on a plain socket, or TLS over it.
#
# Client is deliberately two-faced.  What it sends, it sends as told: wrong
# lengths, wrong magics, half messages.  What it receives, it holds against
# the protocol's rules: a breach raises Garbled, so that every case that
# merely uses the connection also checks the server's framing.
#
# Nothing waits for ever: each operation ends by the client's timeout with
# Hung, and all of a client's operations by its deadline.

import os
import socket
import ssl
import struct
import time

from proto import (DF, EXT_REPLY_MAGIC, EXT_REQUEST_MAGIC, FIXED_NEWSTYLE,
                   IHAVEOPT, NBDMAGIC, NO_ZEROES, PAYLOAD_LEN, REPLY_CAP,
                   REPLY_DONE, REPLY_MAGIC, REQUEST_MAGIC, REQ_ONE,
                   SIMPLE_MAGIC, STRUCTURED_MAGIC, Answer, Chunk, Closed, Cmd,
                   Garbled, Hung, Info, Opt, OptReply, Rep, Request, info_data,
                   show, string_fault)


class Client:
    """One connection, from the greeting to the last reply."""

    def __init__(self, target, source=None):
        self.target = target
        self.timeout = target.timeout
        self.deadline = None
        self.sock = target.endpoint.connect(self.timeout, source)
        self.sent = []              # what was sent, in words
        self.handshake_flags = None
        self.structured = False
        self.extended = False
        self.is_tls = False
        self.export = None
        self.size = None
        self.flags = 0
        self.contexts = {}          # id: name
        self.closed_how = None      # "close_notify", "end of file", "reset"
        self._cookie = int.from_bytes(os.urandom(8), "big")
        self.pending = {}           # cookie: Request

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with a TCP reset (a plain close on Unix sockets)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self):
        """Send no more; on TLS without a close_notify."""
        try:
            # SSLSocket.shutdown() would stop to decrypt.
            socket.socket.shutdown(self.sock, socket.SHUT_WR)
        except OSError:
            pass

    # Bytes

    def _arm(self, timeout=None):
        left = self.timeout if timeout is None else timeout
        if self.deadline is not None:
            left = min(left, self.deadline - time.monotonic())
        if left <= 0:
            raise Hung("the case's time is over")
        self.sock.settimeout(left)

    def send(self, data, words):
        self.sent.append(words)
        self._arm()
        try:
            self.sock.sendall(data)
        except socket.timeout:
            raise Hung(f"the server stopped reading: {words}") from None
        except (ConnectionError, ssl.SSLError) as e:
            self.closed_how = "reset"
            raise Closed(f"closed while sending {words}: {e}") from None

    def recv_some(self, limit=65536, timeout=None):
        """Whatever has come; b"" at the end of the connection."""
        self._arm(timeout)
        try:
            data = self.sock.recv(limit)
        except socket.timeout:
            raise Hung("no answer") from None
        except ConnectionError:
            self.closed_how = "reset"
            return b""
        except ssl.SSLError as e:
            if isinstance(e, ssl.SSLEOFError) or \
                    e.reason == "UNEXPECTED_EOF_WHILE_READING":
                self.closed_how = "end of file without close_notify"
                return b""
            if "ALERT" in (e.reason or ""):
                self.closed_how = f"TLS alert {e.reason}"
                return b""
            raise Garbled(f"TLS: {e}") from None
        if not data:
            self.closed_how = ("close_notify" if self.is_tls
                               else "end of file")
        return data

    def recv(self, n, what):
        out = bytearray()
        while len(out) < n:
            data = self.recv_some(min(n - len(out), 1 << 20))
            if not data:
                raise Closed(f"{self.closed_how} after {len(out)} of {n} "
                             f"bytes of {what}")
            out += data
        return bytes(out)

    def rest(self, limit=1 << 20):
        """All that comes until the server closes; Hung if it does not."""
        out = b""
        while len(out) < limit:
            try:
                data = self.recv_some()
            except Hung:
                raise Hung("the connection is still open, after "
                           f"{len(out)} bytes") from None
            if not data:
                return out
            out += data
        raise Garbled(f"more than {limit} bytes instead of a close")

    def quiet(self, seconds=0.2):
        """True when nothing comes for so long; the stream is not eaten."""
        try:
            data = self.recv_some(1, seconds)
        except Hung:
            return True
        return data == b""

    # Handshake

    def hello(self):
        """Read the greeting."""
        magic, style, flags = struct.unpack(
            ">QQH", self.recv(18, "the greeting"))
        if magic != NBDMAGIC:
            raise Garbled(f"greeting magic {magic:#x}")
        if style != IHAVEOPT:
            raise Garbled(f"not newstyle: second magic {style:#x}")
        self.handshake_flags = flags
        return flags

    def send_flags(self, flags=FIXED_NEWSTYLE | NO_ZEROES):
        self.send(struct.pack(">I", flags), f"client flags {flags:#x}")

    def greet(self, flags=FIXED_NEWSTYLE | NO_ZEROES):
        """Read the greeting, send flags the server offered."""
        offered = self.hello()
        self.send_flags(flags & (offered | ~NO_ZEROES))
        return self

    def send_option(self, opt, data=b"", length=None, magic=IHAVEOPT):
        n = len(data) if length is None else length
        self.send(struct.pack(">QII", magic, opt, n) + data,
                  f"option {show(Opt, opt)}, length {n}")

    def opt_reply(self, opt):
        magic, o, kind, n = struct.unpack(
            ">QIII", self.recv(20, f"the reply to {show(Opt, opt)}"))
        if magic != REPLY_MAGIC:
            raise Garbled(f"option reply magic {magic:#x}")
        if o != opt:
            raise Garbled(f"a reply to {show(Opt, o)} "
                          f"where one to {show(Opt, opt)} was due")
        if n > REPLY_CAP:
            raise Garbled(f"an option reply of {n} bytes")
        reply = OptReply(kind, self.recv(n, "an option reply's data"))
        self._check_opt_reply(reply)
        return reply

    @staticmethod
    def _check_opt_reply(r):
        fault = None
        if r.type & (1 << 31):
            fault = string_fault(r.data)
        elif r.type == Rep.ACK:
            fault = "an ACK with data" if r.data else None
        elif r.type == Rep.SERVER:
            n = struct.unpack(">I", r.data[:4])[0] if len(r.data) > 3 else -1
            if not 0 <= n <= len(r.data) - 4:
                fault = "REP_SERVER with a name longer than itself"
            else:
                fault = (string_fault(r.data[4:4 + n])
                         or string_fault(r.data[4 + n:]))
        elif r.type == Rep.META_CONTEXT:
            fault = ("REP_META_CONTEXT without a name" if len(r.data) < 5
                     else string_fault(r.data[4:]))
        elif r.type == Rep.INFO:
            kind = (struct.unpack(">H", r.data[:2])[0] if len(r.data) > 1
                    else None)
            size = {Info.EXPORT: 12, Info.BLOCK_SIZE: 14}.get(kind)
            if kind is None or (size and len(r.data) != size):
                fault = f"REP_INFO of {len(r.data)} bytes"
            elif kind in (Info.NAME, Info.DESCRIPTION):
                fault = string_fault(r.data[2:])
        if fault:
            raise Garbled(f"{show(Rep, r.type)}: {fault}")

    def answer(self, opt):
        """Read the replies to an option up to the final one."""
        replies = []
        while True:
            replies.append(self.opt_reply(opt))
            if replies[-1].type not in (Rep.SERVER, Rep.INFO,
                                        Rep.META_CONTEXT):
                return Answer(replies)
            if len(replies) > 100000:
                raise Garbled("endless replies to one option")

    def option(self, opt, data=b"", length=None):
        self.send_option(opt, data, length)
        a = self.answer(opt)
        if opt == Opt.STRUCTURED_REPLY and a.ok:
            self.structured = True
        if opt == Opt.EXTENDED_HEADERS and a.ok:
            self.extended = True
        if opt == Opt.SET_META_CONTEXT:
            self.contexts = dict(a.contexts) if a.ok else {}
        return a

    def starttls(self):
        """STARTTLS, which must be acknowledged, then the TLS handshake."""
        a = self.option(Opt.STARTTLS)
        if not a.ok:
            raise Garbled(f"STARTTLS answered with {a}")
        self.tls_handshake()
        return self

    def tls_handshake(self, context=None):
        """Speak TLS from here on; ssl.SSLError where it cannot be."""
        self._arm()
        context = context or self.target.tls_context()
        raw = self.sock
        try:
            # A close without close_notify must show.
            self.sock = context.wrap_socket(
                raw, server_hostname=self.target.tls_hostname,
                suppress_ragged_eofs=False)
        except socket.timeout:
            raise Hung("TLS handshake") from None
        self.is_tls = True
        self.structured = self.extended = False
        self.contexts = {}
        self.sent.append("TLS handshake")

    def info(self, name, requests=(), opt=Opt.INFO):
        a = self.option(opt, info_data(name, requests))
        if a.ok and Info.EXPORT not in a.infos:
            raise Garbled(f"{show(Opt, opt)} succeeded without INFO_EXPORT")
        return a

    def go(self, name=None, requests=()):
        """Enter transmission; the answer is returned where refused."""
        name = self.target.export if name is None else name
        a = self.info(name, requests, Opt.GO)
        if a.ok:
            self.export = name
            self.size, self.flags = struct.unpack(
                ">QH", a.infos[Info.EXPORT])
        return a

    def export_name(self, name=None, zeroes=False):
        """EXPORT_NAME; with the 124 bytes of padding if they are due."""
        name = self.target.export if name is None else name
        self.send_option(Opt.EXPORT_NAME, name.encode())
        data = self.recv(10 + 124 * zeroes, "the reply to EXPORT_NAME")
        self.size, self.flags = struct.unpack(">QH", data[:10])
        self.export = name
        return data[10:]

    # Transmission

    def next_cookie(self):
        self._cookie = (self._cookie * 6364136223846793005 + 1) % (1 << 64)
        return self._cookie

    def header(self, cmd, offset, length, flags=0, cookie=0, magic=None):
        if self.extended:
            return struct.pack(">IHHQQQ",
                               EXT_REQUEST_MAGIC if magic is None else magic,
                               flags, cmd, cookie, offset, length)
        return struct.pack(">IHHQQI",
                           REQUEST_MAGIC if magic is None else magic, flags,
                           cmd, cookie, offset, length)

    def submit(self, cmd, offset=0, length=0, flags=0, payload=b"",
               effect=None, ids=None):
        """Send a command; its cookie is returned.

        length is the header's field, effect what the server should act on
        where a payload says so, ids the contexts that are asked for.
        """
        cookie = self.next_cookie()
        ask = frozenset(self.contexts) if ids is None else frozenset(ids)
        self.pending[cookie] = Request(
            cmd, flags, offset, length if effect is None else effect, ask)
        self.send(self.header(cmd, offset, length, flags, cookie) + payload,
                  f"{show(Cmd, cmd)} flags={flags:#x} offset={offset:#x} "
                  f"length={length:#x}")
        return cookie

    def command(self, cmd, offset=0, length=0, flags=0, payload=b"", **kw):
        """Send a command and wait for the whole of its reply."""
        if cmd == Cmd.WRITE:
            length = length or len(payload)
            if self.extended:
                flags |= PAYLOAD_LEN
        return self.finish(self.submit(cmd, offset, length, flags, payload,
                                       **kw))

    def finish(self, cookie):
        request = self.pending[cookie]
        while not request.done:
            self.receive()
        return self.pending.pop(cookie)

    def finish_all(self):
        out = []
        for cookie in list(self.pending):
            out.append(self.finish(cookie))
        return out

    def _pending(self, cookie):
        r = self.pending.get(cookie)
        if r is None or r.done:
            raise Garbled(f"a reply with cookie {cookie:#x}, which no "
                          "request in flight has")
        return r

    def receive(self):
        """Read one reply message and enter it with its request."""
        magic = struct.unpack(">I", self.recv(4, "a reply"))[0]
        if magic == SIMPLE_MAGIC:
            self._receive_simple()
        elif magic == STRUCTURED_MAGIC:
            if not self.structured or self.extended:
                raise Garbled("a structured reply, not negotiated")
            flags, kind, cookie, n = struct.unpack(
                ">HHQI", self.recv(16, "a chunk's header"))
            self._receive_chunk(flags, kind, cookie, n)
        elif magic == EXT_REPLY_MAGIC:
            if not self.extended:
                raise Garbled("an extended reply, not negotiated")
            flags, kind, cookie, offset, n = struct.unpack(
                ">HHQQQ", self.recv(28, "an extended reply's header"))
            r = self._pending(cookie)
            if offset != r.offset:
                raise Garbled(f"an extended reply with offset {offset:#x}, "
                              f"not the request's {r.offset:#x}")
            self._receive_chunk(flags, kind, cookie, n)
        else:
            raise Garbled(f"reply magic {magic:#x}")

    def _receive_simple(self):
        error, cookie = struct.unpack(">IQ", self.recv(12, "a simple reply"))
        r = self._pending(cookie)
        if self.extended:
            raise Garbled("a simple reply with extended headers")
        if self.structured and r.cmd == Cmd.READ:
            raise Garbled("a simple reply to READ with structured replies")
        if self.structured and r.cmd == Cmd.BLOCK_STATUS and not error:
            raise Garbled("a simple success reply to BLOCK_STATUS")
        r.kinds.append("simple")
        r.error = error
        if r.cmd == Cmd.READ and not error:
            r.data = bytearray(self.recv(r.length, "a READ's data"))
        r.done = True

    def _receive_chunk(self, flags, kind, cookie, n):
        r = self._pending(cookie)
        name = show(Chunk, kind)
        if n > REPLY_CAP:
            raise Garbled(f"a {name} chunk of {n} bytes")
        payload = self.recv(n, f"a {name} chunk")
        if flags & ~REPLY_DONE:
            raise Garbled(f"a {name} chunk with unknown flags {flags:#x}")
        r.kinds.append(kind)
        done = bool(flags & REPLY_DONE)
        if kind & (1 << 15):
            self._error_chunk(r, kind, payload)
        elif kind == Chunk.NONE:
            if n or not done:
                raise Garbled("a NONE chunk with a payload or without DONE")
        elif kind in (Chunk.OFFSET_DATA, Chunk.OFFSET_HOLE):
            self._content_chunk(r, kind, payload)
        elif kind in (Chunk.BLOCK_STATUS, Chunk.BLOCK_STATUS_EXT):
            self._status_chunk(r, kind, payload)
        else:
            raise Garbled(f"a chunk of unknown type {kind:#x}")
        if done:
            self._chunks_done(r)

    @staticmethod
    def _error_chunk(r, kind, payload):
        tail = 8 if kind == Chunk.ERROR_OFFSET else 0
        if len(payload) < 6 + tail:
            raise Garbled(f"an error chunk of {len(payload)} bytes")
        error, n = struct.unpack(">IH", payload[:6])
        if error == 0:
            raise Garbled("an error chunk with error 0")
        if n > len(payload) - 6 - tail:
            raise Garbled("an error chunk whose message exceeds it")
        fault = string_fault(payload[6:6 + n])
        if fault:
            raise Garbled(f"an error chunk with {fault}")
        if tail:
            at = struct.unpack(">Q", payload[6 + n:14 + n])[0]
            if not r.offset <= at < r.offset + max(r.length, 1):
                raise Garbled("ERROR_OFFSET outside the request")
        if r.error is None:
            r.error = error
            r.message = payload[6:6 + n].decode()

    @staticmethod
    def _content_chunk(r, kind, payload):
        if r.cmd != Cmd.READ:
            raise Garbled(f"content in the reply to {show(Cmd, r.cmd)}")
        if kind == Chunk.OFFSET_DATA:
            if len(payload) < 9:
                raise Garbled("an OFFSET_DATA chunk without data")
            off, n = struct.unpack(">Q", payload[:8])[0], len(payload) - 8
        else:
            if len(payload) != 12:
                raise Garbled(f"an OFFSET_HOLE chunk of {len(payload)} bytes")
            off, n = struct.unpack(">QI", payload)
            if n == 0:
                raise Garbled("an OFFSET_HOLE chunk of size 0")
        if off < r.offset or off + n > r.offset + r.length:
            raise Garbled(f"a chunk [{off:#x}, +{n:#x}) outside the request")
        if any(off < o + m and o < off + n for o, m in r.spans):
            raise Garbled(f"a chunk [{off:#x}, +{n:#x}) overlaps another")
        if r.flags & DF and r.spans:
            raise Garbled("a second content chunk in a DF read")
        r.spans.append((off, n))
        if r.data is None:
            r.data = bytearray(r.length)
        if kind == Chunk.OFFSET_DATA:
            at = off - r.offset
            r.data[at:at + n] = payload[8:]

    def _status_chunk(self, r, kind, payload):
        if r.cmd != Cmd.BLOCK_STATUS:
            raise Garbled(f"status in the reply to {show(Cmd, r.cmd)}")
        if self.extended:
            if kind != Chunk.BLOCK_STATUS_EXT:
                raise Garbled("BLOCK_STATUS with extended headers, which "
                              "demand BLOCK_STATUS_EXT")
            head, each = ">II", ">QQ"
        else:
            if kind != Chunk.BLOCK_STATUS:
                raise Garbled("BLOCK_STATUS_EXT without extended headers")
            head, each = ">I", ">II"
        hn, en = struct.calcsize(head), struct.calcsize(each)
        if len(payload) < hn + en or (len(payload) - hn) % en:
            raise Garbled(f"a status chunk of {len(payload)} bytes")
        ctx = struct.unpack(">I", payload[:4])[0]
        extents = list(struct.iter_unpack(each, payload[hn:]))
        if self.extended:
            count = struct.unpack(">I", payload[4:8])[0]
            if count != len(extents):
                raise Garbled(f"a descriptor count of {count} over "
                              f"{len(extents)} descriptors")
        if ctx not in r.contexts:
            raise Garbled(f"status for context {ctx}, which was not asked")
        if ctx in r.status:
            raise Garbled(f"two status chunks for context {ctx}")
        self._check_extents(r, ctx, extents)
        r.status[ctx] = extents

    def _check_extents(self, r, ctx, extents):
        lengths = [n for n, _ in extents]
        if 0 in lengths:
            raise Garbled("an extent of length 0")
        if r.flags & REQ_ONE:
            if len(extents) != 1 or lengths[0] > r.length:
                raise Garbled(f"REQ_ONE, and {len(extents)} extents of "
                              f"{sum(lengths):#x} bytes for {r.length:#x}")
        elif sum(lengths[:-1]) >= max(r.length, 1):
            raise Garbled("extents that begin past the request")
        if self.size and r.offset + sum(lengths[:-1]) >= self.size:
            raise Garbled("extents that begin past the export")
        if len(extents) > 1 << 20:
            raise Garbled(f"{len(extents)} extents in one chunk")
        base = self.contexts.get(ctx, "").startswith("base:")
        if base and any(f >> 32 for _, f in extents):
            raise Garbled("a base: status wider than 32 bits")

    @staticmethod
    def _chunks_done(r):
        r.done = True
        if r.error is not None:
            return
        r.error = 0
        if r.cmd == Cmd.READ and sum(n for _, n in r.spans) != r.length:
            raise Garbled(f"a successful READ of {r.length} bytes whose "
                          f"chunks cover {sum(n for _, n in r.spans)}")
        if r.cmd == Cmd.BLOCK_STATUS and set(r.status) != r.contexts:
            raise Garbled(f"status for contexts {sorted(r.status)} where "
                          f"{sorted(r.contexts)} were selected")
        if r.cmd == Cmd.READ and r.data is None:
            r.data = bytearray()
