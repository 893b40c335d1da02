#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Each case of vhdkit-nbd-probe passes with a right server and fails with one
# that is wrong in the very way that the case is about.

if ! command -v openssl >/dev/null; then
  echo "SKIP: package openssl is not installed"
  exit 77
fi
here=$SRCDIR/tests/conformance
python=${PYTHON:-/usr/bin/python3}
"$python" "$here/peers.py" "$TMPDIR/pki" || exit 1
exec "$python" "$here/wrong_server.py" --pki "$TMPDIR/pki"
