#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# systemd finds nothing wrong with the units, and thinks the service confined.

set -u
if ! command -v systemd-analyze >/dev/null; then
  echo "SKIP: systemd-analyze is not there"
  exit 77
fi

service=$BUILDDIR/contrib/systemd/vhdkitd.service
socket=$SRCDIR/contrib/systemd/vhdkitd.socket
mkdir units
# verify wants the program to be there.
sed "s,^ExecStart=[^ ]*,ExecStart=/bin/true," "$service" \
  >units/vhdkitd.service
cp "$socket" units/
SYSTEMD_UNIT_PATH=$PWD/units:
export SYSTEMD_UNIT_PATH

ok=ok
systemd-analyze verify --man=no --recursive-errors=no units/vhdkitd.service \
  units/vhdkitd.socket >out 2>&1 || ok='not ok'
if [ -s out ] || [ "$ok" != ok ]; then
  sed 's/^/# /' out
  ok='not ok'
fi
echo "$ok 1 - systemd-analyze verify finds nothing"

# 0 is a service without any rights, 10 one with all.
ok=ok
systemd-analyze security --offline=yes --threshold=20 \
  units/vhdkitd.service >out 2>&1 || ok='not ok'
[ "$ok" = ok ] || sed 's/^/# /' out
echo "$ok 2 - the service is confined: exposure below 2.0 of 10"

sed 's/^ProtectSystem=.*/ProtectSystme=strict/' "$service" \
  >units/vhdkitd.service
ok=ok
systemd-analyze verify --man=no --recursive-errors=no units/vhdkitd.service \
  >out 2>&1
grep -q ProtectSystme out || ok='not ok'
echo "$ok 3 - a misspelt setting is caught"
echo 1..3
