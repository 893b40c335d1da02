#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 in the middle of writes: what was acknowledged is there afterwards,
and the image is sound."""

import os
import random
import time

from fronttest import Server
from servertest import SOCKET, connect, nbd, need_nbd
from tooltest import KiB, MiB, case, check, content, equal, run, vhdkit

SIZE = 64 * MiB
ROUNDS = int(os.environ.get("KILL_ROUNDS", "6"))


class Writer:
    """Keeps 16 writes in flight; knows what was acknowledged, and what may or
    may not have happened."""

    def __init__(self, h, known, rng):
        self.h, self.known, self.rng = h, known, rng
        self.busy = {}  # sector range: (off, new bytes)
        self.gone = False

    def start(self):
        length = self.rng.choice([512, 4 * KiB, 4 * KiB, 64 * KiB, 300 * KiB])
        off = self.rng.randrange(0, (SIZE - length) // 512) * 512
        if any(off < o + len(d) and o < off + length
               for o, d in self.busy.values()):
            return
        kind = self.rng.random()
        data = bytes(length) if kind < 0.15 else \
            self.rng.randbytes(4) * (length // 4)
        key = object()
        self.busy[key] = (off, data)

        def done(error):
            if not error:
                o, d = self.busy.pop(key)
                self.known[o:o + len(d)] = d
            return 1

        if kind < 0.15:
            self.h.aio_zero(length, off, done)
        else:
            flags = nbd.CMD_FLAG_FUA if kind > 0.97 else 0
            self.h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), off,
                              done, flags=flags)

    def run(self, server, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            while len(self.busy) >= 16:
                self.h.poll(-1)
            self.start()
            if self.rng.random() < 0.005:
                self.h.aio_flush(lambda error: 1)
        server.process.kill()
        server.process.wait()
        try:
            while self.h.poll(1000) > 0 and self.busy:
                pass
        except nbd.Error:
            pass


def agree(got, known, busy):
    """Each sector is what was acknowledged or, of what was in flight, old or
    new."""
    maybe = {}
    for off, data in busy.values():
        for i in range(0, len(data), 512):
            maybe[off + i] = data[i:i + 512]
    for at in range(0, SIZE, 64 * KiB):
        if got[at:at + 64 * KiB] == known[at:at + 64 * KiB]:
            continue
        for sec in range(at, at + 64 * KiB, 512):
            now = got[sec:sec + 512]
            if now == known[sec:sec + 512]:
                continue
            check(now == maybe.get(sec),
                  f"sector {sec // 512} lost what was acknowledged: "
                  f"{now[:8].hex()} instead of {known[sec:sec + 8].hex()}")


def rounds(image, seed):
    need_nbd()
    rng = random.Random(seed)
    known = bytearray(content(image))
    for _ in range(ROUNDS):
        server = Server(["--unix", SOCKET, image])
        server.wait_for("listening on ")
        writer = Writer(connect(), known, rng)
        writer.run(server, rng.uniform(0.05, 0.6))
        # Who opens it next replays what the killed server had noted.
        server = Server(["--unix", SOCKET, image])
        server.wait_for("listening on ")
        h = connect()
        got = bytearray()
        for at in range(0, SIZE, MiB):
            got += h.pread(MiB, at)
        h.shutdown()
        equal(server.stop(), 0, "exit status")
        agree(got, known, writer.busy)
        known[:] = got
        done = vhdkit("check", image, code=None)
        check(done.returncode in (0, 3), done.out + done.err)


@case("a dynamic image after kill -9")
def _():
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    rounds("disk.vhd", 1)


@case("a differencing image after kill -9")
def _():
    vhdkit("create", "--size", str(SIZE), "base.vhd")
    vhdkit("write", "base.vhd", "--offset", "1M",
           data=os.urandom(1024) * 20480)
    vhdkit("create", "--parent", "base.vhd", "disk.vhd")
    rounds("disk.vhd", 2)


run()
