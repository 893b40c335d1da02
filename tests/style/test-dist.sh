#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Everything that git knows is in the tarball.

set -u
cd "$SRCDIR" || exit 99
if ! [ -e .git ] || ! git rev-parse HEAD >/dev/null 2>&1; then
  echo "SKIP: not a git checkout"
  exit 77
fi
# What git would track: also what is new and not yet added.
git ls-files --cached --others --exclude-standard | sort |
  while read -r file; do [ -e "$file" ] && echo "$file"; done \
    >"$TMPDIR/tracked"

unset MAKEFLAGS MFLAGS MAKELEVEL
make -C "$BUILDDIR" distdir distdir="$TMPDIR/dist" \
  am__remove_distdir=: >"$TMPDIR/log" 2>&1 || {
  tail -n 20 "$TMPDIR/log"
  echo "make distdir failed"
  exit 1
}
cd "$TMPDIR/dist" || exit 99
find . -type f -o -type l | sed 's,^\./,,' | sort >"$TMPDIR/shipped"
missing=$(comm -23 "$TMPDIR/tracked" "$TMPDIR/shipped")
if [ -n "$missing" ]; then
  echo "not in the tarball (add to a _SOURCES or EXTRA_DIST):"
  echo "$missing"
  exit 1
fi
exit 0
