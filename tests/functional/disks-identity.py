#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Whose child a client of a disk gets: his own, whoever he says he is, however
he spells it, and whatever others have."""

import os
import socket
import time

from diskstest import (ANYBODY, DISK, golden, is_refused, link, make_disk,
                       make_version, names, serving_disks)
from fronttest import PATIENCE
from servertest import connect, nbd
from tlstest import (Authority, client_folder, psk_file, server_folder)
from tooltest import case, check, contains, equal, run

TCP = ("--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0")
A, B = "machine-a", "machine-b"


def client(port, name, certificates=None, psk=None, source="127.0.0.1"):
    """Over TCP from that address, with TLS where there is something to prove
    by."""
    h = nbd.NBD()
    sock = socket.create_connection(("127.0.0.1", port),
                                    source_address=(source, 0))
    if certificates:
        h.set_tls(nbd.TLS_REQUIRE)
        h.set_tls_certificates(certificates)
        h.set_tls_verify_peer(False)
    elif psk:
        h.set_tls(nbd.TLS_REQUIRE)
        h.set_tls_username(psk)
        h.set_tls_psk_file("keys.psk")
    h.set_export_name(name)
    h.connect_socket(sock.detach())
    return h


def denied(port, name, **who):
    try:
        client(port, name, **who).shutdown()
    except nbd.Error:
        return True
    return False


def first(h):
    data = bytes(h.pread(4, 0))
    h.shutdown()
    return data


def write_first(h, text):
    h.pwrite(text, 0)
    h.shutdown()


def spelled(machine):
    """What a client might try who wants the child of another."""
    files = [name[:-4] for name in os.listdir(f"children/{DISK}")]
    yield from (f"{DISK}/{file}" for file in files)
    yield from (f"d{DISK}/{file}" for file in files)
    yield from (f"{DISK}/{file}.vhd" for file in files)
    for name in (machine, machine.upper(), f"{machine}.vhd", f" {machine}",
                 f"{machine} ", f"{machine}/", f"/{machine}", f"./{machine}",
                 f"../{DISK}/{machine}", f"cn:{machine}", f"x509:{machine}",
                 f"cn+{machine}", f"%6d{machine[1:]}", f"{machine}\n",
                 f"{machine}%00", f"name:{machine}", f"{machine}@production"):
        yield f"{DISK}/{name}"
        yield f"/{DISK}/{name}"
        yield f"//{DISK}/{name}"
        yield f"{DISK}@{name}"
        yield f"{DISK.upper()}/{name}"
    yield f"children/{DISK}/{machine}.vhd"
    yield f"../children/{DISK}/{machine}"


@case("a certificate: its machine's child, and no other's by any spelling")
def _():
    make_disk()
    ca = Authority()
    a, b = (client_folder(ca, name, folder=name) for name in (A, B))
    with serving_disks(ANYBODY, options=(
            *TCP, "--tls=require", "--tls-verify-peer", "--tls-certificates",
            server_folder(ca))) as server:
        _host, port = server.tcp()
        port = int(port)
        write_first(client(port, DISK, certificates=a), b"OF A")
        write_first(client(port, f"{DISK}/{B}", certificates=b), b"OF B")
        equal(len(os.listdir(f"children/{DISK}")), 2)
        b_file = [name[:-4] for name in os.listdir(f"children/{DISK}")
                  if B in name][0]
        for name in spelled(B):
            if not denied(port, name, certificates=a):
                got = first(client(port, name, certificates=a))
                check(got == b"OF A", f"{name!r}: A got {got}")
        check(denied(port, f"{DISK}/{B}", certificates=a), "A is B")
        check(denied(port, f"{DISK}/{b_file}", certificates=a), "A is B")
        contains(server.log(), "another than the one he names")
        # By both of his names it is he, and there are no other children.
        for name in (DISK, f"{DISK}/{A}", f"/{DISK}"):
            equal(first(client(port, name, certificates=a)), b"OF A")
        equal(first(client(port, DISK, certificates=b)), b"OF B")
        equal(len(os.listdir(f"children/{DISK}")), 2)


@case("what others than the authority vouch for is somebody else")
def _():
    make_disk()
    ca, other = Authority(), Authority("other")
    b = client_folder(ca, B, folder=B)
    client_folder(other, B, folder="false", trusts=ca)
    folder = server_folder(ca)
    with open(f"{folder}/ca-cert.pem", "a", encoding="ascii") as file, \
            open("other-cert.pem", encoding="ascii") as more:
        file.write(more.read())
    psk_file("keys.psk", B)
    with serving_disks(ANYBODY, options=(
            *TCP, "--tls=on", "--tls-verify-peer", "--tls-psk", "keys.psk",
            "--tls-certificates", folder)) as server:
        port = int(server.tcp()[1])
        write_first(client(port, DISK, certificates=b), b"OF B")
        # Of the same name: by another authority, by a key, as he says himself,
        # and by his address.
        for i, who in enumerate(({"certificates": "false"}, {"psk": B}, {})):
            h = client(port, f"{DISK}/{B}", **who)
            equal(bytes(h.pread(4, 0)), golden()[:4], f"{who}")
            write_first(h, b"NO %d" % i)
        write_first(client(port, DISK), b"ADDR")
        equal(len(os.listdir(f"children/{DISK}")), 5)
        for i, who in enumerate(({"certificates": "false"}, {"psk": B}, {})):
            equal(first(client(port, f"{DISK}/{B}", **who)), b"NO %d" % i)
        equal(first(client(port, DISK, psk=B)), b"NO 1")
        equal(first(client(port, DISK)), b"ADDR")
        equal(first(client(port, DISK, certificates=b)), b"OF B")
        check(denied(port, f"{DISK}/{A}", psk=B), "a key is another's")


@case("a disk for which there is no rule is nobody's, and is not listed")
def _():
    make_disk()
    make_disk("kiosk")
    make_disk("secret")
    rules = ('clients = ( { disk = "kiosk"; who = "address:127.0.0.1"; }, '
             f'{{ disk = "{DISK}"; who = "pc*"; }}, '
             '{ disk = "secret"; policy = "refuse"; } );')
    with serving_disks(rules, options=TCP) as server:
        port = int(server.tcp()[1])
        for name in (f"{DISK}/x1", DISK, "secret", "secret/pc1", "kiosk/pc1"):
            check(denied(port, name), f"{name} was served")
        first(client(port, f"{DISK}/pc1"))
        first(client(port, "kiosk"))
        check(denied(port, "kiosk", source="127.0.0.2"), "to any address")
        found = []
        h = nbd.NBD()
        h.set_opt_mode(True)
        h.connect_tcp("127.0.0.1", str(port))
        h.opt_list(lambda name, _description: found.append(name) or 0)
        h.opt_abort()
        equal(found, ["kiosk"])
        equal(names(), [])


@case("who is unknown: nothing, a view, or a child for the time")
def _():
    make_disk()
    make_version(2, b"v2v2")
    rule = 'clients = ( { who = "pc*"; } );'
    with serving_disks(rule, 'unknown = "refuse";'):
        check(is_refused(f"{DISK}/x"), "served to a stranger")
        equal(names(), [])
    with serving_disks(rule, 'unknown = "readonly";'):
        h = connect(f"{DISK}/x")
        check(h.is_read_only(), "a stranger may write")
        equal(first(h), golden()[:4])
        link("production", 2)
        equal(first(connect(f"{DISK}/x")), b"v2v2")
        equal(names(), [DISK])
    check(not os.path.exists(f"children/{DISK}"), "a view made a child")
    with serving_disks(rule, 'unknown = "throwaway";', "linger = 0;"):
        write_first(connect(f"{DISK}/x"), b"mine")
        equal(first(connect(f"{DISK}/x")), b"v2v2")
        stays = connect(f"{DISK}/y")
        first(connect(f"{DISK}/pc1"))
        end = time.monotonic() + PATIENCE
        while len(os.listdir(f"children/{DISK}")) > 2:
            check(time.monotonic() < end, "nothing is thrown away")
            time.sleep(0.1)
        equal(sorted(os.listdir(f"children/{DISK}")), ["pc1.vhd", "y.vhd"])
        write_first(stays, b"mine")


@case("two machines that are the same client: the second one is refused")
def _():
    make_disk()
    with serving_disks(ANYBODY, options=TCP) as server:
        port = int(server.tcp()[1])
        name = f"{DISK}/pc1"
        one = client(port, name)
        one.pwrite(b"mine", 0)
        check(denied(port, name, source="127.0.0.2"), "two at once")
        log = server.wait_for("refused to 127.0.0.2, for 127.0.0.1 has it")
        check(log, server.log())
        # The same one may have more connections, and another name's is free.
        two = client(port, name)
        first(client(port, f"{DISK}/pc2", source="127.0.0.2"))
        one.shutdown()
        check(denied(port, name, source="127.0.0.2"), "two at once")
        two.shutdown()
        end = time.monotonic() + PATIENCE
        while denied(port, name, source="127.0.0.2"):
            check(time.monotonic() < end, "nobody gets it any more")
        equal(first(client(port, name, source="127.0.0.2")), b"mine")


@case("one machine writes to maintenance at a time")
def _():
    make_disk()
    make_version(2, b"v2v2")
    link("maintenance", 2)
    rule = 'clients = ( { version = "maintenance"; } );'
    with serving_disks(rule, options=TCP) as server:
        port = int(server.tcp()[1])
        one = client(port, f"{DISK}@maintenance")
        one.pwrite(b"new!", 0)
        for who in ({"source": "127.0.0.2"},):
            check(denied(port, f"{DISK}@maintenance", **who), f"{who} too")
        equal(first(client(port, f"{DISK}@1", source="127.0.0.2")),
              golden()[:4])
        one.shutdown()
        equal(first(client(port, f"{DISK}@maintenance")), b"new!")


run()
