#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkitd's configuration file: what it says is served, and what is wrong in it
is refused with its file and line."""

import os

import nbd

from fronttest import VHDKITD, image, refused, serving
from tooltest import MiB, case, check, contains, equal, program, run

# What stands in the file, the line of the fault (None: of the whole file), and
# what must be said about it.
FINE = 'folder = ".";\n'
DISKS = 'disks = "d";\nchildren = "c";\n'
WRONG = [
    (FINE + "nonsense = 1;", 2, ["'nonsense'", "vhdkitd.conf(5)"]),
    (FINE + "nonsense = 1", 2, ["'nonsense'"]),
    (FINE + "fd = 3;", 2, ["fd", "command line"]),
    (FINE + "check-config = true;", 2, ["check-config", "command line"]),
    (FINE + 'config = "other.conf";', 2, ["@include"]),
    (FINE + 'raw = "x";', 2, ["raw", "exports = "]),
    (FINE + 'tls-only = "x";', 2, ["tls-only", "exports = "]),
    (FINE + "threads = 0;", 2, ["threads: '0'", "from 1 to 256"]),
    (FINE + "threads = -1;", 2, ["threads: '-1'"]),
    (FINE + 'threads = "four";', 2, ["'four'"]),
    (FINE + "threads = 1.5;", 2, ["threads", "number"]),
    (FINE + "threads = [ 1, 2 ];", 2, ["threads", "number"]),
    (FINE + "threads = 1;\nthreads = 2;", 3, ["duplicate"]),
    (FINE + 'io = "fast";', 2, ["'fast'", "auto|uring|threads"]),
    (FINE + "readonly = 1;", 2, ["readonly", "true or false"]),
    (FINE + 'readonly = "yes";', 2, ["readonly", "true or false"]),
    (FINE + 'listen = [ ":0",\n  "::1" ];', 3, ["'::1'", "ADDRESS:PORT"]),
    (FINE + 'unix = "";', 2, ["unix", "SOCKET"]),
    (FINE + 'unix = "s";\nunix-mode = 888;', 3, ["'888'", "octal"]),
    (FINE + "unix-mode = 660;", None, ["--unix-mode needs --unix"]),
    (FINE + 'tls = "require";', None, ["--tls-certificates"]),
    (FINE + 'group = "nogroup";', None, ["--group needs --user"]),
    (FINE + "threads 4;", 2, ["syntax"]),
    (FINE + 'pid-file = "x', 2, ["syntax"]),
    (FINE + '\n@include "missing.conf"\n', 3, ["include"]),
    ("# nothing\n", None, ["nothing to serve"]),
    ("folder = 3;", 1, ["folder", "quotes"]),
    ("exports = { };", 1, ["( { ... }"]),
    ('exports = ( "a.vhd" );', 1, ["name = ", "image = "]),
    ('exports = (\n  { image = "a.vhd"; } );', 2, ["no name"]),
    ('exports = (\n  { name = "a"; } );', 2, ["export a", "no image"]),
    ('exports = ( { name = "a"; image = ""; } );', 1, ["empty"]),
    ('exports = ( { name = 1; image = "a"; } );', 1, ["name", "quotes"]),
    ('exports = ( { name = "a/b"; image = "a"; } );', 1, ["'a/b'", "slash"]),
    ('exports = ( { name = "a\tb"; image = "a"; } );', 1, ["control"]),
    ('exports = ( { name = "a"; image = "a"; size = 1; } );', 1,
     ["'size'", "tls-only"]),
    ('exports = (\n{ name = "a"; image = "a"; },\n'
     '{ name = "a"; image = "b"; } );', None,
     ["'a'", "wrong.conf:2", "wrong.conf:3"]),
    ('exports = ( { name = "a"; image = "a"; tls-only = true; } );', None,
     ["a: nobody could reach it", "--tls=on"]),
    (FINE + 'exports = ( { name = "a"; image = "a"; } );', None,
     ["'.' is not alone"]),
    ('disks = "d";', None, ["--disks needs --children"]),
    ('children = "c";\n' + FINE, None, ["--children needs --disks"]),
    (FINE + "quota = 1;", None, ["--quota needs --disks"]),
    (FINE + "clients = ( { } );", None, ["clients needs --disks"]),
    (DISKS + FINE, None, ["'.' needs a name beside --disks"]),
    (DISKS + "linger = 604801;", 3, ["linger: '604801'", "604800"]),
    (DISKS + 'unknown = "ignore";', 3, ["'ignore'", "throwaway"]),
    (DISKS + 'quota = "20 G";', 3, ["quota: '20 G'", "20G"]),
    (DISKS + 'quota = "9000000T";', 3, ["quota: '9000000T'"]),
    (DISKS + "reserve = -1;", 3, ["reserve: '-1'"]),
    (DISKS + "clients = { };", 3, ["( { ... }"]),
    (DISKS + 'clients = ( "a" );', 3, ["disk = ", "who = "]),
    (DISKS + 'clients = (\n{ }, { whom = "a"; } );', 4, ["'whom'", "who"]),
    (DISKS + "clients = ( { who = 1; } );", 3, ["who", "quotes"]),
    (DISKS + "clients = ( { who = [ ]; } );", 3, ["nobody"]),
    (DISKS + 'clients = ( {\nwho = [ "a",\n"cn:" ]; } );', 5, ["'cn:'"]),
    (DISKS + 'clients = ( { who = "address:192.0.2.0/33"; } );', 3,
     ["192.0.2.0/33", "192.0.2.0/24"]),
    (DISKS + 'clients = ( { disk = "../d"; } );', 3, ["'../d'"]),
    (DISKS + 'clients = ( { policy = "forget"; } );', 3,
     ["'forget'", "discard"]),
    (DISKS + 'clients = ( { policy = "throwaway"; } );', 3, ["'throwaway'"]),
    (DISKS + 'clients = ( { version = "01"; } );', 3, ["maintenance"]),
    (DISKS + 'clients = ( { version = 0; } );', 3, ["number"]),
    (DISKS + 'clients = ( { quota = "much"; } );', 3, ["20G"]),
    (DISKS + 'clients = ( { quota = 0; } );', 3, ["20G"]),
]


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def opened(socket, export):
    handle = nbd.NBD()
    handle.set_export_name(export)
    handle.connect_unix(socket)
    return handle


@case("what is wrong is refused with status 2, by file and line, at once")
def _():
    check(len(WRONG) >= 20, "few kinds of wrong files")
    for text, line, says in WRONG:
        write("wrong.conf", text)
        place = f"wrong.conf:{line}: " if line else "wrong.conf: "
        for args in ([], ["--check-config"]):
            said = refused("--config", "wrong.conf", *args, status=2,
                           says=[place, *says])
            equal(len(said.splitlines()), 1, f"lines about {text!r}")


@case("a file that cannot be read is named, with the reason")
def _():
    os.mkfifo("fifo")
    for path, says in [("missing.conf", "No such file"), (".", "directory"),
                       ("fifo", "no regular file")]:
        refused("--config", path, status=2, says=[f"--config {path}: ", says])
    write("a.conf", FINE)
    refused("--config", "a.conf", "--config", "a.conf", status=2,
            says=["read already"])


@case("a fault in an included file is named by that file")
def _():
    os.mkdir("etc")
    write("etc/main.conf", FINE + '# first\n@include "limits.conf"\n')
    write("etc/limits.conf", "\nthreads = 0;\n")
    refused("--config", "etc/main.conf", status=2,
            says=["limits.conf:2: ", "threads"])
    write("etc/limits.conf", "threads = 1;\n")
    program(VHDKITD, "--config", "etc/main.conf", "--check-config")


@case("what it includes is a file: a folder or a FIFO is refused")
def _():
    os.mkdir("folder")
    os.mkfifo("fifo")
    for what, says in (("folder", "read to its end"), ("fifo", "too long")):
        write("a.conf", f'folder = ".";\n@include "{what}"\n')
        refused("--config", "a.conf", "--check-config", status=2,
                says=["a.conf", says])


@case("disks, and rules of who gets what of them, with or without exports")
def _():
    for more in ("", 'exports = ( { name = "a"; image = "a.vhd"; } );'):
        write("a.conf", DISKS + more + '''
            unknown = "throwaway"; linger = 60; quota = "20G"; reserve = 4096;
            clients = (
              { disk = "debian*"; who = [ "52-54-00-*", "cn:lab-*", "psk:x",
                                          "address:2001:db8::/32" ];
                policy = "keep"; version = "test"; quota = "1T"; },
              { disk = "kiosk"; who = "name:a"; policy = "readonly"; },
              { version = 7; policy = "private"; },
              { policy = "refuse"; }
            );''')
        program(VHDKITD, "--config", "a.conf", "--check-config")
    program(VHDKITD, "--check-config", "--disks", "d", "--children", "c",
            "--unknown", "readonly", "--linger", "0", "--quota", "1G")
    refused("--disks", "d", status=2, says=["--disks needs --children"])
    refused("--disks", "d", "--children", "c", "a.vhd", status=2,
            says=["'a.vhd' needs a name"])


@case("--check-config listens nowhere and opens nothing")
def _():
    write("a.conf", 'unix = "a.sock";\npid-file = "a.pid";\n'
          'exports = ( { name = "a"; image = "missing.vhd"; } );\n')
    done = program(VHDKITD, "--config", "a.conf", "--check-config")
    equal(done.err, "", "complaint")
    contains(done.out, "sound")
    equal(sorted(os.listdir()), ["a.conf"], "what there is afterwards")
    # Without a file it judges the command line.
    program(VHDKITD, "--check-config", "a.vhd")


@case("what it says is served: exports by name, for writing or not, and raw")
def _():
    image("a.vhd")
    image("b.vhd")
    write("disk.iso", "raw" + " " * 4093)
    write("a.conf", """
        unix = "a.sock"; unix-mode = 600; threads = 1; readonly = false;
        exports = (
          { name = "one"; image = "a.vhd"; description = "the first"; },
          { name = "two"; image = "b.vhd"; readonly = true; },
          { name = "three"; image = "disk.iso"; raw = true; }
        );""")
    with serving("--config", "a.conf"):
        equal(os.stat("a.sock").st_mode & 0o777, 0o600, "mode of the socket")
        one = opened("a.sock", "one")
        equal((one.get_size(), one.is_read_only()), (4 * MiB, False), "one")
        one.pwrite(b"x" * 512, 0)
        two = opened("a.sock", "two")
        equal((two.get_size(), two.is_read_only()), (4 * MiB, True), "two")
        equal(opened("a.sock", "three").pread(3, 0), b"raw", "three")


@case("an export that is read-only keeps nobody else from reading the image")
def _():
    image("b.vhd")
    write("a.conf", 'unix = "a.sock"; exports = (\n'
          '  { name = "b"; image = "b.vhd"; readonly = true; } );\n')
    with serving("--config", "a.conf"):
        opened("a.sock", "b").pread(512, 0)
        with serving("--unix", "b.sock", "--readonly", "b=b.vhd",
                     log="b.log"):
            opened("b.sock", "b").pread(512, 0)


@case("the command line adds to it, and the later word holds")
def _():
    image("a.vhd")
    image("b.vhd")
    write("a.conf", 'unix = [ "a.sock" ]; handshake-timeout = 9;\n'
          'exports = ( { name = "a"; image = "a.vhd"; } );\n')
    with serving("--config", "a.conf", "--unix", "b.sock", "--readonly",
                 "b=b.vhd"):
        for sock in ("a.sock", "b.sock"):
            for name in ("a", "b"):
                check(opened(sock, name).is_read_only(), f"{name} at {sock}")
    refused("--config", "a.conf", "--handshake-timeout", "0", status=2,
            says=["--handshake-timeout"])
    refused("--config", "a.conf", "a=b.vhd", status=2,
            says=["two exports", "a.conf:2", "the command line"])


@case("a folder of images can be named in it")
def _():
    os.mkdir("images")
    image("images/a.vhd")
    write("a.conf", 'unix = "a.sock"; folder = "images";\n')
    with serving("--config", "a.conf"):
        equal(opened("a.sock", "a").get_size(), 4 * MiB, "size")


run()
