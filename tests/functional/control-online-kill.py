#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What is killed while an image that clients use is being changed: the server,
or the helper that does it.  The image is as before or as after, and sound; what
was acknowledged is there; a helper's death no client notices."""

import contextlib
import glob
import os
import random
import time

from controltest import CONTROL, Control, Refused
from fronttest import Server
from onlinetest import DISK, SIZE, clients, new_disk, sound, wait_for_rounds
from rawclient import READ, SOCKET, WRITE, Client
from tooltest import KiB, MiB, case, check, is_sanitized, run

TRIES = 2 if is_sanitized() else 4
CHANGES = {
    "snapshot": lambda i: {"name": f"s{i}.vhd"},
    "resize": lambda i: {"size": SIZE + (i + 1) * MiB},
    "compact": lambda i: {},
    "merge": lambda i: {"name": f"m{i}.vhd"},
}


def start():
    for path in (SOCKET, CONTROL):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    server = Server(["--unix", SOCKET, "--control", CONTROL, "disk=" + DISK])
    server.wait_for("listening on ")
    return server


def ask_and_forget(verb, i):
    control = Control()
    control.send(verb, export="disk", **CHANGES[verb](i))
    return control


def killed_at(verb, i, moment, blocks):
    """The server, some time after it was asked; blocks: what is known to be
    there, by number."""
    server = start()
    try:
        client = Client().go("disk")
        for number in range(8 * i, 8 * i + 8):
            data = random.randbytes(4 * KiB)
            check(client.request(WRITE, number * 64 * KiB, data=data) == 0,
                  "a write failed")
            blocks[number] = data
        control = ask_and_forget(verb, i)
        time.sleep(moment)
    finally:
        server.kill()
    client.close()
    control.close()


def holds(blocks):
    server = start()
    try:
        client = Client().go("disk")
        for number, data in blocks.items():
            read = client.read(number * 64 * KiB, len(data))
            check(read == data, f"block {number} is not what was written")
        client.disconnect()
    finally:
        server.stop()


def kill_server_during(verb):
    new_disk()
    blocks = {}
    if verb == "merge":
        server = start()
        Client().go("disk").close()
        Control().ask("snapshot", export="disk", name="below.vhd")
        server.stop()
    for i in range(TRIES):
        killed_at(verb, i, random.uniform(0, 0.12), blocks)
        holds(blocks)
        sound(*glob.glob("*.vhd"))


def helpers(server):
    """The processes that change images, or open them."""
    found = set()
    for pid in server.children():
        with contextlib.suppress(OSError), \
                open(f"/proc/{pid}/comm", encoding="ascii") as file:
            if file.read().strip() == "vhdkitd-helper":
                found.add(pid)
    return found


def kill_new_helper(server, before, moment):
    """The one that was started for the change; False: it was too quick."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for pid in helpers(server) - before:
            time.sleep(moment)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
                return True
            return False
    return False


def kill_helper_during(verb):
    new_disk()
    killed = 0
    server = start()
    try:
        with clients("disk") as workers:
            if verb == "merge":
                Control().ask("snapshot", export="disk", name="below.vhd")
            for i in range(TRIES):
                wait_for_rounds(workers, 1)
                before = helpers(server)
                control = ask_and_forget(verb, i)
                killed += kill_new_helper(server, before,
                                          random.uniform(0, 0.02))
                with contextlib.suppress(Refused):
                    control.answer(control.last)
                control.close()
            wait_for_rounds(workers, 1)
    finally:
        server.stop()
    print(f"# killed {killed} of {TRIES}")
    sound(*glob.glob("*.vhd"))


for name in CHANGES:
    @case(f"the server is killed during {name}")
    def _(verb=name):
        random.seed(verb)
        kill_server_during(verb)

    @case(f"the helper is killed during {name}")
    def _(verb=name):
        random.seed(verb)
        kill_helper_during(verb)


run()
