# SPDX-License-Identifier: BSD-2-Clause
"""What vhdkit check says, for the tests of it."""

from tooltest import check, equal, read_json, vhdkit


def verdict(path, *more):
    """(exit status, what it says as JSON)"""
    done = vhdkit("check", "--json", *more, path, code=None)
    check(done.returncode in (0, 1, 2, 3, 4) and done.out,
          f"status {done.returncode}: {done.err}")
    got = read_json("check", "--json", *more, path, code=done.returncode)
    word = {0: "sound", 1: "incomplete", 2: "broken", 3: "leaked",
            4: "doubtful"}[done.returncode]
    equal(got["result"], word)
    for severity, total in (("broken", "errors"), ("leaked", "leaks"),
                            ("doubtful", "doubts"), ("note", "notes")):
        equal(sum(f["severity"] == severity for f in got["findings"]),
              got[total], total)
    return done.returncode, got
