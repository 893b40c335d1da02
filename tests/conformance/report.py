# SPDX-License-Identifier: BSD-2-Clause
#
# What a run of the cases came to, for people and for programs.

from dataclasses import asdict


def results_as_json(target, facts, results):
    return {
        "server": {
            "tls_mode": facts.tls_mode, "tls": target.tls,
            "export": target.export, "size": facts.size,
            "flags": facts.flags, "structured": facts.structured,
            "extended": facts.extended, "contexts": facts.contexts,
            "block_size": facts.block_size,
        },
        "cases": [asdict(r) for r in results],
        "summary": summary(results),
    }


def summary(results):
    out = dict.fromkeys(("pass", "warn", "fail", "not-applicable", "error"),
                        0)
    for r in results:
        out[r.result] += 1
    return out
