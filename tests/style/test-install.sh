#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# make install DESTDIR puts everything in its place, and a program can be built
# against it with pkg-config, linked both ways, and run.

set -u
unset MAKEFLAGS MFLAGS MAKELEVEL
dest=$TMPDIR/dest
count=0
failed=0

# verdict TEXT: from the status of the command before it.
verdict()
{
  status=$?
  count=$((count + 1))
  if [ $status = 0 ]; then
    echo "ok $count - $1"
  else
    failed=1
    echo "not ok $count - $1"
  fi
}

make -C "$BUILDDIR" install DESTDIR="$dest" >log 2>&1 || {
  tail -n 20 log
  echo "make install failed"
  exit 1
}
(cd "$dest" && find . -type f -o -type l) | sort >installed

for pattern in '/bin/vhdkit$' '/sbin/vhdkitd$' '/include/vhdkit\.h$' \
  '/lib/.*libvhdkit\.so\.0$' '/pkgconfig/vhdkit\.pc$' '/man1/vhdkit\.1$' \
  '/man8/vhdkitd\.8$' '/man3/libvhdkit\.3$' '/man3/vhd_open\.3$' \
  '/completions/vhdkit$' \
  '/completions/vhdkitd$' '/completions/vhdkitctl$' \
  '/site-functions/_vhdkit$' '/site-functions/_vhdkitctl$' \
  '/site-functions/_vhdkitd$' '/doc/vhdkit/README\.md$'; do
  grep -q "$pattern" installed
  verdict "installs $pattern"
done
if [ -n "$VHDKIT_PLUGIN" ]; then
  grep -q '/nbdkit-vhd-plugin\.so$' installed
  verdict "installs the plugin"
fi

# Whoever owns the prefix can install, and needs no other folder; but things of
# ours may go to nbdkit's and systemd's where these live in the same prefix.
prefix=$(sed -n 's/^prefix = //p' "$BUILDDIR/Makefile")
if [ "$prefix" != /usr ]; then
  ! grep -v "^\.$prefix/" installed
  verdict "installs nothing outside $prefix"
fi

pc=$(grep '/vhdkit\.pc$' installed | head -n 1)
PKG_CONFIG_PATH=$(cd "$dest/$(dirname "$pc")" && pwd)
export PKG_CONFIG_PATH
cat >probe.c <<'END'
#include <stdio.h>
#include <vhdkit.h>

int
main(void)
{
  uint64_t size = 0;
  int r = vhd_parse_size("10G", &size);
  printf("%d %s\n", r == 0 && size == 10737418240, vhd_version());
  return 0;
}
END
case ${SANITIZE:-} in
  address) sanitize=-fsanitize=address,undefined ;;
  thread) sanitize=-fsanitize=thread ;;
  *) sanitize= ;;
esac
libdir=$(dirname "$(grep 'libvhdkit\.so\.0$' installed | head -n 1)")

# The prefix in vhdkit.pc is that of the final place; point it at DESTDIR.
flags=$(pkg-config --define-variable=prefix="$dest$(pkg-config \
  --variable=prefix vhdkit)" --cflags --libs vhdkit)
# shellcheck disable=SC2086  # lists
$CC $sanitize probe.c $flags -o probe
verdict "a program links with the shared library"
version=$(LD_LIBRARY_PATH="$dest/$libdir" ./probe)
[ "$version" = "1 $(pkg-config --modversion vhdkit)" ]
verdict "and runs with it ($version)"

if [ -f "$dest/$libdir/libvhdkit.a" ]; then
  # shellcheck disable=SC2046,SC2086
  $CC $sanitize probe.c $(pkg-config --cflags --define-variable=prefix="$dest$(
    pkg-config --variable=prefix vhdkit)" vhdkit) \
    "$dest/$libdir/libvhdkit.a" $(pkg-config --static --libs-only-l \
    --libs-only-other vhdkit | sed 's/-lvhdkit//') -o probe-static
  verdict "a program links with the static library"
  ./probe-static >/dev/null
  verdict "and runs with it"
fi

version=$(LD_LIBRARY_PATH="$dest/$libdir" \
  "$dest/$(grep '/bin/vhdkit$' installed)" --version)
verdict "the installed tool runs ($version)"

make -C "$BUILDDIR" uninstall DESTDIR="$dest" >log 2>&1 &&
  ! find "$dest" -type f -o -type l | grep .
verdict "uninstall leaves nothing"
echo "1..$count"
exit $failed
