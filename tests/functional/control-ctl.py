#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""vhdkitctl: tables, JSON and exit codes; and servers that answer nonsense."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from controltest import CONTROL, NOBODY, controlled
from fronttest import PATIENCE, Server, image, read_all, serving
from rawclient import READ, SOCKET, WRITE, Client
from tooltest import (DENIED, FAILED, IN_USE, MiB, NOT_FOUND, REFUSED, Skip,
                      USAGE, case, check, contains, equal, program, run)

VHDKITCTL = os.environ.get("VHDKITCTL", "vhdkitctl")


def ctl(*args, code=0, path=CONTROL, **more):
    return program(VHDKITCTL, *args, "--socket", path, code=code, **more)


def ctl_json(*args, **more):
    return json.loads(ctl(*args, "--json", **more).out)


def rows(done):
    """A table's headings, and its lines."""
    head, *lines = done.out.splitlines()
    return head.split(), lines


@case("status: for people, and as JSON")
def _():
    with controlled(f"web={image()}") as server:
        client = Client().go("web")
        equal(client.request(WRITE, 0, data=b"x" * 8192), 0)
        equal(client.request(READ, 100 * MiB, 512), 22)
        out = ctl("status").out
        for part in ("version       0.1", f"{server.pid}, which serves: "
                     f"{server.worker()}", "clients       1 of 1",
                     "0 B read, 8 KiB written", "refused       none",
                     "errors        1 NBD_EINVAL"):
            contains(out, part)
        equal(ctl_json("status")["bytes"], {"read": 0, "written": 8192})
        client.close()


@case("clients and exports: a line for each")
def _():
    with controlled(f"web={image()}", f"db={image('db.vhd')}"):
        contains(ctl("clients").out, "nobody is connected")
        client = Client().go("web")
        equal(client.request(WRITE, 0, data=b"x" * 8192), 0)
        names, lines = rows(ctl("clients"))
        equal(names[:5], ["CLIENT", "ADDRESS", "IDENTITY", "EXPORT", "STATE"])
        equal(len(lines), 1)
        for part in (f"process {os.getpid()}", f"uid:{os.geteuid()}", "web",
                     "serving", "8 KiB"):
            contains(lines[0], part)
        equal(ctl_json("clients")["clients"][0]["written"], 8192)
        names, lines = rows(ctl("exports"))
        equal((names[0], len(lines)), ("EXPORT", 2))
        contains(lines[0] + lines[1], "4 MiB")
        contains(lines[0] + lines[1], "db.vhd")
        client.close()


@case("names that would steer a terminal do not")
def _():
    os.mkdir("dir")
    image("dir/a\x1b[31m\u202eb.vhd")
    with controlled("dir"):
        client = Client().go("a\x1b[31m\u202eb")
        for verb in ("clients", "exports"):
            out = ctl(verb).out
            check("\x1b" not in out and "\u202e" not in out, out)
        client.close()


@case("disconnect: who there is ends, and who is not there is told of")
def _():
    with controlled(image()):
        client = Client().go()
        done = ctl("disconnect", "1", "7", code=NOT_FOUND)
        equal(done.out, "client 1 is disconnected\n")
        contains(done.err, "no client 7")
        equal(read_all(client.sock, 1), b"")
        for wrong in ("x", "-1", "1.5", "", "9" * 19):
            ctl("disconnect", "--", wrong, code=USAGE)
        ctl("disconnect", code=USAGE)


