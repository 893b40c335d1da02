# How tests are run: see Makefile.am for the lists.
#
# Every entry of TESTS runs through tests/run-test.sh, which gives it a scratch
# directory, no standard input, a time limit and the environment below, kills
# (and reports) what it leaves running, and turns its outcome into TAP for
# Automake's driver.  A test may
#   - print TAP (cmocka programs do by themselves; each case is counted), or
#   - just exit: 0 passed, 77 skipped, anything else failed (one case).
# A skipped test says why in a line  SKIP: reason.  A reason that begins with
# the word "package" (SKIP: package fio is not installed) counts as a failure
# in CI, where everything is to be installed; other reasons (the kernel lacks a
# feature, VHDKIT_IMAGES is not set) do not.
#
# To add a unit test (tests/unit/local.mk):
#   if HAVE_CMOCKA
#   check_PROGRAMS += tests/unit/test-bytes
#   TESTS += tests/unit/test-bytes
#   tests_unit_test_bytes_CPPFLAGS = $(UNIT_CPPFLAGS)
#   tests_unit_test_bytes_CFLAGS = $(UNIT_CFLAGS)
#   tests_unit_test_bytes_LDADD = $(UNIT_LIBS)
#   tests_unit_test_bytes_SOURCES = tests/unit/test-bytes.c
#   endif
# To add a script (tests/functional/local.mk; executable, any language):
#   dist_check_SCRIPTS += tests/functional/test-serve.sh
#   TESTS += tests/functional/test-serve.sh
# A test that starts threads also goes into TSAN_TESTS: .ci/run builds with
# ThreadSanitizer and runs that list (make check TESTS='$(TSAN_TESTS)').
#
# A test that computes for minutes goes into PLAIN_TESTS, and its program into
# PLAIN_BINARIES: .ci/run leaves it out of the ASan build, which is several times
# slower, and runs it in the plain, optimised one.  By hand, make check runs it
# in any build.
#
# A test that takes more than ten seconds with ASan goes into LONG_TESTS: .ci/run
# begins with these, lest one runs alone at the end.  What takes long is in the
# table that ./bootstrap check shows after each stage.
#
# The environment of a test:
#   SRCDIR BUILDDIR     top of the source and of the build tree, absolute
#   VHDKIT VHDKITD VHDKITCTL
#                       the programs just built
#   VHDKIT_PLUGIN       the nbdkit plugin just built (empty without nbdkit)
#   TMPDIR              its own empty directory, also its working directory;
#                       removed afterwards (kept if it fails and KEEP=1)
#   TEST_SHM            another one on a tmpfs; empty where there is none
#   PYTHON              python3 with the nbd module (Debian's /usr/bin/python3)
#   SANITIZE            "", "address" or "thread"
#   ASAN_PRELOAD        libasan.so, for programs that load what is instrumented
#   VHDKIT_IMAGES       a folder of real images, if you have one; skip without
#   TEST_TIMEOUT        seconds, default 600

dist_check_SCRIPTS += tests/run-test.sh

# cmocka programs that test the library's inside.
UNIT_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/lib -I$(top_srcdir)/server \
	-I$(top_srcdir)/tests -I$(top_srcdir)
UNIT_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
UNIT_LIBS = lib/libvhdkit-core.la $(CMOCKA_LIBS)

if ENABLE_ASAN
test_sanitize = address
else
if ENABLE_TSAN
test_sanitize = thread
else
test_sanitize =
endif
endif

LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) \
	$(top_srcdir)/build-aux/tap-driver.sh
LOG_COMPILER = $(SHELL)
AM_LOG_FLAGS = $(top_srcdir)/tests/run-test.sh
TEST_EXTENSIONS =

AM_TESTS_ENVIRONMENT = \
	SRCDIR='$(abs_top_srcdir)'; export SRCDIR; \
	BUILDDIR='$(abs_top_builddir)'; export BUILDDIR; \
	VHDKIT='$(abs_top_builddir)/tool/vhdkit'; export VHDKIT; \
	VHDKITD='$(abs_top_builddir)/server/vhdkitd'; export VHDKITD; \
	VHDKITCTL='$(abs_top_builddir)/tool/vhdkitctl'; export VHDKITCTL; \
	VHDKIT_PLUGIN='$(test_plugin)'; export VHDKIT_PLUGIN; \
	PYTHON='$(PYTHON)'; export PYTHON; \
	SANITIZE='$(test_sanitize)'; export SANITIZE; \
	ASAN_PRELOAD='$(ASAN_PRELOAD)'; export ASAN_PRELOAD; \
	CC='$(CC)'; export CC; \
	ALL_CPPFLAGS='$(test_cppflags)'; export ALL_CPPFLAGS;

# Where the foreign libraries' headers are, for tests that compile.
test_cppflags = $(EVENT_CFLAGS) $(TLS_CFLAGS) \
	$(LIBURING_CFLAGS) $(LIBSECCOMP_CFLAGS) $(LIBNBD_CFLAGS) \
	$(LIBFDISK_CFLAGS) \
	$(JANSSON_CFLAGS) $(SMARTCOLS_CFLAGS) $(UUID_CFLAGS) $(NBDKIT_CFLAGS) \
	$(CMOCKA_CFLAGS)

