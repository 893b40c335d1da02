#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What README.md and CONTRIBUTING.md name is there: files, links, configure's
options, targets of make, verbs and options of the programs."""

import os
import re
import subprocess

from tap import Tap

SRCDIR = os.environ["SRCDIR"]
BUILDDIR = os.environ["BUILDDIR"]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")


def read(path):
    with open(os.path.join(SRCDIR, path), encoding="utf-8") as file:
        return file.read()


def makefile():
    with open(os.path.join(BUILDDIR, "Makefile"), encoding="utf-8") as file:
        return file.read()


def there(path):
    """Or make can build it: no stage of a check builds all programs."""
    return any(os.path.exists(os.path.join(top, path))
               for top in (SRCDIR, BUILDDIR)) or \
        f"\n{path}$(EXEEXT): " in makefile()


def missing_files(text):
    for path in re.findall(r"(?<![\w./-])(?:lib|server|tool|plugin|contrib|"
                           r"tests)/[\w./-]*\w/?", text):
        # NAME and the like stand for something; logs come and go.
        if not re.search(r"[A-Z]{3}|\.log$", os.path.basename(
                path.rstrip("/"))) and not there(path):
            yield path


def missing_links(text, headings):
    for target in re.findall(r"\]\(([^)]*)\)", text):
        if target.startswith("#"):
            if target[1:] not in headings:
                yield target
        elif not re.match(r"https?:", target) and not there(target):
            yield target


def anchors(text):
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, flags=re.M)}


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL).stdout


def missing_switches(text):
    known = output(os.path.join(SRCDIR, "configure"), "--help")
    for switch in re.findall(r"--(?:enable|disable|with|without)-[a-z-]+",
                             text):
        name = re.sub(r"--[a-z]+-", "", switch, count=1)
        if not re.search(rf"--(?:enable|disable|with|without)-{name}\b", known):
            yield switch


def missing_targets(text):
    rules = makefile()
    # Where it is typed: in `...` or in an indented block.
    for target in re.findall(r"(?:`|^    (?:\w+=\S+ )*)make (?:-\S+ )?"
                             r"([a-z][a-z-]*)", text, flags=re.M):
        if not re.search(rf"^(?:[\w-]+ )*{target}(?: [\w-]+)*:", rules,
                         flags=re.M):
            yield f"make {target}"


def wrong_commands(text):
    """Options in the tour's commands that the program does not know."""
    for line in re.findall(r"^    \$ (.*)$", text, flags=re.M):
        for part in line.split("|"):
            words = part.split()
            if words[0] == "vhdkit":
                known = output(os.environ["VHDKIT"], words[1], "--help")
            elif words[0] == "vhdkitd":
                known = output(os.environ["VHDKITD"], "--help")
            else:
                continue
            for word in words:
                if word.startswith("--") and not re.search(
                        re.escape(word) + r"\b", known):
                    yield f"{word} in: {part.strip()}"


def main():
    tap = Tap()
    for document in DOCUMENTS:
        text = read(document)
        tap.case(f"{document}: the files it names are there",
                 missing_files(text))
        tap.case(f"{document}: its links lead somewhere",
                 missing_links(text, anchors(text)))
        tap.case(f"{document}: configure knows the switches it names",
                 missing_switches(text))
        tap.case(f"{document}: make knows the targets it names",
                 missing_targets(text))
        tap.case(f"{document}: the programs know the options it shows",
                 wrong_commands(text))
    bad = ("see tests/nothing.py and [x](#nowhere) or `make nonsense` with "
           "--enable-nonsense\n    $ vhdkit info --nonsense a.vhd\n")
    for name, faults in (("file", missing_files(bad)),
                         ("link", missing_links(bad, anchors(bad))),
                         ("switch", missing_switches(bad)),
                         ("target", missing_targets(bad)),
                         ("option", wrong_commands(bad))):
        tap.case(f"a {name} that is not there is caught",
                 [] if len(list(faults)) == 1 else ["no"])
    tap.end()


main()
