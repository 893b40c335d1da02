# SPDX-License-Identifier: BSD-2-Clause
#
# H, continued: the choice of metadata contexts during the handshake.

from harness import MISSING, case
from proto import Cmd, Err, Garbled, Opt, Rep, meta_data


def structured(p):
    c = p.haggle()
    p.require(c.option(Opt.STRUCTURED_REPLY).ok, "ACK", "an error")
    return c


def set_contexts(p, c, queries, export=None):
    return c.option(Opt.SET_META_CONTEXT, meta_data(
        p.target.export if export is None else export, queries))


def no_context(p, c):
    """GO; then no context must be left."""
    p.require(c.go().ok, "GO acknowledged", "an error")
    status_refused(p, c)


def status_refused(p, c):
    """BLOCK_STATUS must fail: no context is in force."""
    c.contexts = {}
    try:
        r = c.command(Cmd.BLOCK_STATUS, 0, min(65536, p.facts.size))
    except Garbled as e:
        p.fail("EINVAL to BLOCK_STATUS, as no context is selected", e)
    p.rejected(r, Err.EINVAL)
    p.in_step(c)


@case("H45", "SET_META_CONTEXT too early", "SET_META_CONTEXT before "
      "structured replies should get ERR_INVALID.", "structured")
def meta_too_early(p):
    c = p.haggle()
    a = set_contexts(p, c, ["base:allocation"])
    p.require(not a.ok or not a.contexts,
              "no context without structured replies", a)
    p.recommend(a.type in (Rep.ERR_INVALID, Rep.ERR_EXT_HEADER_REQD),
                "ERR_INVALID", a)
    p.haggles_on(c)


@case("H46", "SET_META_CONTEXT replaces", "Each SET_META_CONTEXT replaces "
      "what was set before: one without queries leaves nothing.", "meta")
def meta_replaces(p):
    c = structured(p)
    p.require(len(set_contexts(p, c, ["base:allocation"]).contexts) == 1,
              "base:allocation selected", "not")
    a = set_contexts(p, c, [])
    p.require(a.ok and not a.contexts, "ACK without contexts", a)
    no_context(p, c)


@case("H47", "a failing SET_META_CONTEXT clears", "A SET_META_CONTEXT that "
      "fails clears the contexts set before.", "meta")
def meta_failing_clears(p):
    c = structured(p)
    set_contexts(p, c, ["base:allocation"])
    a = c.option(Opt.SET_META_CONTEXT, b"\0\0\0\0\0")
    p.require(not a.ok, "an error to a malformed SET_META_CONTEXT", a)
    no_context(p, c)


@case("H48", "SET_META_CONTEXT of a missing export clears", "SET_META_CONTEXT "
      "for a missing export should fail, and clears the contexts set "
      "before.",
      "meta", "missing")
def meta_unknown_export(p):
    c = structured(p)
    set_contexts(p, c, ["base:allocation"])
    a = set_contexts(p, c, ["base:allocation"], MISSING)
    p.recommend(a.type == Rep.ERR_UNKNOWN, "ERR_UNKNOWN", a)
    no_context(p, c)


@case("H49", "contexts belong to their export", "Contexts set for one export "
      "are void when GO names another.", "meta", "second")
def meta_other_export(p):
    c = structured(p)
    set_contexts(p, c, ["base:allocation"])
    p.require(c.go(p.target.second_export).ok, "GO acknowledged",
              "an error")
    status_refused(p, c)


@case("H50", "LIST_META_CONTEXT without queries", "LIST_META_CONTEXT without "
      "queries MUST list all contexts; the ids should be zero.", "meta")
def meta_list_all(p):
    c = structured(p)
    a = c.option(Opt.LIST_META_CONTEXT, meta_data(p.target.export))
    p.require(a.ok, "ACK", a)
    names = [n for _, n in a.contexts]
    p.require("base:allocation" in names, "base:allocation", names)
    p.require(all(":" in n[1:] for n in names), "names with a namespace",
              names)
    p.recommend(all(i == 0 for i, _ in a.contexts), "ids of zero",
                a.contexts)


