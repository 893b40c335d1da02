#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The control socket: what can be changed by it, who may, and what of that is
written down; and what happens, as those hear it who follow."""

import os
import re
import signal
import time

from controltest import CONTROL, NOBODY, Control, as_user, controlled
from fronttest import PATIENCE, Server, connect_unix, image, read_all, serving
from rawclient import READ, SOCKET, WRITE, Client
from tooltest import MiB, case, check, contains, equal, run

CHANGES = ("disconnect", "drain", "undrain", "reload", "stop")
ARGS = {"disconnect": {"clients": [1]}}
US = rf"process {os.getpid()} \(uid:{os.geteuid()}\)"


def until(function):
    """What it returns as soon as that is true."""
    end = time.monotonic() + PATIENCE
    while not (value := function()):
        check(time.monotonic() < end, "waited in vain")
        time.sleep(0.01)
    return value


@case("whoever may only look is denied all that changes something")
def _():
    with controlled("--control-mode", "666", image()) as server:
        client = Client().go()
        with as_user(NOBODY):
            c = Control()
        for verb in CHANGES:
            equal(c.refusal(verb, **ARGS.get(verb, {})).kind, "denied", verb)
        equal(client.request(READ, 0, 512), 0)
        equal(Control().ask("status")["draining"], False)
        server.wait_for(r"warning: control: process \d+ \(uid:65534\): "
                        r"disconnect: denied$")
        client.disconnect()


@case("each change leaves a line: who, what, and what came of it")
def _():
    with controlled(image()) as server:
        c = Control()
        c.ask("disconnect", clients=[7, 9])
        server.wait_for(rf'^vhdkitd: control: {US}: disconnect '
                        r'{"clients":\[7,9\]}: done$')
        c.ask("status")
        c.ask("clients")
        c.ask("undrain")
        server.wait_for(rf"^vhdkitd: control: {US}: undrain: done$")
        check("status" not in server.log(), server.log())


@case("exports: names, images, who uses them")
def _():
    image("a.vhd")
    image("b.vhd", 8 * MiB)
    with controlled("--description", "a=the first", "a=a.vhd", "b=b.vhd"):
        c = Control()
        client = Client().go("b")
        a, b = sorted(c.ask("exports")["exports"],
                      key=lambda e: e["export"])
        equal(a, {"export": "a", "path": "a.vhd", "description": "the first",
                  "state": "open", "text": None, "size": 4 * MiB, "depth": 0,
                  "read-only": False, "tls-only": False, "clients": 0})
        equal((b["size"], b["clients"]), (8 * MiB, 1))
        client.disconnect()
    os.mkdir("dir")
    os.rename("a.vhd", "dir/a.vhd")
    with controlled("--readonly", "dir"):
        c = Control()
        equal(c.ask("exports")["exports"], [])
        client = Client().go("a")
        only, = c.ask("exports")["exports"]
        equal((only["path"], only["read-only"], only["clients"]),
              ("dir/a.vhd", True, 1))
        image("new.vhd")
        os.rename("new.vhd", "dir/a.vhd")
        other = Client().go("a")
        equal([(e["state"], e["clients"]) for e in c.ask("exports")["exports"]],
              [("open", 1), ("former", 1)])
        client.close()
        other.close()


@case("disconnect: they end in order, others stay, and it can be said again")
def _():
    with controlled("--threads", "2", image()) as server:
        c = Control()
        clients = [Client().go() for _ in range(4)]
        equal(clients[1].request(WRITE, 0, data=b"x" * 512), 0)
        equal(c.ask("disconnect", clients=[2, 4, 99, 2]),
              {"disconnected": [2, 4], "unknown": [99], "complete": True})
        for i in (1, 3):
            equal(read_all(clients[i].sock, 1), b"")
        server.wait_for("an administrator has disconnected it")
        for i in (0, 2):
            equal(clients[i].request(READ, 0, 512), 0)
        until(lambda: len(c.ask("clients")["clients"]) == 2)
        equal([x["client"] for x in c.ask("clients")["clients"]], [1, 3])
        equal(c.ask("disconnect", clients=[2])["unknown"], [2])
        equal(c.ask("disconnect", clients=[])["disconnected"], [])
        for args in ({}, {"clients": 2}, {"clients": [-1]},
                     {"clients": ["2"]}, {"clients": [1.0]},
                     {"clients": [[1]]}, {"client": [1]}):
            equal(c.refusal("disconnect", **args).kind, "usage", args)
        for i in (0, 2):
            clients[i].disconnect()


@case("drain: nobody new comes in, who is there goes on; undrain ends it")
def _():
    with controlled(image()) as server:
        c = Control()
        client = Client().go()
        equal(c.ask("drain"), {"draining": True, "clients": 1})
        equal(c.ask("drain"), {"draining": True, "clients": 1})
        equal(connect_unix(SOCKET).recv(1), b"")
        server.wait_for("refused a connection .* is drained")
        equal(client.request(READ, 0, 512), 0)
        status = c.ask("status")
        equal((status["draining"], status["refused"]["draining"]), (True, 1))
        equal(c.ask("undrain"), {"draining": False, "clients": 1})
        Client().go().disconnect()
        client.disconnect()


@case("drain can be waited for, with progress, and that can be cancelled")
def _():
    with controlled(image()):
        c = Control()
        clients = [Client().go() for _ in range(3)]
        number = c.send("drain", wait=True)
        for done in 0, 1:
            equal(c.line(), {"id": number,
                             "progress": {"done": done, "total": 3}})
            clients.pop().disconnect()
        equal(c.ask("cancel", request=number), {})
        # It was told first.
        c.ask("status")
        other = Control()
        number = other.send("drain", wait=True)
        other.line()  # it has begun
        for client in clients:
            client.disconnect()
        equal(other.answer(number), {"draining": True, "clients": 0})
        equal(c.refusal("cancel", request=number).kind, "not-found")
        for verb, args in (("drain", {"wait": 1}), ("undrain", {"wait": True}),
                           ("cancel", {}), ("cancel", {"request": 1.5})):
            equal(c.refusal(verb, **args).kind, "usage")


def write_config(text):
    with open("new.conf", "w", encoding="ascii") as file:
        file.write(f'unix = "{SOCKET}"; control = "{CONTROL}";\n' + text)
    os.rename("new.conf", "v.conf")


EXPORT = 'exports = ( { name = "a"; image = "a.vhd"; }%s );\n'


@case("reload: what has changed, what waits for a start, what is wrong where")
def _():
    image("a.vhd")
    image("b.vhd")
    write_config(EXPORT % "")
    with serving("--config", "v.conf") as server:
        server.wait_for("taking commands on ")
        c = Control()
        client = Client().go("a")
        equal(c.ask("reload"), {"changes": [], "text": None})
        write_config(EXPORT % ', { name = "b"; image = "b.vhd"; }')
        equal(c.ask("reload"), {"changes": [
            {"export": "b", "change": "added", "clients": 0}], "text": None})
        Client().go("b").disconnect()
        write_config('exports = ( { name = "a"; image = "b.vhd"; } );\n'
                     "threads = 3;\n")
        answer = c.ask("reload")
        equal(sorted((x["export"], x["change"], x["clients"])
                     for x in answer["changes"]),
              [("a", "image", 1), ("b", "removed", 0)])
        contains(answer["text"], "threads takes effect at the next start")
        before = c.ask("status")["config"]["read"]
        write_config(EXPORT % "" + 'threads = "many";\n')
        why = c.refusal("reload")
        equal(why.kind, "refused")
        contains(why.text, "v.conf:3: threads: 'many'")
        contains(why.text, "stays in force")
        config = c.ask("status")["config"]
        equal(config["sound"], False)
        contains(config["text"], "v.conf:3")
        check(config["read"] >= before, config)
        equal(client.request(READ, 0, 512), 0)
        client.disconnect()
        write_config(EXPORT % "" + "threads = 3;\n")
        c.ask("reload")
        equal(c.ask("status")["config"]["sound"], True)


@case("reload: several at once are answered, each by a reading of its own")
def _():
    image("a.vhd")
    write_config(EXPORT % "")
    with serving("--config", "v.conf") as server:
        server.wait_for("taking commands on ")
        them = [Control() for _ in range(5)]
        numbers = [[c.send("reload") for _ in range(3)] for c in them]
        server.process.send_signal(signal.SIGHUP)
        for c, ids in zip(them, numbers):
            for number in ids:
                equal(c.answer(number), {"changes": [], "text": None})
        equal(len(re.findall(": reload: done$", server.log(), flags=re.M)), 15)


@case("reload: without a file there is nothing to change")
def _():
    with controlled(image()):
        equal(Control().ask("reload"), {"changes": [], "text": None})


@case("what SIGHUP has found is seen, too")
def _():
    image("a.vhd")
    write_config(EXPORT % "")
    with serving("--config", "v.conf") as server:
        server.wait_for("taking commands on ")
        c = Control()
        c.send("events")
        equal(c.line()["following"], True)
        write_config("nonsense")
        server.process.send_signal(signal.SIGHUP)
        event = c.line()["event"]
        equal((event["event"], event["sound"]), ("reload", False))
        contains(event["text"], "v.conf:2")
        equal(Control().ask("status")["config"]["sound"], False)


@case("events: who comes, chooses, fails and leaves, as it happens")
def _():
    with controlled(f"web={image()}"):
        c = Control()
        number = c.send("events")
        equal(c.line(), {"id": number, "following": True})
        client = Client().go("web")
        equal(client.request(WRITE, 0, data=b"x" * 512), 0)
        equal(client.request(READ, 100 * MiB, 512), 22)
        client.disconnect()
        seen = [c.line() for _ in range(4)]
        equal({line["id"] for line in seen}, {number})
        seen = [line["event"] for line in seen]
        for event in seen:
            equal(event["client"], 1)
            equal(event["address"], f"process {os.getpid()}")
            check(abs(event["time"] - time.time()) < 60, event)
        came, chose, failed, left = seen
        equal((came["event"], "export" in came), ("came", False))
        equal((chose["event"], chose["export"]), ("chose", "web"))
        equal((failed["event"], failed["error"]), ("failed", "NBD_EINVAL"))
        contains(failed["request"], "READ of 512 bytes")
        equal((left["event"], left["text"], left["read"], left["written"],
               left["errors"]), ("left", "it has disconnected", 0, 512, 1))
        c.ask("drain")
        connect_unix(SOCKET).recv(1)
        refusal = c.line()["event"]
        equal((refusal["event"], refusal["limit"]), ("refused", "draining"))
        check("client" not in refusal, refusal)
        equal(c.ask("cancel", request=number), {})
        c.ask("undrain")
        Client().go("web").disconnect()
        equal(c.send("status"), c.line()["id"])


@case("events: who does not take them loses some, is told, and delays nobody")
def _():
    with controlled(image()):
        slow, quick = Control(), Control()
        for c in (slow, quick):
            c.send("events")
            equal(c.line()["following"], True)
        told = lost = have = 0

        def one_more():
            Client().go().disconnect()
            return [quick.line()["event"]["event"] for _ in range(3)]

        for _ in range(1500):
            equal(one_more(), ["came", "chose", "left"])
            told += 3
        while have + lost < told:
            event = slow.line()["event"]
            if event["event"] != "lost":
                have += 1
                if have == 100:  # what makes him hear of it
                    one_more()
                    told += 3
            else:
                lost += event["count"]
        check(lost > 0, "nothing was lost")


@case("stop: it is answered, and then all ends in order")
def _():
    image()
    server = Server(["--unix", SOCKET, "--control", CONTROL, "disk.vhd"])
    server.wait_for("listening on ")
    client = Client().go()
    equal(client.request(WRITE, 0, data=b"x" * 512), 0)
    c = Control()
    equal(c.ask("stop"), {})
    equal(c.line(), None)
    equal(read_all(client.sock, 1), b"")
    client.close()
    equal(server.wait(), 0)
    contains(server.log(), ": stop: done")
    check(not os.path.exists(CONTROL), "the socket is left")


run()
