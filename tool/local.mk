# vhdkit, the command line tool: see Makefile.am for the lists.
#
# To switch on when the sources are there (one a line, headers too):
#
# bin_PROGRAMS += tool/vhdkit
# tool_vhdkit_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tool $(PUBLIC_CPPFLAGS)
# tool_vhdkit_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SMARTCOLS_CFLAGS)
# tool_vhdkit_LDADD = lib/libvhdkit.la $(JANSSON_LIBS) $(SMARTCOLS_LIBS)
# tool_vhdkit_SOURCES = \
# 	tool/main.c \
# 	tool/create.c
# dist_man_MANS += tool/vhdkit.1
# EXTRA_DIST += tool/vhdkit.pod
