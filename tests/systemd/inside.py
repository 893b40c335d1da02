#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Inside of the machine that check-unit.sh boots: what an administrator does
with vhdkitd's units, as the manual says it."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import traceback

import nbd

SOCKET = "/run/vhdkitd.sock"
DROP_IN = "/etc/systemd/system/vhdkitd.service.d/override.conf"
DEFAULTS = "/etc/default/vhdkitd"
PATIENCE = 30
MiB = 1 << 20
cases = []


class Skip(Exception):
    pass


def case(sentence):
    def add(function):
        cases.append((sentence, function))
    return add


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def sh(*args, status=0):
    done = subprocess.run(args, check=False, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check(status is None or done.returncode == status,
          f"{args}: {done.returncode}: {done.stdout}")
    return done.stdout


def show(what, unit="vhdkitd.service"):
    return sh("systemctl", "show", "-P", what, unit).strip()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def log():
    """What the service has said since it was started last."""
    return sh("journalctl", "-q", "-o", "cat", "_SYSTEMD_INVOCATION_ID=" +
              show("InvocationID"))


def logged(pattern):
    end = time.monotonic() + PATIENCE
    while not re.search(pattern, log()):
        check(time.monotonic() < end, f"no {pattern!r} in {log()!r}")
        time.sleep(0.1)


@contextlib.contextmanager
def configured(defaults="", drop_in=""):
    """The units, as the administrator has set them; nothing runs yet."""
    write(DEFAULTS, defaults)
    write(DROP_IN, drop_in)
    sh("systemctl", "daemon-reload")
    sh("systemctl", "reset-failed")
    sh("systemctl", "start", "vhdkitd.socket")
    try:
        yield
    except BaseException:
        print("#", log().replace("\n", "\n# "))
        print("#", sh("systemctl", "status", "--no-pager", "vhdkitd.service",
                      status=None).replace("\n", "\n# "))
        raise
    finally:
        sh("systemctl", "stop", "vhdkitd.socket", "vhdkitd.service")


def connected(name, **tls):
    h = nbd.NBD()
    h.set_export_name(name)
    h.set_full_info(True)
    if tls:
        h.set_tls(nbd.TLS_REQUIRE)
        h.set_tls_verify_peer(False)
    h.connect_unix(SOCKET)
    return h


def make_image(name):
    """As the manual says it."""
    path = f"/var/lib/vhdkit/{name}.vhd"
    sh("vhdkit", "create", "--size", "4M", path)
    sh("chown", "--reference=/var/lib/vhdkit/.", path)


@case("a client's connection starts it, confined as it should be")
def _():
    with configured():
        check(show("ActiveState") == "inactive", "it runs already")
        h = nbd.NBD()
        h.set_opt_mode(True)
        h.connect_unix(SOCKET)
        h.opt_abort()
        check(show("ActiveState") == "active", log())
        check("going on without" not in log(), log())
        with open(f"/proc/{show('MainPID')}/status", encoding="ascii") as file:
            status = file.read()
        for line in ("Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t" + "0" * 16):
            check(line in status, status)


@case("an image can be written, and is there after a restart")
def _():
    with configured():
        sh("systemctl", "start", "vhdkitd")
        make_image("disk")
        h = connected("disk")
        check(not h.is_read_only(), "read-only")
        h.pwrite(b"x" * 4096, MiB)
        h.flush()
        h.shutdown()
        logged("export 'disk': process .* has left after .*: it has "
               "disconnected; read 0 bytes, wrote 4096 bytes")
        sh("systemctl", "restart", "vhdkitd")
        check(connected("disk").pread(4096, MiB) == b"x" * 4096, "lost")
        check("going on without" not in log(), log())


@case("system calls that systemd's own list lacks are there")
def _():
    unit = sh("systemctl", "cat", "vhdkitd.service")
    unit = re.sub(r"(?m)^# /.*$", "", unit)
    unit = re.sub(r"(?m)^ExecStart=.*$",
                  "ExecStart=/usr/bin/python3 /srv/systemd/calls.py", unit)
    unit = unit.replace("Type=notify", "Type=oneshot")
    unit = unit.replace("MemoryDenyWriteExecute=yes", "")  # ctypes
    unit = re.sub(r"(?m)^(Requires|After|Runtime).*$", "", unit)
    write("/etc/systemd/system/calls.service", unit)
    sh("systemctl", "daemon-reload")
    sh("systemctl", "start", "calls", status=None)
    said = sh("journalctl", "-q", "-o", "cat", "-u", "calls")
    for call in ("landlock_create_ruleset", "cachestat", "seccomp",
                 "socket(AF_VSOCK)"):
        check(f"{call}: permitted" in said, said)


@case("an image that was made with sudo: log and client are told why")
def _():
    with configured():
        sh("systemctl", "start", "vhdkitd")
        sh("vhdkit", "create", "--size", "4M", "/var/lib/vhdkit/sudo.vhd")
        h = connected("sudo")
        check(h.is_read_only(), "who can write to a file of root's?")
        told = h.get_export_description()
        check("may not write" in told, told)
        h.shutdown()
        logged(r"sudo.vhd: .*Permission denied; serving it read-only.*chown")
        uid = re.search(r"chown (\d+) ", log())[1]
        check(uid == str(os.stat("/var/lib/vhdkit/.").st_uid), log())
        sh("chown", uid, "/var/lib/vhdkit/sudo.vhd")
        check(not connected("sudo").is_read_only(), log())


def manual_example(begins):
    """The lines of an example of the manual that begins so."""
    with open("/srv/vhdkitd.pod", encoding="utf-8") as file:
        text = file.read()
    lines = text[text.index("\n " + begins) + 1:].split("\n")
    end = next(i for i, line in enumerate(lines) if not line.startswith(" "))
    return "".join(line[1:] + "\n" for line in lines[:end])


@case("TLS as the manual says it, with a key that root alone can read")
def _():
    os.makedirs("/etc/vhdkit/tls", mode=0o700, exist_ok=True)
    os.umask(0o077)
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
       "ec_paramgen_curve:P-256", "-nodes", "-keyout",
       "/etc/vhdkit/tls/server-key.pem", "-out",
       "/etc/vhdkit/tls/server-cert.pem", "-days", "30", "-subj",
       "/CN=localhost")
    check(os.stat("/etc/vhdkit/tls/server-key.pem").st_mode & 0o777 == 0o600,
          "the key is not root's alone")
    with configured(drop_in=manual_example("[Service]\n LoadCredential=")):
        sh("systemctl", "start", "vhdkitd")
        h = connected("disk", tls=True)
        check(h.get_tls_negotiated(), "no TLS")
        h.pwrite(b"y" * 4096, 0)
        h.shutdown()
        try:
            connected("disk")
        except nbd.Error:
            pass
        else:
            raise AssertionError("served without TLS")
        sh("systemctl", "reload", "vhdkitd")
        logged("loaded certificates and keys again")
        check("going on without" not in log(), log())


