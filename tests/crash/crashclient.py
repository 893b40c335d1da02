# SPDX-License-Identifier: BSD-2-Clause
"""The crash proof's client: it keeps requests in flight, and writes into the
log of a recording (crashtest.py) what it asks for and what it is told."""

import struct

try:
    import nbd
except ImportError:
    nbd = None

PATIENCE = 60

# record.h
MAGIC = 0x31524b56
BEGIN, ISSUE, ACK, SEEN, CLOSED, KILLED = 1, 10, 11, 12, 13, 14
WRITE, ZERO, TRIM, FLUSH = 1, 2, 3, 4
FUA = 1
RECORD = struct.Struct("<IHHQQQqQQII")


class Died(Exception):
    """The server is no more."""


class Load:
    """What a client does.  Shares of the requests, and what they are like."""

    def __init__(self, requests=200, depth=8, **more):
        self.requests = requests
        self.depth = depth
        self.zero, self.trim, self.flush, self.fua = 0.06, 0.06, 0.05, 0.03
        self.odd = 0.15     # of the writes, not on sectors
        self.whole = 0.5    # of zeros and trims, whole blocks
        self.lengths = [1, 1, 2, 8, 8, 8, 16, 24]  # sectors
        self.hot, self.span = 0.6, 24  # so many go to these blocks
        self.flush_first = False
        self.no_hole = 0.2
        self.read = 0.1
        self.settle = True  # read the whole disk at the end
        self.ascending = False
        self.overlap = False  # whole blocks are cleared under writes in flight
        for name, value in more.items():
            assert hasattr(self, name), name
            setattr(self, name, value)


def is_seen(now, may):
    """Whether a read may show this of a sector that may be any of these.  While
    it is being written, a read sees some bytes old and some new: the kernel
    copies into and out of its cache without looking at others."""
    return now in may or \
        all(any(m[i] == b for m in may) for i, b in enumerate(now))


