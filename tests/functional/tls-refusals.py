#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Who must not get in over TLS, and what he and the log are told."""

import os
import re
import shutil
import ssl
import struct
import warnings

from fronttest import image, refused, serving
from tlstest import (QEMU_CUT_OFF, OPT_ABORT, OPT_EXPORT_NAME, OPT_GO, OPT_INFO,
                     OPT_LIST, OPT_LIST_META_CONTEXT, OPT_SET_META_CONTEXT,
                     OPT_STARTTLS, OPT_STRUCTURED_REPLY, REP_ACK,
                     REP_ERR_POLICY, REP_ERR_TLS_REQD, REP_ERR_UNKNOWN,
                     Authority, Raw, client_context, client_folder, closed,
                     fails, nbd_client, nbd_client_fails, nbdinfo_fails,
                     nbdinfo_size, psk_creds, psk_file, qemu_fails,
                     qemu_options, server_folder, uri, x509_creds)
from tooltest import MiB, case, check, contains, equal, need, program, run

SIZE = 4 * MiB


def mutual(ca, folder, *more):
    return serving("--listen", "127.0.0.1:0", "--tls=require",
                   "--tls-certificates", folder, "--tls-verify-peer", *more,
                   image())


def failures(server, count, reason=""):
    """So many handshakes have failed, each for this reason."""
    line = rf".*TLS handshake with .* failed: {reason}.*\n"
    server.wait_for(rf"(?:{line}(?:.*\n)*?){{{count}}}")
    equal(len(re.findall(line, server.log())), count, f"failures: {reason}")


@case("a server of an authority that the client does not know")
def _():
    ca = Authority()
    stranger = client_folder(ca, trusts=Authority("other"))
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", server_folder(ca), image()) as server:
        nbdinfo_fails(server.tcp(), "certificate", tls_certificates=stranger)
        server.wait_for(r"TLS handshake with 127\.0\.0\.1:\d+ failed: ")
        # qemu looks at the certificate when the handshake is over.
        qemu_fails(server.tcp(), x509_creds(stranger),
                   "certificate hasn't got a known issuer")
        nbd_client_fails(server.tcp(), stranger)
        failures(server, 2)
        nbdinfo_size(server.tcp(), SIZE,
                     tls_certificates=client_folder(ca, folder="good"))


@case("a server with another name than the client asked for")
def _():
    ca = Authority()
    folder = server_folder(ca, "server", "cn = elsewhere.example",
                           "dns_name = elsewhere.example")
    client = client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder, image()) as server:
        nbdinfo_fails(server.tcp(), "certificate", tls_certificates=client)
        server.wait_for(r"TLS handshake with 127\.0\.0\.1:\d+ failed: ")
        qemu_fails(server.tcp(), x509_creds(client),
                   "Certificate does not match the hostname localhost")
        nbd_client_fails(server.tcp(), client)
        failures(server, 2)
        # The same server, by its name.
        program(*nbd_client(server.tcp(), client, "elsewhere.example"))
        program("qemu-img", "info",
                *qemu_options(server.tcp(), x509_creds(client),
                              "elsewhere.example"))


@case("a client without a certificate, or with one of another authority")
def _():
    ca, other = Authority(), Authority("other")
    with mutual(ca, server_folder(ca)) as server:
        nbdinfo_fails(server.tcp(), "TLS", "alert", "handshake",
                      tls_certificates=client_folder(ca, folder="nobody"))
        qemu_fails(server.tcp(), x509_creds("nobody"), QEMU_CUT_OFF)
        nbd_client_fails(server.tcp(), "nobody")
        failures(server, 3, "peer did not return a certificate")
        # GnuTLS sends no certificate that nobody asked for; OpenSSL does.
        mallory = client_folder(other, "mallory", "mallory", trusts=ca)
        refuse_raw(server, mallory)
        server.wait_for("failed: the client's certificate: "
                        "unable to get local issuer certificate")
        nbdinfo_size(server.tcp(), SIZE,
                     tls_certificates=client_folder(ca, "alice"))


def refuse_raw(server, folder):
    """In TLS 1.3 a client learns behind the handshake that it is refused."""
    raw = Raw(server.tcp())
    try:
        raw.start_tls(client_context(folder))
        raw.option(OPT_LIST)
        check(closed(raw.sock), "served in spite of its certificate")
    except (ssl.SSLError, ConnectionError):
        pass
    raw.close()


