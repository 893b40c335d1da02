# Fuzz targets.  Each is replayed over its corpus in make check; make fuzz runs
# them for as long as you like, in a tree configured with CC=clang
# --enable-fuzzing.
#
#   make fuzz FUZZ_TIME=3600                 each target for an hour
#   make fuzz FUZZ_TARGETS=fuzz_open         only that one
#
# The targets, and what each takes for its input:
#
#   fuzz_open          an image file: opened, read, checked, written, read again
#   fuzz_locator       the structures in such a file, each parsed alone
#   fuzz_usage         a disk with a file system, of which is asked what it does
#                      not use
#   fuzz_handshake     bytes of a client to NBD's option haggling, no sockets
#   fuzz_transmission  NBD requests and the replies to them, no sockets
#   fuzz_request       a line of the control socket
#   fuzz_connection    a script of what one or two clients do, plain or over
#                      TLS, to a whole server with images: messages sound and
#                      unsound, in pieces, cut short, pipelined, raw bytes,
#                      ends of all kinds (needs OpenSSL).  Its images lie in a
#                      tmpfs, where all I/O is done at once; with FUZZ_FOLDER
#                      in the environment, there, so that on a disk it goes
#                      through io_uring and threads
#
# What is found lies in fuzz/TARGET: crashes and hangs, as files that
# tests/fuzz/TARGET FILE repeats, the log, and the corpus as it has grown.
# See tests/local.mk for how to add a test.

FUZZ_TARGETS = fuzz_open fuzz_locator fuzz_usage fuzz_handshake \
	fuzz_transmission fuzz_request $(FUZZ_SERVER)
FUZZ_TIME = 60
FUZZ_FLAGS = -max_len=65536 -timeout=20 -rss_limit_mb=1024

# libFuzzer brings a main() of its own, which does not end by itself.
if ENABLE_FUZZING
FUZZ_MAIN = tests/fuzz/fuzz.h
fuzz_ready = tests/fuzz/fuzz_open tests/fuzz/fuzz_locator \
	tests/fuzz/fuzz_usage \
	tests/fuzz/fuzz_handshake tests/fuzz/fuzz_transmission \
	tests/fuzz/fuzz_request \
	$(FUZZ_SERVER:%=tests/fuzz/%)
else
FUZZ_MAIN = tests/fuzz/fuzz.h tests/fuzz/replay.c
fuzz_ready = fuzz-not-configured
TESTS += tests/fuzz/fuzz_open tests/fuzz/fuzz_locator tests/fuzz/fuzz_usage
endif

check_PROGRAMS += tests/fuzz/fuzz_open
tests_fuzz_fuzz_open_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_fuzz_fuzz_open_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_open_LDADD = lib/libvhdkit-core.la
tests_fuzz_fuzz_open_SOURCES = tests/fuzz/fuzz_open.c $(FUZZ_MAIN) \
	$(UNIT_FORGE)

check_PROGRAMS += tests/fuzz/fuzz_locator
tests_fuzz_fuzz_locator_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_fuzz_fuzz_locator_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_locator_LDADD = lib/libvhdkit-core.la
tests_fuzz_fuzz_locator_SOURCES = tests/fuzz/fuzz_locator.c $(FUZZ_MAIN) \
	tests/unit/field.h

check_PROGRAMS += tests/fuzz/fuzz_usage
tests_fuzz_fuzz_usage_CPPFLAGS = $(UNIT_CPPFLAGS) -I$(top_srcdir)/tool
tests_fuzz_fuzz_usage_CFLAGS = $(AM_CFLAGS) $(EXT2FS_CFLAGS)
tests_fuzz_fuzz_usage_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_usage_LDADD = $(EXT2FS_LIBS)
tests_fuzz_fuzz_usage_SOURCES = tests/fuzz/fuzz_usage.c $(FUZZ_MAIN) \
	$(TOOL_USAGE)

EXTRA_DIST += tests/fuzz/make-corpus.py tests/fuzz/make-usage.py \
	tests/fuzz/corpus/fuzz_open tests/fuzz/corpus/fuzz_locator tests/fuzz/corpus/fuzz_usage

include tests/fuzz/nbd.mk

.PHONY: fuzz fuzz-not-configured
fuzz: $(fuzz_ready)
	@status=0; \
	for target in $(FUZZ_TARGETS); do \
	  found=$(abs_builddir)/fuzz/$$target; \
	  $(MKDIR_P) $$found/corpus || exit 1; \
	  echo "$$target: $(FUZZ_TIME) s"; \
	  tests/fuzz/$$target $(FUZZ_FLAGS) -max_total_time=$(FUZZ_TIME) \
	    -artifact_prefix=$$found/ $$found/corpus \
	    $(abs_srcdir)/tests/fuzz/corpus/$$target >$$found/log 2>&1 || \
	    status=1; \
	  grep -E '^(Done|SUMMARY)|not true' $$found/log; \
	done; \
	for file in fuzz/*/crash-* fuzz/*/leak-* fuzz/*/timeout-* \
	    fuzz/*/oom-*; do \
	  if test -e "$$file"; then echo "found: $$file"; status=1; fi; \
	done; \
	exit $$status

fuzz-not-configured:
	@echo 'make fuzz needs a tree configured with' >&2
	@echo '  CC=clang $(top_srcdir)/configure --enable-fuzzing' >&2
	@exit 1

MOSTLYCLEANFILES += fuzz/*/log
