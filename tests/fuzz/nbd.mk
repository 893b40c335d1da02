# Fuzz targets of the NBD protocol; included by local.mk.

if ENABLE_FUZZING
FUZZ_NBD_MAIN =
else
FUZZ_NBD_MAIN = tests/fuzz/replay.c
TESTS += tests/fuzz/fuzz_handshake tests/fuzz/fuzz_transmission
TESTS += tests/fuzz/fuzz_request
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

check_PROGRAMS += tests/fuzz/fuzz_request
tests_fuzz_fuzz_request_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_fuzz_fuzz_request_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_fuzz_request_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_request_LDADD = $(JANSSON_LIBS)
tests_fuzz_fuzz_request_SOURCES = tests/fuzz/fuzz_request.c \
	server/control/request.c server/control/request.h $(FUZZ_MAIN)

EXTRA_DIST += tests/fuzz/corpus/fuzz_handshake \
	tests/fuzz/corpus/fuzz_request tests/fuzz/corpus/fuzz_transmission

# The whole server, plain and over TLS.
FUZZ_SERVER =
if HAVE_TLS
FUZZ_SERVER += fuzz_connection
if !ENABLE_FUZZING
TESTS += tests/fuzz/fuzz_connection
TSAN_TESTS += tests/fuzz/fuzz_connection
endif
check_PROGRAMS += tests/fuzz/fuzz_connection
tests_fuzz_fuzz_connection_CPPFLAGS = $(UNIT_CPPFLAGS)
tests_fuzz_fuzz_connection_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(TLS_CFLAGS)
tests_fuzz_fuzz_connection_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc \
	-Wl,--wrap=reallocarray,--wrap=posix_memalign,--wrap=strdup
tests_fuzz_fuzz_connection_LDADD = server/libserver.la \
	lib/libvhdkit-core.la $(TLS_LIBS)
tests_fuzz_fuzz_connection_SOURCES = \
	tests/fuzz/client.c \
	tests/fuzz/client.h \
	tests/fuzz/client_haggle.c \
	tests/fuzz/client_serve.c \
	tests/fuzz/fuzz_connection.c \
	tests/fuzz/house.c \
	tests/fuzz/house.h \
	tests/fuzz/link.c \
	tests/fuzz/link.h \
	tests/fuzz/say.h \
	tests/fuzz/say_command.c \
	tests/fuzz/say_option.c \
	tests/fuzz/starve.c \
	tests/fuzz/starve.h \
	tests/fuzz/tls_client.c \
	tests/fuzz/tls_client.h \
	$(FUZZ_MAIN) $(UNIT_FORGE) tests/unit/field.h
endif
EXTRA_DIST += tests/fuzz/corpus/fuzz_connection