@case("images that are named, as /etc/default says it")
def _():
    with configured('VHDKITD_IMAGES="b2=/var/lib/vhdkit/disk.vhd '
                    'b3=/var/lib/vhdkit/sudo.vhd"\n'):
        sh("systemctl", "start", "vhdkitd")
        check(not connected("b2").is_read_only(), log())
        connected("b3").shutdown()


@case("a command line that is wrong: a failure with a reason, no loop")
def _():
    with configured('VHDKITD_OPTIONS="b2=/var/lib/vhdkit/disk.vhd"\n'):
        sh("systemctl", "start", "vhdkitd", status=1)
        # What systemd is to do of itself it has decided when the job failed.
        check(show("NRestarts") == "0", sh("systemctl", "status", "--no-pager",
                                           "vhdkitd.service", status=None))
        check(show("ActiveState") == "failed", show("ActiveState"))
        logged("'/var/lib/vhdkit' is not alone, so it needs a name")


@case("vsock can be listened on")
def _():
    try:
        socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()
    except OSError as error:
        raise Skip(f"this kernel has no vsock: {error}") from None
    with configured('VHDKITD_OPTIONS="--vsock 10809"\n'):
        sh("systemctl", "start", "vhdkitd")
        logged("listening on vsock:10809")


@case("who was killed is started again, a stop is no failure")
def _():
    with configured():
        sh("systemctl", "start", "vhdkitd")
        sh("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "vhdkitd")
        end = time.monotonic() + PATIENCE
        while show("NRestarts") != "1" or show("ActiveState") != "active":
            check(time.monotonic() < end, log())
            time.sleep(0.1)
        check(connected("disk").pread(4096, MiB) == b"x" * 4096, "lost")
        sh("systemctl", "stop", "vhdkitd.socket", "vhdkitd.service")
        check(show("Result") == "success", show("Result"))


@case("systemd finds nothing wrong with the units, and the service confined")
def _():
    out = sh("systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
             "vhdkitd.service", "vhdkitd.socket")
    check(out == "", out)
    sh("systemd-analyze", "security", "--threshold=20", "vhdkitd.service")


def main():
    failed = 0
    for number, (sentence, function) in enumerate(cases, 1):
        verdict, remark = "ok", ""
        try:
            function()
        except Skip as reason:
            remark = f" # SKIP {reason}"
        except Exception:  # pylint: disable=broad-except
            verdict = "not ok"
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("#", line[:2000])
        print(f"{verdict} {number} - {sentence}{remark}", flush=True)
    print(f"1..{len(cases)}", flush=True)
    sys.exit(1 if failed else 0)


main()
