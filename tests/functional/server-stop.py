#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""SIGTERM: what was received is answered and the connection closed, without
errors; what was acknowledged is in the image, and the image is sound."""

import contextlib
import errno
import os
import random
import signal
import struct
import subprocess
import time

from fronttest import PATIENCE, connect_tcp, connect_unix, read_all
from servertest import SOCKET, connect, nbd, need_nbd, served
from tooltest import KiB, MiB, Skip, case, check, content, equal, need, run, \
    vhdkit

SIZE = 32 * MiB


def stop_under_load(seed):
    rng = random.Random(seed)
    known = {}
    errors = []
    with served("disk.vhd") as server:
        h = connect()
        slots = list(range(0, SIZE, 64 * KiB))
        rng.shuffle(slots)
        sent = 0
        try:
            for off in slots:
                while h.aio_in_flight() >= 32:
                    h.poll(-1)
                if sent == 100:
                    os.kill(server.pid, signal.SIGTERM)
                data = rng.randbytes(64) * 1024

                def done(error, off=off, data=data):
                    if error:
                        errors.append(error.value)
                    else:
                        known[off] = data
                    return 1

                h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(data)), off,
                             done)
                sent += 1
            while h.aio_in_flight() > 0:
                h.poll(-1)
        except nbd.Error:
            pass  # the server has gone
        equal(server.wait(), 0, "exit status")
    check(len(known) >= 60, "hardly anything was done")
    for error in errors:
        equal(error, errno.ENOTCONN, "what libnbd makes of the closed socket")
    return known


@case("SIGTERM under load")
def _():
    need_nbd()
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    for seed in range(3):
        known = stop_under_load(seed)
        got = content("disk.vhd")
        for off, data in known.items():
            check(got[off:off + len(data)] == data,
                  f"what was acknowledged at {off} is not there")
        equal(vhdkit("check", "disk.vhd").returncode, 0)


READ, WRITE, FLUSH = 0, 1, 3


class RawClient:
    """Simple replies, one export: to see each byte that comes."""

    def __init__(self, sock):
        self.sock = sock
        read_all(sock, 18)
        sock.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0))
        equal(len(read_all(sock, 10)), 10, "the answer to EXPORT_NAME")
        self.sizes = {}

    def request(self, kind, cookie, off=0, length=0):
        self.sizes[cookie] = length if kind == READ else 0
        head = struct.pack(">IHHQQI", 0x25609513, 0, kind, cookie, off, length)
        return head + bytes(length if kind == WRITE else 0)

    def reply(self):
        """The cookie of the next good reply; None at the end."""
        head = read_all(self.sock, 16)
        if not head:
            return None
        magic, error, cookie = struct.unpack(">IIQ", head)
        equal((magic, error), (0x67446698, 0), f"reply to {cookie}")
        equal(len(read_all(self.sock, self.sizes[cookie])),
              self.sizes[cookie], f"data of {cookie}")
        return cookie

    def replies(self):
        got = []
        while (cookie := self.reply()) is not None:
            got.append(cookie)
        return got


def await_stop():
    """Until the server has closed what it listens on."""
    end = time.monotonic() + PATIENCE
    while os.path.exists(SOCKET) and time.monotonic() < end:
        time.sleep(0.01)


def received_is_answered(server, sock):
    """More reads than a client may have in memory, in one piece: the server has
    received all when it answers the first, and many must wait for their turn.
    What comes when it has stopped already, soon after it was told to, lies
    unread when it closes the connection."""
    client = RawClient(sock)
    burst = [client.request(WRITE, 1, 0, 4096), client.request(FLUSH, 2)]
    for cookie in range(3, 150):
        burst.append(client.request(READ, cookie, 0, MiB))
    client.sock.sendall(b"".join(burst))
    first = client.reply()
    os.kill(server.pid, signal.SIGTERM)
    await_stop()
    sock.sendall(b"".join(client.request(READ, cookie, 0, 512)
                          for cookie in range(1000, 1020)))
    got = sorted([first] + client.replies())
    equal([cookie for cookie in got if cookie < 1000], list(range(1, 150)))
    sock.close()
    equal(server.wait(), 0, "exit status")


@case("all that was received is answered, then the connection closed")
def _():
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    with served("disk.vhd") as server:
        received_is_answered(server, connect_unix(SOCKET))


@case("the same over TCP, where requests that nobody reads are no reason for "
      "a reset")
def _():
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    with served("--listen", "127.0.0.1:0", "disk.vhd") as server:
        received_is_answered(server, connect_tcp(*server.tcp()))


@contextlib.contextmanager
def fuse_image():
    """slow.vhd, on a disk that stops when the yielded process does."""
    need("nbdfuse")
    need("nbdkit")
    need("fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Skip("no access to /dev/fuse")
    vhdkit("create", "--size", str(MiB), "--type", "fixed", "--full",
           "slow.raw")
    open("slow.vhd", "wb").close()
    with subprocess.Popen(["nbdfuse", "slow.vhd", "--command", "nbdkit", "-s",
                           "file", "slow.raw"],
                          stderr=subprocess.DEVNULL) as fuse:
        try:
            end = time.monotonic() + PATIENCE
            while os.stat("slow.vhd").st_size == 0:
                if fuse.poll() is not None or time.monotonic() > end:
                    raise Skip("this system lets nobody mount by FUSE")
                time.sleep(0.1)
            yield fuse
        finally:
            fuse.send_signal(signal.SIGCONT)
            subprocess.run(["fusermount3", "-u", "-z", "slow.vhd"],
                           check=False, stderr=subprocess.DEVNULL)
            fuse.terminate()


@case("a flush in flight is answered, though the disk takes longer than a "
      "client may")
def _():
    with fuse_image() as fuse, served("slow.vhd") as server:
        client = RawClient(connect_unix(SOCKET))
        client.sock.sendall(client.request(WRITE, 1, 0, 4096))
        equal(client.reply(), 1)
        fuse.send_signal(signal.SIGSTOP)
        client.sock.sendall(client.request(FLUSH, 2))
        time.sleep(0.5)  # so long that it was received
        os.kill(server.pid, signal.SIGTERM)
        time.sleep(12)  # a client has ten seconds to fetch its replies
        fuse.send_signal(signal.SIGCONT)
        equal(client.replies(), [2])
        equal(server.wait(), 0, "exit status")


@case("a client that had nothing in flight sees its connection close")
def _():
    vhdkit("create", "--size", str(SIZE), "disk.vhd")
    with served("disk.vhd") as server:
        client = RawClient(connect_unix(SOCKET))
        half = RawClient(connect_unix(SOCKET))
        half.sock.sendall(half.request(WRITE, 1, 0, 4096)[:1000])
        equal(connect().get_size(), SIZE)  # so long that it was received
        os.kill(server.pid, signal.SIGTERM)
        equal(client.replies(), [])
        equal(half.replies(), [])
        equal(server.wait(), 0, "exit status")


run()
