#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-fresh.sh [--quick] [--run-only]: vhdkit on a machine that has nothing.
#
# Makes a minimal Debian 12 in BUILDDIR/fresh with debootstrap, puts what is
# committed in SRCDIR into it, and does there what a new user does: a person
# with sudo says ./bootstrap run --once, root says ./bootstrap check.  What
# bootstrap's list of packages lacks shows here, and nowhere else.  The last
# line is the verdict: N passed, N failed, N skipped.
#
# --quick is passed on to bootstrap check; --run-only leaves that out.
#
# Needs root and debootstrap, and the network that apt-get uses.  It runs in
# namespaces of its own, so that no mount and no process outlives it, however
# it ends.  KEEP=1 keeps the machine.

set -eu

suite=bookworm
mirror=http://deb.debian.org/debian

die()
{
  printf 'check-fresh: %s\n' "$*" >&2
  exit 1
}

# In namespaces of its own: this script is the first process of one, with whose
# end all others end, too.
if [ "${1-}" != --inside ]; then
  : "${SRCDIR:?is to be the top of the source tree}"
  : "${BUILDDIR:?is to be the top of the build tree}"
  [ "$(id -u)" = 0 ] || die "this needs root, to make devices and mounts"
  command -v debootstrap >/dev/null ||
    die "the package debootstrap is not installed"
  exec unshare --mount --pid --fork --kill-child --mount-proc -- \
    "$0" --inside "$@"
fi
shift

quick='' run_only=no
for argument in "$@"; do
  case $argument in
    --quick) quick=--quick ;;
    --run-only) run_only=yes ;;
    *) die "unknown argument '$argument'" ;;
  esac
done

top=$BUILDDIR/fresh
root=$top/root
# Whoever is PID 1 gets only the signals that it asks for.
trap 'exit 130' INT
trap 'exit 143' TERM HUP

step_begin()
{
  printf '%-44s' "$1 ..."
  step_start=$(date +%s)
}

step_end()
{
  printf ' ok (%d s)\n' $(($(date +%s) - step_start))
}

# ---------------------------------------------------------------------------
# The machine
# ---------------------------------------------------------------------------

# What this machine's apt-get takes Debian 12 from, as lines of sources.list;
# nothing if it is another system.
host_sources()
{
  # shellcheck disable=SC2016  # apt-get's own fields
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' 'Component: main' 2>/dev/null |
    grep -E " $suite(-updates|-security)? main\$" | sort -u
}

# How it gets there: proxies and the like.
host_acquire()
{
  apt-config dump 2>/dev/null |
    grep -E '^Acquire::((http|https|ftp)::|Check-|Retries)' || :
}

make_root()
{
  sources=$(host_sources || :)
  nearest=$(printf '%s\n' "$sources" | awk -v suite="$suite" '
    $3 == suite { print $2; exit }')
  debootstrap --variant=minbase "$suite" "$root" "${nearest:-$mirror}" \
    >"$top/debootstrap.log" 2>&1 || {
    tail -n 20 "$top/debootstrap.log"
    die "debootstrap failed; see $top/debootstrap.log"
  }
  [ -z "$sources" ] ||
    printf '%s\n' "$sources" >"$root/etc/apt/sources.list"
  host_acquire >"$root/etc/apt/apt.conf.d/90host"
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

# What a machine has that is not in packages.
mount_all()
{
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs -o ro sysfs "$root/sys"
  mount --rbind /dev "$root/dev"
  mount --make-rslave "$root/dev"
  mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
  mount -t tmpfs -o mode=755 run "$root/run"
  mkdir -p "$root/run/lock"
}

# A new user's copy: what is committed, without this tree's builds, and itself
# a git tree.
copy_tree()
{
  mkdir -p "$root$1"
  git -c safe.directory='*' -C "$SRCDIR" archive HEAD | tar -x -C "$root$1"
  (
    cd "$root$1"
    git init -q
    git add -A
    git -c user.name=fresh -c user.email=fresh@localhost commit -q -m fresh
  )
}

# inside USER COMMAND: as he would say it, having logged in.  The machine's root
# is the root: in a chroot, namespaces cannot be made as on a machine.
inside()
{
  # shellcheck disable=SC2016  # the inner shell's
  unshare --mount -- sh -c '
    cd "$1" && pivot_root . mnt && exec chroot . /bin/sh -c "
      umount -l /mnt && exec su --login \"\$1\" -c \"\$2\"" - "$2" "$3"
    ' - "$root" "$1" "$2" </dev/null
}

# ---------------------------------------------------------------------------
# What is tried on it
# ---------------------------------------------------------------------------

make_machine()
{
  rm -rf --one-file-system "$root"
  mkdir -p "$top"
  step_begin "Making a minimal Debian ($suite)"
  make_root
  mount_all
  step_end
}

# The one package that such a user has put there before: sudo.
make_person()
{
  step_begin "Making a user with sudo"
  inside root 'apt-get update -q && apt-get install -q -y \
      --no-install-recommends sudo && useradd -m -s /bin/bash person &&
    echo "person ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/person' \
    >"$top/sudo.log" 2>&1 || {
    tail -n 20 "$top/sudo.log"
    die "no user could be made; see $top/sudo.log"
  }
  step_end
}

person_runs()
{
  copy_tree /home/person/vhdkit
  chroot "$root" chown -R person: /home/person/vhdkit
  echo
  echo "--- person: ./bootstrap run --once"
  inside person 'cd vhdkit && ./bootstrap run --once' || return 1
  left=$(inside person 'find /tmp /dev/shm -mindepth 1 -user person -print')
  # Where the journals are kept stays, for the next ones.
  left=$(printf '%s\n' "$left" | grep -v '^/dev/shm/vhdkit-[0-9]*$' || :)
  [ -z "$left" ] && return 0
  echo "left behind: $left"
  return 1
}

# In CI's eyes: there, what is not installed is a failure.
root_checks()
{
  copy_tree /srv/vhdkit
  echo
  echo "--- root: ./bootstrap check $quick"
  inside root "cd /srv/vhdkit && CI=true ./bootstrap check $quick"
}

git -c safe.directory='*' -C "$SRCDIR" rev-parse -q --verify HEAD >/dev/null ||
  die "$SRCDIR is no git tree: what is committed there is what is tried"
if [ -n "$(git -c safe.directory='*' -C "$SRCDIR" status --porcelain)" ]; then
  echo "check-fresh: what is not committed is not tried"
fi

make_machine
make_person
if ! person_runs; then
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
if [ $run_only = yes ]; then
  echo "1 passed, 0 failed, 0 skipped"
else
  root_checks
fi
# What the mounts hide is not in the machine's folder.
if [ "${KEEP:-0}" != 1 ]; then
  umount -R "$root"
  rm -rf --one-file-system "$root"
fi
