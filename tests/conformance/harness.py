# SPDX-License-Identifier: BSD-2-Clause
#
# The table of cases and what runs them.
#
# A case is a function of one Probe, entered in CASES by @case.  It returns
# when the server passed; it calls probe.fail(), probe.warn() or
# probe.skip() otherwise.  What Client raises by itself is judged here:
#
#   Hung, Garbled   fail
#   Closed          fail, or warn where the case says closing="warn": the
#                   protocol lets a server drop a client that broke a rule,
#                   though an error reply would have served better
#
# fail means that a MUST was broken, that the server hung, died, lost step
# or handed out wrong data; warn that a SHOULD was not heeded.  After each
# case a fresh client attaches: a server that no longer serves has failed
# the case before.

import os
import random
import signal
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field

import wire
from proto import (BLOCK_STATUS_PAYLOAD, CAN_MULTI_CONN, FIXED_NEWSTYLE,
                   NO_ZEROES, READ_ONLY, SEND_CACHE, SEND_DF, SEND_FAST_ZERO,
                   SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES, Closed,
                   Cmd, Endpoint, Garbled, Hung, Info, Opt, Rep, meta_data)

CASES = {}

MISSING = "no such export 8d1f"


@dataclass
class Case:
    id: str
    title: str
    requirement: str
    needs: tuple
    closing: str
    background: bool
    last: bool
    run: object


def case(id, title, requirement, *needs, closing="fail", background=False,
         last=False):
    """Enter a function in the table of cases."""
    def enter(f):
        assert id not in CASES, id
        assert all(n in NEEDS for n in needs), needs
        CASES[id] = Case(id, title, requirement, needs, closing, background,
                         last, f)
        return f
    return enter


class Fail(Exception):
    def __init__(self, expected, got):
        super().__init__(got)
        self.expected = expected
        self.got = got


class NotApplicable(Exception):
    pass


@dataclass
class Result:
    id: str
    title: str
    requirement: str
    result: str = "pass"        # pass, warn, fail, not-applicable, error
    sent: str = ""
    expected: str = ""
    got: str = ""
    note: str = ""
    seconds: float = 0.0


