# SPDX-License-Identifier: BSD-2-Clause
#
# A small NBD server that does right by the protocol, or wrong in one named
# way: what the prober's own tests hold it against.  This file: listening,
# connections, TLS, the handshake.  toy_meta.py: the metadata contexts.
# toy_data.py: the store and the transmission phase.
#
# A wrongness is a name in Toy.wrong, asked for by Session.wrong() at the
# place where the server errs.  One thread a connection; the accept thread
# and the caller of stop() are others.  All sessions end with stop().

import select
import socket
import ssl
import struct
import threading
import time

from proto import (BLOCK_STATUS_PAYLOAD, CAN_MULTI_CONN, FIXED_NEWSTYLE,
                   HAS_FLAGS, IHAVEOPT, NBDMAGIC, NO_ZEROES, READ_ONLY,
                   REPLY_MAGIC, SEND_CACHE, SEND_DF, SEND_FAST_ZERO,
                   SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES, Info,
                   Opt, Rep, string_fault)
from toy_meta import Contexts

OPTION_CAP = 1 << 20
OPTIONS_CAP = 1000


class Drop(Exception):
    """This connection is to be closed."""


class Toy:
    def __init__(self, stores, wrong=(), tls="off", context=None,
                 readonly=False, tls_only=(), handshake_time=3.0,
                 fast_zero=True, no_zeroes=True, extended=True):
        self.stores = stores            # name: Store; the first is default
        self.wrong = set(wrong)
        self.tls = tls
        self.context = context
        self.readonly = readonly
        self.tls_only = set(tls_only)
        self.handshake_time = handshake_time
        self.fast_zero = fast_zero
        self.extended = extended
        self.offered = FIXED_NEWSTYLE | (NO_ZEROES if no_zeroes else 0)
        self.stopping = threading.Event()
        self.shutdown = threading.Event()
        self.lock = threading.RLock()
        self.connections = set()
        self.no_zeroes = False          # where a wrong server keeps flags
        self.infos = 0

    def listen(self, path=None, address="127.0.0.1"):
        """Listen on a Unix socket, or on a free port of a TCP address."""
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
        else:
            self.listener = socket.create_server((address, 0))
        self.listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()
        return self.listener.getsockname()

    def _accept(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if "no-keepalive" not in self.wrong:
                    sock.setsockopt(socket.SOL_SOCKET,
                                    socket.SO_KEEPALIVE, 1)
            with self.lock:
                full = ("few-connections" in self.wrong
                        and len(self.connections) > 50)
                self.connections.add(sock)
            if full:
                continue        # and never look at it again
            threading.Thread(target=self._serve, args=(sock, peer),
                             daemon=True).start()

    def _serve(self, sock, peer):
        from toy_data import Transmission
        session = Transmission(self, sock, peer)
        try:
            session.run()
        except (Drop, EOFError, OSError, ssl.SSLError, struct.error):
            pass
        finally:
            session.close()
            with self.lock:
                self.connections.discard(sock)

    def die(self):
        """What a crash looks like from outside."""
        self.stop()
        raise Drop

    def stop(self):
        self.stopping.set()
        try:
            # Closing alone does not wake accept().
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        with self.lock:
            for sock in self.connections:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class Session(Contexts):
    """One connection up to the end of its handshake."""

    def __init__(self, server, sock, peer):
        self.server = server
        self.sock = self.raw = sock
        self.peer = peer
        self.buf = bytearray()
        self.tls = False
        self.holding = False            # a wrong server's global lock
        self.deadline = time.monotonic() + server.handshake_time
        self.reset_state()

    def reset_state(self):
        self.structured = self.extended = False
        self.contexts, self.context_export = {}, None

    def wrong(self, name):
        return name in self.server.wrong

    def close(self):
        if self.holding:
            self.server.lock.release()
        try:
            self.sock.close()
            self.raw.close()
        except OSError:
            pass

    # Bytes

    def fill(self):
        if self.deadline is not None and not self.wrong("no-deadline"):
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise Drop
            self.sock.settimeout(left)
        else:
            self.sock.settimeout(None)
        data = self.sock.recv(65536)
        if not data:
            self.at_end()
            raise EOFError
        self.buf += data

    def at_end(self):
        if self.wrong("eof-dies") and self.deadline is not None:
            self.server.die()
        if self.tls and self.wrong("eof-spins"):
            while not self.server.stopping.is_set():
                pass
        if self.wrong("eof-hangs") or (
                self.tls and self.wrong("close-notify-ignored")):
            self.server.stopping.wait()

    def recv(self, n):
        if self.wrong("one-recv") and not self.buf:
            self.fill()
            if len(self.buf) < n:
                raise Drop      # takes a segment for a message
        while len(self.buf) < n:
            self.fill()
        out = bytes(self.buf[:n])
        del self.buf[:n]
        return out

    def drain(self, n):
        while n:
            n -= len(self.recv(min(n, 1 << 20)))

    def send(self, data):
        self.sock.settimeout(None)
        self.sock.sendall(data)

    # Options

    def reply(self, opt, kind, data=b""):
        self.send(struct.pack(">QIII", REPLY_MAGIC, opt, kind, len(data))
                  + data)

    def error(self, opt, kind, text="refused"):
        self.reply(opt, kind, text.encode())

    def run(self):
        self.greet()
        name = self.haggle()
        self.deadline = None
        self.transmit(name)

    def greet(self):
        offered = self.server.offered
        if self.wrong("greeting-flag"):
            offered |= 0x80
        if self.peer and self.peer[0] == "127.0.0.10" and \
                not self.wrong("prefix-acl"):
            raise Drop      # the one address the toy's list does not admit
        self.send(struct.pack(">QQH", NBDMAGIC, IHAVEOPT, offered))
        try:
            flags = struct.unpack(">I", self.recv(4))[0]
        except (EOFError, OSError):
            if self.wrong("scan-dies"):
                self.server.die()
            raise
        if self.wrong("flags-flush"):
            self.buf.clear()
        if flags & ~offered and not self.wrong("any-flags"):
            raise Drop
        self.fixed = bool(flags & FIXED_NEWSTYLE)
        self.no_zeroes = bool(flags & NO_ZEROES)
        self.server.no_zeroes = self.no_zeroes

    def haggle(self):
        """Answer options until one leads into transmission: its export."""
        for count in range(1 << 30):
            if count >= OPTIONS_CAP and not self.wrong("no-cap"):
                raise Drop
            magic, opt, n = struct.unpack(">QII", self.recv(16))
            if self.wrong("early-lock") and not self.holding:
                self.server.lock.acquire()
                self.holding = True
            if magic != IHAVEOPT:
                self._bad_magic()
            name = self.option(opt, n)
            if name is not None:
                if self.holding:
                    self.server.lock.release()
                    self.holding = False
                return name

    def _bad_magic(self):
        if self.wrong("magic-dies"):
            self.server.die()
        if self.wrong("magic-hangs"):
            self.server.stopping.wait()
        raise Drop

    def option(self, opt, n):
        if n > OPTION_CAP and not self.wrong("drains-all"):
            if n >= 1 << 31 and self.wrong("length-dies"):
                self.server.die()
            raise Drop
        if opt == Opt.EXPORT_NAME:
            return self.export_name(self.recv(n).decode("utf-8", "replace"))
        known = opt in Opt.__members__.values() and opt != Opt.PEEK_EXPORT
        if not known and self.wrong("no-drain"):
            data = b""
        elif n > OPTION_CAP:
            self.drain(n)
            data = b""
        else:
            data = self.recv(n)
        if not self.fixed and self.wrong("nonfixed-hangs") and \
                opt != Opt.STARTTLS:
            self.server.stopping.wait()
        if self.server.shutdown.is_set() and opt != Opt.ABORT:
            self.error(opt, Rep.ERR_SHUTDOWN)
            return None
        if self._tls_required(opt):
            self.error(opt, Rep.ERR_TLS_REQD)
            return None
        handler = self.HANDLERS.get(opt)
        if handler is None:
            self.error(opt, Rep.ERR_UNSUP)
            return None
        return handler(self, opt, data)

    def _tls_required(self, opt):
        if self.tls or opt in (Opt.STARTTLS, Opt.ABORT):
            return (opt == Opt.ABORT and self.server.tls == "require"
                    and not self.tls and self.wrong("abort-needs-tls"))
        if self.server.tls == "require":
            return not (opt == Opt.LIST and self.wrong("list-in-the-clear"))
        return (self.server.tls == "on" and opt == Opt.LIST
                and self.wrong("list-needs-tls"))

    def find(self, name):
        """The real name of an export, or None."""
        if self.wrong("c-strings"):
            name = name.partition("\0")[0]
        if len(name) > 1000:
            if self.wrong("long-name-dies"):
                self.server.die()
            if self.wrong("cuts-names"):
                name = ""
        if "\ufffd" in name and self.wrong("any-bytes"):
            name = ""
        if name == "":
            return next(iter(self.server.stores))
        if name not in self.server.stores and \
                self.wrong("unknown-name-dies"):
            self.server.die()
        return name if name in self.server.stores else None

    def export_name(self, name):
        real = self.find(name)
        secret = real in self.server.tls_only and not self.tls
        if self.server.tls == "require" and not self.tls:
            secret = not self.wrong("export-name-in-the-clear")
        if self.wrong("export-name-errors") and real is None:
            self.error(Opt.EXPORT_NAME, Rep.ERR_UNKNOWN)
        if len(name) > 4096 and self.wrong("long-name-hangs"):
            self.server.stopping.wait()
        if self.extended and not self.wrong("export-name-extended"):
            raise Drop
        if real is None or secret or \
                (self.tls and self.wrong("tls-export-name-closes")):
            raise Drop
        pad = bytes(124)
        if (self.server.no_zeroes if self.wrong("global-flags")
                else self.no_zeroes):
            pad = b""
        if self.wrong("pads-always"):
            pad = bytes(124)
        if self.wrong("pads-never"):
            pad = b""
        self.send(struct.pack(">QH", self.server.stores[real].size,
                              self.flags(name)) + pad)
        self.asked = name
        return real

    def flags(self, name):
        f = (HAS_FLAGS | SEND_FLUSH | SEND_FUA | SEND_TRIM | SEND_CACHE
             | SEND_WRITE_ZEROES | CAN_MULTI_CONN)
        if self.server.fast_zero:
            f |= SEND_FAST_ZERO
        if self.server.readonly:
            f |= READ_ONLY
        if self.structured or self.extended or self.wrong("df-unasked"):
            f |= SEND_DF
        if self.extended and self.contexts and self.context_export == name:
            f |= BLOCK_STATUS_PAYLOAD
        if self.wrong("payload-flag"):
            f |= BLOCK_STATUS_PAYLOAD
        if self.wrong("unknown-flag"):
            f |= 1 << 15
        return f

    def opt_abort(self, opt, data):
        if data and self.wrong("abort-data"):
            self.error(opt, Rep.ERR_INVALID)
            return None
        if self.wrong("abort-silent"):
            raise Drop
        if self.wrong("abort-dies"):
            try:
                # When the client has gone, and not before: it does not wait.
                select.select([self.raw], [], [], 5)
                self.raw.recv(1, socket.MSG_PEEK)
                self.reply(opt, Rep.ACK)
            except OSError:
                self.server.die()       # as SIGPIPE would
            raise Drop
        self.reply(opt, Rep.ACK)
        raise Drop

    def opt_list(self, opt, data):
        if data and not self.wrong("list-data"):
            self.error(opt, Rep.ERR_INVALID)
            return
        for name, store in self.server.stores.items():
            if name in self.server.tls_only and not self.tls:
                continue
            n = len(name) + (999 if self.wrong("list-garbled") else 0)
            self.reply(opt, Rep.SERVER, struct.pack(">I", n) + name.encode()
                       + store.description.encode())
        self.reply(opt, Rep.ACK)

    def opt_starttls(self, opt, data):
        if not self.fixed and not self.wrong("nonfixed-tls"):
            raise Drop
        if self.server.tls == "off" and not self.wrong("nonfixed-tls") and \
                not self.wrong("starttls-acked"):
            self.error(opt, Rep.ERR_POLICY)
            return
        if self.wrong("starttls-unsup"):
            self.error(opt, Rep.ERR_UNSUP)
            return
        if (data and not self.wrong("starttls-data")) or \
                (self.tls and not self.wrong("starttls-twice")):
            self.error(opt, Rep.ERR_INVALID)
            return
        if self.buf and not self.wrong("keeps-buffer"):
            raise Drop
        self.reply(opt, Rep.ACK)
        if self.server.tls == "off" or self.tls or data or \
                self.wrong("clear-after-ack"):
            return
        self.start_tls()

    def start_tls(self):
        if self.wrong("tls-one-at-a-time"):
            self.server.lock.acquire()
            self.holding = True
        if self.wrong("hello-in-one"):
            self.sock.settimeout(1)
            if len(self.sock.recv(2000, socket.MSG_PEEK)) < 50:
                raise Drop
        if self.wrong("clear-after-failure") and \
                self.sock.recv(1, socket.MSG_PEEK) != b"\x16":
            self.error(0, Rep.ERR_UNSUP, "not TLS")
            raise Drop
        self.sock.settimeout(max(0.1, self.deadline - time.monotonic()))
        self.sock = self.server.context.wrap_socket(
            self.sock, server_side=True, suppress_ragged_eofs=True)
        if self.holding:
            self.server.lock.release()
            self.holding = False
        self.tls = True
        if not self.wrong("keeps-state"):
            self.reset_state()

    def opt_info(self, opt, data):
        parsed = self.parse_info(opt, data)
        if parsed is None:
            return None
        name, wanted = parsed
        self.server.infos += 1
        if opt == Opt.INFO and self.server.infos > 2 and \
                self.wrong("info-dies"):
            self.server.die()
        real = self.find(name)
        if real in self.server.tls_only and not self.tls and \
                not self.wrong("tls-only-open"):
            self.error(opt, Rep.ERR_TLS_REQD)
            return None
        if real is None or string_fault(name.encode("utf-8", "replace")) and \
                not self.wrong("c-strings") and not self.wrong("cuts-names"):
            self._unknown(opt, name.replace("\0", "?"))
            return None
        return self.describe(opt, name, real, wanted)

    def _unknown(self, opt, name):
        if self.wrong("reqd-for-unknown"):
            self.error(opt, Rep.ERR_TLS_REQD)
        elif self.wrong("echoes-long"):
            self.error(opt, Rep.ERR_UNKNOWN, f"no export '{name}'")
        else:
            self.error(opt, Rep.ERR_POLICY if self.wrong("unknown-policy")
                       else Rep.ERR_UNKNOWN, f"no export '{name[:80]}'")
        if self.wrong("two-replies"):
            self.error(opt, Rep.ERR_INVALID)

    def parse_info(self, opt, data):
        """(name, wanted), or None where an error was sent."""
        if len(data) == 2 and self.wrong("short-hangs"):
            self.recv(4)
        fault = len(data) < 6
        if not fault:
            n = struct.unpack(">I", data[:4])[0]
            if n >= 1 << 31 and self.wrong("length-dies"):
                self.server.die()
            if n > len(data) - 6 and self.wrong("clamps-lengths"):
                n = len(data) - 6
                data = data[:4 + n] + bytes(2)
            fault = n > len(data) - 6
        if not fault:
            name = data[4:4 + n].decode("utf-8", "replace")
            count = struct.unpack(">H", data[4 + n:6 + n])[0]
            rest = data[6 + n:]
            fault = len(rest) != 2 * count and not (
                self.wrong("overlong-info") and len(rest) > 2 * count)
        if fault:
            self.error(opt, Rep.ERR_INVALID)
            return None
        return name, struct.unpack(f">{count}H", rest[:2 * count])

    def describe(self, opt, name, real, wanted):
        store = self.server.stores[real]
        flags = self.flags(name)
        size = store.size
        if self.tls and self.wrong("tls-size"):
            size -= 4096
        if opt == Opt.GO and self.wrong("go-differs"):
            flags ^= 1 << 4
        if any(w > 3 for w in wanted) and self.wrong("unknown-info"):
            self.error(opt, Rep.ERR_INVALID)
            return None
        if Info.BLOCK_SIZE in wanted and opt == Opt.INFO and \
                self.wrong("block-size-reqd"):
            self.error(opt, Rep.ERR_BLOCK_SIZE_REQD)
            return None
        self.reply(opt, Rep.INFO,
                   struct.pack(">HQH", Info.EXPORT, size, flags))
        if Info.NAME in wanted:
            shown = "other" if self.wrong("wrong-name") else real
            self.reply(opt, Rep.INFO,
                       struct.pack(">H", Info.NAME) + shown.encode())
        if Info.DESCRIPTION in wanted:
            text = store.description
            if self.wrong("wrong-description"):
                text += "!"
            self.reply(opt, Rep.INFO, struct.pack(">H", Info.DESCRIPTION)
                       + text.encode())
        if Info.BLOCK_SIZE in wanted:
            sizes = (3, 5, 7) if self.wrong("odd-block-sizes") else \
                (1, 4096, 32 << 20)
            self.reply(opt, Rep.INFO, struct.pack(
                ">HIII", Info.BLOCK_SIZE, *sizes))
        self.reply(opt, Rep.ACK)
        if opt == Opt.INFO:
            return None
        if self.wrong("go-pads"):
            self.send(bytes(124))
        self.asked = name
        return real

    def opt_structured(self, opt, data):
        if self.extended and not self.wrong("structured-after-extended"):
            self.error(opt, Rep.ERR_EXT_HEADER_REQD)
        elif data and not self.wrong("structured-data"):
            self.error(opt, Rep.ERR_INVALID)
        elif self.structured and self.wrong("structured-once"):
            self.error(opt, Rep.ERR_POLICY)
        else:
            self.structured = True
            self.reply(opt, Rep.ACK)

    def opt_extended(self, opt, data):
        if not self.server.extended:
            self.error(opt, Rep.ERR_UNKNOWN if self.wrong("no-extended")
                       else Rep.ERR_UNSUP)
        elif data and not self.wrong("extended-data"):
            self.error(opt, Rep.ERR_INVALID)
        elif self.extended and self.wrong("extended-once"):
            self.error(opt, Rep.ERR_POLICY)
        elif self.structured and self.wrong("extended-first-only"):
            self.error(opt, Rep.ERR_INVALID)
        else:
            self.extended = True
            self.structured = False
            self.reply(opt, Rep.ACK)

    HANDLERS = {
        Opt.ABORT: opt_abort, Opt.LIST: opt_list,
        Opt.STARTTLS: opt_starttls, Opt.INFO: opt_info, Opt.GO: opt_info,
        Opt.STRUCTURED_REPLY: opt_structured,
        Opt.EXTENDED_HEADERS: opt_extended,
        Opt.LIST_META_CONTEXT: Contexts.opt_meta,
        Opt.SET_META_CONTEXT: Contexts.opt_meta,
    }
