#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that take and do not give: those that never read their replies, that
announce data and do not send it, that stay idle.  They cost bounded memory,
and the others go on."""

import os
import resource
import socket
import struct
import time

from fronttest import connect_unix, read_all
from servertest import SOCKET, connect, served
from tooltest import KiB, MiB, Skip, case, check, equal, run, vhdkit

SIZE = 64 * MiB
READ, WRITE, DISC, FLUSH, TRIM = range(5)


def make():
    vhdkit("create", "--size", str(SIZE), "--type", "fixed", "--full",
           "disk.vhd")
    return "disk.vhd"


def raw_client():
    """Handshake by hand: EXPORT_NAME of the default export."""
    sock = connect_unix(SOCKET)
    read_all(sock, 18)
    sock.sendall(struct.pack(">I", 3))
    sock.sendall(b"IHAVEOPT" + struct.pack(">II", 1, 0))
    read_all(sock, 10)
    return sock


def request(kind, off, length, cookie=0, flags=0):
    return struct.pack(">IHHQQI", 0x25609513, flags, kind, cookie, off, length)


def rss(server):
    return int(server.status()["VmRSS"].split()[0]) * KiB


def bounded(used, limit):
    """Sanitizers need memory of their own."""
    print(f"# {used >> 10} KiB")
    if not os.environ.get("SANITIZE"):
        check(used < limit, f"{used >> 20} MiB were used")


def flood(sock, data):
    """Sends until the other side does not take any more."""
    sock.settimeout(0.2)
    sent = 0
    try:
        while sent < len(data):
            sent += sock.send(data[sent:])
    except (socket.timeout, BlockingIOError):
        pass
    return sent


def good_client_works(seconds=5):
    h = connect()
    began = time.monotonic()
    for i in range(200):
        h.pwrite(bytes([i % 251]) * 4096, i * 4096)
        equal(bytes(h.pread(4096, i * 4096)), bytes([i % 251]) * 4096)
    h.pread(MiB, 0)
    h.shutdown()
    check(time.monotonic() - began < seconds, "the good client was slowed")


@case("clients that never read their replies")
def _():
    with served(make()) as server:
        before = rss(server)
        hoard = b"".join(request(READ, 0, 4 * MiB, i) for i in range(4000))
        small = b"".join(request(READ, 0, 8 * KiB, i) for i in range(40000))
        socks = []
        for i in range(40):
            sock = raw_client()
            flood(sock, small if i % 2 else hoard)
            socks.append(sock)
        bounded(rss(server) - before, 560 * MiB)
        good_client_works()
        for sock in socks:
            sock.close()


@case("clients that never read, of a sparse image: no file to send from")
def _():
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    with served("disk.vhd") as server:
        before = rss(server)
        hoard = b"".join(request(READ, 0, 4 * MiB, i) for i in range(4000))
        socks = []
        for _ in range(40):
            sock = raw_client()
            flood(sock, hoard)
            socks.append(sock)
        bounded(rss(server) - before, 560 * MiB)
        good_client_works()
        for sock in socks:
            sock.close()


@case("clients that announce data and do not send it")
def _():
    with served(make()):
        socks = []
        for _ in range(60):
            sock = raw_client()
            sock.sendall(request(WRITE, 0, 32 * MiB) + b"x" * 1000)
            socks.append(sock)
        good_client_works()
        for sock in socks:
            sock.close()


def answered(sock, length, cookie):
    """The answer to a READ, which is waited for as long as a test may take."""
    sock.settimeout(120)
    magic, error, got = struct.unpack(">IIQ", read_all(sock, 16))
    equal((magic, error, got), (0x67446698, 0, cookie))
    equal(len(read_all(sock, length)), length)


def announcing(count, size):
    """Clients that have sent the header of a write, and nothing else."""
    socks = []
    for _ in range(count):
        sock = raw_client()
        sock.sendall(request(WRITE, 0, size))
        socks.append(sock)
    return socks


@case("what is only announced costs nobody anything")
def _():
    with served(make()):
        good = raw_client()
        # Each time as many as would be let through were they charged.
        socks = []
        for size in (32 * MiB, 16 * MiB, 8 * MiB, 4 * MiB, 2 * MiB, MiB,
                     512 * KiB + 1):
            socks += announcing(12, size)
        for i in range(20):
            good.sendall(request(READ, 0, 4 * MiB, i))
            answered(good, 4 * MiB, i)
        for sock in socks:
            sock.close()


@case("writes that nobody finishes: bounded memory, and the others go on")
def _():
    clients, length = 2600, 252 * KiB
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < clients + 400:
        raise Skip(f"{hard} descriptors are too few")
    resource.setrlimit(resource.RLIMIT_NOFILE, (clients + 400, hard))
    with served(make()) as server:
        good = raw_client()
        before = rss(server)
        data = bytes(length - 1)
        socks = announcing(clients, length)
        for i, sock in enumerate(socks):
            sock.setblocking(False)
            try:
                sock.send(data)  # a part where it takes no more
            except OSError:
                pass             # or it has been cut off already
            if i % 100 == 0:
                good.sendall(request(READ, 0, MiB, i))
                answered(good, MiB, i)
        # Once more, by turns, what was not taken then.
        for sock in socks:
            try:
                sock.send(data[:64 * KiB])
            except OSError:
                pass
        bounded(rss(server) - before, 560 * MiB)
        # The memory is held, and still there is some for who goes on.
        for i in range(20):
            good.sendall(request(READ, 0, 8 * MiB, i))
            answered(good, 8 * MiB, i)
        bounded(rss(server) - before, 560 * MiB)
        for sock in socks:
            sock.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@case("a refused write of any size is thrown away, in bounded memory")
def _():
    with served("--readonly", make()) as server:
        sock = raw_client()
        before = rss(server)
        for _ in range(4):
            sock.sendall(request(WRITE, 0, 32 * MiB, 7))
            sock.sendall(bytes(32 * MiB))
            magic, error, cookie = struct.unpack(">IIQ", read_all(sock, 16))
            equal((magic, error, cookie), (0x67446698, 1, 7))
        bounded(rss(server) - before, 16 * MiB)
        sock.sendall(request(READ, 0, 512, 8))
        equal(read_all(sock, 16 + 512)[:4], b"\x67\x44\x66\x98")
        sock.close()


@case("requests that arrive byte by byte")
def _():
    with served(make()):
        sock = raw_client()
        for asked, answered in (
                (request(WRITE, 1000, 3000, 1) + b"a" * 3000, b""),
                (request(READ, 999, 3002, 2), b"\0" + b"a" * 3000 + b"\0"),
                (request(FLUSH, 0, 0, 3), b""),
                (request(READ, 0, 0, 4), b"")):
            for i in range(0, len(asked)):
                sock.sendall(asked[i:i + 1])
            cookie, = struct.unpack(">Q", asked[8:16])
            equal(read_all(sock, 16 + len(answered)),
                  struct.pack(">IIQ", 0x67446698, 0, cookie) + answered)
        sock.close()


@case("garbage ends the connection and nothing else")
def _():
    with served(make()):
        for data in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 5000):
            sock = raw_client()
            sock.sendall(data)
            equal(sock.recv(100), b"")
            sock = connect_unix(SOCKET)
            sock.sendall(data)
            while sock.recv(4096):
                pass
        good_client_works()


@case("an end without DISC: nothing that waited is written any more")
def _():
    with served(make()):
        sock = raw_client()
        # Replies fill the socket, so that what is behind has to wait.
        flood(sock, b"".join(request(READ, 0, 4 * MiB, i)
                             for i in range(100)))
        flood(sock, b"".join(request(WRITE, i * 4096, 4096, i) + b"Z" * 4096
                             for i in range(8)))
        sock.close()
        h = connect()
        h.pwrite(b"n" * 32768, 0)
        time.sleep(0.5)
        equal(bytes(h.pread(32768, 0)), b"n" * 32768)
        h.shutdown()


@case("an idle connection holds next to nothing")
def _():
    with served("--threads", "1", make()) as server:
        first = raw_client()
        first.sendall(request(READ, 0, 4096))
        read_all(first, 16 + 4096)
        before = rss(server)
        socks = []
        for _ in range(400):
            sock = raw_client()
            sock.sendall(request(READ, 0, 4096))
            read_all(sock, 16 + 4096)
            socks.append(sock)
        each = (rss(server) - before) / len(socks)
        check(os.environ.get("SANITIZE") or each < 5 * KiB,
              f"{each} bytes for an idle connection")
        for sock in socks:
            sock.close()


run()
