#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Many clients at once, and more than there are descriptors for."""

import resource
import select
import socket
import time

from fronttest import (GREETING, PATIENCE, abort, connect_tcp, connect_unix,
                       greeting, image, read_all, serving)
from tooltest import Skip, case, check, contains, equal, run

STORM = 500


def storm(family, address):
    """Connects as fast as the system can, without waiting for anybody; then
    everybody must be greeted."""
    socks = []
    for _ in range(STORM):
        sock = socket.socket(family)
        sock.setblocking(False)
        if sock.connect_ex(address) not in (0, 115):  # EINPROGRESS
            raise AssertionError(f"connection {len(socks)} was not taken")
        socks.append(sock)
    for sock in socks:
        ready = select.select([], [sock], [], PATIENCE)[1]
        check(ready, "connected")
        sock.settimeout(PATIENCE)
        equal(greeting(sock), GREETING)
    return socks


@case(f"{STORM} clients that connect at once are all greeted")
def _():
    with serving("--listen", "127.0.0.1:0", "--unix", "s.sock",
                 image()) as server:
        for family, address in ((socket.AF_INET, server.tcp()),
                                (socket.AF_UNIX, "s.sock")):
            for sock in storm(family, address):
                sock.close()


@case(f"{STORM} clients that wait for a stopped server are taken as it goes on")
def _():
    with serving("--listen", "127.0.0.1:0", image()) as server:
        address = server.tcp()
        server.process.send_signal(19)  # SIGSTOP
        socks = [connect_tcp(*address) for _ in range(STORM)]
        server.process.send_signal(18)  # SIGCONT
        for sock in socks:
            equal(greeting(sock), GREETING)
            sock.close()


def busy_seconds(pid):
    """How long the main thread ran or wanted to: on a machine with much else to
    do, a thread that spins gets little of the time, but wants all of it."""
    try:
        with open(f"/proc/{pid}/task/{pid}/schedstat",
                  encoding="ascii") as file:
            ran, waited, _ = file.read().split()
    except OSError:
        raise Skip("this kernel keeps no schedstat") from None
    return (int(ran) + int(waited)) / 1e9


@case("where descriptors run out, clients wait and nothing spins")
def _():
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    with serving("--unix", "s.sock", "--max-connections", "1000",
                 image(), preexec_fn=few) as server:
        contains(server.log(), "--max-connections 1000")
        socks = [connect_unix("s.sock") for _ in range(100)]
        server.wait_for("cannot accept connections for now")
        before = busy_seconds(server.pid)
        time.sleep(2)
        used = busy_seconds(server.pid) - before
        check(used < 1, f"busy for {used} s of 2 s")
        served = [s for s in socks if select.select([s], [], [], 0)[0]]
        check(0 < len(served) < 64, f"{len(served)} served")
        equal(greeting(served[0]), GREETING)
        # Each that leaves makes room for one that waits.
        for sock in socks:
            equal(greeting(sock) if sock is not served[0] else GREETING,
                  GREETING)
            sock.close()


@case("--max-connections: one more is closed, and welcome when another leaves")
def _():
    with serving("--unix", "s.sock", "--max-connections", "3",
                 image()) as server:
        socks = [connect_unix("s.sock") for _ in range(3)]
        for sock in socks:
            equal(greeting(sock), GREETING)
        extra = connect_unix("s.sock")
        equal(read_all(extra, 1), b"", "the fourth")
        server.wait_for("refused a connection")
        abort(socks.pop())
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            sock = connect_unix("s.sock")
            if greeting(sock) == GREETING:
                return
            sock.close()
            time.sleep(0.05)
        raise AssertionError("the place that was left stays empty")


@case("--max-connections-per-address counts addresses, each for itself")
def _():
    with serving("--listen", "127.0.0.1:0",
                 "--max-connections-per-address", "2", image()) as server:
        host, port = server.tcp()

        def connect(source):
            return socket.create_connection((host, port), PATIENCE,
                                            (source, 0))
        kept = [connect("127.0.0.1"), connect("127.0.0.1"),
                connect("127.0.0.10"), connect("127.0.0.10")]
        for sock in kept:
            equal(greeting(sock), GREETING)
        for source in ("127.0.0.1", "127.0.0.10"):
            extra = connect(source)
            try:
                equal(read_all(extra, 1), b"", source)
            except ConnectionResetError:
                pass
        equal(greeting(connect("127.0.0.100")), GREETING)


@case("--handshake-timeout: who never chooses an export is put out")
def _():
    with serving("--unix", "s.sock", "--handshake-timeout", "1", image()):
        silent = connect_unix("s.sock")
        equal(greeting(silent), GREETING)
        equal(read_all(silent, 1), b"", "after the time")


run()
