#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""No two files of the library, or of the server, need each other: the functions
and data that one uses of another, as the linker sees them, make no circle, and
no room uses one that it must not know.  And what is too long to be read:
functions of more than 60 lines, or more than one in ten of over 30, and files
of more than 600.

An include test sees which headers a file knows, not who calls whom: a circle of
calls through one shared header escapes it.  So the object files are asked.

Run as a test it checks $BUILDDIR and $SRCDIR, and then shows that each rule can
fail.
"""

import glob
import math
import os
import re
import subprocess
import sys

from rooms import ROOMS, room_of
from tap import Tap

# Folder -> what its objects' names begin with.
PARTS = {
    "lib": ("libvhdkit_core_la-",),
    "server": ("libserver_la-", "libnbdproto_la-"),
}
FILE_LINES = 600
FUNCTION_LINES = 60
USUAL_LINES = 30  # of nine in ten


def objects(build, part):
    """Object file -> the source's name below its part, without its end.
    libtool makes one or two of a source; either does.  What is left of a source
    that has gone does not count."""
    root = os.environ["SRCDIR"]
    found = {}
    for path in sorted(glob.glob(f"{build}/{part}/**/*.o", recursive=True) +
                       glob.glob(f"{build}/{part}/**/.libs/*.o",
                                 recursive=True)):
        folder, name = os.path.split(os.path.relpath(path, f"{build}/{part}"))
        for prefix in PARTS[part]:
            if name.startswith(prefix):
                source = os.path.join(folder.replace(".libs", "").rstrip("/"),
                                      name[len(prefix):-2])
                if os.path.exists(f"{root}/{part}/{source}.c"):
                    found[source] = path
    return {path: source for source, path in found.items()}


def symbols(paths):
    """Object file -> (what it defines, what it uses)."""
    out = subprocess.run(["nm", "-A", "-P", *paths], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    table = {path: (set(), set()) for path in paths}
    for line in out.splitlines():
        path, rest = line.split(": ", 1)
        name, kind = rest.split()[:2]
        defined, used = table[path]
        if kind in "TDBRVWC":
            defined.add(name)
        elif kind == "U":
            used.add(name)
    return table


def uses(table, name_of):
    """File -> the files whose symbols it uses, each with one of them."""
    owner = {symbol: name_of[path] for path, (defined, _) in table.items()
             for symbol in defined}
    graph = {name: {} for name in name_of.values()}
    for path, (_, used) in table.items():
        for symbol in sorted(used):
            to = owner.get(symbol)
            if to and to != name_of[path]:
                graph[name_of[path]].setdefault(to, symbol)
    return graph


def circles(graph):
    """Sets of files that can all reach each other (Tarjan)."""
    index, low, stack, on, found = {}, {}, [], set(), []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        on.add(node)
        for to in graph[node]:
            if to not in index:
                visit(to)
                low[node] = min(low[node], low[to])
            elif to in on:
                low[node] = min(low[node], index[to])
        if low[node] != index[node]:
            return
        group = set()
        while node not in group:
            top = stack.pop()
            on.discard(top)
            group.add(top)
        if len(group) > 1:
            found.append(group)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def describe(graph):
    for group in circles(graph):
        arrows = [f"{a} -> {b} ({graph[a][b]})" for a in sorted(group)
                  for b in sorted(graph[a]) if b in group]
        yield f"{len(group)} files in a circle: " + ", ".join(arrows)


def functions(text):
    """(name, lines) of each function, which begins and ends in column 0."""
    pattern = r"^(\w+)\([^;{}]*\)\n\{\n(.*?)^\}\n"
    for match in re.finditer(pattern, text, re.M | re.S):
        yield match[1], match[0].count("\n")


def upward(graph, part):
    """What calls into a room that its own must not know, by whatever header."""
    for a, arrows in sorted(graph.items()):
        for b, symbol in sorted(arrows.items()):
            room = room_of(f"{part}/{a}.c")
            if room_of(f"{part}/{b}.c") not in ROOMS[room]:
                yield f"{a} -> {b} ({symbol}): {room} must not know it"


def texts(root, part):
    for path in sorted(glob.glob(f"{root}/{part}/**/*.[ch]", recursive=True)):
        with open(path, encoding="utf-8") as file:
            yield os.path.relpath(path, root), file.read()


def quantile(lengths, part):
    """What this part of them do not exceed."""
    return sorted(lengths)[max(0, math.ceil(len(lengths) * part) - 1)]


def too_long(root, part):
    lengths = []
    longest = 0
    for name, text in texts(root, part):
        lines = text.count("\n")
        longest = max(longest, lines)
        if lines > FILE_LINES:
            yield f"{name} has {lines} lines"
        for function, length in functions(text):
            lengths.append(length)
            if length > FUNCTION_LINES:
                yield f"{name}: {function}() has {length} lines"
    nine = quantile(lengths, 0.9)
    print(f"# {part}: {len(lengths)} functions, of {quantile(lengths, 0.5)} "
          f"lines in the middle, {nine} at 90 %, {max(lengths)} at most; files "
          f"of {longest} at most")
    if nine > USUAL_LINES:
        yield f"a tenth of its functions has over {USUAL_LINES} lines"


def can_fail(tap):
    graph = {"a": {"b": "f"}, "b": {"c": "g"}, "c": {"b": "h"}, "d": {}}
    tap.case("a circle is found, and only what is in it",
             [] if circles(graph) == [{"b", "c"}] else [circles(graph)])
    tap.case("a chain is no circle",
             circles({"a": {"b": "f"}, "b": {"c": "g"}, "c": {}}))
    graph = {"base/loop": {"net/listen": "f"}, "net/listen": {"base/log": "g"}}
    found = list(upward(graph, "server"))
    tap.case("a call upward is found, and only that",
             [] if len(found) == 1 and "listen (f)" in found[0] else [found])
    body = "int\nlong_one(int a,\n         int b)\n{\n" + "  a++;\n" * 98
    found = list(functions(body + "}\n"))
    tap.case("a function's lines are counted",
             [] if found == [("long_one", 102)] else [found])
    ten = [1, 2, 3, 4, 5, 6, 7, 8, 9, 99]
    tap.case("what nine of ten do not exceed is the ninth",
             [] if quantile(ten, 0.9) == 9 else [quantile(ten, 0.9)])


def examine(tap, part):
    name_of = objects(os.environ["BUILDDIR"], part)
    if not name_of:
        sys.exit(f"no object files of {part} in the build tree")
    graph = uses(symbols(list(name_of)), name_of)
    arrows = sum(len(to) for to in graph.values())
    tap.case(f"{part}: the object files tell who calls whom",
             [] if arrows > len(graph) else [f"only {arrows} arrows"])
    tap.case(f"{part}: no circle of calls", describe(graph))
    tap.case(f"{part}: calls point downward only", upward(graph, part))
    tap.case(f"{part}: no function of over {FUNCTION_LINES} lines, no file of "
             f"over {FILE_LINES}", too_long(os.environ["SRCDIR"], part))


def main():
    tap = Tap()
    for part in PARTS:
        examine(tap, part)
    can_fail(tap)
    tap.end()


main()
