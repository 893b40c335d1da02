# The crash proof: what power cuts and kills leave of images that the real
# server writes to.  Its calls are recorded from inside (recorder.h), replayed
# up to any moment (replay.c), and what is left is opened with the library.
# See tests/local.mk for how to add a test.

check_LTLIBRARIES += tests/crash/recorder.la
tests_crash_recorder_la_CPPFLAGS = $(AM_CPPFLAGS) -U_FORTIFY_SOURCE
tests_crash_recorder_la_CFLAGS = $(AM_CFLAGS) $(LIBURING_CFLAGS)
# -rpath makes it a shared library although nobody installs it.
tests_crash_recorder_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version \
	-shared -rpath /nowhere
tests_crash_recorder_la_LIBADD = -ldl
tests_crash_recorder_la_SOURCES = \
	tests/crash/record.h \
	tests/crash/recorder.c \
	tests/crash/recorder.h \
	tests/crash/recorder_log.c \
	tests/crash/recorder_ring.c

REPLAY_SOURCES = \
	tests/crash/disk.c \
	tests/crash/disk.h \
	tests/crash/host.c \
	tests/crash/host.h \
	tests/crash/look.c \
	tests/crash/look.h \
	tests/crash/record.h \
	tests/crash/replay.c

check_PROGRAMS += tests/crash/replay
tests_crash_replay_CPPFLAGS = $(AM_CPPFLAGS) $(PUBLIC_CPPFLAGS)
tests_crash_replay_LDADD = lib/libvhdkit.la
tests_crash_replay_SOURCES = $(REPLAY_SOURCES)

# The server and the replayer once more, built so that rules can be broken.
check_PROGRAMS += tests/crash/breakable-vhdkitd tests/crash/breakable-replay
BREAKABLE_CPPFLAGS = $(LIB_CPPFLAGS) -DVHDKIT_BREAKABLE
tests_crash_breakable_vhdkitd_CPPFLAGS = $(BREAKABLE_CPPFLAGS) \
	-I$(top_srcdir)/server
tests_crash_breakable_vhdkitd_CFLAGS = $(SERVER_CFLAGS)
tests_crash_breakable_vhdkitd_LDADD = server/libserver.la \
	tests/sim/libbreakable.la
tests_crash_breakable_vhdkitd_SOURCES = server/main.c tests/crash/breakable.c
tests_crash_breakable_replay_CPPFLAGS = $(BREAKABLE_CPPFLAGS)
tests_crash_breakable_replay_LDADD = tests/sim/libbreakable.la
tests_crash_breakable_replay_SOURCES = $(REPLAY_SOURCES) \
	tests/crash/breakable.c

# The model of a host by itself.
if HAVE_CMOCKA
check_PROGRAMS += tests/crash/test-host
TESTS += tests/crash/test-host
tests_crash_test_host_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_crash_test_host_CFLAGS = $(UNIT_CFLAGS)
tests_crash_test_host_LDADD = $(CMOCKA_LIBS)
tests_crash_test_host_SOURCES = \
	tests/crash/host.c \
	tests/crash/host.h \
	tests/crash/record.h \
	tests/crash/test-host.c \
	tests/unit/field.h \
	tests/unit/unit.h
endif

dist_check_SCRIPTS += tests/crash/inplace.py tests/crash/power.py \
	tests/crash/rules.py
dist_check_DATA += tests/crash/crashclient.py tests/crash/crashtest.py \
	tests/crash/loads.py tests/crash/verbs.py
TESTS += tests/crash/inplace.py tests/crash/power.py
