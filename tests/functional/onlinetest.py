# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of changes under clients share: a disk, and clients that write
to it and verify all the time."""

import contextlib
import threading

from servertest import Model, connect, need_nbd
from tooltest import MiB, check, is_sanitized, vhdkit

DEPTH = 16
CLIENTS = 2
REQUESTS = 20 if is_sanitized() else 60  # of a round
DISK = "disk.vhd"
SIZE = 16 * MiB


def new_disk(path=DISK, size=SIZE):
    vhdkit("create", "--size", str(size), "--block-size", "512K", path)
    return path


class Worker(threading.Thread):
    """A client that keeps `DEPTH` requests in flight on its part of the disk,
    and compares, until it is told to end."""

    def __init__(self, number, export):
        super().__init__()
        part = SIZE // CLIENTS
        self.h = connect(export)
        self.model = Model(self.h, number * part, (number + 1) * part,
                           seed=number + 7, depth=DEPTH)
        self.over = threading.Event()
        self.failure = None
        self.rounds = 0

    def run(self):
        try:
            while not self.over.is_set():
                self.model.run(REQUESTS)
                self.rounds += 1
        except Exception as why:  # told by who waits for it
            self.failure = why

    def end(self):
        self.over.set()
        self.join()
        if self.failure:
            raise self.failure
        self.h.flush()
        self.h.shutdown()


@contextlib.contextmanager
def clients(export=""):
    """They work meanwhile; afterwards the whole disk has been compared."""
    need_nbd()
    workers = [Worker(i, export) for i in range(CLIENTS)]
    for worker in workers:
        worker.start()
    try:
        yield workers
    finally:
        for worker in workers:
            worker.end()


def wait_for_rounds(workers, n):
    """Each of them has gone on since."""
    wanted = [w.rounds + n for w in workers]
    for worker, rounds in zip(workers, wanted):
        while worker.is_alive() and worker.rounds < rounds:
            worker.join(0.02)
        check(not worker.failure, worker.failure)


def sound(*paths):
    for path in paths:
        vhdkit("check", path)
