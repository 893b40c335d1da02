# The simulator: the request machine over a simulated disk, through enumerated
# power cuts, failing I/O and random completion order.
# See tests/local.mk for how to add a test.

# The rooms below the tests once more, built so that rules can be broken; by
# make check alone, for what links with it, and so once: not for a shared
# library, too.
EXTRA_LTLIBRARIES += tests/sim/libbreakable.la
tests_sim_libbreakable_la_CPPFLAGS = $(LIB_CPPFLAGS) -DVHDKIT_BREAKABLE
tests_sim_libbreakable_la_CFLAGS = $(AM_CFLAGS) -static
tests_sim_libbreakable_la_LIBADD = $(LIB_LIBS)
tests_sim_libbreakable_la_SOURCES = $(lib_libvhdkit_core_la_SOURCES)

check_PROGRAMS += tests/sim/sim
tests_sim_sim_CPPFLAGS = $(LIB_CPPFLAGS) -DVHDKIT_BREAKABLE \
	-I$(top_srcdir)/tests/sim
tests_sim_sim_LDADD = tests/sim/libbreakable.la
tests_sim_sim_SOURCES = \
	tests/sim/chance.c \
	tests/sim/chance.h \
	tests/sim/clock.c \
	tests/sim/clock.h \
	tests/sim/life.c \
	tests/sim/life.h \
	tests/sim/look.c \
	tests/sim/model.c \
	tests/sim/model.h \
	tests/sim/ops.c \
	tests/sim/others.c \
	tests/sim/parts.h \
	tests/sim/sim.c \
	tests/sim/simfile.c \
	tests/sim/simfile.h \
	tests/sim/simimage.c \
	tests/sim/simimage.h \
	tests/sim/tap.c \
	tests/sim/tap.h

# The same, so bounded that a few requests reach each bound.
EXTRA_LTLIBRARIES += tests/sim/libsmall.la
tests_sim_libsmall_la_CPPFLAGS = $(tests_sim_libbreakable_la_CPPFLAGS) \
	-DVHDKIT_SMALL_BOUNDS
tests_sim_libsmall_la_CFLAGS = $(tests_sim_libbreakable_la_CFLAGS)
tests_sim_libsmall_la_LIBADD = $(LIB_LIBS)
tests_sim_libsmall_la_SOURCES = $(lib_libvhdkit_core_la_SOURCES)

check_PROGRAMS += tests/sim/sim-small
tests_sim_sim_small_CPPFLAGS = $(tests_sim_sim_CPPFLAGS) -DVHDKIT_SMALL_BOUNDS
tests_sim_sim_small_LDADD = tests/sim/libsmall.la
tests_sim_sim_small_SOURCES = $(tests_sim_sim_SOURCES)

TESTS += tests/sim/sim tests/sim/sim-small
dist_check_SCRIPTS += tests/sim/test-rules.sh
TESTS += tests/sim/test-rules.sh
