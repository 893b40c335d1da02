# SPDX-License-Identifier: BSD-2-Clause
#
# The toy server's metadata contexts: LIST_META_CONTEXT and SET_META_CONTEXT;
# see toy.py.

import struct

from proto import Opt, Rep

CONTEXTS = {1: "base:allocation", 2: "x-toy:depth"}


class Contexts:
    """The part of a session that chooses contexts."""

    def opt_meta(self, opt, data):
        setting = opt == Opt.SET_META_CONTEXT
        old = dict(self.contexts), self.context_export
        if setting:
            self.contexts, self.context_export = {}, None
        parsed = self.parse_meta(data)
        if parsed is None:
            self.error(opt, Rep.ERR_INVALID)
            if setting and self.wrong("failing-set-keeps"):
                self.contexts, self.context_export = old
            return
        if setting and not (self.structured or self.extended) and \
                not self.wrong("meta-early"):
            self.error(opt, Rep.ERR_INVALID)
            return
        if self.extended and not self.structured and \
                self.wrong("meta-needs-structured"):
            self.error(opt, Rep.ERR_INVALID)
            return
        name, queries = parsed
        if self.find(name) is None:
            self.error(opt, Rep.ERR_UNKNOWN)
            if setting and self.wrong("unknown-set-keeps"):
                self.contexts, self.context_export = old
            return
        if len(queries) > 400 and self.wrong("many-queries"):
            queries = []
        chosen = self.match(setting, queries)
        if chosen is None:
            self.error(opt, Rep.ERR_UNKNOWN)
            return
        for i in chosen:
            shown = 1 if self.wrong("same-ids") else i
            if setting and i == 2 and self.wrong("set-refuses"):
                continue
            self.reply(opt, Rep.META_CONTEXT, struct.pack(
                ">I", shown if setting else 0) + CONTEXTS[i].encode())
        self.reply(opt, Rep.ACK)
        if setting:
            self.contexts = {i: CONTEXTS[i] for i in chosen}
            if self.wrong("set-adds"):
                self.contexts.update(old[0])
            self.context_export = name

    def match(self, setting, queries):
        """The ids the queries mean; None for an error."""
        if not queries and not setting and not self.wrong("lists-nothing"):
            return list(CONTEXTS)
        chosen = []
        for q in queries:
            if q == "base:" and (not setting or
                                 self.wrong("wildcard-selects")):
                chosen.append(1)
            if ":" not in q and self.wrong("no-colon"):
                chosen.append(1)
            if q.startswith("x-conf") and self.wrong("unknown-namespace"):
                return None
            if q == "base:nonesuch" and self.wrong("unknown-leaf"):
                return None
            chosen += [i for i, name in CONTEXTS.items() if name == q]
        return chosen if self.wrong("twice") else list(dict.fromkeys(chosen))

    def parse_meta(self, data):
        """(name, queries), or None."""
        if self.wrong("short-meta") and len(data) < 8:
            return "", []
        try:
            n = struct.unpack(">I", data[:4])[0]
            if n > len(data) - 8:
                return None
            name = data[4:4 + n].decode("utf-8", "replace")
            count = struct.unpack(">I", data[4 + n:8 + n])[0]
            rest, queries = data[8 + n:], []
            for _ in range(count):
                m = struct.unpack(">I", rest[:4])[0]
                if m > len(rest) - 4:
                    return None
                queries.append(rest[4:4 + m].decode("utf-8", "replace"))
                rest = rest[4 + m:]
        except struct.error:
            return None
        if rest and not self.wrong("overlong-meta"):
            return None
        return name, queries
