# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of vhdkitd's data path share: clients of libnbd, and one that
keeps many requests in flight and knows what each must answer."""

import os
import random
import struct

from fronttest import Server, serving
from plugintest import plugin_serving
from tooltest import KiB, Skip, check, equal

try:
    import nbd
except ImportError:
    nbd = None

SOCKET = "s.sock"


def need_nbd():
    if nbd is None:
        raise Skip("package python3-libnbd is not installed")


def served(*args, **popen):
    """The server on the Unix socket of this folder: vhdkitd, or with
    TEST_SERVER=nbdkit nbdkit with the plugin, for which options that speak of
    vhdkitd's inside mean nothing."""
    if os.environ.get("TEST_SERVER") == "nbdkit":
        return plugin_serving(*without_tuning(args), socket=SOCKET)
    return serving("--unix", SOCKET, *args, **popen)


def without_tuning(args):
    args = list(args)
    for option in ("--threads", "--io"):
        while option in args:
            at = args.index(option)
            del args[at:at + 2]
    return args


def uri(name=""):
    return f"nbd+unix:///{name}?socket={os.path.abspath(SOCKET)}"


def connect(name="", structured=True, contexts=("base:allocation",)):
    need_nbd()
    h = nbd.NBD()
    h.set_request_structured_replies(structured)
    for context in contexts if structured else ():
        h.add_meta_context(context)
    h.connect_uri(uri(name))
    return h


def killed(image, work, **popen):
    """Has a server serve the image and lets `work` be done; then kills it, with
    the client connected: when one leaves, what it wrote is flushed."""
    need_nbd()
    server = Server(["--unix", SOCKET, image], **popen)
    try:
        server.wait_for("listening on ")
        client = connect()
        work(client)
    finally:
        server.kill()
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)


def killed_in_time(prepare, work):
    """Like killed, of the image that `prepare` makes, until something is left
    in its journal: what a trim gives back is soon written down."""
    for _ in range(20):
        image = prepare()
        killed(image, work)
        if records_left(image):
            return
        os.unlink(image)
    raise AssertionError("nothing is left to be replayed, 20 times")


def records_left(image):
    path = os.getxattr(image, "user.vhdkit.journal").decode().split(" ")[1]
    with open(path, "rb") as file:
        file.seek(4096 + 16)
        tail, head = struct.unpack("<2Q", file.read(16))
    return head - tail


def not_served(name):
    """No client gets this export."""
    try:
        connect(name)
    except nbd.Error:
        return
    raise AssertionError(f"{name!r} was served")


