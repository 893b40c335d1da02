#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# make install without DESTDIR, by root, as README.md says: the programs start,
# and nbdkit loads the plugin.  All in a mount namespace of its own, in which
# what is written to the prefix, to /etc and to the loader's cache lies in
# memory.

set -u
unset MAKEFLAGS MFLAGS MAKELEVEL LD_LIBRARY_PATH

if [ "${1-}" != inside ]; then
  if ! unshare --mount true 2>unshare.log; then
    echo "SKIP: no mount namespace: $(cat unshare.log)"
    exit 77
  fi
  exec unshare --mount --propagation private "$0" inside
fi

prefix=$(sed -n 's/^prefix = //p' "$BUILDDIR/Makefile")
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

mkdir layers
mount -t tmpfs none layers || {
  echo "SKIP: no file system of memory can be mounted"
  exit 77
}
# What is not laid over would be written to.
[ -d "$prefix" ] || {
  echo "SKIP: there is no $prefix"
  exit 77
}
for folder in "$prefix" /etc /var/cache/ldconfig; do
  [ -d "$folder" ] || continue
  name=$(echo "$folder" | tr / -)
  mkdir "layers/$name" "layers/$name-work"
  mount -t overlay -o "lowerdir=$folder,upperdir=layers/$name" \
    -o "workdir=layers/$name-work" none "$folder" || {
    echo "SKIP: nothing can be laid over $folder"
    exit 77
  }
done

# What an earlier version may have left there does not count.
rm -f "$prefix"/lib/libvhdkit.*
ldconfig
make -C "$BUILDDIR" install >log 2>&1
verdict "make install"
[ $status = 0 ] || tail -n 20 log

version=$("$prefix/bin/vhdkit" --version 2>&1)
verdict "the installed tool starts ($version)"
version=$("$prefix/sbin/vhdkitd" --version 2>&1)
verdict "the installed server starts ($version)"
if [ -n "$VHDKIT_PLUGIN" ]; then
  plugin=$(find "$prefix/lib" -name nbdkit-vhd-plugin.so)
  LD_PRELOAD=$ASAN_PRELOAD ASAN_OPTIONS=detect_leaks=0 \
    nbdkit "$plugin" --dump-plugin 2>&1 | grep vhdkit_version
  verdict "nbdkit loads the installed plugin"
fi
echo "1..$count"
exit $failed
