# NBD's protocol: a library of its own that needs no other, so that what it
# must not know (sockets, the image library) it cannot use.

noinst_LTLIBRARIES += server/libnbdproto.la
server_libnbdproto_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/server
server_libnbdproto_la_CFLAGS = $(AM_CFLAGS) -static
server_libnbdproto_la_SOURCES = \
	server/nbd/extents.c \
	server/nbd/extents.h \
	server/nbd/handshake/handshake.c \
	server/nbd/handshake/handshake.h \
	server/nbd/handshake/options.c \
	server/nbd/handshake/options.h \
	server/nbd/handshake/options_export.c \
	server/nbd/handshake/options_meta.c \
	server/nbd/handshake/state.c \
	server/nbd/out.c \
	server/nbd/out.h \
	server/nbd/protocol.c \
	server/nbd/protocol.h \
	server/nbd/reply.c \
	server/nbd/reply.h \
	server/nbd/session.h \
	server/nbd/text.c \
	server/nbd/text.h \
	server/nbd/transmission.c \
	server/nbd/transmission.h \
	server/nbd/wire.h
