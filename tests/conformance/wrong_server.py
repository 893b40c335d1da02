#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Shows that each case of the prober can fail, and that none fails without a
# cause: runs it against the toy server, right and wrong.
#
#   wrong_server.py --pki DIR [--only IDS]   the test
#   wrong_server.py --serve SOCKET [WRONG]   a toy server in its own process
#
# WRONG is the table of wrongnesses by case: the name of what the toy then
# does wrong, the set-up under which the case applies, and the verdict if it
# is to be a warning.  SETUPS are the right servers; each case must pass
# with one of them at least, and fail with none.

import argparse
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import warnings

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

warnings.simplefilter("ignore", DeprecationWarning)     # of old TLS

import cases                # noqa: E402,F401  fills harness.CASES
import cases_shutdown       # noqa: E402
import harness              # noqa: E402
from proto import Endpoint  # noqa: E402
from toy import Toy         # noqa: E402
from toy_data import Store  # noqa: E402

SIZE = 5 << 30

SETUPS = {
    "plain": {},
    "readonly": {"readonly": True},
    "tcp": {"tcp": True},
    "less": {"fast_zero": False, "no_zeroes": False, "extended": False},
    "on": {"tls": "on", "tls_only": ["secret"]},
    "require": {"tls": "require"},
    "stop": {},
}

