#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The nbdkit plugin by itself: parameters, what clients see of an image,
folders, differencing children, refusals."""

import json
import os
import tempfile

from plugintest import captive, command, environment, log_text, \
    need_plugin, plugin_serving
from servertest import killed
from tooltest import KiB, MiB, case, check, contains, content, equal, \
    program, read_json, run, same_bytes, vhdkit
from vhdimage import write_fixed
from vhdximage import Vhdx


CLIENTS = []


def connect(name="", socket="s.sock"):
    """A client, until leave()."""
    import nbd
    h = nbd.NBD()
    CLIENTS.append(h)
    h.add_meta_context("base:allocation")
    h.set_uri_allow_local_file(True)
    h.connect_uri(f"nbd+unix:///{name}?socket={os.path.abspath(socket)}")
    return h


def leave():
    """nbdkit ends when its last client has gone."""
    while CLIENTS:
        h = CLIENTS.pop()
        if h.aio_is_ready():
            h.shutdown()


def refused(*args, says):
    need_plugin()
    done = program(*command(*args, options=["-U", "-"]), "--run", "true",
                   code=1, env=environment())
    for part in [says] if isinstance(says, str) else says:
        contains(done.err, part)


@case("it tells of itself: --dump-plugin and --help")
def _():
    need_plugin()
    dump = program(*command(), "--dump-plugin", env=environment()).out
    contains(dump, "vhdkit_version=")
    contains(dump, "vhd_parameters=file,dir,child,roots,readonly,size-chs")
    text = program(*command(), "--help", env=environment()).out
    for parameter in ("file=", "dir=", "child=", "roots=", "readonly=",
                      "size-chs="):
        contains(text, parameter)


@case("a VHDX is served read-only, whatever is asked for")
def _():
    image = Vhdx(3 * MiB)
    image.full(1, b"b" * MiB)
    image.write("a.vhdx")
    with plugin_serving("a.vhdx", socket="s.sock"):
        h = connect()
        check(h.is_read_only(), "it can be written")
        equal(bytes(h.pread(3 * MiB, 0)),
              bytes(MiB) + b"b" * MiB + bytes(MiB))
        leave()


@case("a client sees the size, the flags and the block sizes")
def _():
    vhdkit("create", "--size", "100M", "d.vhd")
    info = json.loads(captive('nbdinfo --json "$uri"', "d.vhd").out)
    export = info["exports"][0]
    equal(export["export-size"], 100 * MiB)
    for flag in ("can_cache", "can_fast_zero", "can_flush", "can_fua",
                 "can_multi_conn", "can_trim", "can_zero", "can_df"):
        check(export[flag], flag)
    check(not export["is_read_only"], "it can be written to")
    equal(export["block_size_minimum"], 1)
    equal(export["block_size_preferred"], 4096)
    equal(export["description"], "dynamic VHD")
    info = json.loads(captive('nbdinfo --json "$uri"', "d.vhd",
                              "readonly=true").out)
    check(info["exports"][0]["is_read_only"], "readonly=true")


@case("size-chs=true takes the size from the geometry")
def _():
    write_fixed("a.vhd", bytes(10 * MiB), creator=b"vpc ", cylinders=301,
                heads=4, sectors=17)
    for args, size in (((), 10 * MiB),
                       (("size-chs=true",), 301 * 4 * 17 * 512)):
        with plugin_serving("a.vhd", *args):
            equal(connect().get_size(), size)
            leave()


@case("size-chs=true and child=: the disk keeps its size with its child")
def _():
    os.mkdir("golden")
    os.mkdir("children")
    write_fixed("golden/a.vhd", bytes(10 * MiB), creator=b"vpc ",
                cylinders=200, heads=4, sectors=17)
    size = 200 * 4 * 17 * 512
    args = "dir=golden", "child=children", "size-chs=true"
    with plugin_serving(*args):
        h = connect("a")
        equal(h.get_size(), size)
        h.pwrite(b"x" * 512, size - 512)
        leave()
    with plugin_serving(*args):
        h = connect("a")
        equal(h.get_size(), size, "the size with its child")
        equal(h.pread(512, size - 512), b"x" * 512)
        leave()
    # Without size-chs it is as before, too.
    with plugin_serving("dir=golden", "child=children"):
        equal(connect("a").get_size(), 10 * MiB)
        leave()


@case("extents are what the map says")
def _():
    vhdkit("create", "--size", "20M", "d.vhd")
    vhdkit("write", "--offset", "5M", "d.vhd", data=b"x" * 3 * MiB)
    got = json.loads(captive('nbdinfo --map --json "$uri"', "d.vhd").out)
    kinds = [(e["offset"], e["length"], e["type"]) for e in got]
    equal(kinds, [(0, 4 * MiB, 3), (4 * MiB, 4 * MiB, 0),
                  (8 * MiB, 12 * MiB, 3)])


@case("captive: other tools read an image of which they know nothing")
def _():
    vhdkit("create", "--size", "64M", "d.vhd")
    out = captive('qemu-img info --output=json "$uri"', "d.vhd",
                  options=["-r"]).out
    equal(json.loads(out)["virtual-size"], 64 * MiB)


@case("writes, zeroes, trims and FUA reach the image")
def _():
    vhdkit("create", "--size", "16M", "d.vhd")
    data = os.urandom(3 * MiB)
    with plugin_serving("d.vhd"):
        import nbd
        h = connect()
        h.pwrite(data, 1000)
        h.zero(100 * KiB, 500 * KiB + 1, nbd.CMD_FLAG_FUA)
        h.pwrite(b"durable", 9 * MiB + 7, nbd.CMD_FLAG_FUA)
        h.pwrite(b"y" * 2 * MiB, 12 * MiB)
        h.trim(2 * MiB, 12 * MiB)
        h.flush()
        leave()
    want = bytearray(16 * MiB)
    want[1000:1000 + len(data)] = data
    want[500 * KiB + 1:600 * KiB + 1] = bytes(100 * KiB)
    want[9 * MiB + 7:9 * MiB + 14] = b"durable"
    same_bytes(content("d.vhd"), bytes(want))
    vhdkit("check", "d.vhd")


@case("FAST_ZERO is refused where the file system would write the zeros")
def _():
    need_plugin()
    import nbd
    for folder, kept in (("/dev/shm", False), (".", True)):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            image = os.path.join(place, "f.vhd")
            vhdkit("create", "--type", "fixed", "--size", "16M", image)
            with plugin_serving(image):
                h = connect()
                h.pwrite(b"x" * MiB, 0)
                h.zero(MiB // 2, 0, nbd.CMD_FLAG_FAST_ZERO)
                try:
                    h.zero(MiB // 2, MiB // 2,
                           nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE)
                    done = True
                except nbd.Error as error:
                    equal(error.errno, "ENOTSUP")
                    done = False
                # What "." lies on is the test's machine's business.
                check(done == kept or folder == ".", f"done: {done}")
                rest = bytes(MiB // 2) if done else b"x" * (MiB // 2)
                same_bytes(h.pread(MiB, 0), bytes(MiB // 2) + rest)
                leave()


@case("a folder: each image is an export, new ones too")
def _():
    os.mkdir("disks")
    vhdkit("create", "--size", "8M", "disks/a.vhd")
    vhdkit("create", "--size", "9M", "disks/b.vhd")
    with plugin_serving("dir=disks"):
        names = json.loads(program(
            "nbdinfo", "--list", "--json",
            "nbd+unix:///?socket=" + os.path.abspath("s.sock")).out)
        equal([e["export-name"] for e in names["exports"]], ["a", "b"])
        equal(connect("a").get_size(), 8 * MiB)
        equal(connect("a.vhd").get_size(), 8 * MiB)
        vhdkit("create", "--size", "7M", "disks/c.vhd")
        equal(connect("c").get_size(), 7 * MiB)
        for name in ("", "d", "..", "../disks/a", ".hidden"):
            try:
                connect(name)
            except Exception:  # pylint: disable=broad-except
                continue
            raise AssertionError(f"export {name!r} was served")
        leave()


@case("child=: images stay as they are, changes go to differencing children")
def _():
    os.mkdir("golden")
    os.mkdir("children")
    vhdkit("create", "--size", "8M", "golden/a.vhd")
    vhdkit("write", "golden/a.vhd", data=b"golden" * 1000)
    with open("golden/a.vhd", "rb") as file:
        before = file.read()
    with plugin_serving("dir=golden", "child=children"):
        h = connect("a")
        equal(h.pread(6, 0), b"golden")
        equal(os.listdir("children"), [])
        h.flush()
        equal(os.listdir("children"), [])
        h.pwrite(b"change", 6)
        equal(os.listdir("children"), ["a.vhd"])
        equal(h.pread(18, 0), b"goldenchangegolden")
        other = connect("a")
        equal(other.pread(18, 0), b"goldenchangegolden")
        leave()
    with open("golden/a.vhd", "rb") as file:
        check(file.read() == before, "the golden image has changed")
    info = read_json("info", "--json", "--root", ".", "children/a.vhd")
    equal(info["type"], "differencing")
    with plugin_serving("dir=golden", "child=children"):
        equal(connect("a").pread(18, 0), b"goldenchangegolden")
        leave()


@case("child=: of an image of which a killed program left changes in memory")
def _():
    os.mkdir("golden")
    os.mkdir("children")
    vhdkit("create", "--size", "8M", "golden/a.vhd")
    killed("golden/a.vhd", lambda h: h.pwrite(b"golden", 4 * MiB))
    with plugin_serving("dir=golden", "child=children"):
        h = connect("a")
        equal(h.pread(6, 4 * MiB), b"golden")
        h.pwrite(b"change", 6)
        equal(h.pread(6, 4 * MiB), b"golden")
        equal(h.pread(6, 6), b"change")
        leave()
    equal(vhdkit("read", "--length", "6", "--offset", "4M",
                 "golden/a.vhd").stdout, b"golden")


@case("child=: a child of a child, with roots= and without")
def _():
    for folder in "golden", "children", "more", "elsewhere":
        os.mkdir(folder)
    vhdkit("create", "--size", "8M", "golden/a.vhd")
    vhdkit("write", "golden/a.vhd", data=b"golden")
    vhdkit("create", "--parent", "golden/a.vhd", "golden/b.vhd")
    for folder, args in ("more", ()), ("children", ("roots=elsewhere",)):
        with plugin_serving("dir=golden", f"child={folder}", *args):
            h = connect("b")
            h.pwrite(b"change", 6)
            equal(h.pread(12, 0), b"goldenchange")
            leave()
        equal(os.listdir(folder), ["b.vhd"])


@case("child=: what is there under a child's name and is none is not written to")
def _():
    os.mkdir("golden")
    os.mkdir("others")
    vhdkit("create", "--size", "8M", "golden/a.vhd")
    vhdkit("create", "--size", "4M", "others/a.vhd")
    for folder in "golden", "others":
        with open(f"{folder}/a.vhd", "rb") as file:
            before = file.read()
        with plugin_serving("dir=golden", f"child={folder}"):
            refused_by = None
            try:
                connect("a").pwrite(b"change", 0)
            except Exception as e:  # pylint: disable=broad-except
                refused_by = e
            check(refused_by is not None, f"{folder}/a.vhd was served")
            CLIENTS.clear()
        with open(f"{folder}/a.vhd", "rb") as file:
            check(file.read() == before, f"{folder}/a.vhd has changed")


@case("child=: a child out of sight is not taken for one that is not there")
def _():
    os.mkdir("golden")
    os.mkdir("children")
    vhdkit("create", "--size", "8M", "golden/a.vhd")
    with plugin_serving("dir=golden", "child=children"):
        connect("a").pwrite(b"change", 0)
        leave()
    with plugin_serving("dir=golden", "child=children"):
        # As a file system that is no longer mounted, and as one that fails.
        os.rename("children", "away")
        for hide in lambda: None, lambda: os.symlink("children", "children"):
            hide()
            try:
                connect("a")
            except Exception:  # pylint: disable=broad-except
                CLIENTS.clear()
                continue
            raise AssertionError("the image was served in the child's place")
        contains(log_text(), "children: cannot look for children there: "
                 "No such file")
        os.remove("children")
        os.rename("away", "children")
        equal(connect("a").pread(6, 0), b"change")
        leave()
    for image in "dir=golden", "golden/a.vhd":
        refused(image, "child=nowhere", says=["nowhere", "No such file"])
        refused(image, "child=golden/a.vhd", says=["Not a directory"])
    # The same of a name in the folder of images.
    vhdkit("create", "--size", "8M", "golden/b.VHD")
    os.symlink("b.vhd", "golden/b.vhd")
    with plugin_serving("dir=golden"):
        try:
            connect("b")
        except Exception:  # pylint: disable=broad-except
            CLIENTS.clear()
        else:
            raise AssertionError("b.VHD was served in the place of b.vhd")
        leave()


@case("what is amiss with a chain is told, not only to who debugs")
def _():
    os.mkdir("golden")
    os.mkdir("children")
    vhdkit("create", "--size", "8M", "golden/a.vhd")
    with plugin_serving("dir=golden", "child=children"):
        connect("a").pwrite(b"change", 0)
        leave()
    os.utime("golden/a.vhd", (0, os.stat("golden/a.vhd").st_mtime + 100))
    with plugin_serving("dir=golden", "child=children"):
        connect("a").pread(6, 0)
        leave()
    contains(log_text(), "warning: ")
    contains(log_text(), "golden/a.vhd' was changed after this child was made")


@case("refusals say what, where and what to do")
def _():
    refused(says="give an image (file=IMAGE) or a folder")
    refused("file=a", "dir=b", says="not both")
    refused("missing.vhd", says=["missing.vhd", "No such file"])
    refused("x.vhd", "colour=red", says="unknown parameter 'colour'")
    refused("x.vhd", "size-chs=big", says="could not decipher boolean")
    refused("x.vhd", "child=.", "readonly=true", says="readonly= forbids")
    with open("junk.vhd", "wb") as file:
        file.write(b"junk" * 1000)
    refused("junk.vhd", says="no VHD footer")
    vhdkit("create", "--size", "8M", "base.vhd")
    vhdkit("create", "--parent", "base.vhd", "child.vhd")
    os.rename("base.vhd", "gone.vhd")
    refused("child.vhd", says=["child.vhd", "parent 'base.vhd' not found"])


@case("a second writer is refused, and told who holds the image")
def _():
    vhdkit("create", "--size", "8M", "d.vhd")
    with plugin_serving("d.vhd") as server:
        connect()
        refused("d.vhd", says=["d.vhd", str(server.pid)])
        leave()


@case("whoever will not write shares the image with readers: -r, cow, readonly")
def _():
    os.mkdir("disks")
    vhdkit("create", "--size", "8M", "disks/a.vhd")
    with plugin_serving("disks/a.vhd", options=["-r"]):
        connect()
        for more in ({"options": ["-r"]}, {"filters": ["cow"]}):
            out = captive('nbdinfo --size "$uri"', "disks/a.vhd", **more).out
            equal(int(out), 8 * MiB, str(more))
        out = captive('nbdinfo --list "$uri"', "dir=disks",
                      options=["-r"]).out
        contains(out, 'export="a"')
        captive('nbdinfo "$uri"', "disks/a.vhd", code=1)
        leave()


run()
