# The operations that change images in place, through power cuts, failing calls
# and deaths, in one process.
# See tests/local.mk for how to add a test.

check_PROGRAMS += tests/inplace/inplace
tests_inplace_inplace_CPPFLAGS = $(LIB_CPPFLAGS) -DVHDKIT_BREAKABLE \
	-I$(top_srcdir)/tests -I$(top_srcdir)/tests/sim -I$(top_srcdir)/tests/inplace
tests_inplace_inplace_CFLAGS = $(AM_CFLAGS) -U_FORTIFY_SOURCE
tests_inplace_inplace_LDADD = tests/sim/libbreakable.la
tests_inplace_inplace_SOURCES = \
	tests/inplace/calls.c \
	tests/inplace/calls.h \
	tests/inplace/disk.c \
	tests/inplace/disk.h \
	tests/inplace/inplace.c \
	tests/inplace/judge.c \
	tests/inplace/judge.h \
	tests/inplace/operations.c \
	tests/inplace/scene.c \
	tests/inplace/scene.h \
	tests/inplace/state.c \
	tests/inplace/state.h \
	tests/inplace/world.c \
	tests/inplace/world.h \
	tests/sim/chance.c \
	tests/sim/chance.h \
	tests/sim/clock.h \
	tests/sim/simfile.c \
	tests/sim/simfile.h \
	tests/sim/tap.c \
	tests/sim/tap.h

TESTS += tests/inplace/inplace
dist_check_SCRIPTS += tests/inplace/test-rules.sh
TESTS += tests/inplace/test-rules.sh
