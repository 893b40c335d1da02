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
	tests/bench/load/stream.c \
	tests/bench/load/stream.h \
	tests/bench/load/tls.c \
	tests/bench/load/tls.h \
	tests/bench/load/wire.c \
	tests/bench/load/wire.h
endif
