#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""SIGHUP reads the configuration again: what differs is changed under running
clients, what does not is not touched, and what is wrong changes nothing."""

import os
import signal
import threading
import time

import nbd

from fronttest import PATIENCE, image, serving
from tooltest import KiB, MiB, case, check, contains, equal, run, vhdkit

SOCK = "s.sock"


def write_config(exports, more=""):
    """exports: {name: (image, settings)}"""
    items = ",\n".join(f'  {{ name = "{name}"; image = "{path}"; {rest} }}'
                       for name, (path, rest) in exports.items())
    with open("new.conf", "w", encoding="utf-8") as file:
        file.write(f'unix = "{SOCK}";\n{more}\nexports = (\n{items}\n);\n')
    os.replace("new.conf", "a.conf")


def filled(path, byte):
    image(path)
    vhdkit("write", "--offset", "0", path, data=byte * 64 * KiB)
    return path


def opened(name, **settings):
    handle = nbd.NBD()
    for key, value in settings.items():
        getattr(handle, f"set_{key}")(value)
    handle.set_export_name(name)
    handle.connect_unix(SOCK)
    return handle


def is_refused(name):
    try:
        opened(name).shutdown()
    except nbd.Error:
        return True
    return False


def lines(server, pattern):
    return [line for line in server.log().splitlines() if pattern in line]


def reload(server, says, times=1):
    """Until the log says so for the n-th time."""
    os.kill(server.pid, signal.SIGHUP)
    end = time.monotonic() + PATIENCE
    while len(lines(server, says)) < times:
        check(time.monotonic() < end, f"no {says!r} in {server.log()}")
        time.sleep(0.02)


@case("exports that are new, gone and other ones; who is there stays")
def _():
    filled("a.vhd", b"a")
    filled("b.vhd", b"b")
    filled("c.vhd", b"c")
    write_config({"stays": ("a.vhd", ""), "goes": ("b.vhd", ""),
                  "turns": ("c.vhd", "")})
    with serving("--config", "a.conf") as server:
        stays, goes, turns = map(opened, ("stays", "goes", "turns"))
        filled("d.vhd", b"d")
        os.mkdir("other")
        filled("other/e.vhd", b"e")
        write_config({"stays": ("a.vhd", ""), "comes": ("other/e.vhd", ""),
                      "turns": ("d.vhd", "")})
        # The last line of all that is told of this change.
        reload(server, "'turns' has another image")
        contains(server.log(), "'goes' is not served any more; who has the "
                               "former one keeps it")
        contains(server.log(), "'comes' is served from now on")
        equal(lines(server, "'stays'"), [], "what is said of the one that stays")
        # Those who were there go on, with what they had.
        for handle, byte in ((stays, b"a"), (goes, b"b"), (turns, b"c")):
            equal(handle.pread(4, 0), byte * 4, "what the former client reads")
            handle.pwrite(b"w" * 512, 512)
            handle.flush()
        check(is_refused("goes"), "the one that is gone is refused")
        equal(opened("comes").pread(4, 0), b"eeee", "comes")
        equal(opened("turns").pread(4, 0), b"dddd", "turns")
        names = nbd.NBD()
        names.set_opt_mode(True)
        names.connect_unix(SOCK)
        found = []
        names.opt_list(lambda name, description: found.append(name))
        equal(sorted(found), ["comes", "stays", "turns"], "names")
        # When the last one leaves, the image is free again.
        goes.shutdown()
        server.wait_for("'goes': the last client of its former file has left")
    for path in ("a.vhd", "b.vhd", "c.vhd"):
        equal(vhdkit("read", "--offset", "512", "--length", "512", path,
                     "-").out[:1], "w", path)
        vhdkit("check", path)


@case("a name that is back, and one whose rights change")
def _():
    filled("a.vhd", b"a")
    one = {"a": ("a.vhd", "")}
    write_config({**one, "b": (image("b.vhd"), "")})
    with serving("--config", "a.conf") as server:
        write_config({"b": ("b.vhd", "")})
        reload(server, "'a' is not served any more")
        check(is_refused("a"), "a is refused")
        vhdkit("check", "a.vhd")
        vhdkit("write", "--offset", "0", "a.vhd", data=b"z" * 512)
        write_config({**one, "b": ("b.vhd", "readonly = true;")})
        reload(server, "'a' is served from now on")
        equal(opened("a").pread(1, 0), b"z", "a, which somebody else wrote")
        check(opened("b").is_read_only(), "b is read-only")
        check(not opened("a").is_read_only(), "a is not")


@case("an image in use by its former clients is had when they have left")
def _():
    image("a.vhd")
    write_config({"a": ("a.vhd", "")})
    with serving("--config", "a.conf") as server:
        former = opened("a")
        former.pwrite(b"f" * 512, 0)
        write_config({"b": ("a.vhd", "")})
        reload(server, "'b' is served from now on")
        check(is_refused("b"), "while a is written")
        former.pwrite(b"g" * 512, 0)
        former.shutdown()
        server.wait_for("the last client of its former file has left")
        equal(opened("b").pread(1, 0), b"g", "what the former client wrote")


@case("what is said of an export, to new clients, and who may see it")
def _():
    image("a.vhd")
    write_config({"a": ("a.vhd", 'description = "one";')})
    with serving("--config", "a.conf") as server:
        def described():
            handle = nbd.NBD()
            handle.set_opt_mode(True)
            handle.set_full_info(True)
            handle.set_export_name("a")
            handle.connect_unix(SOCK)
            handle.opt_info()
            return handle.get_export_description()
        equal(described(), "one", "description")
        client = opened("a")
        for i in range(3):
            write_config({"a": ("a.vhd", f'description = "new {i}";')})
            reload(server, "'a' is described otherwise", i + 1)
            equal(described(), f"new {i}", "description")
        client.pwrite(b"x" * 512, 0)
        equal(lines(server, "another image"), [], "what is said of its image")


@case("what is wrong is told with its line, and changes nothing")
def _():
    image("a.vhd")
    write_config({"a": ("a.vhd", "")})
    with serving("--config", "a.conf") as server:
        client = opened("a")
        for n, (text, says) in enumerate([
                ("threads = 0;", "a.conf:2: threads"),
                ("nonsense = 1;", "a.conf:2: no setting"),
                ('tls = "on";', "a.conf: --tls=on needs")]):
            write_config({"b": ("a.vhd", "")}, text)
            reload(server, "the former configuration stays in force", n + 1)
            contains(server.log(), says)
            check(is_refused("b"), "b is not served")
            opened("a").pread(512, 0)
        os.unlink("a.conf")
        reload(server, "the former configuration stays in force", 4)
        contains(server.log(), "No such file")
        client.pwrite(b"x" * 512, 0)
        # An image that is not there, or none, is no fault of the file.
        write_config({"a": ("a.vhd", ""), "c": ("missing.vhd", ""),
                      "d": (".", "")})
        reload(server, "'d' is served from now on")
        server.wait_for("'c': missing.vhd: ")
        server.wait_for("'d': .*: ")
        check(is_refused("c"), "c is refused")
        check(is_refused("d"), "d is refused")
        os.rename(image("new.vhd"), "missing.vhd")
        opened("c").pread(512, 0)


@case("a file that cannot be read to its end, or not soon, ends no service")
def _():
    image("a.vhd")
    write_config({"a": ("a.vhd", "")})
    os.mkdir("folder")
    os.mkfifo("fifo")
    with serving("--config", "a.conf") as server:
        client = opened("a")
        for n, (what, says) in enumerate([("folder", "read to its end"),
                                          ("fifo", "too long")]):
            write_config({"b": ("a.vhd", "")}, f'@include "{what}"')
            reload(server, "the former configuration stays in force", n + 1)
            contains(server.log(), says)
            client.pwrite(b"x" * 512, 0)
            opened("a").pread(512, 0)


@case("what takes a start is named, and the exports change nevertheless")
def _():
    image("a.vhd")
    write_config({"a": ("a.vhd", "")})
    with serving("--config", "a.conf") as server:
        write_config({"a": ("a.vhd", ""), "b": (image("b.vhd"), "")},
                     'threads = 2; verbose = true; listen = "127.0.0.1:0";')
        reload(server, "'b' is served from now on")
        equal(len(lines(server, "takes effect at the next start")), 1,
              "warnings")
        contains(server.log(), "listen, threads, verbose takes effect")
        opened("b").pread(512, 0)
        write_config({"a": ("a.vhd", ""), "b": ("b.vhd", "")})
        reload(server, "the exports are the same as before")
    os.mkdir("dir")
    image("dir/x.vhd")
    with open("a.conf", "w", encoding="utf-8") as file:
        file.write(f'unix = "{SOCK}"; folder = "dir";\n')
    with serving("--config", "a.conf", log="folder.log") as server:
        write_config({"a": ("a.vhd", "")})
        reload(server, "another folder is served, or a folder no more")
        opened("x").pread(512, 0)
        check(is_refused("a"), "a is refused")


@case("a worker that is killed after a change serves what is in force then")
def _():
    image("a.vhd")
    write_config({"a": ("a.vhd", "")})
    with serving("--config", "a.conf") as server:
        write_config({"b": (image("b.vhd"), "")})
        reload(server, "'b' is served from now on")
        opened("b").pread(512, 0)
        with open(f"/proc/{server.pid}/task/{server.pid}/children",
                  encoding="ascii") as file:
            children = [int(pid) for pid in file.read().split()]
        for pid in children:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                if file.read().strip() == "vhdkitd-worker":
                    os.kill(pid, signal.SIGKILL)
        server.wait_for("was killed by signal 9")
        end = time.monotonic() + PATIENCE
        while is_refused("b"):
            check(time.monotonic() < end, "b is not served")
            time.sleep(0.05)
        check(is_refused("a"), "a is refused")


@case("a thousand exports of which one changes, while clients write")
def _():
    exports = {f"e{i:03}": (image(f"{i}.vhd", 256 * KiB), "")
               for i in range(1000)}
    write_config(exports)
    with serving("--config", "a.conf") as server:
        errors, stop = [], threading.Event()

        def work(name):
            handle = opened(name)
            n = 0
            try:
                while not stop.is_set():
                    handle.pwrite(bytes([n % 256]) * 4096, 0)
                    equal(handle.pread(1, 0), bytes([n % 256]), name)
                    n += 1
            except (nbd.Error, AssertionError) as e:
                errors.append(f"{name}: {e}")

        workers = [threading.Thread(target=work, args=(f"e{i:03}",))
                   for i in (1, 500, 999)]
        for worker in workers:
            worker.start()
        try:
            for n in range(10):
                exports["e007"] = (f"{n % 2}7.vhd", "")
                image(f"{n % 2}7.vhd", MiB)
                write_config(exports)
                reload(server, "'e007' has another image", n + 1)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        equal(errors, [], "errors of clients")
        equal(len(lines(server, "from now on")), 10, "lines about changes")


@case("two hundred changes in a row, while clients come and go")
def _():
    for name in ("a.vhd", "b.vhd"):
        image(name)
    write_config({"x": ("a.vhd", "")})
    with serving("--config", "a.conf") as server:
        stop, wrong, well = threading.Event(), [], []

        def come_and_go():
            while not stop.is_set():
                try:
                    handle = opened("x")
                    handle.pwrite(b"x" * 512, 0)
                    handle.shutdown()
                    well.append(1)
                except nbd.Error as e:
                    # There is no such export now, or its image is in use by
                    # the clients of a former one.
                    if "no export" not in str(e) and "policy" not in str(e):
                        wrong.append(str(e))

        crowd = [threading.Thread(target=come_and_go) for _ in range(4)]
        for one in crowd:
            one.start()
        try:
            for n in range(200):
                write_config({"x": ("ab"[n % 2] + ".vhd", "")} if n % 5
                             else {"y": ("a.vhd", "")})
                os.kill(server.pid, signal.SIGHUP)
                time.sleep(0.01)
        finally:
            stop.set()
            for one in crowd:
                one.join()
        equal(wrong[:3], [], "what clients were told")
        check(len(well) > 0, "no client was served")
        write_config({"z": ("a.vhd", ""), "x": ("b.vhd", "")})
        reload(server, "'z' is served from now on")
        end = time.monotonic() + PATIENCE
        while is_refused("z") or is_refused("x"):
            check(time.monotonic() < end, "an image is not free again")
            time.sleep(0.05)
    for name in ("a.vhd", "b.vhd"):
        vhdkit("check", name)


run()
