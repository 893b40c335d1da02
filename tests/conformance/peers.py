# SPDX-License-Identifier: BSD-2-Clause
#
# The servers that run-peers knows: for each of them a function that yields
# the ways of running it, and how its version is found out.

import os
import platform
import re
import socket
import subprocess
from dataclasses import dataclass, field

SIZE = "5G"


@dataclass
class Instance:
    """One way of running a peer: the command and how to probe it."""
    label: str
    command: list
    uri: str
    options: list = field(default_factory=list)
    pidfile: str = None         # of a peer that runs in the background
    config: tuple = None        # (path, text) to be written first
    handshake: bool = False     # wait for the end of a dribbled handshake
    only: str = None            # the cases to run; all by default
    started: object = None      # called once it serves


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_pki(folder):
    """A CA, and a certificate for each side."""
    os.makedirs(folder)

    def openssl(*words):
        subprocess.run(("openssl",) + words, cwd=folder, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
          "-nodes")
    openssl("req", "-x509", *ec, "-days", "30", "-subj", "/CN=Test CA",
            "-keyout", "ca-key.pem", "-out", "ca-cert.pem")
    with open(os.path.join(folder, "ext"), "w", encoding="ascii") as f:
        f.write("basicConstraints=CA:FALSE\n"
                "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for who in ("server", "client"):
        openssl("req", "-new", *ec, "-subj", "/CN=localhost",
                "-keyout", f"{who}-key.pem", "-out", f"{who}.csr")
        openssl("x509", "-req", "-in", f"{who}.csr", "-CA", "ca-cert.pem",
                "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "30",
                "-extfile", "ext", "-out", f"{who}-cert.pem")


def version(*command):
    out = subprocess.run(command, capture_output=True, text=True,
                         check=False)
    found = re.search(r"\d+\.\d+(\.\d+)*", out.stdout + out.stderr)
    return found.group(0) if found else "?"


def system():
    """Name and version of the distribution."""
    return platform.freedesktop_os_release()["PRETTY_NAME"]


def sparse(path, size):
    subprocess.run(["truncate", "-s", size, path], check=True)
    return path


# The peers.  Each function yields a peer's instances below a folder.

def nbdkit(folder, pki, _args):
    disk = sparse(f"{folder}/disk.raw", SIZE)
    sock = f"{folder}/socket"
    base = ["nbdkit", "-f", "--filter=exportname", "-U", sock]
    tail = ["file", disk, "exportname=disk", "exportname-strict=true",
            "exportname-list=explicit"]
    uri = f"nbd+unix:///disk?socket={sock}"
    port = free_port()
    yield Instance("Unix", base + tail, uri, ["--writable"], handshake=True)
    yield Instance("TCP", base[:3] + ["-i", "127.0.0.1", "-p", str(port)]
                   + tail, f"nbd://127.0.0.1:{port}/disk", ["--writable"])
    yield Instance("read-only", base + ["-r"] + tail, uri)
    for mode in ("on", "require"):
        yield Instance(f"TLS {mode}", base + [
            f"--tls={mode}", f"--tls-certificates={pki}"] + tail, uri,
            ["--writable", "--tls-mode", mode])
    bad = f"nbd+unix:///?socket={sock}"
    yield Instance("failing", [
        "nbdkit", "-f", "--filter=error", "-U", sock, "file", disk,
        "error-pread=EIO", "error-pread-rate=100%"], bad,
        ["--failing-export", ""], only="T39")
    yield Instance("stop", base + tail, uri, ["--shutdown"])


def qemu_nbd(folder, pki, _args):
    disk = sparse(f"{folder}/disk.raw", SIZE)
    sock = f"{folder}/socket"
    base = ["qemu-nbd", "-t", "-e", "0", "-f", "raw", "-x", "disk",
            "--discard=unmap"]
    uri = f"nbd+unix:///disk?socket={sock}"
    port = free_port()
    yield Instance("Unix", base + ["-k", sock, disk], uri, ["--writable"],
                   handshake=True)
    yield Instance("TCP", base + ["-b", "127.0.0.1", "-p", str(port), disk],
                   f"nbd://127.0.0.1:{port}/disk", ["--writable"])
    yield Instance("read-only", base + ["-r", "-k", sock, disk], uri)
    yield Instance("TLS require", base + [
        "--object", f"tls-creds-x509,id=t,endpoint=server,dir={pki},"
        "verify-peer=no", "--tls-creds", "t", "-k", sock, disk], uri,
        ["--writable", "--tls-mode", "require"])
    yield Instance("stop", base + ["-k", sock, disk], uri, ["--shutdown"])


def nbd_server(folder, pki, _args):
    disk = sparse(f"{folder}/disk.raw", SIZE)
    other = sparse(f"{folder}/other.raw", "64M")
    sock, pid = f"{folder}/socket", f"{folder}/pid"
    conf, allow = f"{folder}/config", f"{folder}/allow"
    with open(allow, "w", encoding="ascii") as f:
        f.write("127.0.0.1\n")

    def instance(label, where, uri, generic="", export="", more="",
                 options=(), **kw):
        text = (f"[generic]\nallowlist = true\n{where}{generic}"
                f"[disk]\nexportname = {disk}\nflush = true\nfua = true\n"
                f"trim = true\n{export}[other]\nexportname = {other}\n{more}")
        return Instance(label, ["nbd-server", "-C", conf, "-p", pid], uri,
                        list(options), pid, (conf, text), **kw)

    unix = f"unixsock = {sock}\n"
    uri = f"nbd+unix:///disk?socket={sock}"
    tls = (f"certfile = {pki}/server-cert.pem\n"
           f"keyfile = {pki}/server-key.pem\n"
           f"cacertfile = {pki}/ca-cert.pem\n")
    write = ["--writable", "--second-export", "other"]
    port = free_port()
    yield instance("Unix", unix, uri, options=write, handshake=True)
    yield instance("TCP", f"listenaddr = 127.0.0.1\nport = {port}\n",
                   f"nbd://127.0.0.1:{port}/disk",
                   export=f"authfile = {allow}\n", options=write + [
                       "--acl-allowed", "127.0.0.1",
                       "--acl-denied", "127.0.0.10"])
    yield instance("read-only", unix, uri, export="readonly = true\n")
    yield instance("TLS on", unix, uri, tls,
                   more=f"[secret]\nexportname = {other}\nforce_tls = true\n",
                   options=write + ["--tls-mode", "on",
                                    "--tls-only-export", "secret"])
    yield instance("TLS require", unix, uri, tls + "force_tls = true\n",
                   options=write + ["--tls-mode", "require"])
    yield instance("stop", unix, uri, options=["--shutdown"])


def vhdkitd(folder, pki, args):
    def create(name, *words):
        path = f"{folder}/{name}.vhd"
        subprocess.run([args.vhdkit, "create", *words, path], check=True)
        return path

    disk, other = create("disk", "--size", SIZE), create("other", "--size",
                                                         "64M")
    # A child over data: its holes are not zero.
    parent = create("parent", "--size", SIZE)
    for offset in ("0", "10M"):
        subprocess.run([args.vhdkit, "write", "--offset", offset, parent],
                       input=os.urandom(3 << 20), check=True)
    child = create("child", "--parent", parent)
    # One that will lose its end while it is served.
    bad = create("bad", "--size", "64M")
    subprocess.run([args.vhdkit, "write", bad], input=os.urandom(6 << 20),
                   check=True)

    sock = f"{folder}/socket"
    unix = [args.vhdkitd, "--unix", sock]
    both = ["--description", "disk=a disk of \u00bc KiB pieces",
            f"disk={disk}", f"other={other}"]
    uri = f"nbd+unix:///disk?socket={sock}"
    write = ["--writable", "--second-export", "other"]
    port = free_port()
    yield Instance("Unix", unix + both, uri, write, handshake=True)
    yield Instance("child", unix + [f"disk={child}", f"other={other}"], uri,
                   write)
    yield Instance("default", unix + [other],
                   f"nbd+unix:///?socket={sock}", ["--writable"], only="H")
    yield Instance("TCP", [args.vhdkitd, "--listen", f"127.0.0.1:{port}"]
                   + both, f"nbd://127.0.0.1:{port}/disk", write)
    yield Instance("read-only", unix + ["--readonly"] + both, uri,
                   ["--second-export", "other"])
    for mode in ("on", "require"):
        yield Instance(f"TLS {mode}", unix + [
            f"--tls={mode}", "--tls-certificates", pki] + both, uri,
            write + ["--tls-mode", mode])
    yield Instance("TLS-only", unix + [
        "--tls=on", "--tls-certificates", pki, "--tls-only", "secret",
        f"secret={parent}"] + both, uri,
        write + ["--tls-mode", "on", "--tls-only-export", "secret"])
    yield Instance("failing", unix + both + [f"bad={bad}"], uri,
                   ["--failing-export", "bad"], only="T39",
                   started=lambda: os.truncate(bad, 3 << 20))
    yield Instance("stop", unix + both, uri, ["--shutdown"])


PEERS = {
    "nbdkit": (nbdkit, lambda a: version("nbdkit", "--version")),
    "qemu-nbd": (qemu_nbd, lambda a: version("qemu-nbd", "--version")),
    "nbd-server": (nbd_server, lambda a: version("nbd-server", "-V")),
    "vhdkitd": (vhdkitd, lambda a: version(a.vhdkitd, "--version")),
}


if __name__ == "__main__":
    import sys
    make_pki(sys.argv[1])       # for other tests: peers.py DIRECTORY
