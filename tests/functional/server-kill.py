#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 in the middle of writes: what was acknowledged is there afterwards,
and the image is sound."""

import os
import random

from fronttest import Server
from servertest import SOCKET, connect, nbd, need_nbd
from tooltest import KiB, MiB, case, check, content, equal, run, vhdkit

ROUNDS = int(os.environ.get("KILL_ROUNDS", "6"))


class Writer:
    """Keeps writes in flight; knows what was acknowledged, and what may or may
    not have happened."""

    depth = 16

    def __init__(self, h, known, rng):
        self.h, self.known, self.rng = h, known, rng
        self.busy = {}  # sector range: (off, new bytes)
        self.answers = 0

    def choose(self):
        """Where, what and how to write next."""
        length = self.rng.choice([512, 4 * KiB, 4 * KiB, 64 * KiB, 300 * KiB])
        off = self.rng.randrange(0, (len(self.known) - length) // 512) * 512
        kind = self.rng.random()
        data = bytes(length) if kind < 0.15 else \
            self.rng.randbytes(4) * (length // 4)
        return off, data, kind > 0.97

    def start(self):
        off, data, fua = self.choose()
        if any(off < o + len(d) and o < off + len(data)
               for o, d in self.busy.values()):
            return
        key = object()
        self.busy[key] = (off, data)

        def done(error):
            self.answers += 1
            if not error:
                o, d = self.busy.pop(key)
                self.known[o:o + len(d)] = d
            return 1

        if any(data):
            self.h.aio_pwrite(data, off,
                              done, flags=nbd.CMD_FLAG_FUA if fua else 0)
        else:
            self.h.aio_zero(len(data), off, done)

    def others(self):
        if self.rng.random() < 0.005:
            self.h.aio_flush(lambda error: 1)

    def run(self, server, answers):
        """Kills the server after so many answers."""
        while self.answers < answers:
            while len(self.busy) >= self.depth:
                self.h.poll(-1)
            self.start()
            self.others()
        server.kill()
        try:
            while self.h.poll(1000) > 0 and self.busy:
                pass
        except nbd.Error:
            pass
        # What was asked for and not answered holds us, and the handle that.
        self.h = None


class Sweeper(Writer):
    """One sector in each block of a child, and never a flush: more blocks
    differ from the disk than memory or journal have room for."""

    depth = 64
    block = 16 * KiB

    def __init__(self, h, known, rng):
        super().__init__(h, known, rng)
        self.next = rng.randrange(len(known) // self.block)

    def choose(self):
        off = self.next * self.block % len(self.known)
        self.next += 1
        return off + self.rng.randrange(self.block // 512) * 512, \
            self.rng.randbytes(4) * 128, False

    def others(self):
        pass


def agree(got, known, busy):
    """Each sector is what was acknowledged or, of what was in flight, old or
    new."""
    maybe = {}
    for off, data in busy.values():
        for i in range(0, len(data), 512):
            maybe[off + i] = data[i:i + 512]
    for at in range(0, len(known), 64 * KiB):
        if got[at:at + 64 * KiB] == known[at:at + 64 * KiB]:
            continue
        for sec in range(at, at + 64 * KiB, 512):
            now = got[sec:sec + 512]
            if now == known[sec:sec + 512]:
                continue
            check(now == maybe.get(sec),
                  f"sector {sec // 512} lost what was acknowledged: "
                  f"{now[:8].hex()} instead of {known[sec:sec + 8].hex()}")


def rounds(image, seed, answers, kind=Writer):
    """`answers`: so many at most, and in the first round."""
    need_nbd()
    rng = random.Random(seed)
    known = bytearray(content(image))
    for turn in range(ROUNDS):
        server = Server(["--unix", SOCKET, image])
        server.wait_for("listening on ")
        writer = kind(connect(), known, rng)
        writer.run(server, rng.randint(1, answers) if turn else answers)
        # Who opens it next replays what the killed server had noted.
        server = Server(["--unix", SOCKET, image])
        server.wait_for("listening on ")
        h = connect()
        got = bytearray()
        for at in range(0, len(known), MiB):
            got += h.pread(MiB, at)
        h.shutdown()
        equal(server.stop(), 0, "exit status")
        agree(got, known, writer.busy)
        known[:] = got
        done = vhdkit("check", image, code=None)
        check(done.returncode in (0, 3), done.out + done.err)


@case("a dynamic image after kill -9")
def _():
    vhdkit("create", "--size", "64M", "disk.vhd")
    rounds("disk.vhd", 1, 1500)


@case("a differencing image after kill -9")
def _():
    vhdkit("create", "--size", "64M", "base.vhd")
    vhdkit("write", "base.vhd", "--offset", "1M",
           data=os.urandom(1024) * 20480)
    vhdkit("create", "--parent", "base.vhd", "disk.vhd")
    rounds("disk.vhd", 2, 1500)


@case("a child with more changed blocks than any bound after kill -9")
def _():
    vhdkit("create", "--size", str(9216 * Sweeper.block), "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "--block-size",
           str(Sweeper.block), "disk.vhd")
    rounds("disk.vhd", 3, 6000, Sweeper)


@case("a chain of 64 after kill -9")
def _():
    vhdkit("create", "--size", "64M", "0.vhd")
    for i in range(1, 64):
        vhdkit("write", f"{i - 1}.vhd", "--offset", f"{i - 1}M",
               data=os.urandom(1024) * 1024)
        vhdkit("create", "--parent", f"{i - 1}.vhd", f"{i}.vhd")
    rounds("63.vhd", 4, 1500)


run()
