# Benchmarks. `make bench` compares vhdkitd with the other NBD servers
# installed (see README.md here); nothing of that runs in make check, which only
# tests that the load generator tells right from wrong.
# See tests/local.mk for how to add a test.

if HAVE_TLS
check_PROGRAMS += tests/bench/nbd-load
tests_bench_nbd_load_CFLAGS = $(AM_CFLAGS) $(TLS_CFLAGS)
tests_bench_nbd_load_LDADD = $(TLS_LIBS)
tests_bench_nbd_load_SOURCES = \
	tests/bench/load/conn.c \
	tests/bench/load/conn.h \
	tests/bench/load/content.c \
	tests/bench/load/content.h \
	tests/bench/load/cpu.c \
	tests/bench/load/cpu.h \
	tests/bench/load/fail.c \
	tests/bench/load/fail.h \
	tests/bench/load/handshake.c \
	tests/bench/load/handshake.h \
	tests/bench/load/histogram.c \
	tests/bench/load/histogram.h \
	tests/bench/load/load.c \
	tests/bench/load/load.h \
	tests/bench/load/main.c \
	tests/bench/load/options.c \
	tests/bench/load/options.h \
	tests/bench/load/report.c \
	tests/bench/load/report.h \
	tests/bench/load/requests.c \
	tests/bench/load/requests.h \
	tests/bench/load/run.h \
	tests/bench/load/stream.c \
	tests/bench/load/stream.h \
	tests/bench/load/tls.c \
	tests/bench/load/tls.h \
	tests/bench/load/trace.c \
	tests/bench/load/trace.h \
	tests/bench/load/wire.c \
	tests/bench/load/wire.h
endif

check_LTLIBRARIES += tests/bench/slow_sync.la
# -rpath makes it a shared library although nobody installs it.
tests_bench_slow_sync_la_CPPFLAGS = $(AM_CPPFLAGS) -U_FORTIFY_SOURCE
tests_bench_slow_sync_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version \
	-shared -rpath /nowhere
tests_bench_slow_sync_la_LIBADD = -ldl
tests_bench_slow_sync_la_SOURCES = tests/bench/slow_sync.c

EXTRA_DIST += \
	tests/bench/README.md \
	tests/bench/attackers.py \
	tests/bench/bench \
	tests/bench/boot-trace.csv \
	tests/bench/children \
	tests/bench/convert \
	tests/bench/crowd \
	tests/bench/images.py \
	tests/bench/instructions \
	tests/bench/instructions.json \
	tests/bench/measure.py \
	tests/bench/plot.py \
	tests/bench/report.py \
	tests/bench/servers.py \
	tests/bench/storm \
	tests/bench/syncs \
	tests/bench/troubles.py \
	tests/bench/vhdfile.py \
	tests/bench/workloads.py

bench_tests = tests/bench/test-bench.py tests/bench/test-nbd-load.py
dist_check_SCRIPTS += $(bench_tests)
TESTS += $(bench_tests)

# make bench                      everything, half an hour
# make bench BENCH=r4k16,tls*     some workloads
# make bench BENCH_FLAGS='--repeat 9 --nice -10'
BENCH =
BENCH_DIR = $(abs_builddir)/tests/bench/work
BENCH_FLAGS =

# libtool's execute mode replaces its wrapper scripts by the programs.
bench_run = $(LIBTOOL) --mode=execute $(PYTHON)
bench_programs = --vhdkitd $(abs_top_builddir)/server/vhdkitd \
	--nbd-load $(abs_top_builddir)/tests/bench/nbd-load

.PHONY: bench bench-crowd bench-plot bench-storm bench-syncs bench-clean \
	check-instructions update-instructions
bench: tests/bench/nbd-load$(EXEEXT) server/vhdkitd$(EXEEXT)
	$(MKDIR_P) '$(BENCH_DIR)'
	$(bench_run) $(srcdir)/tests/bench/bench $(bench_programs) \
		--dir '$(BENCH_DIR)' --only '$(BENCH)' \
		--json '$(BENCH_DIR)/bench.json' $(BENCH_FLAGS)

bench-plot: tests/bench/nbd-load$(EXEEXT) server/vhdkitd$(EXEEXT)
	$(MKDIR_P) '$(BENCH_DIR)'
	$(bench_run) $(srcdir)/tests/bench/bench $(bench_programs) \
		--dir '$(BENCH_DIR)' --no-table \
		--plot '$(BENCH_DIR)/bench.svg' $(BENCH_FLAGS)

bench-crowd: tests/bench/nbd-load$(EXEEXT) server/vhdkitd$(EXEEXT)
	$(MKDIR_P) '$(BENCH_DIR)'
	$(bench_run) $(srcdir)/tests/bench/crowd $(bench_programs) \
		--dir '$(BENCH_DIR)' --only '$(BENCH)' \
		--json '$(BENCH_DIR)/crowd.json' $(BENCH_FLAGS)

bench-syncs: tests/bench/nbd-load$(EXEEXT) server/vhdkitd$(EXEEXT) \
	tests/bench/slow_sync.la
	$(MKDIR_P) '$(BENCH_DIR)'
	$(bench_run) $(srcdir)/tests/bench/syncs $(bench_programs) \
		--preload tests/bench/.libs/slow_sync.so \
		--dir '$(BENCH_DIR)' $(BENCH_FLAGS)

bench-storm: tests/bench/nbd-load$(EXEEXT) server/vhdkitd$(EXEEXT) \
	tool/vhdkit$(EXEEXT)
	$(MKDIR_P) '$(BENCH_DIR)'
	$(bench_run) $(srcdir)/tests/bench/storm $(bench_programs) \
		--vhdkit $(abs_top_builddir)/tool/vhdkit \
		--dir '$(BENCH_DIR)' --only '$(BENCH)' $(BENCH_FLAGS)

bench-clean:
	rm -rf '$(BENCH_DIR)'

check-instructions: tests/bench/nbd-load$(EXEEXT) server/vhdkitd$(EXEEXT)
	$(bench_run) $(srcdir)/tests/bench/instructions $(bench_programs)

update-instructions: tests/bench/nbd-load$(EXEEXT) server/vhdkitd$(EXEEXT)
	$(bench_run) $(srcdir)/tests/bench/instructions $(bench_programs) \
		--update
