#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The metrics: what they tell, in a form that Prometheus takes, and whom they
are told."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

from fronttest import PATIENCE, connect_tcp, image, refused, serving
from rawclient import FLUSH, READ, SOCKET, WRITE, Client
from tooltest import MiB, case, check, contains, equal, run

CONTRIB = os.path.join(os.environ["SRCDIR"], "contrib/prometheus")
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)+)\})? '
                    r'([0-9.e+]+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')
TIMES = "vhdkit_request_duration_seconds"


class Metrics:
    """A text as Prometheus sees it; what it would refuse is an error."""

    def __init__(self, text):
        self.types, self.samples = {}, {}
        check(text.endswith("\n"), text[-100:])
        family = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split()[2]
                check(family not in self.types, f"twice: {line}")
            elif line.startswith("# TYPE "):
                _, _, name, self.types[name] = line.split()
                equal(name, family)
            else:
                self.sample(line, family)

    def sample(self, line, family):
        found = SAMPLE.fullmatch(line)
        check(found, f"no sample: {line}")
        name, labels, value = found.groups()
        suffixes = (["_bucket", "_sum", "_count"]
                    if self.types[family] == "histogram" else [""])
        check(name in [family + s for s in suffixes], f"{line} of {family}")
        key = name, frozenset(LABEL.findall(labels or ""))
        check(key not in self.samples, f"twice: {line}")
        self.samples[key] = float(value)

    def get(self, name, **labels):
        return self.samples[name, frozenset(labels.items())]

    def find(self, name, **labels):
        return {key: value for (other, key), value in self.samples.items()
                if other == name and labels.items() <= dict(key).items()}


@contextlib.contextmanager
def measured(*args, **more):
    with serving("--unix", SOCKET, "--metrics", "127.0.0.1:0", *args,
                 **more) as server:
        server.metrics = server.wait_for(
            r"telling metrics on (127\.0\.0\.1):(\d+)").groups()
        yield server


def address(server):
    host, port = server.metrics
    return host, int(port)


def fetch(server, path="/metrics", **more):
    host, port = server.metrics
    return urllib.request.urlopen(
        urllib.request.Request(f"http://{host}:{port}{path}", **more),
        timeout=PATIENCE)


def metrics(server):
    with fetch(server) as reply:
        equal(reply.headers["Content-Type"],
              "text/plain; version=0.0.4; charset=utf-8")
        return Metrics(reply.read().decode())


def counted(server, export, n):
    """When so many requests are: an answer may be there before."""
    end = time.monotonic() + PATIENCE
    while True:
        m = metrics(server)
        if m.get("vhdkit_export_requests_total", export=export) >= n:
            return m
        check(time.monotonic() < end, "they are not counted")
        time.sleep(0.01)


def say(server, data, patience=PATIENCE):
    """What comes back, up to the end."""
    sock = connect_tcp(*address(server))
    sock.settimeout(patience)
    sock.sendall(data)
    text = b""
    while part := sock.recv(65536):
        text += part
    sock.close()
    return text.decode()


@case("what clients have done is counted, and how long it took")
def _():
    with measured(f"web={image()}", f"db={image('db.vhd')}") as server:
        equal(metrics(server).find(f"{TIMES}_count"), {})
        client = Client().go("web")
        for i in range(3):
            equal(client.request(WRITE, i * 8192, data=b"x" * 8192), 0)
        equal(client.request(READ, 0, 4096), 0)
        equal(client.request(FLUSH), 0)
        equal(client.request(READ, 100 * MiB, 512), 22)
        m = counted(server, "web", 5)
        equal(m.get("vhdkit_connections"), 1)
        equal(m.get("vhdkit_connections_total"), 1)
        equal(m.get("vhdkit_written_bytes_total"), 3 * 8192)
        equal(m.get("vhdkit_errors_total", error="NBD_EINVAL"), 1)
        equal(m.get("vhdkit_export_connections", export="web"), 1)
        equal(m.get("vhdkit_export_connections", export="db"), 0)
        equal(m.get("vhdkit_export_size_bytes", export="db"), 4 * MiB)
        equal(m.get("vhdkit_export_requests_total", export="web"), 5)
        equal(m.get("vhdkit_export_read_bytes_total", export="web"), 4096)
        equal(m.get("vhdkit_export_written_bytes_total", export="web"),
              3 * 8192)
        for command, n in ("write", 3), ("read", 1), ("flush", 1):
            equal(m.get(f"{TIMES}_count", export="web", command=command), n)
            buckets = sorted(m.find(f"{TIMES}_bucket", command=command)
                             .values())
            equal((len(buckets), buckets[-1]), (21, n))
            check(0 < m.get(f"{TIMES}_sum", export="web", command=command)
                  < 30, m.samples)
        equal(len(m.find(f"{TIMES}_count")), 3)
        client.close()