# case: (wrongness, set-up, verdict)
WRONG = {
    "H01": ("greeting-flag",),
    "H02": ("any-flags",),
    "H03": ("any-flags", "less"),
    "H04": ("pads-never",),
    "H05": ("nonfixed-tls",),
    "H06": ("nonfixed-hangs",),
    "H07": ("magic-hangs",),
    "H08": ("no-drain",),
    "H09": ("two-replies",),
    "H10": ("overlong-info", "plain", "warn"),
    "H11": ("overlong-meta",),
    "H12": ("short-hangs",),
    "H13": ("short-meta",),
    "H14": ("clamps-lengths",),
    "H15": ("no-cap", "plain", "warn"),
    "H16": ("no-deadline", "plain", "warn"),
    "H17": ("one-recv",),
    "H18": ("flags-flush",),
    "H19": ("cuts-names",),
    "H20": ("c-strings",),
    "H21": ("c-strings",),
    "H22": ("any-bytes",),
    "H23": ("echoes-long",),
    "H24": ("export-name-errors",),
    "H25": ("long-name-hangs",),
    "H26": ("pads-never",),
    "H27": ("pads-always",),
    "H28": ("go-pads",),
    "H29": ("global-flags",),
    "H30": ("wrong-name",),
    "H31": ("wrong-name",),
    "H32": ("wrong-description",),
    "H33": ("unknown-policy",),
    "H34": ("abort-silent",),
    "H35": ("abort-data", "plain", "warn"),
    "H36": ("abort-dies",),
    "H37": ("go-differs",),
    "H38": ("unknown-info",),
    "H39": ("block-size-reqd",),
    "H40": ("list-garbled",),
    "H41": ("list-data", "plain", "warn"),
    "H42": ("structured-data", "plain", "warn"),
    "H43": ("structured-once",),
    "H44": ("df-unasked",),
    "H45": ("meta-early",),
    "H46": ("set-adds",),
    "H47": ("failing-set-keeps",),
    "H48": ("unknown-set-keeps",),
    "H49": ("contexts-follow",),
    "H50": ("lists-nothing",),
    "H51": ("unknown-namespace",),
    "H52": ("wildcard-selects",),
    "H53": ("unknown-leaf",),
    "H54": ("same-ids",),
    "H55": ("no-colon",),
    "H56": ("many-queries",),
    "S01": ("starttls-acked",),
    "S02": ("reqd-for-unknown",),
    "S03": ("starttls-unsup", "on"),
    "S04": ("list-in-the-clear", "require"),
    "S05": ("abort-needs-tls", "require"),
    "S06": ("export-name-in-the-clear", "require"),
    "S07": ("list-needs-tls", "on"),
    "S08": ("reqd-for-unknown", "on"),
    "S09": ("keeps-state", "on"),
    "S10": ("keeps-state", "on"),
    "S11": ("keeps-buffer", "on"),
    "S12": ("starttls-data", "on", "warn"),
    "S13": ("starttls-twice", "on"),
    "S14": ("clear-after-failure", "on"),
    "S15": ("clear-after-ack", "on"),
    "S16": ("tls-1.3-only", "on"),
    "S17": ("tls-1.2-only", "on", "warn"),
    "S18": ("tls-1.0", "on", "warn"),
    "S19": ("hello-in-one", "on"),
    "S20": ("tls-one-at-a-time", "on"),
    "S21": ("no-close-notify", "on"),
    "S22": ("eof-spins", "on"),
    "S23": ("close-notify-ignored", "on", "warn"),
    "S24": ("tls-only-open", "on"),
    "S25": ("drains-the-raw-socket", "on"),
    "S26": ("tls-long-reads", "on"),
    "S27": ("tls-loses-writes", "on"),
    "S28": ("tickets", "on", "warn"),
    "S29": ("tls-export-name-closes", "on"),
    "S30": ("tls-size", "on"),
    "T01": ("no-write-drain",),
    "T02": ("no-write-drain",),
    "T03": ("readonly-writes", "readonly"),
    "T04": ("readonly-writes", "readonly"),
    "T05": ("reads-past-the-end",),
    "T06": ("trims-past-the-end",),
    "T07": ("range-wraps",),
    "T08": ("unknown-command",),
    "T09": ("any-flags-of-commands", "plain", "warn"),
    "T10": ("any-flags-of-commands", "plain", "warn"),
    "T11": ("any-flags-of-commands", "plain", "warn"),
    "T12": ("payload-compact",),
    "T13": ("small-payloads",),
    "T14": ("zero-closes",),
    "T15": ("length-dies",),
    "T16": ("no-fua",),
    "T17": ("flush-fails",),
    "T18": ("flush-strict", "plain", "warn"),
    "T19": ("cache-flags",),
    "T20": ("disc-replies",),
    "T21": ("loses-writes",),
    "T22": ("magic-hangs",),
    "T23": ("magic-hangs",),
    "T24": ("eof-hangs",),
    "T25": ("data-on-error",),
    "T26": ("garbage-on-error",),
    "T27": ("simple-errors", "plain", "warn"),
    "T28": ("chunks-overlap",),
    "T29": ("df-fragments",),
    "T30": ("cookies",),
    "T31": ("one-recv",),
    "T32": ("send-lock",),
    "T33": ("unknown-flag",),
    "T34": ("odd-block-sizes",),
    "T35": ("sector-writes",),
    "T36": ("four-connections",),
    "T37": ("nagle", "tcp", "warn"),
    "T38": ("no-keepalive", "tcp", "warn"),
    "T39": ("failure-is-success",),
    "T40": ("loses-writes",),
    "T41": ("short-of-the-end",),
    "T42": ("status-too-many",),
    "T43": ("req-one-long",),
    "T44": ("status-lies",),
    "T45": ("status-lies",),
    "T46": ("status-at-0-only",),
    "T47": ("status-unasked",),
    "T48": ("status-wraps",),
    "T49": ("zeroes-more",),
    "T50": ("zeroes-32M",),
    "T51": ("trims-more",),
    "T52": ("effects-close",),
    "T53": ("fast-zero-damages",),
    "T54": ("enotsup",),
    "T55": ("fast-zero-quietly", "less", "warn"),
    "T56": ("no-hole-ignored", "plain", "warn"),
    "T57": ("private-cache",),
    "T58": ("late-writes",),
    "T59": ("one-store",),
    "T60": ("no-shutdown", "stop", "warn"),
    "T61": ("status-cookie",),
    "T62": ("set-refuses",),
    "T63": ("status-knows-nothing", "plain", "warn"),
    "X01": ("forgets-extended",),
    "X02": ("no-extended", "less", "warn"),
    "X03": ("extended-data", "plain", "warn"),
    "X04": ("extended-once",),
    "X05": ("structured-after-extended",),
    "X06": ("extended-first-only",),
    "X07": ("export-name-extended", "plain", "warn"),
    "X08": ("meta-needs-structured",),
    "X09": ("keeps-state", "on"),
    "X10": ("payload-flag",),
    "X11": ("simple-in-extended",),
    "X12": ("chunks-short",),
    "X13": ("magic-hangs",),
    "X14": ("magic-hangs",),
    "X15": ("disc-replies",),
    "X16": ("extended-loses-writes",),
    "X17": ("write-without-payload",),
    "X18": ("payload-not-drained",),
    "X19": ("no-write-drain",),
    "X20": ("oversized-drained", "plain", "warn"),
    "X21": ("zero-closes",),
    "X22": ("32-bit-ranges",),
    "X23": ("zeroes-32-bit",),
    "X24": ("status-compact",),
    "X25": ("status-inverted",),
    "X26": ("status-all-ids",),
    "X27": ("status-any-ids",),
    "X28": ("status-any-payload",),
    "X29": ("status-32-bit",),
    "X30": ("one-recv",),
    "X31": ("unannounced-not-drained",),
    "H57": ("no-shutdown", "stop", "warn"),
    "CVE-2005-3534": ("oversized-dies",),
    "CVE-2011-0530": ("length-dies",),
    "CVE-2011-1925": ("eof-dies",),
    "CVE-2013-7441": ("unknown-name-dies",),
    "CVE-2013-6410": ("prefix-acl", "tcp"),
    "CVE-2015-0847": ("reset-dies",),
    "CVE-2022-26495": ("length-dies",),
    "CVE-2022-26496": ("long-name-dies",),
    "CVE-2017-9524": ("scan-dies",),
    "CVE-2017-7539": ("magic-dies",),
    "CVE-2017-15118": ("long-name-dies",),
    "CVE-2017-15119": ("drains-all", "plain", "warn"),
    "CVE-2020-10761": ("echoes-long",),
    "CVE-2024-7409": ("few-connections",),
    "CVE-2024-7409-stop": ("never-stops", "stop"),
    "CVE-2019-14850": ("early-lock",),
    "CVE-2019-14851": ("info-dies",),
    "CVE-2021-3716": ("keeps-state", "on"),
    "CVE-2025-47711": ("status-wraps",),
    "CVE-2025-47712": ("status-unaligned-wraps",),
}


