#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Every header compiles by itself, after config.h, without a warning; vhdkit.h
# also without config.h, in strict C11 and in C++.

set -u

try()
{
  # shellcheck disable=SC2086  # CC and CPPFLAGS are lists
  $CC -fsyntax-only -Wall -Wextra -Werror -Wno-unused-function $ALL_CPPFLAGS \
    "$@" 2>&1 | sed 's/^/# /' >out
  ! [ -s out ]
}

faults=0
count=0
cd "$SRCDIR" || exit 99
headers=$(find lib server tool plugin tests -name '*.h' | sort)
cd "$TMPDIR" || exit 99
for header in $headers; do
  room=${header%%/*}
  count=$((count + 1))
  echo "#include \"$SRCDIR/$header\"" >probe.c
  if ! try -I"$BUILDDIR" -I"$SRCDIR/$room" -I"$SRCDIR/lib" \
    -I"$SRCDIR/server" -I"$SRCDIR/tests" -I"$SRCDIR" \
    -I"$SRCDIR/$(dirname "$header")" -include config.h probe.c; then
    cat out
    echo "# $header does not compile by itself"
    faults=$((faults + 1))
  fi
done
[ "$count" -gt 0 ] || faults=1
[ "$faults" = 0 ] && ok=ok || ok='not ok'
echo "$ok 1 - every header compiles by itself ($count headers)"

echo '#include <vhdkit.h>' >probe.c
echo 'int main(void) { return vhd_version() == 0; }' >>probe.c
cp probe.c probe.cc
ok=ok
try -std=c11 -pedantic -I"$SRCDIR/lib" probe.c || { cat out; ok='not ok'; }
echo "$ok 2 - vhdkit.h is strict C11"
ok=ok
try -x c++ -std=c++11 -pedantic -I"$SRCDIR/lib" probe.cc ||
  { cat out; ok='not ok'; }
echo "$ok 3 - vhdkit.h is C++"

echo 'static inline size_t f(void) { return 0; }' >probe.h
echo '#include "probe.h"' >probe.c
ok=ok
try probe.c && ok='not ok'
echo "$ok 4 - a header that lacks an include is caught"
echo 1..4
