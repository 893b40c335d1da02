# SPDX-License-Identifier: BSD-2-Clause
"""The rooms of the tree, and which may know which: tests ask it of includes and
of calls."""

import sys

# What each room may know of ours.  A file belongs to the room with the longest
# matching path.
ROOMS = {
    "lib/vhdkit_image.h": [],
    "lib/vhdkit_manage.h": ["lib/vhdkit_image.h"],
    "lib/vhdkit.h": ["lib/vhdkit_image.h", "lib/vhdkit_manage.h"],
    "lib/vhdkit.c": ["lib/base", "lib/vhdkit.h"],
    "lib/base": ["lib/base", "lib/vhdkit.h"],
    "lib/format": ["lib/format", "lib/base", "lib/vhdkit.h"],
    "lib/store": ["lib/store", "lib/base", "lib/vhdkit.h"],
    "lib/image": ["lib/image", "lib/store", "lib/format", "lib/base",
                  "lib/vhdkit.h"],
    "lib/ops": ["lib/ops", "lib/image", "lib/store", "lib/format", "lib/base",
                "lib/vhdkit.h"],
    # The server's, which follow: see server_rooms().
    "tool": ["tool", "lib/vhdkit.h"],
    # Of the tool's, what programs of verbs share.
    "tool/ctl": ["tool/ctl", "tool", "lib/vhdkit.h"],
    "plugin": ["plugin", "lib/vhdkit.h"],
}

# The server's rooms, lowest first, and which of those before it each may know.
# A room in a room is one of its own.
SERVER = {
    "server/base": "",
    # Bytes in, events out.
    "server/nbd": "",
    "server/nbd/handshake": "nbd",
    # Engines know images and the loop they report to, not the protocol.
    "server/io": "base",
    # Disks with versions, a child for each client: who gets what, what files
    # tell of it, and what is done to them.
    "server/provision": "base",
    "server/provision/change": "provision base",
    "server/config": "provision nbd base",
    "server/net": "config base",
    "server/net/tls": "net base",
    # The memory that clients' data takes; the gate of an open image.
    "server/disk": "io base",
    # Where exports come from.
    "server/catalog/source": "config provision base",
    "server/catalog": "catalog/source disk config provision io nbd/handshake nbd "
                      "base",
    "server/catalog/start": "catalog catalog/source disk config io base",
    # Images are changed as files while clients use them.
    "server/online": "catalog catalog/source disk config io base",
    # What is known of a client, what it can ask for, and its life.
    "server/client": "catalog catalog/source disk net config io nbd base",
    "server/client/command": "client catalog catalog/source disk net config io "
                             "nbd base",
    "server/client/connection": "client/command client catalog catalog/source "
                                "disk net config io nbd/handshake nbd base",
    # What has become of connections, and what others may know of it.
    "server/control": "client catalog catalog/source disk net config io nbd "
                      "base",
    # What is asked at its socket, and the socket.
    "server/control/verb": "control client/connection client online catalog "
                           "catalog/source disk net config io nbd base",
    # The same of disks, which are other processes' to look at.
    "server/control/disks": "control client catalog catalog/source provision "
                            "config net base",
    "server/control/socket": "control/disks control/verb control net base",
    # The same for Prometheus.
    "server/control/metrics": "control client catalog disk net io nbd base",
    "server/keeper/broker": "net/tls config provision provision/change base",
    "server/keeper": "keeper/broker net/tls net config base",
    # Composition.
    "server": "provision keeper keeper/broker control/disks control/metrics "
              "control/socket control client/connection client/command "
              "client online disk "
              "catalog/start catalog catalog/source net/tls net "
              "config io nbd/handshake nbd base",
}
ROOM_FILES = 10


def server_rooms():
    done = set()
    for room, known in SERVER.items():
        knows = {f"server/{name}" for name in known.split()}
        if not knows <= done:
            sys.exit(f"{room} stands before what it may know")
        done.add(room)
        ROOMS[room] = [room, *knows]
        if not room.startswith("server/nbd"):
            ROOMS[room].append("lib/vhdkit.h")


server_rooms()


def room_of(path):
    inside = [r for r in ROOMS if path == r or path.startswith(r + "/")]
    return max(inside, key=len) if inside else None
