#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The two processes of vhdkitd: what becomes of clients, images and sockets when
one of them dies."""

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import termios
import time

from fronttest import (GREETING, PATIENCE, Server, connect_unix, greeting,
                       image, serving)
from servertest import connect, nbd, need_nbd, served
from tooltest import KiB, MiB, case, check, contains, equal, run, vhdkit


NbdError = nbd.Error if nbd else OSError


def again(what):
    """What it returns, once it raises nothing any more."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return what()
        except (OSError, AssertionError, NbdError):
            check(time.monotonic() < end, "not in time")
            time.sleep(0.01)


def other_worker(server, old):
    worker = server.worker()
    check(worker != old, "the worker is the same")
    return worker


def deaths(server):
    return re.findall(r"the worker \(process \d+\) was killed by signal 9 "
                      r"\(Killed\); the next one starts in (\d+) ms$",
                      server.log(), flags=re.M)


class Load:
    """Writes with FUA, several in flight, that knows what was acknowledged."""

    block = 4 * KiB

    def __init__(self, h):
        self.h, self.acknowledged, self.count = h, {}, 0

    def start(self):
        number = self.count
        self.count += 1
        data = number.to_bytes(4, "big") * (self.block // 4)

        def done(error):
            if not error:
                self.acknowledged[number] = data
            return 1

        self.h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)),
                          number * self.block, done, flags=nbd.CMD_FLAG_FUA)

    def run(self, acknowledged):
        while len(self.acknowledged) < acknowledged:
            while self.h.aio_in_flight() < 8:
                self.start()
            self.h.poll(-1)

    def drain(self):
        with contextlib.suppress(NbdError):
            while self.h.aio_in_flight() > 0 and self.h.poll(1000) > 0:
                pass

    def compare(self, h):
        for number, data in self.acknowledged.items():
            equal(h.pread(self.block, number * self.block), data,
                  f"write {number}")


@case("a worker that is killed under load is replaced; nothing acknowledged is "
      "lost")
def _():
    need_nbd()
    image("disk.vhd", 64 * MiB)
    with served("disk.vhd") as server:
        load = Load(connect())
        load.run(50)
        worker = server.worker()
        os.kill(worker, signal.SIGKILL)
        load.drain()
        h = again(connect)
        other_worker(server, worker)
        equal(server.process.poll(), None, "the keeper")
        load.compare(h)
        load = Load(h)
        load.run(20)
        equal(len(deaths(server)), 1, server.log())
        h.shutdown()
    vhdkit("check", "disk.vhd")


def first_answer():
    h = connect()
    h.pread(512, 0)
    return h


class Refusals:
    """Tries until there is an answer; who is refused found nobody listening."""

    def __init__(self):
        self.texts = []

    def first_answer(self):
        try:
            return first_answer()
        except NbdError as error:
            self.texts.append(str(error))
            raise


def kill_under_load():
    """Seconds from the start to the first answer, and from the kill to the
    next worker's first answer."""
    began = time.monotonic()
    with served("disk.vhd") as server:
        h = first_answer()
        started = time.monotonic() - began
        load = Load(h)
        load.run(50)
        refusals = Refusals()
        killed = time.monotonic()
        os.kill(server.worker(), signal.SIGKILL)
        h = again(refusals.first_answer)
        back = time.monotonic() - killed
        load.drain()
        load.compare(h)
        equal([text for text in refusals.texts if "refused" in text], [],
              "the sockets stay open")
        equal(deaths(server), ["0"], "no pause is made")
        h.shutdown()
    return started, back


@case("after kill -9 under load a request is answered within 1 s, or as soon as "
      "after a start")
def _():
    need_nbd()
    image("disk.vhd", 64 * MiB)
    rounds = [kill_under_load() for _ in range(5)]
    started, back = (min(times) for times in zip(*rounds))
    print(f"# first answer {back:.3f} s after the kill, {started:.3f} s after "
          "a start")
    # On a machine that is busy with other things a start takes as long.
    check(back < max(1, 2 * started), f"{rounds}")


