#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Each rule of a change in place is broken in turn; what comes of it must be
# noticed.
exec "$BUILDDIR/tests/inplace/inplace" --rule all
