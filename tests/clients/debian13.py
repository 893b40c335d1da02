#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Debian 13's NBD clients against vhdkitd, where their root has been made."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "functional"))
# pylint: disable=wrong-import-position
from clients import main  # noqa: E402
from generation import Debian13  # noqa: E402

current = Debian13()
why = current.missing()
if why is not None:
    print(f"1..0 # SKIP {why}")
    sys.exit(0)
main(current)
