#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The server's sources have the form that .clang-format tells.

Another version of clang-format has other ideas of the same words: only the one
that the file was written for is asked.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import Tap

VERSION = 14
PARTS = ("server",)


def skip(reason):
    print("SKIP:", reason)
    sys.exit(77)


def need_clang_format():
    if not shutil.which("clang-format"):
        skip("package clang-format is not installed")
    text = subprocess.run(["clang-format", "--version"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found = re.search(r"version (\d+)", text)
    if not found or int(found[1]) != VERSION:
        skip(f"clang-format is not of version {VERSION}: {text.strip()}")


def faults(root, paths):
    """Where clang-format would have it otherwise; lines, once each."""
    done = subprocess.run(["clang-format", "--style=file", "--dry-run",
                           *paths], cwd=root, text=True, check=False,
                          stderr=subprocess.PIPE)
    if done.returncode != 0:
        return [done.stderr]
    found = re.findall(r"^(\S+:\d+):\d+: warning: code should be",
                       done.stderr, flags=re.M)
    return [f"{where}: clang-format -i" for where in dict.fromkeys(found)]


def sources(root):
    for part in PARTS:
        for path in sorted(glob.glob(f"{root}/{part}/**/*.[ch]",
                                     recursive=True)):
            yield os.path.relpath(path, root)


def bites(root):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(f"{root}/.clang-format", folder)
        for name, text in (("good.c", "int a;\n"), ("bad.c", "int  a;\n")):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        caught = faults(folder, ["good.c", "bad.c"])
    return [] if caught == ["bad.c:1: clang-format -i"] else [caught]


def main():
    root = os.environ["SRCDIR"]
    tap = Tap()
    need_clang_format()
    tap.case("the sources are formatted", faults(root, list(sources(root))))
    tap.case("a file that is not is caught", bites(root))
    tap.end()


main()
