#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Includes point downward only, without circles, and each foreign library is
known to one file.

Run as a test it checks the tree at $SRCDIR, and then shows on small made-up
trees that each rule can fail.  By hand: test-includes.py FOLDER.
"""

import os
import re
import sys
import tempfile

from rooms import ROOM_FILES, ROOMS, SERVER, room_of
from tap import Tap

# System headers that a room must do without.
SOCKETS = r"sys/socket\.h|sys/un\.h|netinet/|arpa/|netdb\.h"
FORBIDDEN = {
    "lib/base": SOCKETS + r"|event2/|fcntl\.h|sys/stat\.h",
    "lib/format": SOCKETS + r"|event2/|unistd\.h|fcntl\.h|sys/stat\.h",
    # Paths and folders are the store's.
    "lib/image": SOCKETS + r"|event2/|fcntl\.h|sys/stat\.h|dirent\.h",
    "lib/ops": SOCKETS + r"|event2/|fcntl\.h|sys/stat\.h|dirent\.h",
    "server/nbd": SOCKETS + r"|event2/|sys/epoll\.h|unistd\.h|poll\.h",
    "server/nbd/handshake": SOCKETS + r"|event2/|sys/epoll\.h|unistd\.h|"
                                      r"poll\.h",
    "server/io": SOCKETS,
}

# Foreign libraries: the pattern of their headers, where they may be included,
# and in how many files of that place (None: any number).  libevent is the
# floor that the server stands on, and not counted as foreign in "one a file".
FLOOR = "libevent"
LIBRARIES = [
    # The credentials, and the parts of the stream made with them.
    ("OpenSSL", r"openssl/", {"server/net/tls/credentials": 1,
                              "server/net/tls/bio": 1,
                              "server/net/tls/handshake": 1,
                              "server/net/tls/identity": 1,
                              "server/net/tls/stream": 1}),
    ("liburing", r"liburing\.h", {"server/io": 1}),
    ("evhttp", r"event2/http", {"server": 1}),
    ("libevent", r"event2/(?!http)", {"server": None}),
    ("libsystemd", r"systemd/", {"server": 1}),
    ("libseccomp", r"seccomp\.h", {"server": 1}),
    ("libnbd", r"libnbd\.h", {"tool": 1}),
    ("libfdisk", r"libfdisk/", {"tool": 1}),
    ("libuuid", r"uuid/", {"lib": 1}),
    ("iconv", r"iconv\.h", {"lib/base": 1}),
    ("libconfig", r"libconfig\.h", {"server/config": 1}),
    ("jansson", r"jansson\.h", {"tool": None, "server/control": None}),
    ("libsmartcols", r"libsmartcols", {"tool": None}),
    ("libext2fs", r"ext2fs/|et/", {"tool/inside": 1}),
    ("libblkid", r"blkid(/|\.h)", {"tool/inside": 1}),
    ("nbdkit", r"nbdkit-", {"plugin": None}),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def sources(root):
    for top in ("lib", "server", "tool", "plugin"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def resolve(root, path, name):
    """The file of ours that path means by #include "name", or None."""
    top = path.split("/")[0]
    for folder in (top, "lib", os.path.dirname(path)):
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def examine(root):
    """A dictionary from rule to its faults."""
    faults = {rule: [] for rule in
              ("room", "full", "downward", "resolve", "config", "circle",
               "forbidden", "library", "one")}
    ours = {}
    size = {}
    users = {}
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        includes = INCLUDE.findall(text)
        room = room_of(path)
        if room is None:
            faults["room"].append(f"{path} lies in no room that "
                                  "tests/style/rooms.py knows")
            continue
        size[room] = size.get(room, 0) + path.endswith(".c")
        if path.endswith(".c") and (not includes or
                                    includes[0][1] != "config.h"):
            faults["config"].append(f"{path}: config.h is not the first "
                                    "include")
        if path.endswith(".h") and ('"', "config.h") in includes:
            faults["config"].append(f"{path}: a header includes config.h")
        ours[path] = []
        foreign = set()
        for kind, name in includes:
            if kind == '"' and name != "config.h":
                target = resolve(root, path, name)
                if target is None:
                    faults["resolve"].append(f'{path}: "{name}" is no file '
                                             "of ours")
                    continue
                ours[path].append(target)
                if room_of(target) not in ROOMS[room]:
                    faults["downward"].append(f"{path} includes {target}: "
                                              f"{room} must not know it")
                continue
            if room in FORBIDDEN and re.match(FORBIDDEN[room], name):
                faults["forbidden"].append(f"{path}: {room} must do without "
                                           f"<{name}>")
            for library, pattern, places in LIBRARIES:
                if not re.match(pattern, name):
                    continue
                if library != FLOOR:
                    foreign.add(library)
                stem = os.path.splitext(path)[0]
                allowed = [p for p in places
                           if stem == p or path.startswith(p + "/")]
                if not allowed:
                    faults["library"].append(f"{path}: {library} does not "
                                             f"belong here (<{name}>)")
                for place in allowed:
                    users.setdefault((library, place), set()).add(stem)
        if len(foreign) > 1:
            faults["one"].append(f"{path} knows {', '.join(sorted(foreign))}: "
                                 "one foreign library a file")
    for library, _, places in LIBRARIES:
        for place, limit in places.items():
            files = sorted(users.get((library, place), ()))
            if limit is not None and len(files) > limit:
                faults["library"].append(f"{library} is known to "
                                         f"{', '.join(files)}: {limit} file "
                                         "was the rule")
    for room in SERVER:
        if size.get(room, 0) > ROOM_FILES:
            faults["full"].append(f"{room} has {size[room]} sources")
    faults["circle"] = circles(ours)
    return faults


