#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""TLS 1.3 key updates while requests are served, asked for by a client that
drives libssl itself: Python's ssl cannot."""

import ctypes
import os
import socket
import struct
import time

from fronttest import PATIENCE, image, serving
from tlstest import (OPT_STARTTLS, REP_ACK, Authority, Raw, client_folder,
                     server_folder)
from tooltest import MiB, case, check, equal, run

NOT_REQUESTED, REQUESTED = 0, 1
READ = 0

libssl = ctypes.CDLL("libssl.so.3")
for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
    getattr(libssl, name).restype = ctypes.c_void_p


class Client:
    """Blocking; looks at no certificate."""

    def __init__(self, server):
        self.raw = Raw(server.tcp())
        self.raw.option(OPT_STARTTLS)
        equal(self.raw.reply()[1], REP_ACK)
        self.sock = self.raw.sock
        self.sock.settimeout(None)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                             struct.pack("ll", PATIENCE, 0))
        ctx = ctypes.c_void_p(libssl.SSL_CTX_new(
            ctypes.c_void_p(libssl.TLS_client_method())))
        self.ssl = ctypes.c_void_p(libssl.SSL_new(ctx))
        equal(libssl.SSL_set_fd(self.ssl, self.sock.fileno()), 1)
        equal(libssl.SSL_connect(self.ssl), 1, "SSL_connect")

    def send(self, data):
        equal(libssl.SSL_write(self.ssl, data, len(data)), len(data))

    def receive(self, length):
        buf, data = ctypes.create_string_buffer(length), b""
        while len(data) < length:
            n = libssl.SSL_read(self.ssl, buf, length - len(data))
            check(n > 0, "closed")
            data += buf.raw[:n]
        return data

    def go(self):
        self.send(struct.pack(">8sIIIH", b"IHAVEOPT", 7, 6, 0, 0))
        kind = None
        while kind != REP_ACK:
            _, _, kind, length = struct.unpack(">QIII", self.receive(20))
            check(kind < 1 << 31, f"reply {kind:#x}")
            if length:
                self.receive(length)

    def read(self, cookie, length=4096):
        self.send(struct.pack(">IHHQQI", 0x25609513, 0, READ, cookie, 0,
                              length))
        magic, error, got = struct.unpack(">IIQ", self.receive(16))
        equal((magic, error, got), (0x67446698, 0, cookie))
        return self.receive(length)

    def update(self, kind):
        """Queues an update and sends it."""
        equal(libssl.SSL_key_update(self.ssl, kind), 1, "SSL_key_update")
        equal(libssl.SSL_do_handshake(self.ssl), 1, "sending it")


def tls_server():
    ca = Authority()
    client_folder(ca)
    return serving("--listen", "127.0.0.1:0", "--tls=require",
                   "--tls-certificates", server_folder(ca), image())


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file
                    if line.startswith("VmRSS:"))


@case("requests go on across key updates, asked to answer and not")
def _():
    with tls_server() as server:
        client = Client(server)
        client.go()
        first = client.read(1, MiB)
        for i in range(20):
            client.update(REQUESTED if i % 2 else NOT_REQUESTED)
            equal(client.read(10 + i, MiB) == first, True, "the same bytes")


@case("a flood of key updates costs no memory, and no other's time")
def _():
    with tls_server() as server:
        flood, good = Client(server), Client(server)
        flood.go()
        good.go()
        good.read(1)
        before = resident(server.worker())
        end = time.monotonic() + 2
        sent = rounds = 0
        while time.monotonic() < end:
            for _ in range(500):
                flood.update(NOT_REQUESTED)
                sent += 1
            good.read(rounds)
            rounds += 1
        check(sent >= 500 and rounds >= 1, f"{sent} updates, {rounds} reads")
        flood.read(9)
        grown = resident(server.worker()) - before
        # Sanitizers keep what is freed.
        check(os.environ.get("SANITIZE") or grown < 16 * MiB,
              f"grown by {grown >> 10} KiB")


run()
