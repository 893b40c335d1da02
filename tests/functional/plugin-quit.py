#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""nbdkit ends while clients are connected, whose handles it then does not
close: what they were told is written is in the image, which is closed as
cleanly as if they had left, with nothing in memory that waits for the next
opener."""

import contextlib
import os
import signal
import sys
import tempfile

from plugintest import PATIENCE, captive, plugin_serving
from tooltest import MiB, case, check, content, equal, run, same_bytes, vhdkit
from vhdimage import UNUSED, Image

WORDS = b"last words"

# Writes, then goes on reading until nbdkit hangs up.
CLIENT = f"""
import nbd, sys
h = nbd.NBD()
h.set_uri_allow_local_file(True)
h.connect_uri(sys.argv[1])
h.pwrite({WORDS!r}, int(sys.argv[2]))
open("written", "w").close()
while h.aio_is_ready():
    try:
        h.pread(512, 0)
    except nbd.Error:
        pass
"""


def connect(name=""):
    import nbd
    h = nbd.NBD()
    h.set_uri_allow_local_file(True)
    h.connect_uri(f"nbd+unix:///{name}?socket={os.path.abspath('s.sock')}")
    return h


def terminate(server, *clients):
    """Tells nbdkit to quit, which it does once each of the threads that wait
    for a client has had a request of it, and answered it with an error."""
    import nbd
    server.send_signal(signal.SIGTERM)
    for h in clients:
        while h.aio_is_ready():
            try:
                h.pread(512, 0)
            except nbd.Error:
                pass
    equal(server.wait(PATIENCE), 0, "status of nbdkit")


@contextlib.contextmanager
def journal_folder():
    """One of our own, so that what is left there is seen."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.environ["VHDKIT_JOURNAL_DIR"] = folder
        try:
            yield folder
        finally:
            del os.environ["VHDKIT_JOURNAL_DIR"]


def closed_cleanly(image, journal, offset, *args):
    """As the files say, before vhdkit opens them and mends what it can."""
    equal(os.listdir(journal), [], "journals that are left")
    vhd = Image(image)
    used = 512 * max(entry for entry in vhd.bat if entry != UNUSED)
    used += vhd.bitmap_bytes + vhd.header.block_size
    check(len(vhd.bytes) - used <= 4096 + 512,
          f"of {len(vhd.bytes)} bytes {used} are used: its tail is still there")
    vhdkit("check", *args, image)
    same_bytes(content(image, *args)[offset:offset + len(WORDS)], WORDS)


@case("--run ends with a client connected: the image is closed")
def _():
    with journal_folder() as journal:
        vhdkit("create", "--size", "64M", "d.vhd")
        with open("client.py", "w", encoding="utf-8") as file:
            file.write(CLIENT)
        captive(f'{sys.executable} client.py "$uri" {5 * MiB} & '
                "while ! [ -e written ]; do sleep 0.05; done", "d.vhd")
        closed_cleanly("d.vhd", journal, 5 * MiB)


@case("SIGTERM with a client connected: the image is closed")
def _():
    with journal_folder() as journal:
        vhdkit("create", "--size", "64M", "d.vhd")
        with plugin_serving("d.vhd") as server:
            h = connect()
            h.pwrite(WORDS, 9 * MiB)
            terminate(server, h)
        closed_cleanly("d.vhd", journal, 9 * MiB)


@case("SIGTERM with clients upon a child that one of them made")
def _():
    with journal_folder() as journal:
        os.mkdir("golden")
        os.mkdir("children")
        vhdkit("create", "--size", "64M", "golden/a.vhd")
        with plugin_serving("dir=golden", "child=children") as server:
            clients = [connect("a"), connect("a")]
            clients[0].pwrite(WORDS, 3)
            equal(clients[1].pread(len(WORDS), 3), WORDS)
            terminate(server, *clients)
        closed_cleanly("children/a.vhd", journal, 3, "--root", ".")


run()