@dataclass
class Target:
    """The server under test and how to reach it."""
    endpoint: Endpoint
    export: str
    timeout: float = 5.0
    tls: bool = False               # ordinary cases speak TLS
    tls_mode: str = None            # off, on, require; None: find out
    tls_ca: str = None
    tls_cert: str = None
    tls_key: str = None
    tls_hostname: str = "localhost"
    writable: bool = False
    second_export: str = None
    tls_only_export: str = None
    failing_export: str = None      # reads of its whole range fail
    acl_allowed: str = None
    acl_denied: str = None
    pid: int = None
    shutdown: bool = False
    handshake_time: float = 30.0

    def tls_context(self, minimum=ssl.TLSVersion.TLSv1_2, maximum=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if minimum < ssl.TLSVersion.TLSv1_2:
            # OpenSSL 3 has the old versions below this level only.
            context.set_ciphers("ALL:@SECLEVEL=0")
        # Python ignores a missing close_notify; it must show here.
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
        if self.tls_ca:
            context.load_verify_locations(self.tls_ca)
        else:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.tls_cert:
            context.load_cert_chain(self.tls_cert, self.tls_key)
        return context


@dataclass
class Facts:
    """What the survey found out about the server."""
    tls_mode: str = "off"
    handshake_flags: int = 0
    size: int = 0
    flags: int = 0                  # with structured replies if offered
    structured: bool = False
    extended: bool = False
    extended_flags: int = 0
    contexts: list = field(default_factory=list)
    block_size: tuple = None        # minimum, preferred, maximum
    exports: list = None            # None: LIST is refused
    any_name: bool = False          # there is no missing export

    @property
    def minimum(self):
        return self.block_size[0] if self.block_size else 1


def _flag(bit):
    return lambda t, f: f.flags & bit


NEEDS = {
    "writable": ("needs --writable and an export that can be written",
                 lambda t, f: t.writable and not f.flags & READ_ONLY),
    "readonly": ("the export is not read-only",
                 lambda t, f: f.flags & READ_ONLY),
    "expendable": ("needs --writable or a read-only export",
                   lambda t, f: t.writable or f.flags & READ_ONLY),
    "second": ("needs --second-export",
               lambda t, f: t.second_export is not None),
    "failing": ("needs --failing-export",
                lambda t, f: t.failing_export is not None),
    "tls": ("the server offers no TLS", lambda t, f: f.tls_mode != "off"),
    "tls-off": ("the server offers TLS", lambda t, f: f.tls_mode == "off"),
    "tls-on": ("TLS is not optional here", lambda t, f: f.tls_mode == "on"),
    "tls-require": ("the server does not require TLS",
                    lambda t, f: f.tls_mode == "require"),
    "plain": ("the server requires TLS",
              lambda t, f: f.tls_mode != "require"),
    "tls-only": ("needs --tls-only-export",
                 lambda t, f: t.tls_only_export is not None),
    "structured": ("structured replies are not offered",
                   lambda t, f: f.structured),
    "meta": ("base:allocation is not offered",
             lambda t, f: "base:allocation" in f.contexts),
    "extended": ("extended headers are not offered",
                 lambda t, f: f.extended),
    "status-payload": ("payloads to BLOCK_STATUS are not offered",
                       lambda t, f: f.extended_flags & BLOCK_STATUS_PAYLOAD),
    "flush": ("FLUSH is not offered", _flag(SEND_FLUSH)),
    "fua": ("FUA is not offered", _flag(SEND_FUA)),
    "trim": ("TRIM is not offered", _flag(SEND_TRIM)),
    "zeroes": ("WRITE_ZEROES is not offered", _flag(SEND_WRITE_ZEROES)),
    "df": ("DF is not offered", _flag(SEND_DF)),
    "cache": ("CACHE is not offered", _flag(SEND_CACHE)),
    "fast-zero": ("FAST_ZERO is not offered", _flag(SEND_FAST_ZERO)),
    "no-fast-zero": ("FAST_ZERO is offered",
                     lambda t, f: not f.flags & SEND_FAST_ZERO),
    "multi-conn": ("CAN_MULTI_CONN is not set", _flag(CAN_MULTI_CONN)),
    "no-zeroes": ("NO_ZEROES is not offered",
                  lambda t, f: f.handshake_flags & NO_ZEROES),
    "64M": ("needs an export of 160 MiB or more",
            lambda t, f: f.size >= 160 << 20),
    "4G": ("needs an export of more than 4 GiB + 64 MiB",
           lambda t, f: f.size > (4 << 30) + (64 << 20)),
    "missing": ("the server takes any export name",
                lambda t, f: not f.any_name),
    "list": ("LIST is refused", lambda t, f: f.exports is not None),
    "block-size": ("INFO_BLOCK_SIZE is not given",
                   lambda t, f: f.block_size),
    "tcp": ("not a TCP connection", lambda t, f: t.endpoint.is_tcp),
    "loopback": ("needs a server on this host's loopback address",
                 lambda t, f: t.endpoint.is_tcp and _loopback(t)),
    "acl": ("needs --acl-allowed and --acl-denied",
            lambda t, f: t.acl_allowed and t.acl_denied),
    "pid": ("needs --pid", lambda t, f: t.pid),
    "shutdown": ("needs --pid and --shutdown",
                 lambda t, f: t.pid and t.shutdown),
}


def _loopback(target):
    return target.endpoint.hostname in ("localhost", "127.0.0.1", "::1")


class Probe:
    """What one case works with: connections, areas, verdicts."""

    cursor = 0          # where the next area to be written begins

    def __init__(self, target, facts, closing="fail"):
        self.target = target
        self.facts = facts
        self.closing = closing
        self.warnings = []      # (expected, got, sent)
        self.notes = []
        self.clients = []
        self.deadline = time.monotonic() + 10 + 4 * target.timeout

    def close(self):
        for c in self.clients:
            c.close()

    # Verdicts

    def fail(self, expected, got):
        raise Fail(expected, str(got))

    def warn(self, expected, got):
        self.warnings.append((expected, str(got), self.last_sent()))

    def skip(self, why):
        raise NotApplicable(why)

    def note(self, text):
        self.notes.append(text)

    def last_sent(self):
        sent = [s for c in self.clients[-1:] for s in c.sent]
        return "; ".join(sent[-3:])

    def require(self, condition, expected, got):
        if not condition:
            self.fail(expected, got)

    def recommend(self, condition, expected, got):
        if not condition:
            self.warn(expected, got)

    def rejected(self, reply, *right):
        """A command must have failed, and should with one of these."""
        want = " or ".join(e.name for e in right)
        self.require(not reply.ok, f"an error, {want}", "success")
        self.recommend(reply.error in right, want, reply)

    def refused(self, answer, *right, must=False):
        """An option must have been refused, and should be so.  Where there
        are TLS-only exports, unknown ones may be refused like those."""
        if self.target.tls_only_export and Rep.ERR_UNKNOWN in right:
            right += (Rep.ERR_TLS_REQD,)
        want = " or ".join(r.name for r in right)
        self.require(answer.type & (1 << 31), f"an error, {want}", answer)
        (self.require if must else self.recommend)(
            answer.type in right, want, answer)

    # Connections

    def connect(self, source=None):
        try:
            c = wire.Client(self.target, source)
        except OSError as e:
            raise Closed(f"cannot connect: {e}") from None
        c.deadline = self.deadline
        self.clients.append(c)
        return c

    def greeted(self, flags=FIXED_NEWSTYLE | NO_ZEROES):
        """A plain connection past the client flags."""
        return self.connect().greet(flags)

    def haggle(self, tls=None,
               flags=FIXED_NEWSTYLE | NO_ZEROES):
        """A connection ready for options, on TLS where that is due."""
        c = self.greeted(flags)
        if self.target.tls if tls is None else tls:
            c.starttls()
        return c

    def attach(self, structured=False, contexts=(), extended=False, tls=None,
               export=None, requests=(Info.BLOCK_SIZE,)):
        """A connection in the transmission phase."""
        c = self.haggle(tls)
        if extended:
            self._must(c.option(Opt.EXTENDED_HEADERS), "EXTENDED_HEADERS")
        elif structured or contexts:
            self._must(c.option(Opt.STRUCTURED_REPLY), "STRUCTURED_REPLY")
        export = self.target.export if export is None else export
        if contexts:
            self._must(c.option(Opt.SET_META_CONTEXT,
                                meta_data(export, contexts)),
                       "SET_META_CONTEXT")
        self._must(c.go(export, requests), "GO")
        return c

    def _must(self, answer, what):
        self.require(answer.ok, f"{what} acknowledged", answer)

    def in_step(self, c):
        """The connection must still take and answer a READ."""
        r = c.command(Cmd.READ, 0, self.facts.minimum)
        self.require(r.ok, "READ still answered in step", r)

    def haggles_on(self, c):
        """The handshake must still be in step."""
        a = c.option(0x7ffffff1)
        self.require(a.type == Rep.ERR_UNSUP,
                     "ERR_UNSUP to an unknown option", a)

    def closes(self, c, what, silent=True):
        """The server must close, without another byte if silent."""
        rest = c.rest()
        if silent and rest:
            self.fail(f"a silent close after {what}",
                      f"{len(rest)} bytes, {rest[:24].hex()}")

    # Areas and bytes

    def area(self, n):
        """An offset whose n bytes the case may write."""
        if n > self.facts.size:
            self.skip(f"needs an export of {n} bytes or more")
        at = Probe.cursor
        if at + n > self.facts.size:
            at = 0
        Probe.cursor = at + (n + 0xffff & ~0xffff)
        return at

    def dribble(self, c, data, words):
        """Send single bytes, the first ones far enough apart to arrive
        so."""
        for i, b in enumerate(data):
            c.send(bytes([b]), words)
            if i < 60:
                time.sleep(0.001)

    def bait(self, c, n):
        """n bytes that look like requests: a payload that the server does
        not read makes it answer them, and that shows."""
        one = c.header(Cmd.READ, 0, self.facts.minimum, 0, 0xba17ba17)
        return (one * (n // len(one) + 1))[:n]

    @staticmethod
    def noise(n):
        """Random bytes none of which is zero."""
        return random.randbytes(n).replace(b"\0", b"\1")

    def ok(self, reply, what):
        self.require(reply.ok, f"{what} to succeed", reply)
        return reply

    def cpu(self):
        """CPU seconds of the server's process and its descendants."""
        tick, parents, used = os.sysconf("SC_CLK_TCK"), {}, {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as f:
                    stat = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(name)] = int(stat[1])
            used[int(name)] = (int(stat[11]) + int(stat[12])) / tick
        tree = {self.target.pid}
        while True:
            more = {p for p, q in parents.items() if q in tree} - tree
            if not more:
                return sum(used.get(p, 0) for p in tree)
            tree |= more


class Unreachable(Exception):
    """There is no server to judge."""


def survey(target):
    """Find out what the server offers; also completes the target."""
    facts = Facts()
    probe = Probe(target, facts)
    try:
        _survey_tls(probe)
        _survey_export(probe)
        _survey_extended(probe)
    except (Closed, Hung, Garbled, Fail, OSError) as e:
        got = f"{e.expected}, not {e.got}" if isinstance(e, Fail) else e
        raise Unreachable(
            f"the survey failed after {probe.last_sent() or 'connecting'}: "
            f"{got}") from None
    finally:
        probe.close()
    return facts


def _survey_tls(probe):
    t, f = probe.target, probe.facts
    c = probe.greeted()
    f.handshake_flags = c.handshake_flags
    if t.tls_mode is None:
        required = c.option(Opt.LIST).type == Rep.ERR_TLS_REQD
        offered = c.option(Opt.STARTTLS).ok
        f.tls_mode = ("require" if required else "on" if offered else "off")
    else:
        f.tls_mode = t.tls_mode
    t.tls = t.endpoint.tls or f.tls_mode == "require"


def _survey_export(probe):
    t, f = probe.target, probe.facts
    c = probe.haggle()
    a = c.option(Opt.LIST)
    f.exports = a.servers if a.ok else None
    f.any_name = c.info(MISSING).ok
    f.structured = c.option(Opt.STRUCTURED_REPLY).ok
    if f.structured:
        a = c.option(Opt.LIST_META_CONTEXT, meta_data(t.export))
        f.contexts = [name for _, name in a.contexts]
    a = c.go(t.export, (Info.BLOCK_SIZE,))
    if not a.ok:
        probe.fail(f"export {t.export!r} to be served", a)
    f.size, f.flags = c.size, c.flags
    if Info.BLOCK_SIZE in a.infos:
        f.block_size = struct.unpack(">III", a.infos[Info.BLOCK_SIZE])
    c.submit(Cmd.DISC)


def _survey_extended(probe):
    t, f = probe.target, probe.facts
    c = probe.haggle()
    f.extended = c.option(Opt.EXTENDED_HEADERS).ok
    if f.extended and "base:allocation" in f.contexts:
        c.option(Opt.SET_META_CONTEXT,
                 meta_data(t.export, ["base:allocation"]))
        if c.go(t.export, (Info.BLOCK_SIZE,)).ok:
            f.extended_flags = c.flags


class Runner:
    """Runs cases one after another against one target."""

    def __init__(self, target, facts, progress=None):
        self.target = target
        self.facts = facts
        self.progress = progress or (lambda result: None)
        self.gone = False
        self.revival = 3.0      # how long a dead server may take to return

    def run(self, cases):
        """Run them; the results come in the order of the table."""
        results, threads = {}, []
        for k in cases:
            if k.background and not self._unmet(k):
                t = threading.Thread(
                    target=lambda k=k: results.update({k.id: self.judge(k)}))
                t.start()
                threads.append((k, t))
        for k in [k for k in cases if not k.last] + \
                 [k for k in cases if k.last]:
            if any(k is b for b, _ in threads):
                continue
            results[k.id] = self.one(k)
            self.progress(results[k.id])
        for k, t in threads:
            t.join()
            self.progress(results[k.id])
        return [results[k.id] for k in cases]

    def _unmet(self, k):
        for need in k.needs:
            why, met = NEEDS[need]
            if not met(self.target, self.facts):
                return why
        return None

    def one(self, k):
        why = self._unmet(k)
        if why:
            return Result(k.id, k.title, k.requirement, "not-applicable",
                          note=why)
        if self.gone:
            return Result(k.id, k.title, k.requirement, "error",
                          note="the server is gone")
        result = self.judge(k)
        if not k.last:
            self._check_alive(result)
        return result

    def judge(self, k):
        """Run one case and turn what happens into a result."""
        probe = Probe(self.target, self.facts, k.closing)
        result = Result(k.id, k.title, k.requirement)
        start = time.monotonic()
        try:
            k.run(probe)
        except Fail as e:
            self._say(result, "fail", probe, e.expected, e.got)
        except NotApplicable as e:
            result.result, result.note = "not-applicable", str(e)
        except Closed as e:
            self._say(result, k.closing, probe, k.requirement,
                      f"connection closed: {e}")
        except Hung as e:
            self._say(result, "fail", probe, k.requirement,
                      f"nothing within {self.target.timeout:g} s: {e}")
        except Garbled as e:
            self._say(result, "fail", probe, k.requirement, e)
        except (ssl.SSLError, ConnectionError) as e:
            self._say(result, "fail", probe, k.requirement, e)
        except Exception as e:      # a fault of the prober's own
            self._say(result, "error", probe, "", f"{type(e).__name__}: {e}")
        finally:
            probe.close()
        if result.result == "pass" and probe.warnings:
            result.result = "warn"
            result.expected = "; ".join(dict.fromkeys(
                w[0] for w in probe.warnings))
            result.got = "; ".join(dict.fromkeys(
                w[1] for w in probe.warnings))
            result.sent = probe.warnings[0][2]
        result.note = result.note or "; ".join(dict.fromkeys(probe.notes))
        result.seconds = round(time.monotonic() - start, 3)
        return result

    @staticmethod
    def _say(result, verdict, probe, expected, got):
        result.result = verdict
        result.sent = probe.last_sent()
        result.expected = expected
        result.got = str(got)

    def alive(self):
        """Why a fresh client is not served, or None."""
        probe = Probe(self.target, self.facts)
        try:
            c = probe.attach()
            c.submit(Cmd.DISC)
        except (Closed, Hung, Garbled, Fail, OSError, ssl.SSLError) as e:
            return str(e) or type(e).__name__
        finally:
            probe.close()
        return None

    def _check_alive(self, result):
        why = self.alive()
        if why is None:
            return
        result.result = "fail"
        result.got = (result.got + "; " if result.got else "") + \
            f"killed the server: a fresh client gets {why}"
        result.expected = result.expected or "the server to live on"
        # Someone may be watching over it and start it again.
        end = time.monotonic() + self.revival
        while time.monotonic() < end:
            time.sleep(0.2)
            if self.alive() is None:
                return
        self.gone = True


def terminate(pid):
    os.kill(pid, signal.SIGTERM)
