#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The NBD clients that are installed here, against vhdkitd."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "functional"))
# pylint: disable=wrong-import-position
from clients import main  # noqa: E402
from generation import Generation  # noqa: E402

main(Generation())
