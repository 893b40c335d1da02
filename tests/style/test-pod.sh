#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Every manual page is sound POD, has the sections a reader looks for, and is
# built and shipped.

set -u
if ! command -v podchecker >/dev/null; then
  echo "SKIP: package perl is not installed"
  exit 77
fi
cd "$SRCDIR" || exit 99
pages=$(find lib server tool plugin contrib tests -name '*.pod' | sort)

ok=ok
for page in $pages; do
  podchecker -warnings -warnings "$page" >"$TMPDIR/out" 2>&1 || ok='not ok'
  grep -E 'WARNING|ERROR' "$TMPDIR/out" | sed 's/^/# /' | grep . && ok='not ok'
done
[ -n "$pages" ] || ok='not ok'
echo "$ok 1 - podchecker finds nothing"

ok=ok
for page in $pages; do
  for section in NAME SYNOPSIS DESCRIPTION 'SEE ALSO'; do
    grep -qx "=head1 $section" "$page" || {
      echo "# $page has no section $section"
      ok='not ok'
    }
  done
  base=$(basename "$page" .pod)
  grep -q "^$base - " "$page" || {
    echo "# $page: its NAME is not \"$base - ...\""
    ok='not ok'
  }
done
echo "$ok 2 - every page has its sections and its name"

ok=ok
for page in $pages; do
  page=${page%.pod}
  # In a tarball they come with the sources.
  for built in "$BUILDDIR/$page".[1-8] "$SRCDIR/$page".[1-8] none; do
    [ -s "$built" ] && break
  done
  if [ "$built" = none ]; then
    echo "# $page.pod is not built: no $page.[1-8] in dist_man_MANS"
    ok='not ok'
  fi
done
echo "$ok 3 - every page is built"

printf '=head1 NAME\n\nx - y\n\n=over 4\n\n=item B<a\n' >"$TMPDIR/bad.pod"
ok=ok
podchecker "$TMPDIR/bad.pod" >/dev/null 2>&1 && ok='not ok'
echo "$ok 4 - a broken page is caught"
echo 1..4
