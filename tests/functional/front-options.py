#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkitd's command line: what is wrong is refused, with words that help."""

import re

from fronttest import VHDKITD, greeting, connect_tcp, image, refused, serving
from tooltest import case, check, contains, equal, program, run

# Arguments, and what must be said about them.
WRONG = [
    (["--nonsense", "a.vhd"], ["unknown option --nonsense", "--help"]),
    (["--lis", ":0", "a.vhd"], ["unknown option --lis"]),
    (["-v", "a.vhd"], ["unknown option -v"]),
    (["--readonly=yes", "a.vhd"], ["--readonly takes no argument"]),
    (["a.vhd", "--listen"], ["--listen needs an argument", "ADDRESS:PORT"]),
    ([], ["nothing to serve", "NAME=IMAGE"]),
    ([""], ["empty"]),
    (["x="], ["'x='", "missing"]),
    (["a.vhd", "b.vhd"], ["'a.vhd'", "NAME=a.vhd"]),
    (["x=a.vhd", "b.vhd"], ["'b.vhd'", "NAME=b.vhd"]),
    (["x=a.vhd", "y=b.vhd", "x=c.vhd"], ["two exports", "'x'"]),
    (["a\tb=a.vhd"], ["control character"]),
    (["x" * 4097 + "=a.vhd"], ["4096"]),
    (["--raw"], ["--raw needs an argument", "[NAME=]FILE"]),
    (["--raw", ""], ["empty"]),
    (["--raw", "x="], ["'x='", "missing"]),
    (["--raw", "a.iso", "b.vhd"], ["'a.iso'", "NAME=a.iso"]),
    (["--raw", "x=a.iso", "x=b.vhd"], ["two exports", "'x'"]),
    (["--listen", "::1", "a.vhd"], ["'::1'", "[2001:db8::1]:10809"]),
    (["--listen", "[::1", "a.vhd"], ["'[::1'"]),
    (["--listen", "[]:1", "a.vhd"], ["'[]:1'"]),
    (["--listen", "[::1]x", "a.vhd"], ["'[::1]x'"]),
    (["--listen", "localhost:nbd", "a.vhd"], ["'localhost:nbd'"]),
    (["--listen", "localhost:65536", "a.vhd"], ["'localhost:65536'"]),
    (["--listen", "localhost:-1", "a.vhd"], ["'localhost:-1'"]),
    (["--listen", "localhost:", "a.vhd"], ["'localhost:'"]),
    (["--listen", "", "a.vhd"], ["ADDRESS:PORT"]),
    (["--listen", "a" * 256 + ":1", "a.vhd"], ["ADDRESS:PORT"]),
    (["--unix", "", "a.vhd"], ["--unix", "SOCKET"]),
    (["--unix-mode", "660", "a.vhd"], ["--unix-mode needs --unix"]),
    (["--unix", "s", "--unix-mode", "888", "a.vhd"], ["'888'", "octal"]),
    (["--unix", "s", "--unix-mode", "1777", "a.vhd"], ["'1777'", "777"]),
    (["--vsock", "4294967295", "a.vhd"], ["--vsock", "4294967294"]),
    (["--fd", "x", "a.vhd"], ["--fd", "'x'"]),
    (["--threads", "0", "a.vhd"], ["--threads", "from 1 to 256"]),
    (["--threads", "1e1", "a.vhd"], ["'1e1'"]),
    (["--threads", " 1", "a.vhd"], ["' 1'"]),
    (["--threads", "99999999999999999999", "a.vhd"], ["--threads"]),
    (["--io", "fast", "a.vhd"], ["'fast'", "auto|uring|threads"]),
    (["--size-chs=yes", "a.vhd"], ["--size-chs takes no argument"]),
    (["--tls", "maybe", "a.vhd"], ["'maybe'", "off|on|require"]),
    (["--tls=on", "a.vhd"], ["--tls=on needs", "--tls-certificates"]),
    (["--tls=require", "a.vhd"], ["--tls=require needs", "--tls-psk"]),
    (["--tls-psk", "f", "a.vhd"], ["--tls-psk", "--tls=require"]),
    (["--tls-certificates", "d", "a.vhd"],
     ["--tls-certificates", "--tls=require"]),
    (["--tls-verify-peer", "a.vhd"], ["--tls-verify-peer", "--tls=require"]),
    (["--tls=on", "--tls-psk", "f", "--tls-verify-peer", "a.vhd"],
     ["--tls-verify-peer needs --tls-certificates"]),
    (["x\xff".encode("latin-1") + b"=a.vhd"], ["UTF-8"]),
    (["--description", "x", "x=a.vhd"], ["'x'", "NAME=TEXT"]),
    (["--description", "y=text", "x=a.vhd"], ["'y'", "no export"]),
    (["--description", "y=text", "a.vhd"], ["'y'", "no export"]),
    (["--description", "x=a\nb", "x=a.vhd"], ["control character"]),
    (["--description", "x=" + "d" * 4097, "x=a.vhd"], ["4096"]),
    (["--tls-only", "x", "x=a.vhd"], ["--tls-only x", "--tls=on"]),
    (["--tls-only", "", "x=a.vhd"], ["--tls-only", "NAME"]),
    (["--tls=on", "--tls-psk", "f", "--tls-only", "y", "x=a.vhd"],
     ["'y'", "no export"]),
    (["--group", "nogroup", "a.vhd"], ["--group needs --user"]),
    (["--handshake-timeout", "0", "a.vhd"], ["--handshake-timeout"]),
    (["--max-connections", "0", "a.vhd"], ["--max-connections"]),
    (["--pid-file", "", "a.vhd"], ["--pid-file", "FILE"]),
]


