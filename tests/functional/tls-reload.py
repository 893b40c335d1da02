#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Certificates and keys that change while clients are connected."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import tempfile
import time

from fronttest import (GREETING, PATIENCE, connect_unix, greeting, image,
                       needs_root, serving)
from tlstest import (Authority, Raw, client_context, client_folder,
                     nbdinfo_fails, nbdinfo_size, psk_file, server_folder)
from tooltest import MiB, case, check, contains, equal, run

SIZE = 4 * MiB


def connect(server, folder="client"):
    raw = Raw(server.tcp())
    raw.start_tls(client_context(folder))
    return raw


def serial(raw):
    return int(raw.sock.getpeercert()["serialNumber"], 16)


def works(raw):
    raw.request(0, 0, 4096, 7)
    equal(raw.simple_reply(4096)[:2], (0, 7), "a read")


def replace(folder, new):
    """As an administrator does it: beside, then renamed."""
    for name in ("server-key.pem", "server-cert.pem"):
        shutil.copy(f"{new}/{name}", f"{folder}/{name}.new")
        os.rename(f"{folder}/{name}.new", f"{folder}/{name}")


@case("a new certificate is served without a signal; who was there stays")
def _():
    ca = Authority()
    folder, new = server_folder(ca), server_folder(ca, "new")
    client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder, image()) as server:
        old = connect(server)
        old.go()
        equal(serial(old), 101)
        replace(folder, new)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            raw = connect(server)
            found = serial(raw)
            raw.close()
            if found == 102:
                break
            time.sleep(0.2)
        equal(found, 102, "serial number after the change")
        works(old)
        equal(serial(old), 101)
        old.close()


@case("SIGHUP loads them at once")
def _():
    ca = Authority()
    folder, new = server_folder(ca), server_folder(ca, "new")
    client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder, image()) as server:
        equal(serial(connect(server)), 101)
        replace(folder, new)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("loaded certificates and keys again")
        equal(serial(connect(server)), 102)


@case("files that cannot be loaded leave the former ones in use")
def _():
    ca = Authority()
    folder = server_folder(ca)
    client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder, image()) as server:
        equal(serial(connect(server)), 101)
        good = f"{folder}/server-key.pem.good"
        os.rename(f"{folder}/server-key.pem", good)
        shutil.copy("ca-key.pem", f"{folder}/server-key.pem")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("server-key.pem.*stay in use")
        raw = connect(server)
        equal(serial(raw), 101)
        raw.go()
        works(raw)
        os.rename(good, f"{folder}/server-key.pem")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("loaded certificates and keys again")
        equal(serial(connect(server)), 101)


@case("a revocation counts from the next connection on")
def _():
    ca = Authority()
    folder = server_folder(ca)
    client = client_folder(ca, "alice")
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder, "--tls-verify-peer",
                 image()) as server:
        nbdinfo_size(server.tcp(), SIZE, tls_certificates=client)
        ca.revoke(f"{folder}/ca-crl.pem", f"{client}/client-cert.pem")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("loaded certificates and keys again")
        nbdinfo_fails(server.tcp(), "TLS", "alert", tls_certificates=client)
        server.wait_for("certificate revoked")


@case("keys that are added count, keys that are removed do not any more")
def _():
    keys = psk_file("keys.psk", "alice")
    added = psk_file("added.psk", "bob")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 image()) as server:
        nbdinfo_size("s.sock", SIZE, user="alice", tls_psk_file=keys)
        nbdinfo_fails("s.sock", "TLS", "alert", user="bob",
                      tls_psk_file=added)
        shutil.copy(keys, "alice.psk")
        shutil.copy(added, "keys.new")
        os.rename("keys.new", keys)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("loaded certificates and keys again")
        nbdinfo_size("s.sock", SIZE, user="bob", tls_psk_file=added)
        nbdinfo_fails("s.sock", "TLS", "alert", user="alice",
                      tls_psk_file="alice.psk")


def hang_up(server):
    server.process.send_signal(signal.SIGHUP)


