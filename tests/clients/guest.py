# SPDX-License-Identifier: BSD-2-Clause
"""What outlives a restart of the server: a guest that writes and reads through
something that is a client of vhdkitd, while that is stopped and started
again."""

import os
import signal

from fronttest import Server
from servertest import SOCKET, Model, nbd
from tooltest import KiB, check, equal


class Served:
    """vhdkitd, stopped and started again on the same socket."""

    def __init__(self, *args):
        self.args = ["--unix", SOCKET, "--verbose", *args]
        self.starts = 0
        self.start()

    def start(self):
        self.starts += 1
        self.server = Server(self.args, log=f"vhdkitd-{self.starts}.log")
        self.server.wait_for("listening on ")

    def restart(self, number):
        if number == signal.SIGKILL:
            self.server.kill()
        else:
            equal(self.server.stop(number), 0, "exit status of vhdkitd")
        self.start()

    def stop(self):
        equal(self.server.stop(), 0, "exit status of vhdkitd")

    def kill(self):
        self.server.kill()

    def logs(self):
        logs = []
        for i in range(1, self.starts + 1):
            with open(f"vhdkitd-{i}.log", encoding="utf-8",
                      errors="replace") as file:
                logs.append(file.read())
        return "".join(logs)


class Guest(Model):
    """Random requests through the socket at path, 16 in flight, each read
    compared; where as many were sent as `at` names, `do` is called.  What a
    mirror makes of a trim differs: it zeroes instead."""

    def __init__(self, path, size, seed, name="", known=None):
        h = nbd.NBD()
        h.connect_uri(f"nbd+unix:///{name}?socket={os.path.abspath(path)}")
        super().__init__(h, 0, size, seed, depth=16, known=known,
                         largest=64 * KiB)
        self.sent = 0
        self.at = ()
        self.do = None

    def one(self):
        self.sent += 1
        if self.sent in self.at:
            check(self.h.aio_in_flight() > 0, "nothing is in flight")
            self.do()
        super().one()

    def trim(self, off, length, cookie):
        return self.zero(off, length, cookie)

    def work(self, requests, at, do):
        self.sent, self.at, self.do = 0, at, do
        self.run(requests)
