# SPDX-License-Identifier: BSD-2-Clause
"""One operation by libnbd: ops.py URI OPERATION.

It runs under the Python of the libnbd that is being tried, maybe in another
root; so it stands alone, and knows what matrix.py expects of each operation.
"""

import errno
import json
import sys
import time

import nbd

CHUNK = 1 << 20
DEPTH = 16


def connect(uri):
    h = nbd.NBD()
    h.add_meta_context("base:allocation")
    h.connect_uri(uri)
    return h


def do_info(h, _):
    print(json.dumps({
        "size": h.get_size(), "readonly": h.is_read_only(),
        "fua": h.can_fua(), "trim": h.can_trim(), "zero": h.can_zero(),
        "extended": extended(h)}))


def extended(h):
    """Newer ones know extended headers."""
    asked = getattr(h, "get_extended_headers_negotiated", None)
    return bool(asked and asked())


def do_read(h, plan):
    """All of it, to the file that is named; pieces overlap sector borders."""
    with open(plan["file"], "wb") as out:
        at = 0
        while at < h.get_size():
            n = min(CHUNK - 300, h.get_size() - at)
            out.write(h.pread(n, at))
            at += n


def write(h, plan, flags):
    for off, length, byte in plan["writes"]:
        h.pwrite(bytes([byte]) * length, off, flags)
        if h.pread(length, off) != bytes([byte]) * length:
            sys.exit(f"{length} bytes at {off} were not read back")
    h.flush()


def do_write(h, plan):
    write(h, plan, 0)


def do_fua(h, plan):
    if not h.can_fua():
        sys.exit("FUA is not offered")
    write(h, plan, nbd.CMD_FLAG_FUA)


def do_zero(h, plan):
    for i, (off, length) in enumerate(plan["ranges"]):
        h.zero(length, off, nbd.CMD_FLAG_NO_HOLE if i % 2 else 0)
        if h.pread(length, off).count(0) != length:
            sys.exit(f"{length} bytes at {off} were not zeroed")
    h.flush()


def do_trim(h, plan):
    for off, length in plan["ranges"]:
        h.trim(length, off)
    h.flush()


def extents(h, off, length):
    found = []

    def add(_context, _offset, entries, _error):
        found.extend(tuple(e) for e in entries if isinstance(e, tuple))
        if not found:
            found.extend(zip(entries[::2], entries[1::2]))
        return 0

    getattr(h, "block_status_64", h.block_status)(length, off, add)
    return found


def do_status(h, _):
    """The runs of base:allocation, adjoining ones of a kind as one."""
    runs, at = [], 0
    while at < h.get_size():
        for length, flags in extents(h, at, h.get_size() - at):
            length = min(length, h.get_size() - at)
            if runs and runs[-1][2] == flags:
                runs[-1][1] += length
            else:
                runs.append([at, length, flags])
            at += length
    print(json.dumps(runs))


class Writer:
    """A program that connects again when its server has gone, and then repeats
    what was not answered.  An answer that is an error would be its end.  Until
    a restart that it called for has come it goes on, with what it has written
    already, so that something is in flight then."""

    def __init__(self, h, uri, writes, restarts):
        self.h, self.uri, self.writes, self.restarts = h, uri, writes, restarts
        self.todo = list(reversed(writes))
        self.done = self.called = self.gone = 0

    def start(self, write):
        off, length, byte = write

        def finish(error):
            error = getattr(error, "value", error)
            if error in (errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE):
                self.todo.append(write)
            elif error:
                sys.exit(f"the write at {off} got {errno.errorcode[error]}")
            else:
                self.answered()
            return 1

        data = nbd.Buffer.from_bytearray(bytearray([byte]) * length)
        try:
            self.h.aio_pwrite(data, off, finish)
        except nbd.Error:
            self.todo.append(write)
            raise

    def answered(self):
        self.done += 1
        if self.done in self.restarts:
            self.called += 1
            print("restart", flush=True)

    def reconnect(self):
        self.gone += 1
        for _ in range(2400):
            try:
                self.h = connect(self.uri)
                return
            except nbd.Error:
                time.sleep(0.05)
        sys.exit("the server did not come back")

    def fill(self):
        while self.h.aio_in_flight() < DEPTH:
            if self.todo:
                self.start(self.todo.pop())
            elif self.called > self.gone:
                self.start(self.writes[self.done % len(self.writes)])
            else:
                return

    def run(self):
        while self.todo or self.h.aio_in_flight() or self.called > self.gone:
            try:
                self.fill()
                self.h.poll(-1)
            except nbd.Error:
                pass
            if self.h.aio_is_dead() or self.h.aio_is_closed():
                self.reconnect()


def do_last(h, plan):
    """Writes while the server goes and comes; says when it may do so."""
    w = Writer(h, sys.argv[1], plan["writes"], plan["restarts"])
    w.run()
    h = connect(sys.argv[1])
    for off, length, byte in plan["writes"]:
        if h.pread(length, off) != bytes([byte]) * length:
            sys.exit(f"the write at {off} is lost")
    h.flush()


def main():
    h = connect(sys.argv[1])
    plan = json.loads(sys.argv[3])
    globals()["do_" + sys.argv[2]](h, plan)


main()