@case("the last key of all can be revoked, too")
def _():
    keys = psk_file("keys.psk", "alice")
    shutil.copy(keys, "alice.psk")
    with serving("--unix", "s.sock", "--tls=require", "--tls-psk", keys,
                 image()) as server:
        nbdinfo_size("s.sock", SIZE, user="alice", tls_psk_file=keys)
        os.truncate(keys, 0)
        hang_up(server)
        server.wait_for("keys.psk holds no key any more")
        nbdinfo_fails("s.sock", "TLS", "alert", user="alice",
                      tls_psk_file="alice.psk")


@case("certificates that are links, as certbot renews them")
def _():
    ca = Authority()
    server_folder(ca, "new")
    folder = server_folder(ca)
    client_folder(ca)
    os.makedirs("etc/live/x")
    os.makedirs("etc/archive/x")
    os.mkdir("images")  # what is beside an image can be read anyway

    def renew(number, source):
        for name in ("server-cert.pem", "server-key.pem"):
            shutil.copy(f"{source}/{name}", f"etc/archive/x/{number}-{name}")
            os.symlink(f"../../archive/x/{number}-{name}", "etc/live/x/new")
            os.rename("etc/live/x/new", f"etc/live/x/{name}")

    renew(1, folder)
    for name in ("server-cert.pem", "server-key.pem"):
        os.unlink(f"{folder}/{name}")
        os.symlink(f"../etc/live/x/{name}", f"{folder}/{name}")
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder,
                 image("images/disk.vhd")) as server:
        equal(serial(connect(server)), 102)
        renew(2, "new")
        hang_up(server)
        server.wait_for("loaded certificates and keys again")
        equal(serial(connect(server)), 101)
        check("error" not in server.log(), server.log())


@case("a list of revocations that vanishes is an error, and stays in force")
def _():
    ca = Authority()
    folder = server_folder(ca)
    client = client_folder(ca, "alice")
    ca.revoke(f"{folder}/ca-crl.pem", f"{client}/client-cert.pem")
    with serving("--listen", "127.0.0.1:0", "--tls=require",
                 "--tls-certificates", folder, "--tls-verify-peer",
                 image()) as server:
        nbdinfo_fails(server.tcp(), "TLS", "alert", tls_certificates=client)
        os.unlink(f"{folder}/ca-crl.pem")
        hang_up(server)
        server.wait_for("error: .*ca-crl.pem is gone.*stay in use")
        nbdinfo_fails(server.tcp(), "TLS", "alert", tls_certificates=client)
        ca.revoke(f"{folder}/ca-crl.pem")
        hang_up(server)
        server.wait_for("loaded certificates and keys again")
        nbdinfo_size(server.tcp(), SIZE, tls_certificates=client)


def replace_worker(server):
    """kill -9 of the worker; the next one serves."""
    old = server.worker()
    os.kill(old, signal.SIGKILL)
    server.wait_for("was killed by signal 9")
    equal(greeting(connect_unix("s.sock")), GREETING)
    check(server.worker() != old, "the worker is the same")


@case("a worker's death does not forget that there were revocations")
def _():
    ca = Authority()
    folder = server_folder(ca)
    client = client_folder(ca, "alice")
    ca.revoke(f"{folder}/ca-crl.pem", f"{client}/client-cert.pem")
    with serving("--listen", "127.0.0.1:0", "--unix", "s.sock", "--tls=require",
                 "--tls-certificates", folder, "--tls-verify-peer",
                 image()) as server:
        nbdinfo_fails(server.tcp(), "TLS", "alert", tls_certificates=client)
        os.unlink(f"{folder}/ca-crl.pem")
        for _ in range(2):
            replace_worker(server)
            nbdinfo_fails(server.tcp(), "TLS", "alert", "pull function",
                          tls_certificates=client)
        server.wait_for("error: .*ca-crl.pem is gone.*nobody gets in by TLS")
        ca.revoke(f"{folder}/ca-crl.pem")
        hang_up(server)
        server.wait_for("loaded certificates and keys again")
        nbdinfo_size(server.tcp(), SIZE, tls_certificates=client)