@case("a client whose certificate was revoked")
def _():
    ca = Authority()
    folder = server_folder(ca)
    good = client_folder(ca, "good", "good")
    revoked = client_folder(ca, "revoked", "revoked")
    ca.revoke(f"{folder}/ca-crl.pem", f"{revoked}/client-cert.pem")
    with mutual(ca, folder) as server:
        nbdinfo_size(server.tcp(), SIZE, tls_certificates=good)
        nbdinfo_fails(server.tcp(), "alert", tls_certificates=revoked)
        qemu_fails(server.tcp(), x509_creds(revoked), QEMU_CUT_OFF)
        nbd_client_fails(server.tcp(), revoked)
        failures(server, 3, "the client's certificate: certificate revoked")
        for client in (nbd_client(server.tcp(), good),
                       ["qemu-img", "info",
                        *qemu_options(server.tcp(), x509_creds(good))]):
            program(*client)


@case("a client whose certificate has expired, or is a server's")
def _():
    ca = Authority()
    folder = server_folder(ca)
    expired = client_folder(ca, folder="expired")
    ca.sign(expired, "client", "cn = late",
            'activation_date = "2020-01-01 00:00:00"',
            'expiration_date = "2021-01-01 00:00:00"')
    wrong = client_folder(ca, folder="wrong")
    for kind in ("cert", "key"):
        shutil.copy(f"{folder}/server-{kind}.pem", f"{wrong}/client-{kind}.pem")
    with mutual(ca, folder) as server:
        refuse_raw(server, expired)
        server.wait_for("failed: the client's certificate: .*expired")
        refuse_raw(server, wrong)
        server.wait_for("failed: the client's certificate: .*purpose")


@case("a list of revocations that has expired, which the log tells at once")
def _():
    ca = Authority()
    folder = server_folder(ca)
    good = client_folder(ca, "good", "good")
    ca.revoke(f"{folder}/ca-crl.pem", dates=[
        'crl_this_update_date = "2024-02-01 00:00:00"',
        'crl_next_update_date = "2024-03-01 00:00:00"'])
    with mutual(ca, folder) as server:
        server.wait_for("warning: .*/ca-crl.pem has expired")
        nbdinfo_fails(server.tcp(), "alert", tls_certificates=good)
        failures(server, 1, "the client's certificate: CRL has expired")


@case("a pre-shared key that is wrong, or of somebody unknown")
def _():
    keys = psk_file("keys.psk", "alice")
    os.mkdir("wrong")
    wrong = psk_file("wrong/keys.psk", "alice", "bob")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 image()) as server:
        for user in ("alice", "bob"):
            nbdinfo_fails("s.sock", "alert", user=user, tls_psk_file=wrong)
            qemu_fails("s.sock", psk_creds("wrong", user),
                       "TLS handshake failed", "fatal alert")
        failures(server, 2, "binder does not verify")
        failures(server, 2, "there is no pre-shared key for 'bob'")
        nbdinfo_size("s.sock", SIZE, user="alice", tls_psk_file=keys)


@case("a client without TLS, where it is required")
def _():
    keys = psk_file("keys.psk", "alice")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 image()):
        says = "TLS is required here: send STARTTLS first"
        plain = uri("s.sock", "nbd")
        for tool in (["nbdinfo", "--size", plain],
                     ["nbdcopy", plain, "out.raw"]):
            fails(tool, "server requires TLS encryption first")
        fails(["qemu-img", "info", plain], "TLS negotiation required", says)
        fails(["nbd-client", "-l", "-unix", "s.sock"], says)
        raw = Raw("s.sock")
        for option in (OPT_LIST, OPT_GO, 99):
            raw.option(option, b"" if option == OPT_LIST else bytes(6))
            equal(raw.reply(), (option, REP_ERR_TLS_REQD, says.encode()),
                  f"reply to option {option}")
        raw.option(OPT_ABORT)
        equal(raw.reply()[1], REP_ACK, "reply to ABORT")
        raw = Raw("s.sock")
        raw.option(OPT_EXPORT_NAME)
        check(closed(raw.sock), "EXPORT_NAME closes")