class Model:
    """Random requests on a range of an export, `depth` of them in flight, none
    of which overlaps another.  Each read is compared with what is known; at
    the end so is everything."""

    def __init__(self, h, begin, end, seed, depth=64, known=None,
                 largest=96 * KiB):
        self.h = h
        self.begin, self.end = begin, end
        self.random = random.Random(seed)
        self.depth = depth
        self.largest = largest
        self.known = bytearray(known or bytes(end - begin))
        self.busy = {}  # cookie: (off, len)
        self.wrong = None
        self.flushes = set()

    def free_range(self):
        for _ in range(1000):
            kind = self.random.random()
            if kind < 0.5:
                length = 4 * KiB * self.random.randint(1, 4)
                off = self.random.randrange(self.begin, self.end, 4 * KiB)
            else:
                length = self.random.randint(1, self.largest)
                off = self.random.randrange(self.begin, self.end)
            length = min(length, self.end - off)
            if all(off + length <= o or o + n <= off
                   for o, n in self.busy.values()):
                return off, length
        raise AssertionError("no free range")

    def finish(self, cookie, what, error):
        self.busy.pop(cookie[0], None)
        if error and self.wrong is None:
            self.wrong = f"{what}: error {error}"
        return 1

    def read(self, off, length, cookie):
        buf = nbd.Buffer(length)
        at = off - self.begin
        wanted = bytes(self.known[at:at + length])

        def done(error):
            if not error and self.wrong is None:
                got = bytes(buf.to_bytearray())
                if got != wanted:
                    n = next(i for i in range(length) if got[i] != wanted[i])
                    self.wrong = (f"read of {length} at {off} differs at "
                                  f"{off + n}: got {got[n:n + 8].hex()}, "
                                  f"wanted {wanted[n:n + 8].hex()}")
            return self.finish(cookie, f"read of {length} at {off}", error)

        return self.h.aio_pread(buf, off, done)

    def write(self, off, length, cookie):
        data = self.random.randbytes(16) * (length // 16 + 1)
        data = data[:length]
        at = off - self.begin
        self.known[at:at + length] = data
        flags = nbd.CMD_FLAG_FUA if self.random.random() < 0.05 else 0
        return self.h.aio_pwrite(
            nbd.Buffer.from_bytearray(bytearray(data)), off,
            lambda e: self.finish(cookie, f"write of {length} at {off}", e),
            flags=flags)

    def zero(self, off, length, cookie):
        at = off - self.begin
        self.known[at:at + length] = bytes(length)
        flags = self.random.choice([0, 0, nbd.CMD_FLAG_NO_HOLE,
                                    nbd.CMD_FLAG_FUA])
        return self.h.aio_zero(
            length, off,
            lambda e: self.finish(cookie, f"zero of {length} at {off}", e),
            flags=flags)

    def trim(self, off, length, cookie):
        """What a trimmed range holds is not known, so zeros follow."""
        def trimmed(error):
            self.trims.append((off, length))
            return self.finish(cookie, f"trim of {length} at {off}", error)
        return self.h.aio_trim(length, off, trimmed)

    def one(self):
        kind = self.random.random()
        if kind < 0.02:
            self.h.aio_flush(lambda e: self.finish([None], "flush", e))
            return
        off, length = self.free_range()
        cookie = [None]
        if kind < 0.5:
            cookie[0] = self.read(off, length, cookie)
        elif kind < 0.9:
            cookie[0] = self.write(off, length, cookie)
        elif kind < 0.96 or self.trims is None:
            cookie[0] = self.zero(off, length, cookie)
        else:
            cookie[0] = self.trim(off, length, cookie)
        self.busy[cookie[0]] = (off, length)

    def run(self, requests):
        self.trims = []
        for _ in range(requests):
            while len(self.busy) >= self.depth:
                self.h.poll(-1)
            # Before anything else is asked of a range that was trimmed.
            while self.trims:
                self.settle(*self.trims.pop())
            self.one()
            check(self.wrong is None, self.wrong)
        self.drain()
        while self.trims:
            self.settle(*self.trims.pop())
        self.drain()
        self.compare()

    def settle(self, off, length):
        """Trimmed: reads as zeros or as before; fixes which."""
        while any(not (off + length <= o or o + n <= off)
                  for o, n in self.busy.values()):
            self.h.poll(-1)
        at = off - self.begin
        got = self.h.pread(length, off)
        old = self.known[at:at + length]
        for i in range(length):
            if got[i] not in (0, old[i]):
                raise AssertionError(f"after a trim, byte {off + i} is "
                                     f"{got[i]}, not {old[i]} or 0")
        self.known[at:at + length] = got

    def drain(self):
        while self.busy or self.h.aio_in_flight() > 0:
            self.h.poll(-1)
        check(self.wrong is None, self.wrong)

    def compare(self, step=1 << 20):
        for at in range(0, len(self.known), step):
            n = min(step, len(self.known) - at)
            got = self.h.pread(n, self.begin + at)
            if got != self.known[at:at + n]:
                i = next(i for i in range(n)
                         if got[i] != self.known[at + i])
                equal(bytes(got[i:i + 16]),
                      bytes(self.known[at + i:at + i + 16]),
                      f"bytes at {self.begin + at + i}")
