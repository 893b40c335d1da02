#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A crowd that wants TLS all at once: who is served has his requests answered
meanwhile, and who waits for his turn is not cut off for it.

Each step of a handshake takes a while whatever the machine: slow-tls.c."""

import contextlib
import os
import select
import selectors
import ssl
import struct
import re
import time

from fronttest import PATIENCE, image, serving
from tlstest import (IHAVEOPT, OPT_LIST, OPT_STARTTLS, REP_ACK, Authority, Raw,
                     client_context, client_folder, server_folder)
from tooltest import case, check, equal, run

CROWD = 120
STEP = 25  # milliseconds
SLOW = os.path.join(os.environ["BUILDDIR"],
                    "tests/functional/.libs/slow-tls.so")
READ = 0


@contextlib.contextmanager
def slow_server(*options):
    ca = Authority()
    client_folder(ca)
    preload = [SLOW]
    if os.environ.get("SANITIZE") == "address":
        preload.insert(0, os.environ["ASAN_PRELOAD"])
    env = dict(os.environ, LD_PRELOAD=" ".join(preload),
               SLOW_TLS_MSEC=str(STEP))
    with serving("--listen", "127.0.0.1:0", "--threads", "1", "--tls=on",
                 "--tls-certificates", server_folder(ca), *options, image(),
                 env=env) as server:
        yield server


def crowd(server, n=CROWD):
    """Clients that have been told to begin."""
    raws = [Raw(server.tcp()) for _ in range(n)]
    for raw in raws:
        raw.option(OPT_STARTTLS)
    for raw in raws:
        equal(raw.reply(), (OPT_STARTTLS, REP_ACK, b""))
    return raws


def say_hello(raws):
    context = client_context("client")
    for raw in raws:
        raw.sock = context.wrap_socket(raw.sock, server_hostname="localhost",
                                       do_handshake_on_connect=False)
        raw.sock.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            raw.sock.do_handshake()


def answered(raws):
    poll = select.poll()
    for raw in raws:
        poll.register(raw.sock, select.POLLIN)
    return len(poll.poll(0))


def close(raws):
    for raw in raws:
        raw.close()


@case("requests are answered between the handshakes of a crowd")
def _():
    with slow_server() as server:
        good = Raw(server.tcp())
        good.go()
        raws = crowd(server)
        say_hello(raws)
        seen = []
        for i in range(10):
            good.request(READ, 0, 4096, i)
            equal(good.simple_reply(4096)[:2], (0, i), "a read")
            seen.append(answered(raws))
        print("# hellos answered before each reply:", seen)
        check(seen[-1] < CROWD // 2, f"{seen} hellos were answered first")
        close(raws)
        good.close()


class Progress:
    """One of the crowd, until the exports are listed."""

    def __init__(self, raw):
        self.raw = raw
        self.secure = False

    def go_on(self):
        """Whether it has ended."""
        try:
            if not self.secure:
                self.raw.sock.do_handshake()
                self.secure = True
                self.raw.sock.send(struct.pack(">8sII", IHAVEOPT, OPT_LIST, 0))
            equal(len(self.raw.sock.recv(20)), 20, "a reply, not the end")
            return True
        except ssl.SSLWantReadError:
            return False


@case("all of a crowd get through, though it takes longer than each may")
def _():
    seconds = 4
    with slow_server("--handshake-timeout", str(seconds)) as server:
        raws = crowd(server, 200)
        began = time.monotonic()
        say_hello(raws)
        selector = selectors.DefaultSelector()
        for raw in raws:
            selector.register(raw.sock, selectors.EVENT_READ, Progress(raw))
        while selector.get_map():
            ready = selector.select(PATIENCE)
            check(ready, "nobody goes on any more")
            for key, _ in ready:
                if key.data.go_on():
                    selector.unregister(key.fileobj)
        took = time.monotonic() - began
        print(f"# {took:.1f} s")
        check(took > seconds, "that was no crowd")
        close(raws)


@case("who sends nothing has no more time than that")
def _():
    with slow_server("--handshake-timeout", "1") as server:
        raws = crowd(server, 3)
        for raw in raws:
            equal(raw.sock.recv(1), b"", "cut off")
        close(raws)


def left(log, why):
    """So many clients have left for a reason, those told of later too."""
    held = re.findall(rf"(\d+) more messages about clients that left [^\n]*{why}",
                      log)
    return (sum(map(int, held)) +
            len(re.findall(rf"has left [^\n]*: [^\n]*{why}", log)))


@case("who hangs up while he waits is not waited for")
def _():
    with slow_server("--verbose") as server:
        raws = crowd(server)
        say_hello(raws)
        close(raws)
        end = time.monotonic() + PATIENCE
        while left(server.log(), "") < CROWD:
            check(time.monotonic() < end, "some are still there")
            time.sleep(0.05)
        gone = left(server.log(), "it has gone")
        check(gone > CROWD // 2, f"only {gone} went before their turn")


run()
