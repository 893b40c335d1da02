#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What libvhdkit.so exports, what lib/vhdkit.map lists, what vhdkit.h declares
and what libvhdkit(3) documents is the same."""

import os
import re
import subprocess

from tap import Tap

SRCDIR = os.environ["SRCDIR"]
BUILDDIR = os.environ["BUILDDIR"]


def read(path):
    with open(os.path.join(SRCDIR, path), encoding="utf-8") as file:
        return file.read()


def exported():
    library = os.path.join(BUILDDIR, "lib/.libs/libvhdkit.so")
    if not os.path.exists(library):
        return None
    out = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                         capture_output=True, text=True).stdout
    return {line.split()[2].split("@")[0] for line in out.splitlines()
            if line.split()[1] != "A"}


def mapped():
    text = re.sub(r"/\*.*?\*/", "", read("lib/vhdkit.map"), flags=re.S)
    return set(re.findall(r"\b(vhd\w*[\w*])\s*;", text))


def declared():
    text = re.sub(r"/\*.*?\*/", "", read("lib/vhdkit_image.h") +
                  read("lib/vhdkit_manage.h"), flags=re.S)
    # A declaration begins at the margin; (*wake)(...) and the like do not.
    text = re.sub(r"\n[ \t]+", " ", text)
    return set(re.findall(r"\n[a-z][\w *]*\b(vhd_\w+)\s*\(", text))


def documented():
    """Functions that have a prototype in the page."""
    return set(re.findall(r"^ +[a-z][\w *]*\b(vhd_\w+)\s*\(",
                          read("lib/libvhdkit.pod"), flags=re.M))


def difference(one, one_name, other, other_name):
    for name in sorted(one - other):
        yield f"{name} is in {one_name}, not in {other_name}"
    for name in sorted(other - one):
        yield f"{name} is in {other_name}, not in {one_name}"


def mentioned():
    """vhd_x() in the text of any page."""
    for folder in ("lib", "server", "tool", "plugin"):
        for name in sorted(os.listdir(os.path.join(SRCDIR, folder))):
            if name.endswith(".pod"):
                path = os.path.join(folder, name)
                for word in re.findall(r"\b(vhd_\w+)(?=>?\()", read(path)):
                    yield path, word


def interface():
    """Both headers, without their comments."""
    return re.sub(r"/\*.*?\*/", "", read("lib/vhdkit_image.h") +
                  read("lib/vhdkit_manage.h"), flags=re.S)


# Only the library makes these, and a caller sees a pointer.
LIBRARYS_OWN = {"vhd_finding"}


def cramped(text):
    """Structs to which no field could be added."""
    for name, body in re.findall(r"^struct (vhd_\w+) \{(.*?)^\};", text,
                                 flags=re.M | re.S):
        if name not in LIBRARYS_OWN and not re.search(r"\breserved\b", body):
            yield f"struct {name} has no room"


def unlisted(text, test):
    """Functions that take flags, by themselves or in options, and are not in
    the test of unknown ones."""
    for name, arguments in re.findall(r"^int (vhd_\w+)\(([^;]*)\);", text,
                                      flags=re.M):
        if re.search(r"uint32_t flags|struct vhd_\w*_options \*", arguments):
            if not re.search(rf"\b{name}\(|\"{name}\"", test):
                yield f"{name} is not in test-flags"


def main():
    tap = Tap()
    tap.case("each struct that callers allocate has room for later fields",
             cramped(interface()))
    tap.case("each function that takes flags is tried with unknown ones",
             unlisted(interface(), read("tests/unit/test-flags.c")))
    tap.case("a struct without room and a function not tried would be seen",
             [] if len(list(cramped("struct vhd_x {\n  int a;\n};\n"))) +
             len(list(unlisted("int vhd_x(int a,\n  uint32_t flags);\n", "")))
             == 2 else ["no"])
    header = declared()
    tap.case("vhdkit.h declares what vhdkit.map lists",
             difference(header, "vhdkit.h", mapped(), "vhdkit.map"))
    tap.case("libvhdkit.pod has the prototype of what vhdkit.h declares",
             difference(header, "vhdkit.h", documented(), "libvhdkit.pod"))
    tap.case("no page speaks of a function that vhdkit.h lacks",
             [f"{path}: {word}()" for path, word in mentioned()
              if word not in header])
    symbols = exported()
    if symbols is None:
        tap.skip("libvhdkit.so exports what vhdkit.map lists",
                 "built without a shared library")
    else:
        tap.case("libvhdkit.so exports what vhdkit.map lists",
                 difference(symbols, "libvhdkit.so", mapped(), "vhdkit.map"))
        tap.case("libvhdkit.so exports something",
                 [] if symbols else ["nothing"])
    tap.end()


main()
