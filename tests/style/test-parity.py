#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkit(1) says for each function, command and cmdlet that Windows has for VHD
files which verb and which function of the library does it.  None is forgotten,
and what is named exists, and is tried on images of other programs.
"""

import os
import re
import subprocess

from tap import Tap

SRCDIR = os.environ["SRCDIR"]

# As their makers' documentation lists them.
VIRTDISK = """AddVirtualDiskParent ApplySnapshotVhdSet AttachVirtualDisk
    BreakMirrorVirtualDisk CompactVirtualDisk CreateVirtualDisk
    DeleteSnapshotVhdSet DeleteVirtualDiskMetadata DetachVirtualDisk
    EnumerateVirtualDiskMetadata ExpandVirtualDisk ForkVirtualDisk
    GetAllAttachedVirtualDiskPhysicalPaths GetStorageDependencyInformation
    GetVirtualDiskInformation GetVirtualDiskMetadata
    GetVirtualDiskOperationProgress GetVirtualDiskPhysicalPath
    MergeVirtualDisk MirrorVirtualDisk ModifyVhdSet OpenVirtualDisk
    QueryChangesVirtualDisk RawSCSIVirtualDisk ResizeVirtualDisk
    SetVirtualDiskInformation SetVirtualDiskMetadata TakeSnapshotVhdSet"""
DISKPART = "attach compact create detach detail expand list merge select"
CMDLETS = """New-VHD Convert-VHD Get-VHD Set-VHD Resize-VHD Optimize-VHD
    Merge-VHD Test-VHD Mount-VHD Dismount-VHD Get-VHDSet Optimize-VHDSet
    Get-VHDSnapshot Remove-VHDSnapshot Mount-DiskImage Dismount-DiskImage
    Get-DiskImage"""
# Said not to be for VHD, in words.
OTHERS = re.compile(r"\w*(VhdSet|VirtualDiskMetadata)$|.*(VHDSet|VHDSnapshot)$")


def read(path):
    with open(os.path.join(SRCDIR, path), encoding="utf-8") as file:
        return file.read()


def section():
    return read("tool/vhdkit.pod").split("=head1 WINDOWS\n")[1].split(
        "\n=head1 ")[0]


def tables(text):
    """name of a table -> rows of three cells"""
    found = {}
    for block in re.findall(r"(?:^ .*\n)+", text, flags=re.M):
        head, *rows = [[cell.strip() for cell in
                        (line[1:41], line[41:61], line[61:])]
                       for line in block.splitlines()]
        found[head[0]] = rows
    return found


def missing(text, rows_of):
    """What Windows has and the section does not."""
    wanted = [("virtdisk.h", name, name) for name in VIRTDISK.split()]
    wanted += [("diskpart", f"{name} vdisk", name) for name in DISKPART.split()]
    wanted += [("PowerShell", name, name) for name in CMDLETS.split()]
    prose = re.sub(r"^ .*\n", "", text, flags=re.M)
    for table, name, word in wanted:
        if OTHERS.match(word):
            if not re.search(rf"\b{word}\b", prose):
                yield f"{name} is not said to be for others"
        elif not any(re.match(rf"{re.escape(name)}( |$)", row[0])
                     for row in rows_of.get(table, [])):
            yield f"{name} is not in the table"


def empty(rows_of):
    for table, rows in rows_of.items():
        for row in rows:
            if not all(row):
                yield f"{table}: an empty cell: {row}"


def unknown(rows_of, verbs, functions, options):
    """Cells with what is not there."""
    for rows in rows_of.values():
        for _, verb, calls in rows:
            name, *given = verb.split()
            if name not in verbs:
                yield f"there is no verb {name}"
            else:
                for option in given:
                    if option not in options(name):
                        yield f"{name} has no {option}"
            for call in re.split(r", ", calls):
                if call != "(each verb)" and call not in functions:
                    yield f"there is no function {call}"


def untried(rows_of, test):
    """Verbs that the functional test does not name in its list."""
    tried = set(re.findall(r'^@tries\("([^)]*)"\)', test, flags=re.M))
    tried = {word for words in tried for word in words.split('", "')}
    for rows in rows_of.values():
        for _, verb, _ in rows:
            if verb.split()[0] not in tried | {"script"}:
                yield f"{verb.split()[0]} is not tried"


def tool(*args):
    return subprocess.run([os.environ["VHDKIT"], *args], text=True,
                          capture_output=True, timeout=60, check=True).stdout


def main():
    tap = Tap()
    text = section()
    rows_of = tables(text)
    verbs = set(re.findall(r"^  ([a-z][a-z-]+) ", tool("--help"), flags=re.M))
    functions = set(re.findall(r"\bvhd_\w+", read("lib/vhdkit.map")))

    def options(name):
        return re.findall(r"--[a-z][a-z-]*", tool(name, "--help"))

    tap.case("all that Windows has for VHD is in vhdkit(1)",
             missing(text, rows_of))
    tap.case("no cell is empty", empty(rows_of))
    tap.case("the verbs, options and functions there are some",
             unknown(rows_of, verbs, functions, options))
    tap.case("each of these verbs is tried on images of other programs",
             untried(rows_of, read("tests/functional/tool-parity.py")))

    bad = {"diskpart": [["attach vdisk", "attach", ""],
                        ["x", "attach --frob", "vhd_frob"]]}
    tap.case("faults would be seen", [
        name for name, found, count in (
            ("missing", missing("", bad), 27 + 8 + 17 + 1),
            ("empty", empty(bad), 1),
            ("unknown", unknown(bad, {"attach"}, {""}, lambda name: []), 2),
            ("untried", untried(bad, ""), 2)) if len(list(found)) != count])
    tap.end()


main()