def answers(where, name):
    """All that a plain client can find out about a name."""
    data = struct.pack(">I", len(name)) + name
    queries = struct.pack(">II", 1, 15) + b"base:allocation"
    raw = Raw(where)
    raw.option(OPT_STRUCTURED_REPLY)
    equal(raw.reply()[1], REP_ACK)
    told = []
    for option, payload in ((OPT_INFO, data + bytes(2)),
                            (OPT_GO, data + bytes(2)),
                            (OPT_LIST_META_CONTEXT, data + bytes(4)),
                            (OPT_SET_META_CONTEXT, data + queries)):
        raw.option(option, payload)
        told.append(raw.reply())
    raw.option(OPT_LIST)
    listed = []
    while (reply := raw.reply())[1] != REP_ACK:
        listed.append(reply[2])
    raw.option(OPT_EXPORT_NAME, name)
    return told + [listed, closed(raw.sock)]


@case("a TLS-only export and one that does not exist are refused alike")
def _():
    keys = psk_file("keys.psk", "alice")
    with serving("--unix", "s.sock", "--tls=on", "--tls-psk", keys,
                 "--tls-only", "secret", "--description", "secret=psst",
                 "open=" + image("open.vhd"),
                 "secret=" + image("secret.vhd")) as server:
        told = answers("s.sock", b"secret")
        equal(told, answers("s.sock", b"nobody"))
        equal(told, answers("s.sock", b"/secret"))
        equal([reply[1] for reply in told[:4]],
              [REP_ERR_TLS_REQD] * 2 + [REP_ERR_UNKNOWN] * 2)
        for reply in told[:4]:
            equal(reply[2], b"there is no export of that name without TLS")
        equal(told[4:], [[struct.pack(">I", 4) + b"open"], True])
        # And by the tools.
        nbdinfo_fails("s.sock", "TLS", scheme="nbd", name="secret")
        nbdinfo_size("s.sock", SIZE, scheme="nbd", name="open")
        psk = {"user": "alice", "tls_psk_file": keys}
        for name in ("open", "secret"):
            nbdinfo_size("s.sock", SIZE, name=name, **psk)
        plain = program("nbdinfo", "--list", uri("s.sock", "nbd")).out
        check("secret" not in plain and "psst" not in plain, plain)
        listed = program("nbdinfo", "--list", uri("s.sock", **psk)).out
        contains(listed, 'export="secret"')
        contains(listed, "psst")
        nbdinfo_fails("s.sock", "not available", "nobody", "UNKNOWN",
                      "has no export", name="nobody", **psk)
        # The log is the administrator's: it says who asked for it.
        contains(server.log(), "export 'secret': INFO of process ")
        check("psst" not in server.log(), server.log())


@case("without a TLS-only export, who asks for a missing one is told so")
def _():
    keys = psk_file("keys.psk", "alice")
    with serving("--unix", "s.sock", "--tls=on", "--tls-psk", keys, image()):
        equal(answers("s.sock", b"nobody")[0][1:],
              (REP_ERR_UNKNOWN, b"there is no export of that name"))


@case("a client that wants TLS where there is none")
def _():
    with serving("--listen", "127.0.0.1:0", image()) as server:
        nbdinfo_fails(server.tcp(), "TLS",
                      tls_certificates=client_folder(Authority()))
        raw = Raw(server.tcp())
        raw.option(OPT_STARTTLS)
        equal(raw.reply()[1], REP_ERR_POLICY)
        raw.close()


@case("TLS 1.1, and ciphers without authentication of what they carry")
def _():
    ca = Authority()
    client = client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", server_folder(ca), image()) as server:
        for limit in ("old", "cbc"):
            context = client_context(client)
            if limit == "old":
                with warnings.catch_warnings(action="ignore"):
                    context.minimum_version = ssl.TLSVersion.TLSv1
                    context.maximum_version = ssl.TLSVersion.TLSv1_1
                context.set_ciphers("ALL:@SECLEVEL=0")
            else:
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
            raw = Raw(server.tcp())
            try:
                raw.start_tls(context)
            except (ssl.SSLError, ConnectionError):
                raw.close()
            else:
                raise AssertionError(f"{limit}: {raw.sock.cipher()}")
        server.wait_for("failed: unsupported protocol")
        server.wait_for("failed: no shared cipher")