@case("without a key any more a killed worker is replaced, too")
def _():
    keys = psk_file("keys.psk", "alice")
    shutil.copy(keys, "alice.psk")
    alice = {"user": "alice", "tls_psk_file": "alice.psk"}
    env = dict(os.environ, NOTIFY_SOCKET=os.path.abspath("notify"))
    with supervisor() as systemd, \
            serving("--unix", "s.sock", "--tls=on", "--tls-psk", keys, image(),
                    env=env) as server:
        os.truncate(keys, 0)
        hang_up(server)
        server.wait_for("keys.psk holds no key any more")
        replace_worker(server)
        nbdinfo_size("s.sock", SIZE, scheme="nbd")
        nbdinfo_fails("s.sock", "TLS", "alert", **alice)
        os.unlink(keys)
        hang_up(server)
        server.wait_for("error: .*keys.psk.*stay in use")
        contains(told(systemd, "STATUS="), "(the former keys stay in use)")
        replace_worker(server)
        contains(told(systemd, "STATUS="), "(nobody gets in by TLS)")
        nbdinfo_size("s.sock", SIZE, scheme="nbd")
        shutil.copy("alice.psk", keys)
        replace_worker(server)
        equal(told(systemd, "STATUS="), "STATUS=\n")
        nbdinfo_size("s.sock", SIZE, **alice)


