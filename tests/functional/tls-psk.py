#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What somebody without a pre-shared key can find out about those that there
are: nothing.  By a client that drives libssl itself, and sees what comes over
the wire."""

import ctypes
import os

from fronttest import PATIENCE, image, serving
from tlstest import (OPT_STARTTLS, REP_ACK, Authority, Raw, psk_file,
                     server_folder)
from tooltest import case, check, equal, run

TLS_1_2, TLS_1_3 = 0x303, 0x304
ALERT = 21
SET_MIN, SET_MAX = 123, 124  # SSL_CTRL_SET_{MIN,MAX}_PROTO_VERSION
WRONG = bytes(range(32))

libssl = ctypes.CDLL("libssl.so.3")
libcrypto = ctypes.CDLL("libcrypto.so.3")
for library, names in ((libssl, ("TLS_client_method", "SSL_CTX_new",
                                 "SSL_new")),
                       (libcrypto, ("BIO_s_mem", "BIO_new"))):
    for name in names:
        getattr(library, name).restype = ctypes.c_void_p
libssl.SSL_CTX_ctrl.restype = ctypes.c_long
CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p,
    ctypes.c_uint, ctypes.c_void_p, ctypes.c_uint)


def pointer(value):
    return ctypes.c_void_p(value)


class Client:
    """Names a key and tries to use it; .came is what the server sent."""

    def __init__(self, where, version, identity, key):
        def on_psk(_ssl, _hint, to_identity, _max, to_key, _max_key):
            ctypes.memmove(to_identity, identity + b"\0", len(identity) + 1)
            ctypes.memmove(to_key, key, len(key))
            return len(key)

        self.callback = CALLBACK(on_psk)
        ctx = pointer(libssl.SSL_CTX_new(pointer(libssl.TLS_client_method())))
        for what in (SET_MIN, SET_MAX):
            equal(libssl.SSL_CTX_ctrl(ctx, what, ctypes.c_long(version), None),
                  1)
        equal(libssl.SSL_CTX_set_cipher_list(ctx, b"PSK"), 1)
        libssl.SSL_CTX_set_psk_client_callback(ctx, self.callback)
        self.ssl = pointer(libssl.SSL_new(ctx))
        self.inward, self.outward = (
            pointer(libcrypto.BIO_new(pointer(libcrypto.BIO_s_mem())))
            for _ in range(2))
        libssl.SSL_set_bio(self.ssl, self.inward, self.outward)
        libssl.SSL_set_connect_state(self.ssl)
        self.came = b""
        raw = Raw(where)
        raw.option(OPT_STARTTLS)
        equal(raw.reply()[1], REP_ACK)
        self.sock = raw.sock
        self.sock.settimeout(PATIENCE)

    def send(self):
        buf = ctypes.create_string_buffer(65536)
        n = libcrypto.BIO_read(self.outward, buf, len(buf))
        if n > 0:
            self.sock.sendall(buf.raw[:n])

    def handshake(self):
        """Whether it comes to an end in which both agree."""
        while True:
            done = libssl.SSL_do_handshake(self.ssl) == 1
            try:
                self.send()
                if done:
                    return True
                data = self.sock.recv(65536)
            except ConnectionError:
                return False
            if not data:
                return False
            self.came += data
            libcrypto.BIO_write(self.inward, data, len(data))

    def records(self):
        """Type and length of each; of an alert what it says."""
        at, found = 0, []
        while at < len(self.came):
            kind, length = self.came[at], int.from_bytes(
                self.came[at + 3:at + 5], "big")
            body = self.came[at + 5:at + 5 + length]
            found.append((kind, body if kind == ALERT else length))
            at += 5 + length
        return found


def key_of(path, name):
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith(name + ":"):
                return bytes.fromhex(line.split(":")[1])
    raise AssertionError(f"no {name} in {path}")


def tries(where, version, identity, key):
    client = Client(where, version, identity, key)
    check(not client.handshake(), f"{identity} came in")
    client.sock.close()
    return client.records()


def indistinguishable(where, version):
    known = tries(where, version, b"alice", WRONG)
    equal(known[-1][0], ALERT, f"{known} ends")
    for stranger in (b"malice", b"a", b"zoe", b"al", b"x" * 128):
        equal(tries(where, version, stranger, WRONG), known, stranger)
    return known


def comes_in(where, version, keys):
    client = Client(where, version, b"alice", key_of(keys, "alice"))
    check(client.handshake(), client.records())
    client.sock.close()


@case("a key that does not exist and one that is wrong fail alike")
def _():
    keys = psk_file("keys.psk", "alice", "bob")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 image()) as server:
        for version in (TLS_1_3, TLS_1_2):
            print("#", indistinguishable("s.sock", version))
            comes_in("s.sock", version, keys)
        server.wait_for("failed: there is no pre-shared key for 'malice'")
        server.wait_for("failed: .*, with the pre-shared key of 'alice'")


@case("the same beside certificates")
def _():
    keys = psk_file("keys.psk", "alice", "bob")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 "--tls-certificates", server_folder(Authority()), image()):
        for version in (TLS_1_3, TLS_1_2):
            print("#", indistinguishable("s.sock", version))
            comes_in("s.sock", version, keys)


@case("names that strangers choose do not fill the log")
def _():
    keys = psk_file("keys.psk", "alice")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 image()) as server:
        for i in range(50):
            tries("s.sock", TLS_1_3, b"guess%d" % i, WRONG)
        tries("s.sock", TLS_1_3, b"alice", WRONG)
        server.wait_for("with the pre-shared key of 'alice'")
        named = server.log().count("guess")
        check(0 < named < 10, f"{named} lines")


run()