@case("H51", "unknown namespaces", "Queries of an unknown namespace MUST be "
      "ignored.", "meta")
def meta_unknown_namespace(p):
    c = structured(p)
    for opt in (Opt.LIST_META_CONTEXT, Opt.SET_META_CONTEXT):
        a = c.option(opt, meta_data(p.target.export, [
            "x-conformance:nothing", "base:allocation",
            "x-other:caf\u00e9"]))
        p.require(a.ok, "ACK", a)
        names = [n for _, n in a.contexts]
        p.require(names == ["base:allocation"], "base:allocation alone",
                  names)
        a = c.option(opt, meta_data(p.target.export, ["x-conformance:"]))
        p.require(a.ok and not a.contexts, "ACK alone", a)


@case("H52", "`base:` as a wildcard", "`base:` selects nothing in "
      "SET_META_CONTEXT and lists the namespace in LIST_META_CONTEXT.",
      "meta")
def meta_wildcard(p):
    c = structured(p)
    a = c.option(Opt.LIST_META_CONTEXT,
                 meta_data(p.target.export, ["base:"]))
    names = [n for _, n in a.contexts]
    p.require(a.ok and "base:allocation" in names, "base:allocation", names)
    a = set_contexts(p, c, ["base:"])
    p.require(a.ok and not a.contexts, "ACK without contexts", a)
    no_context(p, c)


@case("H53", "unknown leaves of base:", "A leaf of `base:` that the server "
      "does not know MUST be ignored.", "meta")
def meta_unknown_leaf(p):
    c = structured(p)
    for opt in (Opt.LIST_META_CONTEXT, Opt.SET_META_CONTEXT):
        a = c.option(opt, meta_data(p.target.export, ["base:nonesuch"]))
        p.require(a.ok and not a.contexts, "ACK without contexts", a)


@case("H54", "context ids are unique", "Each selected context has an id of "
      "its own, though it be asked for twice.", "meta")
def meta_unique_ids(p):
    c = structured(p)
    names = [n for n in p.facts.contexts if not n.endswith(":")]
    a = set_contexts(p, c, names + ["base:allocation", "base:allocation"])
    p.require(a.ok, "ACK", a)
    ids = [i for i, _ in a.contexts]
    got = [n for _, n in a.contexts]
    p.require(len(set(ids)) == len(ids), "unique ids", a.contexts)
    p.require(len(set(got)) == len(got), "each context once", a.contexts)
    p.require("base:allocation" in got, "base:allocation", got)
    p.require(c.go().ok, "GO acknowledged", "an error")
    p.ok(c.command(Cmd.BLOCK_STATUS, 0, min(65536, p.facts.size)),
         "BLOCK_STATUS")


@case("H55", "query without a namespace", "A query without a colon is "
      "answered with ERR_INVALID or ignored, in step.", "meta")
def meta_no_colon(p):
    c = structured(p)
    for q in ("base", "", "allocation"):
        for opt in (Opt.LIST_META_CONTEXT, Opt.SET_META_CONTEXT):
            a = c.option(opt, meta_data(p.target.export, [q]))
            p.require(a.type == Rep.ERR_INVALID or
                      (a.ok and not a.contexts),
                      "ERR_INVALID, or ACK without contexts", a)
    p.haggles_on(c)


@case("H56", "many queries", "Many queries get their answer or ERR_TOO_BIG.",
      "meta", closing="warn")
def meta_many(p):
    c = structured(p)
    queries = [f"x-many:{i}" for i in range(500)] + ["base:allocation"]
    a = set_contexts(p, c, queries)
    p.require(a.type in (Rep.ERR_TOO_BIG, Rep.ERR_INVALID) or
              [n for _, n in a.contexts] == ["base:allocation"],
              "base:allocation or ERR_TOO_BIG", a)
    p.haggles_on(c)
