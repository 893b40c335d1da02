#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The clients that people use, over TLS: libnbd's tools, qemu's and
nbd-client, with certificates, mutual certificates and pre-shared keys."""

import os

from fronttest import image, serving
from tlstest import (Authority, client_folder, nbd_client, nbdinfo_size,
                     psk_creds, psk_file, qemu_options, server_folder, uri,
                     x509_creds)
from tooltest import (MiB, case, content, contains, equal, need, program,
                      run, same_bytes)

SIZE = 4 * MiB


def random_file(path):
    data = os.urandom(SIZE)
    with open(path, "wb") as file:
        file.write(data)
    return data


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def copy_in_and_out(where, **query):
    """nbdcopy, both ways; the image has what was copied in once the server
    has ended."""
    need("nbdcopy")
    data = random_file("in.raw")
    program("nbdcopy", "in.raw", uri(where, **query))
    program("nbdcopy", uri(where, **query), "out.raw")
    same_bytes(read_file("out.raw"), data)
    return data


def qemu_in_and_out(where, creds, hostname=None):
    need("qemu-img")
    options = qemu_options(where, creds, hostname)
    target = ["--target-image-opts" if o == "--image-opts" else o
              for o in options]
    data = random_file("in.raw")
    program("qemu-img", "convert", "-n", "-f", "raw", *target[:3], "in.raw",
            target[3])
    program("qemu-img", "convert", *options[:3], "-O", "raw", options[3],
            "out.raw")
    same_bytes(read_file("out.raw"), data)
    return data


@case("certificates: nbdinfo and nbdcopy over TCP and a Unix socket")
def _():
    ca = Authority()
    client = client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", server_folder(ca), image()) as server:
        nbdinfo_size(server.tcp(), SIZE, tls_certificates=client)
        data = copy_in_and_out(server.tcp(), tls_certificates=client)
    same_bytes(content("disk.vhd"), data)


@case("certificates: qemu-img")
def _():
    ca = Authority()
    client = client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", server_folder(ca), image()) as server:
        data = qemu_in_and_out(server.tcp(), x509_creds(client))
    same_bytes(content("disk.vhd"), data)


@case("certificates: qemu-img, of a name that is not the address's")
def _():
    ca = Authority()
    client = client_folder(ca)
    folder = server_folder(ca, "server", "cn = disks.example",
                           "dns_name = disks.example")
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder, image()) as server:
        data = qemu_in_and_out(server.tcp(), x509_creds(client),
                               "disks.example")
    same_bytes(content("disk.vhd"), data)


@case("certificates: nbd-client lists the exports, with one and without")
def _():
    need("nbd-client")
    ca = Authority()
    for name, more in ((None, []), ("booting", ["--tls-verify-peer"])):
        client = client_folder(ca, name)
        with serving("--listen", "127.0.0.1:0", "--tls=require",
                     "--tls-certificates", server_folder(ca), *more,
                     "one=" + image("1.vhd"),
                     "two=" + image("2.vhd")) as server:
            done = program(*nbd_client(server.tcp(), client))
            equal([line for line in done.out.split()
                   if line in ("one", "two")], ["one", "two"])


@case("mutual certificates: all of them, and the log knows who they are")
def _():
    ca = Authority()
    client = client_folder(ca, "workstation 7")
    with serving("--listen", "127.0.0.1:0", "--tls=require", "--verbose",
                 "--tls-certificates", server_folder(ca), "--tls-verify-peer",
                 image()) as server:
        nbdinfo_size(server.tcp(), SIZE, tls_certificates=client)
        contains(server.log(), "x509:workstation 7")
        copy_in_and_out(server.tcp(), tls_certificates=client)
        data = qemu_in_and_out(server.tcp(), x509_creds(client))
    same_bytes(content("disk.vhd"), data)


@case("mutual certificates, with a list of revocations that is not about us")
def _():
    ca = Authority()
    folder = server_folder(ca)
    client = client_folder(ca, "trusted")
    revoked = client_folder(ca, "revoked", "revoked")
    ca.revoke(f"{folder}/ca-crl.pem", f"{revoked}/client-cert.pem")
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder, "--tls-verify-peer",
                 image()) as server:
        nbdinfo_size(server.tcp(), SIZE, tls_certificates=client)


@case("a pre-shared key: nbdinfo, nbdcopy, qemu-img")
def _():
    keys = psk_file("keys.psk", "alice", "bob")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 "--verbose", image()) as server:
        for user in ("alice", "bob"):
            nbdinfo_size("s.sock", SIZE, user=user, tls_psk_file=keys)
            contains(server.log(), f"psk:{user}")
        copy_in_and_out("s.sock", user="alice", tls_psk_file=keys)
        data = qemu_in_and_out("s.sock", psk_creds(".", "bob"))
    same_bytes(content("disk.vhd"), data)


@case("the log names who was there, by his key or certificate")
def _():
    ca = Authority()
    keys = psk_file("keys.psk", "alice")
    with serving("--listen", "127.0.0.1:0", "--unix", "s.sock",
                 "--tls=require", "--tls-certificates", server_folder(ca),
                 "--tls-verify-peer", "--tls-psk", keys, image()) as server:
        nbdinfo_size("s.sock", SIZE, user="alice", tls_psk_file=keys)
        server.wait_for(r"export '': process \d+ \(psk:alice\) has left")
        nbdinfo_size(server.tcp(), SIZE,
                     tls_certificates=client_folder(ca, "carol"))
        server.wait_for(r"export '': 127\.0\.0\.1:\d+ \(x509:carol\) has left")


@case("a pre-shared key works with TLS 1.3, and where TLS 1.3 is switched off")
def _():
    need("nbdinfo")
    keys = psk_file("keys.psk", "alice")
    with open("gnutls.conf", "w", encoding="ascii") as file:
        file.write("[overrides]\ndisabled-version = TLS1.3\n")
    without = {"GNUTLS_SYSTEM_PRIORITY_FILE": os.path.abspath("gnutls.conf")}
    for version, environment in (("1.3", {}), ("1.2", without)):
        with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                     "--verbose", image()) as server:
            program("nbdinfo", "--size",
                    uri("s.sock", user="alice", tls_psk_file=keys),
                    env=environment)
            server.wait_for(f"TLSv{version}, .*AES.*GCM.*, psk:alice")


@case("certificates and keys side by side: each client gets in by its own")
def _():
    ca = Authority()
    keys = psk_file("keys.psk", "alice")
    with serving("--listen", "127.0.0.1:0", "--unix", "s.sock",
                 "--tls=require", "--verbose",
                 "--tls-certificates", server_folder(ca),
                 "--tls-verify-peer", "--tls-psk", keys, image()) as server:
        nbdinfo_size("s.sock", SIZE, user="alice", tls_psk_file=keys)
        contains(server.log(), "psk:alice")
        nbdinfo_size(server.tcp(), SIZE,
                     tls_certificates=client_folder(ca, "carol"))
        contains(server.log(), "x509:carol")


@case("--tls=on serves clients with and without TLS")
def _():
    ca = Authority()
    client = client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--tls=on",
                 "--tls-certificates", server_folder(ca), image()) as server:
        nbdinfo_size(server.tcp(), SIZE, tls_certificates=client)
        nbdinfo_size(server.tcp(), SIZE, scheme="nbd")
        copy_in_and_out(server.tcp(), scheme="nbd")


run()
