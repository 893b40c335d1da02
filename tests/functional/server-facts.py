#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What the log says of each connection: one line at its end, with who, what and
why; each error that a client got; and no flood."""

import os
import pwd
import re
import resource
import signal
import socket
import struct
import subprocess

from fronttest import (PATIENCE, connect_tcp, connect_unix, greeting, image,
                       needs_root, read_all, serving)
from rawclient import ABORT, FLUSH, GO, READ, SOCKET, WRITE, Client
from servertest import nbd, need_nbd
from tooltest import MiB, Skip, case, check, contains, equal, need, run

US = rf"process {os.getpid()} \(uid:{os.geteuid()}\)"
EPERM, EIO, EINVAL, ENOSPC = 1, 5, 22, 28


def lines(server, pattern):
    return re.findall(f"^vhdkitd: {pattern}$", server.log(), flags=re.M)


def left(server, why, numbers=r".*", who=US, name=""):
    """The one line of a connection that had chosen an export."""
    pattern = (rf"export '{name}': {who} has left after \d+\.\d s: {why}; "
               rf"{numbers}")
    server.wait_for(f"^vhdkitd: {pattern}$")
    equal(len(lines(server, pattern)), 1, server.log())


def left_early(server, why, who=US):
    pattern = rf"{who} has left without an export after \d+\.\d s: {why}"
    server.wait_for(f"^vhdkitd: {pattern}$")


@case("a client that disconnects: who, which export, how much, why")
def _():
    with serving("--unix", SOCKET, "--listen", "127.0.0.1:0",
                 f"web={image()}") as server:
        before = len(server.log().splitlines())
        client = Client().go("web")
        equal(client.request(WRITE, 0, data=b"x" * 8192), 0)
        equal(client.request(READ, 0, 4096), 0)
        equal(client.request(READ, MiB, 256 << 10), 0)
        equal(client.request(FLUSH), 0)
        client.disconnect()
        left(server, "it has disconnected",
             "read 266240 bytes, wrote 8192 bytes, got 0 errors", name="web")
        equal(len(server.log().splitlines()), before + 1, server.log())
        sock = connect_tcp(*server.tcp())
        port = sock.getsockname()[1]
        Client(sock).go("web").disconnect()
        left(server, "it has disconnected", who=rf"127\.0\.0\.1:{port}",
             name="web")


@case("a client that goes without a word, one that talks nonsense")
def _():
    with serving("--unix", SOCKET, image()) as server:
        Client().go().close()
        left(server, "it has gone without a word")
        client = Client().go()
        client.sock.sendall(b"nonsense" * 8)
        equal(read_all(client.sock, 1), b"")
        left(server, "its bytes make no sense")


@case("clients that choose nothing: they leave, are no NBD clients, take long")
def _():
    with serving("--unix", SOCKET, "--handshake-timeout", "1",
                 image()) as server:
        client = Client()
        client.ask(ABORT)
        left_early(server, "the client left")
        client = connect_unix(SOCKET)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        left_early(server, "unknown client flags")
        equal(greeting(connect_unix(SOCKET)), b"NBDMAGICIHAVEOPT")
        left_early(server, "it has gone")
        silent = connect_unix(SOCKET)
        left_early(server, "it took too long over its handshake")
        silent.close()


@case("a client whose connection breaks")
def _():
    with serving("--listen", "127.0.0.1:0", image()) as server:
        sock = connect_tcp(*server.tcp())
        client = Client(sock).go()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))  # close() resets
        client.close()
        left(server, "the connection broke", who=r"127\.0\.0\.1:\d+")


@case("the server stops: so its clients learn, and the log")
def _():
    with serving("--unix", SOCKET, "--verbose", image()) as server:
        client = Client().go()
        server.wait_for(f"debug: {US} has come")
        server.wait_for(f"debug: export '': {US} has chosen it")
        equal(client.request(READ, 0, 512), 0)
        server.process.send_signal(signal.SIGTERM)
        equal(read_all(client.sock, 1), b"")
        client.close()
        equal(server.wait(), 0)
        left(server, "the server stops")
        contains(server.log(), "in all: 1 connections, 0 refused, 0 there "
                               "still; 512 bytes read, 0 written, 0 errors")


@case("errors of options: who asked for what")
def _():
    with serving("--unix", SOCKET, f"web={image()}") as server:
        client = Client()
        client.ask_info("none")
        contains(client.error(), "no export of that name")
        server.wait_for(f"export 'none': INFO of {US} failed: there is no "
                        r"export of that name \(ERR_UNKNOWN\)")
        client.ask(GO, b"\xff\xff\xff\xff")
        client.error()
        server.wait_for(rf"GO of {US} failed: .* \(ERR_INVALID\)")
        os.unlink("disk.vhd")
        client.close()
    os.mkdir("dir")
    with open("dir/bad.vhd", "wb") as f:
        f.write(b"x" * 4096)
    with serving("--unix", SOCKET, "dir") as server:
        client = Client()
        client.ask_info("bad", GO)
        client.error()
        server.wait_for("warning: export 'bad': .*bad.vhd")
        server.wait_for(rf"export 'bad': GO of {US} failed: the image cannot "
                        r"be opened; .* \(ERR_PLATFORM\)")
        client.close()


@case("requests that are the client's fault")
def _():
    with serving("--unix", SOCKET, "--readonly", image()) as server:
        client = Client().go()
        equal(client.request(WRITE, 512, data=b"x" * 512), EPERM)
        server.wait_for(rf"^vhdkitd: export '': WRITE of 512 bytes at 512 of "
                        rf"{US} failed: .* \(NBD_EPERM\)$")
        equal(client.request(READ, 100 * MiB, 512), EINVAL)
        server.wait_for(rf"^vhdkitd: export '': READ of 512 bytes at 104857600 "
                        rf"of {US} failed: .* \(NBD_EINVAL\)$")
        client.disconnect()
        left(server, "it has disconnected",
             "read 0 bytes, wrote 0 bytes, got 2 errors")


def small_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MiB, MiB))


@case("no space for a write is an error of the log, too")
def _():
    with open("raw", "wb") as f:
        f.truncate(4 * MiB)
    with serving("--unix", SOCKET, "--raw", "raw",
                 preexec_fn=small_files) as server:
        client = Client().go()
        equal(client.request(WRITE, 2 * MiB, data=b"x" * 4096), ENOSPC)
        server.wait_for(rf"error: export '': WRITE of 4096 bytes at 2097152 of "
                        rf"{US} failed: File too large \(NBD_ENOSPC\)$")
        client.disconnect()


@case("nor can data that is not there be read without a word")
def _():
    with open("raw", "wb") as f:
        f.truncate(4 * MiB)
    with serving("--unix", SOCKET, "--raw", "raw") as server:
        client = Client().go()
        os.truncate("raw", MiB)
        equal(client.request(READ, 2 * MiB, 4096), EIO)
        server.wait_for(rf"error: export '': READ of 4096 bytes at 2097152 of "
                        rf"{US} failed: .* \(NBD_EIO\)$")
        client.disconnect()


def failing_syncs(pid):
    """Each sync of the process fails from now on."""
    tracer = subprocess.Popen(
        ["strace", "-f", "-q", "-p", str(pid), "-o", "trace", "-e",
         "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"],
        stdin=subprocess.DEVNULL)

    def traced():
        return all("TracerPid:\t0" not in open(
            f"/proc/{pid}/task/{task}/status", encoding="ascii").read()
            for task in os.listdir(f"/proc/{pid}/task"))
    while not traced():
        if tracer.poll() is not None:
            raise Skip("strace cannot make a sync fail here")
    return tracer


@case("a sync that fails is an error of the log, too")
def _():
    need("strace")
    if os.environ.get("SANITIZE"):
        raise Skip("a sanitizer does not like to be traced")
    with serving("--unix", SOCKET, "--io", "threads", "--no-sandbox", image(),
                 status=1) as server:
        client = Client().go()
        equal(client.request(WRITE, 0, data=b"x" * 4096), 0)
        tracer = failing_syncs(server.worker())
        equal(client.request(FLUSH), EIO)
        server.wait_for(rf"error: export '': FLUSH of 0 bytes at 0 of {US} "
                        r"failed: Input/output error \(NBD_EIO\)$")
        tracer.terminate()
        tracer.wait(PATIENCE)
        client.disconnect()


@case("an image that the server may not write to: log and client are told why")
def _():
    needs_root()
    need_nbd()
    os.chmod(".", 0o755)
    os.chmod("..", 0o755)
    os.mkdir("dir")
    image("dir/disk.vhd")
    os.chmod("dir/disk.vhd", 0o644)
    told = []
    with serving("--unix", SOCKET, "--user", "nobody", "--description",
                 "named=of root's", "named=dir/disk.vhd") as server:
        h = nbd.NBD()
        h.set_opt_mode(True)
        h.set_full_info(True)
        h.set_export_name("named")
        h.connect_unix(SOCKET)
        h.opt_info()
        told.append(h.get_export_description())
        h.opt_go()
        told.append(h.get_export_description())
        check(h.is_read_only(), "who can write to a file of root's?")
        h.shutdown()
        contains(server.log(), f"chown {pwd.getpwnam('nobody').pw_uid} "
                               "dir/disk.vhd")
    with serving("--unix", SOCKET, "--user", "nobody", "dir"):
        h = nbd.NBD()
        h.set_opt_mode(True)
        h.set_full_info(True)
        h.set_export_name("disk")
        h.connect_unix(SOCKET)
        h.opt_info()  # nobody has opened it
        told.append(h.get_export_description())
        h.opt_abort()
    for text in told:
        contains(text, "the server may not write to this image")
    for text in told[:2]:
        contains(text, "of root's (")


@case("many that leave are held back, and others have their say")
def _():
    with serving("--unix", SOCKET, image()) as server:
        for _ in range(40):
            Client().go().disconnect()
        Client().go().close()
        left(server, "it has gone without a word")
    equal(len(lines(server, ".*it has disconnected; read.*")), 3, server.log())
    contains(server.log(), "37 more messages about clients of the export '' "
                           "that left: it has disconnected were held back")


@case("a stranger who makes up names, or wrong requests, fills no log")
def _():
    with serving("--unix", SOCKET, image()) as server:
        client = Client()
        for i in range(300):
            client.ask_info(f"none-{i}")
            client.error()
        client.go()
        for _ in range(300):
            equal(client.request(READ, 100 * MiB, 512), EINVAL)
        client.disconnect()
    text = server.log()
    check(len(text.splitlines()) < 40, text)
    contains(text, "297 more messages about options that were answered with "
                   "ERR_UNKNOWN")
    contains(text, "297 more messages about requests to the export '' that "
                   "failed with NBD_EINVAL")


run()
