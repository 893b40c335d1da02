# vhdkitd: see Makefile.am for the lists.
#
# The server's sources but main.c are a convenience library, so that unit
# tests and fuzz targets can link with them: server/libserver.la.  Include
# paths are those of this room and the one public header:
#   #include "nbd/handshake.h"   and   #include "vhdkit.h"

SERVER_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/server $(PUBLIC_CPPFLAGS)
SERVER_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(TLS_CFLAGS) $(LIBURING_CFLAGS) \
	$(LIBSECCOMP_CFLAGS)
SERVER_LIBS = $(EVENT_LIBS) $(TLS_LIBS) $(LIBURING_LIBS) \
	$(LIBSECCOMP_LIBS)

noinst_LTLIBRARIES += server/libserver.la
server_libserver_la_CPPFLAGS = $(SERVER_CPPFLAGS)
server_libserver_la_CFLAGS = $(SERVER_CFLAGS)
server_libserver_la_LIBADD = server/libnbdproto.la $(SERVER_LIBS)
server_libserver_la_SOURCES = \
	server/buffer.c \
	server/buffer.h \
	server/configure.c \
	server/configure.h \
	server/confine.c \
	server/confine.h \
	server/connection.c \
	server/connection.h \
	server/entry.h \
	server/entry_open.c \
	server/export_list.c \
	server/export_list.h \
	server/exports.c \
	server/exports.h \
	server/fail.c \
	server/fail.h \
	server/filter.c \
	server/filter.h \
	server/haggle.c \
	server/io/engine.c \
	server/io/engine.h \
	server/io/file_class.c \
	server/io/queue.c \
	server/io/sync.c \
	server/io/try.c \
	server/io/uring.c \
	server/io/watch.c \
	server/landlock.c \
	server/landlock.h \
	server/listen.c \
	server/listen.h \
	server/log.c \
	server/log.h \
	server/loop.c \
	server/loop.h \
	server/notify.c \
	server/notify.h \
	server/op.c \
	server/op.h \
	server/options.c \
	server/options.h \
	server/options_exports.c \
	server/options_exports.h \
	server/output.c \
	server/peers.c \
	server/peers.h \
	server/read.c \
	server/receive.c \
	server/sandbox.c \
	server/sandbox.h \
	server/sanitized.h \
	server/server.c \
	server/server.h \
	server/socket.c \
	server/socket.h \
	server/status.c \
	server/stream.h \
	server/stream_plain.c \
	server/user.c \
	server/user.h \
	server/witness.c \
	server/witness.h
if HAVE_TLS
server_libserver_la_SOURCES += \
	server/psk.c \
	server/psk.h \
	server/tls_context.c \
	server/tls_context.h \
	server/tls_stream.c \
	server/tls_stream.h
endif

sbin_PROGRAMS += server/vhdkitd
server_vhdkitd_CPPFLAGS = $(SERVER_CPPFLAGS)
server_vhdkitd_CFLAGS = $(SERVER_CFLAGS)
server_vhdkitd_LDADD = server/libserver.la lib/libvhdkit.la
server_vhdkitd_SOURCES = server/main.c
dist_man_MANS += server/vhdkitd.8
EXTRA_DIST += server/vhdkitd.pod

# What libserver.la needs from it: server/libnbdproto.la in its LIBADD.
include server/nbd/local.mk
