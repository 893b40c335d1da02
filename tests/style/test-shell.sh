#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Every shell script is clean under shellcheck; every Python script compiles.

set -u
if ! command -v shellcheck >/dev/null; then
  echo "SKIP: package shellcheck is not installed"
  exit 77
fi
cd "$SRCDIR" || exit 99

scripts=$(find bootstrap .ci contrib lib plugin server tests tool -type f \
  ! -name '*.[chk]' ! -name '*.vhd*' |
  while read -r file; do
    head -c 64 "$file" | tr -d '\0' | head -n 1 |
      grep -Eq '^#!.*[/ ](sh|bash)( |$)' && echo "$file"
  done)
# Completions have no #! line.
for file in contrib/completions/*; do
  [ -f "$file" ] && scripts="$scripts $file"
done

ok=ok
for script in $scripts; do
  shell=
  case $script in
    contrib/completions/*) shell='-s bash' ;;
  esac
  # shellcheck disable=SC2086
  shellcheck -x -P SCRIPTDIR $shell "$script" >"$TMPDIR/out" 2>&1 || {
    sed 's/^/# /' "$TMPDIR/out"
    ok='not ok'
  }
done
[ -n "$scripts" ] || ok='not ok'
# shellcheck disable=SC2086
echo "$ok 1 - shellcheck finds nothing in $(echo $scripts | wc -w) scripts"

ok=ok
find tests contrib -name '*.py' >"$TMPDIR/python"
while read -r script; do
  "$PYTHON" - "$script" <<'END' >"$TMPDIR/out" 2>&1 || {
import sys
compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec")
END
    sed 's/^/# /' "$TMPDIR/out"
    ok='not ok'
  }
done <"$TMPDIR/python"
echo "$ok 2 - every Python script compiles"

# shellcheck disable=SC2016  # the fault is the point
printf '#!/bin/sh\nrm $1\n' >"$TMPDIR/bad.sh"
ok=ok
shellcheck "$TMPDIR/bad.sh" >/dev/null 2>&1 && ok='not ok'
echo "$ok 3 - a careless script is caught"
echo 1..3
