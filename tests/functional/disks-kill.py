#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who serves is killed under load: the clients of a disk come again to the same
children, and find all that was acknowledged to them."""

import contextlib
import os
import signal
import threading
import time

from diskstest import (ANYBODY, DISK, child, config, golden, make_disk,
                       pattern)
from fronttest import PATIENCE, Server
from servertest import SOCKET, connect, nbd, need_nbd
from tooltest import case, check, equal, run, same_bytes, vhdkit

MACHINES = 4
PIECE = 24 * 1024 + 512
PIECES = 100


class Machine:
    """Writes piece after piece, and comes again whenever it is cut off.  What
    was under way then may be there or not."""

    def __init__(self, i):
        self.name = f"{DISK}/pc{i}"
        self.i = i
        self.done = 0  # pieces that were acknowledged
        self.kept = 0  # of those, what was seen to be there after a kill
        self.wrong = None
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def piece(self, n):
        return pattern((self.i, n), PIECE)

    def come(self):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return connect(self.name)
            except nbd.Error:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def compare(self, h):
        for n in range(self.done):
            got = bytes(h.pread(PIECE, n * PIECE))
            same_bytes(got, self.piece(n), f"piece {n} of {self.name}")
        rest = bytes(h.pread(4096, PIECES * PIECE))
        same_bytes(rest, golden()[PIECES * PIECE:][:4096], "the rest")
        self.kept = self.done

    def work(self):
        try:
            while not self.ends.is_set():
                self.session()
        except Exception as error:  # pylint: disable=broad-except
            self.wrong = f"{self.name}: {error!r}"

    def session(self):
        h = self.come()
        try:
            self.compare(h)
            while self.done < PIECES and not self.ends.is_set():
                h.pwrite(self.piece(self.done), self.done * PIECE)
                self.done += 1
            self.ends.wait(0.02)
        except nbd.Error:
            pass


started = []


def start():
    server = Server(["--config", config(ANYBODY), "--unix", SOCKET])
    started.append(server)
    server.wait_for("listening on ")
    return server


@contextlib.contextmanager
def nothing_left():
    """Of servers, whatever goes wrong."""
    try:
        yield
    except BaseException:
        for server in started:
            print("#", server.log().replace("\n", "\n# "))
        raise
    finally:
        while started:
            server = started.pop()
            if server.process.poll() is None:
                server.kill()


def wait_progress(machines, pieces):
    end = time.monotonic() + PATIENCE
    goal = [min(m.done + pieces, PIECES) for m in machines]
    while any(m.done < g and not m.wrong for m, g in zip(machines, goal)):
        check(time.monotonic() < end, f"at {[m.done for m in machines]}")
        time.sleep(0.01)


def finish(machines, server):
    wait_progress(machines, 1)
    for m in machines:
        m.ends.set()
    for m in machines:
        m.thread.join()
    equal([m.wrong for m in machines if m.wrong], [])
    for m in machines:
        m.compare(m.come())
        check(m.kept > 0, f"{m.name} has written nothing")
    server.stop()
    files = os.listdir(f"children/{DISK}")
    equal(sorted(files), [f"pc{m.i}.vhd" for m in machines])
    for m in machines:
        vhdkit("check", "--root", "disks", child(f"pc{m.i}"))


@case("the worker is killed, again and again")
@nothing_left()
def _():
    need_nbd()
    make_disk()
    server = start()
    machines = [Machine(i) for i in range(MACHINES)]
    for _ in range(3):
        wait_progress(machines, 8)
        os.kill(server.worker(), signal.SIGKILL)
        server.wait_for("was killed by signal 9")
    finish(machines, server)


@case("all of it is killed, and started again")
@nothing_left()
def _():
    need_nbd()
    make_disk()
    server = start()
    machines = [Machine(i) for i in range(MACHINES)]
    for _ in range(2):
        wait_progress(machines, 8)
        server.kill()
        os.unlink(SOCKET)
        server = start()
    finish(machines, server)


def helpers(server):
    found = []
    for pid in server.children():
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            if file.read() == "vhdkitd-helper\n":
                found.append(pid)
    return found


@case("helpers are killed while children are made, and others take over")
@nothing_left()
def _():
    need_nbd()
    make_disk()
    server = start()
    for i in range(8):
        for pid in helpers(server):
            os.kill(pid, signal.SIGKILL)
        h = connect(f"{DISK}/pc{i}")
        equal(bytes(h.pread(8, 0)), golden()[:8])
        h.pwrite(b"x", 0)
        h.shutdown()
    server.stop()
    equal(len(os.listdir(f"children/{DISK}")), 8)


run()
