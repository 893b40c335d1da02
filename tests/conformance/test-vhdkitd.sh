#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# vhdkitd passes each case of vhdkit-nbd-probe without a warning: on Unix
# sockets and TCP, read-only and writable, with a child over its parent, with
# TLS offered and required, and while it is told to stop.

if ! command -v openssl >/dev/null; then
  echo "SKIP: package openssl is not installed"
  exit 77
fi
exec "${PYTHON:-/usr/bin/python3}" "$SRCDIR/tests/conformance/run-peers" \
  --check vhdkitd --vhdkitd "$VHDKITD" --vhdkit "$VHDKIT"