@contextlib.contextmanager
def supervisor():
    """What would be systemd's end of NOTIFY_SOCKET."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("notify")
        os.chmod("notify", 0o777)
        sock.settimeout(PATIENCE)
        yield sock


def told(sock, start):
    while True:
        message = sock.recv(8192).decode()
        if message.startswith(start):
            return message


@case("a revocation that fails: an error, to systemd too, until it succeeds")
def _():
    needs_root()
    nobody = pwd.getpwnam("nobody")
    keys = psk_file("keys.psk", "alice", "bob")
    shutil.copy(keys, "both.psk")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, \
            supervisor() as systemd:
        os.chmod(folder, 0o755)
        path = image(os.path.join(folder, "disk.vhd"))
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
        secret = os.path.join(folder, "keys.psk")
        shutil.copy(keys, secret)
        os.chmod(secret, 0o600)
        env = dict(os.environ, NOTIFY_SOCKET=os.path.abspath("notify"))
        with serving("--unix", "s.sock", "--tls=require", "--tls-psk", secret,
                     "--user", "nobody", path, env=env) as server:
            both = {"tls_psk_file": "both.psk"}
            nbdinfo_size("s.sock", SIZE, user="bob", **both)
            with open(secret, encoding="ascii") as file:
                alice = file.readline()
            with open(secret, "w", encoding="ascii") as file:
                file.write(alice)
            away = secret + ".away"
            os.rename(secret, away)
            hang_up(server)
            server.wait_for("error: .*keys.psk.*stay in use")
            contains(told(systemd, "STATUS="), "keys.psk")
            nbdinfo_size("s.sock", SIZE, user="bob", **both)
            # It is root's alone, and read all the same.
            os.rename(away, secret)
            hang_up(server)
            server.wait_for("loaded certificates and keys again")
            equal(told(systemd, "STATUS="), "STATUS=\n")
            nbdinfo_size("s.sock", SIZE, user="alice", **both)
            nbdinfo_fails("s.sock", "TLS", "alert", user="bob", **both)


@case("of a wrong configuration and wrong keys, the status forgets neither")
def _():
    keys = psk_file("keys.psk", "alice")
    image("disk.vhd")

    def configure(more=""):
        with open("a.conf", "w", encoding="utf-8") as file:
            file.write(f'unix = "s.sock"; tls = "on"; tls-psk = "{keys}";\n'
                       'exports = ( { name = "a"; image = "disk.vhd"; } );\n'
                       + more)
    configure()
    env = dict(os.environ, NOTIFY_SOCKET=os.path.abspath("notify"))
    with supervisor() as systemd, \
            serving("--config", "a.conf", env=env) as server:
        os.rename(keys, keys + ".away")
        hang_up(server)
        contains(told(systemd, "STATUS="), "keys.psk")
        configure("nonsense = 1;")
        hang_up(server)
        both = told(systemd, "STATUS=")
        contains(both, "a.conf:3: no setting")
        contains(both, "keys.psk")
        told(systemd, "STATUS=")
        # What is mended is not said any more, and what is not is.
        os.rename(keys + ".away", keys)
        hang_up(server)
        wrong = told(systemd, "STATUS=")
        while "keys.psk" in wrong:
            wrong = told(systemd, "STATUS=")
        contains(wrong, "a.conf:3: no setting")
        configure()
        hang_up(server)
        equal(told(systemd, "STATUS="), "STATUS=\n")


@contextlib.contextmanager
def hidden_keys():
    """Keys in a folder that --user may not search, and an image that he may
    open."""
    needs_root()
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        path = image(os.path.join(folder, "disk.vhd"))
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
        tls = os.path.join(folder, "tls")
        os.mkdir(tls, 0o700)
        yield tls, path


def await_that(what):
    end = time.monotonic() + PATIENCE
    while not what():
        check(time.monotonic() < end, "not in time")
        time.sleep(0.2)


@case("changes in a folder of keys that is root's alone are noticed")
def _():
    both = {"tls_psk_file": psk_file("both.psk", "alice", "bob")}
    with hidden_keys() as (tls, path):
        secret = shutil.copy("both.psk", os.path.join(tls, "keys.psk"))
        with serving("--unix", "s.sock", "--tls=require", "--tls-psk", secret,
                     "--user", "nobody", path) as server:
            nbdinfo_size("s.sock", SIZE, user="bob", **both)
            with open(secret, encoding="ascii") as file:
                alice = file.readline()
            with open(secret + ".new", "w", encoding="ascii") as file:
                file.write(alice)
            os.rename(secret + ".new", secret)

            def noticed():
                nbdinfo_size("s.sock", SIZE, user="alice", **both)
                return "loaded certificates and keys again" in server.log()

            await_that(noticed)
            nbdinfo_fails("s.sock", "TLS", "alert", user="bob", **both)
            os.rename(secret, secret + ".away")

            def missed():
                nbdinfo_size("s.sock", SIZE, user="alice", **both)
                return "stay in use" in server.log()

            await_that(missed)


@case("keys on a disk that hangs keep no client waiting")
def _():
    keys = psk_file("keys.psk", "alice")
    shutil.copy(keys, "alice.psk")
    alice = {"user": "alice", "tls_psk_file": "alice.psk"}
    with serving("--unix", "s.sock", "--threads", "1", "--tls=on", "--tls-psk",
                 keys, image()) as server:
        good = Raw("s.sock")
        good.go()
        os.mkfifo("never")  # who opens it to read waits for a writer
        os.rename("never", keys)
        for i in range(3):
            nbdinfo_size("s.sock", SIZE, **alice)
            works(good)
            if i == 0:
                hang_up(server)
        good.close()


@case("a burst of clients during changes: each gets one whole certificate")
def _():
    ca = Authority()
    folder, new = server_folder(ca), server_folder(ca, "new")
    shutil.copytree(folder, "first")
    client_folder(ca)
    with serving("--listen", "127.0.0.1:0", "--threads", "2",
                 "--tls=require", "--tls-certificates", folder,
                 image()) as server:
        seen = set()
        for turn in range(40):
            replace(folder, new if turn % 2 else "first")
            if turn % 4 == 0:
                server.process.send_signal(signal.SIGHUP)
            raw = connect(server)
            seen.add(serial(raw))
            raw.go()
            works(raw)
            raw.close()
        check(seen <= {101, 102}, f"serial numbers {seen}")


run()