def stores():
    bad = Store(1 << 20, "with a bad place")
    bad.bad = 300000
    return {"disk": Store(SIZE, "the first disk"),
            "other": Store(1 << 20, "the second"),
            "secret": Store(1 << 20, "for TLS only"), "bad": bad}


def server_context(pki, wrong):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(pki, "server-cert.pem"),
                            os.path.join(pki, "server-key.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 2 if "tickets" in wrong else 0
    if "tls-1.3-only" in wrong:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    if "tls-1.2-only" in wrong:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if "tls-1.0" in wrong:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


class Bench:
    """One toy server under test, in this process or in its own."""

    def __init__(self, setup, wrong, folder, pki, timeout):
        opts = dict(SETUPS[setup])
        wrong = {wrong} if wrong else set()
        self.child = None
        self.path = os.path.join(folder, "socket")
        if setup == "stop":
            self.child = subprocess.Popen(
                [sys.executable, __file__, "--serve", self.path, *wrong])
            self.endpoint = Endpoint.parse(
                f"nbd+unix:///disk?socket={self.path}")
            self._await()
        else:
            tcp = opts.pop("tcp", False)
            context = server_context(pki, wrong)
            self.toy = Toy(stores(), wrong, context=context, **opts)
            name = self.toy.listen(None if tcp else self.path)
            uri = (f"nbd://127.0.0.1:{name[1]}/disk" if tcp
                   else f"nbd+unix:///disk?socket={self.path}")
            self.endpoint = Endpoint.parse(uri)
        self.target = harness.Target(
            self.endpoint, "disk", timeout=timeout,
            tls_mode=opts.get("tls", "off"),
            tls_ca=os.path.join(pki, "ca-cert.pem"),
            writable=True, second_export="other", failing_export="bad",
            tls_only_export="secret" if opts.get("tls_only") else None,
            acl_allowed="127.0.0.1", acl_denied="127.0.0.10",
            handshake_time=4, pid=os.getpid())
        if setup == "stop":
            self.target.pid, self.target.shutdown = self.child.pid, True

    def _await(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                self.endpoint.connect(1).close()
                return
            except OSError:
                time.sleep(0.02)
        sys.exit("the toy server does not start")

    def close(self):
        if self.child:
            self.child.kill()
            self.child.wait()
        else:
            self.toy.stop()
        if os.path.exists(self.path):
            os.unlink(self.path)


def facts_of_toy(bench):
    """The survey's result, from a right server: a wrong one may spoil it."""
    facts = harness.survey(bench.target)
    bench.target.tls = facts.tls_mode == "require"
    return facts


def run(setup, wrong, ids, folder, pki, facts=None, timeout=5):
    bench = Bench(setup, wrong, folder, pki, timeout)
    try:
        if facts is None:
            facts = facts_of_toy(bench)
        bench.target.tls = facts.tls_mode == "require"
        harness.Probe.cursor = 0
        runner = harness.Runner(bench.target, facts)
        runner.revival = 0      # nobody starts a toy again
        cases_shutdown.forget()
        chosen = [c for c in harness.CASES.values() if c.id in ids]
        return facts, {r.id: r for r in runner.run(chosen)}
    finally:
        bench.close()


def test(ids, pki):
    """Print what is amiss; the number of it is returned."""
    amiss, passed, facts = 0, set(), {}
    table = set(harness.CASES)
    for missing in sorted(table ^ set(WRONG)):
        amiss += 1
        print(f"{missing}: not in both tables")
    with tempfile.TemporaryDirectory() as folder:
        for setup in SETUPS:
            # One wait for the end of a dribbled handshake is enough.
            facts[setup], results = run(
                setup, None, table - passed.intersection({"H16"}), folder,
                pki)
            for r in results.values():
                if r.result == "pass":
                    passed.add(r.id)
                elif r.result != "not-applicable" and r.id in ids:
                    amiss += 1
                    print(f"{r.id}: {r.result} with a right server "
                          f"({setup}): expected {r.expected}, got {r.got}")
        for id in sorted(ids & table - passed):
            amiss += 1
            print(f"{id}: passes with no right server")
        for id in sorted(ids & table & set(WRONG)):
            wrong, setup, verdict = (WRONG[id] + ("plain", "fail")[
                len(WRONG[id]) - 1:])
            # What hangs takes all of the timeout; on a busy machine a short
            # one may spoil the verdict.
            for timeout in (0.6, 6):
                _, results = run(setup, wrong, {id}, folder, pki,
                                 facts[setup], timeout)
                got = results[id]
                if got.result == verdict:
                    break
            if got.result != verdict:
                amiss += 1
                print(f"{id}: {got.result} and not {verdict} with the "
                      f"wrongness {wrong}: {got.got} {got.note}")
    print(f"{len(ids & table)} cases, {amiss} amiss")
    return amiss


def serve(path, wrong):
    """A toy in a process of its own, which SIGTERM ends gracefully."""
    toy = Toy(stores(), wrong)

    def stop(*_):
        if "never-stops" in toy.wrong:
            return
        if "no-shutdown" not in toy.wrong:
            toy.shutdown.set()
            time.sleep(0.6)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    toy.listen(path)
    while os.getppid() != 1:        # not to outlive the test
        time.sleep(0.2)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--pki", metavar="DIR")
    ap.add_argument("--only", metavar="IDS")
    ap.add_argument("--serve", nargs="+", metavar=("SOCKET", "WRONG"))
    args = ap.parse_args()
    if args.serve:
        serve(args.serve[0], args.serve[1:])
        return 0
    ids = set(harness.CASES)
    if args.only:
        ids = set(args.only.split(","))
    return 1 if test(ids, args.pki) else 0


if __name__ == "__main__":
    sys.exit(main())