@case("how long: what took less than a time is in what took less than a longer")
def _():
    with measured(f"web={image()}") as server:
        client = Client().go("web")
        equal(client.request(WRITE, 0, data=b"x" * 4096), 0)
        for _ in range(50):
            equal(client.request(READ, 0, 4096), 0)
        m = counted(server, "web", 51)
        times = m.find(f"{TIMES}_bucket", command="read")
        by_end = sorted((float(dict(key)["le"]), n)
                        for key, n in times.items())
        equal([n for _, n in by_end], sorted(n for _, n in by_end))
        check(by_end[-2][1] == 50, by_end)
        client.close()


@case("names that a label cannot hold as they are")
def _():
    odd = 'a"b\\c\x1bd'
    os.mkdir("odd")
    image(f"odd/{odd}.vhd")
    with measured("odd") as server:
        client = Client().go(odd)
        m = metrics(server)
        equal(m.find("vhdkit_export_connections"),
              {frozenset([("export", r'a\"b\\c\\x1bd')]): 1})
        client.close()


@case("HTTP: what is asked wrongly is refused, and each ends")
def _():
    with measured(f"web={image()}") as server:
        for request, status in (
                (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
                (b"GET /metrics?a=b HTTP/1.0\r\n\r\n", "200 OK"),
                (b"GET /metrics HTTP/1.0\n\n", "200 OK"),
                (b"HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK"),
                (b"GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
                (b"GET /metricsx HTTP/1.1\r\n\r\n", "404 Not Found"),
                (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
                (b"GET /metrics\r\n\r\n", "400 Bad Request"),
                (b"GET /metrics HTTP/2\r\n\r\n", "400 Bad Request"),
                (b"GET\r\n\r\n", "400 Bad Request"),
                (b"\r\n\r\n", "400 Bad Request"),
                (b"\0\xff\r\n\r\n", "400 Bad Request"),
                (b"x" * 8192, "431 Request Header Fields Too Large")):
            reply = say(server, request)
            equal(reply.splitlines()[0], f"HTTP/1.1 {status}", request[:40])
            head, _, body = reply.partition("\r\n\r\n")
            length = int(re.search(r"Content-Length: (\d+)", head).group(1))
            equal(len(body.encode()), 0 if request[:4] == b"HEAD" else length)
        Metrics(say(server, b"GET /metrics HTTP/1.0\r\n\r\n")
                .partition("\r\n\r\n")[2])


@case("byte by byte, and by one who says no more")
def _():
    with measured(f"web={image()}") as server:
        sock = connect_tcp(*address(server))
        for byte in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n":
            sock.sendall(bytes([byte]))
        contains(sock.recv(65536).decode(), "200 OK")
        sock.close()
        sock = connect_tcp(*address(server))
        sock.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        contains(sock.recv(65536).decode(), "200 OK")
        sock.close()
        metrics(server)


@case("who asks nothing takes no more than his place, and not for long")
def _():
    with measured(f"web={image()}") as server:
        idle = [connect_tcp(*address(server)) for _ in range(8)]
        late = connect_tcp(*address(server))
        late.settimeout(PATIENCE)
        equal(late.recv(1), b"")
        server.wait_for("metrics: refused 127.0.0.1:")
        client = Client().go("web")  # nobody else notices
        equal(client.request(WRITE, 0, data=b"x" * 4096), 0)
        idle[0].close()
        end = time.monotonic() + PATIENCE
        while True:
            try:
                metrics(server)
                break
            except (urllib.error.URLError, ConnectionError):
                check(time.monotonic() < end, "there is no place again")
                time.sleep(0.02)
        for sock in idle[1:]:
            sock.settimeout(PATIENCE)
            equal(sock.recv(1), b"")
            sock.close()
        client.close()


@case("--metrics: what is no address is refused, and a port that is taken")
def _():
    for value in "", "1.2.3.4:99999", "a:b", "::1":
        refused("--metrics", value, image(), status=2,
                says="--metrics")
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    refused("--unix", "other.sock", "--metrics", f"127.0.0.1:{port}", image(),
            says=str(port))
    taken.close()


@case("rules and dashboard name metrics that there are")
def _():
    with measured(f"web={image()}") as server:
        known = set(metrics(server).types)
    known |= {f"{TIMES}_{part}" for part in ("bucket", "sum", "count")}
    for name in "vhdkitd.rules.yml", "vhdkitd.grafana.json":
        with open(os.path.join(CONTRIB, name), encoding="utf-8") as file:
            text = file.read()
        if name.endswith(".json"):
            json.loads(text)
        used = set(re.findall(r"\bvhdkit_[a-z_]+\b", text))
        check(used and used <= known, used - known)


@case("promtool finds no fault, where there is one")
def _():
    if not shutil.which("promtool"):
        return
    with measured(f"web={image()}") as server:
        client = Client().go("web")
        equal(client.request(READ, 0, 4096), 0)
        with fetch(server) as reply:
            text = reply.read()
        client.close()
    for command, data in (("metrics", text), ("rules", None)):
        args = [] if data else [os.path.join(CONTRIB, "vhdkitd.rules.yml")]
        r = subprocess.run(["promtool", "check", command, *args], input=data,
                           capture_output=True, check=False)
        equal((r.returncode, r.stderr if data else b""), (0, b""))


run()
