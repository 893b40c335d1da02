#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The tests of vhdkitd's data path once more, unchanged, with nbdkit and the
# plugin in vhdkitd's place.

[ -n "$VHDKIT_PLUGIN" ] || { echo "SKIP: built without the plugin"; exit 77; }

TEST_SERVER=nbdkit
MODEL_REQUESTS=${MODEL_REQUESTS:-4000}
export TEST_SERVER MODEL_REQUESTS

status=0
# Not server-space.py: nbdkit gives connections five seconds to end when it is
# told to, then exits, and what a close gives back may take longer.
for name in model content; do
  "$SRCDIR/tests/functional/server-$name.py" || status=1
done
exit $status
