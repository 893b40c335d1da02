# SPDX-License-Identifier: BSD-2-Clause
"""The NBD clients that people have against vhdkitd: each operation of each
client of one generation, and at the end a table."""

import os
import signal

import matrix
from fronttest import serving
from generation import VERSIONS
from servertest import SOCKET, need_nbd
from tooltest import Skip, case, check, content, run, same_bytes, vhdkit

verdicts = {}
seen = {}  # remarks on a client


def make_image():
    off, length = matrix.DATA
    data = os.urandom(1 << 16) * (length >> 16)
    vhdkit("create", "--size", str(matrix.SIZE), "disk.vhd")
    vhdkit("write", "disk.vhd", "--offset", str(off), data=data)
    whole = bytearray(matrix.SIZE)
    whole[off:off + length] = data
    return "disk.vhd", bytes(whole)


def check_image(image, wanted, killed=False):
    """A server that was killed may have left a place that nothing uses."""
    same_bytes(content(image), wanted, "the image")
    done = vhdkit("check", image, code=None)
    check(done.returncode in ((0, 3) if killed else (0,)), done.out + done.err)


def short_lived(g, client, operation, function):
    image, whole = make_image()
    with serving("--unix", SOCKET, "--verbose",
                 f"{matrix.NAME}={image}") as server:
        function(g, whole)
    if "without PAYLOAD_LEN" in server.log():
        seen[g.name, client] = "extended headers without PAYLOAD_LEN"
    check_image(image, matrix.expected(operation, whole))


def lasting(g, function, number):
    need_nbd()
    image, whole = make_image()
    check_image(image, function(g, number, image, whole),
                number == signal.SIGKILL)


def add(g, client, operation, do):
    """A case that leaves its verdict for the table."""
    @case(f"{g.name} {client}: {operation}")
    def _():
        verdicts[g.name, client, operation] = "FAIL"
        try:
            do()
        except Skip:
            verdicts[g.name, client, operation] = "skip"
            raise
        verdicts[g.name, client, operation] = "pass"


def add_all(g):
    for (client, operation), function in matrix.functions():
        add(g, client, operation,
            lambda c=client, o=operation, f=function: short_lived(g, c, o, f))
    for (client, operation), (function, number) in matrix.LASTING.items():
        add(g, client, operation,
            lambda f=function, n=number: lasting(g, f, n))


def show_table(g):
    print("# | client | " + " | ".join(matrix.OPERATIONS) + " |")
    print("# |---|" + "---|" * len(matrix.OPERATIONS))
    for client in VERSIONS:
        row = [verdicts.get((g.name, client, o), "-")
               for o in matrix.OPERATIONS]
        print(f"# | {client} {g.version(client)} | " + " | ".join(row) + " |")
    for (name, client), remark in sorted(seen.items()):
        print(f"# {name} {client}: {remark}")


def main(g):
    add_all(g)
    try:
        run()
    finally:
        show_table(g)
