#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The control socket: what can be looked at, and how it is asked for."""

import os
import socket
import stat
import time

from controltest import CONTROL, Control, Refused, controlled
from fronttest import connect_tcp, image, refused, serving
from rawclient import FLUSH, INFO, READ, WRITE, SOCKET, Client
from tooltest import MiB, case, check, contains, equal, run


@case("it greets, and answers by the id of the question")
def _():
    with controlled(image()):
        c = Control()
        equal(c.greeting["server"], "vhdkitd")
        equal(c.greeting["protocol"], 1)
        equal(c.greeting["may-change"], True)
        equal(c.greeting["version"], c.ask("status")["version"])
        for number in ("a string", 0, -7, 1 << 62):
            c.say(b'{"verb":"status","id":%s}\n'
                  % repr(number).replace("'", '"').encode())
            equal(c.line()["id"], number)
        c.say(b'{"verb":"status"}\n')
        line = c.line()
        check("id" not in line and "result" in line, line)


@case("wrong requests are answered, with what is wrong, and the next is heard")
def _():
    with controlled(image()):
        c = Control()
        for text, part in (
                (b"", "no JSON"), (b"nonsense", "no JSON"), (b"{", "no JSON"),
                (b"7", "no JSON"), (b'"status"', "no JSON"),
                (b'["status"]', "an object"), (b"{}", "no verb"),
                (b'{"verb":7}', "verb"), (b'{"verb":""}', "verb"),
                (b'{"verb":"' + b"x" * 32 + b'"}', "so many letters"),
                (b'{"verb":"no"}', "no such verb"),
                (b'{"verb":"status","verb":"status"}', "duplicate"),
                (b'{"verb":"status","id":1.5}', "id"),
                (b'{"verb":"status","id":null}', "id"),
                (b'{"verb":"status","id":"' + b"x" * 65 + b'"}', "id"),
                (b'{"verb":"status","arg":{}}', "'arg'"),
                (b'{"verb":"status","args":[]}', "args"),
                (b'{"verb":"status","args":{"all":true}}', "'all'"),
                (b'{"verb":"status"}{"verb":"status"}', "no JSON"),
                (b"\xff\xfe{}", "no JSON"), (b"[" * 5000, "no JSON"),
                (b'{"verb":"st\\u0000atus"}', "no JSON")):
            c.say(text + b"\n")
            line = c.line()
            equal(line["error"]["class"], "usage", text[:40])
            contains(line["error"]["text"], part)
        c.ask("status")


@case("status: the server as a whole")
def _():
    before = time.time()
    with controlled("--threads", "2", f"web={image()}",
                    f"db={image('db.vhd')}") as server:
        c = Control()
        s = c.ask("status")
        equal(s["pid"], server.pid)
        equal(s["worker"], server.worker())
        check(before - 1 < s["since"] < time.time() + 1, s["since"])
        check(0 <= s["uptime"] < 60, s["uptime"])
        equal((s["threads"], s["exports"], s["clients"], s["came"]),
              (2, 2, 0, 0))
        equal(s["config"], None)
        client = Client().go("web")
        equal(client.request(WRITE, 0, data=b"x" * 8192), 0)
        equal(client.request(READ, 0, 4096), 0)
        equal(client.request(READ, 100 * MiB, 512), 22)
        other = Client()
        other.ask_info("none")
        other.error()
        other.close()
        while (s := c.ask("status"))["clients"] > 1:
            time.sleep(0.01)
        equal((s["clients"], s["came"]), (1, 2))
        equal(s["bytes"], {"read": 4096, "written": 8192})
        equal(s["errors"], {"options": 1, "NBD_EINVAL": 1})
        equal(set(s["refused"].values()), {0})
        check(s["memory"]["limit"] > 0, s)
        check(0 < s["descriptors"]["used"] < s["descriptors"]["limit"], s)
        client.disconnect()


@case("status: refusals by their cause")
def _():
    with controlled("--max-connections", "1", image()) as server:
        c = Control()
        client = Client()
        for _ in range(3):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(SOCKET)
            equal(sock.recv(1), b"")
        server.wait_for("refused a connection")
        equal(c.ask("status")["refused"]["connections"], 3)
        client.close()