def circles(graph):
    state = {}
    found = []

    def visit(path, trail):
        if state.get(path) == "done":
            return
        if state.get(path) == "open":
            found.append(" -> ".join(trail[trail.index(path):] + [path]))
            return
        state[path] = "open"
        for target in graph.get(path, ()):
            visit(target, trail + [path])
        state[path] = "done"

    for path in sorted(graph):
        visit(path, [])
    return found


RULES = {
    "room": "every source lies in a known room",
    "full": f"no room of the server has more than {ROOM_FILES} sources",
    "downward": "includes of ours point downward only",
    "resolve": 'every "include" is a file of ours',
    "config": "every .c includes config.h first, no .h does",
    "circle": "no circle of includes",
    "forbidden": "no room includes a system header it must do without",
    "library": "each foreign library only where it belongs",
    "one": "one foreign library a file",
}

# For each rule a tree that breaks it, and only it.
BROKEN = {
    "room": {"lib/odd/a.c": '#include "config.h"\n'},
    "full": {f"server/base/{i}.c": '#include "config.h"\n'
             for i in range(ROOM_FILES + 1)},
    "downward": {"lib/base/a.c": '#include "config.h"\n'
                                 '#include "format/b.h"\n',
                 "lib/format/b.h": ""},
    "resolve": {"tool/a.c": '#include "config.h"\n#include "nowhere.h"\n'},
    "config": {"tool/a.c": '#include <stdio.h>\n#include "config.h"\n'},
    "circle": {"lib/base/a.h": '#include "base/b.h"\n',
               "lib/base/b.h": '#include "base/a.h"\n'},
    "forbidden": {"server/nbd/a.h": "#include <sys/socket.h>\n"},
    "library": {"server/a.c": '#include "config.h"\n#include <seccomp.h>\n',
                "server/b.c": '#include "config.h"\n#include <seccomp.h>\n'},
    "one": {"tool/a.c": '#include "config.h"\n#include <jansson.h>\n'
                        "#include <libsmartcols/libsmartcols.h>\n"},
}


def bites(rule):
    """Faults if the rule does not catch the tree that breaks it."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in BROKEN[rule].items():
            os.makedirs(os.path.dirname(os.path.join(root, path)),
                        exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        caught = [r for r, faults in examine(root).items() if faults]
    return [] if caught == [rule] else [f"caught by {caught}"]


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ["SRCDIR"]
    tap = Tap()
    faults = examine(root)
    for rule, sentence in RULES.items():
        tap.case(sentence, faults[rule])
    for rule, sentence in RULES.items():
        tap.case(f"a tree that breaks it is caught: {sentence}", bites(rule))
    tap.end()


main()