class Client:
    """Keeps requests in flight, no two of which touch one sector."""

    def __init__(self, run, load):
        self.run_, self.load = run, load
        self.h, self.random = run.handle, run.random
        self.unsure = []  # ranges to be read before anything else
        self.flying = 0
        self.next = 0
        self.wrong = None
        self.asked, self.writing = set(), set()  # not yet answered
        self.covered = set()  # writes that something cleared meanwhile
        self.live = {}    # ident: (off, len) of what nobody may touch
        self.reads = {}   # ident: (off, what each of its sectors may be)

    def run(self):
        if self.load.flush_first:
            self.flush()
            self.drain()
        for _ in range(self.load.requests):
            while self.flying >= self.load.depth:
                self.poll()
            self.settle()
            self.one()
        self.drain()

    def poll(self):
        try:
            if self.h.poll(int(PATIENCE * 1000)) == 0:
                raise AssertionError("no answer: " + self.run_.server_log())
        except nbd.Error:
            self.run_.dead_or_raise()
        if self.h.aio_is_dead() or self.h.aio_is_closed():
            self.run_.dead_or_raise()
        if self.wrong:
            raise self.wrong

    def drain(self):
        while self.flying or self.unsure:
            self.settle()
            if self.flying:
                self.poll()

    # ------------------------------------------------------------ requests

    def place(self, sectors):
        """Where so many sectors are free."""
        per_block = self.run_.block // 512
        all_of_it = self.run_.size // 512
        if sectors >= all_of_it:
            return None
        for _ in range(200):
            top = all_of_it
            if self.random.random() < self.load.hot:
                top = max(sectors, min(top, self.load.span * per_block))
            if self.load.ascending:
                sec = self.next % (all_of_it - sectors)
                self.next += per_block
            else:
                sec = self.random.randrange(0, max(1, top - sectors + 1))
            if self.free(sec * 512, sectors * 512):
                return sec * 512
        return None

    def free(self, off, length):
        return all(off + length <= o or o + n <= off
                   for o, n in self.live.values())

    def one(self):
        x = self.random.random()
        load = self.load
        if x < load.flush:
            self.flush()
        elif x < load.flush + load.zero:
            self.clear(ZERO)
        elif x < load.flush + load.zero + load.trim:
            self.clear(TRIM)
        elif self.random.random() < load.read:
            self.read()
        else:
            self.write()

    def fua(self):
        return self.random.random() < self.load.fua

    def begin(self, op, off, new, data=0, fua=False):
        run = self.run_
        run.requests += 1
        ident = run.requests
        run.note(ISSUE, op, ident, off, len(new), FUA if fua else 0, data)
        if op != FLUSH:
            run.busy[ident] = (off, new)
            self.live[ident] = (off, len(new))
            for at, may in self.reads.values():
                self.may_see(at, may, off, new)
        self.flying += 1
        self.asked.add(ident)
        if op == WRITE:
            self.writing.add(ident)
        return ident

    def may_see(self, at, may, off, new):
        """Whoever reads from `at` may see this too."""
        first = max(at, off)
        last = min(at + 512 * len(may), off + len(new))
        for sec in range(first, last, 512):
            may[(sec - at) // 512].add(new[sec - off:sec - off + 512])

    def read(self):
        """Of anything, whoever is changing it."""
        sectors = self.random.choice(self.load.lengths)
        top = self.run_.size // 512
        if self.random.random() < self.load.hot:
            top = min(top, self.load.span * self.run_.block // 512)
        top = max(top, sectors)
        off = self.random.randrange(0, top - sectors + 1) * 512
        if self.load.overlap:  # the next of the blocks, whole
            sectors = self.run_.block // 512
            off = self.next % self.load.span * self.run_.block
            self.next += 1
        known = self.run_.known
        may = [{bytes(known[off + i * 512:off + i * 512 + 512])}
               for i in range(sectors)]
        for at, new in self.run_.busy.values():
            self.may_see(off, may, at, new)
        buf, ident = nbd.Buffer(sectors * 512), object()
        self.reads[ident] = (off, may)
        self.flying += 1

        def done(error):
            if not error.value:
                self.flying -= 1
                del self.reads[ident]
                got = bytes(buf.to_bytearray())
                for i in range(sectors):
                    now = got[i * 512:i * 512 + 512]
                    if not is_seen(now, may[i]) and not self.wrong:
                        self.wrong = AssertionError(
                            f"a read saw in sector {off // 512 + i} "
                            f"{now[:12].hex()}, which it never was")
            return 1

        self.issue(self.h.aio_pread, buf, off, done)

    def finish(self, ident, op, error):
        run, error = self.run_, error.value
        if not self.h.aio_is_dead() and error not in (107, 108, 104, 32):
            run.note(ACK, op, ident, result=-error)
        elif error:
            return 1  # nobody knows; it stays busy
        self.flying -= 1
        self.asked.discard(ident)
        self.writing.discard(ident)
        run.errors += bool(error)
        if op == FLUSH:
            return 1
        off, new = run.busy[ident]
        if error or op == TRIM or ident in self.covered:
            self.unsure.append((ident, off, new))
        else:
            run.known[off:off + len(new)] = new
            del run.busy[ident], self.live[ident]
        return 1

    def issue(self, function, *args, **more):
        try:
            function(*args, **more)
        except nbd.Error:
            self.run_.dead_or_raise()

    def flush(self):
        ident = self.begin(FLUSH, 0, b"")
        self.issue(self.h.aio_flush, lambda e: self.finish(ident, FLUSH, e))

    def write(self):
        run = self.run_
        sectors = self.random.choice(self.load.lengths)
        off = self.place(sectors)
        if off is None:
            return
        ident_bytes = struct.pack("<Q", run.requests + 1)
        new = b"".join(ident_bytes * 63 + struct.pack("<Q", off // 512 + i)
                       for i in range(sectors))
        first, last = 0, len(new)
        if self.random.random() < self.load.odd:
            first = self.random.randrange(1, 511)
            last -= self.random.randrange(0, 512 if sectors > 1
                                          else 511 - first)
            new = bytes(run.known[off:off + first]) + new[first:last] + \
                bytes(run.known[off + last:off + len(new)])
        fua = self.fua()
        ident = self.begin(WRITE, off, new, run.keep(new), fua)
        self.issue(self.h.aio_pwrite,
                   nbd.Buffer.from_bytearray(bytearray(new[first:last])),
                   off + first, lambda e: self.finish(ident, WRITE, e),
                   flags=nbd.CMD_FLAG_FUA if fua else 0)

    def clear(self, op):
        per_block = self.run_.block // 512
        sectors = self.random.choice(self.load.lengths)
        if self.random.random() < self.load.whole:
            sectors = per_block * self.random.choice([1, 1, 1, 2, 4])
        if self.load.overlap and sectors >= per_block and self.writing:
            off = self.live[min(self.writing)][0]  # the slowest
            sectors = per_block
        else:
            off = self.place(sectors)
        if off is None:
            return
        if sectors >= per_block:
            off -= off % self.run_.block
            if not (self.free(off, sectors * 512) or
                    self.cover(op, off, sectors * 512)):
                return
        fua = self.fua()
        flags = nbd.CMD_FLAG_FUA if fua else 0
        ident = self.begin(op, off, bytes(sectors * 512), 0, fua)
        if op == ZERO:
            if self.random.random() < self.load.no_hole:
                flags |= nbd.CMD_FLAG_NO_HOLE
            self.issue(self.h.aio_zero, sectors * 512, off,
                       lambda e: self.finish(ident, op, e), flags=flags)
        else:
            self.issue(self.h.aio_trim, sectors * 512, off,
                       lambda e: self.finish(ident, op, e), flags=flags)

    def cover(self, op, off, length):
        """A trim may come in the way of writes that are in flight."""
        over = [i for i, (o, n) in self.live.items()
                if off < o + n and o < off + length]
        if op != TRIM or not self.load.overlap or \
                any(i not in self.writing for i in over):
            return False
        self.covered.update(over)
        return True

    def settle(self):
        """Reads what only the server knows, once nobody changes it."""
        waiting, self.unsure = self.unsure, []
        for ident, off, new in waiting:
            if any(off < o + n and o < off + len(new)
                   for i, (o, n) in self.live.items() if i in self.asked):
                self.unsure.append((ident, off, new))
                continue
            buf = nbd.Buffer(len(new))
            self.flying += 1

            def done(error, ident=ident, off=off, new=new, buf=buf):
                if not error.value:
                    self.flying -= 1
                    self.seen(ident, off, new, bytes(buf.to_bytearray()))
                return 1

            self.issue(self.h.aio_pread, buf, off, done)

    def seen(self, ident, off, new, got):
        maybe = {}
        for at, other in self.run_.busy.values():
            for sec in range(max(at, off), min(at + len(other),
                                               off + len(new)), 512):
                maybe.setdefault(sec, []).append(other[sec - at:sec - at + 512])
        try:
            self.run_.compare_sectors(got, off, maybe)
        except AssertionError as wrong:
            self.wrong = wrong  # not from within a callback
        self.run_.saw(off, got)
        del self.run_.busy[ident], self.live[ident]
