#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The tutorial is typed word by word, in an empty folder, and says what it is
said to say."""

import os
import shutil
import subprocess

from tooltest import Skip, case, equal, run

PAGE = os.path.join(os.environ["SRCDIR"], "server/vhdkit-classroom.pod")
PROGRAMS = ("VHDKIT", "VHDKITD", "VHDKITCTL")
MARK = "--- command "


def examples():
    """(command, what it prints) for each that the page shows."""
    found = []
    with open(PAGE, encoding="utf-8") as file:
        for line in file.read().splitlines():
            if not line.startswith("    "):
                continue
            line = line[4:]
            if line.startswith("$ "):
                found.append((line[2:], ""))
            elif line.startswith("> "):
                command, output = found.pop()
                found.append((f"{command}\n{line[2:]}", output))
            else:
                command, output = found.pop()
                found.append((command, f"{output}{line}\n"))
    return found


def programs():
    """A folder with what the page calls by name alone."""
    os.mkdir("bin")
    for name in PROGRAMS:
        path = shutil.which(os.environ[name])
        with open(f"bin/{name.lower()}", "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec "{path}" "$@"\n')
        os.chmod(f"bin/{name.lower()}", 0o755)
    return os.path.abspath("bin")


@case("a classroom in ten minutes: each command, and what it prints")
def _():
    if not shutil.which("nbdcopy"):
        raise Skip("package libnbd-bin is not installed")
    wanted = examples()
    env = {**os.environ, "PATH": f"{programs()}:{os.environ['PATH']}"}
    os.mkdir("room")
    script = "".join(f"echo '{MARK}{i}'\n{command}\n"
                     for i, (command, _) in enumerate(wanted))
    done = subprocess.run(["bash", "-c", script], cwd="room", env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=open("errors", "wb"), text=True, timeout=100,
                          check=False)
    with open("errors", encoding="utf-8") as file:
        print("#", file.read().replace("\n", "\n# "))
    printed = {}
    for line in done.stdout.splitlines(keepends=True):
        if line.startswith(MARK):
            number = int(line[len(MARK):])
            printed[number] = ""
        else:
            printed[number] += line
    for i, (command, output) in enumerate(wanted):
        equal(printed.get(i), output, command)
    equal(done.returncode, 0)


run()
