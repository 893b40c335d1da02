#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What strangers can ask for as often as they like costs a bounded amount of
memory and of log, and tells them no more than they must know."""

import contextlib
import os
import re
import subprocess

from rawclient import ERROR, GO, LIST, SERVER, Client
from servertest import SOCKET, connect, need_nbd, served
from tooltest import MiB, case, check, contains, equal, need, run, vhdkit
from vhdimage import write_dynamic

@contextlib.contextmanager
def clients(n):
    all_of_them = [Client() for _ in range(n)]
    yield all_of_them
    for client in all_of_them:
        client.close()


def peak(server):
    return int(server.status()["VmHWM"].split()[0]) * 1024


LONG = [f"{i:04}" + "n" * 4000 for i in range(300)]


def long_names():
    """Arguments; a list of 1.2 MB."""
    for i in range(len(LONG)):
        write_dynamic(f"{i}.vhd", MiB, {})
    return [f"{name}={i}.vhd" for i, name in enumerate(LONG)]


@case("a long list for clients that do not read takes no memory for each")
def _():
    with served("--threads", "1", *long_names()) as server:
        with clients(1) as (first,):
            first.ask(LIST)
            equal(list(first.names()), LONG)
        before = peak(server)
        with clients(150) as silent, clients(1) as (other,):
            for client in silent:
                client.ask(LIST)
            for client in silent:  # his list has begun
                equal(client.reply()[0], SERVER)
            other.ask(LIST)
            equal(list(other.names()), LONG)
            grown = peak(server) - before
            # A sanitizer has memory of its own for each byte.
            each = (1 << 20) if os.environ.get("SANITIZE") else (256 << 10)
            check(grown < 150 * each, f"grown by {grown >> 20} MiB")
            equal(len(list(silent[3].names())), len(LONG) - 1)


@case("a folder that changes while its list is read: what stays is told once")
def _():
    need_nbd()
    os.mkdir("dir")
    names = [f"{i:04}" + "n" * 200 for i in range(2000)]
    write_dynamic("dir/first.vhd", MiB, {})
    for name in names:
        os.link("dir/first.vhd", f"dir/{name}.vhd")
    os.unlink("dir/first.vhd")
    with served("dir"):
        with clients(2) as (slow, other):
            slow.ask(LIST)
            told = slow.names()
            got = [next(told)]
            os.unlink(f"dir/{names[1]}.vhd")
            os.unlink(f"dir/{names[1500]}.vhd")
            write_dynamic(f"dir/{names[0]}0.vhd", MiB, {})
            write_dynamic(f"dir/{names[1700]}0.vhd", MiB, {})
            other.ask(LIST)
            now = list(other.names())
            equal(now, sorted(set(names) - {names[1], names[1500]} |
                              {names[0] + "0", names[1700] + "0"}))
            got += told
            equal(got, sorted(set(got)), "the order, or one told twice")
            check(set(got) >= set(names) - {names[1], names[1500]},
                  "one is missing")


@case("what is wrong with an image is logged a few times, and then counted")
def _():
    os.mkdir("dir")
    for name in ("bad", "worse"):
        with open(f"dir/{name}.vhd", "wb") as f:
            f.write(b"x" * 4096)
    total = 0
    with served("dir") as server:
        for _ in range(3):
            with clients(1) as (client,):
                for _ in range(500):
                    client.ask_info("bad")
                    client.error()
                    total += 1
        with clients(1) as (client,):
            client.ask_info("worse")
            client.error()
    lines = len(re.findall("warning: export 'bad': ", server.log()))
    held = sum(int(n) for n in re.findall(
        r"(\d+) more messages about the export 'bad'", server.log()))
    equal(lines + held, total, "messages, and those that were counted")
    check(lines <= total // 10, f"{lines} messages")
    contains(server.log(), "warning: export 'worse': ")


@case("a refusal says nothing of files and processes; the log does")
def _():
    need("qemu-io")
    os.mkdir("dir")
    os.mkdir("secret")
    for name in ("dir/busy", "dir/base", "secret/there"):
        vhdkit("create", "--size", str(MiB), f"{name}.vhd")
    vhdkit("create", "--parent", "dir/base.vhd", "dir/orphan.vhd")
    os.rename("dir/base.vhd", "gone.vhd")
    os.link("secret/there.vhd", "secret/nowhere.vhd")
    for name in ("there", "nowhere"):
        vhdkit("create", "--parent", f"secret/{name}.vhd",
               f"dir/of-{name}.vhd", "--root", ".")
    os.unlink("secret/nowhere.vhd")
    with open("dir/bad.vhd", "wb") as f:
        f.write(b"x" * 4096)
    texts = {}
    # In its sandbox the server does not see who holds an image.
    with served("--no-sandbox", "dir") as server, clients(1) as (client,):
        for name in ("orphan", "of-there", "of-nowhere", "bad", "none"):
            client.ask_info(name)
            texts[name] = client.error()
        with subprocess.Popen(["qemu-io", "-f", "vpc", "dir/busy.vhd"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as qemu:
            qemu.stdin.write("write 0 512\n")
            qemu.stdin.flush()
            contains(qemu.stdout.readline(), "wrote 512")
            client.ask_info("busy", GO)
            texts["busy"] = client.error()
            qemu.stdin.close()
        pid = str(qemu.pid)
    broken = {texts[name] for name in ("orphan", "of-there", "of-nowhere",
                                       "bad")}
    equal(len(broken), 1, texts)
    for text in texts.values():
        for secret in (pid, "qemu", "base", "secret", "vhd", "/"):
            check(secret not in text, f"a stranger learns {text!r}")
    for part in ("base.vhd", "nowhere.vhd", "there.vhd", "bad.vhd",
                 "busy.vhd", pid):
        contains(server.log(), part)


run()
