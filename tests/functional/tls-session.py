#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""How a session over TLS begins, runs and ends, looked at byte by byte with a
client of our own on Python's ssl."""

import os
import random
import select
import socket
import ssl
import struct
import time

from fronttest import PATIENCE, image, read_all, serving
from tlstest import (OPT_LIST, OPT_STARTTLS, REP_ACK, Authority, Raw,
                     client_context, client_folder, closed, server_folder)
from tooltest import MiB, case, check, equal, run, same_bytes
from vhdimage import write_dynamic

READ, WRITE, DISC, FLUSH = 0, 1, 2, 3
REP_ERR_INVALID = 0x80000003


def tls_server(*args, tls="require"):
    ca = Authority()
    client_folder(ca)
    return serving("--listen", "127.0.0.1:0", f"--tls={tls}",
                   "--tls-certificates", server_folder(ca),
                   *(args or [image()]))


def connect(server, context=None):
    raw = Raw(server.tcp())
    raw.start_tls(context or client_context("client"))
    return raw


def ready(sock, seconds):
    return bool(select.select([sock], [], [], seconds)[0])


@case("TLS 1.3 and 1.2, AES-128-GCM first whatever the client prefers")
def _():
    with tls_server() as server:
        raw = connect(server)
        equal(raw.sock.version(), "TLSv1.3")
        equal(raw.sock.cipher()[0], "TLS_AES_128_GCM_SHA256")
        raw.close()
        context = client_context("client")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+CHACHA20:ECDHE+AES256:ECDHE+AESGCM")
        raw = connect(server, context)
        equal(raw.sock.cipher()[0], "ECDHE-ECDSA-AES128-GCM-SHA256")
        equal(raw.go()[0], 4 * MiB, "size")
        raw.close()


@case("no session tickets, nothing at all that was not asked for")
def _():
    with tls_server() as server:
        raw = connect(server)
        check(not ready(raw.sock, 0.3), "bytes after the handshake")
        raw.go()
        check(raw.sock.session is None or not raw.sock.session.has_ticket,
              "a ticket")
        raw.close()
        context = client_context("client")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        raw = connect(server, context)
        check(not raw.sock.session.has_ticket, "a ticket of TLS 1.2")
        check(not raw.sock.session.id, "an id to come back with")
        raw.close()


@case("bytes behind STARTTLS, sent before its answer, close the connection")
def _():
    with tls_server(tls="on") as server:
        for extra in (b"IHAVEOPT", b"\0", bytes(1000)):
            raw = Raw(server.tcp())
            raw.sock.sendall(struct.pack(">8sII", b"IHAVEOPT", OPT_STARTTLS,
                                         0) + extra)
            raw.sock.settimeout(PATIENCE)
            answer = b""
            try:
                while len(answer) < 1000:
                    more = raw.sock.recv(1000)
                    if not more:
                        break
                    answer += more
            except ConnectionResetError:
                pass
            check(len(answer) <= 20, f"{answer!r}")
            raw.close()


@case("a client may send its first option with its last handshake byte")
def _():
    with tls_server() as server:
        raw = Raw(server.tcp())
        raw.option(OPT_STARTTLS)
        equal(raw.reply()[1], REP_ACK)
        # By hand, so that Finished and LIST leave in one write.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context("client").wrap_bio(incoming, outgoing,
                                                server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sock.sendall(outgoing.read())
                incoming.write(raw.sock.recv(65536))
        tls.write(struct.pack(">8sII", b"IHAVEOPT", OPT_LIST, 0))
        raw.sock.sendall(outgoing.read())
        answer = b""
        while len(answer) < 40:
            try:
                answer += tls.read(1000)
            except ssl.SSLWantReadError:
                data = raw.sock.recv(65536)
                check(data, "closed")
                incoming.write(data)
        equal(struct.unpack(">QIII", answer[:20])[1], OPT_LIST)
        raw.close()


@case("a handshake in pieces of one byte")
def _():
    with tls_server() as server:
        raw = Raw(server.tcp())
        raw.option(OPT_STARTTLS)
        equal(raw.reply()[1], REP_ACK)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context("client").wrap_bio(incoming, outgoing,
                                                server_hostname="localhost")
        raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def trickle():
            data = outgoing.read()
            for i in range(len(data)):
                raw.sock.sendall(data[i:i + 1])
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                trickle()
                incoming.write(raw.sock.recv(7))
        tls.write(struct.pack(">8sII", b"IHAVEOPT", OPT_LIST, 0))
        trickle()
        incoming.write(raw.sock.recv(65536))
        equal(struct.unpack(">QIII", tls.read(20))[1], OPT_LIST)
        raw.close()


