# vhdkitd: see Makefile.am for the lists.
#
# The server's sources but main.c are a convenience library, so that unit
# tests and fuzz targets can link with them: server/libserver.la.  Include
# paths are those of this room and the one public header:
#   #include "nbd/handshake.h"   and   #include "vhdkit.h"

SERVER_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/server $(PUBLIC_CPPFLAGS)
SERVER_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS) $(TLS_CFLAGS) $(LIBURING_CFLAGS) \
	$(LIBSYSTEMD_CFLAGS) $(LIBSECCOMP_CFLAGS)
SERVER_LIBS = $(EVENT_LIBS) $(TLS_LIBS) $(LIBURING_LIBS) \
	$(LIBSYSTEMD_LIBS) $(LIBSECCOMP_LIBS)

# To switch on when the sources are there (one a line, headers too; optional
# ones in  if HAVE_LIBURING ... endif,  if HAVE_TLS ... endif):
#
# noinst_LTLIBRARIES += server/libserver.la
# server_libserver_la_CPPFLAGS = $(SERVER_CPPFLAGS)
# server_libserver_la_CFLAGS = $(SERVER_CFLAGS)
# server_libserver_la_LIBADD = $(SERVER_LIBS)
# server_libserver_la_SOURCES = \
# 	server/nbd/handshake.c \
# 	server/nbd/handshake.h
#
# sbin_PROGRAMS += server/vhdkitd
# server_vhdkitd_CPPFLAGS = $(SERVER_CPPFLAGS)
# server_vhdkitd_CFLAGS = $(SERVER_CFLAGS)
# server_vhdkitd_LDADD = server/libserver.la lib/libvhdkit.la
# server_vhdkitd_SOURCES = server/main.c
# dist_man_MANS += server/vhdkitd.8
# EXTRA_DIST += server/vhdkitd.pod

# What libserver.la needs from it: server/libnbdproto.la in its LIBADD.
include server/nbd/local.mk
