#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-unit.sh: the units of contrib/systemd on a booted Debian 12.
#
# Makes a minimal Debian 12 in BUILDDIR/unit with debootstrap, unless it is
# there, installs this build into it, boots it with systemd-nspawn, and lets
# inside.py, started there as a service, try what an administrator does.  What
# it writes there goes with the machine.
#
# Needs root, debootstrap, systemd-nspawn, and for the first time the network
# that apt-get uses.  The machine has no network, and runs in namespaces of its
# own, with which all its processes end.

set -eu

suite=bookworm
mirror=http://deb.debian.org/debian
packages=systemd,systemd-sysv,procps,python3,python3-libnbd,openssl
packages=$packages,libevent-core-2.1-7,libseccomp2,liburing2,libssl3,libjansson4
packages=$packages,libsmartcols1
seconds=180

skip()
{
  echo "SKIP: $*"
  exit 77
}

: "${SRCDIR:?is to be the top of the source tree}"
: "${BUILDDIR:?is to be the top of the build tree}"
PATH=$PATH:/usr/sbin:/sbin
[ "$(id -u)" = 0 ] || skip "booting a system needs root"
for program in debootstrap:debootstrap systemd-nspawn:systemd-container; do
  command -v "${program%%:*}" >/dev/null ||
    skip "package ${program##*:} is not installed"
done
if [ "${1-}" != --inside ]; then
  exec unshare --mount --pid --fork --kill-child --mount-proc -- \
    "$0" --inside "$@"
fi

top=$BUILDDIR/unit
root=$top/root
mkdir -p "$top"

# What this machine's apt-get takes Debian 12 from.
# shellcheck disable=SC2016  # apt-get's own fields
nearest=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
  'Created-By: Packages' 'Origin: Debian' 'Component: main' 2>/dev/null |
  awk -v suite="$suite" '$2 == suite { print $1; exit }')

if [ "$(cat "$root.made" 2>/dev/null)" != "$packages" ]; then
  echo "# making a minimal Debian ($suite)"
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase --include="$packages" "$suite" "$root" \
    "${nearest:-$mirror}" >"$top/debootstrap.log" 2>&1 || {
    tail -n 5 "$top/debootstrap.log"
    skip "debootstrap failed; see $top/debootstrap.log"
  }
  echo "$packages" >"$root.made"
fi

make -C "$BUILDDIR" -s install DESTDIR="$root" >"$top/install.log" 2>&1 || {
  tail -n 20 "$top/install.log"
  exit 1
}
chroot "$root" ldconfig

# The machine's own service, which ends it.
cat >"$root/etc/systemd/system/inside.service" <<'EOF'
[Unit]
Description=Trial of vhdkitd's units
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /srv/systemd/inside.py
StandardOutput=file:/srv/out/tap
StandardError=file:/srv/out/tap

[Install]
WantedBy=multi-user.target
EOF
ln -sf ../inside.service \
  "$root/etc/systemd/system/multi-user.target.wants/inside.service"
mkdir -p "$root/srv/systemd" "$root/srv/out"
rm -rf "$top/out"
mkdir "$top/out"

# nspawn filters system calls, too, and from a list that is as old as it.
status=0
timeout --kill-after=10 "$seconds" systemd-nspawn --quiet --register=no \
  --keep-unit --private-network --machine=unit --volatile=overlay \
  --system-call-filter='@known landlock_create_ruleset landlock_add_rule
    landlock_restrict_self cachestat io_uring_setup io_uring_enter
    io_uring_register' \
  --bind-ro="$SRCDIR/tests/systemd:/srv/systemd" --bind="$top/out:/srv/out" \
  --bind-ro="$SRCDIR/server/vhdkitd.pod:/srv/vhdkitd.pod" \
  --directory="$root" --boot >"$top/boot.log" 2>&1 </dev/null || status=$?

if [ -s "$top/out/tap" ] && grep -q '^1\.\.' "$top/out/tap"; then
  cat "$top/out/tap"
  if grep -q '^not ok' "$top/out/tap"; then
    exit 1
  fi
else
  cat "$top/out/tap" 2>/dev/null || :
  tail -n 30 "$top/boot.log" | tr -d '\033\r' | sed 's/^/# /'
  echo "Bail out! the machine did not boot, or not in $seconds s ($status)"
  exit 1
fi