@case("files that cannot be used are refused at the start, by name")
def _():
    image()
    ca = Authority()
    folder = server_folder(ca)

    def wrong(says, *more):
        refused("--unix", "s.sock", "--tls=on", *more, "disk.vhd", says=says)

    certificates = ("--tls-certificates", folder)
    shutil.copy("ca-key.pem", f"{folder}/server-key.pem")
    wrong(["server-key.pem", "mismatch"], *certificates)
    shutil.copy("ca.info", f"{folder}/server-key.pem")
    wrong(["server-key.pem"], *certificates)
    shutil.copy("ca.info", f"{folder}/server-cert.pem")
    wrong(["server-cert.pem"], *certificates)
    server_folder(ca)
    os.unlink(f"{folder}/ca-cert.pem")
    wrong(["ca-cert.pem", "No such file"], *certificates, "--tls-verify-peer")
    shutil.copy("ca.info", f"{folder}/ca-cert.pem")
    wrong(["ca-cert.pem"], *certificates, "--tls-verify-peer")
    shutil.copy("ca-cert.pem", f"{folder}/ca-cert.pem")
    shutil.copy("ca.info", f"{folder}/ca-crl.pem")
    wrong(["ca-crl.pem"], *certificates, "--tls-verify-peer")


@case("keys that are no regular file are refused with what they must be")
def _():
    image()
    os.mkfifo("fifo.psk")
    reader, writer = os.pipe()
    for psk in ("fifo.psk", f"/dev/fd/{reader}", "/dev/null"):
        refused("--unix", "s.sock", "--tls=require", "--tls-psk", psk,
                "disk.vhd", pass_fds=[reader],
                says=[psk, "regular file", "/dev/fd"])
    os.close(reader)
    os.close(writer)


@case("a key with a pass phrase does not make the server ask for it")
def _():
    need("openssl")
    image()
    folder = server_folder(Authority())
    program("openssl", "ec", "-aes128", "-passout", "pass:secret", "-in",
            f"{folder}/server-key.pem", "-out", "locked.pem")
    shutil.copy("locked.pem", f"{folder}/server-key.pem")
    refused("--unix", "s.sock", "--tls=on", "--tls-certificates", folder,
            "disk.vhd", says="server-key.pem")


# What is in the file, and what must be said of it.
BAD_KEYS = [
    ("", "no key"),
    ("\n\n", "no key"),
    ("alice\n", "line 1"),
    ("\nalice:\n", "line 2"),
    ("alice:0g\n", "line 1"),
    ("alice:012\n", "line 1"),
    (":00\n", "line 1"),
    ("#:00\n", "line 1"),
    ("#0:00\n", "line 1"),
    ("#6100:00112233445566778899aabbccddeeff\n", "line 1"),
    ("a" * 129 + ":00112233445566778899aabbccddeeff\n", "line 1"),
    ("alice:" + "00" * 257 + "\n", "line 1"),
    ("alice:" + "00" * 5000 + "\n", "too long"),
    ("a:" + "11" * 16 + "\nb:" + "22" * 16 + "\na:" + "33" * 16, "'a'"),
]


@case("files of keys that are wrong: the line is named, a key never")
def _():
    image()
    for text, says in BAD_KEYS:
        with open("bad.psk", "w", encoding="ascii") as file:
            file.write(text)
        os.chmod("bad.psk", 0o600)
        said = refused("--unix", "s.sock", "--tls=on", "--tls-psk", "bad.psk",
                       "disk.vhd", says=["bad.psk", says])
        check("112233" not in said and "1111" not in said, said)


@case("keys that everybody can read are warned of")
def _():
    folder = server_folder(Authority())
    keys = psk_file("keys.psk", "alice")
    os.chmod(keys, 0o644)
    os.chmod(f"{folder}/server-key.pem", 0o644)
    with serving("--unix", "s.sock", "--tls=on", "--tls-psk", keys,
                 "--tls-certificates", folder, image()) as server:
        server.wait_for("keys.psk: everybody can read")
        server.wait_for("server-key.pem: everybody can read")


run()
