# SPDX-License-Identifier: BSD-2-Clause
"""A client of the tests that speaks NBD by hand: an option at a time, then a
request at a time with simple replies."""

import struct

from fronttest import connect_unix, read_all
from tooltest import check, equal

ABORT, LIST, INFO, GO = 2, 3, 6, 7
ACK, SERVER, NBD_INFO, ERROR = 1, 2, 3, 1 << 31
READ, WRITE, DISC, FLUSH, TRIM = range(5)
FUA = 1
SOCKET = "s.sock"


class Client:
    def __init__(self, sock=None):
        self.sock = sock or connect_unix(SOCKET)
        equal(read_all(self.sock, 18)[:8], b"NBDMAGIC")
        self.sock.sendall(struct.pack(">I", 3))

    def ask(self, option, data=b""):
        self.sock.sendall(struct.pack(">8sII", b"IHAVEOPT", option,
                                      len(data)) + data)

    def ask_info(self, name, option=INFO):
        name = name.encode()
        self.ask(option, struct.pack(">I", len(name)) + name + b"\0\0")

    def reply(self):
        head = read_all(self.sock, 20)
        equal(len(head), 20, "the server has hung up")
        _, _, kind, size = struct.unpack(">QIII", head)
        return kind, read_all(self.sock, size)

    def names(self):
        while True:
            kind, data = self.reply()
            if kind == ACK:
                return
            equal(kind, SERVER)
            size = struct.unpack_from(">I", data)[0]
            yield data[4:4 + size].decode()

    def error(self):
        """The text of a refusal."""
        while True:
            kind, data = self.reply()
            check(kind != ACK, "not refused")
            if kind & ERROR:
                return data.decode()

    def go(self, name=""):
        """Chooses an export; what follows are requests."""
        self.ask_info(name, GO)
        kind = None
        while kind != ACK:
            kind, data = self.reply()
            check(not kind & ERROR, data)
        return self

    def send(self, what, off=0, length=0, data=b"", flags=0, cookie=7):
        """A request, which is not waited for."""
        self.sock.sendall(struct.pack(">IHHQQI", 0x25609513, flags, what,
                                      cookie, off, length or len(data)) + data)

    def answer(self, length=0):
        """The error of a request, its cookie, and so many bytes if it has
        none."""
        magic, error, cookie = struct.unpack(">IIQ", read_all(self.sock, 16))
        equal(magic, 0x67446698)
        data = read_all(self.sock, length) if not error else b""
        equal(len(data), 0 if error else length)
        return error, cookie, data

    def read(self, off, length):
        self.send(READ, off, length)
        error, _, data = self.answer(length)
        equal(error, 0)
        return data

    def request(self, what, off=0, length=0, data=b"", flags=0):
        """The error of a request, 0 for none."""
        self.send(what, off, length, data, flags)
        return self.answer(length if what == READ else 0)[0]

    def disconnect(self):
        """Leaves in order."""
        self.sock.sendall(struct.pack(">IHHQQI", 0x25609513, 0, DISC, 7, 0, 0))
        equal(read_all(self.sock, 1), b"", "after DISC")
        self.close()

    def close(self):
        self.sock.close()
