# SPDX-License-Identifier: BSD-2-Clause
#
# The toy server's store and its transmission phase; see toy.py.

import socket
import ssl
import struct
import threading
import time

from proto import (DF, EXT_REPLY_MAGIC, EXT_REQUEST_MAGIC, FAST_ZERO, FUA,
                   MAX_PAYLOAD, NO_HOLE, PAYLOAD_LEN, REPLY_DONE, REQ_ONE,
                   REQUEST_MAGIC, SIMPLE_MAGIC, STATE_HOLE, STATE_ZERO,
                   STRUCTURED_MAGIC, Chunk, Cmd, Err)
from toy import Drop, Session

PAGE = 4096


class Store:
    """A sparse array of bytes: pages that are not there are zero."""

    def __init__(self, size, description=""):
        self.size = size
        self.description = description
        self.bad = None                 # a byte that cannot be read
        self.pages = {}
        self.lock = threading.Lock()

    def read(self, off, n):
        out = bytearray(n)
        with self.lock:
            for i, at, lo, hi in self._pieces(off, n):
                page = self.pages.get(i)
                if page is not None:
                    out[at:at + hi - lo] = page[lo:hi]
        return out

    def write(self, off, data):
        with self.lock:
            for i, at, lo, hi in self._pieces(off, len(data)):
                page = self.pages.setdefault(i, bytearray(PAGE))
                page[lo:hi] = data[at:at + hi - lo]

    def zero(self, off, n, provision=False):
        end = off + n
        first, last = -(-off // PAGE), end // PAGE
        with self.lock:
            for i in [i for i in self.pages if first <= i < last]:
                del self.pages[i]
            if provision:
                for i in range(first, last):
                    self.pages[i] = bytearray(PAGE)
            for i in {off // PAGE, end // PAGE} & set(self.pages):
                lo, hi = max(off, i * PAGE), min(end, (i + 1) * PAGE)
                if lo < hi:
                    self.pages[i][lo - i * PAGE:hi - i * PAGE] = \
                        bytes(hi - lo)

    @staticmethod
    def _pieces(off, n):
        at = 0
        while at < n:
            i, lo = divmod(off + at, PAGE)
            hi = min(PAGE, lo + n - at)
            yield i, at, lo, hi
            at += hi - lo

    def extents(self, off, n):
        """[(length, flags)] of base:allocation for a range."""
        end, out = off + n, []
        with self.lock:
            there = sorted(i for i in self.pages
                           if off // PAGE <= i <= (end - 1) // PAGE)
        at = off
        for i in there:
            lo, hi = max(i * PAGE, off), min((i + 1) * PAGE, end)
            if lo > at:
                out.append([lo - at, STATE_HOLE | STATE_ZERO])
            if out and out[-1][1] == 0 and lo == at:
                out[-1][0] += hi - lo
            else:
                out.append([hi - lo, 0])
            at = hi
        if at < end:
            out.append([end - at, STATE_HOLE | STATE_ZERO])
        return [tuple(e) for e in out]


class Transmission(Session):
    """One connection from the end of its handshake on."""

    def transmit(self, name):
        server = self.server
        stores = server.stores
        self.store = next(iter(stores.values())) \
            if self.wrong("one-store") else stores[name]
        if self.context_export != self.asked and \
                not self.wrong("contexts-follow"):
            self.contexts = {}
        self.unflushed, self.recent = [], []
        self.last_cookie = 0
        if self.wrong("four-connections"):
            with server.lock:
                server.infos += 1
                if server.infos > 4:
                    raise Drop
        try:
            while self.request():
                pass
            if self.wrong("disc-replies"):
                self.simple(0, 0)
            self.goodbye()
        except OSError:
            if self.wrong("reset-dies"):
                server.die()
            raise
        finally:
            if self.wrong("late-writes") and self.recent:
                threading.Timer(0.06, self._late).start()

    def _late(self):
        for off, data in self.recent:
            self.store.write(off, data)

    def goodbye(self):
        """close_notify, where there is someone to notify."""
        if self.tls and not self.wrong("no-close-notify"):
            self.sock.settimeout(0.2)
            try:
                self.sock.unwrap()
            except (OSError, ssl.SSLError):
                pass

    # Requests

    def request(self):
        if self.extended and not self.wrong("forgets-extended"):
            magic, flags, cmd, cookie, off, n = struct.unpack(
                ">IHHQQQ", self.recv(32))
            right = EXT_REQUEST_MAGIC
        else:
            magic, flags, cmd, cookie, off, n = struct.unpack(
                ">IHHQQI", self.recv(28))
            right = REQUEST_MAGIC
        if magic != right and not self.wrong("any-magic"):
            if self.wrong("magic-hangs"):
                self.server.stopping.wait()
            raise Drop
        if cmd == Cmd.DISC:
            return False
        self.cmd, self.flags_, self.off, self.n = cmd, flags, off, n
        self.cookie = self.wire_cookie = cookie
        if self.wrong("cookies") and off % 7 == 3:
            self.wire_cookie ^= 1
        if self.wrong("status-cookie") and cmd == Cmd.BLOCK_STATUS:
            self.wire_cookie = self.last_cookie
        self.last_cookie = cookie
        self.serve(self.payload())
        return True

    def payload(self):
        announced = self.extended and self.flags_ & PAYLOAD_LEN
        has = announced or self.cmd == Cmd.WRITE
        if self.extended and not announced and \
                (self.wrong("write-without-payload") or
                 (self.wrong("unannounced-not-drained") and self.check(b""))):
            has = False
        if self.cmd == Cmd.READ and self.flags_ & PAYLOAD_LEN and \
                self.wrong("payload-compact"):
            has = True
        if not has or not self.n:
            if self.n > 1 << 28 and self.wrong("length-dies"):
                self.server.die()
            if self.n == 0 and self.wrong("zero-closes"):
                raise Drop
            if self.n > 64 << 20 and self.wrong("effects-close"):
                raise Drop
            return b""
        if self.n > MAX_PAYLOAD and self.n > 1 << 26:
            if self.wrong("oversized-dies"):
                self.server.die()
            if not self.wrong("oversized-drained"):
                raise Drop
            self.drain(self.n)
        if self.n > 16 << 20 and self.wrong("small-payloads"):
            raise Drop
        if self.extended and self.wrong("payload-not-drained"):
            return b""
        if self.wrong("no-write-drain") and self.check(b""):
            return b""
        if self.tls and self.wrong("drains-the-raw-socket") and \
                self.check(b""):
            raise Drop
        return self.recv(self.n)

    FLAGS = {
        Cmd.READ: FUA | DF, Cmd.WRITE: FUA, Cmd.FLUSH: FUA, Cmd.TRIM: FUA,
        Cmd.CACHE: FUA, Cmd.WRITE_ZEROES: FUA | NO_HOLE | FAST_ZERO,
        Cmd.BLOCK_STATUS: FUA | REQ_ONE,
    }

    def check(self, payload):
        """The error a request deserves, or 0."""
        cmd, flags = self.cmd, self.flags_
        if self.server.shutdown.is_set():
            return Err.ESHUTDOWN
        if cmd not in self.FLAGS:
            return 0 if self.wrong("unknown-command") else Err.EINVAL
        fault = self.check_flags(cmd, flags)
        if fault:
            return fault
        if self.server.readonly and not self.wrong("readonly-writes") and \
                cmd in (Cmd.WRITE, Cmd.TRIM, Cmd.WRITE_ZEROES):
            return Err.EPERM
        if cmd == Cmd.BLOCK_STATUS and not self.contexts and \
                not self.wrong("status-unasked"):
            return Err.EINVAL
        if cmd == Cmd.FLUSH:
            if self.wrong("flush-fails"):
                return Err.EIO
            return (Err.EINVAL if self.wrong("flush-strict")
                    and (self.off or self.n) else 0)
        return self.check_range(cmd)

    def check_flags(self, cmd, flags):
        allowed = self.FLAGS[cmd]
        if not (self.structured or self.extended):
            allowed &= ~DF
        if not self.server.fast_zero and not self.wrong("fast-zero-quietly"):
            allowed &= ~FAST_ZERO
        if self.extended and cmd in (Cmd.WRITE, Cmd.BLOCK_STATUS):
            allowed |= PAYLOAD_LEN
        if self.wrong("no-fua"):
            allowed &= ~FUA
        if cmd == Cmd.CACHE and self.wrong("cache-flags"):
            allowed = 0xffff
        if flags & ~allowed and not self.wrong("any-flags-of-commands"):
            return Err.EINVAL
        return 0

    def check_range(self, cmd):
        off, n, size = self.off, self.effect(), self.store.size
        late = off > size or n > size - off
        if self.wrong("range-wraps"):
            late = (off + n) % (1 << 64) > size
        if self.wrong("32-bit-ranges"):
            late = off > size or n % (1 << 32) > size - off
        if late:
            if cmd == Cmd.READ and self.wrong("reads-past-the-end"):
                return 0
            if cmd == Cmd.BLOCK_STATUS and self.wrong("status-past-the-end"):
                return 0
            if cmd in (Cmd.TRIM, Cmd.WRITE_ZEROES) and \
                    self.wrong("trims-past-the-end"):
                return 0
            return (Err.ENOSPC if cmd in (Cmd.WRITE, Cmd.WRITE_ZEROES)
                    else Err.EINVAL)
        if cmd == Cmd.READ and n > MAX_PAYLOAD:
            return Err.EINVAL
        if off + n == size and n and self.wrong("short-of-the-end"):
            return Err.EIO
        return 0

    def effect(self):
        if self.extended and self.cmd == Cmd.BLOCK_STATUS and \
                self.flags_ & PAYLOAD_LEN:
            return 0
        return self.n

    def serve(self, payload):
        error = self.check(payload)
        if error:
            self.fail(error, payload)
        elif self.cmd == Cmd.READ:
            self.read()
        elif self.cmd == Cmd.BLOCK_STATUS:
            self.status(payload)
        else:
            error = self.change(payload)
            self.fail(error) if error else self.done()

    # Replies

    def send(self, data):
        if self.deadline is None and self.wrong("send-lock"):
            with self.server.lock:
                super().send(data)
            return
        if self.wrong("nagle") and self.deadline is None and \
                self.sock.family != socket.AF_UNIX:
            time.sleep(0.04)
        super().send(data)

    def simple(self, error, cookie, data=b""):
        self.send(struct.pack(">IIQ", SIMPLE_MAGIC, error, cookie) + data)

    def chunk(self, kind, data, done=True):
        flags = REPLY_DONE if done else 0
        if self.wrong("reply-flags"):
            flags |= 4
        if self.extended and not self.wrong("forgets-extended"):
            off = self.off + self.wrong("extended-offset")
            head = struct.pack(">IHHQQQ", EXT_REPLY_MAGIC, flags, kind,
                               self.wire_cookie, off, len(data))
        else:
            head = struct.pack(">IHHQI", STRUCTURED_MAGIC, flags, kind,
                               self.wire_cookie, len(data))
        self.send(head + data)

    def done(self):
        if self.extended and not self.wrong("simple-in-extended"):
            self.chunk(Chunk.NONE, b"")
        else:
            self.simple(0, self.wire_cookie)

    def fail(self, error, payload=b""):
        text = f"command {self.cmd} refused"
        chunks = self.structured or self.extended
        if self.extended and self.wrong("simple-in-extended"):
            chunks = False
        if self.structured and self.wrong("simple-errors") and \
                (self.cmd != Cmd.READ or self.wrong("simple-read-errors")):
            chunks = False
        if chunks:
            if self.cmd == Cmd.READ and self.wrong("garbage-on-error"):
                self.chunk(Chunk.OFFSET_DATA,
                           struct.pack(">Q", self.off) + bytes(8))
                return
            self.chunk(Chunk.ERROR, struct.pack(">IH", error, len(text))
                       + text.encode())
            return
        data = b""
        if self.cmd == Cmd.READ and self.wrong("data-on-error"):
            data = bytes(min(self.n, 4096))
        self.simple(error, self.wire_cookie, data)

    # Commands

    def read(self):
        n = self.n
        bad = self.store.bad
        if bad is not None and self.off <= bad < self.off + n and \
                not self.wrong("failure-is-success"):
            self.fail_midway(bad)
            return
        data = bytes(self.store.read(self.off, n))
        if self.tls and n > 1 << 20 and self.wrong("tls-long-reads"):
            data = data[:1 << 20]
        if not (self.structured or self.extended):
            self.simple(0, self.wire_cookie, data)
            return
        parts = self.parts(n)
        if not parts:
            self.chunk(Chunk.NONE, b"")
        for i, (at, m, hole) in enumerate(parts):
            last = i == len(parts) - 1
            if hole:
                self.chunk(Chunk.OFFSET_HOLE,
                           struct.pack(">QI", self.off + at, m), last)
            else:
                self.chunk(Chunk.OFFSET_DATA,
                           struct.pack(">Q", self.off + at)
                           + data[at:at + m], last)

    def fail_midway(self, bad):
        """Some data, if chunks are in use, and then the error."""
        if self.structured or self.extended:
            m = bad - self.off
            if m:
                self.chunk(Chunk.OFFSET_DATA, struct.pack(">Q", self.off)
                           + bytes(m), done=False)
        self.fail(Err.EIO)

    def parts(self, n):
        """[(offset in the request, length, is a hole)]"""
        if not n:
            return []
        if self.flags_ & DF and not self.wrong("df-fragments"):
            return [(0, n, False)]
        out, at = [], 0
        for m, state in self.store.extents(self.off, n):
            out.append((at, m, bool(state & STATE_ZERO)))
            at += m
        if self.wrong("chunks-overlap") and len(out) > 1:
            at, m, hole = out[1]
            out[1] = (at - 1, m + 1, hole)
        if self.wrong("chunks-short") and n > 4096:
            at, m, hole = out[-1]
            out[-1] = (at, m - 1, hole)
        if self.flags_ & DF and self.wrong("df-fragments") and n > 1:
            return [(0, 1, False), (1, n - 1, False)]
        return out

    def change(self, payload):
        """WRITE, FLUSH, TRIM, CACHE, WRITE_ZEROES; an error or 0."""
        cmd, off, n, flags = self.cmd, self.off, self.n, self.flags_
        if cmd == Cmd.WRITE:
            return self.write(off, payload, flags)
        if cmd == Cmd.FLUSH:
            for at, data in self.unflushed:
                self.store.write(at, data)
            self.unflushed = []
        elif cmd == Cmd.TRIM:
            m = n + (512 if self.wrong("trims-more") else 0)
            self.store.zero(off, m)
        elif cmd == Cmd.WRITE_ZEROES:
            return self.zero(off, n, flags)
        elif cmd == Cmd.CACHE and self.wrong("cache-changes"):
            self.store.write(off, b"?")
        return 0

    def write(self, off, data, flags):
        if self.wrong("sector-writes"):
            off, data = off // 512 * 512, data[:len(data) // 512 * 512]
        if self.wrong("loses-writes") or \
                (self.tls and self.wrong("tls-loses-writes")) or \
                (self.extended and self.wrong("extended-loses-writes")):
            data = data[:-1]
        if self.wrong("late-writes"):
            self.recent = (self.recent + [(off, data)])[-64:]
        if self.wrong("private-cache"):
            self.unflushed.append((off, data))
        else:
            self.store.write(off, data)
        return 0

    def zero(self, off, n, flags):
        if flags & FAST_ZERO and self.wrong("fast-zero-damages"):
            self.store.write(off, b"\0")
            return Err.ENOTSUP
        if self.wrong("enotsup") and (off % 512 or n % 512):
            return Err.ENOTSUP
        if self.wrong("zeroes-32M"):
            n = min(n, MAX_PAYLOAD)
        if self.wrong("zeroes-32-bit"):
            n %= 1 << 32
        if self.wrong("zeroes-more"):
            n += 512
        provision = flags & NO_HOLE and not self.wrong("no-hole-ignored")
        self.store.zero(off, n, provision and n <= MAX_PAYLOAD)
        return 0

    # Block status

    def status(self, payload):
        ids, n = list(self.contexts), self.n
        if self.extended and self.flags_ & PAYLOAD_LEN:
            if len(payload) < 12 or len(payload) % 4:
                if not self.wrong("status-any-payload"):
                    return self.fail(Err.EINVAL)
                payload = struct.pack(">QI", 4096, ids[0])
            n = struct.unpack(">Q", payload[:8])[0]
            asked = [i for i, in struct.iter_unpack(">I", payload[8:])]
            wrong = (len(set(asked)) != len(asked)
                     or set(asked) - set(ids))
            if wrong and not self.wrong("status-any-ids"):
                return self.fail(Err.EINVAL)
            if not self.wrong("status-all-ids"):
                ids = [i for i in ids if i in asked] or ids
            if self.off > self.store.size or n > self.store.size - self.off:
                return self.fail(Err.EINVAL)
        if not ids:
            ids = [1]
        if self.off and self.wrong("status-at-0-only"):
            return self.fail(Err.EIO)
        for i in ids:
            extents = self.extents_of(i, n)
            self.chunk(*self.encode(i, extents), done=False)
        return self.chunk(Chunk.NONE, b"")

    def extents_of(self, context, n):
        n = max(n, 1)
        if context == 2:
            extents = [(n, 1)]
        else:
            extents = self.store.extents(self.off, n)
        if not self.extended:
            extents = [(min(m, 0xffffffff), f) for m, f in extents]
            if n >= 0xfffff000 and self.wrong("status-wraps"):
                extents = [((m + 0xffff & ~0xffff) & 0xffffffff, f)
                           for m, f in extents]
            if self.off % 512 and n > 1 << 31 and \
                    self.wrong("status-unaligned-wraps"):
                extents[-1] = (0, extents[-1][1])
        elif self.wrong("status-32-bit") and n >= 1 << 32:
            extents = [(n & 0xffffffff & ~0xfff or 0, 0)]
        if self.wrong("status-knows-nothing"):
            extents = [(min(n, 0xffffffff), 0)]
        if self.wrong("status-lies"):
            extents = [(n, STATE_ZERO)]
        if self.wrong("status-inverted") and self.extended:
            extents = [(m, f ^ 3) for m, f in extents]
        if self.wrong("status-too-many"):
            extents.append((512, 0))
        if self.flags_ & REQ_ONE:
            extents = extents[:1]
            if self.wrong("req-one-long"):
                extents = [(extents[0][0] + 512, 0)]
        return extents

    def encode(self, context, extents):
        if self.extended and not self.wrong("status-compact"):
            count = len(extents) + self.wrong("status-count")
            return Chunk.BLOCK_STATUS_EXT, struct.pack(
                ">II", context, count) + b"".join(
                    struct.pack(">QQ", *e) for e in extents)
        return Chunk.BLOCK_STATUS, struct.pack(">I", context) + b"".join(
            struct.pack(">II", min(e[0], 0xffffffff), e[1])
            for e in extents)
