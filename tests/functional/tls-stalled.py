#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that stop half way through STARTTLS, and those that only look whether
somebody listens: they cost little, are thrown out, and disturb nobody."""

import os
import select
import time

from fronttest import PATIENCE, connect_tcp, image, serving
from tlstest import (OPT_STARTTLS, REP_ACK, Raw, closed, nbdinfo_size,
                     psk_file)
from tooltest import KiB, MiB, case, check, equal, run

SIZE = 4 * MiB
CLIENTS = 200
SCANS = 500
DEADLINE = 5
# What one of them may cost: OpenSSL's connection and our buffers.
EACH = 64 * KiB

# The head of a record that announces 512 bytes, and of a ClientHello in it.
HALF_HELLO = bytes.fromhex("1603010200" "010001fc0303") + bytes(32)

# Records that are complete, with the beginning of a ClientHello of 130 KB; in
# the second one, not even its length is.
LONG_HELLOS = (bytes.fromhex("1603010026" "0101fc00" "0303") + bytes(32),
               bytes.fromhex("1603010001" "01" "1603010025" "01fc00" "0303") +
               bytes(32))


def rss(server):
    return int(server.status()["VmRSS"].split()[0]) * KiB


def bounded(used, limit):
    """Sanitizers need memory of their own."""
    print(f"# {used >> 10} KiB")
    if not os.environ.get("SANITIZE"):
        check(used < limit, f"{used >> 10} KiB were used")


def served(keys):
    nbdinfo_size("s.sock", SIZE, user="alice", tls_psk_file=keys)


def stalled(where, data):
    raw = Raw(where)
    raw.option(OPT_STARTTLS)
    equal(raw.reply(), (OPT_STARTTLS, REP_ACK, b""), "answer to STARTTLS")
    raw.sock.sendall(data)
    return raw


def open_still(raws):
    return [raw for raw in raws
            if not select.select([raw.sock], [], [], 0)[0]]


@case(f"{CLIENTS} clients that say STARTTLS and then nothing, or half of it")
def _():
    keys = psk_file("keys.psk", "alice")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 "--handshake-timeout", str(DEADLINE), image()) as server:
        served(keys)
        before = rss(server)
        began = time.monotonic()
        raws = [stalled("s.sock", HALF_HELLO[:i % 2 * len(HALF_HELLO)])
                for i in range(CLIENTS)]
        if time.monotonic() - began < DEADLINE:
            equal(len(open_still(raws[-10:])), 10, "the last are there")
        bounded(rss(server) - before, CLIENTS * EACH)
        served(keys)
        for raw in raws:
            check(closed(raw.sock), "not thrown out")
            raw.close()
        waited = time.monotonic() - began
        check(DEADLINE <= waited < DEADLINE + PATIENCE,
              f"thrown out after {waited} s")
        served(keys)
        bounded(rss(server) - before, CLIENTS * EACH)


@case(f"{CLIENTS} clients that announce a long message, and send its head")
def _():
    keys = psk_file("keys.psk", "alice")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 image()) as server:
        served(keys)
        before = rss(server)
        for head in LONG_HELLOS:
            raws = [stalled("s.sock", head) for i in range(CLIENTS)]
            served(keys)
            bounded(rss(server) - before, CLIENTS * EACH)
            for raw in raws:
                raw.close()


@case(f"{SCANS} that connect and close at once")
def _():
    keys = psk_file("keys.psk", "alice")
    with serving("--listen", "127.0.0.1:0", "--unix", "s.sock",
                 "--tls=require", "--tls-psk", keys, image()) as server:
        served(keys)
        before = rss(server)
        files = len(os.listdir(f"/proc/{server.worker()}/fd"))
        for _ in range(SCANS):
            connect_tcp(*server.tcp()).close()
        served(keys)
        end = time.monotonic() + PATIENCE
        while len(os.listdir(f"/proc/{server.worker()}/fd")) > files:
            check(time.monotonic() < end, "a connection stays open")
            time.sleep(0.02)
        bounded(rss(server) - before, MiB)


run()
