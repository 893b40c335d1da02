#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-test.sh PROGRAM [ARGUMENT...]
#
# Runs one test the way tests/local.mk promises and prints its outcome as TAP
# on standard output.  Always exits 0: the verdict is in the TAP.

set -u

program=$1
name=$(basename -- "$program")
timeout=${TEST_TIMEOUT:-600}

# A directory of its own: short, because the path of a Unix socket is limited
# to 107 bytes.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/vk.XXXXXX") || exit 99
out=$scratch.out
# Another on a tmpfs, for what is to be there.
TEST_SHM=$(mktemp -d /dev/shm/vk.XXXXXX 2>/dev/null) || TEST_SHM=
mark=$(basename -- "$scratch").$$

# What the test started and is still there.  The mark is in the environment of
# all its descendants, whatever session or parent they are in by now; the dead
# whom nobody has reaped have none.
survivors()
{
  grep -lzsx "VHDKIT_TEST_MARK=$mark" /proc/[0-9]*/environ | cut -d/ -f3
}

centiseconds()
{
  read -r up _ </proc/uptime
  echo "${up%.*}${up#*.}"
}

# shellcheck disable=SC2317,SC2046  # called by trap; a list of numbers
cleanup()
{
  set -- $(survivors)
  [ $# -gt 0 ] && kill -KILL "$@" 2>/dev/null
  # What it mounted in its directory would be in the way.
  awk -v top="$scratch/" 'index($2, top) == 1 { print $2 }' \
    /proc/self/mounts | sort -r | while read -r at; do
    at=$(printf '%b' "$at")
    umount -l -- "$at" 2>/dev/null || fusermount3 -uz -- "$at" 2>/dev/null
  done
  rm -f -- "$out" "$out.times"
  if [ "${KEEP:-0}" = 1 ]; then
    rmdir -- "$TEST_SHM" 2>/dev/null
  else
    rm -rf -- "$scratch" ${TEST_SHM:+"$TEST_SHM"}
  fi
}
trap cleanup EXIT
trap 'exit 99' HUP INT TERM

case $program in
  /*) ;;
  *) program=$PWD/$program ;;
esac
shift

CMOCKA_MESSAGE_OUTPUT=TAP
: "${ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1}"
: "${UBSAN_OPTIONS=print_stacktrace=1}"
: "${TSAN_OPTIONS=second_deadlock_stack=1}"
LC_ALL=C.UTF-8
PYTHONDONTWRITEBYTECODE=1
export CMOCKA_MESSAGE_OUTPUT ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS LC_ALL
export PYTHONDONTWRITEBYTECODE
TMPDIR=$scratch
export TMPDIR TEST_SHM

# past_libtool PROGRAM: the program itself where that is a script of libtool's,
# which takes as long to start as it.
past_libtool()
{
  real=${1%/*}/.libs/${1##*/}
  if [ -x "$real" ] && head -n 1 "$1" | grep -q '^#!'; then
    echo "$real"
  else
    echo "$1"
  fi
}

VHDKIT=$(past_libtool "${VHDKIT:-vhdkit}")
VHDKITD=$(past_libtool "${VHDKITD:-vhdkitd}")
LD_LIBRARY_PATH=${BUILDDIR:-.}/lib/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export VHDKIT VHDKITD LD_LIBRARY_PATH

# A process group and session of its own, so that what a test does to its group
# does not reach make.
cd "$scratch" || exit 99
start=$(centiseconds)
env VHDKIT_TEST_MARK="$mark" setsid -w timeout -k 10 "$timeout" \
  "$program" "$@" </dev/null >"$out" 2>&1 &
wait $!
status=$?
took=$(($(centiseconds) - start))
times >"$out.times"
cd / || exit 99

# A moment for what is just ending by itself, then no mercy.
left=
for _ in 1 2 3 4 5 6 7 8 9 10; do
  left=$(survivors)
  [ -z "$left" ] && break
  sleep 0.1
done
for pid in $left; do
  left="$left $(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-80)"
done 2>/dev/null
left=$(printf '%s' "$left" | tr '\n' ' ')

# One stream of TAP out of whatever there is: points are renumbered (a cmocka
# program may run several groups, each with a plan), and a death between the
# first and the last point is a failed point of its own.
awk -v status="$status" -v name="$name" -v timeout="$timeout" -v left="$left" '
  function point(ok, text) { print ok " " ++points " - " text }
  /^TAP version/ { next }
  /^1\.\.[0-9]+/ {
    split($1, plan, /\.\./); planned += plan[2]; tap = 1
    if (/^1\.\.0/) { sub(/^1\.\.0[ #]*/, ""); skip = $0; print "# " $0 }
    next
  }
  /^(not )?ok( |$)/ {
    tap = 1
    ok = /^not/ ? "not ok" : "ok"
    if (ok == "not ok" && !/# *(TODO|todo)/) failed++
    sub(/^(not )?ok *[0-9]*[ -]*/, "")
    point(ok, $0 == "" ? name : $0)
    next
  }
  /^Bail out!/ { tap = 1; bailed = 1; print "# " $0; next }
  { if (/^SKIP:/) { reason = $0; sub(/^SKIP: */, "", reason) }
    print (/^#/ ? "" : "# ") $0 }
  END {
    why = "exit status " status
    if (status == 124 || status == 137)
      why = "not finished after " timeout " s"
    else if (status > 128)
      why = "killed by signal " (status - 128)
    if (!tap) {
      if (status == 0)
        point("ok", name)
      else if (status == 77)
        point("ok", name " # SKIP " (reason == "" ? "no reason" : reason))
      else
        point("not ok", name ": " why)
    } else {
      if (bailed)
        point("not ok", name ": bailed out")
      else if (planned != points)
        point("not ok", name ": " points+0 " of " planned " cases ran, " why)
      else if (points == 0)
        point("ok", name " # SKIP " skip)
      else if (status != 0 && !failed)
        point("not ok", name ": all cases passed, but " why)
    }
    if (left != "") {
      point("not ok", name ": left running: " left)
    }
    print "1.." points
  }' "$out"

# How long it took, and how long processors were at it, as far as it waited for
# those whom it started; ./bootstrap check makes a table of these lines.
awk -F '[ms ]+' -v took="$took" 'NR == 2 {
  printf "# took %.1f s, %.1f s of processor time\n", took / 100,
    ($1 + $3) * 60 + $2 + $4 }' "$out.times"
[ "${KEEP:-0}" = 1 ] && echo "# kept: $scratch"
exit 0
