# Unit tests of the NBD protocol; included by local.mk.

if HAVE_CMOCKA

NBD_UNIT_LIBS = server/libnbdproto.la $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/test-nbd-handshake
TESTS += tests/unit/test-nbd-handshake
tests_unit_test_nbd_handshake_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_nbd_handshake_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nbd_handshake_LDADD = $(NBD_UNIT_LIBS)
tests_unit_test_nbd_handshake_SOURCES = tests/unit/test-nbd-handshake.c \
	tests/unit/nbd-talk.c tests/unit/nbd-talk.h $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-nbd-bounds
TESTS += tests/unit/test-nbd-bounds
tests_unit_test_nbd_bounds_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_nbd_bounds_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nbd_bounds_LDADD = $(NBD_UNIT_LIBS)
tests_unit_test_nbd_bounds_SOURCES = tests/unit/test-nbd-bounds.c \
	$(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-nbd-transmission
TESTS += tests/unit/test-nbd-transmission
tests_unit_test_nbd_transmission_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_nbd_transmission_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nbd_transmission_LDADD = $(NBD_UNIT_LIBS)
tests_unit_test_nbd_transmission_SOURCES = \
	tests/unit/test-nbd-transmission.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-nbd-reply
TESTS += tests/unit/test-nbd-reply
tests_unit_test_nbd_reply_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_nbd_reply_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nbd_reply_LDADD = $(NBD_UNIT_LIBS)
tests_unit_test_nbd_reply_SOURCES = tests/unit/test-nbd-reply.c $(UNIT_COMMON)

check_PROGRAMS += tests/unit/test-nbd-text
TESTS += tests/unit/test-nbd-text
tests_unit_test_nbd_text_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_unit_test_nbd_text_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_nbd_text_LDADD = $(NBD_UNIT_LIBS)
tests_unit_test_nbd_text_SOURCES = tests/unit/test-nbd-text.c $(UNIT_COMMON)

endif