@case("a worker that aborts or crashes is replaced likewise")
def _():
    with served(image()) as server:
        for number in (signal.SIGABRT, signal.SIGSEGV):
            worker = server.worker()
            os.kill(worker, number)
            again(lambda old=worker: other_worker(server, old))
            again(connect).shutdown()
            # A sanitizer ends it with a status of its own.
            contains(server.log(), f"the worker (process {worker}) ")


@case("workers that die again and again are started ever more seldom")
def _():
    server = Server(["--unix", "s.sock", image()])
    server.wait_for("listening on")
    worker = None
    for _ in range(6):
        worker = again(lambda old=worker: other_worker(server, old))
        os.kill(worker, signal.SIGKILL)
    again(lambda: equal(len(deaths(server)), 6))
    equal([int(pause) for pause in deaths(server)],
          [0, 100, 200, 400, 800, 1600])
    # Now there is none: it ends as if it had just begun to start.
    equal(server.stop(), -signal.SIGTERM)
    equal(sorted(os.listdir()), ["disk.vhd", "vhdkitd.log"])


@case("after kill -9 of the keeper nobody serves, and the image is free")
def _():
    server = Server(["--unix", "s.sock", image()])
    server.wait_for("listening on")
    client = connect_unix("s.sock")
    equal(greeting(client), GREETING)
    server.kill()
    equal(client.recv(1), b"")
    with serving("--unix", "s.sock", "disk.vhd"):
        pass


@case("signals that reach the worker too end it in order, once")
def _():
    for number in (signal.SIGTERM, signal.SIGINT):
        server = Server(["--unix", "s.sock", image()],
                        start_new_session=True)
        server.wait_for("listening on")
        connect().pwrite(b"x" * 4096, 0)
        os.killpg(server.pid, signal.SIGHUP)
        os.killpg(server.pid, number)
        equal(server.wait(), 0)
        check("vhdkitd: error" not in server.log(), server.log())


@case("a client by descriptor is not waited for after its worker's death")
def _():
    ours, theirs = socket.socketpair()
    server = Server(["--fd", str(theirs.fileno()), image()],
                    pass_fds=[theirs.fileno()])
    theirs.close()
    ours.settimeout(PATIENCE)
    equal(greeting(ours), GREETING)
    os.kill(server.worker(), signal.SIGKILL)
    equal(ours.recv(1), b"")
    equal(server.wait(), 1)
    contains(server.log(), "was killed by signal 9")


@case("a keeper whose parent ignores the ends of children sees that of its own")
def _():
    with serving("--unix", "s.sock", image(), preexec_fn=lambda: signal.signal(
            signal.SIGCHLD, signal.SIG_IGN)) as server:
        worker = server.worker()
        os.kill(worker, signal.SIGKILL)
        again(lambda: other_worker(server, worker))
        equal(greeting(connect_unix("s.sock")), GREETING)


@case("helpers go when there is nothing to open any more")
def _():
    names = [image(f"{i}.vhd") for i in range(40)]
    with serving("--unix", "s.sock",
                 *(f"e{i}={name}" for i, name in enumerate(names))) as server:
        again(lambda: check(len(server.children()) <= 5, "helpers stay"))


def session(pid):
    """The session's number and the terminal's."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[3]), int(fields[4])


@case("the terminal is the keeper's alone")
def _():
    ours, theirs = os.openpty()
    with serving("--unix", "s.sock", image(), stdin=theirs,
                 start_new_session=True, preexec_fn=lambda: fcntl.ioctl(
                     theirs, termios.TIOCSCTTY, 0)) as server:
        check(session(server.pid)[1] != 0, "it has one")
        for child in server.children():
            equal(session(child), (child, 0))
    os.close(ours)
    os.close(theirs)


@case("the processes can be told apart, and both have their command line")
def _():
    with serving("--unix", "s.sock", image()) as server:
        names = subprocess.run(["ps", "-o", "comm=", "-p",
                                f"{server.pid},{server.worker()}"],
                               stdout=subprocess.PIPE, text=True, check=True)
        check("vhdkitd-worker" in names.stdout.split(), names.stdout)
        with open(f"/proc/{server.worker()}/cmdline", encoding="ascii") as f:
            contains(f.read(), "s.sock")


run()
