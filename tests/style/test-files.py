#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The outward form of the sources: what a reader relies on in any file."""

import os
import re
import sys
import tempfile

from tap import Tap

TOPS = ("lib", "server", "tool", "plugin", "tests", "contrib")
# A file should be readable in one sitting.
LONG = 600
WIDTH = 80


def files(root, *suffixes):
    for top in TOPS:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith(suffixes) and not name.startswith("."):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as file:
                        yield os.path.relpath(path, root), file.read()


def examine(root):
    faults = {rule: [] for rule in RULES}
    for path, text in files(root, ".c", ".h"):
        lines = text.split("\n")
        if "SPDX-License-Identifier: BSD-2-Clause" not in lines[0]:
            faults["licence"].append(f"{path}:1")
        # The first comment: either the rest of the first, or the next one.
        start = re.match(r"/\*.*?\*/\s*(/\*.*?\*/)?", text, flags=re.S)
        start = start.group(0) if start else ""
        # What a .c file does may be said in its header, the contract.
        if len(re.findall(r"[a-z]{2,}", start)) < 8 and not (
                path.endswith(".c") and re.search(r"\bsee \S+\.h\b", start)):
            faults["comment"].append(f"{path}: say what it does, what it owns "
                                     "and which thread calls it")
        for number, line in enumerate(lines, 1):
            where = f"{path}:{number}"
            if "\t" in line:
                faults["tab"].append(where)
            if line != line.rstrip():
                faults["trailing"].append(where)
            if len(line) > WIDTH:
                faults["width"].append(f"{where}: {len(line)} columns")
            if re.search(r"\btypedef\s+struct\b", line):
                faults["typedef"].append(where)
            if re.search(r"\bNDEBUG\b", line):
                faults["assert"].append(where)
            if path.startswith("lib/") and re.search(
                    r"(?<!\w)(printf|fprintf|perror|exit|abort|puts)\s*\(",
                    re.sub(r"/\*.*|//.*|^\s*\*.*|\".*?\"", "", line)):
                faults["quiet"].append(f"{where}: {line.strip()}")
        if path.endswith(".h") and not re.search(
                r"^#ifndef \w+\n#define \w+\n|^#pragma once", text,
                flags=re.M):
            faults["guard"].append(path)
    for path, text in files(root, ".c", ".h", ".py"):
        number = text.count("\n")
        if number > LONG:
            faults["long"].append(f"{path}: {number} lines")
    for path, text in files(root, ".sh", ".py"):
        if "SPDX-License-Identifier: BSD-2-Clause" not in text[:200]:
            faults["licence"].append(f"{path}:1")
        if "\t" in text:
            faults["tab"].append(path)
    return faults


RULES = {
    "licence": "every source names its licence",
    "comment": "every source begins with a comment that introduces it",
    "tab": "no tabs",
    "trailing": "no blanks at the end of a line",
    "width": "no line is longer than 80 columns",
    "typedef": "no typedef'd structs",
    "assert": "assertions stay on",
    "quiet": "the library neither prints nor exits",
    "guard": "every header can be included twice",
    "long": f"no file is longer than {LONG} lines",
}

TOP = "/* SPDX-License-Identifier: BSD-2-Clause */\n/* " + "word " * 14 + "." + \
      " */\n"
BROKEN = {
    "licence": ("lib/a.c", TOP.replace("SPDX", "")),
    "comment": ("lib/a.c", TOP.split("\n", maxsplit=1)[0] + "\nint a;\n"),
    "tab": ("lib/a.c", TOP + "\tint a;\n"),
    "trailing": ("lib/a.c", TOP + "int a; \n"),
    "width": ("lib/a.c", TOP + "int a;" + " " * 80 + "int b;\n"),
    "typedef": ("lib/a.c", TOP + "typedef struct a b;\n"),
    "assert": ("lib/a.c", TOP + "#define NDEBUG\n"),
    "quiet": ("lib/a.c", TOP + "  exit(1);\n"),
    "guard": ("lib/a.h", TOP + "int a;\n"),
    "long": ("lib/a.py", "# SPDX-License-Identifier: BSD-2-Clause" +
             "\n" * (LONG + 1)),
}


def bites(rule):
    with tempfile.TemporaryDirectory() as root:
        path, text = BROKEN[rule]
        os.makedirs(os.path.join(root, os.path.dirname(path)))
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
        tap.case(f"a file that breaks it is caught: {sentence}", bites(rule))
    tap.end()


main()