@case("status: the configuration file, and when it was read")
def _():
    image()
    with open("v.conf", "w", encoding="ascii") as file:
        file.write(f'unix = "{SOCKET}"; control = "{CONTROL}";\n'
                   'exports = ( { name = "a"; image = "disk.vhd"; } );\n')
    with serving("--config", "v.conf") as server:
        server.wait_for("taking commands on ")
        file = Control().ask("status")["config"]
        equal(file["path"], "v.conf")
        equal((file["sound"], file["text"]), (True, None))
        check(abs(time.time() - file["read"]) < 30, file)


@case("clients: who they are, what they have, what they have done")
def _():
    with controlled("--listen", "127.0.0.1:0", f"web={image()}") as server:
        c = Control()
        equal(c.ask("clients"), {"clients": [], "complete": True})
        one = Client().go("web")
        equal(one.request(WRITE, 0, data=b"x" * 8192), 0)
        equal(one.request(READ, 0, 4096), 0)
        equal(one.request(READ, 100 * MiB, 512), 22)
        sock = connect_tcp(*server.tcp())
        port = sock.getsockname()[1]
        two = Client(sock)
        two.ask_info("web", INFO)
        first, second = c.ask("clients")["clients"]
        check(abs(time.time() - first.pop("since")) < 30, first)
        times = first.pop("p50-us"), first.pop("p99-us")
        check(16 <= times[0] <= times[1] < 8 << 20, times)
        us = os.geteuid()
        equal(first, {
            "client": 1, "address": f"process {os.getpid()}",
            "pid": os.getpid(), "uid": us, "identity": f"uid:{us}",
            "export": "web", "state": "serving", "tls": False, "read": 4096,
            "written": 8192, "requests": 0, "answered": 2, "errors": 1})
        equal(second["client"], 2)
        equal(second["address"], f"127.0.0.1:{port}")
        equal((second["identity"], second["export"], second["state"]),
              (None, None, "negotiating"))
        check("pid" not in second and "uid" not in second, second)
        one.disconnect()
        two.close()
        while c.ask("clients")["clients"]:
            time.sleep(0.01)


@case("clients: many of them, on all loops, in the order in which they came")
def _():
    with controlled("--threads", "3", image()):
        clients = [Client().go() for _ in range(50)]
        for client in clients:
            equal(client.request(FLUSH), 0)
        equal([c["client"] for c in Control().ask("clients")["clients"]],
              list(range(1, 51)))
        for client in clients:
            client.close()


@case("the socket is its owner's, unless a mode is said, and goes at the end")
def _():
    for mode, wanted in ((None, 0o600), ("666", 0o666), ("640", 0o640)):
        more = ["--control-mode", mode] if mode else []
        with controlled(*more, image()):
            st = os.lstat(CONTROL)
            check(stat.S_ISSOCK(st.st_mode), "a socket")
            equal(oct(st.st_mode & 0o777), oct(wanted))
        check(not os.path.exists(CONTROL), "removed")
    with serving("--unix", SOCKET, image()) as server:
        check("commands" not in server.log(), server.log())


@case("it outlives the process that serves")
def _():
    with controlled(image()) as server:
        c = Control()
        worker = c.ask("status")["worker"]
        os.kill(worker, 9)
        equal(c.line(), None)
        after = Control().ask("status")
        check(after["worker"] != worker, after)
        equal(after["pid"], server.pid)


@case("options that make no sense are refused")
def _():
    for args, says in (
            (["--control-mode", "600"], "--control-mode needs --control"),
            (["--control-admins", "root"], "--control-admins needs"),
            (["--control", ""], "SOCKET"),
            (["--control", "c", "--control-mode", "9"], "octal")):
        refused(*args, image(), status=2, says=says)
    refused("--control", "c", "--control-admins", "no-such-group-at-all",
            image(), status=1, says="no group 'no-such-group-at-all'")
    refused("--control", "missing/c", image(), status=1, says="missing/c")


@case("questions are answered in any number, and none is lost at the end")
def _():
    with controlled(image()):
        c = Control()
        wanted = [c.send("clients" if i % 3 else "status")
                  for i in range(200)]
        c.sock.shutdown(socket.SHUT_WR)
        got = []
        while line := c.line():
            check("result" in line, line)
            got.append(line["id"])
        equal(sorted(got), wanted)


@case("what a test asks for wrongly is an error here, too")
def _():
    with controlled(image()):
        try:
            Control().ask("no")
        except Refused as why:
            equal(why.kind, "usage")
            return
    raise AssertionError("answered")


run()
