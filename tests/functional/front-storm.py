#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Many clients at once, and more than there are descriptors for."""

import os
import resource
import select
import socket
import time

from fronttest import (GREETING, PATIENCE, abort, connect_tcp, connect_unix,
                       greeting, image, needs_root, read_all, refused,
                       serving)
from rawclient import GO, NBD_INFO, READ, Client
from tooltest import Skip, case, check, contains, equal, run, vhdkit

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


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def is_greeted(sock):
    """Whether it is; who is not must be closed at once."""
    try:
        got = read_all(sock, 18)[:16]
    except ConnectionResetError:
        got = b""
    check(got in (GREETING, b""), got)
    return got == GREETING


def fill(server):
    """Takes all the places that there are; the clients who got one."""
    socks = [connect_unix("s.sock") for _ in range(100)]
    served = [s for s in socks if is_greeted(s)]
    server.wait_for("refused a connection.*: all file descriptors that this "
                    r"process may have are in use; raise .*LimitNOFILE=")
    check(0 < len(served) < 64, f"{len(served)} served")
    for sock in set(socks) - set(served):
        sock.close()
    return served


def comes_in():
    """Somebody is let in, at once or as soon as another has left."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        sock = connect_unix("s.sock")
        if is_greeted(sock):
            return sock
        sock.close()
        time.sleep(0.05)
    raise AssertionError("the place that was left stays empty")


@case("where descriptors run out, clients are refused and nothing spins")
def _():
    with serving("--unix", "s.sock", "--max-connections", "1000",
                 image(), preexec_fn=few_descriptors) as server:
        contains(server.log(), "--max-connections 1000")
        served = fill(server)
        before = busy_seconds(server.worker())
        time.sleep(2)
        used = busy_seconds(server.worker()) - before
        check(used < 1, f"busy for {used} s of 2 s")
        for sock in served:
            abort(sock)
        for sock in [comes_in() for _ in served]:
            sock.close()


def chain(folder, depth):
    """A folder with a chain of so many images; the name of the top."""
    os.mkdir(folder)
    vhdkit("create", "--size", "1M", f"{folder}/0.vhd")
    for i in range(1, depth):
        vhdkit("create", "--parent", f"{folder}/{i - 1}.vhd",
               f"{folder}/{i}.vhd")
    return f"{depth - 1}"


@case("who was let in can open images, however many are there")
def _():
    top = chain("dir", 8)
    with serving("--unix", "s.sock", "--threads", "1", "dir",
                 preexec_fn=few_descriptors) as server:
        client = Client()
        served = fill(server)
        client.go(top)
        equal(client.request(READ, 0, 512), 0)
        for sock in served:
            sock.close()
        client.disconnect()


@case("descriptors that images take are not given to clients")
def _():
    with serving("--unix", "s.sock", "--threads", "1", image(),
                 preexec_fn=few_descriptors) as server:
        alone = fill(server)
        for sock in alone:
            sock.close()
    chain("dir", 20)
    with serving("--unix", "s.sock", "--threads", "1", "dir/19.vhd",
                 preexec_fn=few_descriptors) as server:
        beside = fill(server)
        for sock in beside:
            sock.close()
        check(len(beside) in range(len(alone) - 20, len(alone) - 17),
              f"{len(alone)} beside one file, {len(beside)} beside 20")


@case("an image for which there are no descriptors: client and log are told")
def _():
    top = chain("dir", 64)
    with serving("--unix", "s.sock", "--threads", "1", "dir",
                 preexec_fn=few_descriptors) as server:
        client = Client()
        client.ask_info(top, GO)
        contains(client.error(), "no file descriptors left")
        server.wait_for(rf"warning: export '{top}': .*Too many open files; all "
                        "file descriptors that this process may have .*"
                        "LimitNOFILE")
        client.ask_info("3", GO)
        equal(client.reply()[0], NBD_INFO)
        client.close()
    refused("--unix", "s.sock", f"dir/{top}.vhd", says="LimitNOFILE",
            preexec_fn=few_descriptors)


@case("--max-connections: one more is closed, and welcome when another leaves")
def _():
    with serving("--unix", "s.sock", "--max-connections", "3",
                 image()) as server:
        socks = [connect_unix("s.sock") for _ in range(3)]
        for sock in socks:
            equal(greeting(sock), GREETING)
        extra = connect_unix("s.sock")
        equal(read_all(extra, 1), b"", "the fourth")
        server.wait_for("refused a connection.*: .*--max-connections allows")
        abort(socks.pop())
        comes_in()


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


@case("--max-connections-per-address counts the users of a Unix socket")
def _():
    needs_root()
    os.chmod(".", 0o711)
    with serving("--unix", "s.sock", "--unix-mode", "666",
                 "--max-connections-per-address", "2", image()) as server:
        kept = [connect_unix("s.sock"), connect_unix("s.sock")]
        for sock in kept:
            equal(greeting(sock), GREETING)
        check(not is_greeted(connect_unix("s.sock")), "the third of root")
        server.wait_for("refused a connection from process \\d+ .uid:0.: "
                        ".*--max-connections-per-address allows")
        os.seteuid(65534)
        try:
            other = connect_unix("s.sock")
        finally:
            os.seteuid(0)
        equal(greeting(other), GREETING)
        kept.pop().close()
        comes_in()


@case("--handshake-timeout: who never chooses an export is put out")
def _():
    with serving("--unix", "s.sock", "--handshake-timeout", "1", image()):
        silent = connect_unix("s.sock")
        equal(greeting(silent), GREETING)
        equal(read_all(silent, 1), b"", "after the time")


run()