@case("drain, wait with progress, undrain")
def _():
    with controlled(image()):
        client = Client().go()
        contains(ctl("drain").out, "clients: 1")
        contains(ctl("status").out, "nobody new")
        waits = subprocess.Popen([VHDKITCTL, "drain", "--wait", "--json",
                                  "--socket", CONTROL],
                                 stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        equal(waits.poll(), None)
        client.disconnect()
        out, _ = waits.communicate(timeout=PATIENCE)
        equal((waits.returncode, json.loads(out)),
              (0, {"draining": True, "clients": 0}))
        contains(ctl("undrain").out, "is let in")


@case("reload: what has changed, or where it is wrong")
def _():
    image("a.vhd")

    def write(text):
        with open("v.conf", "w", encoding="ascii") as file:
            file.write(f'unix = "{SOCKET}"; control = "{CONTROL}";\n' + text)

    write('exports = ( { name = "a"; image = "a.vhd"; } );\n')
    with serving("--config", "v.conf") as server:
        server.wait_for("taking commands on ")
        contains(ctl("reload").out, "same as before")
        write('exports = ( { name = "b"; image = "a.vhd"; } );\nthreads = 3;\n')
        out = ctl("reload").out
        contains(out, "export 'b' is served from now on")
        contains(out, "export 'a' is not served any more")
        contains(out, "threads takes effect at the next start")
        write("threads = no;\n")
        contains(ctl("reload", code=REFUSED).err, "v.conf:2")


@case("events: a line for each, for people and as JSON")
def _():
    with controlled(f"web={image()}"):
        them = [subprocess.Popen([VHDKITCTL, "events", "--socket", CONTROL,
                                  *more], stdout=subprocess.PIPE, text=True)
                for more in ([], ["--json"])]
        end = time.monotonic() + PATIENCE
        os.set_blocking(them[0].stdout.fileno(), False)
        text = ""
        while not re.search(r"^\S+ left +client=\d+ .*export=web "
                            r'text="it has disconnected"', text, flags=re.M):
            check(time.monotonic() < end, text)
            Client().go("web").disconnect()
            time.sleep(0.05)
            with contextlib.suppress(BlockingIOError):
                text += os.read(them[0].stdout.fileno(), 1 << 16).decode()
        Client().go("web").disconnect()
        equal(json.loads(them[1].stdout.readline())["address"],
              f"process {os.getpid()}")
        for one in them:
            one.send_signal(signal.SIGINT)
            one.communicate(timeout=PATIENCE)
            equal(one.returncode, -signal.SIGINT)


@case("top: so many looks, with rates, those first who do most")
def _():
    with controlled(image()):
        idle, busy = Client().go(), Client().go()
        top = subprocess.Popen([VHDKITCTL, "top", "--count", "2", "--interval",
                                "0.5", "--socket", CONTROL],
                               stdout=subprocess.PIPE, text=True)
        lines = [top.stdout.readline() for _ in range(4)]
        contains(lines[0], "clients: 2  read: 0 B/s")
        for _ in range(10):
            equal(busy.request(READ, 0, MiB), 0)
        lines = top.stdout.readlines()
        equal(top.wait(PATIENCE), 0)
        equal([line.split()[0] for line in lines[1:]], ["CLIENT", "2", "1"])
        contains(lines[2], "MiB/s")
        for wrong in (["--count", "0"], ["--interval", "0"],
                      ["--interval", "x"], ["--count", "nan"]):
            ctl("top", *wrong, code=USAGE)
        idle.close()
        busy.close()


@case("an image is changed under a client")
def _():
    with controlled(f"web={image()}"):
        client = Client().go("web")
        equal(client.request(WRITE, 0, data=b"x" * 8192), 0)
        contains(ctl("snapshot", "web", "1.vhd").out, "4 MiB")
        check(os.path.exists("1.vhd"), "there is no 1.vhd")
        ctl("merge", "web", "2.vhd")
        equal(ctl_json("resize", "web", "8M")["size"], 8 * MiB)
        equal(ctl_json("compact", "web", "--milliseconds", "50")["export"],
              "web")
        equal(client.request(READ, 0, 8192), 0)
        ctl("snapshot", "web", code=USAGE)
        ctl("resize", "web", "much", code=USAGE)
        ctl("compact", "web", "--milliseconds", "1.5", code=USAGE)
        ctl("snapshot", "none", "3.vhd", code=NOT_FOUND)
        client.disconnect()


@case("stop, and ask for anything")
def _():
    image()
    server = Server(["--unix", SOCKET, "--control", CONTROL, "disk.vhd"])
    server.wait_for("listening on ")
    equal(json.loads(ctl("ask", "undrain").out)["draining"], False)
    equal(json.loads(ctl("ask", "disconnect", '{"clients": [4]}').out)
          ["unknown"], [4])
    ctl("ask", "no-verb", code=USAGE)
    ctl("ask", "status", "nonsense", code=USAGE)
    ctl("ask", "status", '{"x": 1}', code=USAGE)
    equal(ctl("stop").out, "")
    equal(server.wait(), 0)


@case("the exit code says what is wrong")
def _():
    ctl("status", code=NOT_FOUND)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("dead")
    ctl("status", path="dead", code=FAILED)
    ctl("status", path="x" * 200, code=USAGE)
    ctl("status", "--no-such-option", code=USAGE)
    ctl("no-verb", code=USAGE)
    program(VHDKITCTL, code=USAGE)
    ctl("status", "more", code=USAGE)


@case("who may not is told so")
def _():
    if os.geteuid() != 0:
        raise Skip("needs root")

    def lower():
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)

    os.chmod(".", 0o755)
    with controlled(image()):
        try:
            program(VHDKITCTL, "version", preexec_fn=lower)
        except (AssertionError, PermissionError) as why:
            raise Skip("another user cannot run it here") from why
        folder = os.getcwd()
        while folder != "/":
            if not os.stat(folder).st_mode & 1:
                raise Skip("another user cannot come here")
            folder = os.path.dirname(folder)
        ctl("status", code=DENIED, preexec_fn=lower)
    with controlled("--control-mode", "666", image()):
        ctl("status", preexec_fn=lower)
        ctl("drain", code=DENIED, preexec_fn=lower)