@case("STARTTLS inside TLS is refused, and the session goes on")
def _():
    with tls_server() as server:
        raw = connect(server)
        raw.option(OPT_STARTTLS)
        equal(raw.reply()[1], REP_ERR_INVALID)
        equal(raw.go()[0], 4 * MiB, "size")
        raw.close()


@case("DISC is answered with close_notify, an end of file with a close")
def _():
    with tls_server() as server:
        raw = connect(server)
        raw.go()
        raw.request(DISC)
        plain = raw.sock.unwrap()  # fails unless close_notify comes
        check(closed(plain), "closed behind close_notify")
        raw = connect(server)
        raw.go()
        raw.request(READ, 0, 512, 1)
        raw.simple_reply(512)
        # An end of file, no close_notify; from here on Python shows us the
        # socket itself, which may have the server's close_notify in it.
        raw.sock.shutdown(socket.SHUT_WR)
        check(len(read_all(raw.sock, 1000)) < 100, "closed")


@case("many requests at once, of all sizes, written and read back")
def _():
    size = 16 * MiB
    write_dynamic("disk.vhd", size, {})
    with tls_server("disk.vhd") as server:
        raw = connect(server)
        raw.go()
        model = bytearray(size)
        dice = random.Random(7)
        lengths = [1, 511, 4096, 16383, 16384, 16385, 65536, 300001, MiB]
        for _ in range(8):
            expected = {}
            for cookie in range(24):
                length = dice.choice(lengths)
                offset = dice.randrange(size - length)
                data = dice.randbytes(length)
                # Ranges that overlap have no order.
                raw.request(WRITE, offset, length, cookie, data)
                equal(raw.simple_reply()[0], 0, "error of a write")
                model[offset:offset + length] = data
            for cookie in range(24):
                length = dice.choice(lengths)
                offset = dice.randrange(size - length)
                expected[cookie] = offset, length
                raw.request(READ, offset, length, cookie)
            # Let answers pile up, so that the server has to wait for us.
            time.sleep(0.05)
            while expected:
                error, cookie, _ = raw.simple_reply()
                equal(error, 0, "error of a read")
                offset, length = expected.pop(cookie)
                data = b""
                while len(data) < length:
                    more = raw.sock.recv(length - len(data))
                    check(more, "closed")
                    data += more
                same_bytes(data, bytes(model[offset:offset + length]))
        raw.close()


@case("an answer that just fills the socket's buffer arrives to its last byte")
def _():
    # Some of these lengths end within the last piece that the server can only
    # send in part while nobody reads.
    size = 8 * MiB
    write_dynamic("disk.vhd", size, {})
    with tls_server("disk.vhd") as server:
        raw = connect(server)
        raw.go()
        for length in range(64 << 10, 5 * MiB, 64 << 10):
            raw.request(READ, 0, length, length)
            time.sleep(0.02)  # until the server has sent what it can
            equal(raw.simple_reply(length)[:2], (0, length),
                  f"a read of {length}")
        raw.close()


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


@case("a client that does not read costs bounded memory, and no other's time")
def _():
    size = 64 * MiB
    write_dynamic("disk.vhd", size, {})
    with tls_server("disk.vhd") as server:
        greedy = connect(server)
        greedy.go()
        before = resident(server.worker())
        greedy.sock.setblocking(False)
        request = struct.pack(">IHHQQI", 0x25609513, 0, READ, 1, 0, MiB)
        asked = 0
        end = time.monotonic() + 3
        while asked < 20000 and time.monotonic() < end:
            try:
                greedy.sock.send(request)
                asked += 1
            except ssl.SSLWantWriteError:
                time.sleep(0.01)
        check(asked > 100, f"only {asked} requests were taken")
        good = connect(server)
        good.go()
        for i in range(100):
            good.request(READ, i * 4096, 4096, i)
            equal(good.simple_reply(4096)[:2], (0, i))
        grown = resident(server.worker()) - before
        check(grown < 256 * MiB, f"grown by {grown >> 20} MiB")
        greedy.close()
        good.close()


run()
