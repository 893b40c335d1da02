# SPDX-License-Identifier: BSD-2-Clause
"""TAP for the checks in this folder: a case is a sentence and the list of
what speaks against it."""

import sys


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def case(self, sentence, faults):
        self.count += 1
        faults = list(faults)
        for fault in faults:
            print("#", fault)
        if faults:
            self.failed += 1
        print(f"{'not ok' if faults else 'ok'} {self.count} - {sentence}",
              flush=True)

    def skip(self, sentence, reason):
        self.count += 1
        print(f"ok {self.count} - {sentence} # SKIP {reason}", flush=True)

    def end(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)