@contextlib.contextmanager
def odd_server(*answers):
    """One that says this, a piece for each connection."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("odd")
    listener.listen()

    def work():
        for answer in answers:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(1 << 16):
                    pass

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(PATIENCE)
    listener.close()
    os.unlink("odd")


GREETING = b'{"server":"vhdkitd","protocol":1,"may-change":true}\n'


@case("a server that answers nonsense is no server")
def _():
    for answer, code in (
            (b"", FAILED), (b"nonsense\n", FAILED), (b"[]\n", FAILED),
            (b'{"protocol":2}\n', FAILED), (GREETING, FAILED),
            (GREETING + b"7\n", FAILED), (GREETING + b"{}\n", FAILED),
            (GREETING + b'{"id":1}\n', FAILED),
            (GREETING + b'{"id":1,"error":7}\n', FAILED),
            (GREETING + b'{"id":1,"error":{"class":"done","text":7}}\n',
             FAILED),
            (b'{"error":{"class":"in-use","text":"full"}}\n', IN_USE),
            (GREETING + b'{"id":1,"error":{"class":"no-space"}}\n', 9)):
        with odd_server(answer):
            ctl("status", path="odd", code=code)
    for result in (b"{}", b"[]", b"7", b'{"clients":7,"complete":true}',
                   b'{"exports":[7,{"export":7}],"clients":[7,{"client":-1}],'
                   b'"complete":true,"bytes":[],"config":{"path":"\\u001b[1m"},'
                   b'"refused":{"a\\u001b":1}}'):
        for verb in ("status", "clients", "exports", "reload", "drain"):
            with odd_server(GREETING + b'{"id":1,"result":' + result + b"}\n"):
                done = ctl(verb, path="odd", code=None)
                check(done.returncode in (0, 1), done.err)
                check("\x1b" not in done.out + done.err, done.out)


@case("a full disk is no success")
def _():
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    with controlled(image()), open("/dev/full", "wb") as full:
        done = subprocess.run([VHDKITCTL, "status", "--socket", CONTROL],
                              stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=PATIENCE, check=False)
        equal(done.returncode, 9)
        contains(done.stderr, "vhdkitctl: cannot write the output")


run()