@case("what makes no sense is refused with status 2, saying what and why")
def _():
    for args, says in WRONG:
        said = refused(*args, status=2, says=says)
        equal(len(said.splitlines()), 1, f"lines about {args}")


@case("what is not there is refused with status 1, by its name")
def _():
    image()
    for args, says in [
            (["missing.vhd"], ["missing.vhd"]),
            (["x=missing.vhd"], ["missing.vhd"]),
            (["--raw", "missing.iso"], ["missing.iso"]),
            (["--user", "no-such-user-here", "disk.vhd"],
             ["no-such-user-here"]),
            (["--user", "root", "--group", "no-such-group", "disk.vhd"],
             ["no-such-group"]),
            (["--tls=on", "--tls-psk", "no.psk", "disk.vhd"], ["no.psk"]),
            (["--tls=on", "--tls-certificates", "nodir", "disk.vhd"],
             ["nodir/server-cert.pem"]),
            (["--pid-file", "no/pid", "disk.vhd"], ["no/pid"]),
            (["x=."], ["directory", "x="]),
            (["--description", "=text", "."], ["directory", "--description"]),
            (["--listen", "no-such-host.invalid:0", "disk.vhd"],
             ["no-such-host.invalid"]),
    ]:
        listen = [] if "--listen" in args else ["--unix", "s.sock"]
        refused(*listen, *args, says=says)


@case("what a stranger wrote leaves the log as one printable line")
def _():
    strange = "no\nsuch\x1b[31m\x7f \u2028thing\udcff"
    for args in ([image() + strange], ["--user", strange, "disk.vhd"]):
        said = refused("--unix", "s.sock", *args)
        check(all(c.isprintable() for c in said.splitlines()[-1]), repr(said))
    contains(said, r"'no\x0asuch\x1b[31m\x7f \xe2\x80\xa8thing\xff'")


@case("--help and --version are answered before anything else is looked at")
def _():
    for args in (["--help"], ["--threads", "2", "--help", "--nonsense"]):
        done = program(VHDKITD, *args)
        contains(done.out, "usage: vhdkitd")
        contains(done.out, "--listen ADDRESS:PORT")
        equal(done.err, "")
        equal([line for line in done.out.splitlines() if len(line) > 80], [],
              "lines too long for a terminal")
    check(re.fullmatch(r"vhdkitd \d+\.\d+\.\d+\n",
                       program(VHDKITD, "--version").out), "version")


@case("--option value, --option=value and -- all work; the last one wins")
def _():
    image("-odd.vhd")
    with serving("--listen=127.0.0.1:0", "--threads", "7", "--threads=1",
                 "--", "-odd.vhd") as server:
        check(greeting(connect_tcp(*server.tcp())), "a greeting")


@case("a name with an equal sign behind a slash is a path")
def _():
    image("a=b.vhd")
    with serving("--listen", "127.0.0.1:0", "./a=b.vhd") as server:
        check(greeting(connect_tcp(*server.tcp())), "a greeting")


run()