if HAVE_NBDKIT
test_plugin = $(abs_top_builddir)/plugin/.libs/nbdkit-vhd-plugin.so
else
test_plugin =
endif

# What make check leaves behind goes with make clean.
MOSTLYCLEANFILES += tests/*/*.log tests/*/*.trs

# The simulator looks at more than a million power cuts; the crash proof runs
# the real server for each of its own.
PLAIN_TESTS += tests/sim/sim tests/sim/sim-small tests/sim/test-rules.sh \
	tests/crash/inplace.py tests/crash/power.py \
	tests/inplace/test-rules.sh
PLAIN_BINARIES = tests/sim/sim tests/sim/sim-small tests/inplace/inplace \
	tests/crash/replay tests/crash/breakable-replay \
	tests/crash/breakable-vhdkitd

# The longest first.
LONG_TESTS += tests/sim/sim-small tests/sim/sim tests/crash/inplace.py \
	tests/sim/test-rules.sh tests/crash/power.py \
	tests/inplace/test-rules.sh tests/inplace/inplace \
	tests/clients/debian13.py \
	tests/conformance/test-probe-bites.sh \
	tests/fs/test-fs.py \
	tests/functional/tool-rescue.py \
	tests/functional/tool-model.py \
	tests/functional/server-kill.py \
	tests/functional/tool-mount.py \
	tests/functional/server-remount.py \
	tests/functional/server-journal.py \
	tests/functional/server-stop.py \
	tests/functional/server-hang.py \
	tests/functional/tool-convert.py \
	tests/functional/tool-attach.py \
	tests/functional/tool-compact.py \
	tests/functional/server-chain.py \
	tests/functional/tool-check.py \
	tests/functional/server-model.py \
	tests/functional/tls-crowd.py \
	tests/functional/server-many.py \
	tests/functional/server-reload.py \
	tests/functional/tool-info.py \
	tests/functional/plugin-as-server.sh \
	tests/functional/tool-lineage.py \
	tests/functional/tool-create.py \
	tests/functional/server-space.py \
	tests/functional/server-cold.py \
	tests/clients/installed.py \
	tests/conformance/test-vhdkitd.sh \
	tests/interop/qemu-vpc.py \
	tests/style/test-headers.sh \
	tests/style/test-shell.sh

# What is installed is asked of the plain build, too: it has a static library.
INSTALL_TESTS = tests/style/test-install.sh tests/style/test-installed.sh

# Only the tests that start threads (in a tree built with --enable-tsan); all
# but those that are too slow under a sanitizer; these alone; the tarball.  None
# builds what it does not run, nor check-dist what check-plain has built.
long_first = $(filter $(1),$(LONG_TESTS)) $(filter-out $(LONG_TESTS),$(1))
.PHONY: check-tsan check-sanitized check-plain check-dist check-crash
check-tsan:
	$(MAKE) $(AM_MAKEFLAGS) check \
	  TESTS='$(call long_first,$(TSAN_TESTS))' \
	  check_PROGRAMS='$(filter $(TSAN_TESTS),$(check_PROGRAMS))'
check-sanitized:
	$(MAKE) $(AM_MAKEFLAGS) check \
	  TESTS='$(call long_first,$(filter-out $(PLAIN_TESTS),$(TESTS)))' \
	  check_PROGRAMS='$(filter-out $(PLAIN_BINARIES),$(check_PROGRAMS))'
check-plain:
	$(MAKE) $(AM_MAKEFLAGS) check \
	  TESTS='$(call long_first,$(PLAIN_TESTS) $(INSTALL_TESTS))' \
	  check_PROGRAMS='$(PLAIN_BINARIES)'
check-dist:
	XZ_OPT=-1 $(MAKE) $(AM_MAKEFLAGS) distcheck TESTS= \
	  check_PROGRAMS='$(filter-out $(PLAIN_BINARIES),$(check_PROGRAMS))' \
	  DISTCHECK_CONFIGURE_FLAGS=--enable-werror

# The crash proof at length, 200 kills of each kind, and every rule broken,
# which is no test of make check's: automake knows only how to run those.
CRASH_SCALE = 4
CRASH_TESTS = tests/crash/inplace.py tests/crash/power.py \
	tests/inplace/inplace \
	tests/functional/server-kill.py
check-crash:
	CRASH_LOADS="`sed -n 's/^def \([a-z]*\)(run):/\1/p' \
	  $(srcdir)/tests/crash/loads.py | tr '\n' ' '`" \
	  CRASH_SCALE=$(CRASH_SCALE) CRASH_IMAGES=250 KILL_ROUNDS=200 \
	  VERB_ROUNDS=100 TEST_TIMEOUT=36000 $(MAKE) $(AM_MAKEFLAGS) check \
	  TESTS='$(CRASH_TESTS)'
	@$(AM_TESTS_ENVIRONMENT) TEST_TIMEOUT=36000; export TEST_TIMEOUT; \
	  $(LOG_COMPILER) $(AM_LOG_FLAGS) $(srcdir)/tests/crash/rules.py \
	    >tests/crash/rules.log; cat tests/crash/rules.log; \
	  ! grep -q '^not ok' tests/crash/rules.log
