#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Each rule that keeps data safe is broken in turn; the simulator must notice.
exec "$BUILDDIR/tests/sim/sim" --rule all
