# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of disks share: a disk with versions whose content is known,
and a server that gives each client a child of it."""

import contextlib
import os
import random

from fronttest import serving
from servertest import SOCKET, connect, nbd, need_nbd
from tooltest import MiB, vhdkit

DISK = "debian12"
SIZE = 8 * MiB
ANYBODY = 'clients = ( { disk = "*"; } );'


def pattern(seed, size=SIZE):
    return random.Random(repr(seed)).randbytes(size)


def golden():
    """What version 1 holds: the second half is zeros."""
    return pattern("golden", SIZE // 2) + bytes(SIZE // 2)


def link(name, version, disk=DISK):
    """As promoting does: in one step."""
    os.symlink(f"{version}.vhd", f"disks/{disk}/new")
    os.rename(f"disks/{disk}/new", f"disks/{disk}/{name}")


def make_disk(disk=DISK, data=None):
    os.makedirs(f"disks/{disk}")
    os.makedirs("children", exist_ok=True)
    path = f"disks/{disk}/1.vhd"
    vhdkit("create", "--size", str(SIZE), path)
    vhdkit("write", path, "--offset", "0", data=data or golden())
    link("production", 1, disk)


def make_version(number, data, off=0, disk=DISK):
    """A child of the one before that has data at off."""
    folder = f"disks/{disk}"
    vhdkit("create", "--parent", f"{folder}/{number - 1}.vhd",
           f"{folder}/{number}.vhd")
    vhdkit("write", f"{folder}/{number}.vhd", "--offset", str(off), data=data)


def config(*lines, children="children"):
    with open("disks.conf", "w", encoding="ascii") as file:
        file.write(f'disks = "disks";\nchildren = "{children}";\n' +
                   "\n".join(lines) + "\n")
    return "disks.conf"


@contextlib.contextmanager
def serving_disks(*lines, children="children", options=(), **popen):
    need_nbd()
    with serving("--config", config(*lines, children=children), "--unix",
                 SOCKET, *options, **popen) as server:
        yield server


def is_refused(name, *says):
    """Whether a client gets nothing, and is told so."""
    try:
        connect(name)
    except nbd.Error as error:
        return all(part in error.string for part in says)
    return False


def names():
    """What the server lists."""
    found = []
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.connect_unix(SOCKET)
    h.opt_list(lambda name, _description: found.append(name) or 0)
    h.opt_abort()
    return found


def child(client, disk=DISK, children="children"):
    return f"{children}/{disk}/{client}.vhd"
