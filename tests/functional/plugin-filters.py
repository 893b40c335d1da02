#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""nbdkit's filters over the plugin, with real reads and writes."""

import os
import struct

from plugintest import captive, plugin_serving
from tooltest import MiB, case, check, contains, content, equal, \
    program, run, same_bytes, vhdkit

URI = "nbd+unix:///?socket="


def image(size="16M", data=b""):
    vhdkit("create", "--size", size, "d.vhd")
    if data:
        vhdkit("write", "d.vhd", data=data)


def qemu_io(*commands, uri='"$uri"'):
    return f"qemu-io -f raw {' '.join(f'-c {c!r}' for c in commands)} {uri}"


def read_back(script_out):
    check("failed" not in script_out and "mismatch" not in script_out,
          script_out)


def try_filter(*filters, args=()):
    """The same work through any filter that changes no content."""
    image()
    done = captive(qemu_io("write -P 7 1M 3M", "read -P 7 2M 1M",
                           "write -z 2M 1M", "read -P 0 2M 1M",
                           "read -P 0 8M 1M", "discard 8M 4M", "flush"),
                   "d.vhd", *args, filters=filters)
    read_back(done.out + done.err)
    return content("d.vhd")


def written():
    want = bytearray(16 * MiB)
    want[1 * MiB:2 * MiB] = want[3 * MiB:4 * MiB] = b"\7" * MiB
    return bytes(want)


for names, args in (
        (["cache"], []), (["retry"], []), (["blocksize"], ["minblock=4K"]),
        (["delay"], ["rdelay=1ms"]), (["error"], ["error-rate=0%"]),
        (["stats"], ["statsfile=stats.txt"]), (["log"], ["logfile=log.txt"]),
        (["exportname"], ["exportname=other", "exportname-list=explicit"]),
        (["limit"], ["limit=4"]), (["fua"], []), (["noparallel"], []),
        (["readahead"], []), (["cache", "delay", "retry"], ["wdelay=1ms"])):
    @case(f"through {' over '.join(names)}")
    def _(names=names, args=args):
        same_bytes(try_filter(*names, args=args), written())


@case("cow: the image does not change")
def _():
    check(not any(try_filter("cow")), "the image has changed")


@case("truncate: longer than the image, and shorter")
def _():
    image(data=b"z" * 1000)
    done = captive(qemu_io("read -P 0 16M 1M", "read -P 122 0 1000"),
                   "d.vhd", "truncate=32M", filters=["truncate"])
    read_back(done.out + done.err)
    out = captive('nbdinfo --size "$uri"', "d.vhd", "truncate=1M",
                  filters=["truncate"]).out
    equal(int(out), MiB)


@case("error: an error that is asked for reaches the client")
def _():
    image()
    done = captive(qemu_io("read 0 64k"), "d.vhd", "error-rate=100%",
                   filters=["error"], code=None)
    contains(done.out + done.err, "failed")


@case("partition: partition=1 of an image with a partition table")
def _():
    image("64M")
    with plugin_serving("d.vhd"):
        uri = URI + os.path.abspath("s.sock")
        entry = struct.pack("<8B2I", 0, 0, 2, 0, 0x83, 0, 0, 0, 2048, 40960)
        with open("raw.img", "wb") as file:
            file.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
            file.seek(MiB)
            file.write(b"in the partition")
            file.truncate(64 * MiB)
        program("nbdcopy", "raw.img", uri)
    out = captive('nbdinfo --size "$uri"; nbdcopy "$uri" - | head -c 16',
                  "d.vhd", "partition=1", filters=["partition"]).out
    equal(out, f"{20 * MiB}\nin the partition")


@case("a file system made and checked through the plugin")
def _():
    image("64M")
    with open("fs.img", "wb") as file:
        file.truncate(64 * MiB)
    program("/sbin/mkfs.ext4", "-q", "-F", "fs.img")
    captive('nbdcopy fs.img "$uri"', "d.vhd")
    captive('nbdcopy "$uri" back.img', "d.vhd")
    program("/sbin/e2fsck", "-f", "-n", "back.img")
    check(os.stat("d.vhd").st_blocks * 512 < 32 * MiB,
          "holes were written as zeros")


run()
