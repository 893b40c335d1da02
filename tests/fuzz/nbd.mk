# Fuzz targets of the NBD protocol; included by local.mk.

if ENABLE_FUZZING
FUZZ_NBD_MAIN =
else
FUZZ_NBD_MAIN = tests/fuzz/replay.c
TESTS += tests/fuzz/fuzz_handshake tests/fuzz/fuzz_transmission
endif

FUZZ_NBD_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/server

check_PROGRAMS += tests/fuzz/fuzz_handshake
tests_fuzz_fuzz_handshake_CPPFLAGS = $(FUZZ_NBD_CPPFLAGS)
tests_fuzz_fuzz_handshake_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_handshake_LDADD = server/libnbdproto.la
tests_fuzz_fuzz_handshake_SOURCES = tests/fuzz/fuzz_handshake.c \
	$(FUZZ_NBD_MAIN)

check_PROGRAMS += tests/fuzz/fuzz_transmission
tests_fuzz_fuzz_transmission_CPPFLAGS = $(FUZZ_NBD_CPPFLAGS)
tests_fuzz_fuzz_transmission_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_transmission_LDADD = server/libnbdproto.la
tests_fuzz_fuzz_transmission_SOURCES = tests/fuzz/fuzz_transmission.c \
	$(FUZZ_NBD_MAIN)

EXTRA_DIST += tests/fuzz/corpus/fuzz_handshake \
	tests/fuzz/corpus/fuzz_transmission
